"""How many episodes an evaluation needs before it can see a difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A sample size and what it can see."""

    episodes: int
    """Episodes per policy; for a paired design both policies run the same ones."""
    power: float
    """Probability to find the difference significant if it is there."""
    difference: float
    baseline: float
    significance: float
    paired: bool


def power_independent(
    baseline: float, difference: float, episodes: int, significance: float = 0.05
) -> float:
    """Power of the two-sided z test on two independent rates, ``episodes`` each.

    Args:
        baseline: success rate of the weaker policy, in [0, 1].
        difference: what the other adds; ``baseline + difference`` must lie in [0, 1].

    Source: Fleiss, Levin & Paik (2003), chapter 4, without continuity correction.
    """
    first, second = _rates(baseline, difference)
    pooled = (first + second) / 2
    null = math.sqrt(2 * pooled * (1 - pooled) / episodes)
    real = math.sqrt((first * (1 - first) + second * (1 - second)) / episodes)
    quantile = float(stats.norm.ppf(1 - significance / 2))
    gap = abs(second - first)
    if real == 0.0:
        return 1.0 if gap > quantile * null else 0.0
    above = float(stats.norm.sf((quantile * null - gap) / real))
    below = float(stats.norm.cdf((-quantile * null - gap) / real))
    return above + below


def power_paired(
    baseline: float,
    difference: float,
    episodes: int,
    correlation: float = 0.3,
    significance: float = 0.05,
) -> float:
    """Exact power of the exact McNemar test on ``episodes`` shared episodes.

    Args:
        correlation: of the two policies' outcomes on one episode: 0 when starting states do not
            matter, towards 1 when the same starts are hard for both. It is capped at what the two
            rates allow.
    """
    only_second, only_first = discordance(baseline, difference, correlation)
    discordant = only_first + only_second
    if discordant <= 0:
        return 0.0
    share = only_second / discordant
    power = 0.0
    weights = stats.binom.pmf(np.arange(episodes + 1), episodes, discordant)  # (N + 1,)
    for count, weight in enumerate(np.asarray(weights, dtype=np.float64).tolist()):
        if weight < 1e-12 or count == 0:
            continue
        # The largest k with 2 * P(X <= k | 1/2) <= significance: reject at k and its mirror image.
        critical = int(stats.binom.ppf(significance / 2, count, 0.5))
        while critical >= 0 and 2 * float(stats.binom.cdf(critical, count, 0.5)) > significance:
            critical -= 1
        if critical < 0:
            continue
        low = float(stats.binom.cdf(critical, count, share))
        high = float(stats.binom.sf(count - critical - 1, count, share))
        power += weight * (low + high)
    return power


def discordance(baseline: float, difference: float, correlation: float) -> tuple[float, float]:
    """Rates of "only the better succeeds" and "only the baseline does", given their correlation."""
    first, second = _rates(baseline, difference)
    covariance = correlation * math.sqrt(first * (1 - first) * second * (1 - second))
    both = min(first * second + covariance, first, second)
    both = max(both, 0.0, first + second - 1)
    return second - both, first - both


def episodes_needed(
    baseline: float,
    difference: float,
    *,
    power: float = 0.8,
    significance: float = 0.05,
    paired: bool = True,
    correlation: float = 0.3,
    limit: int = 20_000,
) -> Plan:
    """The smallest number of episodes that sees ``difference`` with probability ``power``.

    Raises:
        ValueError: the rates leave [0, 1], the difference is 0, or ``limit`` episodes do not do.
    """
    if difference == 0:
        raise ValueError("a difference of 0 cannot be seen with any number of episodes")

    def reached(episodes: int) -> float:
        if paired:
            return power_paired(baseline, difference, episodes, correlation, significance)
        return power_independent(baseline, difference, episodes, significance)

    high = 8
    while reached(high) < power:
        high *= 2
        if high > limit:
            raise ValueError(
                f"{limit} episodes do not see a difference of {difference:g} with power {power:g}"
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return Plan(
        episodes=high,
        power=reached(high),
        difference=difference,
        baseline=baseline,
        significance=significance,
        paired=paired,
    )


def _rates(baseline: float, difference: float) -> tuple[float, float]:
    other = baseline + difference
    if not (0 <= baseline <= 1 and -1e-12 <= other <= 1 + 1e-12):
        raise ValueError(
            f"baseline {baseline:g} and baseline + difference {other:g} must lie in [0, 1]"
        )
    return baseline, min(max(other, 0.0), 1.0)
