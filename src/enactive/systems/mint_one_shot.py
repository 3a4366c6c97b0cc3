"""MINT's one-shot transfer: a policy without language is told the task by one demonstration.

The paper's MINT-Zero, in this reading: a policy is trained on several tasks and never told which.
Two of them, opening and closing a faucet, share their scene, and the state does not hold the goal,
so that nothing that it sees says which one is wanted. Then there is one demonstration of one of the
two, in a layout that was neither trained on nor is tested. Its chunks' first ids are given to the
policy, step by step (:mod:`enactive.policies.intent`), in other layouts. The task is thus one of
those trained on, but unnamed: that is what the first id can say here. A task of which there is no
training data at all is another question, and is not asked.

With the same demonstration and the same evaluation episodes: its actions replayed open loop; the
policy fine-tuned on it; the policy with nothing told; the policy given the *other* task's
demonstration, which should mislead it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enactive.episodes.dataset import Dataset
from enactive.evaluation.claims.claim import Measurement
from enactive.models.action_model import ActionModel
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.intent import IntentPolicy, demonstrated_intent
from enactive.policies.open_loop import OpenLoopPolicy
from enactive.policies.policy import Policy
from enactive.systems.demonstrations import METAWORLD, metaworld_demonstrations
from enactive.systems.experiment import (
    LANES,
    evaluate_policy,
    measurement,
    parameters,
    train_policy,
)
from enactive.training.config import Initial

WORLD = replace(METAWORLD, states=("proprio", "things"))
"""Meta-World as states, without goals: these would tell the two faucet tasks apart."""

TESTED = ("faucet-open", "faucet-close")
"""Tasks that share their scene; the other one's demonstration misleads."""
TASKS = (*TESTED, "drawer-open")
"""What the policy is trained on."""

NOISE = 0.3
"""As in the other arms' demonstrations."""
FIRST_SAMPLE = 41
"""Demonstrations number ``FIRST_SAMPLE + seed`` are the one-shot ones of a seed."""
TUNING_RATE = 3e-4
"""Learning rate of the fine-tuning."""
VARIANTS = ("intent", "replay", "fine-tuned", "untold", "other intent")
"""Ways to use the demonstration; outcomes ``success, VARIANT``."""


def training_set(shared: Path, episodes: int) -> Path:
    """``episodes`` demonstrations of each of :data:`TASKS`, disturbed."""
    return metaworld_demonstrations(
        shared, tasks=TASKS, episodes=episodes, noise=NOISE, world=WORLD
    )


def demonstrated(shared: Path, seed: int) -> dict[str, Path]:
    """One undisturbed demonstration of each of :data:`TESTED`, as datasets."""
    return {
        task: metaworld_demonstrations(
            shared, tasks=(task,), episodes=1, seed=FIRST_SAMPLE + seed, world=WORLD
        )
        for task in TESTED
    }


def actions_of(data: Path) -> NDArray[np.float32]:
    """``float32 (T, A)`` of a dataset of one episode."""
    return np.ascontiguousarray(Dataset.open(data).column("action"), np.float32)


def measure(
    config: ActionModel.Config,
    seed: int,
    directory: Path,
    shared: Path,
    *,
    demonstrations: int,
    steps: int,
    tuning: int,
    episodes: int,
    max_steps: int,
    execute: int,
) -> Measurement:
    """Train without language, then act by each of :data:`VARIANTS`.

    Args:
        config: the policy of the claim's other arms; it is used without instructions and goals.
        seed: of the unit.
        directory: gets all that is made.
        shared: the demonstrations.
        demonstrations: of each task in training.
        steps: of training.
        tuning: steps of the fine-tuning.
        episodes: of each task.
        max_steps: after which an episode has failed.
        execute: actions executed of a chunk.

    Returns:
        ``success`` is that of the variant ``intent``, and so are the costs per decision.
    """
    config = replace(config, states=WORLD.states, instructed=False)
    run = directory / "run"
    data = training_set(shared, demonstrations)
    trained = train_policy(config, data, run, steps=steps, seed=seed, action_key="action.expert")
    acting = ChunkedPolicy.Config(execute=execute, batch_size=LANES)
    single = demonstrated(shared, seed)
    other = dict(zip(TESTED, reversed(TESTED), strict=True))
    tuning_seconds = 0.0

    def told(task: str) -> Policy:
        intent = demonstrated_intent(trained.model, actions_of(single[task]))
        return IntentPolicy(acting, trained.model, intent=intent)

    def replayed(task: str) -> Policy:
        return OpenLoopPolicy(trained.model.interface.produces, actions_of(single[task]))

    def tuned(task: str) -> Policy:
        nonlocal tuning_seconds
        found = train_policy(
            config, single[task], directory / f"tuned-{task}", steps=tuning, seed=seed,
            learning_rate=TUNING_RATE,
            initial=Initial(path=run, statistics=("action", *WORLD.states)),
        )  # fmt: skip
        tuning_seconds += found.cost["train_seconds"]
        return ChunkedPolicy(acting, found.model)

    made: Mapping[str, Callable[[str], Policy]] = {
        "intent": told,
        "replay": replayed,
        "fine-tuned": tuned,
        "untold": lambda task: ChunkedPolicy(acting, trained.model),
        "other intent": lambda task: told(other[task]),
    }
    found: dict[tuple[str, str], Measurement] = {}
    for variant in VARIANTS:
        for task in TESTED:
            evaluation = evaluate_policy(
                made[variant](task), WORLD, (task,), directory / f"{variant}, {task}",
                episodes=episodes, first_seed=1_000_000 + 1000 * seed, max_steps=max_steps,
            )  # fmt: skip
            found[variant, task] = measurement(evaluation)

    def mean(variant: str, name: str) -> float:
        return float(np.mean([found[variant, task].outcome(name) for task in TESTED]))

    outcomes = {"success": mean("intent", "success"), "best_reward": mean("intent", "best_reward")}
    for variant in VARIANTS:
        outcomes[f"success, {variant}"] = mean(variant, "success")
        for task in TESTED:
            outcomes[f"success/{task}, {variant}"] = found[variant, task].outcome("success")
    first = found["intent", TESTED[0]]
    return Measurement(
        outcomes=outcomes,
        episodes={
            f"success, {variant}": [
                value for task in TESTED for value in found[variant, task].episodes["success"]
            ]
            for variant in VARIANTS
        },
        cost={
            **trained.cost,
            "head_parameters": float(parameters(trained.model.head.network)),
            "tuning_seconds": tuning_seconds,
            **{name: mean_cost(found, name) for name in first.cost},
        },
    )


def mean_cost(found: Mapping[tuple[str, str], Measurement], name: str) -> float:
    """Mean over :data:`TESTED` of a cost of the variant ``intent``."""
    return float(np.mean([found["intent", task].cost[name] for task in TESTED]))
