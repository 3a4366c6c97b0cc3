"""A small real world for tests: a point that is to leave the picture to the left or to the right.

Both tasks start from the same scene for a seed, and differ in the instruction only. The point
drifts by an amount that a reset decides, so that the seed matters at every step.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import Group, VectorSpace
from enactive.observations import Camera, Observation, ObservationSpec, StateVector, Task, TaskSpec
from enactive.seeding import numpy_generator
from enactive.worlds.world import (
    EventSpec,
    NotSupported,
    PerturbationSpec,
    Snapshot,
    Step,
    WorldSpec,
)

SPACE = VectorSpace(
    groups=(
        Group(
            name="arm", quantity="position", representation="xyz", reference="delta",
            frame="base", unit="m", low=-0.1, high=0.1,
        ),
        Group(
            name="gripper", quantity="gripper", representation="scalar", reference="absolute",
            frame="none", unit="effort", low=-1.0, high=1.0, positive="closes",
        ),
    ),
    rate_hz=10.0,
)  # fmt: skip

TRUTH = StateVector(name="truth", names=("x", "y", "drift"), unit="m")
LIMIT = 0.5


@dataclass(kw_only=True, slots=True)
class ReachWorld:
    """The world; make it with ``ReachWorld.Config().build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        size: int = 16
        """Side of the picture, pixels."""
        max_steps: int = 25
        """Steps after which an episode is truncated."""
        broken_after: int | None = None
        """Resets after which pictures change by one grey level: not a reproducible world."""
        deadly_seed: int | None = None
        """Seed at which the process ends at once, as it does when an engine crashes."""

        def build(self) -> ReachWorld:
            return ReachWorld(config=self)

    config: Config
    task: Task | None = None
    resets: int = 0
    position: NDArray[np.float64] | None = None
    drift: float = 0.0
    steps: int = 0
    was: bool = False

    @property
    def spec(self) -> WorldSpec:
        return WorldSpec(
            name="reach",
            version="1",
            observations=ObservationSpec(
                cameras=(Camera(name="top", height=self.config.size, width=self.config.size),),
                states=(StateVector(name="proprio", names=("x", "y"), unit="m"),),
                privileged=(TRUTH,),
            ),
            accepts=SPACE,
            tasks=(
                TaskSpec(
                    name="left",
                    instructions=("go to the left", "move left"),
                    held_out_instructions=("head left", "leftwards"),
                    max_steps=self.config.max_steps,
                ),
                TaskSpec(
                    name="right",
                    instructions=("go to the right", "move right"),
                    held_out_instructions=("head right", "rightwards"),
                    max_steps=self.config.max_steps,
                ),
            ),
            rate_hz=10.0,
            events=(
                EventSpec(name="went_left", description="left the middle to the left"),
                EventSpec(name="went_right", description="left the middle to the right"),
            ),
            perturbations=(
                PerturbationSpec(name="push-1", axis="dynamics", description="a wind to the right"),
                PerturbationSpec(name="push-2", axis="dynamics", description="a strong wind"),
                PerturbationSpec(name="dark", axis="light", description="the picture is darker"),
            ),
            provenance={"size": self.config.size},
        )

    def reset(self, task: Task, seed: int) -> Observation:
        self.spec.check_task(task)
        if seed == self.config.deadly_seed:
            os._exit(3)
        generator = numpy_generator(seed, "reach")
        self.task = task
        self.resets += 1
        self.position = generator.uniform(-0.1, 0.1, size=2)
        self.drift = float(generator.uniform(-0.02, 0.02))
        self.steps = 0
        self.was = False
        return self._observe()

    def step(self, action: Any) -> Step:
        assert self.position is not None and self.task is not None
        if not SPACE.contains(action):
            raise ValueError(f"action {action!r} is outside the space")
        before = self.position[0]
        wind = sum({"push-1": 0.03, "push-2": 0.1}.get(p, 0.0) for p in self.task.perturbations)
        self.position = self.position + np.asarray(action[:2], np.float64) + (wind, self.drift)
        self.steps += 1
        x = self.position[0]
        events = []
        if x < -LIMIT <= before:
            events.append("went_left")
        if x > LIMIT >= before:
            events.append("went_right")
        success = bool(x < -LIMIT) if self.task.name == "left" else bool(x > LIMIT)
        return Step(
            observation=self._observe(),
            reward=float(-abs(x)),
            terminated=False,
            truncated=self.steps >= self.config.max_steps,
            success=success,
            events=tuple(events),
        )

    def snapshot(self) -> Snapshot:
        raise NotSupported("reach has no snapshots")

    def restore(self, snapshot: Snapshot) -> Observation:
        raise NotSupported("reach has no snapshots")

    def close(self) -> None:
        self.position = None

    def _observe(self) -> Observation:
        assert self.position is not None and self.task is not None
        grid = np.linspace(-1, 1, self.config.size)
        distance = (grid[None] - self.position[0]) ** 2 + (grid[:, None] - self.position[1]) ** 2
        image = np.repeat(
            (255 * np.exp(-20 * distance)).astype(np.uint8)[..., None], 3, axis=2
        )  # (H, W, 3)
        if "dark" in self.task.perturbations:
            image = image // 2
        broken = self.config.broken_after
        if broken is not None and self.resets > broken:
            image = image ^ np.uint8(1)
        truth = np.array([*self.position, self.drift])
        return Observation(
            images={"top": image},
            state={"proprio": self.position.astype(np.float32)},
            instruction=self.task.instruction,
            time=self.steps / 10.0,
            privileged={"truth": truth},
        )


def expert(task: str, truth: NDArray[np.float64]) -> NDArray[np.float32]:
    """Straight to the named side, less fast far from the middle."""
    x, y, _ = truth
    direction = -1.0 if task == "left" else 1.0
    return np.array([direction * (0.1 - 0.05 * abs(x)), -0.1 * y, 0.0, 0.0], np.float32)


def clumsy_expert(task: str, truth: NDArray[np.float64]) -> NDArray[np.float32]:
    """Does not know what to do where the point drifts up: some episodes fail."""
    if truth[2] > 0.0:
        return np.zeros(4, np.float32)
    return expert(task, truth)


def frames(observations: Sequence[Observation]) -> list[bytes]:
    """The pictures as bytes, for equality."""
    return [observation.images["top"].tobytes() for observation in observations]
