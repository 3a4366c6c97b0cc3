"""Meta-World's arm behind other control interfaces: several embodiments of one simulation.

The physics, the tasks and their success tests are :class:`~enactive.worlds.metaworld.MetaWorld`'s.
What differs is what a command means (:mod:`enactive.worlds.controls`) and where the base stands,
from which commands and state vectors are measured. So the same demonstration exists for every
interface, and what a policy learns across them is about interfaces alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.configuration import to_dict
from enactive.observations import Observation, StateVector, Task
from enactive.worlds.controls import (
    JOINTS,
    Arm,
    BaseFrame,
    Control,
    EndEffectorAbsolute,
    EndEffectorDelta,
    JointDelta,
)
from enactive.worlds.metaworld import MetaWorld
from enactive.worlds.metaworld_experts import METRES_PER_UNIT
from enactive.worlds.metaworld_experts import expert_action as native_expert
from enactive.worlds.world import Snapshot, Step, WorldSpec

EXPERT = "metaworld_interface"
"""Name of the privileged vector that holds what Meta-World's expert would do, in this interface;
also the world's own name, so that :class:`enactive.policies.expert.ExpertPolicy` finds both."""

_XYZ = ("x", "y", "z")

PROPRIO = StateVector(
    name="proprio",
    names=(*(f"hand.{axis}" for axis in _XYZ), "gripper"),
    unit="mixed: hand in m from the base, gripper opening from 0 (closed) to 1 (open)",
)
ANGLES = StateVector(name="joints", names=JOINTS, unit="rad")
POINTS = ("object", "second_object", "goal")
OBJECTS = StateVector(
    name="objects",
    names=tuple(f"{point}.{axis}" for point in POINTS for axis in _XYZ),
    unit="m from the base; 0 for what the task does not have",
)
SCENE = StateVector(
    name="scene",
    names=(*(f"{point}.{axis}" for point in ("hand", *POINTS) for axis in _XYZ), "gripper"),
    unit="m in the scene, as a camera that stands beside the table would measure it, wherever the "
    "base is, 0 for what the task does not have; gripper opening from 0 (closed) to 1 (open)",
)


class MetaWorldInterface:
    """One embodiment; make it with ``MetaWorldInterface.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`MetaWorldInterface`."""

        control: Control = field(default_factory=EndEffectorDelta)
        """What commands mean."""
        frame: BaseFrame = field(default_factory=BaseFrame)
        """Where the base stands."""
        simulation: MetaWorld.Config = field(default_factory=lambda: MetaWorld.Config(cameras=()))
        """The simulation behind it; without cameras by default."""

        def build(self) -> MetaWorldInterface:
            """The world; imports the simulator."""
            return MetaWorldInterface(self)

    def __init__(self, config: MetaWorldInterface.Config) -> None:
        self._config = config
        self._inner = config.simulation.build()
        self._space = config.control.space(config.frame)
        self._spec = _spec(config, self._inner.spec)
        self._arm: tuple[Any, Arm] | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode; its initial state is the one that MetaWorld gives."""
        return self._seen(self._inner.reset(task, seed))

    def step(self, action: Any) -> Step:
        """Execute one action of ``spec.accepts``.

        The displacement that it stands for is cut to Meta-World's 1 cm per step along each axis of
        the scene.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running.
        """
        step = self._inner.step(self.native(action))
        return replace(step, observation=self._seen(step.observation))

    def native(self, action: Any) -> NDArray[np.float32]:
        """The action of MetaWorld that does the same in the present state, ``float32 (4,)``.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running.
        """
        config, arm = self._config, self._kinematics()
        vector = self._space.check(action).astype(np.float64)
        moved = config.control.displacement(vector[:-1], config.frame, arm)
        cut = np.clip(moved, -METRES_PER_UNIT, METRES_PER_UNIT)
        return np.append(cut, vector[-1]).astype(np.float32)

    def command(self, native: NDArray[Any]) -> NDArray[np.float32]:
        """The inverse of :meth:`native`: what to command so that ``native (4,)`` happens."""
        config, arm = self._config, self._kinematics()
        vector = np.asarray(native, np.float64)
        command = config.control.command(vector[:3], config.frame, arm)
        return self._space.clip(np.append(command, vector[3]))

    def snapshot(self) -> Snapshot:
        """The state now, see :meth:`MetaWorld.snapshot`."""
        return replace(self._inner.snapshot(), world=self._spec.name)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``, see :meth:`MetaWorld.restore`.

        Raises:
            ValueError: the snapshot is another world's.
        """
        if snapshot.world != self._spec.name:
            raise ValueError(f"a snapshot of {snapshot.world!r} is none of {self._spec.name!r}")
        return self._seen(self._inner.restore(replace(snapshot, world=self._inner.spec.name)))

    def close(self) -> None:
        """Free the engine. May be called twice."""
        self._arm = None
        self._inner.close()

    def _kinematics(self) -> Arm:
        env = self._inner._running().slot.env
        if self._arm is None or self._arm[0] is not env:
            self._arm = (env, Arm(env))
        return self._arm[1]

    def _seen(self, observation: Observation) -> Observation:
        """The simulation's observation as this embodiment sees it."""
        frame, truth = self._config.frame, self._truth()
        hand, gripper = truth[:3], truth[3:4]
        points = np.stack([truth[4:7], truth[11:14], truth[36:39]])  # (3, 3)
        there = points.any(axis=1, keepdims=True)
        based = np.where(there, frame.point(points), 0.0)
        state = {
            "proprio": np.concatenate([frame.point(hand), gripper]),
            "joints": self._kinematics().joints,
            "objects": based.reshape(-1),
            "scene": np.concatenate([hand, points.reshape(-1), gripper]),
        }
        privileged = dict(observation.privileged)
        if self._config.simulation.privileged:
            clean = native_expert(self._inner._running().task.name, truth)
            privileged[EXPERT] = self.command(clean).astype(np.float64)
        return replace(
            observation,
            state={name: value.astype(np.float32) for name, value in state.items()},
            privileged=privileged,
        )

    def _truth(self) -> NDArray[np.float64]:
        """Meta-World's observation, ``(39,)``."""
        return np.asarray(self._inner._running().slot.env._last_stable_obs, np.float64)


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> NDArray[np.float32]:
    """Meta-World's expert in the interface's own commands: the world has converted its action
    already, knowing the arm's state.

    Args:
        task_name: not needed.
        privileged: ``observation.privileged[EXPERT]``, ``(A,)``.
    """
    return privileged.astype(np.float32)


def expert_noise(config: MetaWorldInterface.Config, metres: float) -> float:
    """The ``noise`` of an ``ExpertPolicy`` that moves the hand by about ``metres`` per step."""
    return metres / config.control.metres_per_half_range(config.frame)


INTERFACES: dict[str, MetaWorldInterface.Config] = {
    "ee_delta": MetaWorldInterface.Config(),
    "ee_absolute": MetaWorldInterface.Config(control=EndEffectorAbsolute()),
    "joint_delta": MetaWorldInterface.Config(control=JointDelta()),
    "mirrored": MetaWorldInterface.Config(frame=BaseFrame(mirrored=True)),
    "tool_delta": MetaWorldInterface.Config(control=EndEffectorDelta(tool=True)),
}
"""Interfaces by the name that the documentation and the systems use."""


def _spec(config: MetaWorldInterface.Config, inner: WorldSpec) -> WorldSpec:
    space = config.control.space(config.frame)
    privileged = inner.observations.privileged
    if config.simulation.privileged:
        expert = StateVector(name=EXPERT, names=space.names, unit="as the action")
        privileged = (*privileged, expert)
    return replace(
        inner,
        name=EXPERT,
        observations=replace(
            inner.observations,
            states=(PROPRIO, ANGLES, OBJECTS, SCENE),
            privileged=privileged,
        ),
        accepts=space,
        provenance={
            **inner.provenance,
            "control": to_dict(config.control),
            "frame": to_dict(config.frame),
        },
    )
