"""Keep still: the action that changes nothing, where the conventions say what that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import VectorSpace
from enactive.observations import Observation, ObservationSpec, Task
from enactive.registry import suggest


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """The hold action of ``space`` at every step.

    "No change" holds a delta or a velocity. An absolute group (a gripper's effort, a joint's
    position) has no such value, so each must be given: zero would be a command like any other.

    Raises:
        ValueError: an absolute group without a value, or a value for a group that is not there.
    """

    space: VectorSpace
    absolute: Mapping[str, float | tuple[float, ...]] = field(
        default_factory=dict[str, "float | tuple[float, ...]"]
    )
    """Group name to the value it keeps, in the group's own unit."""
    action: NDArray[np.float32] = field(init=False)
    """The hold action, ``float32 (A,)``."""

    def __post_init__(self) -> None:
        names = [group.name for group in self.space.groups]
        for name in self.absolute:
            if name not in names:
                raise ValueError(f"the space has no group {name!r}; {suggest(name, names)}")
        missing = [
            group.name
            for group in self.space.groups
            if group.reference not in ("delta", "velocity") and group.name not in self.absolute
        ]
        if missing:
            raise ValueError(
                f"groups {missing} are absolute: nothing says which value keeps them still. "
                f"Give one: HoldPolicy(space, absolute={{{missing[0]!r}: ...}})"
            )
        commanded = np.zeros(self.space.size, dtype=np.float32)  # (A,)
        for name, value in self.absolute.items():
            commanded[self.space.slices[name]] = value
        action = self.space.hold(commanded)
        if action is None:
            raise ValueError(
                f"holding is out of bounds: absolute={dict(self.absolute)} is not in {self.space}"
            )
        action.setflags(write=False)
        object.__setattr__(self, "action", action)

    @property
    def name(self) -> str:
        return "hold"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> VectorSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "hold", "action": self.action.tolist()}

    def begin(self, task: Task, seed: int) -> None:
        return None

    def act(self, observations: Sequence[Observation], memories: Sequence[None]) -> list[Decision]:
        chain = Chain.raw(self.action[None], source="hold")
        return [
            Decision(action=self.action, chain=chain, cost=Cost(), memory=None)
            for _ in observations
        ]
