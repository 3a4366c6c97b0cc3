"""The settings of an agent's episode: what is written in its header, and made into it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enactive.configuration import from_dict, part, to_dict
from enactive.episodes.provenance import provenance
from enactive.models.language_models.language_model import LanguageModel
from enactive.observations import Task
from enactive.policies.policy import Policy, check_wiring
from enactive.runtime.agent_run import AgentRun, Doubt, Watcher
from enactive.runtime.budget import Budget
from enactive.runtime.checks import Check
from enactive.runtime.stalls import StallRules


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentSettings:
    """Everything that decides an agent's episode, as plain values."""

    world: Any = part("worlds")
    """Configuration of the world."""
    planner: Any = part("agents")
    """Configuration of the planner; its ``build(model, accepts)`` gives the policy."""
    model: Any = part("language_models", default=None)
    """Configuration of the language model; None for planners that ask none."""
    task: str
    """Name of a task of the world."""
    instruction: str = ""
    """What the policy is told; empty for the world's own words."""
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    stalls: StallRules = field(default_factory=StallRules)

    def build(
        self,
        *,
        checks: Sequence[Check] = (),
        doubt: Doubt | None = None,
        watcher: Watcher | None = None,
        asks: bool = True,
    ) -> AgentRun:
        """The episode. The caller closes its world.

        Args:
            checks: asked about every call, in this order.
            doubt: asked about calls of unknown fate.
            watcher: told of what happens.
            asks: build the language model; not for a replay, which asks nobody.

        Raises:
            KeyError: the world has no such task.
            WiringError: the planner does not fit the world.
        """
        world = self.world.build()
        spec = world.spec
        task = spec.task(self.task).task(self.instruction or None)

        def make(model: LanguageModel) -> Policy:
            policy = self.planner.build(model, spec.accepts)
            check_wiring(policy, spec)
            return policy

        return AgentRun(
            world=world,
            policy=make,
            task=Task(name=task.name, instruction=task.instruction),
            seed=self.seed,
            model=self.model.build() if asks and self.model is not None else None,
            checks=checks,
            budget=self.budget,
            stalls=self.stalls,
            doubt=doubt,
            watcher=watcher,
            record=to_dict(self),
            provenance=provenance(worlds=[spec]).to_dict(),
        )


def settings_of(header: Mapping[str, Any]) -> AgentSettings:
    """The settings that an episode's header holds.

    Raises:
        ConfigurationError: it was run from code and holds none, or they do not fit what is
            installed.
    """
    return from_dict(AgentSettings, header["record"])
