"""The ends of intervals, for arrays of outcomes at once: what a simulation of coverage needs.

:mod:`enactive.evaluation.statistics` holds the same methods for one sample, with names, checks and
sources; both run this code. Letters of shapes: ``...`` any batch, G clusters. Counts may be
fractions, because a clustered sample is treated as a smaller one (:func:`effective_share`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]
Ends = tuple[Array, Array]
"""Lower and upper end, ``float64 (...)`` each."""

STEPS = 60
"""Halvings of an interval in [0, 1] that leave less than rounding."""


def normal_quantile(confidence: float) -> float:
    """Two-sided quantile of the normal distribution."""
    return float(stats.norm.ppf(0.5 + confidence / 2))


def student_quantile(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's distribution."""
    return float(stats.t.ppf(0.5 + confidence / 2, freedom))


def wilson_ends(successes: ArrayLike, trials: ArrayLike, confidence: float) -> Ends:
    """Wilson's score interval of one rate; inside [0, 1], exact at its ends."""
    trials = np.asarray(trials, dtype=np.float64)
    mean = np.asarray(successes, dtype=np.float64) / trials
    quantile = normal_quantile(confidence)
    z2 = quantile * quantile
    centre = (mean + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = mean * (1 - mean) / trials + z2 / (4 * trials * trials)
    half = quantile / (1 + z2 / trials) * np.sqrt(spread)
    # At 0 and 1 one end is exact; rounding must not leave it at 1e-17.
    low = np.where(mean == 0, 0.0, np.maximum(0.0, centre - half))
    high = np.where(mean == 1, 1.0, np.minimum(1.0, centre + half))
    return low, high


def clopper_pearson_ends(successes: ArrayLike, trials: ArrayLike, confidence: float) -> Ends:
    """Clopper and Pearson's exact interval of one rate."""
    k = np.asarray(successes, dtype=np.float64)
    n = np.asarray(trials, dtype=np.float64)
    tail = (1 - confidence) / 2
    # The shapes are kept positive where the answer is known to be 0 or 1.
    low = stats.beta.ppf(tail, np.maximum(k, 1e-9), n - k + 1)
    high = stats.beta.ppf(1 - tail, k + 1, np.maximum(n - k, 1e-9))
    return np.where(k <= 0, 0.0, low), np.where(k >= n, 1.0, high)


def tango_ends(
    only_first: ArrayLike, only_second: ArrayLike, pairs: ArrayLike, confidence: float
) -> Ends:
    """Tango's score interval of a paired difference of rates, first minus second."""
    b, c, n = np.broadcast_arrays(
        *(np.asarray(a, np.float64) for a in (only_first, only_second, pairs))
    )
    quantile = normal_quantile(confidence)
    estimate = (b - c) / n

    def score(difference: Array) -> Array:
        # The nuisance rate q of "only second" under this difference is the root of a quadratic.
        linear = -b - c + (2 * n - b + c) * difference
        constant = -c * difference * (1 - difference)
        root = np.sqrt(np.maximum(linear * linear - 8 * n * constant, 0.0))
        q = (root - linear) / (4 * n)
        variance = n * (2 * q + difference * (1 - difference))
        return _standardised(b - c - n * difference, variance)

    low = bisect(lambda d: score(d) > quantile, np.full_like(estimate, -1.0), estimate)
    high = bisect(lambda d: score(d) >= -quantile, estimate, np.full_like(estimate, 1.0))
    return low, high


def paired_ratio_ends(
    both: ArrayLike,
    only_first: ArrayLike,
    only_second: ArrayLike,
    pairs: ArrayLike,
    confidence: float,
) -> Ends:
    """The score interval of a ratio of paired rates, first over second; from 0 to infinity."""
    a, b, c, n = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (both, only_first, only_second, pairs))
    )
    quantile = normal_quantile(confidence)
    first, second, some = a + b, a + c, a + b + c

    def score(place: Array) -> Array:
        # Searched on ratio / (1 + ratio), so that infinity is a place like others.
        ratio = place / np.maximum(1 - place, 1e-300)
        # The nuisance rate q of "only second" under this ratio: n (1 + r) q^2 + m q + k = 0.
        linear = second * ratio * ratio - (first + 2 * c)
        constant = c * (1 - ratio) * some / n
        leading = n * (1 + ratio)
        root = np.sqrt(np.maximum(linear * linear - 4 * leading * constant, 0.0))
        q = (root - linear) / (2 * leading)
        variance = n * ((ratio - 1) * some / n + (1 + ratio) * q)
        return _standardised(first - ratio * second, variance)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Where nothing succeeded at all, every ratio is possible.
        estimate = np.where(some > 0, first / np.maximum(first + second, 1e-300), 0.5)
        low = bisect(lambda u: score(u) > quantile, np.zeros_like(estimate), estimate)
        high = bisect(lambda u: score(u) >= -quantile, estimate, np.ones_like(estimate))
        nothing = second <= 0
        high = np.where(nothing | (high > 1 - 1e-12), np.inf, high / (1 - high))
        low = np.where((first <= 0) | (low < 1e-12), 0.0, low / np.maximum(1 - low, 1e-300))
    return low, high


def kappa_ends(
    both: ArrayLike,
    only_first: ArrayLike,
    only_second: ArrayLike,
    neither: ArrayLike,
    confidence: float,
) -> Ends:
    """The interval of Cohen's kappa of two raters, inside [-1, 1].

    The large-sample interval after one imagined trial was added to each of the four cells.
    """
    a, b, c, d = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (both, only_first, only_second, neither))
    )
    kappa, variance = _kappa(a + 1, b + 1, c + 1, d + 1)
    half = normal_quantile(confidence) * np.sqrt(np.maximum(variance, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = _kappa(a, b, c, d)[0]
    # The imagined trials must not push the estimate itself out.
    low = np.fmin(np.maximum(kappa - half, -1.0), observed)
    return low, np.fmax(np.minimum(kappa + half, 1.0), observed)


def _kappa(a: Array, b: Array, c: Array, d: Array) -> tuple[Array, Array]:
    """Kappa and its large-sample variance (Fleiss, Cohen & Everitt, 1969, equation 13)."""
    n = a + b + c + d
    first, second = (a + b) / n, (a + c) / n
    expected = first * second + (1 - first) * (1 - second)
    kappa = ((a + d) / n - expected) / (1 - expected)
    agreeing = a * (1 - (first + second) * (1 - kappa)) ** 2
    agreeing += d * (1 - (2 - first - second) * (1 - kappa)) ** 2
    differing = b * (second + 1 - first) ** 2 + c * (1 - second + first) ** 2
    spread = (agreeing + (1 - kappa) ** 2 * differing) / n
    return kappa, (spread - (kappa - expected * (1 - kappa)) ** 2) / ((1 - expected) ** 2 * n)


def student_t_ends(values: ArrayLike, confidence: float, floor: float = 0.0) -> Ends:
    """Student's interval of a mean of N values, ``(..., N)``."""
    array = np.asarray(values, dtype=np.float64)
    count = array.shape[-1]
    deviation = np.maximum(array.std(axis=-1, ddof=1), floor)
    half = student_quantile(confidence, count - 1) * deviation / np.sqrt(count)
    mean = array.mean(axis=-1)
    return mean - half, mean + half


def cluster_robust_ends(sums: ArrayLike, sizes: ArrayLike, confidence: float) -> Ends:
    """The interval of a mean from each cluster's sum and size, ``(..., G)``: CR1, Student's t."""
    totals = np.asarray(sums, dtype=np.float64)
    counts = np.asarray(sizes, dtype=np.float64)
    groups = totals.shape[-1]
    n = counts.sum(axis=-1)
    mean = totals.sum(axis=-1) / n
    residuals = totals - counts * mean[..., None]  # (..., G)
    variance = (residuals**2).sum(axis=-1) / n**2 * groups / (groups - 1)
    half = student_quantile(confidence, groups - 1) * np.sqrt(variance)
    return mean - half, mean + half


def cluster_bootstrap_ends(
    sums: ArrayLike, sizes: ArrayLike, drawn: NDArray[np.int64], confidence: float
) -> Ends:
    """The percentile interval of a mean when clusters are drawn again.

    Args:
        sums: of each cluster, ``(..., G)``.
        sizes: of each cluster, ``(..., G)``.
        drawn: the clusters of each of R resamples, ``(R, G)``.
    """
    totals = np.asarray(sums, dtype=np.float64)
    counts = np.broadcast_to(np.asarray(sizes, dtype=np.float64), totals.shape)
    times = np.zeros(drawn.shape)  # (R, G): how often each cluster was drawn
    np.add.at(times, (np.arange(len(drawn))[:, None], drawn), 1.0)
    means = (totals @ times.T) / (counts @ times.T)  # (..., R)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=-1)
    return low, high


def effective_share(residual_sums: ArrayLike, squares: ArrayLike, confidence: float) -> Array:
    """How many independent episodes a clustered one is worth, in (0, 1].

    The design effect is the CR1 variance of a mean over the variance that independent episodes
    would have; Student's t on G - 1 degrees of freedom takes a second share away, because the
    design effect is itself estimated from G clusters. An effect that seems to be below 1 by more
    than that is taken for chance: clustered episodes never count for more than they are.

    Args:
        residual_sums: of each cluster, ``(..., G)``.
        squares: sum of all squared residuals, ``(...)``; 0 where the episodes do not vary at all,
            which leaves only the second share.
    """
    sums = np.asarray(residual_sums, dtype=np.float64)
    total = np.asarray(squares, dtype=np.float64)
    groups = sums.shape[-1]
    tail = (normal_quantile(confidence) / student_quantile(confidence, groups - 1)) ** 2
    varies = total > 1e-12
    between = (sums**2).sum(axis=-1) * groups / (groups - 1)
    effect = np.where(varies, between / np.where(varies, total, 1.0), 1.0)
    return np.minimum(1.0, tail / np.maximum(effect, 1e-12))


def clustered_wilson_ends(successes: ArrayLike, sizes: ArrayLike, confidence: float) -> Ends:
    """Wilson's interval from each cluster's successes and episodes, ``(..., G)``."""
    k = np.asarray(successes, dtype=np.float64)
    m = np.broadcast_to(np.asarray(sizes, dtype=np.float64), k.shape)
    n = m.sum(axis=-1)
    mean = k.sum(axis=-1) / n
    share = effective_share(k - m * mean[..., None], n * mean * (1 - mean), confidence)
    return wilson_ends(k.sum(axis=-1) * share, n * share, confidence)


def clustered_tango_ends(
    only_first: ArrayLike, only_second: ArrayLike, sizes: ArrayLike, confidence: float
) -> Ends:
    """Tango's interval from each cluster's discordant pairs and pairs, ``(..., G)``."""
    b = np.asarray(only_first, dtype=np.float64)
    c = np.asarray(only_second, dtype=np.float64)
    m = np.broadcast_to(np.asarray(sizes, dtype=np.float64), b.shape)
    n, plus, minus = m.sum(axis=-1), b.sum(axis=-1), c.sum(axis=-1)
    mean = (plus - minus) / n
    share = effective_share(b - c - m * mean[..., None], plus + minus - n * mean**2, confidence)
    return tango_ends(plus * share, minus * share, n * share, confidence)


def clustered_ratio_ends(
    both: ArrayLike,
    only_first: ArrayLike,
    only_second: ArrayLike,
    sizes: ArrayLike,
    confidence: float,
) -> Ends:
    """The ratio's interval from each cluster's table, ``(..., G)``."""
    a, b, c = (np.asarray(x, dtype=np.float64) for x in (both, only_first, only_second))
    n = np.broadcast_to(np.asarray(sizes, dtype=np.float64), a.shape).sum(axis=-1)
    joint, plus, minus = a.sum(axis=-1), b.sum(axis=-1), c.sum(axis=-1)
    second = joint + minus
    ratio = (joint + plus) / np.maximum(second, 1e-300) * (second > 0)
    # Residuals of the linearised ratio, first - ratio * second, which sum to zero.
    sums = (a + b) - ratio[..., None] * (a + c)
    squares = joint * (1 - ratio) ** 2 + plus + minus * ratio**2
    share = effective_share(sums, squares, confidence)
    return paired_ratio_ends(joint * share, plus * share, minus * share, n * share, confidence)


def _standardised(distance: Array, variance: Array) -> Array:
    """``distance`` in standard deviations; infinitely many where there is no variance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = distance / np.sqrt(np.maximum(variance, 0.0))
    sure = np.where(np.abs(distance) < 1e-12, 0.0, np.copysign(np.inf, distance))
    return np.where(variance > 1e-14, value, sure)


def bisect(left_of: Callable[[Array], NDArray[np.bool_]], low: Array, high: Array) -> Array:
    """Where ``left_of`` turns from true to false between ``low`` and ``high``."""
    low, high = low.copy(), high.copy()
    for _ in range(STEPS):
        middle = (low + high) / 2
        left = left_of(middle)
        low = np.where(left, middle, low)
        high = np.where(left, high, middle)
    return (low + high) / 2
