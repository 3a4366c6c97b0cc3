"""What a policy sees, and the declaration of it: observations, cameras, state vectors, tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """One camera stream: ``uint8 (H, W, 3)`` RGB images, first row at the top."""

    name: str
    """Name of the stream, e.g. ``"front"``. Datasets store it as ``observation.images.<name>``."""
    height: int
    """H, pixels."""
    width: int
    """W, pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StateVector:
    """One named state vector: ``float32 (D,)``."""

    name: str
    """Name of the vector, e.g. ``"proprio"``. Datasets store it as ``observation.state`` when it is
    called ``"proprio"`` and as ``observation.<name>`` otherwise."""
    names: tuple[str, ...]
    """Name of each of the D entries, e.g. ``("hand.x", "hand.y", "hand.z", "gripper")``."""
    unit: str
    """Unit of the entries, e.g. ``"m"`` or ``"mixed: see names"``."""

    @property
    def size(self) -> int:
        """D, the number of entries."""
        return len(self.names)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservationSpec:
    """What a world shows, or what a policy needs to see."""

    cameras: tuple[Camera, ...] = ()
    states: tuple[StateVector, ...] = ()
    privileged: tuple[StateVector, ...] = ()
    """Simulator truth (``float64``) that only experts, critics and audits may read. It is never
    recorded as an observation, and a learned policy that consumes it must declare it here."""

    def camera(self, name: str) -> Camera:
        """The camera called ``name``; raises ``KeyError`` naming those that exist."""
        return _named(self.cameras, name, "camera")

    def state(self, name: str) -> StateVector:
        """The state vector called ``name``; raises ``KeyError`` naming those that exist."""
        return _named(self.states, name, "state vector")


_Entry = TypeVar("_Entry", "Camera", "StateVector")


def _named(entries: tuple[_Entry, ...], name: str, kind: str) -> _Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in entries) or "none"
    raise KeyError(f"no {kind} is called {name!r}; there are: {known}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What can be seen at one time."""

    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict[str, NDArray[np.uint8]])
    """Camera name to ``uint8 (H, W, 3)``, RGB, first row at the top."""
    state: Mapping[str, NDArray[np.float32]] = field(default_factory=dict[str, NDArray[np.float32]])
    """State vector name to ``float32 (D,)``."""
    instruction: str = ""
    """The instruction in force, natural language."""
    time: float = 0.0
    """Seconds since the episode began."""
    text: str | None = None
    """Anything else the world says in words (a page's text, a tool's reply)."""
    privileged: Mapping[str, NDArray[np.float64]] = field(
        default_factory=dict[str, NDArray[np.float64]]
    )
    """Simulator truth, see :attr:`ObservationSpec.privileged`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One thing to do: a task of a world, with the wording it is given in."""

    name: str
    """Name of the task in its world, e.g. ``"faucet-open"``: it decides initial states and the
    success test."""
    instruction: str
    """What the policy is told. It need not be the task's own wording: a probe may give another.
    Empty: the policy is told the world's own sentence for the seed, which
    :attr:`Observation.instruction` holds, as in worlds that write one for every scene."""
    perturbations: tuple[str, ...] = ()
    """What is made different about the scene, in order: names of the world's
    :class:`~enactive.worlds.world.PerturbationSpec`. With name and seed they decide the initial
    state; a seed's scene is the same without them except for what they change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec:
    """A task as a world declares it, with its wordings split by use."""

    name: str
    instructions: tuple[str, ...]
    """Wordings for collection and training; the first is the canonical one. None where the world
    has a sentence of its own for every seed, and the task's instruction is therefore empty."""
    held_out_instructions: tuple[str, ...] = ()
    """Paraphrases that no training data may use: the evaluation's."""
    max_steps: int
    """Control steps after which the world truncates."""
    description: str = ""

    def task(self, instruction: str | None = None) -> Task:
        """The task worded as ``instruction``, by default in its canonical wording."""
        own = self.instructions[0] if self.instructions else ""
        return Task(name=self.name, instruction=instruction or own)
