"""Intervals and tests for success rates: one rate, rates over tasks, and paired differences.

Every function takes plain numbers and says which question it answers. Two questions are easily
confused when a rate is averaged over tasks:

* *how would this policy do on the same tasks again?* Episodes are the sample: :func:`wilson`.
* *how would it do on tasks like these?* Tasks are the sample, and episodes of one task resemble
  one another: :func:`clustered_wilson`, which is wider, and honest about having few tasks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from enactive.evaluation.interval_ends import (
    Ends,
    clopper_pearson_ends,
    cluster_bootstrap_ends,
    cluster_robust_ends,
    clustered_ratio_ends,
    clustered_tango_ends,
    clustered_wilson_ends,
    paired_ratio_ends,
    student_t_ends,
    tango_ends,
    wilson_ends,
)


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
    ends = wilson_ends(successes, trials, confidence)
    return _interval(successes / trials, ends, confidence, "wilson")


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The exact interval of one rate: coverage is never below nominal, usually above.

    Source: Clopper & Pearson (1934).

    Raises:
        ValueError: no trials, or ``successes`` outside [0, trials].
    """
    _check_counts(successes, trials, confidence)
    ends = clopper_pearson_ends(successes, trials, confidence)
    return _interval(successes / trials, ends, confidence, "clopper_pearson")


def clustered_wilson(
    successes: Sequence[bool], clusters: Sequence[Hashable], confidence: float = 0.95
) -> Interval:
    """The interval of a rate whose trials come in clusters (tasks), for clusters like these.

    The design effect is the cluster-robust (sandwich) variance over the binomial one; it shrinks
    the sample size, which is shrunk again for having only G - 1 degrees of freedom, but never
    grows it, and Wilson's formula does the rest. So the interval does not collapse to a point when
    every task succeeds, as the sandwich and the bootstrap do, and is never narrower than
    :func:`wilson`'s. Simulated coverage is near nominal from ten clusters on and above it with
    fewer; below it only where most tasks are near 0 or 1 and there are few of them, because what
    was never seen cannot be estimated.
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
    _several(labels, "a clustered interval needs at least two clusters; use wilson for one")
    counts, sizes = _sums(labels, values, np.ones_like(values))
    ends = clustered_wilson_ends(counts, sizes, confidence)
    return _interval(float(values.mean()), ends, confidence, "clustered_wilson")


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
    ends = student_t_ends(array, confidence, floor)
    return _interval(float(array.mean()), ends, confidence, "student_t")


def cluster_robust(
    values: Sequence[float] | NDArray[np.float64],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
) -> Interval:
    """The interval of a mean with clustered errors: sandwich (CR1) variance, Student's t on G - 1.

    For means of any quantity, e.g. steps, returns, or paired differences. It is not confined to
    [0, 1]; for a rate prefer :func:`clustered_wilson`.
    Exact for normal values and clusters of one size; for paired differences it covers less than it
    says where few pairs are discordant: prefer :func:`clustered_tango`.
    Source: Cameron & Miller (2015), sections II and VI.
    """
    array = np.asarray(values, dtype=np.float64)
    labels = _cluster_ids(array, clusters)
    _several(labels, "cluster-robust errors need at least two clusters")
    sums, sizes = _sums(labels, array, np.ones_like(array))
    ends = cluster_robust_ends(sums, sizes, confidence)
    return _interval(float(array.mean()), ends, confidence, "cluster_robust")


def cluster_bootstrap(
    values: Sequence[float] | NDArray[np.float64],
    clusters: Sequence[Hashable],
    generator: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """The percentile interval of a mean when whole clusters (tasks) are drawn again.

    It covers less than it says with few clusters (Cameron, Gelbach & Miller, 2008): in simulation
    by more than a point with fewer than about fifty. :func:`cluster_robust`,
    :func:`clustered_wilson` and :func:`clustered_tango` do better there.

    Args:
        values: N values, e.g. paired differences in {-1, 0, 1}.
        clusters: the cluster of each, N of them.
        generator: source of the resamples; the same generator state gives the same interval.
    """
    array = np.asarray(values, dtype=np.float64)
    sums, sizes = _sums(_cluster_ids(array, clusters), array, np.ones_like(array))
    drawn = generator.integers(0, len(sums), size=(resamples, len(sums)))  # (R, G)
    ends = cluster_bootstrap_ends(sums, sizes, drawn, confidence)
    return _interval(float(array.mean()), ends, confidence, "cluster_bootstrap")


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
    discordant pairs, where Wald's interval collapses, and covers more than it says where fewer than
    about five pairs are discordant.

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
    ends = tango_ends(only_first, only_second, pairs, confidence)
    return _interval((only_first - only_second) / pairs, ends, confidence, "tango")


def clustered_tango(
    first: Sequence[bool],
    second: Sequence[bool],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
) -> Interval:
    """The interval of a paired difference of rates, first minus second, for tasks like these.

    As :func:`clustered_wilson`: the sample is shrunk by the design effect of the differences and by
    the degrees of freedom, and :func:`tango` does the rest, so that it does not collapse where no
    pair is discordant.
    Source: Yang, Sun & Hardin (2012), Statistics in Medicine 31, for the design effect of clustered
    matched pairs; Tango (1998) for the score interval.

    Args:
        first: one outcome an episode, N of them.
        second: the other policy's on the same episodes.
        clusters: the task of each episode, at least two different ones.

    Raises:
        ValueError: lengths differ, or fewer than two clusters.
    """
    one, other, labels = _paired(first, second, clusters)
    plus, minus, sizes = _sums(labels, one * (1 - other), other * (1 - one), np.ones_like(one))
    ends = clustered_tango_ends(plus, minus, sizes, confidence)
    return _interval(float((one - other).mean()), ends, confidence, "clustered_tango")


def paired_ratio(
    both: int, only_first: int, only_second: int, pairs: int, confidence: float = 0.95
) -> Interval:
    """The score interval of a ratio of paired rates, first over second; it may reach infinity.

    Where the second never succeeded the estimate is not a number and the high end infinite.
    Source: Nam & Blackwelder (2002), Statistics in Medicine 21; Tang, Tang & Chan (2003), the same
    journal 22, for the closed form of the restricted estimate.

    Args:
        both: pairs in which both succeeded.
        only_first: pairs in which only the first succeeded.
        only_second: pairs in which only the second succeeded.
        pairs: all pairs.

    Raises:
        ValueError: the counts are negative or more than ``pairs``.
    """
    if pairs <= 0 or min(both, only_first, only_second) < 0:
        raise ValueError(f"counts must not be negative and pairs positive, got {pairs} pairs")
    if both + only_first + only_second > pairs:
        raise ValueError(f"both, only_first and only_second are more than the {pairs} pairs")
    ends = paired_ratio_ends(both, only_first, only_second, pairs, confidence)
    estimate = _ratio(both + only_first, both + only_second)
    return _interval(estimate, ends, confidence, "paired_ratio")


def clustered_ratio(
    first: Sequence[bool],
    second: Sequence[bool],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
) -> Interval:
    """The interval of a ratio of paired rates, first over second, for tasks like these.

    As :func:`clustered_tango`, with the design effect of the linearised ratio's residuals
    ``first - ratio * second`` (Cochran, 1977, section 6) and :func:`paired_ratio`'s interval.

    Raises:
        ValueError: lengths differ, or fewer than two clusters.
    """
    one, other, labels = _paired(first, second, clusters)
    both, plus, minus, sizes = _sums(
        labels, one * other, one * (1 - other), other * (1 - one), np.ones_like(one)
    )
    ends = clustered_ratio_ends(both, plus, minus, sizes, confidence)
    estimate = _ratio(float(one.sum()), float(other.sum()))
    return _interval(estimate, ends, confidence, "clustered_ratio")


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


def _interval(estimate: float, ends: Ends, confidence: float, method: str) -> Interval:
    return Interval(
        estimate=estimate, low=float(ends[0]), high=float(ends[1]), confidence=confidence,
        method=method,
    )  # fmt: skip


def _ratio(first: float, second: float) -> float:
    return first / second if second else float("nan")


def _paired(
    first: Sequence[bool], second: Sequence[bool], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(one) != len(other):
        raise ValueError(f"{len(one)} outcomes of the first, but {len(other)} of the second")
    labels = _cluster_ids(one, clusters)
    _several(labels, "a clustered interval needs at least two clusters")
    return one, other, labels


def _several(labels: NDArray[np.int64], message: str) -> None:
    if labels.max() < 1:
        raise ValueError(message)


def _sums(labels: NDArray[np.int64], *values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Of every cluster, ``float64 (G,)`` for each of ``values``."""
    return [np.asarray(np.bincount(labels, weights=one), dtype=np.float64) for one in values]


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
