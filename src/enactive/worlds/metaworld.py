"""Meta-World (package ``metaworld``): 50 tabletop tasks of a Sawyer arm, with cameras and language.

Yu et al., "Meta-World: A Benchmark and Evaluation for Multi-Task and Meta Reinforcement Learning"
(CoRL 2019), in the package's v3 environments. What this adapter adds: natural-language
instructions, metric action units, cameras with declared render quality, bit-exact snapshots, and
resets that depend on ``(task, seed)`` alone.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import Group, VectorSpace
from enactive.configuration import added
from enactive.observations import (
    Camera,
    Observation,
    ObservationSpec,
    StateVector,
    Task,
    TaskSpec,
)
from enactive.registry import refuse_unknown
from enactive.seeding import numpy_generator
from enactive.worlds import metaworld_state
from enactive.worlds.metaworld_engine import EVENTS, begin, environment, facts
from enactive.worlds.metaworld_experts import METRES_PER_UNIT
from enactive.worlds.metaworld_instructions import HELD_OUT, TRAINING
from enactive.worlds.mujoco_rendering import (
    Canvas,
    Quality,
    Renderer,
    View,
    assert_not_blank,
    backend,
)
from enactive.worlds.world import Snapshot, Step, WorldSpec

RATE_HZ = 80.0
"""5 simulation steps of 2.5 ms each per control step."""

FRONT = View(name="front", lookat=(0.0, 0.67, 0.14), distance=0.92, azimuth=135.0, elevation=-30.0)
"""The whole workspace over the robot's shoulder, where ``corner2`` looks from."""

CLOSE = View(name="close", lookat=(0.0, 0.69, 0.12), distance=0.8, azimuth=-90.0, elevation=-50.0)
"""The objects from the far side of the table, facing the robot: handles, their positions on the
table and the fingers above them are all in view, and the forearm hides little. Steeper looks are
quicker to draw (the base falls out of the picture), but there the forearm covers what the fingers
do."""

CORNER2 = View(name="corner2", fixed="corner2", upside_down=True)
"""The camera most used with Meta-World. The package mounts it (and corner, corner3, corner4) upside
down; turning the picture, unlike only reversing its rows, does not mirror the scene."""

ACTION_SPACE = VectorSpace(
    groups=(
        Group(
            name="arm", quantity="position", representation="xyz", reference="delta",
            frame="base", unit="m", low=-METRES_PER_UNIT, high=METRES_PER_UNIT,
        ),
        Group(
            name="gripper", quantity="gripper", representation="scalar", reference="absolute",
            frame="base", unit="effort", low=-1.0, high=1.0, positive="closes",
        ),
    ),
    rate_hz=RATE_HZ,
)  # fmt: skip
"""The displacement moves the *target* of the hand (a mocap body that the hand follows within a few
steps), inside the task's box of reachable positions."""

PROPRIO = StateVector(
    name="proprio",
    names=("hand.x", "hand.y", "hand.z", "gripper"),
    unit="mixed: hand in m, gripper opening from 0 (closed) to 1 (open)",
)

OBJECTS = StateVector(
    name="objects",
    names=(
        *(f"object{i}.{name}" for i in (1, 2) for name in ("x", "y", "z", "q0", "q1", "q2", "q3")),
        "goal.x", "goal.y", "goal.z",
    ),
    unit="mixed: positions in m, orientations as quaternions; 0 where a task has no second object",
)  # fmt: skip
"""What of Meta-World's own observation is neither the hand nor the step before: all that its
scripted experts know of the scene, the goal included."""

THINGS = StateVector(name="things", names=OBJECTS.names[:14], unit=OBJECTS.unit)
""":data:`OBJECTS` without the goal. Tasks that share a scene (the two faucet tasks) look the same
in it, as they do in pictures without goal markers."""

TRUTH = StateVector(
    name="metaworld",
    names=tuple(f"{index}" for index in range(39)),
    unit="mixed: Meta-World's observation, hand, gripper, objects, the same one step before, goal",
)


_STATES = {vector.name: vector for vector in (PROPRIO, OBJECTS, THINGS)}

_ENTRIES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float32]]] = {
    "proprio": lambda truth: truth[:4].astype(np.float32),
    "objects": lambda truth: np.concatenate([truth[4:18], truth[36:]]).astype(np.float32),
    "things": lambda truth: truth[4:18].astype(np.float32),
}
"""How each state vector follows from Meta-World's observation ``(39,)``."""


class MetaWorld:
    """All 50 tasks as one world; environments are built when first used and kept.

    Not safe to use from two threads. Make it with ``MetaWorld.Config(...).build()``.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`MetaWorld`."""

        image_size: int = 96
        """Side of the square pictures, pixels."""
        cameras: tuple[View, ...] = (FRONT, CLOSE)
        """The image streams; empty renders nothing."""
        quality: Quality = field(default_factory=Quality)
        """How pictures are drawn; part of the provenance of everything recorded."""
        goal_markers: bool = False
        """Draw the package's goal markers. They show where the goal is, and in scenes that two
        tasks share they give away which task it is; without them, tasks whose goal is nothing but
        the marker (reach, push, pick-place, ...) cannot be solved from pictures alone."""
        privileged: bool = True
        """Give ``Observation.privileged["metaworld"]``, which the scripted experts read."""
        states: tuple[str, ...] = added(("proprio",))
        """State vectors that are shown: ``"proprio"`` and, to learn without pictures,
        ``"objects"`` or, which does not tell the goal, ``"things"``."""
        max_steps: int = 500
        """Control steps after which an episode is truncated; at most Meta-World's own 500."""
        cached_tasks: int = 4
        """How many tasks' environments are kept at a time, about 40 MB each; the one used longest
        ago goes first."""

        def build(self) -> MetaWorld:
            """The world; imports the simulator.

            Raises:
                ValueError: a field is out of range; the message names it.
            """
            return MetaWorld(self)

    def __init__(self, config: Config) -> None:
        _check(config)
        self._config = config
        self._spec = _spec(config)
        self._slots: dict[str, _Slot] = {}
        self._renderer: Renderer | None = None
        self._episode: _Episode | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode; ``(task.name, seed)`` decides every bit of its initial state.

        The initial state is the one that Meta-World itself gives for its task vector, drawn here
        from the stream ``("metaworld", task.name)`` of ``seed``, uniformly as the package does.

        Raises:
            KeyError: Meta-World has no such task; the message suggests which was meant.
            BlackFrame: a camera shows nothing.
        """
        self._spec.check_task(task)
        slot = self._slot(task.name)
        begin(slot.env, slot.pristine, numpy_generator(seed, "metaworld", task.name))
        self._episode = _Episode(task=task, slot=slot)
        observation = self._observe(slot.env._last_stable_obs)
        assert_not_blank(dict(observation.images), self._spec.name)
        return observation

    def step(self, action: Any) -> Step:
        """Execute one ``float (4,)`` action of :data:`ACTION_SPACE`.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running.
        """
        episode = self._running()
        vector = ACTION_SPACE.check(action)
        if episode.steps >= self._config.max_steps:
            raise RuntimeError(f"the episode ended after {episode.steps} steps; call reset")
        units = vector.astype(np.float64)  # (4,)
        units[:3] /= METRES_PER_UNIT
        env = episode.slot.env
        truth, reward, _, _, info = env.step(np.clip(units, -1.0, 1.0).astype(np.float32))
        episode.steps += 1
        holds = facts(env, info)
        events = tuple(name for name in holds if holds[name] and name not in episode.holding)
        episode.holding = tuple(name for name in holds if holds[name])
        return Step(
            observation=self._observe(truth),
            reward=float(reward),
            terminated=False,
            truncated=episode.steps >= self._config.max_steps,
            success=holds["success"],
            events=events,
        )

    def snapshot(self) -> Snapshot:
        """The state now; may be restored in any process that has the same package versions."""
        episode = self._running()
        env = episode.slot.env
        state = {
            "task": episode.task.name,
            "instruction": episode.task.instruction,
            "steps": episode.steps,
            "holding": list(episode.holding),
            "mujoco": metaworld_state.mujoco_state(env).tobytes(),
            "environment": metaworld_state.capture(env),
        }
        return Snapshot.pack(self._spec.name, state)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; what follows is bit-equal to what followed it then.

        Raises:
            ValueError: the snapshot is another world's.
        """
        state = snapshot.unpack(self._spec.name)
        slot = self._slot(state["task"])
        metaworld_state.put_back(slot.env, state["environment"])
        physics = np.frombuffer(state["mujoco"], np.float64).copy()
        metaworld_state.set_mujoco_state(slot.env, physics)
        self._episode = _Episode(
            task=Task(name=state["task"], instruction=state["instruction"]),
            slot=slot,
            steps=state["steps"],
            holding=tuple(state["holding"]),
        )
        return self._observe(slot.env._last_stable_obs)

    def close(self) -> None:
        """Free the engine and its renderer. May be called twice."""
        self._episode = None
        self._slots.clear()
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _running(self) -> _Episode:
        if self._episode is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._episode

    def _slot(self, name: str) -> _Slot:
        """The environment of one task, from the cache or new."""
        slot = self._slots.pop(name, None)
        if slot is None:
            while len(self._slots) >= self._config.cached_tasks:
                oldest = next(iter(self._slots))
                gone = self._slots.pop(oldest)
                if gone.canvas is not None and self._renderer is not None:
                    self._renderer.release(gone.canvas)
            env = environment(name)
            slot = _Slot(env=env, pristine=metaworld_state.capture(env))
            if self._config.cameras:
                slot.canvas = self._render().open(env.model)
        self._slots[name] = slot
        return slot

    def _render(self) -> Renderer:
        if self._renderer is None:
            config = self._config
            self._renderer = Renderer(
                config.cameras, config.image_size, config.quality, config.goal_markers
            )
        return self._renderer

    def _observe(self, truth: NDArray[np.float64]) -> Observation:
        episode = self._running()
        slot = episode.slot
        return Observation(
            images=slot.canvas.draw(slot.env.data) if slot.canvas is not None else {},
            state={name: _ENTRIES[name](truth) for name in self._config.states},
            instruction=episode.task.instruction,
            time=episode.steps / RATE_HZ,
            privileged={"metaworld": truth.copy()} if self._config.privileged else {},
        )


@dataclass(kw_only=True, slots=True)
class _Slot:
    env: Any
    pristine: dict[str, Any]
    canvas: Canvas | None = None


@dataclass(kw_only=True, slots=True)
class _Episode:
    task: Task
    slot: _Slot
    steps: int = 0
    holding: tuple[str, ...] = ()
    """Names of the events whose condition held after the last step."""


def _check(config: MetaWorld.Config) -> None:
    if config.image_size < 1:
        raise ValueError(f"image_size must be positive, got {config.image_size}")
    if not 1 <= config.max_steps <= 500:
        raise ValueError(f"max_steps must lie in [1, 500], got {config.max_steps}")
    if config.cached_tasks < 1:
        raise ValueError(f"cached_tasks must be at least 1, got {config.cached_tasks}")
    refuse_unknown("states", config.states, _STATES)
    names = [view.name for view in config.cameras]
    if len(set(names)) != len(names):
        raise ValueError(f"cameras: two views have the same name: {names}")


def _spec(config: MetaWorld.Config) -> WorldSpec:
    size = config.image_size
    packages = ("metaworld", "mujoco", "gymnasium")
    return WorldSpec(
        name="metaworld",
        version=importlib.metadata.version("metaworld"),
        observations=ObservationSpec(
            cameras=tuple(Camera(name=v.name, height=size, width=size) for v in config.cameras),
            states=tuple(_STATES[name] for name in config.states),
            privileged=(TRUTH,) if config.privileged else (),
        ),
        accepts=ACTION_SPACE,
        tasks=tuple(
            TaskSpec(
                name=name,
                instructions=TRAINING[name],
                held_out_instructions=HELD_OUT[name],
                max_steps=config.max_steps,
            )
            for name in TRAINING
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {name: importlib.metadata.version(name) for name in packages},
            "gl": backend(),
            "image_size": size,
            "cameras": [asdict(view) for view in config.cameras],
            "quality": asdict(config.quality),
            "goal_markers": config.goal_markers,
        },
    )
