"""Whether demonstrations have several modes: what different episodes do in the same state.

A policy that averages is wrong where two different actions are right and their mean is not. Whether
data are of that kind is measured, not assumed: chunks that were begun in the same state are split
into two groups, and projected on the line between the groups' means. Two numbers say how separate
the groups are along it: Ashman's D (Ashman, Bird and Zepf, "Detecting bimodality in astronomical
datasets", 1994) and the dip (Hartigan and Hartigan, "The Dip Test of Unimodality", 1985). Splitting
one Gaussian in two gives D = 2.65 already, so that D alone does not decide; the dip does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enactive.actions.decision import Decision
from enactive.evaluation.plan import EpisodePlan
from enactive.policies.expert import EXPERT_SOURCE
from enactive.policies.policy import Policy, check_wiring
from enactive.worlds.world import World

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Modes:
    """How a set of N chunks falls into two groups."""

    minority: float
    """Share of the smaller group, in [0, 0.5]."""
    between: float
    """Distance of the groups' means, root mean square over steps and entries, in units of
    ``scale``."""
    separation: float
    """Ashman's D: that distance over the root mean square of the groups' standard deviations along
    the line through their means, times the square root of 2. Infinite for two points."""
    dip: float
    """Distance of the projections' distribution to the nearest one with a single mode, in
    [0, 0.25]; two equal and narrow groups have 0.25."""
    several: bool
    """Whether the dip is above :func:`critical_dip`, and the groups differ at all."""


def modes(chunks: NDArray[np.floating], scale: NDArray[np.floating] | float = 1.0) -> Modes:
    """Measure the two modes of chunks that were begun in one state.

    Args:
        chunks: ``float (N, H, A)``, N at least 4.
        scale: what counts as a difference, ``(A,)`` or one number, e.g. the actions' standard
            deviation in the whole dataset. Differences below 1 % of it are rounding.

    Raises:
        ValueError: fewer than 4 chunks.
    """
    if len(chunks) < 4:
        raise ValueError(f"chunks: modes need at least 4 chunks, got {len(chunks)}")
    flat = (np.asarray(chunks, np.float64) / scale).reshape(len(chunks), -1)  # (N, H*A)
    first = _halves(flat)
    if not first.any() or first.all():
        return Modes(minority=0.0, between=0.0, separation=0.0, dip=0.0, several=False)
    along = flat[first].mean(0) - flat[~first].mean(0)
    between = float(np.sqrt(np.mean(along**2)))
    if between < 0.01:
        return Modes(minority=0.0, between=between, separation=0.0, dip=0.0, several=False)
    line = flat @ (along / np.linalg.norm(along))  # (N,)
    within = np.sqrt(line[first].var() + line[~first].var())
    apart = abs(line[first].mean() - line[~first].mean())
    found = dip(line)
    share = float(first.mean())
    return Modes(
        minority=min(share, 1 - share),
        between=between,
        separation=float(np.sqrt(2) * apart / within) if within > 1e-12 else float("inf"),
        dip=found,
        several=found > critical_dip(len(line)),
    )


def dip(values: NDArray[np.floating]) -> float:
    """Hartigan's dip of N numbers: the largest distance to the nearest unimodal distribution.

    Args:
        values: ``float (N,)``; equal numbers are one step of the distribution.

    Returns:
        0 if all are equal, else from 1 / 2N (as even as N numbers can be) to 0.25.
    """
    points, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    total = int(counts.sum())
    high = np.cumsum(counts) / total  # the distribution at each point,
    low = high - counts / total  # and just before it
    found, first, last = 0.0, 0, len(points) - 1
    # A unimodal distribution is convex before its mode and concave after it. Narrow the interval
    # that can hold the mode, until the convex and the concave fit over it are near enough.
    while first < last:
        span = slice(first, last + 1)
        x, below, above = points[span], low[span], high[span]
        under = _minorant(x, below)
        over = 1 - _minorant(-x[::-1], 1 - above[::-1])[::-1]
        apart = over - under
        widest = int(apart.argmax())
        if apart[widest] <= found:
            break
        bends_under = np.flatnonzero(np.isclose(under, below, rtol=0, atol=1e-12))
        bends_over = np.flatnonzero(np.isclose(over, above, rtol=0, atol=1e-12))
        begin = int(bends_under[bends_under <= widest].max(initial=0))
        end = int(bends_over[bends_over >= widest].min(initial=len(x) - 1))
        found = max(
            found,
            float(np.max((above - under)[:begin], initial=0.0)),
            float(np.max((over - below)[end + 1 :], initial=0.0)),
        )
        if begin == 0 and end == len(x) - 1:
            break
        first, last = first + begin, first + end
    # Of all steps only the mode's may be followed by a jump; half of any other is missed.
    second = float(np.sort(counts)[-2]) / total if len(counts) > 1 else 0.0
    return max(found, second) / 2


def _minorant(x: Array, y: Array) -> Array:
    """The largest convex function that is nowhere above the points, at each of them."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.interp(x, x[hull], y[hull])


def critical_dip(count: int) -> float:
    """The dip that about 5 % of samples of ``count`` evenly distributed numbers exceed.

    Even distributions have the largest dips of all unimodal ones, so fewer samples of others exceed
    it. Fitted to 400 samples of each of 8, 16, 32 and 64 numbers.
    """
    return (0.489 - 0.51 / count) / float(np.sqrt(count))


def _halves(points: Array) -> NDArray[np.bool_]:
    """Two groups of ``(N, D)`` points by 2-means, begun along their widest direction."""
    centred = points - points.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    first: NDArray[np.bool_] = centred @ directions[0] > 0
    for _ in range(50):
        if not first.any() or first.all():
            break
        one, other = points[first].mean(0), points[~first].mean(0)
        nearer = np.sum((points - one) ** 2, 1) < np.sum((points - other) ** 2, 1)
        if np.array_equal(nearer, first):
            break
        first = nearer
    return first


def repeated_chunks(
    world: World, policy: Policy, task: str, seed: int, *, repeats: int, horizon: int
) -> NDArray[np.float32]:
    """What ``policy`` does from one initial state, under ``repeats`` random streams of its own.

    Args:
        world: where; its next episode must begin with a reset.
        policy: who decides.
        task: name of the task.
        seed: decides the initial state.
        repeats: N.
        horizon: H, steps; an episode that ends sooner holds its last action.

    Returns:
        ``float32 (N, H, A)``: labels where the policy says what should have been done, else what
        was done.
    """
    check_wiring(policy, world.spec)
    spec = world.spec.task(task)
    rows: list[NDArray[np.float32]] = []
    for repeat in range(repeats):
        plan = EpisodePlan(task=spec.task(), seed=seed, index=repeat, repeat=repeat)
        observation, memory = (
            world.reset(plan.task, seed),
            policy.begin(plan.task, plan.policy_seed),
        )
        actions: list[NDArray[np.float32]] = []
        for _ in range(horizon):
            decision = policy.act([observation], [memory])[0]
            memory = decision.memory
            actions.append(_label(decision))
            step = world.step(decision.action)
            observation = step.observation
            if step.terminated or step.truncated:
                break
        actions += [actions[-1]] * (horizon - len(actions))
        rows.append(np.stack(actions))
    return np.stack(rows)


def _label(decision: Decision) -> NDArray[np.float32]:
    for token in decision.chain.tokens if decision.chain is not None else ():
        if token.source == EXPERT_SOURCE and token.kind == "raw":
            return np.asarray(token.content, np.float32)[0]
    return np.asarray(decision.action, np.float32)
