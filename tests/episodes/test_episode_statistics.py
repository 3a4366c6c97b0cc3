"""Statistics: one pass equals two passes, parts equal the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.episodes.statistics import (
    QUANTILES,
    ImageStatistics,
    QuantileSketch,
    VectorStatistics,
    merge_summaries,
    sampled_rows,
    thinned,
)


def rows_of(seed: int, count: int, dimensions: int, scale: float, offset: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(offset, scale, (count, dimensions)).astype(np.float32)


parts = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 0)


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=parts,
    dimensions=st.integers(1, 4),
    scale=st.sampled_from([1e-6, 1.0, 1e5]),
    offset=st.sampled_from([0.0, -3.0, 1e4]),
)
@settings(max_examples=60, deadline=None)
def test_batches_and_merges_equal_the_whole(
    seed: int, sizes: list[int], dimensions: int, scale: float, offset: float
) -> None:
    rows = rows_of(seed, sum(sizes), dimensions, scale, offset)
    batches = np.split(rows, np.cumsum(sizes)[:-1])
    streamed, merged = VectorStatistics(dimensions), VectorStatistics(dimensions)
    for batch in batches:
        streamed.update(batch)
        part = VectorStatistics(dimensions)
        part.update(batch)
        merged.merge(part)
    exact = rows.astype(np.float64)
    tolerance = 1e-9 * (abs(offset) + scale)
    for found in (streamed.summary(), merged.summary()):
        np.testing.assert_allclose(found["mean"], exact.mean(0), rtol=0, atol=tolerance)
        np.testing.assert_allclose(found["std"], exact.std(0), rtol=1e-6, atol=tolerance)
        np.testing.assert_array_equal(found["min"], exact.min(0))
        np.testing.assert_array_equal(found["max"], exact.max(0))
        assert found["count"].tolist() == [len(rows)]
        for name, fraction in QUANTILES.items():
            expected = np.quantile(exact, fraction, axis=0)
            np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=tolerance)


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 30), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_summaries_merge_in_any_order(seed: int, sizes: list[int]) -> None:
    summaries = []
    rows = rows_of(seed, sum(sizes), 2, 1.0, 5.0)
    for batch in np.split(rows, np.cumsum(sizes)[:-1]):
        part = VectorStatistics(2)
        part.update(batch)
        summaries.append(part.summary())
    forwards, backwards = summaries[0], summaries[-1]
    for one, other in zip(summaries[1:], summaries[-2::-1], strict=True):
        forwards = merge_summaries(forwards, one)
        backwards = merge_summaries(backwards, other)
    for name in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(forwards[name], backwards[name], rtol=1e-9)
    np.testing.assert_allclose(forwards["std"], rows.astype(np.float64).std(0), rtol=1e-9)
    np.testing.assert_allclose(forwards["mean"], rows.astype(np.float64).mean(0), rtol=1e-9)


def test_a_large_mean_does_not_swallow_the_deviation() -> None:
    rows = 1e9 + np.tile([[0.0], [1.0]], (500, 1))
    seen = VectorStatistics(1)
    for batch in np.split(rows, 20):
        seen.update(batch)
    assert seen.summary()["std"][0] == pytest.approx(0.5, abs=1e-6)


def test_quantiles_stay_within_their_bound_beyond_the_exact_size() -> None:
    random = np.random.default_rng(3)
    rows = np.stack([random.normal(size=60_000), np.arange(60_000.0)], axis=1)
    whole, merged = QuantileSketch(2, size=256), QuantileSketch(2, size=256)
    for batch in np.split(rows, 12):
        whole.update(batch)
        part = QuantileSketch(2, size=256)
        part.update(batch)
        merged.merge(part)
    bound = np.log2(60_000 / 256) / 512
    fractions = list(QUANTILES.values())
    for sketch in (whole, merged):
        assert sum(len(level) for level in sketch.levels) <= 512 * len(sketch.levels)
        weight = sum(len(level) << n for n, level in enumerate(sketch.levels))
        assert abs(weight - 60_000) <= 2 ** len(sketch.levels)
        found = sketch.quantiles(fractions)
        for column in range(2):
            ordered = np.sort(rows[:, column])
            ranks = np.searchsorted(ordered, found[:, column]) / 60_000
            assert np.abs(ranks - fractions).max() < bound


def test_values_that_are_no_numbers_are_named() -> None:
    seen = VectorStatistics(2)
    with pytest.raises(ValueError, match="row 1, entry 0 is nan"):
        seen.update(np.array([[0.0, 1.0], [np.nan, 1.0]]))
    with pytest.raises(ValueError, match="3 entries, earlier 2"):
        seen.update(np.zeros((1, 3)))


def test_pictures_equal_numpy_per_channel() -> None:
    images = np.random.default_rng(0).integers(3, 250, (9, 5, 7, 3), dtype=np.uint8)
    one, other = ImageStatistics(), ImageStatistics()
    one.update(images[:4])
    other.update(images[4:])
    one.merge(other)
    found, pixels = one.summary(), images.reshape(-1, 3) / 255.0
    assert all(found[name].shape == (3, 1, 1) for name in found if name != "count")
    assert found["count"].tolist() == [9]
    for name, expected in {
        "min": pixels.min(0),
        "max": pixels.max(0),
        "mean": pixels.mean(0),
        "std": pixels.std(0),
        **{name: np.quantile(pixels, q, axis=0) for name, q in QUANTILES.items()},
    }.items():
        np.testing.assert_allclose(found[name].reshape(3), expected, atol=1e-12, err_msg=name)


def test_which_pictures_count_follows_lerobots_rule() -> None:
    assert sampled_rows(1).tolist() == [0]
    assert sampled_rows(100).tolist() == list(range(100))
    many = sampled_rows(5000)
    assert len(many) == 594 and many[0] == 0 and many[-1] == 4999
    assert thinned(np.zeros((1, 96, 96, 3), np.uint8)).shape == (1, 96, 96, 3)
    assert thinned(np.zeros((1, 480, 640, 3), np.uint8)).shape == (1, 120, 160, 3)
