"""The instrument on itself: identical arms must be called different no more often than stated.

An A/A test. The null hypothesis is true by construction, so every "supported" is an error, and at
most 2.5 % of claims may be. Outcomes are simulated in the shapes that claims have (few seeds, a
success rate per seed from a few episodes, seeds that differ in skill), and measured on a real
policy that is trained and rolled out (:mod:`enactive.evaluation.claims.reach`).

The same data judged as if episodes were independent show why the seed is the unit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from enactive.evaluation.claims.verdict import CONFIDENCE
from enactive.evaluation.statistics import Interval, clopper_pearson
from enactive.seeding import numpy_generator

Array = NDArray[np.float64]

STATED = (1 - CONFIDENCE) / 2
"""Error of a one-sided decision by a two-sided interval."""
TOLERATED = 0.03
"""Error that a single shape may have: counts of few episodes are not normal, and Student's t is
off by up to 0.2 percentage points there (measured with 80 000 claims a shape)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How the outcomes of a claim arise."""

    name: str
    seeds: int
    draw: Callable[[np.random.Generator, int], tuple[Array, Array]]
    """(generator, K claims) -> outcomes of both arms, each ``float64 (K, S, E)``."""
    threshold: float = 0.0
    """The true difference of the arms, first minus second: the boundary of the null."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What the instrument did with one shape."""

    shape: str
    seeds: int
    claims: int
    errors: int
    """Claims called supported."""
    rate: Interval
    """Of errors, with Clopper and Pearson's interval."""
    p_value: float
    """Chance of so many errors or more if the true rate is :data:`TOLERATED`."""
    pooled_rate: float
    """Of errors when all episodes are taken as independent."""


def bernoulli(seeds: int, episodes: int, rate: float, spread: float) -> Shape:
    """Success rates: each seed's skill is ``rate`` shifted by normal(0, ``spread``) in log-odds."""

    def draw(generator: np.random.Generator, claims: int) -> tuple[Array, Array]:
        skill = special.logit(rate) + spread * generator.standard_normal((2, claims, seeds, 1))
        shape = (2, claims, seeds, episodes)
        outcomes = generator.random(shape) < special.expit(skill)
        return outcomes[0].astype(np.float64), outcomes[1].astype(np.float64)

    return Shape(
        name=f"{seeds} seeds of {episodes} episodes, rate {rate:.0%}, seeds differ by {spread:g}",
        seeds=seeds,
        draw=draw,
    )


def paired(seeds: int, episodes: int, spread: float) -> Shape:
    """Both arms meet the same initial states, some of which are hard for both."""

    def draw(generator: np.random.Generator, claims: int) -> tuple[Array, Array]:
        skill = spread * generator.standard_normal((2, claims, seeds, 1))
        hard = 1.5 * generator.standard_normal((1, claims, seeds, episodes))
        outcomes = generator.random((2, claims, seeds, episodes)) < special.expit(skill + hard)
        return outcomes[0].astype(np.float64), outcomes[1].astype(np.float64)

    name = f"{seeds} seeds of {episodes} paired episodes, seeds differ by {spread:g}"
    return Shape(name=name, seeds=seeds, draw=draw)


def margin(seeds: int, episodes: int, better: float, worse: float) -> Shape:
    """Non-inferiority exactly at its margin: the second arm is better by ``better - worse``."""

    def draw(generator: np.random.Generator, claims: int) -> tuple[Array, Array]:
        shape = (claims, seeds, episodes)
        first = generator.random(shape) < worse
        second = generator.random(shape) < better
        return first.astype(np.float64), second.astype(np.float64)

    name = f"{seeds} seeds of {episodes} episodes, {worse:.0%} against {better:.0%} at that margin"
    return Shape(name=name, seeds=seeds, draw=draw, threshold=worse - better)


def skewed(seeds: int, episodes: int) -> Shape:
    """Errors or latencies: log-normal, with a seed's own scale."""

    def draw(generator: np.random.Generator, claims: int) -> tuple[Array, Array]:
        scale = 0.5 * generator.standard_normal((2, claims, seeds, 1))
        values = np.exp(scale + generator.standard_normal((2, claims, seeds, episodes)))
        return values[0], values[1]

    return Shape(name=f"{seeds} seeds of {episodes} skewed errors", seeds=seeds, draw=draw)


def shapes() -> list[Shape]:
    """The shapes that the self-test runs through."""
    found = [
        bernoulli(seeds, episodes, rate, spread)
        for seeds, episodes, (rate, spread) in itertools.product(
            (3, 4, 5, 6), (10, 20, 50), ((0.5, 0.0), (0.5, 1.0), (0.1, 0.5), (0.9, 0.5))
        )
    ]
    found += [paired(seeds, 20, 0.7) for seeds in (3, 4, 5, 6)]
    found += [margin(seeds, 40, 0.6, 0.5) for seeds in (3, 4, 5, 6)]
    found += [skewed(seeds, 20) for seeds in (3, 4, 5, 6)]
    return found


def simulate(
    shape: Shape, claims: int, generator: np.random.Generator, resolution: float = 0.0
) -> Row:
    """Judge ``claims`` claims whose arms differ by exactly the threshold.

    Args:
        resolution: as declared in the hypothesis.
    """
    first, second = shape.draw(generator, claims)
    difference = first.mean(axis=2) - second.mean(axis=2)  # (K, S)
    errors = int(supported(difference, shape.threshold, resolution).sum())
    return _row(shape, claims, errors, float(pooled(first, second, shape.threshold).mean()))


def supported(values: Array, threshold: float, resolution: float = 0.0) -> NDArray[np.bool_]:
    """:func:`enactive.evaluation.claims.verdict.judge_values` for many claims at once.

    Args:
        values: ``float64 (K, S)``, one claim a row; direction "greater".

    Returns:
        ``bool (K,)``: ruled supported.
    """
    seeds = values.shape[1]
    deviation = np.maximum(values.std(axis=1, ddof=1), resolution)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, seeds - 1) * deviation / np.sqrt(seeds)
    low = values.mean(axis=1) - half
    enough = (half > 0) | (seeds >= 3)
    return (low > threshold) & enough


def pooled(first: Array, second: Array, threshold: float) -> NDArray[np.bool_]:
    """What not to do: all episodes of all seeds as independent samples (Welch's normal interval).

    Args:
        first: ``float64 (K, S, E)``.
        second: of the same shape.
    """
    count = first.shape[1] * first.shape[2]
    variance = (first.var(axis=(1, 2), ddof=1) + second.var(axis=(1, 2), ddof=1)) / count
    half = stats.norm.ppf(0.5 + CONFIDENCE / 2) * np.sqrt(variance)
    return first.mean(axis=(1, 2)) - second.mean(axis=(1, 2)) - half > threshold


def real(claims: int, seeds: int, episodes: int, seed: int) -> Row:
    """The same with a policy that is trained and rolled out, both arms by the same recipe."""
    from enactive.evaluation.claims.reach import train_and_roll_out

    first = np.empty((claims, seeds, episodes))
    second = np.empty((claims, seeds, episodes))
    for number in range(claims):
        for place in range(seeds):
            for arm, outcomes in (("a", first), ("b", second)):
                generator = numpy_generator(seed, "self-test", number, place, arm)
                outcomes[number, place] = train_and_roll_out(generator, episodes)
    shape = Shape(
        name=f"{seeds} seeds of {episodes} episodes of a trained policy",
        seeds=seeds,
        draw=lambda generator, count: (first, second),
    )
    return simulate(shape, claims, np.random.default_rng(0))


def run(claims: int, seed: int) -> list[Row]:
    """All shapes, ``claims`` claims each."""
    return [
        simulate(shape, claims, numpy_generator(seed, "self-test", shape.name))
        for shape in shapes()
    ]


def overall(rows: Sequence[Row]) -> tuple[Interval, float]:
    """The rate of errors over all shapes, and the chance of so many if the true rate is the
    stated one."""
    errors, claims = sum(row.errors for row in rows), sum(row.claims for row in rows)
    return clopper_pearson(errors, claims), float(stats.binom.sf(errors - 1, claims, STATED))


def passed(rows: Sequence[Row], level: float = 0.001) -> bool:
    """Whether the error rate over all shapes is no more than the stated one, and that of no single
    shape more than :data:`TOLERATED`, beyond chance.

    Args:
        level: of each of the two tests; the second with Bonferroni's correction.
    """
    return overall(rows)[1] >= level and all(row.p_value >= level / len(rows) for row in rows)


def _row(shape: Shape, claims: int, errors: int, pooled_rate: float) -> Row:
    return Row(
        shape=shape.name,
        seeds=shape.seeds,
        claims=claims,
        errors=errors,
        rate=clopper_pearson(errors, claims),
        p_value=float(stats.binom.sf(errors - 1, claims, TOLERATED)),
        pooled_rate=pooled_rate,
    )
