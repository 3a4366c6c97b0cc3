"""Uniformly random actions: the floor of every comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.observations import Observation, ObservationSpec, Task
from enactive.seeding import numpy_generator


class Samples(ActionSpace, Protocol):
    """An action space that can be drawn from: vectors, choices, keyboard and mouse."""

    def sample(self, generator: np.random.Generator) -> Any: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomMemory:
    """Where an episode's random stream stands."""

    seed: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class RandomPolicy:
    """A new uniform action of ``space`` at every step, read off the episode's own stream."""

    space: Samples

    @property
    def name(self) -> str:
        return "random"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "random"}

    def begin(self, task: Task, seed: int) -> RandomMemory:
        return RandomMemory(seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[RandomMemory]
    ) -> list[Decision]:
        decisions: list[Decision] = []
        for memory in memories:
            generator = numpy_generator(memory.seed, "random_policy", memory.step)
            action = self.space.sample(generator)
            decisions.append(
                Decision(
                    action=action,
                    chain=Chain.raw(
                        action[None] if isinstance(action, np.ndarray) else action, source="random"
                    ),
                    cost=Cost(),
                    memory=RandomMemory(seed=memory.seed, step=memory.step + 1),
                )
            )
        return decisions
