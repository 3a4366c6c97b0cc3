"""Modes of chunks: the dip against its definition, and cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from enactive.evaluation.multimodality import critical_dip, dip, modes


def dip_by_definition(values: list[float]) -> float:
    """The distance to the nearest unimodal distribution, as a linear programme per mode."""
    points, counts = np.unique(values, return_counts=True)
    high = np.cumsum(counts) / counts.sum()
    low = high - counts / counts.sum()
    n, best = len(points), 1.0
    for mode in range(n):
        left, total = mode + 1, n + 2  # values up to the mode, values from it on, the distance
        rows: list[tuple[dict[int, float], float]] = []

        def at(i: int, begin: int = left, first: int = mode) -> int:
            return begin + i - first

        for i in range(left):
            rows += [({i: 1, total - 1: -1}, low[i]), ({i: -1, total - 1: -1}, -low[i])]
            if i < mode:
                rows.append(({i: -1, total - 1: -1}, -high[i]))
                rows.append(({i: 1, i + 1: -1}, 0))
        for i in range(mode, n):
            rows += [({at(i): 1, total - 1: -1}, high[i]), ({at(i): -1, total - 1: -1}, -high[i])]
            if i > mode:
                rows.append(({at(i): 1, total - 1: -1}, low[i]))
            if i < n - 1:
                rows.append(({at(i): 1, at(i + 1): -1}, 0))
        rows.append(({mode: 1, left: -1}, 0))
        for i in range(1, n - 1):
            before, after = 1 / (points[i] - points[i - 1]), 1 / (points[i + 1] - points[i])
            if i < mode:
                rows.append(({i: before + after, i - 1: -before, i + 1: -after}, 0))
            if i > mode:
                rows.append(({at(i): -before - after, at(i - 1): before, at(i + 1): after}, 0))
        matrix = np.zeros((len(rows), total))
        for row, (entries, _) in enumerate(rows):
            for column, value in entries.items():
                matrix[row, column] += value
        cost = np.zeros(total)
        cost[-1] = 1
        solved = linprog(cost, A_ub=matrix, b_ub=[bound for _, bound in rows], bounds=(0, 1))
        best = min(best, solved.fun if solved.success else 1.0)
    return best


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=9))
def test_the_dip_is_its_definition(values: list[int]) -> None:
    numbers = np.array([float(value) for value in values])
    assert dip(numbers) == pytest.approx(dip_by_definition(numbers.tolist()), abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 40), st.floats(0.1, 100), st.floats(-1e3, 1e3))
def test_the_dip_does_not_depend_on_units(seed: int, count: int, scale: float, by: float) -> None:
    values = np.random.default_rng(seed).normal(size=count)
    assert dip(scale * values + by) == pytest.approx(dip(values), abs=1e-9)
    assert dip(-values) == pytest.approx(dip(values), abs=1e-9)
    assert 1 / (2 * count) - 1e-9 <= dip(values) <= 0.25


def test_even_numbers_exceed_the_critical_dip_in_about_one_of_twenty() -> None:
    generator = np.random.default_rng(0)
    for count in (16, 32):
        drawn = [dip(generator.random(count)) for _ in range(300)]
        assert 0.01 < np.mean(np.array(drawn) > critical_dip(count)) < 0.1


def test_modes_of_known_sets() -> None:
    generator = np.random.default_rng(1)
    one = generator.normal(0, 1, (40, 8, 2))
    sides = np.where(np.arange(40) < 12, -5.0, 5.0)[:, None, None]
    assert not modes(one).several
    two = modes(one + sides)
    assert two.several
    assert two.minority == pytest.approx(0.3)
    assert two.between == pytest.approx(10, rel=0.1)
    assert two.separation > 10
    same = modes(np.ones((5, 3, 2)))
    assert (same.several, same.between, same.separation) == (False, 0.0, 0.0)
    rounding = modes(1.0 + 1e-6 * np.arange(6)[:, None, None] * np.ones((6, 3, 2)))
    assert not rounding.several
    with pytest.raises(ValueError, match="at least 4"):
        modes(one[:3])
