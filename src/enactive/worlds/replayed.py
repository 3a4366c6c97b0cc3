"""Worlds whose engine cannot be put back into a state: snapshots are the episode so far.

Many simulators can neither save nor load everything that decides what comes next. If they are
deterministic under their seed, the seed and the actions since *are* the state: a restore begins the
episode again and executes them, without drawing anything. It is exact and takes as long as the
engine takes. A world of this kind says how its engine begins, steps and is looked at; everything
else of the contract is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.screen import ScreenSpace
from enactive.actions.spaces import VectorSpace
from enactive.observations import Observation, Task, TaskSpec
from enactive.worlds.world import Snapshot, Step, WorldSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one step of an engine gave."""

    reward: float
    success: bool
    """The benchmark's own success test holds now."""
    terminated: bool = False
    truncated: bool = False
    """A limit of the engine's own ended the episode; the task's ``max_steps`` does so anyway."""
    holding: tuple[str, ...] = ()
    """Events whose condition holds now; each is reported at the step at which it begins to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What can be seen of an engine now; see :class:`enactive.observations.Observation`."""

    images: dict[str, NDArray[np.uint8]]
    state: dict[str, NDArray[np.float32]]
    privileged: dict[str, NDArray[np.float64]]
    instruction: str = ""
    """The engine's own sentence, for tasks that are told in the world's words."""
    text: str | None = None
    """What else the engine says in words."""


class ReplayedWorld(ABC):
    """The contract of a world around an engine that is deterministic under its seed."""

    def __init__(self, spec: WorldSpec) -> None:
        self._spec = spec
        self._episode: _Episode | None = None

    @abstractmethod
    def _begin(self, task: TaskSpec, seed: int) -> tuple[str, ...]:
        """Begin an episode; ``(task.name, seed)`` decides every bit. Events that hold already."""

    @abstractmethod
    def _advance(self, action: Any) -> Outcome:
        """Execute one action of ``spec.accepts``."""

    @abstractmethod
    def _view(self) -> View:
        """Look at the engine; must not change it."""

    @abstractmethod
    def close(self) -> None:
        """Free the engine. May be called twice."""

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode; ``(task.name, seed)`` decides every bit of its initial state.

        A task whose instruction is empty is told in the world's own words.

        Raises:
            KeyError: the world has no such task; the message suggests which was meant.
            ValueError: the world cannot make one of the task's perturbations.
        """
        declared = self._spec.check_task(task)
        self._episode = None  # nothing is running if the engine refuses
        holding = self._begin(declared, seed)
        self._episode = _Episode(
            task=task, seed=seed, actions=[], limit=declared.max_steps, holding=holding
        )
        return self._observe()

    def step(self, action: Any) -> Step:
        """Execute one action of ``spec.accepts``.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running, or it has ended.
        """
        episode = self._running()
        if episode.over:
            raise RuntimeError("the episode has ended; call reset")
        space = self._spec.accepts
        if isinstance(space, VectorSpace):
            action = space.check(action)  # says which entry is wrong
        elif not space.contains(action):
            why = space.problem(action) if isinstance(space, ScreenSpace) else ""
            raise ValueError(
                f"action {action!r} is outside the space of {self._spec.name}"
                + (f": {why}" if why else "")
            )
        outcome, truncated = self._execute(episode, action)
        events = tuple(name for name in outcome.holding if name not in episode.holding)
        episode.holding = outcome.holding
        return Step(
            observation=self._observe(),
            reward=float(outcome.reward),
            terminated=bool(outcome.terminated),
            truncated=truncated,
            success=bool(outcome.success),
            events=events,
        )

    def snapshot(self) -> Snapshot:
        episode = self._running()
        state = {
            "task": episode.task.name,
            "instruction": episode.task.instruction,
            "perturbations": episode.task.perturbations,
            "seed": episode.seed,
            "actions": [packed(action) for action in episode.actions],
        }
        return Snapshot.pack(self._spec.name, state)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Execute the snapshot's episode again, up to where it was taken.

        Raises:
            ValueError: the snapshot is another world's.
        """
        state = snapshot.unpack(self._spec.name)
        task = Task(
            name=state["task"],
            instruction=state["instruction"],
            perturbations=tuple(state["perturbations"]),
        )
        self.reset(task, state["seed"])
        episode = self._running()
        for action in state["actions"]:
            outcome, _ = self._execute(episode, unpacked(action))
            episode.holding = outcome.holding
        return self._observe()

    def _execute(self, episode: _Episode, action: Any) -> tuple[Outcome, bool]:
        outcome = self._advance(action)
        episode.actions.append(action)
        truncated = bool(outcome.truncated) or len(episode.actions) >= episode.limit
        episode.over = bool(outcome.terminated) or truncated
        return outcome, truncated

    def _running(self) -> _Episode:
        if self._episode is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._episode

    def _observe(self) -> Observation:
        episode, view = self._running(), self._view()
        return Observation(
            images=view.images,
            state=view.state,
            instruction=episode.task.instruction or view.instruction,
            time=len(episode.actions) / self._spec.rate_hz,
            privileged=view.privileged,
            text=view.text,
        )


@dataclass(kw_only=True, slots=True)
class _Episode:
    task: Task
    seed: int
    actions: list[Any]
    limit: int
    holding: tuple[str, ...] = ()
    """Names of the events whose condition held after the last step."""
    over: bool = False


def packed(action: Any) -> Any:
    """An action as msgpack takes it: a choice, a mapping, or the bytes of a vector."""
    if isinstance(action, np.ndarray):
        return np.asarray(action, np.float32).tobytes()
    return int(action) if isinstance(action, np.integer) else action


def unpacked(value: Any) -> Any:
    """The action that :func:`packed` was given."""
    return np.frombuffer(value, np.float32) if isinstance(value, bytes) else value
