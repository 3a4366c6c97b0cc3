"""One episode in flight: what is counted while it runs, when it ends, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from enactive.actions.decision import Cost, Decision
from enactive.episodes.episode import Episode, EpisodeHeader, Outcome, world_record
from enactive.episodes.journal import EpisodeRecorder
from enactive.evaluation.plan import EpisodePlan, Rules
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.worlds import config_record
from enactive.observations import Observation
from enactive.policies.policy import Policy
from enactive.worlds.world import Step, WorldSpec


@dataclass(kw_only=True, slots=True)
class Attempt:
    """An episode in flight. Order of calls: :meth:`saw`, then :meth:`decided`, :meth:`took`, ..."""

    id: str
    plan: EpisodePlan
    rules: Rules
    limit: int
    """Steps after which it ends."""
    memory: Any
    """The policy's."""
    recorder: EpisodeRecorder | None = None
    observation: Observation | None = None
    """The latest."""
    decision: Decision | None = None
    """The latest."""
    steps: int = 0
    success_step: int | None = None
    stop_step: int | None = None
    """Steps after which it is over because something it waited for has happened."""
    reward: float = 0.0
    best_reward: float | None = None
    events: dict[str, int] = field(default_factory=dict[str, int])
    decisions: int = 0
    cost: Cost = field(default_factory=Cost)
    result: EpisodeResult | None = None
    """Set when it is over."""

    def saw(self, observation: Observation) -> None:
        """The world was reset."""
        self.observation = observation

    def decided(self, decision: Decision) -> None:
        """The policy answered the latest observation."""
        self.decision = decision
        self.memory = decision.memory
        self.cost += decision.cost
        self.decisions += decision.chain is not None

    def took(self, step: Step) -> bool:
        """Count and record a step of the world; whether the episode is over."""
        assert self.observation is not None and self.decision is not None
        if self.recorder is not None:
            self.recorder.step(self.observation, self.decision, step)
        for event in step.events:
            self.events.setdefault(event, self.steps)
        self.steps += 1
        reward = float(np.float32(step.reward))  # the precision the journal keeps
        self.reward += reward
        self.best_reward = reward if self.best_reward is None else max(self.best_reward, reward)
        if step.success and self.success_step is None:
            self.success_step = self.steps
        if self.stop_step is None and self._stops(step):
            self.stop_step = self.steps + self.rules.success_hold
        self.observation = step.observation
        limited = step.truncated or self.steps >= self.limit
        stopped = self.stop_step is not None and self.steps >= self.stop_step
        if not (step.terminated or limited or stopped):
            return False
        self._finish(step, truncated=limited and not step.terminated)
        return True

    def _stops(self, step: Step) -> bool:
        succeeded = self.rules.stop_on_success and step.success
        return succeeded or any(event in self.plan.stop_on for event in step.events)

    def _finish(self, step: Step, *, truncated: bool) -> None:
        ever = self.success_step is not None
        outcome = Outcome(
            success=step.success if self.rules.success == "end" else ever,
            steps=self.steps,
            terminated=step.terminated,
            truncated=truncated,
            events=self.events,
        )
        if self.recorder is not None:
            self.recorder.finish(outcome, step.observation)
        self.result = EpisodeResult(
            id=self.id,
            success=outcome.success,
            steps=self.steps,
            success_step=self.success_step,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            reward=self.reward,
            best_reward=self.best_reward or 0.0,
            events=self.events,
            decisions=self.decisions,
            cost=self.cost,
            **plan_fields(self.plan),
        )


def step_limit(world: WorldSpec, plan: EpisodePlan, rules: Rules) -> int:
    """Steps after which an episode ends: the task's own limit, or the rules' if that is less."""
    limit = world.task(plan.task.name).max_steps
    return limit if rules.max_steps is None else min(limit, rules.max_steps)


def header_of(
    name: str,
    plan: EpisodePlan,
    policy: Policy,
    world: WorldSpec,
    world_config: Any,
    rules: Rules,
    provenance: Mapping[str, Any],
) -> EpisodeHeader:
    """The header under which an episode is recorded."""
    return EpisodeHeader(
        id=name,
        index=plan.index,
        task=plan.task,
        seed=plan.seed,
        world={**world_record(world), "config": config_record(world_config)},
        policy=policy.name,
        provenance={
            **provenance,
            "policy": dict(policy.describe()),
            "rules": asdict(rules),
            "plan": {
                "group": plan.group,
                "repeat": plan.repeat,
                "instructed": plan.instructed,
                "stop_on": list(plan.stop_on),
            },
        },
    )


def result_of(
    name: str, plan: EpisodePlan, outcome: Outcome, record: Episode | None
) -> EpisodeResult:
    """The result of an episode that was recorded: what :class:`Attempt` reported when it ran.

    Args:
        record: the whole episode; without it (it is no longer in its journal) reward, decisions and
            cost are 0 and the step of success is unknown.
    """
    held = [] if record is None else np.flatnonzero(record.successes).tolist()
    rewards = [] if record is None else record.rewards.tolist()
    made = () if record is None else record.deliberations
    return EpisodeResult(
        id=name,
        success=outcome.success,
        steps=outcome.steps,
        success_step=held[0] + 1 if held else None,
        terminated=outcome.terminated,
        truncated=outcome.truncated,
        reward=float(sum(rewards)),
        best_reward=float(max(rewards, default=0.0)),
        events=dict(outcome.events),
        decisions=len(made),
        cost=sum((deliberation.cost for deliberation in made), Cost()),
        **plan_fields(plan),
    )


def plan_fields(plan: EpisodePlan) -> dict[str, Any]:
    """The fields that a result takes over from its plan."""
    return {
        "index": plan.index,
        "task": plan.task.name,
        "instruction": plan.task.instruction,
        "seed": plan.seed,
        "repeat": plan.repeat,
        "group": plan.group,
        "instructed": plan.instructed,
        "stop_on": plan.stop_on,
        "perturbations": plan.task.perturbations,
    }
