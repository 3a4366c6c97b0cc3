"""The contract of a world: Gymnasium's reset and step, plus snapshot, restore and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

import msgpack

from enactive.actions.spaces import ActionSpace
from enactive.observations import Observation, ObservationSpec, Task, TaskSpec
from enactive.registry import suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSpec:
    """An event a world may report: a named fact of an episode, such as ``grasped``."""

    name: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationSpec:
    """Something that a world can make different about a task's scene, to see what breaks."""

    name: str
    """E.g. ``"camera-2"``: names are given in :attr:`enactive.observations.Task.perturbations`."""
    axis: str
    """What is changed, and nothing else is: ``"object"``, ``"distractor"``, ``"camera"``..."""
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldSpec:
    """Everything that can be known of a world before it runs."""

    name: str
    """Registered name, e.g. ``"metaworld"``."""
    version: str
    """Version of the simulator package that defines dynamics and assets."""
    observations: ObservationSpec
    accepts: ActionSpace
    tasks: tuple[TaskSpec, ...]
    rate_hz: float
    """Control steps per second of world time."""
    events: tuple[EventSpec, ...] = ()
    perturbations: tuple[PerturbationSpec, ...] = ()
    snapshots: bool = False
    """Whether ``snapshot``/``restore`` are bit-exact."""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values: package versions, render quality, cameras, anything a picture depends on."""

    def task(self, name: str) -> TaskSpec:
        """The task called ``name``; raises ``KeyError`` with suggestions."""
        for task in self.tasks:
            if task.name == name:
                return task
        known = [task.name for task in self.tasks]
        raise KeyError(f"{self.name} has no task {name!r}; {suggest(name, known)}")

    def check_task(self, task: Task) -> TaskSpec:
        """The declaration of ``task``; what a world's ``reset`` calls first.

        Raises:
            KeyError: the world has no such task.
            ValueError: the world cannot make one of its perturbations.
        """
        known = [one.name for one in self.perturbations]
        for name in task.perturbations:
            if name not in known:
                raise ValueError(
                    f"{self.name} has no perturbation {name!r}; "
                    + (suggest(name, known) if known else "it has none")
                )
        return self.task(task.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one control step gave."""

    observation: Observation
    reward: float
    terminated: bool
    """The task ended by its own rules."""
    truncated: bool
    """A limit ended it."""
    success: bool
    """The task's own success test holds now."""
    events: tuple[str, ...] = ()
    """Names of the events that happened during this step, declared in :attr:`WorldSpec.events`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The complete state of a world at one time, opaque but serialisable."""

    world: str
    payload: bytes
    """msgpack; never pickle."""

    @classmethod
    def pack(cls, world: str, state: Mapping[str, Any]) -> Snapshot:
        """The snapshot of the world called ``world`` that holds ``state``, msgpack values."""
        return cls(world=world, payload=cast(bytes, msgpack.packb(dict(state))))

    def unpack(self, world: str) -> dict[str, Any]:
        """What :meth:`pack` was given.

        Raises:
            ValueError: it is another world's than that called ``world``.
        """
        if self.world != world:
            raise ValueError(f"a snapshot of {self.world!r} is none of {world!r}")
        return msgpack.unpackb(self.payload)


@runtime_checkable
class World(Protocol):
    """What executes actions. One episode at a time; parallel worlds live in a pool."""

    @property
    def spec(self) -> WorldSpec: ...

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode; ``(task, seed)`` decides every bit of its initial state."""
        ...

    def step(self, action: Any) -> Step:
        """Execute one action of ``spec.accepts``; out-of-space actions raise ``ValueError``."""
        ...

    def snapshot(self) -> Snapshot:
        """The state now; raises ``NotSupported`` where ``spec.snapshots`` is false."""
        ...

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; what follows is bit-equal to what followed it then."""
        ...

    def close(self) -> None:
        """Free the engine and its renderer. May be called twice."""
        ...


class NotSupported(RuntimeError):
    """The world cannot do what was asked, and says so in its spec."""
