"""All policies of a blind evaluation behind one, which leaves no trace of who decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enactive.actions.decision import Decision
from enactive.actions.spaces import ActionSpace
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.policy import Policy


@dataclass(frozen=True, slots=True)
class Panel:
    """All policies behind one: it finds out from an episode's random stream whose turn it is.

    Of a decision only the action is passed on. Where tokens came from, how often a policy planned
    and how long it took would tell in the recordings which one it was.
    """

    commitment: str
    space: ActionSpace
    members: Mapping[str, Policy]
    """Alias to policy."""
    turns: Mapping[int, str]
    """Policy seed of an episode to the alias that plays it."""

    @property
    def name(self) -> str:
        return "blind"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()  # each member is checked against the world by itself

    @property
    def produces(self) -> ActionSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "blind", "commitment": self.commitment}

    def begin(self, task: Task, seed: int) -> tuple[str, Any]:
        alias = self.turns[seed]
        return alias, self.members[alias].begin(task, seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[tuple[str, Any]]
    ) -> list[Decision]:
        decisions: dict[int, Decision] = {}
        for alias in dict.fromkeys(alias for alias, _ in memories):
            places = [place for place, (mine, _) in enumerate(memories) if mine == alias]
            made = self.members[alias].act(
                [observations[place] for place in places], [memories[place][1] for place in places]
            )
            for place, decision in zip(places, made, strict=True):
                decisions[place] = Decision(action=decision.action, memory=(alias, decision.memory))
        return [decisions[place] for place in range(len(memories))]
