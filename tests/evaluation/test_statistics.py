"""Intervals against reference values, against simulation, and against their own laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from enactive.evaluation import power, statistics

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_one_rate_agrees_with_scipy(count: tuple[int, int], confidence: float) -> None:
    successes, trials = count
    reference = stats.binomtest(successes, trials)
    for method, name in ((statistics.wilson, "wilson"), (statistics.clopper_pearson, "exact")):
        ours = method(successes, trials, confidence)
        theirs = reference.proportion_ci(confidence, method=name)
        assert ours.low == pytest.approx(theirs.low, abs=1e-9)
        assert ours.high == pytest.approx(theirs.high, abs=1e-9)
        assert ours.contains(ours.estimate)


def test_ends_are_exact_at_the_extremes() -> None:
    assert statistics.wilson(20, 20).high == 1.0
    assert statistics.wilson(0, 20).low == 0.0
    assert statistics.wilson(20, 20).low == pytest.approx(0.8389, abs=1e-4)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_coverage_of_one_rate(rate: float) -> None:
    """Coverage computed exactly by summing over outcomes, not simulated."""
    trials = 40
    mass = stats.binom.pmf(np.arange(trials + 1), trials, rate)
    wilson = sum(m for k, m in enumerate(mass) if statistics.wilson(k, trials).contains(rate))
    exact = sum(
        m for k, m in enumerate(mass) if statistics.clopper_pearson(k, trials).contains(rate)
    )
    assert wilson > 0.92
    assert exact >= 0.95


def _clustered(generator: np.random.Generator, tasks: int, episodes: int):
    rates = generator.beta(4.0, 2.0, size=tasks)  # mean 2/3, very different tasks
    outcomes = generator.random((tasks, episodes)) < rates[:, None]
    labels = np.repeat(np.arange(tasks), episodes)
    return outcomes.reshape(-1).tolist(), labels.tolist()


@pytest.mark.parametrize("tasks", [5, 20])
def test_clustered_coverage_where_the_plain_interval_fails(tasks: int) -> None:
    generator = np.random.default_rng(7)
    hits = {"plain": 0, "clustered": 0, "robust": 0}
    runs = 400
    for _ in range(runs):
        outcomes, labels = _clustered(generator, tasks, 40)
        hits["plain"] += statistics.wilson(sum(outcomes), len(outcomes)).contains(2 / 3)
        hits["clustered"] += statistics.clustered_wilson(outcomes, labels).contains(2 / 3)
        hits["robust"] += statistics.cluster_robust(outcomes, labels).contains(2 / 3)
    assert hits["plain"] / runs < 0.75
    assert 0.92 <= hits["clustered"] / runs <= 0.995
    assert hits["robust"] / runs > 0.88


def test_clustered_does_not_collapse_when_everything_succeeds() -> None:
    labels = [task for task in "abcde" for _ in range(20)]
    interval = statistics.clustered_wilson([True] * 100, labels)
    assert interval.high == 1.0
    assert interval.low < statistics.wilson(100, 100).low


def test_clustered_is_never_narrower_than_plain() -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        outcomes, labels = _clustered(generator, 4, 10)
        plain = statistics.wilson(sum(outcomes), len(outcomes))
        ours = statistics.clustered_wilson(outcomes, labels)
        assert ours.high - ours.low >= plain.high - plain.low - 1e-12


def test_bootstrap_is_reproducible_and_covers() -> None:
    generator = np.random.default_rng(11)
    hits = 0
    for run in range(200):
        outcomes, labels = _clustered(generator, 30, 10)
        first = statistics.cluster_bootstrap(
            outcomes, labels, np.random.default_rng(run), resamples=800
        )
        hits += first.contains(2 / 3)
        if run == 0:
            again = statistics.cluster_bootstrap(
                outcomes, labels, np.random.default_rng(run), resamples=800
            )
            assert first == again
    assert hits / 200 > 0.88


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_agrees_with_the_binomial_test(first: int, second: int) -> None:
    if first + second == 0:
        assert statistics.mcnemar_exact(0, 0) == 1.0
        return
    reference = stats.binomtest(first, first + second, 0.5).pvalue
    assert statistics.mcnemar_exact(first, second) == pytest.approx(reference)


@pytest.mark.parametrize(("first", "second", "pairs"), [(12, 2, 44), (5, 0, 30), (9, 14, 60)])
def test_tango_ends_solve_the_score_equation(first: int, second: int, pairs: int) -> None:
    """At each end the score statistic is the normal quantile, with the nuisance rate found by
    numerical maximum likelihood rather than by the closed form."""
    interval = statistics.tango(first, second, pairs)
    for end in (interval.low, interval.high):

        def loss(q: float, end: float = end) -> float:
            rates = np.array([q + end, q, 1 - 2 * q - end])
            observed = np.array([first, second, pairs - first - second])
            terms = np.where(observed > 0, observed * np.log(np.maximum(rates, 1e-300)), 0.0)
            return -float(terms.sum())

        bounds = (max(0.0, -end) + 1e-10, (1 - end) / 2 - 1e-10)
        q = optimize.minimize_scalar(
            loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}
        ).x
        deviation = math.sqrt(pairs * (2 * q + end - end**2))
        assert abs((first - second - pairs * end) / deviation) == pytest.approx(1.95996, abs=2e-3)


@settings(max_examples=60)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 40))
def test_tango_laws(first: int, second: int, concordant: int) -> None:
    pairs = first + second + concordant
    ours = statistics.tango(first, second, pairs)
    mirror = statistics.tango(second, first, pairs)
    assert -1 <= ours.low <= ours.estimate <= ours.high <= 1
    assert ours.low == pytest.approx(-mirror.high, abs=1e-7)
    assert ours.high > ours.low


def test_tango_coverage() -> None:
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(600):
        counts = generator.multinomial(40, [0.25, 0.10, 0.65])
        hits += statistics.tango(int(counts[0]), int(counts[1]), 40).contains(0.15)
    assert 0.92 <= hits / 600 <= 0.985


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_laws(p_values: list[float]) -> None:
    adjusted = statistics.holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert min(adjusted) == pytest.approx(min(1.0, len(p_values) * min(p_values)))
    order = np.argsort(p_values, kind="stable")
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))


def test_power_of_the_paired_test_against_simulation() -> None:
    generator = np.random.default_rng(2)
    better, worse = power.discordance(0.7, 0.15, 0.3)
    draws = generator.multinomial(100, [better, worse, 1 - better - worse], size=3000)
    rejected = np.mean([statistics.mcnemar_exact(int(b), int(w)) <= 0.05 for b, w, _ in draws])
    assert power.power_paired(0.7, 0.15, 100) == pytest.approx(rejected, abs=0.03)


def test_episodes_needed() -> None:
    independent = power.episodes_needed(0.5, 0.2, paired=False)
    assert independent.episodes == 93  # the textbook's answer without continuity correction
    paired = power.episodes_needed(0.5, 0.2, paired=True, correlation=0.5)
    assert paired.episodes < independent.episodes
    assert paired.power >= 0.8
    with pytest.raises(ValueError, match="cannot be seen"):
        power.episodes_needed(0.5, 0.0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        power.episodes_needed(0.9, 0.2)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        statistics.wilson(0, 0)
    with pytest.raises(ValueError, match=r"\[0, 3\]"):
        statistics.wilson(4, 3)
    with pytest.raises(ValueError, match="two clusters"):
        statistics.clustered_wilson([True, False], ["a", "a"])
    with pytest.raises(ValueError, match="cluster labels"):
        statistics.cluster_robust([1.0], ["a", "b"])
