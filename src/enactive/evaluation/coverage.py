"""How often each interval covers the truth, under designs where it is meant to hold.

One-rate and paired-difference intervals are checked exactly, by summing over every outcome; the
others by simulation. A design says what the method promises there, see :data:`Promise`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from enactive.evaluation import interval_ends as ends
from enactive.seeding import numpy_generator

Promise = Literal["near", "at least"]
"""``"near"``: nominal coverage within one point, on average over the design's truths.
``"at least"``: no truth of the design is covered less often than nominal."""

RATES = np.linspace(0.04, 0.96, 24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """What was found for one method and design."""

    method: str
    design: str
    promise: Promise
    mean: float
    """Over the design's truths, in [0, 1]."""
    least: float
    """Of the truth that is covered least."""
    truths: int
    simulations: int
    """Per truth; 0 where all outcomes were summed over instead."""

    def kept(self, confidence: float, tolerance: float = 0.01) -> bool:
        """Whether the promise is kept; noise of the simulation (3 sigma) is forgiven to a bound."""
        if self.promise == "near":
            return abs(self.mean - confidence) <= tolerance
        noise = 0.0
        if self.simulations:
            noise = 3 * np.sqrt(confidence * (1 - confidence) / self.simulations)
        return self.least >= confidence - noise - 1e-9


def coverage_table(
    simulations: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Iterator[Coverage]:
    """Every method under each of its designs, one at a time.

    Args:
        simulations: per truth, of the designs that are simulated.
        seed: of all draws.
        confidence: nominal coverage.
    """
    generator = numpy_generator(seed, "coverage")
    yield from _one_rate(confidence)
    yield from _paired_difference(confidence)
    yield from _paired_ratio(generator, simulations, confidence)
    yield from _agreement(confidence)
    yield from _means(generator, simulations, confidence)
    yield from _clustered_rate(generator, simulations, confidence)
    yield from _clustered_pairs(generator, simulations, confidence)


def inside(found: ends.Ends, truth: float) -> NDArray[np.bool_]:
    """Whether each interval contains ``truth``; rounding of 1e-9 is forgiven."""
    return (found[0] <= truth + 1e-9) & (truth - 1e-9 <= found[1])


def _summary(
    method: str, design: str, promise: Promise, rates: list[float], simulations: int
) -> Coverage:
    return Coverage(
        method=method, design=design, promise=promise, mean=float(np.mean(rates)),
        least=float(np.min(rates)), truths=len(rates), simulations=simulations,
    )  # fmt: skip


def _one_rate(confidence: float) -> Iterator[Coverage]:
    methods = (
        ("wilson", ends.wilson_ends, "near"),
        ("clopper_pearson", ends.clopper_pearson_ends, "at least"),
    )
    for name, method, promise in methods:
        for trials in (10, 20, 50, 200):
            outcomes = np.arange(trials + 1)
            found = method(outcomes, trials, confidence)
            rates = [
                float(stats.binom.pmf(outcomes, trials, rate) @ inside(found, rate))
                for rate in RATES
            ]
            yield _summary(name, f"{trials} trials", promise, rates, 0)  # type: ignore[arg-type]


def _paired_difference(confidence: float) -> Iterator[Coverage]:
    for pairs, few in ((20, 0.25), (50, 0.1)):
        first, second = np.divmod(np.arange((pairs + 1) ** 2), pairs + 1)
        kept = first + second <= pairs
        first, second = first[kept], second[kept]
        found = ends.tango_ends(first, second, pairs, confidence)
        counts = np.stack([first, second, pairs - first - second], axis=1)
        rates: list[float] = []
        for discordant in (few, 0.35, 0.5):
            for share in (0.5, 0.65, 0.8, 0.9):
                plus, minus = discordant * share, discordant * (1 - share)
                weights = stats.multinomial.pmf(counts, pairs, [plus, minus, 1 - plus - minus])
                rates.append(float(weights @ inside(found, plus - minus)))
        yield _summary("tango", f"{pairs} pairs, {few:.0%} to 50% discordant", "near", rates, 0)


def _paired_ratio(
    generator: np.random.Generator, simulations: int, confidence: float
) -> Iterator[Coverage]:
    for pairs in (30, 100):
        rates: list[float] = []
        for second in (0.5, 0.7, 0.9):
            for ratio in (0.3, 0.6, 0.9, 1.0):
                first = ratio * second
                # Half of the way from independence to the most that can succeed together.
                both = (first * second + min(first, second)) / 2
                cells = [both, first - both, second - both, 1 - first - second + both]
                drawn = generator.multinomial(pairs, cells, size=simulations)  # (R, 4)
                counts, place = np.unique(drawn[:, :3], axis=0, return_inverse=True)
                found = ends.paired_ratio_ends(
                    counts[:, 0], counts[:, 1], counts[:, 2], pairs, confidence
                )
                rates.append(float(inside(found, ratio)[place].mean()))
        yield _summary("paired_ratio", f"{pairs} pairs", "near", rates, simulations)


def _agreement(confidence: float) -> Iterator[Coverage]:
    for trials in (20, 50):
        cells = np.stack(np.meshgrid(*[np.arange(trials + 1)] * 3, indexing="ij"), axis=-1)
        a, b, c = cells[cells.sum(axis=-1) <= trials].T  # (N,) each
        found = ends.kappa_ends(a, b, c, trials - a - b - c, confidence)
        counts = np.stack([a, b, c, trials - a - b - c], axis=1)
        rates: list[float] = []
        for first, second in ((0.5, 0.5), (0.3, 0.3), (0.5, 0.6), (0.7, 0.6), (0.8, 0.8)):
            for kappa in (0.2, 0.5, 0.8):
                expected = first * second + (1 - first) * (1 - second)
                both = (expected + kappa * (1 - expected) - 1 + first + second) / 2
                truth = [both, first - both, second - both, 1 - first - second + both]
                if min(truth) > 0:
                    weights = stats.multinomial.pmf(counts, trials, truth)
                    rates.append(float(weights @ inside(found, kappa)))
        yield _summary("kappa", f"{trials} trials, two raters", "near", rates, 0)


def _means(
    generator: np.random.Generator, simulations: int, confidence: float
) -> Iterator[Coverage]:
    for count in (2, 3, 5, 10):
        values = generator.normal(0.3, 2.0, size=(simulations, count))
        rate = float(inside(ends.student_t_ends(values, confidence), 0.3).mean())
        yield _summary("student_t", f"{count} normal values", "near", [rate], simulations)
    for groups in (5, 10, 30):
        rates: list[float] = []
        for spread in (0.0, 0.3, 1.0):  # of the clusters' means, in deviations within a cluster
            noise = generator.normal(0.0, 1 / np.sqrt(10), size=(simulations, groups))
            means = generator.normal(0.0, 1.0, size=(simulations, groups)) * spread + noise
            sizes = np.full((simulations, groups), 10.0)
            found = ends.cluster_robust_ends(means * sizes, sizes, confidence)
            rates.append(float(inside(found, 0.0).mean()))
        name = f"{groups} clusters of 10 normal values"
        yield _summary("cluster_robust", name, "near", rates, simulations)


def task_rates(
    generator: np.random.Generator, rate: float, likeness: float, size: tuple[int, ...]
) -> NDArray[np.float64]:
    """True rates of tasks: beta with mean ``rate``; ``likeness`` is the intraclass correlation."""
    if likeness == 0:
        return np.full(size, rate)
    strength = 1 / likeness - 1
    return generator.beta(rate * strength, (1 - rate) * strength, size=size)


def _clustered_rate(
    generator: np.random.Generator, simulations: int, confidence: float
) -> Iterator[Coverage]:
    designs: tuple[tuple[int, int, Promise], ...] = (
        (3, 20, "at least"), (5, 20, "at least"), (10, 20, "near"), (20, 20, "near"),
        (50, 10, "near"),
    )  # fmt: skip
    for tasks, episodes, promise in designs:
        rates: list[float] = []
        # Few tasks that are nearly all easy or all hard cannot be told from all easy or all hard.
        for rate in (0.3, 0.5, 0.7, 0.8) if tasks >= 10 else (0.4, 0.5, 0.6):
            for likeness in (0.05, 0.1, 0.2) if tasks >= 10 else (0.0, 0.05):
                true = task_rates(generator, rate, likeness, (simulations, tasks))
                drawn = generator.binomial(episodes, true)
                found = ends.clustered_wilson_ends(drawn, episodes, confidence)
                rates.append(float(inside(found, rate).mean()))
        design = f"{tasks} tasks, {episodes} episodes each"
        yield _summary("clustered_wilson", design, promise, rates, simulations)
    drawn_tasks = generator.integers(0, 100, size=(1000, 100))
    rates = []
    for rate in (0.3, 0.5, 0.7):
        true = task_rates(generator, rate, 0.1, (simulations, 100))
        drawn = generator.binomial(10, true)
        found = ends.cluster_bootstrap_ends(drawn, 10.0, drawn_tasks, confidence)
        rates.append(float(inside(found, rate).mean()))
    yield _summary("cluster_bootstrap", "100 tasks, 10 episodes each", "near", rates, simulations)


def paired_tables(
    generator: np.random.Generator,
    rates: tuple[float, float],
    likeness: float,
    correlation: float,
    size: tuple[int, int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Tasks' tables of paired outcomes from a Gaussian copula, for simulations.

    Args:
        rates: mean success of the first and the second.
        likeness: share of the latent variance that a task's episodes have in common, half of it
            with the other policy and half of its own, so that tasks differ in their difference.
        correlation: of the two in one episode, within a task.
        size: simulations, tasks, episodes.

    Returns:
        Per task, ``int64 (R, G)``: both, only the first, only the second.
    """
    runs, tasks, episodes = size
    limits = stats.norm.ppf(rates)
    shared = generator.standard_normal((runs, tasks, 1, 1))
    own = generator.standard_normal((runs, tasks, 1, 2))
    start = generator.standard_normal((runs, tasks, episodes, 1), dtype=np.float32)
    rest = generator.standard_normal((runs, tasks, episodes, 2), dtype=np.float32)
    latent = np.sqrt(likeness / 2) * (shared + own) + np.sqrt(1 - likeness) * (
        np.sqrt(correlation) * start + np.sqrt(1 - correlation) * rest
    )
    success = latent < limits
    first, second = success[..., 0], success[..., 1]
    return (
        (first & second).sum(axis=2),
        (first & ~second).sum(axis=2),
        (~first & second).sum(axis=2),
    )


def _shared_baseline(
    generator: np.random.Generator, simulations: int, before: float, after: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Tables of 60 starts whose one baseline is paired with 4 probes, ``int64 (R, 60)`` each.

    Starts differ in how hard they are for both, so that outcomes go together.
    """
    hard = generator.random((simulations, 60)) < 0.3
    lost = np.where(hard, 0.2, -0.2 * 0.3 / 0.7)  # keeps the mean rates
    base = generator.random((simulations, 60)) < before - lost
    probes = generator.binomial(4, after - lost)
    return probes * base, probes * ~base, (4 - probes) * base


def _clustered_pairs(
    generator: np.random.Generator, simulations: int, confidence: float
) -> Iterator[Coverage]:
    difference: dict[int, list[float]] = {}
    ratio: dict[int, list[float]] = {}
    for tasks in (10, 20):
        for first, second in ((0.5, 0.8), (0.6, 0.6), (0.3, 0.7)):
            for likeness, correlation in ((0.3, 0.4), (0.5, 0.0)):
                size = (simulations, tasks, 20)
                both, plus, minus = paired_tables(
                    generator, (first, second), likeness, correlation, size
                )
                found = ends.clustered_tango_ends(plus, minus, 20, confidence)
                hit = inside(found, first - second)
                difference.setdefault(tasks, []).append(float(hit.mean()))
                found = ends.clustered_ratio_ends(both, plus, minus, 20, confidence)
                ratio.setdefault(tasks, []).append(float(inside(found, first / second).mean()))
    rates: list[float] = []
    for before, after in ((0.9, 0.5), (0.7, 0.7), (0.6, 0.3)):
        hits = _shared_baseline(generator, simulations, before, after)
        found = ends.clustered_ratio_ends(*hits, 4, confidence)
        rates.append(float(inside(found, after / before).mean()))
    design = "60 starts, 4 probes on one baseline each"
    yield _summary("clustered_ratio", design, "near", rates, simulations)
    for name, kept in (("clustered_tango", difference), ("clustered_ratio", ratio)):
        for tasks, rates in kept.items():
            design = f"{tasks} tasks that differ, 20 pairs each"
            yield _summary(name, design, "near", rates, simulations)
