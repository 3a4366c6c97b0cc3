"""What the systems' claims have in common: train one arm, evaluate it, say what it cost.

Arms of a claim differ in what they pass here and in nothing else: the same data, steps, batches,
learning rate, evaluation seeds. Policies learn from states, without pictures, unless a claim says
otherwise, and everything runs on one thread, as claims run one unit per process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from enactive.episodes.journal import Journal
from enactive.evaluation.claims.claim import Measurement
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import Rules, Wording, evaluation_plan
from enactive.evaluation.results import EpisodeResult, Evaluation
from enactive.models.action_model import ActionModel
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.policy import Policy
from enactive.training.config import Initial, Optimizer, Source, Stage, Training
from enactive.training.trainer import train
from enactive.worlds.pool import WorldPool

WINDOWS = 32
"""Windows of an optimizer step."""

LANES = 16
"""Worlds at a time in an evaluation, decided on in one batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A policy's model and what it took to make it."""

    model: ActionModel
    """With the averaged weights, in evaluation mode."""
    cost: Mapping[str, float]
    """``train_steps``, ``train_seconds``, ``parameters`` (that are trained) and
    ``tokenizer_parameters`` (that were fitted before)."""


def parameters(module: nn.Module) -> int:
    """Entries of all parameters of ``module``."""
    return sum(parameter.numel() for parameter in module.parameters())


def train_policy(
    model: ActionModel.Config,
    data: Path | Sequence[Source],
    directory: Path,
    *,
    steps: int,
    seed: int,
    batch_size: int = WINDOWS,
    learning_rate: float = 1e-3,
    stages: tuple[Stage, ...] = (),
    action_key: str = "action",
    initial: Initial | None = None,
    align: bool = True,
) -> Trained:
    """Train a model on one thread, or load it where ``directory`` holds it already.

    Args:
        model: the arm's model.
        data: a dataset's directory, or a mixture.
        directory: of the run.
        steps: optimizer steps (of the one stage, if ``stages`` is empty).
        seed: decides initial weights, order of samples, noise and the tokenizer's fit.
        batch_size: windows per step.
        learning_rate: of AdamW, at its peak.
        stages: instead of one stage.
        action_key: the feature that is imitated.
        initial: weights to begin with.
        align: as in :class:`~enactive.training.config.Training`, for mixtures of embodiments.
    """
    sources = (Source(path=data),) if isinstance(data, Path) else tuple(data)
    config = Training(
        run=directory,
        data=sources,
        model=model,
        initial=initial,
        align=align,
        steps=steps,
        stages=stages,
        batch_size=batch_size,
        optimizer=Optimizer(learning_rate=learning_rate),
        # A short run's average must forget its first steps.
        ema_decay=0.99,
        checkpoint_every=1_000_000,
        keep=1,
        log_every=50,
        workers=0,
        threads=1,
        device="cpu",
        action_key=action_key,
        seed=seed,
    )
    started = time.perf_counter()
    result = train(config)
    seconds = time.perf_counter() - started
    if not result.finished:
        raise KeyboardInterrupt
    trained = ActionModel.load(result.checkpoint, "ema")
    fitted = 0 if trained.tokenizer is None else parameters(trained.tokenizer)
    return Trained(
        model=trained,
        cost={
            "train_steps": float(config.total_steps),
            "train_seconds": seconds,
            "parameters": float(parameters(trained) - fitted),
            "tokenizer_parameters": float(fitted),
        },
    )


def evaluate_policy(
    policy: ActionModel | Policy,
    world: Any,
    tasks: Sequence[str],
    directory: Path,
    *,
    episodes: int,
    first_seed: int = 1_000_000,
    max_steps: int | None = None,
    config: ChunkedPolicy.Config | None = None,
    wording: Wording = "canonical",
) -> Evaluation:
    """Roll a policy out on ``episodes`` seeds of each task and keep every episode.

    Args:
        policy: a model, acted with by :class:`ChunkedPolicy`, or any policy.
        world: configuration of the world.
        tasks: names of its tasks.
        directory: gets ``journal.sqlite`` and ``evaluation.json``.
        episodes: per task; all arms must use the same, on the same seeds.
        first_seed: of the episodes; training seeds start at 0.
        max_steps: steps after which an episode has failed.
        config: how the model is acted with; its ``batch_size`` decides the worlds at a time.
        wording: which wordings the policy is told.
    """
    if isinstance(policy, ActionModel):
        policy = ChunkedPolicy(config or ChunkedPolicy.Config(batch_size=LANES), policy)
    directory.mkdir(parents=True, exist_ok=True)
    with (
        WorldPool(world, 0, local=LANES) as pool,
        Journal.open(directory / "journal.sqlite") as journal,
    ):
        plan = evaluation_plan(pool.spec, tasks, episodes, first_seed=first_seed, wording=wording)
        evaluation = evaluate(pool, policy, plan, rules=Rules(max_steps=max_steps), journal=journal)
    evaluation.save(directory / "evaluation.json")
    return evaluation


def measurement(
    evaluation: Evaluation,
    cost: Mapping[str, float] | None = None,
    outcomes: Mapping[str, float] | None = None,
) -> Measurement:
    """An evaluation as a claim's measurement.

    Outcomes are ``success`` (rate), ``best_reward`` (mean over episodes of the largest reward of a
    step) and ``success/TASK``; costs are means per decision that planned anew.

    Args:
        evaluation: of one unit.
        cost: more of it, e.g. :attr:`Trained.cost`.
        outcomes: more of them.
    """
    results = evaluation.group()
    found = {
        "success": float(np.mean([result.success for result in results])),
        "best_reward": float(np.mean([result.best_reward for result in results])),
    }
    tasks = dict.fromkeys(result.task for result in results)
    for task in tasks if len(tasks) > 1 else ():
        own = [result.success for result in results if result.task == task]
        found[f"success/{task}"] = float(np.mean(own))
    return Measurement(
        outcomes={**found, **(outcomes or {})},
        episodes={
            "success": [float(result.success) for result in results],
            "best_reward": [result.best_reward for result in results],
        },
        cost={**(cost or {}), **_per_decision(results)},
    )


def _per_decision(results: Sequence[EpisodeResult]) -> dict[str, float]:
    decisions = max(1, sum(result.decisions for result in results))
    names = ("backbone_passes", "head_passes", "decoder_passes", "milliseconds")
    return {
        name: sum(getattr(result.cost, name) for result in results) / decisions for name in names
    }
