"""Keep still: the action that changes nothing, where the conventions or the world say which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.groups import Group
from enactive.actions.spaces import VectorSpace
from enactive.observations import Observation, ObservationSpec, StateVector, Task
from enactive.registry import suggest
from enactive.worlds.world import WorldSpec

Action = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """Where a world shows what an absolute group commands, in the group's unit and frame."""

    vector: StateVector
    entries: tuple[str, ...]
    """Names in ``vector``, in the group's order."""

    def read(self, observation: Observation) -> Action:
        """What is shown, ``float32``, one number for each of ``entries``."""
        places = [self.vector.names.index(name) for name in self.entries]
        return observation.state[self.vector.name][places]


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """The hold action of ``space`` at every step.

    "No change" holds a delta or a velocity. An absolute group has no such value: zero would be a
    command like any other. A place (the target of a pusher, of a hand, of joints) is held where it
    is shown to be when the episode begins, if ``poses`` says where it is shown; everything else
    needs its value.

    Raises:
        ValueError: an absolute group without a value or a pose, a value or pose for a group that is
            not there, or a pose with another number of entries than its group.
    """

    space: VectorSpace
    absolute: Mapping[str, float | tuple[float, ...]] = field(
        default_factory=dict[str, "float | tuple[float, ...]"]
    )
    """Group name to the value it keeps, in the group's own unit."""
    poses: Mapping[str, Pose] = field(default_factory=dict[str, Pose])
    """Group name to where the world shows its present value."""
    action: Action = field(init=False)
    """The hold action, ``float32 (A,)``; NaN where a pose is held."""

    def __post_init__(self) -> None:
        names = [group.name for group in self.space.groups]
        for name in (*self.absolute, *self.poses):
            if name not in names:
                raise ValueError(f"the space has no group {name!r}; {suggest(name, names)}")
        given = {*self.absolute, *self.poses}
        missing = [one.name for one in _absolute(self.space) if one.name not in given]
        if missing:
            raise ValueError(
                f"groups {missing} are absolute: nothing says which value keeps them still. "
                f"Give one: HoldPolicy(space, absolute={{{missing[0]!r}: ...}})"
            )
        for name, pose in self.poses.items():
            size = self.space.group(name).size
            if len(pose.entries) != size:
                raise ValueError(f"{name!r} has {size} entries, its pose {[*pose.entries]}")
        commanded = self.space.clip(np.zeros(self.space.size))  # (A,)
        for name, value in self.absolute.items():
            commanded[self.space.slices[name]] = value
        action = self.space.hold(commanded)
        if action is None:
            raise ValueError(
                f"holding is out of bounds: absolute={dict(self.absolute)} is not in {self.space}"
            )
        for name in self.poses:
            action[self.space.slices[name]] = np.nan
        action.setflags(write=False)
        object.__setattr__(self, "action", action)

    @classmethod
    def of(cls, world: WorldSpec) -> HoldPolicy:
        """Standing still in ``world``.

        A place that is commanded absolutely is held as a state vector shows it, under names that
        begin with the group's or with ``hand.``. Grippers and other absolute commands stay in the
        middle of their range, which is no effort where they are efforts.

        Raises:
            ValueError: the world accepts no vectors, or shows no such state.
        """
        space = world.accepts
        if not isinstance(space, VectorSpace):
            raise ValueError(f"{world.name} does not accept vector actions")
        absolute: dict[str, float | tuple[float, ...]] = {}
        poses: dict[str, Pose] = {}
        for group in _absolute(space):
            if group.quantity in ("position", "orientation", "joint", "base"):
                poses[group.name] = _shown(group, world)
            else:
                middle = (group.lows + group.highs) / 2
                absolute[group.name] = tuple(float(value) for value in middle)
        return cls(space, absolute, poses)

    @property
    def name(self) -> str:
        return "hold"

    @property
    def consumes(self) -> ObservationSpec:
        vectors = {pose.vector.name: pose.vector for pose in self.poses.values()}
        return ObservationSpec(states=tuple(vectors.values()))

    @property
    def produces(self) -> VectorSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        held = [None if np.isnan(value) else value for value in self.action.tolist()]
        shown = {name: [*pose.entries] for name, pose in self.poses.items()}
        return {"policy": "hold", "action": held, **({"poses": shown} if shown else {})}

    def begin(self, task: Task, seed: int) -> Action | None:
        return None if self.poses else self.action

    def act(
        self, observations: Sequence[Observation], memories: Sequence[Action | None]
    ) -> list[Decision]:
        decisions: list[Decision] = []
        for seen, held in zip(observations, memories, strict=True):
            action = self._at(seen) if held is None else held
            chain = Chain.raw(action[None], source="hold")
            decisions.append(Decision(action=action, chain=chain, cost=Cost(), memory=action))
        return decisions

    def _at(self, observation: Observation) -> Action:
        """The action that holds what is shown."""
        action = self.action.copy()
        for name, pose in self.poses.items():
            action[self.space.slices[name]] = pose.read(observation)
        action = self.space.clip(action)
        action.setflags(write=False)
        return action


def _absolute(space: VectorSpace) -> list[Group]:
    """Groups in which no change is no number."""
    return [group for group in space.groups if group.reference not in ("delta", "velocity")]


def _shown(group: Group, world: WorldSpec) -> Pose:
    for prefix in (f"{group.name}.", "hand."):
        for vector in world.observations.states:
            entries = tuple(name for name in vector.names if name.startswith(prefix))
            if len(entries) == group.size:
                return Pose(vector=vector, entries=entries)
    raise ValueError(
        f"{group.name} is commanded absolutely, and no state of {world.name} shows where it is "
        f"({group.size} entries called {group.name}.… or hand.…); configure the world to show it"
    )
