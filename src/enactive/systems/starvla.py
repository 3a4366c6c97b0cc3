"""StarVLA (2026, arXiv 2604.05014): one backbone, one trainer, heads that change by a name.

Its four heads are parts here: FAST (:mod:`enactive.models.heads.autoregressive` over
:mod:`enactive.models.tokenizers.dct_bpe`), OFT (:mod:`enactive.models.heads.l1`), PI
(:mod:`enactive.models.heads.layerwise_flow`) and GR00T
(:mod:`enactive.models.heads.flow_matching`). Published vision-language models take the small
backbone's place under the name :mod:`enactive.models.backbones.vision_language`.

The claim asks whether the choice of head matters where tasks are easy: less than twice what another
seed of the same head changes. A unit therefore trains every policy twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from enactive import configuration
from enactive.evaluation.claims.claim import Claim, Hypothesis, Measurement
from enactive.models.action_model import ActionModel
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.autoregressive import Autoregressive
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.head import HeadConfig
from enactive.models.heads.l1 import L1
from enactive.models.heads.layerwise_flow import LayerwiseFlow
from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.models.tokenizers.tokenizer import TokenizerConfig
from enactive.policies.chunked import ChunkedPolicy
from enactive.systems.demonstrations import (
    METAWORLD,
    PUSHT,
    metaworld_demonstrations,
    pusht_demonstrations,
)
from enactive.systems.experiment import LANES, evaluate_policy, measurement, train_policy

HORIZON, EXECUTE, WIDTH, BATCH = 16, 8, 64, 32
TASKS = ("drawer-open", "window-open", "button-press-topdown")
RUNS = 2
"""Policies that a unit trains on each suite, with seeds of their own."""

# Depths and inner widths that give all heads 205 000 to 208 000 parameters at width 64.
HEADS: Mapping[str, tuple[HeadConfig, TokenizerConfig | None]] = {
    "FAST": (Autoregressive.Config(mlp_ratio=4), DctBpe.Config(vocabulary=512, chunks=4096)),
    "OFT": (L1.Config(depth=3, mlp_ratio=4), None),
    "PI": (LayerwiseFlow.Config(mlp_ratio=3), None),
    "GR00T": (FlowMatching.Config(mlp_ratio=3), None),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """Where policies are trained and tried."""

    name: str
    world: Any
    tasks: tuple[str, ...]
    states: tuple[str, ...]
    """What a policy reads."""
    steps: int
    episodes: int
    """Of each task."""
    outcome: str
    """What counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Size of the experiment."""

    demonstrations: int = 200
    """Of PushT."""
    task_demonstrations: int = 15
    """Of each task of Meta-World."""
    steps: int = 600
    """Of each training on Meta-World."""
    hard_steps: int = 400
    """Of each training on PushT."""
    episodes: int = 16
    """Of PushT, in every evaluation."""
    task_episodes: int = 8
    """Of each task of Meta-World."""
    max_steps: int = 150
    seeds: tuple[int, ...] = (0, 1, 2, 3)


QUICK = Scale(
    demonstrations=4, task_demonstrations=1, steps=8, hard_steps=8, episodes=1, task_episodes=1,
    max_steps=10, seeds=(0,),
)  # fmt: skip


def claim(quick: bool = False) -> Claim:
    """The claim; ``quick`` shows that everything runs."""
    scale = QUICK if quick else Scale()

    def easy(shared: Path) -> Path:
        return metaworld_demonstrations(
            shared, tasks=TASKS, episodes=scale.task_demonstrations, noise=0.3
        )

    def hard(shared: Path) -> Path:
        return pusht_demonstrations(shared, episodes=scale.demonstrations, noise=0.02)

    def prepare(shared: Path) -> None:
        easy(shared)
        hard(shared)

    def measure(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        outcomes: dict[str, float] = {"changed_parts": changed_parts(arm)}
        episodes: dict[str, tuple[float, ...]] = {}
        cost: dict[str, float] = {}
        for suite in suites(scale):
            data = easy(shared) if suite.name == "easy" else hard(shared)
            for run in range(RUNS):
                place = directory / f"{suite.name}-{run}"
                trained = train_policy(
                    model(arm, suite.states), data, place / "policy",
                    steps=suite.steps, batch_size=BATCH, seed=RUNS * seed + run,
                    action_key="action.expert",
                )  # fmt: skip
                evaluation = evaluate_policy(
                    trained.model, suite.world, suite.tasks, place / "evaluation",
                    # The same initial states for both runs and all arms of a seed.
                    episodes=suite.episodes, first_seed=1_000_000 + 1_000 * seed,
                    max_steps=scale.max_steps,
                    config=ChunkedPolicy.Config(execute=EXECUTE, batch_size=LANES),
                )  # fmt: skip
                found = measurement(evaluation, trained.cost)
                outcomes[f"{suite.name}/{run}"] = found.outcome(suite.outcome)
                episodes[f"{suite.name}/{run}"] = tuple(found.episodes[suite.outcome])
                # Parameters and passes of the first policy; seconds and steps of all.
                added = ("train_seconds", "train_steps") if cost else ()
                cost = {**found.cost, **cost, **{n: cost[n] + found.cost[n] for n in added}}
            runs = [outcomes[f"{suite.name}/{run}"] for run in range(RUNS)]
            outcomes[suite.name] = float(np.mean(runs))
        return Measurement(outcomes=outcomes, episodes=episodes, cost=cost)

    return Claim(
        system="starvla",
        title="StarVLA: four action heads on one backbone",
        statement=(
            "On easy tasks, at equal data, steps and parameters, the choice among four action "
            "heads changes success by less than twice what another seed of the same head changes, "
            "and a head is exchanged by naming it."
        ),
        source=(
            "StarVLA 2026, arXiv 2604.05014: four frameworks on one backbone; its README's "
            "averages on LIBERO with Qwen2.5-VL are 95.2 (FAST), 96.1 (OFT), 95.4 (PI) and 95.4 "
            "(GR00T), the authors' figures"
        ),
        world=(
            f"Easy: Meta-World from states, {', '.join(TASKS)}, {scale.task_demonstrations} "
            "scripted demonstrations of each, one policy for all. Hard: PushT from states, "
            "the T beginning at 40 % of its usual distance and angle from its mark, "
            f"{scale.demonstrations} demonstrations of a planner that goes round the T either "
            "way. Executed actions are slightly disturbed, the undisturbed ones are imitated."
        ),
        arms={
            "FAST": "autoregression over DCT and byte-pair ids, 512 of them, the most probable one",
            "OFT": "L1 regression of the whole chunk in one pass, 3 layers",
            "PI": "flow matching, each layer attending to its layer of the backbone, 10 steps",
            "GR00T": "flow matching attending to the backbone's last layer, 10 steps",
        },
        controls={
            "A spread between heads also holds the seeds' noise": "every head is trained twice "
            "per seed, and the two runs tell how much that is",
            "Heads differ in size": "depths and inner widths make them equal within 2 %",
            "Tasks that all solve make any two heads alike": "rates are on the page; tasks and "
            "steps were fixed on one run of one head, not on a comparison",
            "A head refactored under old weights": "heads carry a version that checkpoints keep, "
            "and another version is refused (enactive.models.heads.head)",
            "Image size or order of cameras taken on trust": "a policy refuses a world whose "
            "cameras are not its own (enactive.policies.chunked)",
        },
        hypotheses=hypotheses(),
        seeds=scale.seeds,
        budget=(
            f"every policy {scale.steps} steps of {BATCH} windows on the easy tasks and "
            f"{scale.hard_steps} on PushT; {scale.task_episodes} episodes of each easy task and "
            f"{scale.episodes} of PushT, at most {scale.max_steps} steps; {RUNS} policies per "
            "suite, head and seed"
        ),
        measure=measure,
        prepare=prepare,
        parts={
            "FAST": "enactive.models.heads.autoregressive",
            "FAST's ids": "enactive.models.tokenizers.dct_bpe",
            "OFT": "enactive.models.heads.l1",
            "PI": "enactive.models.heads.layerwise_flow",
            "GR00T": "enactive.models.heads.flow_matching",
            "vision-language models": "enactive.models.backbones.vision_language",
        },
        not_tried=(
            "a pretrained vision-language model: the adapter is tested on tiny random instances "
            "of the real classes (Qwen2-VL, Qwen2.5-VL, Qwen3-VL, SmolVLM, Idefics3, PaliGemma), "
            "where naming the backbone and its files swaps it in",
            "pictures, and LIBERO",
            "world-model backbones, and the policy server with its handshake",
        ),
        scale_note=(
            "The paper: language models of some billions of parameters, 30 000 steps. Here: a "
            f"backbone of 0.14 million parameters on states, {scale.steps} steps at most."
        ),
    )  # fmt: skip


def hypotheses() -> tuple[Hypothesis, ...]:
    """What is claimed, and what is reported beside it."""
    return (
        Hypothesis(
            name="easy tasks",
            statement="Success differs between heads by less than twice what it differs between "
            "runs of one head",
            value=lambda arms: spread_beyond_runs(arms, "easy"),
            direction="less", threshold=0.0, unit="success rate",
            resolution=1 / (len(TASKS) * Scale().task_episodes),
        ),
        Hypothesis(
            name="one name",
            statement="Exchanging a head changes one part of a model's configuration, and the "
            "tokenizer where the head predicts ids",
            value=lambda arms: max(
                arms[arm].outcome("changed_parts") - (HEADS[arm][1] is not None) for arm in HEADS
            ),
            direction="less", threshold=1.0, unit="parts", exact=True,
        ),
        Hypothesis(
            name="hard task",
            statement="On PushT heads differ by more than twice what runs of one head differ",
            value=lambda arms: spread_beyond_runs(arms, "hard"),
            direction="greater", threshold=0.0, unit="best reward of an episode", primary=False,
        ),
        Hypothesis(
            name="regression passes",
            statement="OFT takes one pass of the head per chunk",
            value=lambda arms: arms["OFT"].cost["head_passes"],
            direction="less", threshold=1.0, unit="passes", primary=False, exact=True,
        ),
        Hypothesis(
            name="flow passes",
            statement="Flow matching takes more passes than OFT",
            value=lambda arms: (
                min(arms[arm].cost["head_passes"] for arm in ("PI", "GR00T"))
                - arms["OFT"].cost["head_passes"]
            ),
            direction="greater", threshold=1.0, unit="passes", primary=False, exact=True,
        ),
        Hypothesis(
            name="autoregressive passes",
            statement="Autoregression over compressed ids takes more passes than flow matching",
            value=lambda arms: (
                arms["FAST"].cost["head_passes"]
                - max(arms[arm].cost["head_passes"] for arm in ("PI", "GR00T"))
            ),
            direction="greater", threshold=1.0, unit="passes", primary=False, exact=True,
        ),
    )  # fmt: skip


def suites(scale: Scale) -> tuple[Suite, Suite]:
    """The easy one and the hard one."""
    return (
        Suite(
            name="easy",
            world=METAWORLD,
            tasks=TASKS,
            states=("proprio", "objects"),
            steps=scale.steps,
            episodes=scale.task_episodes,
            outcome="success",
        ),
        Suite(
            name="hard",
            world=PUSHT,
            tasks=("push-t",),
            states=("proprio", "keypoints"),
            steps=scale.hard_steps,
            episodes=scale.episodes,
            outcome="best_reward",
        ),
    )


def model(arm: str, states: tuple[str, ...]) -> ActionModel.Config:
    """The small policy from states that all arms share but for head and tokenizer."""
    head, tokenizer = HEADS[arm]
    return ActionModel.Config(
        states=states,
        horizon=HORIZON,
        backbone=SmallVLA.Config(width=WIDTH, depth=2),
        head=head,
        tokenizer=tokenizer,
    )


def spread_beyond_runs(arms: Mapping[str, Measurement], suite: str) -> float:
    """Spread between heads less twice the spread between runs of one head.

    Both are standard deviations: of the heads' means over their runs, and of single runs about
    their head's mean, pooled over heads.
    """
    runs = np.array(
        [[arms[arm].outcome(f"{suite}/{run}") for run in range(RUNS)] for arm in HEADS]
    )  # (heads, runs)
    between = runs.mean(1).std(ddof=1)
    within = np.sqrt(runs.var(axis=1, ddof=1).mean())
    return float(between - 2 * within)


def changed_parts(arm: str, reference: str = "GR00T") -> float:
    """Parts of the model's configuration that differ from the arm ``reference``'s."""
    own, other = (configuration.to_dict(model(one, ("proprio",))) for one in (arm, reference))
    changed = {path.partition(".")[0] for path in _differences(own, other, "")}
    return float(len(changed))


def _differences(one: Any, other: Any, where: str) -> Iterator[str]:
    """Dotted paths of the leaves that differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            path = f"{where}.{name}" if where else name
            yield from _differences(one.get(name), other.get(name), path)
    elif one != other:
        yield where
