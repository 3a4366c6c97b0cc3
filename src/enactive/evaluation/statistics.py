"""Intervals and tests for success rates: one rate, rates over tasks, and paired differences.

Every function takes plain numbers and says which question it answers. Two questions are easily
confused when a rate is averaged over tasks:

* *how would this policy do on the same tasks again?* Episodes are the sample: :func:`wilson`.
* *how would it do on tasks like these?* Tasks are the sample, and episodes of one task resemble
  one another: :func:`clustered_wilson`, which is wider, and honest about having few tasks.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate and the interval around it."""

    estimate: float
    low: float
    high: float
    confidence: float
    """Nominal coverage, e.g. 0.95."""
    method: str
    """Name of the method, e.g. ``"wilson"``."""

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies inside, ends included (1e-12 of rounding is forgiven)."""
        return self.low - 1e-12 <= value <= self.high + 1e-12


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of one rate.

    Coverage is near nominal on average for any n, and the ends stay inside [0, 1].
    Source: Wilson (1927); recommended by Brown, Cai & DasGupta (2001), section 3.

    Raises:
        ValueError: no trials, or ``successes`` outside [0, trials].
    """
    _check_counts(successes, trials, confidence)
    low, high = _wilson_ends(successes / trials, trials, _normal_quantile(confidence))
    return Interval(
        estimate=successes / trials, low=low, high=high, confidence=confidence, method="wilson"
    )


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The exact interval of one rate: coverage is never below nominal, usually above.

    Source: Clopper & Pearson (1934).

    Raises:
        ValueError: no trials, or ``successes`` outside [0, trials].
    """
    _check_counts(successes, trials, confidence)
    tail = (1 - confidence) / 2
    low = 0.0
    high = 1.0
    if successes > 0:
        low = float(stats.beta.ppf(tail, successes, trials - successes + 1))
    if successes < trials:
        high = float(stats.beta.ppf(1 - tail, successes + 1, trials - successes))
    return Interval(
        estimate=successes / trials,
        low=low,
        high=high,
        confidence=confidence,
        method="clopper_pearson",
    )


def clustered_wilson(
    successes: Sequence[bool], clusters: Sequence[Hashable], confidence: float = 0.95
) -> Interval:
    """The interval of a rate whose trials come in clusters (tasks), for clusters like these.

    The design effect is the cluster-robust (sandwich) variance over the binomial one, never taken
    below 1; it shrinks the sample size, which is shrunk again for having only G - 1 degrees of
    freedom, and Wilson's formula does the rest. So the interval does not collapse to a point when
    every task succeeds, as the sandwich and the bootstrap do.
    Source: Korn & Graubard (1998) for the effective sample size; Dean & Pagano (2015) for putting
    it into Wilson's formula.

    Args:
        successes: one outcome an episode, N of them.
        clusters: the task of each episode, N of them, at least two different ones.

    Raises:
        ValueError: lengths differ, or fewer than two clusters.
    """
    values = np.asarray(successes, dtype=np.float64)  # (N,)
    labels = _cluster_ids(values, clusters)  # (N,)
    n, groups = len(values), int(labels.max()) + 1
    if groups < 2:
        raise ValueError("a clustered interval needs at least two clusters; use wilson for one")
    mean = float(values.mean())
    binomial = mean * (1 - mean) / n
    effect = 1.0
    if binomial > 0:
        effect = max(1.0, _sandwich_variance(values, labels) / binomial)
    normal = _normal_quantile(confidence)
    # Fewer degrees of freedom, a longer tail: the factor turns the normal quantile into Student's.
    freedom = (normal / _student_quantile(confidence, groups - 1)) ** 2
    low, high = _wilson_ends(mean, n / effect * freedom, normal)
    return Interval(
        estimate=mean, low=low, high=high, confidence=confidence, method="clustered_wilson"
    )


def student_t(
    values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95, floor: float = 0.0
) -> Interval:
    """The interval of a mean of independent values, e.g. one per training seed.

    Source: Student (1908).

    Args:
        values: N of them, N >= 2.
        floor: the standard deviation is taken as no less than this. Values of limited resolution
            can agree by chance, and would make an interval of no width.

    Raises:
        ValueError: fewer than two values: nothing is known of how they vary.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        raise ValueError(f"an interval over seeds needs at least two values, got {len(array)}")
    mean = float(array.mean())
    deviation = max(float(array.std(ddof=1)), floor)
    half = _student_quantile(confidence, len(array) - 1) * deviation / math.sqrt(len(array))
    return Interval(
        estimate=mean, low=mean - half, high=mean + half, confidence=confidence, method="student_t"
    )


def cluster_robust(
    values: Sequence[float] | NDArray[np.float64],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
) -> Interval:
    """The interval of a mean with clustered errors: sandwich (CR1) variance, Student's t on G - 1.

    For means of any quantity, e.g. steps, returns, or paired differences. It is not confined to
    [0, 1]; for a rate prefer :func:`clustered_wilson`.
    Source: Cameron & Miller (2015), sections II and VI.
    """
    array = np.asarray(values, dtype=np.float64)
    labels = _cluster_ids(array, clusters)
    groups = int(labels.max()) + 1
    if groups < 2:
        raise ValueError("cluster-robust errors need at least two clusters")
    mean = float(array.mean())
    half = _student_quantile(confidence, groups - 1) * math.sqrt(_sandwich_variance(array, labels))
    return Interval(
        estimate=mean,
        low=mean - half,
        high=mean + half,
        confidence=confidence,
        method="cluster_robust",
    )


def cluster_bootstrap(
    values: Sequence[float] | NDArray[np.float64],
    clusters: Sequence[Hashable],
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """The percentile interval of a mean when whole clusters (tasks) are drawn again.

    With fewer than about ten clusters it covers less than it says (Cameron, Gelbach & Miller,
    2008); :func:`cluster_robust` and :func:`clustered_wilson` do better there.

    Args:
        values: N values, e.g. paired differences in {-1, 0, 1}.
        clusters: the cluster of each, N of them.
        generator: source of the resamples; the same generator state gives the same interval.
    """
    array = np.asarray(values, dtype=np.float64)
    labels = _cluster_ids(array, clusters)
    groups = int(labels.max()) + 1
    sums = np.bincount(labels, weights=array, minlength=groups)  # (G,)
    sizes = np.bincount(labels, minlength=groups).astype(np.float64)  # (G,)
    drawn = generator.integers(0, groups, size=(resamples, groups))  # (R, G)
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)  # (R,)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(
        estimate=float(array.mean()),
        low=float(low),
        high=float(high),
        confidence=confidence,
        method="cluster_bootstrap",
    )


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value that two policies do equally well on the same episodes.

    Args:
        only_first: episodes in which only the first policy succeeded.
        only_second: episodes in which only the second succeeded. Episodes in which both or neither
            did say nothing about the difference and do not enter.

    Source: McNemar (1947), with the binomial distribution in place of chi squared.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"counts must not be negative, got {only_first} and {only_second}")
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    tail = float(stats.binom.cdf(min(only_first, only_second), discordant, 0.5))
    return min(1.0, 2 * tail)


def tango(only_first: int, only_second: int, pairs: int, confidence: float = 0.95) -> Interval:
    """The score interval of a paired difference of rates, first minus second.

    Source: Tango (1998), Statistics in Medicine 17. It covers well for small samples and for zero
    discordant pairs, where Wald's interval collapses.

    Args:
        only_first: pairs in which only the first succeeded.
        only_second: pairs in which only the second succeeded.
        pairs: all pairs, concordant ones included.
    """
    if pairs <= 0 or min(only_first, only_second) < 0 or only_first + only_second > pairs:
        raise ValueError(
            f"needs 0 <= only_first + only_second <= pairs and pairs > 0, got "
            f"{only_first}, {only_second}, {pairs}"
        )
    quantile = _normal_quantile(confidence)
    estimate = (only_first - only_second) / pairs

    def score(difference: float) -> float:
        # The nuisance rate q of "only second" under this difference is the root of a quadratic.
        b = -only_first - only_second + (2 * pairs - only_first + only_second) * difference
        c = -only_second * difference * (1 - difference)
        q = (math.sqrt(max(b * b - 8 * pairs * c, 0.0)) - b) / (4 * pairs)
        variance = pairs * (2 * q + difference * (1 - difference))
        distance = only_first - only_second - pairs * difference
        if variance <= 0:
            return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)

    def end(edge: float, level: float) -> float:
        if abs(estimate - edge) < 1e-12:
            return edge
        inside = edge + (estimate - edge) * 1e-9
        if (score(inside) - level) * (score(estimate) - level) > 0:
            return edge

        def offset(place: float) -> float:
            return score(place) - level

        root: Any = optimize.brentq(offset, inside, estimate)
        return float(root)

    return Interval(
        estimate=estimate,
        low=end(-1.0, quantile),
        high=end(1.0, -quantile),
        confidence=confidence,
        method="tango",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: reject those below the familywise level.

    Source: Holm (1979).
    """
    order = np.argsort(np.asarray(p_values, dtype=np.float64), kind="stable")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order.tolist()):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def _wilson_ends(mean: float, trials: float, quantile: float) -> tuple[float, float]:
    z2 = quantile * quantile
    centre = (mean + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = mean * (1 - mean) / trials + z2 / (4 * trials * trials)
    half = quantile / (1 + z2 / trials) * math.sqrt(spread)
    # At 0 and 1 one end is exact; rounding must not leave it at 1e-17.
    low = 0.0 if mean == 0 else max(0.0, centre - half)
    high = 1.0 if mean == 1 else min(1.0, centre + half)
    return low, high


def _sandwich_variance(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """CR1 variance of a mean: squared sums of each cluster's residuals, times G / (G - 1)."""
    residuals = values - values.mean()
    sums = np.bincount(labels, weights=residuals)  # (G,)
    groups = len(sums)
    return float((sums**2).sum()) / len(values) ** 2 * groups / (groups - 1)


def _cluster_ids(values: NDArray[np.float64], clusters: Sequence[Hashable]) -> NDArray[np.int64]:
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values, but {len(clusters)} cluster labels")
    if len(values) == 0:
        raise ValueError("there are no values")
    ids: dict[Hashable, int] = {}
    return np.array([ids.setdefault(label, len(ids)) for label in clusters], dtype=np.int64)


def _check_counts(successes: int, trials: int, confidence: float) -> None:
    if trials <= 0:
        raise ValueError("an interval needs at least one trial")
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in [0, {trials}], got {successes}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")


def _normal_quantile(confidence: float) -> float:
    return float(stats.norm.ppf(0.5 + confidence / 2))


def _student_quantile(confidence: float, freedom: int) -> float:
    return float(stats.t.ppf(0.5 + confidence / 2, freedom))
