"""Statistics of a dataset, computed in one pass, in any order, and mergeable.

Vectors get exact count, minimum, maximum, mean and (population) standard deviation by the pairwise
update of Chan, Golub & LeVeque 1979, and quantiles from a sketch that is exact up to 8,192 rows.
Pictures get everything exactly, from one histogram of 256 bins per channel.

LeRobot 0.4.4 (``datasets/compute_stats.py``) defines count, min, max, mean and std of vectors the
same way. It differs in two places, on purpose here: it averages the quantiles of episodes, which is
no quantile of the whole, and it squares ``uint8`` pixels without widening them, so that the
standard deviation of pictures it stores is too small. Which pictures are looked at is its rule,
so that means, minima and maxima of pictures agree: see :func:`sampled_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)
Summary = dict[str, NDArray[Any]]
_SKETCH = 4096


class QuantileSketch:
    """Quantiles of D streams in bounded memory (Manku, Rajagopalan & Lindsay 1998).

    Rows are kept in levels; a row of level ``l`` stands for ``2**l`` rows. A full level is sorted
    per entry and every other value moves up. Exact while there are at most ``2 * size`` rows, after
    that the rank error is below ``log2(N / size) / (2 * size)``: 0.2 % at 10^8 rows.
    """

    def __init__(self, dimensions: int, size: int = _SKETCH) -> None:
        self.size = size
        self.levels: list[NDArray[np.float64]] = [np.empty((0, dimensions))]
        self._odd: list[bool] = [False]

    def update(self, rows: NDArray[np.float64]) -> None:
        """Add rows ``(N, D)``."""
        for start in range(0, len(rows), self.size):
            self.levels[0] = np.concatenate([self.levels[0], rows[start : start + self.size]])
            self._compress()

    def merge(self, other: QuantileSketch) -> None:
        """Add everything that ``other`` has seen."""
        for level, values in enumerate(other.levels):
            self._at(level)
            self.levels[level] = np.concatenate([self.levels[level], values])
            self._compress()

    def _at(self, level: int) -> None:
        while len(self.levels) <= level:
            self.levels.append(np.empty((0, self.levels[0].shape[1])))
            self._odd.append(False)

    def _compress(self) -> None:
        level = 0
        while level < len(self.levels):
            values = self.levels[level]
            if len(values) > 2 * self.size:
                self._at(level + 1)
                even = len(values) // 2 * 2
                ordered = np.sort(values[:even], axis=0)
                kept = ordered[int(self._odd[level]) :: 2]
                # Alternating which half survives keeps the errors from adding up.
                self._odd[level] = not self._odd[level]
                self.levels[level + 1] = np.concatenate([self.levels[level + 1], kept])
                self.levels[level] = values[even:]
            level += 1

    def quantiles(self, fractions: list[float]) -> NDArray[np.float64]:
        """``(len(fractions), D)``, interpolated linearly as ``numpy.quantile`` does."""
        values = np.concatenate(self.levels)
        weights = np.concatenate(
            [np.full(len(rows), 2**level, np.int64) for level, rows in enumerate(self.levels)]
        )
        out = np.empty((len(fractions), values.shape[1]))
        for entry in range(values.shape[1]):
            order = np.argsort(values[:, entry], kind="stable")
            out[:, entry] = weighted_quantiles(values[order, entry], weights[order], fractions)
        return out


def weighted_quantiles(
    values: NDArray[Any], weights: NDArray[np.int64], fractions: list[float]
) -> NDArray[np.float64]:
    """Quantiles of sorted ``values`` (N,), each repeated ``weights`` (N,) times."""
    ends = np.cumsum(weights)
    ranks = np.asarray(fractions) * (ends[-1] - 1)
    low = values[np.searchsorted(ends, np.floor(ranks), side="right")].astype(np.float64)
    high = values[np.searchsorted(ends, np.ceil(ranks), side="right")].astype(np.float64)
    return low + (high - low) * (ranks - np.floor(ranks))


class VectorStatistics:
    """Statistics of vectors ``(D,)`` seen in batches."""

    def __init__(self, dimensions: int) -> None:
        self.count = 0
        self.mean = np.zeros(dimensions)
        self.squares = np.zeros(dimensions)
        """Sum of squared deviations from the mean."""
        self.low = np.full(dimensions, np.inf)
        self.high = np.full(dimensions, -np.inf)
        self.sketch = QuantileSketch(dimensions)

    def update(self, rows: NDArray[Any]) -> None:
        """Add rows ``(N, D)`` (or ``(N,)`` where D is 1).

        Raises:
            ValueError: some value is not finite, or D is another than before.
        """
        batch = np.asarray(rows, np.float64)
        if not len(batch):
            return
        batch = batch.reshape(len(batch), -1)
        if batch.shape[1] != len(self.mean):
            raise ValueError(f"vectors have {batch.shape[1]} entries, earlier {len(self.mean)}")
        if not np.isfinite(batch).all():
            row, entry = np.argwhere(~np.isfinite(batch))[0]
            raise ValueError(f"row {row}, entry {entry} is {batch[row, entry]}, not a number")
        mean = batch.mean(axis=0)
        squares = ((batch - mean) ** 2).sum(axis=0)
        self._add(len(batch), mean, squares, batch.min(axis=0), batch.max(axis=0))
        self.sketch.update(batch)

    def merge(self, other: VectorStatistics) -> None:
        """Add everything that ``other`` has seen."""
        if other.count:
            self._add(other.count, other.mean, other.squares, other.low, other.high)
            self.sketch.merge(other.sketch)

    def _add(self, count: int, mean: Any, squares: Any, low: Any, high: Any) -> None:
        total = self.count + count
        shift = mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.squares = self.squares + squares + shift**2 * (self.count * count / total)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.count = total

    def summary(self) -> Summary:
        """Statistic name to ``float64 (D,)``; ``count`` is ``int64 (1,)``."""
        quantiles = self.sketch.quantiles(list(QUANTILES.values()))
        return {
            "min": self.low,
            "max": self.high,
            "mean": self.mean,
            "std": np.sqrt(self.squares / self.count),
            "count": np.array([self.count]),
            **dict(zip(QUANTILES, quantiles, strict=True)),
        }


class ImageStatistics:
    """Statistics of ``uint8`` RGB pictures per channel, in [0, 1]."""

    def __init__(self) -> None:
        self.images = 0
        self.histogram = np.zeros((3, 256), np.int64)

    def update(self, images: NDArray[np.uint8]) -> None:
        """Add pictures ``uint8 (N, H, W, 3)``."""
        self.images += len(images)
        for channel in range(3):
            values = np.ascontiguousarray(images[..., channel]).reshape(-1)
            self.histogram[channel] += np.bincount(values, minlength=256)

    def merge(self, other: ImageStatistics) -> None:
        """Add everything that ``other`` has seen."""
        self.images += other.images
        self.histogram += other.histogram

    def summary(self) -> Summary:
        """Statistic name to ``float64 (3, 1, 1)``; ``count`` counts pictures, ``(1,)``."""
        values = np.arange(256) / 255.0
        pixels = self.histogram.sum(axis=1)  # (3,)
        mean = self.histogram @ values / pixels
        deviations = (values[None, :] - mean[:, None]) ** 2
        found: dict[str, NDArray[Any]] = {
            "min": np.array([values[np.nonzero(row)[0][0]] for row in self.histogram]),
            "max": np.array([values[np.nonzero(row)[0][-1]] for row in self.histogram]),
            "mean": mean,
            "std": np.sqrt((self.histogram * deviations).sum(axis=1) / pixels),
        }
        rows = [weighted_quantiles(values, row, list(QUANTILES.values())) for row in self.histogram]
        found |= dict(zip(QUANTILES, np.stack(rows, axis=1), strict=True))
        return {name: row.reshape(3, 1, 1) for name, row in found.items()} | {
            "count": np.array([self.images])
        }


def sampled_rows(length: int) -> NDArray[np.int64]:
    """Which of an episode's T pictures count for statistics: all up to 100, then about T^0.75.

    LeRobot's rule (``compute_stats.sample_indices``), kept so that the numbers agree.
    """
    count = max(min(length, 100), min(int(length**0.75), 10_000))
    return np.round(np.linspace(0, length - 1, count)).astype(np.int64)


def thinned(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every k-th pixel of pictures of 300 pixels and more, by LeRobot's rule."""
    height, width = images.shape[1:3]
    if max(height, width) < 300:
        return images
    step = int(width / 150) if width > height else int(height / 150)
    return images[:, ::step, ::step]


def merge_summaries(first: Mapping[str, Any], second: Mapping[str, Any]) -> Summary:
    """Statistics of two sets together from their summaries alone.

    Exact for count, min, max, mean and std. Quantiles cannot be had from quantiles; their average
    weighted by count stands in, as in LeRobot.
    """
    a, b = float(first["count"][0]), float(second["count"][0])
    mean = (first["mean"] * a + second["mean"] * b) / (a + b)
    variance = sum(
        weight * (part["std"] ** 2 + (part["mean"] - mean) ** 2)
        for weight, part in ((a, first), (b, second))
    ) / (a + b)
    merged = {
        "min": np.minimum(first["min"], second["min"]),
        "max": np.maximum(first["max"], second["max"]),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(a + b)]),
    }
    for name in QUANTILES:
        if name in first and name in second:
            merged[name] = (first[name] * a + second[name] * b) / (a + b)
    return merged


def to_json(stats: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, dict[str, Any]]:
    """Statistics as ``meta/stats.json`` holds them."""
    return {
        key: {name: np.asarray(value).tolist() for name, value in entry.items()}
        for key, entry in stats.items()
    }
