"""Trial runs of a world: what the conformance checker compares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from enactive.actions.spaces import VectorSpace
from enactive.observations import Observation, Task
from enactive.seeding import numpy_generator
from enactive.worlds.world import NotSupported, Snapshot, Step, World, WorldSpec


@dataclass(kw_only=True, slots=True)
class Trial:
    world: World
    spec: WorldSpec
    task: Task
    other: Task
    steps: int
    seed: int
    limit: int
    config: Any
    _first: list[Moment] | None = field(default=None)

    def actions(self, stream: str = "actions") -> list[Any]:
        """Actions that differ and are each held for a while, so that something moves."""
        generator = numpy_generator(self.seed, "check", stream)
        drawn = [sample(self.spec, generator) for _ in range(-(-self.steps // 4))]
        return [drawn[i // 4] for i in range(self.steps)]

    def first(self) -> list[Moment]:
        """The first run of this trial's task, seed and actions."""
        if self._first is None:
            self._first = run(self.world, self.task, self.seed, self.actions())
        return self._first


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything a world said at one time, copied when it was said."""

    observation: Observation
    kept: Observation
    """The world's own object, which it must not change later."""
    step: Step | None = None


def run(world: World, task: Task, seed: int, actions: Sequence[Any]) -> list[Moment]:
    seen = world.reset(task, seed)
    moments = [Moment(copied(seen), seen)]
    moments.extend(follow(world, actions))
    return moments


def follow(world: World, actions: Sequence[Any]) -> Iterator[Moment]:
    for action in actions:
        step = world.step(action)
        yield Moment(copied(step.observation), step.observation, step)
        if step.terminated or step.truncated:
            return


class Elsewhere:
    """The world of a pool's first worker, with a world's methods."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.spec: WorldSpec = pool.spec

    def reset(self, task: Task, seed: int) -> Any:
        self._pool.reset(0, task, seed)
        return self._pool.gather()[0]

    def step(self, action: Any) -> Any:
        self._pool.step(0, action)
        return self._pool.gather()[0]

    def snapshot(self) -> Any:
        self._pool.snapshot(0)
        return self._pool.gather()[0]

    def restore(self, snapshot: Snapshot) -> Any:
        self._pool.restore(0, snapshot)
        return self._pool.gather()[0]

    def close(self) -> None:
        self._pool.close()


def sample(spec: WorldSpec, generator: np.random.Generator) -> Any:
    space = spec.accepts
    if isinstance(space, VectorSpace) and not np.isfinite([space.low, space.high]).all():
        return space.clip(generator.normal(size=space.size))
    sample = getattr(space, "sample", None)
    if sample is None:
        raise NotSupported(f"{type(space).__name__} has no sample(generator) to try actions with")
    return sample(generator)


def outside(spec: WorldSpec, good: Any) -> Iterator[tuple[str, Any]]:
    space = spec.accepts
    if isinstance(space, VectorSpace):
        yield "NaN", np.full(space.size, np.nan, np.float32)
        yield "a vector one entry too long", np.zeros(space.size + 1, np.float32)
        bounded = np.flatnonzero(np.isfinite(space.high))
        if bounded.size:
            beyond = np.array(good, np.float32)
            beyond[bounded[0]] = space.high[bounded[0]] * 2 + 1
            yield "an entry beyond its bound", beyond
    else:
        for name, bad in (("None", None), ("-1", -1), ("NaN", float("nan"))):
            if not space.contains(bad):
                yield name, bad


def copied(observation: Observation) -> Observation:
    return Observation(
        images={name: np.array(value) for name, value in observation.images.items()},
        state={name: np.array(value) for name, value in observation.state.items()},
        instruction=observation.instruction,
        time=observation.time,
        text=observation.text,
        privileged={name: np.array(value) for name, value in observation.privileged.items()},
    )


def difference(first: Sequence[Moment], second: Sequence[Moment]) -> str:
    """Where two runs differ first, in words; empty where they are equal to the bit."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if where := unequal(a.observation, b.observation):
            return f"{where} differs at moment {index} of {len(first)}"
        if a.step is not None and b.step is not None:
            for name in ("reward", "terminated", "truncated", "success", "events"):
                x, y = getattr(a.step, name), getattr(b.step, name)
                if x != y and not (x != x and y != y):
                    return f"{name} differs at moment {index} of {len(first)}: {x!r}, {y!r}"
    if len(first) != len(second):
        return f"one run ends after {len(first)} moments, the other after {len(second)}"
    return ""


def unequal(a: Observation, b: Observation) -> str:
    """Name of the first field that differs in any bit."""
    for part in ("images", "state", "privileged"):
        x, y = getattr(a, part), getattr(b, part)
        if [*x] != [*y]:
            return f"{part}: the names {[*x]} and {[*y]}"
        for name in x:
            if x[name].shape != y[name].shape or x[name].tobytes() != y[name].tobytes():
                return f"{part}[{name!r}]"
    for name in ("instruction", "time", "text"):
        if getattr(a, name) != getattr(b, name):
            return name
    return ""


def moved(a: Observation, b: Observation) -> bool:
    return any(
        not np.array_equal(getattr(a, part)[name], getattr(b, part).get(name))
        for part in ("state", "privileged")
        for name in getattr(a, part)
    )


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
