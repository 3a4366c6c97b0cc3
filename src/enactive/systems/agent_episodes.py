"""Episodes of planners in tool worlds, for claims: a loop in the process, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enactive.actions.decision import Cost
from enactive.models.language_models.language_model import (
    Completion,
    LanguageModel,
    Listener,
    Request,
)
from enactive.observations import Task
from enactive.policies.policy import Policy
from enactive.worlds.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What became of an episode."""

    success: bool
    steps: int
    cost: Cost
    memory: Any
    """The policy's, at the end."""
    said: str
    """The world's last words."""


def play(world: World, policy: Policy, task: Task, seed: int, memory: Any = None) -> Played:
    """One episode, to its end.

    Args:
        world: reset to the task and seed.
        policy: who decides.
        task: with the wording that the policy is told.
        seed: of the world and of the policy's streams.
        memory: what the policy begins with, where it is not ``policy.begin(task, seed)``.
    """
    seen = world.reset(task, seed)
    memory = policy.begin(task, seed) if memory is None else memory
    cost, steps = Cost(), 0
    while True:
        decision = policy.act([seen], [memory])[0]
        memory, cost, steps = decision.memory, cost + decision.cost, steps + 1
        step = world.step(decision.action)
        seen = step.observation
        if step.terminated or step.truncated:
            return Played(
                success=step.success, steps=steps, cost=cost, memory=memory, said=seen.text or ""
            )


@dataclass(slots=True)
class Meter:
    """A language model, and the tokens of each prompt that it was given since the last reset."""

    model: LanguageModel
    prompts: list[int] = field(default_factory=list[int])

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    def describe(self) -> Mapping[str, Any]:
        """The model's."""
        return self.model.describe()

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        """The model's answer; its prompt is counted."""
        completion = self.model.complete(request, listener)
        self.prompts.append(completion.usage.prompt_tokens)
        return completion
