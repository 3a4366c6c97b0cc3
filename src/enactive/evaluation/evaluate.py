"""Evaluating one policy under one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enactive.episodes.journal import Journal
from enactive.evaluation.plan import (
    EpisodePlan,
    Rules,
    TrainingRecord,
    check_unseen,
    protocol_of,
)
from enactive.evaluation.results import Evaluation
from enactive.evaluation.rollouts import Execute, Listener, locally, rollout
from enactive.evaluation.worlds import config_record
from enactive.policies.policy import Policy
from enactive.worlds.pool import WorldPool


def evaluate(
    pool: WorldPool,
    policy: Policy,
    plan: Sequence[EpisodePlan],
    *,
    rules: Rules | None = None,
    training: TrainingRecord | None = None,
    held_out_wordings: bool = True,
    journal: Journal | None = None,
    listener: Listener | None = None,
    provenance: Mapping[str, Any] | None = None,
    execute: Execute = locally,
) -> Evaluation:
    """Run ``plan`` and keep what came out together with the protocol it came out under.

    Args:
        pool: the worlds.
        policy: who is evaluated.
        plan: the episodes, see :func:`enactive.evaluation.plan.evaluation_plan`.
        rules: when an episode ends and what counts as success.
        training: what the policy was trained on; with it, a plan that repeats an initial state or,
            with ``held_out_wordings``, a wording of the training data is refused before anything
            runs. None for policies that were not trained.
        journal: where the episodes are recorded, and found again after an interruption.
        listener: told of every result.
        provenance: JSON values kept with the evaluation and with each episode.
        execute: where the episodes are run, see :func:`enactive.evaluation.rollouts.rollout`.

    Raises:
        Overlap: the plan is not unseen.
        WiringError: policy and world do not fit.
    """
    rules = rules or Rules()
    if training is not None:
        check_unseen(plan, training, held_out=held_out_wordings)
    protocol = protocol_of(plan, pool.spec, config_record(pool.config), rules)
    results = rollout(
        pool,
        policy,
        plan,
        rules=rules,
        journal=journal,
        listener=listener,
        provenance={**(provenance or {}), "protocol": protocol.hash},
        execute=execute,
    )
    return Evaluation(
        policy=policy.name,
        protocol=protocol,
        episodes=tuple(results),
        provenance={**(provenance or {}), "policy": dict(policy.describe())},
    )
