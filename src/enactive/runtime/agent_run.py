"""What an agent's episode is made of, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from enactive.actions.tools import Call
from enactive.episodes.action_log import canonical, digest
from enactive.models.language_models.language_model import LanguageModel
from enactive.observations import Observation, Task
from enactive.policies.policy import Policy
from enactive.runtime.budget import Budget, Spent
from enactive.runtime.checks import Check
from enactive.runtime.stalls import StallRules
from enactive.worlds.world import World

FORMAT = 1

MakePolicy = Callable[[LanguageModel], Policy]
"""Builds the policy around the language model that it is given: a recorded one, in an episode."""


class Doubt(Protocol):
    """Decides on a call that was under way when the process died and may not simply be repeated."""

    async def happened(self, call: Call, path: str) -> bool | None:
        """Whether it had its effect: then it is not made again and its value is unknown; ``False``
        makes it again, ``None`` leaves it in doubt."""
        ...


class Watcher(Protocol):
    """Told of what happens, as it happens."""

    def __call__(self, kind: str, path: str, value: Any) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRun:
    """Everything that decides an agent's episode."""

    world: World
    policy: MakePolicy
    task: Task
    seed: int = 0
    """Of the world's reset and, unless told otherwise, of the policy."""
    policy_seed: int | None = None
    model: LanguageModel | None = None
    """Who answers the policy, if it asks anyone."""
    checks: Sequence[Check] = ()
    """Asked about every call, in this order."""
    budget: Budget = Budget()
    stalls: StallRules = StallRules()
    doubt: Doubt | None = None
    """Asked about calls of unknown fate; without one they fail as ``in_doubt``."""
    watcher: Watcher | None = None
    record: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values kept in the header, from which the run can be made again: configurations."""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values, see :mod:`enactive.episodes.provenance`."""

    def header_of_world(self) -> dict[str, str]:
        """The world's name, its version, and the hash of what it accepts: tools and schemas."""
        spec = self.world.spec
        accepts = digest(canonical(spec.accepts.to_dict())).hex()
        return {"name": spec.name, "version": spec.version, "accepts": accepts}

    def header(self, policy: Policy) -> dict[str, Any]:
        """What is known before the first step."""
        return {
            "format": FORMAT,
            "task": {
                "name": self.task.name,
                "instruction": self.task.instruction,
                "perturbations": list(self.task.perturbations),
            },
            "seed": self.seed,
            "policy_seed": self.seed if self.policy_seed is None else self.policy_seed,
            "world": self.header_of_world(),
            "policy": {"name": policy.name, **policy.describe()},
            "model": None if self.model is None else dict(self.model.describe()),
            "checks": [check.name for check in self.checks],
            "record": dict(self.record),
            "provenance": dict(self.provenance),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentResult:
    """How an agent's episode ended."""

    id: str
    success: bool
    """The world's success test held when it ended."""
    reason: str
    """Why it ended: ``terminated``, ``truncated``, ``stalled: ...``, ``the budget of ...``."""
    spent: Spent
    reward: float
    events: tuple[str, ...]
    """Names of the events that happened, each once, in order."""
    final: Observation
    resumed: int = 0
    """Entries that were on the tape already."""

    def outcome(self) -> dict[str, Any]:
        """What the log keeps of it."""
        return {
            "success": self.success,
            "reason": self.reason,
            "reward": self.reward,
            "events": list(self.events),
            **self.spent.to_dict(),
        }
