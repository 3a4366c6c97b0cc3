"""The world that both ends of the tests' conversations know, and results to compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from enactive.actions.decision import Cost
from enactive.evaluation.plan import evaluation_plan
from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.rollouts import rollout
from enactive.observations import Observation
from enactive.policies.policy import Policy
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import PushT

WORLD = PushT.Config(cameras=(), states=("proprio", "block"), max_steps=14)
"""Cheap: state vectors only, short episodes."""


def actions_of(policy: Policy, seen: list[Observation], seed: int) -> list[Any]:
    """What the policy decides on these observations of one episode."""
    task = WORLD.build().spec.tasks[0].task()
    memory, actions = policy.begin(task, seed), []
    for observation in seen:
        decision = policy.act([observation], [memory])[0]
        memory = decision.memory
        actions.append(decision.action)
    return actions


def evaluated(policy: Policy, lanes: int = 1) -> list[EpisodeResult]:
    """Three episodes, without what may differ: ids name the policy, time is a measurement."""
    with WorldPool(WORLD, 0, local=lanes) as pool:
        plan = evaluation_plan(pool.spec, [task.name for task in pool.spec.tasks], 3)
        results = rollout(pool, policy, plan)
    return [replace(result, id="", cost=Cost()) for result in results]
