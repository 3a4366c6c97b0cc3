"""Sequential tests: errors at most as stated however often one looks, and power that is of use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.evaluation.sequential import (
    STOPS,
    StoppingRule,
    difference_sequence,
    difference_sequence_ends,
    log_e_difference,
    log_e_rate,
    rate_sequence,
    rate_sequence_ends,
)
from enactive.evaluation.statistics import mcnemar_exact, tango, wilson
from enactive.seeding import numpy_generator

RUNS = 10_000
COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))


def walks(rate_plus: float, rate_minus: float, pairs: int, name: str):
    """Counts after each pair of each run: ``int (R, N)`` only second, only first."""
    draws = numpy_generator(0, "walks", name).random((RUNS, pairs), dtype=np.float32)
    plus = np.cumsum(draws < rate_plus, axis=1, dtype=np.int32)
    minus = np.cumsum(draws > 1 - rate_minus, axis=1, dtype=np.int32)
    return plus, minus


def lattice(size: int):
    """All counts of two kinds up to ``size``: two arrays ``(S + 1, S + 1)``."""
    return np.meshgrid(np.arange(size + 1), np.arange(size + 1), indexing="ij")


@pytest.mark.parametrize("discordant", [0.1, 0.4, 1.0])
def test_false_stops_of_the_comparison(discordant: float) -> None:
    """10,000 runs of 250 pairs without a difference, looked at after every pair."""
    plus, minus = walks(discordant / 2, discordant / 2, 250, f"null {discordant}")
    for significance in (0.05, 0.2):
        table = StoppingRule(significance=significance).stops(*lattice(250), 250)
        reached = table[plus, minus]
        stopped = (reached > 0).any(axis=1).mean()
        assert stopped <= significance
        if discordant == 1.0:
            assert stopped > significance / 5  # it is a test, not a refusal
            for side in (1, 2):
                assert (reached == side).any(axis=1).mean() <= significance / 2


def test_what_peeking_does_to_a_fixed_sample_test() -> None:
    plus, minus = walks(0.2, 0.2, 250, "peeking")
    p_values = np.array([[mcnemar_exact(a, b) for b in range(90)] for a in range(90)])
    inside = (plus < 90) & (minus < 90)
    looked = p_values[np.minimum(plus, 89), np.minimum(minus, 89)] <= 0.05
    assert (looked & inside).any(axis=1).mean() > 0.15


def test_heterogeneous_pairs_do_not_stop_it_more_often() -> None:
    """Each pair has its own chance of disagreement; in none is one policy better."""
    generator = numpy_generator(0, "heterogeneous")
    chances = generator.beta(0.5, 1.5, size=(RUNS, 200))
    draws = generator.random((RUNS, 200))
    plus = np.cumsum(draws < chances / 2, axis=1)
    minus = np.cumsum(draws > 1 - chances / 2, axis=1)
    table = StoppingRule().stops(*lattice(200), 200)
    assert (table[plus, minus] > 0).any(axis=1).mean() <= 0.05


def test_false_equivalence() -> None:
    """The truth is exactly the margin: "equivalent" may be declared with the stated rate only."""
    rule = StoppingRule(significance=0.1, margin=0.15)
    plus, minus = walks(0.20, 0.05, 200, "margin")
    times = np.arange(4, 201, 4)  # looked at after blocks of four, to save time
    code = (plus[:, times - 1] * 201 + minus[:, times - 1]) * 201 + times
    unique, place = np.unique(code, return_inverse=True)
    stops = rule.stops(unique // 201 // 201, unique // 201 % 201, unique % 201)
    decisions = stops[place.reshape(code.shape)]
    first = np.argmax(decisions > 0, axis=1)
    made = decisions[np.arange(RUNS), first]
    assert (decisions == 3).any(axis=1).mean() <= 0.1
    assert (made == 1).mean() > 0.5  # and a real difference of 15 points is mostly found


def test_power() -> None:
    """A clear difference stops early; equal policies that rarely disagree are found equivalent."""
    plus, minus = walks(0.35, 0.05, 200, "power")
    table = StoppingRule().stops(*lattice(200), 200)
    decisions = table[plus, minus]
    assert (decisions == 1).any(axis=1).mean() > 0.99
    when = np.argmax(decisions > 0, axis=1) + 1
    assert when.mean() < 60
    plus, minus = walks(0.02, 0.02, 200, "equal")
    found = StoppingRule(margin=0.1).stops(plus[:, -1], minus[:, -1], 200)
    assert (found == 3).mean() > 0.9


@pytest.mark.parametrize(("rate", "bound"), [(0.5, 0.5), (0.8, 0.8), (0.6, 0.8)])
def test_one_rate_against_a_bound(rate: float, bound: float) -> None:
    draws = numpy_generator(0, "rate", str(rate)).random((RUNS, 200)) < rate
    hits = np.cumsum(draws, axis=1)
    trials = np.arange(1, 201)
    grid_hits, grid_misses = lattice(200)
    table = log_e_rate(grid_hits, grid_hits + grid_misses, bound)
    evidence = table[hits, trials - hits]
    assert (evidence >= math.log(20)).any(axis=1).mean() <= 0.05
    if rate == bound:  # the e-value's mean is 1 where the null's edge is the truth
        assert np.exp(evidence[:, 49]).mean() == pytest.approx(1.0, abs=0.15)
    else:
        less = log_e_rate(hits[:, -1], 200, bound, "less")
        assert (less >= math.log(20)).mean() > 0.95


@pytest.mark.parametrize("rate", [0.03, 0.3, 0.5, 0.9])
def test_the_sequence_of_a_rate_holds_at_all_times(rate: float) -> None:
    draws = numpy_generator(0, "sequence", str(rate)).random((RUNS, 150)) < rate
    hits = np.cumsum(draws, axis=1)
    trials = np.arange(1, 151)
    grid_hits, grid_misses = lattice(150)
    low, high = rate_sequence_ends(grid_hits, np.maximum(grid_hits + grid_misses, 1), 0.9)
    held = (low <= rate) & (rate <= high)
    assert held[hits, trials - hits].all(axis=1).mean() >= 0.9


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.3, 0.1), (0.05, 0.6)])
def test_the_sequence_of_a_difference_holds_at_all_times(rates: tuple[float, float]) -> None:
    plus, minus = walks(*rates, 80, f"difference {rates}")
    times = np.arange(1, 81)
    states = np.stack([plus, minus, np.broadcast_to(times, plus.shape)], axis=-1)
    code = (states[..., 0] * 81 + states[..., 1]) * 81 + states[..., 2]
    unique, place = np.unique(code, return_inverse=True)
    truth = np.full(len(unique), rates[0] - rates[1])
    counts = (unique // 81 // 81, unique // 81 % 81, unique % 81)
    # The interval excludes the truth exactly where one of these reaches its limit.
    limit = math.log(2 / 0.1)
    outside = (log_e_difference(*counts, truth) > limit) | (
        log_e_difference(*counts, truth, "less") > limit
    )
    assert (~outside)[place.reshape(code.shape)].all(axis=1).mean() >= 0.9
    some = slice(None, None, 97)
    low, high = difference_sequence_ends(*(count[some] for count in counts), 0.9)
    held = (low <= truth[some] + 1e-9) & (truth[some] <= high + 1e-9)
    np.testing.assert_array_equal(held, ~outside[some])


@settings(max_examples=60)
@given(COUNTS)
def test_laws(counts: tuple[int, int, int]) -> None:
    plus, minus, same = counts
    pairs = plus + minus + same
    ours = difference_sequence(plus, minus, pairs)
    mirror = difference_sequence(minus, plus, pairs)
    assert (ours.low, ours.high) == pytest.approx((-mirror.high, -mirror.low), abs=1e-9)
    assert -1 <= ours.low <= ours.high <= 1
    assert log_e_difference(plus, minus, pairs) == pytest.approx(
        float(log_e_difference(plus, minus, pairs + 7)), abs=1e-9
    )  # agreement says nothing about the sign
    # With a bound of 0 it is the mixture over the share of discordant pairs that the second wins.
    expected = log_e_rate(plus, plus + minus, 0.5)
    assert log_e_difference(plus, minus, pairs) == pytest.approx(float(expected), abs=1e-6)
    decided = StoppingRule().decide(plus, minus, pairs)
    if decided is not None:
        excluded = ours.low > 0 if decided == "second" else ours.high < 0
        assert excluded and StoppingRule().p_value(plus, minus, pairs) <= 0.05
    if pairs:
        once = tango(plus, minus, pairs)
        assert ours.high - ours.low > 0.9 * (once.high - once.low)


@settings(max_examples=60)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_laws_of_the_rate(counts: tuple[int, int]) -> None:
    hits, trials = counts
    ours, once = rate_sequence(hits, trials), wilson(hits, trials)
    assert 0 <= ours.low <= hits / trials <= ours.high <= 1
    assert ours.high - ours.low > 0.9 * (once.high - once.low)
    mirror = rate_sequence(trials - hits, trials)
    assert (ours.low, ours.high) == pytest.approx((1 - mirror.high, 1 - mirror.low), abs=1e-9)


def test_before_the_first_episode_nothing_is_known() -> None:
    assert StoppingRule(margin=0.3).decide(0, 0, 0) is None
    nothing = difference_sequence(0, 0, 0)
    assert (nothing.low, nothing.high) == pytest.approx((-1.0, 1.0))
    assert (rate_sequence(0, 0).low, rate_sequence(0, 0).high) == (0.0, 1.0)
    assert STOPS[0] is None


def test_refusals() -> None:
    with pytest.raises(ValueError, match="significance"):
        StoppingRule(significance=1.0)
    with pytest.raises(ValueError, match="margin"):
        StoppingRule(margin=0.0)
    with pytest.raises(ValueError, match=r"inside \(0, 1\)"):
        log_e_rate(1, 2, 1.0)
    with pytest.raises(ValueError, match=r"inside \(-1, 1\)"):
        log_e_difference(1, 2, 4, -1.0)
    with pytest.raises(ValueError, match="only_first"):
        difference_sequence(3, 3, 5)
