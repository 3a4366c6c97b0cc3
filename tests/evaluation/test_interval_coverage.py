"""Every interval covers the truth as often as it says, where it promises to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from enactive.evaluation import interval_ends as ends
from enactive.evaluation import statistics
from enactive.evaluation.coverage import Coverage, coverage_table, inside, task_rates

ROWS = tuple(coverage_table(simulations=4000, seed=1))
TABLES = st.tuples(*[st.integers(0, 25)] * 4).filter(lambda counts: sum(counts) > 0)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method}: {row.design}")
def test_promised_coverage(row: Coverage) -> None:
    assert row.kept(0.95), row


def test_every_interval_is_simulated() -> None:
    known = {name.removesuffix("_ends") for name in dir(ends) if name.endswith("_ends")}
    assert {row.method for row in ROWS} == known


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_other_levels(confidence: float) -> None:
    for row in coverage_table(simulations=1500, seed=2, confidence=confidence):
        tolerance = 0.025 if row.simulations or row.design.startswith("10 trials") else 0.02
        assert row.kept(confidence, tolerance), row


def test_what_the_clustered_interval_is_for() -> None:
    """Five tasks that stand for many: the plain interval and the bootstrap fail there."""
    generator = np.random.default_rng(0)
    rates = task_rates(generator, 0.6, 0.2, (3000, 5))
    drawn = generator.binomial(30, rates)
    plain = inside(ends.wilson_ends(drawn.sum(axis=1), 150, 0.95), 0.6).mean()
    resampled = generator.integers(0, 5, size=(500, 5))
    bootstrap = inside(ends.cluster_bootstrap_ends(drawn, 30, resampled, 0.95), 0.6).mean()
    clustered = inside(ends.clustered_wilson_ends(drawn, 30, 0.95), 0.6).mean()
    assert plain < 0.7
    assert bootstrap < 0.9
    assert clustered > 0.94


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=3))
def test_one_sample_gives_what_arrays_give(rows: list[tuple[bool, bool, int]]) -> None:
    rows = [*rows, (True, False, 0), (False, True, 1)]
    first, second, tasks = ([row[place] for row in rows] for place in range(3))
    names = list(dict.fromkeys(tasks))
    tables = np.array(
        [
            [
                sum(f and s for f, s, t in rows if t == name),
                sum(f and not s for f, s, t in rows if t == name),
                sum(s and not f for f, s, t in rows if t == name),
                tasks.count(name),
            ]
            for name in names
        ]
    )  # (G, 4)
    both, plus, minus, sizes = tables.T
    pairs = (
        (
            statistics.clustered_wilson(first, tasks),
            ends.clustered_wilson_ends(both + plus, sizes, 0.95),
        ),
        (
            statistics.clustered_tango(first, second, tasks),
            ends.clustered_tango_ends(plus, minus, sizes, 0.95),
        ),
        (
            statistics.clustered_ratio(first, second, tasks),
            ends.clustered_ratio_ends(both, plus, minus, sizes, 0.95),
        ),
    )
    for ours, (low, high) in pairs:
        assert (ours.low, ours.high) == pytest.approx((float(low), float(high)), nan_ok=True)
        assert ours.low <= ours.estimate <= ours.high


@settings(max_examples=40)
@given(TABLES)
def test_laws_of_the_ratio(counts: tuple[int, int, int, int]) -> None:
    both, plus, minus, _neither = counts
    pairs = sum(counts)
    ours = statistics.paired_ratio(both, plus, minus, pairs)
    mirror = statistics.paired_ratio(both, minus, plus, pairs)
    assert 0 <= ours.low <= ours.high
    if both + minus:
        assert ours.contains(ours.estimate)
    else:
        assert math.isnan(ours.estimate) and ours.high == math.inf
    # A ratio and its inverse say the same.
    assert 1 / max(mirror.high, 1e-12) == pytest.approx(ours.low, abs=1e-6)
    # It contains 1 exactly where the score interval of the difference contains 0.
    difference = statistics.tango(plus, minus, pairs)
    if min(abs(difference.low), abs(difference.high)) > 1e-6:
        assert (ours.low <= 1 <= ours.high) == (difference.low <= 0 <= difference.high)


@pytest.mark.parametrize("table", [(20, 3, 9, 18), (5, 8, 12, 25), (30, 1, 4, 5)])
def test_ends_of_the_ratio_solve_the_score_equation(table: tuple[int, int, int, int]) -> None:
    """With the nuisance rates found by numerical maximum likelihood, not by the closed form."""
    both, plus, minus, _neither = table
    pairs = sum(table)
    interval = statistics.paired_ratio(both, plus, minus, pairs)
    some = (both + plus + minus) / pairs
    for ratio in (interval.low, interval.high):

        def cells(q: float, ratio: float = ratio) -> np.ndarray:
            joint = (some - (1 + ratio) * q) / ratio
            return np.array([joint, some - joint - q, q])

        def loss(q: float, cells=cells) -> float:
            return -float(np.array([both, plus, minus]) @ np.log(np.maximum(cells(q), 1e-300)))

        low = max(0.0, some * (1 - ratio))  # where the second cell is 0
        bounds = (low + 1e-9, some / (1 + ratio) - 1e-9)
        q = optimize.minimize_scalar(
            loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}
        )
        joint, first, second = cells(q.x)
        variance = pairs * (joint * (1 - ratio) ** 2 + first + ratio**2 * second)
        distance = both + plus - ratio * (both + minus)
        assert abs(distance) / math.sqrt(variance) == pytest.approx(1.95996, abs=2e-3)


def test_nothing_to_divide_by() -> None:
    nothing = statistics.paired_ratio(0, 0, 0, 10)
    assert (nothing.low, nothing.high) == (0.0, math.inf)
    lost = statistics.paired_ratio(0, 0, 10, 10)
    assert lost.low == 0.0 and lost.estimate == 0.0 and 0.0 < lost.high < 0.5
    kept = statistics.paired_ratio(10, 0, 0, 10)
    assert kept.low < 1.0 < kept.high


def test_refusals() -> None:
    with pytest.raises(ValueError, match="more than the 5 pairs"):
        statistics.paired_ratio(3, 2, 1, 5)
    with pytest.raises(ValueError, match="two clusters"):
        statistics.clustered_tango([True], [True], ["a"])
    with pytest.raises(ValueError, match="2 outcomes of the first, but 1"):
        statistics.clustered_ratio([True, True], [True], ["a", "b"])
