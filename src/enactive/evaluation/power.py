"""How many episodes an evaluation needs before it can see a difference, or rule one out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from enactive.evaluation.sequential import StoppingRule
from enactive.seeding import numpy_generator


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


def power_clustered(
    baseline: float,
    difference: float,
    tasks: int,
    episodes: int,
    likeness: float = 0.1,
    correlation: float = 0.3,
    significance: float = 0.05,
) -> float:
    """Power of the paired comparison for tasks like these, ``episodes`` of each task.

    More episodes of the same few tasks help little: the variance of the difference is that of
    independent pairs times ``1 + (episodes - 1) * likeness``, with ``tasks - 1`` degrees of
    freedom.
    Source: Donner & Klar (2000), chapter 5, with the noncentral t distribution.

    Args:
        tasks: at least 2.
        likeness: intraclass correlation of the paired differences of one task, in [0, 1].
        correlation: as for :func:`power_paired`.
    """
    if tasks < 2:
        raise ValueError(f"tasks as a sample are at least 2, got {tasks}")
    if not 0 <= likeness <= 1:
        raise ValueError(f"likeness must lie in [0, 1], got {likeness}")
    better, worse = discordance(baseline, difference, correlation)
    single = better + worse - difference**2
    error = math.sqrt(single / (tasks * episodes) * (1 + (episodes - 1) * likeness))
    freedom = tasks - 1
    critical = float(stats.t.ppf(1 - significance / 2, freedom))
    if error == 0:
        return 1.0 if difference else 0.0
    shift = difference / error
    above = float(stats.nct.sf(critical, freedom, shift))
    return above + float(stats.nct.cdf(-critical, freedom, shift))


def power_non_inferiority(
    baseline: float,
    margin: float,
    episodes: int,
    difference: float = 0.0,
    correlation: float = 0.3,
    significance: float = 0.05,
) -> float:
    """Power to show on shared episodes that a policy is worse by less than ``margin``.

    One-sided, by the lower end of an interval of coverage ``1 - 2 * significance``.
    Source: Liu, Hsueh, Hsieh & Chen (2002), Statistics in Medicine 21; normal approximation.

    Args:
        margin: the loss that would matter, positive.
        difference: what is true: candidate minus baseline, above ``-margin``.
    """
    if margin <= 0:
        raise ValueError(f"margin must be positive, got {margin}")
    better, worse = discordance(baseline, difference, correlation)
    error = math.sqrt((better + worse - difference**2) / episodes)
    if error == 0:
        return 1.0 if difference > -margin else 0.0
    quantile = float(stats.norm.ppf(1 - significance))
    return float(stats.norm.cdf((difference + margin) / error - quantile))


@dataclass(frozen=True, kw_only=True, slots=True)
class SequentialPlan:
    """What a comparison that may stop early is expected to take."""

    power: float
    """Probability that it declares the better policy before the plan ends."""
    wrong: float
    """Probability that it declares the worse one."""
    equivalent: float
    """Probability that it declares the two equivalent."""
    mean_pairs: float
    """Pairs played on average, those of undecided comparisons included."""
    most_pairs: int
    """Pairs in the plan."""


def sequential_plan(
    baseline: float,
    difference: float,
    pairs: int,
    *,
    rule: StoppingRule | None = None,
    block: int = 5,
    correlation: float = 0.3,
    runs: int = 4000,
    seed: int = 0,
) -> SequentialPlan:
    """Simulate comparisons under a stopping rule.

    Args:
        pairs: in the plan.
        block: pairs between two looks.
        runs: simulated comparisons; the error of a probability is below 0.8 points for 4000.
    """
    better, worse = discordance(baseline, difference, correlation)
    generator = numpy_generator(seed, "sequential power")
    looks = np.minimum(np.arange(block, pairs + block, block), pairs)  # (L,)
    sizes = np.diff(looks, prepend=0)
    draws = generator.multinomial(
        sizes, [better, worse, 1 - better - worse], size=(runs, len(looks))
    )
    counts = np.cumsum(draws, axis=1)  # (R, L, 3)
    # Few of the states occur, most of them often.
    code = (counts[..., 0] * (pairs + 1) + counts[..., 1]) * len(looks) + np.arange(len(looks))
    states, place = np.unique(code, return_inverse=True)
    plus, minus = np.divmod(states // len(looks), pairs + 1)
    found = (rule or StoppingRule()).stops(plus, minus, looks[states % len(looks)])
    decisions = found[place.reshape(code.shape)]  # (R, L)
    decided = decisions > 0
    first = np.where(decided.any(axis=1), decided.argmax(axis=1), len(looks) - 1)
    made = decisions[np.arange(runs), first]
    right, other = (1, 2) if difference >= 0 else (2, 1)
    return SequentialPlan(
        power=float((made == right).mean()),
        wrong=float((made == other).mean()),
        equivalent=float((made == 3).mean()),
        mean_pairs=float(looks[first].mean()),
        most_pairs=pairs,
    )


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

    high = smallest(reached, power, limit, f"see a difference of {difference:g}")
    return Plan(
        episodes=high,
        power=reached(high),
        difference=difference,
        baseline=baseline,
        significance=significance,
        paired=paired,
    )


def smallest(reached: Callable[[int], float], power: float, limit: int, what: str) -> int:
    """The smallest number of episodes at which ``reached`` is at least ``power``.

    Raises:
        ValueError: ``limit`` episodes do not do.
    """
    high = 8
    while reached(high) < power:
        high *= 2
        if high > limit:
            raise ValueError(f"{limit} episodes do not {what} with power {power:g}")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return high


def _rates(baseline: float, difference: float) -> tuple[float, float]:
    other = baseline + difference
    if not (0 <= baseline <= 1 and -1e-12 <= other <= 1 + 1e-12):
        raise ValueError(
            f"baseline {baseline:g} and baseline + difference {other:g} must lie in [0, 1]"
        )
    return baseline, min(max(other, 0.0), 1.0)
