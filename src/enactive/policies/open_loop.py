"""Open loop: a recorded sequence of actions, whatever is seen. The floor of one-shot imitation."""

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


@dataclass(frozen=True, slots=True)
class OpenLoopPolicy:
    """Step t executes action t of a recording; after its end the last one is repeated.

    Raises:
        ValueError: ``actions`` is not ``(T, A)`` of ``space``, or leaves its bounds.
    """

    space: VectorSpace
    actions: NDArray[np.float32] = field(compare=False)
    """``float32 (T, A)`` in the units of ``space``."""

    def __post_init__(self) -> None:
        if self.actions.ndim != 2 or not len(self.actions):
            raise ValueError(f"actions must be (T, A) with T > 0, got {self.actions.shape}")
        checked = np.stack([self.space.check(action) for action in self.actions])  # (T, A)
        checked.setflags(write=False)
        object.__setattr__(self, "actions", checked)

    @property
    def name(self) -> str:
        return "open loop"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> VectorSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "open_loop", "actions": self.actions.tolist()}

    def begin(self, task: Task, seed: int) -> int:
        """The memory is the step."""
        return 0

    def act(self, observations: Sequence[Observation], memories: Sequence[int]) -> list[Decision]:
        decisions: list[Decision] = []
        for step in memories:
            action = self.actions[min(step, len(self.actions) - 1)]
            chain = Chain.raw(action[None], source="recording")
            decisions.append(Decision(action=action, chain=chain, cost=Cost(), memory=step + 1))
        return decisions
