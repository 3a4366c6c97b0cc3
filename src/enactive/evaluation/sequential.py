"""Tests that may be looked at after every episode and stopped at any time, at a stated error rate.

A fixed-sample p-value that is looked at again and again ends below 0.05 far more often than it
says. Here evidence is the wealth of a gambler who bets against the null hypothesis at fair odds
(an e-process): the probability that it *ever* reaches ``1 / level`` is at most ``level`` while the
null is true (Ville, 1939, *Etude critique de la notion de collectif*). So one may stop whenever it
is reached, or give up whenever one likes, and neither needs to have been planned.

The gambler spreads his money over bets of different sizes from the start, a mixture in the manner
of Robbins (1970, Annals of Mathematical Statistics 41). For a mean of bounded values the bets are
those of Waudby-Smith & Ramdas (2024, JRSS B 86); where the null is a difference of zero they reduce
to a mixture over the share of discordant pairs that the second policy wins. A neighbour is STEP
(Snyder et al., 2025), which tunes the test to one largest sample size and independent episodes;
these need neither, and use that both policies meet the same episodes.

What "the null" means: at every pair, given what came before, the mean difference is at most (at
least) the bound. Pairs in an order drawn at random meet that for the mean over the plan. In a fixed
order, a policy that is better on the plan's first tasks and worse on its last can stop the test
too early: shuffle first, as :mod:`enactive.evaluation.sequential_comparison` does.

Counts may be arrays of any shape ``(...)``; natural logarithms throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from enactive.evaluation.interval_ends import Array, Ends, bisect
from enactive.evaluation.statistics import Interval

Side = Literal["greater", "less"]
"""Of the alternative: the truth is greater, or less, than the bound."""
Stop = Literal["second", "first", "equivalent"]
"""The second is better, the first is, or neither is by the margin or more."""

_NODES, _WEIGHTS = special.roots_sh_legendre(24)
SIZES: Array = np.asarray(_NODES, dtype=np.float64)
"""Sizes of the bets, as shares of the most that can be bet without the risk of ruin, ``(K,)``."""
LOG_WEIGHTS: Array = np.log(np.asarray(_WEIGHTS, dtype=np.float64))
"""How the first wealth is divided among them: uniformly, by Gauss and Legendre. Any fixed division
is a fair game, so that nothing is lost to the quadrature but its last digits of power."""


def log_e_rate(
    successes: ArrayLike,
    trials: ArrayLike,
    bound: float,
    side: Side = "greater",
    prior: tuple[float, float] = (1.0, 1.0),
) -> Array:
    """Evidence that a rate is greater (less) than ``bound``: logarithm of the e-value.

    The likelihood ratio against the bound, averaged over a beta prior that is restricted to the
    alternative; each term is a supermartingale under every rate of the null.
    Source: Robbins (1970), with the prior truncated for one side.

    Args:
        prior: of the beta distribution, before it is restricted.

    Raises:
        ValueError: ``bound`` is not inside (0, 1).
    """
    if not 0 < bound < 1:
        raise ValueError(f"bound must lie inside (0, 1), got {bound}")
    hits = np.asarray(successes, dtype=np.float64)
    misses = np.asarray(trials, dtype=np.float64) - hits
    if side == "less":
        hits, misses, bound, prior = misses, hits, 1 - bound, (prior[1], prior[0])
    first, second = prior
    mass = stats.beta.logsf(bound, first + hits, second + misses)
    return (
        special.betaln(first + hits, second + misses)
        - special.betaln(first, second)
        + mass
        - stats.beta.logsf(bound, first, second)
        - hits * math.log(bound)
        - misses * math.log1p(-bound)
    )


def log_e_difference(
    only_second: ArrayLike,
    only_first: ArrayLike,
    pairs: ArrayLike,
    bound: float | Array = 0.0,
    side: Side = "greater",
) -> Array:
    """Evidence that the paired difference, second minus first, is greater (less) than ``bound``.

    With a bound of 0 concordant pairs change nothing. With another they count: the pairs in which
    the two agree are evidence that they differ by little.

    Args:
        only_second: pairs in which only the second policy succeeded.
        only_first: pairs in which only the first did.
        pairs: all pairs.
        bound: inside (-1, 1); an array for many nulls at once.

    Raises:
        ValueError: ``bound`` is not inside (-1, 1).
    """
    plus, minus, total = (np.asarray(x, np.float64) for x in (only_second, only_first, pairs))
    mean = np.asarray(bound, dtype=np.float64)
    if np.any(np.abs(mean) >= 1):
        raise ValueError(f"bound must lie inside (-1, 1), got {bound}")
    if side == "less":
        plus, minus, mean = minus, plus, -mean
    # The stake is a share of 1 / (1 + mean), at which a difference of -1 would be ruin.
    odds = mean[..., None] / (1 + mean[..., None])  # (..., 1)
    gain = np.log1p(SIZES * (1 - mean[..., None]) / (1 + mean[..., None]))
    wealth = (
        plus[..., None] * gain
        + minus[..., None] * np.log1p(-SIZES)
        + (total - plus - minus)[..., None] * np.log1p(-SIZES * odds)
    )  # (..., K)
    return np.asarray(special.logsumexp(wealth + LOG_WEIGHTS, axis=-1), dtype=np.float64)


def rate_sequence_ends(successes: ArrayLike, trials: ArrayLike, confidence: float) -> Ends:
    """Ends of :func:`rate_sequence` for arrays of counts."""
    hits = np.asarray(successes, dtype=np.float64)
    total = np.asarray(trials, dtype=np.float64)
    misses = total - hits
    mixture = special.betaln(1 + hits, 1 + misses)  # the uniform prior's own constant is 0
    limit = -math.log1p(-confidence)
    mean = np.where(total > 0, hits / np.maximum(total, 1), 0.5)

    def beyond(place: Array) -> NDArray[np.bool_]:
        evidence = mixture - special.xlogy(hits, place) - special.xlog1py(misses, -place)
        return evidence > limit

    low = bisect(beyond, np.zeros_like(mean), mean)
    high = bisect(lambda place: ~beyond(place), mean, np.ones_like(mean))
    return np.where(hits <= 0, 0.0, low), np.where(misses <= 0, 1.0, high)


def rate_sequence(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """An interval of one rate that holds at all times at once: a confidence sequence.

    The probability that it ever excludes the truth, however often it is looked at and whenever one
    stops, is at most ``1 - confidence``. It is wider than Wilson's for that.
    Source: Robbins (1970), uniform mixture.

    Raises:
        ValueError: ``successes`` outside [0, trials].
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in [0, {trials}], got {successes}")
    low, high = rate_sequence_ends(successes, trials, confidence)
    return Interval(
        estimate=successes / trials if trials else math.nan, low=float(low), high=float(high),
        confidence=confidence, method="rate_sequence",
    )  # fmt: skip


def difference_sequence_ends(
    only_second: ArrayLike, only_first: ArrayLike, pairs: ArrayLike, confidence: float
) -> Ends:
    """Ends of :func:`difference_sequence` for arrays of counts."""
    plus, minus, total = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (only_second, only_first, pairs))
    )
    # Each end gets half of the error; the wealth falls (rises) with the bound, so they are ends.
    limit = math.log(2 / (1 - confidence))
    mean = np.where(total > 0, (plus - minus) / np.maximum(total, 1), 0.0)
    edge = np.full_like(mean, 1 - 1e-12)  # a bound of 1 itself cannot be bet against
    mean = np.clip(mean, -edge, edge)
    low = bisect(lambda d: log_e_difference(plus, minus, total, d) > limit, -edge, mean)
    high = bisect(lambda d: log_e_difference(plus, minus, total, d, "less") <= limit, mean, edge)
    low, high = np.where(low < -1 + 1e-9, -1.0, low), np.where(high > 1 - 1e-9, 1.0, high)
    return low, high


def difference_sequence(
    only_second: int, only_first: int, pairs: int, confidence: float = 0.95
) -> Interval:
    """An interval of the paired difference, second minus first, that holds at all times at once.

    Source: Waudby-Smith & Ramdas (2024), sections 4 and 5, with a mixture over constant bets (as in
    Orabona & Jun, 2024, IEEE Transactions on Information Theory 70) in place of a running plug-in:
    the interval depends on the counts only, and not on the order of the pairs.

    Raises:
        ValueError: counts are negative or more than ``pairs``.
    """
    if min(only_second, only_first) < 0 or only_second + only_first > pairs:
        raise ValueError(
            f"needs 0 <= only_first + only_second <= pairs, got {only_first}, {only_second}, "
            f"{pairs}"
        )
    low, high = difference_sequence_ends(only_second, only_first, pairs, confidence)
    return Interval(
        estimate=(only_second - only_first) / pairs if pairs else math.nan, low=float(low),
        high=float(high), confidence=confidence, method="difference_sequence",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingRule:
    """When a comparison of two policies on the same episodes is decided."""

    significance: float = 0.05
    """Largest probability of ever declaring one better while the two are equally good; half of it
    on each side. Also of ever declaring them equivalent while they differ by ``margin`` or more."""
    margin: float | None = None
    """Stop as well once the difference is shown to be smaller than this both ways; by default only
    a difference stops."""

    def __post_init__(self) -> None:
        if not 0 < self.significance < 1:
            raise ValueError(f"significance must lie in (0, 1), got {self.significance}")
        if self.margin is not None and not 0 < self.margin < 1:
            raise ValueError(f"margin must lie in (0, 1), got {self.margin}")

    def stops(self, only_second: ArrayLike, only_first: ArrayLike, pairs: ArrayLike) -> Array:
        """Which decision holds at these counts: 0 none, or the number of one in :data:`STOPS`."""
        counts = (only_second, only_first, pairs)
        limit = math.log(2 / self.significance)
        better = log_e_difference(*counts) >= limit
        worse = log_e_difference(*counts, side="less") >= limit
        decision = np.where(better, 1.0, np.where(worse, 2.0, 0.0))
        if self.margin is not None:
            # Both tests must reject, so each may have the whole error (Berger & Hsu, 1996).
            limit = -math.log(self.significance)
            above = log_e_difference(*counts, bound=-self.margin) >= limit
            below = log_e_difference(*counts, bound=self.margin, side="less") >= limit
            decision = np.where((decision == 0) & above & below, 3.0, decision)
        return decision

    def decide(self, only_second: int, only_first: int, pairs: int) -> Stop | None:
        """The decision at these counts; None to go on."""
        return STOPS[int(self.stops(only_second, only_first, pairs))]

    def p_value(self, only_second: int, only_first: int, pairs: int) -> float:
        """Two-sided p-value of "no difference" that is valid whenever one stops."""
        sides: tuple[Side, Side] = ("greater", "less")
        evidence = max(
            float(log_e_difference(only_second, only_first, pairs, side=side)) for side in sides
        )
        return min(1.0, 2 * math.exp(-evidence))


STOPS: tuple[Stop | None, ...] = (None, "second", "first", "equivalent")
"""Decisions by number, see :meth:`StoppingRule.stops`."""
