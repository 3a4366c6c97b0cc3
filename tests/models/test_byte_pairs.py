"""Byte-pair encoding: whole batches give the same ids as the library, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.models.tokenizers.byte_pairs import BytePairs, Integers, learn


def rows_of(seed: int, symbols: int, count: int, length: int, zeros: float) -> Integers:
    """Rows with runs, repeated motifs and noise, all in [0, symbols)."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, symbols, (count, length))
    motif = np.resize(generator.integers(0, symbols, generator.integers(1, 7)), length)
    rows = np.where(generator.random((count, length)) < 0.5, motif, noise)
    return np.where(
        generator.random((count, 1)) * 2 * zeros > generator.random(rows.shape), 0, rows
    )


def assert_same(pairs: BytePairs, rows: Integers) -> None:
    expected, lengths = pairs.encode_singly(rows)
    for encode in (pairs.encode_together, pairs.encode):
        found, counted = encode(rows)
        np.testing.assert_array_equal(counted, lengths)
        np.testing.assert_array_equal(found, expected)


cases = given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(0, 120),
    st.integers(1, 40),
    st.floats(0, 1),
)


@settings(deadline=None, max_examples=300)
@cases
def test_batches_are_encoded_as_the_library_encodes_rows(
    seed: int, symbols: int, extra: int, length: int, zeros: float
) -> None:
    train = rows_of(seed, symbols, 20, length, zeros)
    pairs = BytePairs(symbols, learn(train, symbols, symbols + extra))
    assert pairs.count <= symbols + extra
    assert_same(pairs, train)
    assert_same(pairs, rows_of(seed + 1, symbols, 30, length, zeros))


@settings(deadline=None, max_examples=300)
@given(st.data(), st.integers(1, 4))
def test_any_list_of_merges_is_applied_in_its_order(data: st.DataObject, symbols: int) -> None:
    """Also such as no training would give: what forestalls what is then anything."""
    merges: list[tuple[int, int]] = []
    count = symbols
    for _ in range(data.draw(st.integers(0, 12))):
        left, right = (data.draw(st.integers(0, count - 1)) for _ in range(2))
        before = BytePairs(symbols, merges).count
        if (left, right) not in merges:
            merges.append((left, right))
        count = BytePairs(symbols, merges).count
        assert count - before in (0, 1)
    rows = np.random.default_rng(len(merges)).integers(0, symbols, (40, 24))
    assert_same(BytePairs(symbols, merges), rows)


@settings(deadline=None)
@cases
def test_decoding_gives_the_rows_back(
    seed: int, symbols: int, extra: int, length: int, zeros: float
) -> None:
    rows = rows_of(seed, symbols, 20, length, zeros)
    pairs = BytePairs(symbols, learn(rows, symbols, symbols + extra))
    ids, lengths = pairs.encode(rows)
    found, sizes = pairs.decode(ids)
    np.testing.assert_array_equal(found.reshape(rows.shape), rows)
    by_row = np.add.reduceat(sizes, np.cumsum(lengths) - lengths)
    assert (by_row == length).all() and (lengths <= length).all()


@pytest.mark.parametrize("zeros", [0.0, 0.9])
def test_large_batches_take_the_quick_way_to_the_same_ids(zeros: float) -> None:
    rows = rows_of(3, 40, 200, 64, zeros)
    pairs = BytePairs(40, learn(rows, 40, 500))
    assert_same(pairs, rows)
    assert len(pairs.encode(rows)[0]) < 0.7 * rows.size


def test_no_rows_and_no_merges() -> None:
    pairs = BytePairs(5, [])
    ids, lengths = pairs.encode(np.zeros((0, 7), dtype=np.int64))
    assert len(ids) == 0 and len(lengths) == 0
    rows = rows_of(0, 5, 400, 20, 0.5)
    assert_same(pairs, rows)
    np.testing.assert_array_equal(pairs.encode(rows)[0].reshape(rows.shape), rows)


def test_the_most_frequent_pair_is_merged_first() -> None:
    rows = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 1]])
    assert learn(rows, 3, 5) == [(0, 1), (3, 2)]
    assert learn(rows, 3, 3) == []
    # A pair that occurs once is not worth an id.
    assert learn(np.array([[0, 1, 2]]), 3, 10) == []
