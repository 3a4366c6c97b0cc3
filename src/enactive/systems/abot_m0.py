"""ABot-M0 (arXiv 2602.11236): a head that predicts the clean chunk, "Action Manifold Learning".

The system's part is the head :mod:`enactive.models.heads.clean_action`. The paper reports that its
advantage over a velocity head grows with the size of the chunk. The claim tests this where the
size grows and nothing else does: :class:`Expanded` writes the same actions in a space of more
dimensions, and target and weighting are varied one at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from enactive.evaluation.claims.claim import Claim, Figure, Hypothesis, Measurement
from enactive.evaluation.report.svg import Series, lines
from enactive.models.action_model import ActionModel
from enactive.models.backbones.backbone import Features
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.clean_action import CleanAction
from enactive.models.heads.head import Generators, Head, HeadConfig, HeadSpec, Loss, Samples
from enactive.policies.chunked import ChunkedPolicy
from enactive.seeding import torch_generator
from enactive.systems.demonstrations import PUSHT, pusht_demonstrations
from enactive.systems.experiment import LANES, WINDOWS, evaluate_policy, measurement, train_policy
from enactive.systems.references import References, energy, predicted_chunks, references


class Expanded(Head):
    """A head whose chunks are written with ``size`` entries per step instead of A.

    A fixed matrix with orthonormal columns maps an action to ``size`` entries and its transpose
    maps them back, so that chunks hold the same information at any size and distances between them
    stay: what grows is the space around them, and the noise in it.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(HeadConfig):
        """The head and the size."""

        inner: CleanAction.Config = dataclasses.field(default_factory=CleanAction.Config)
        """The head that works in the larger space."""
        size: int = 32
        """Entries per step, at least A."""
        seed: int = 0
        """Decides the matrix."""

        def build(self, spec: HeadSpec) -> Expanded:
            """Make the head, see :meth:`HeadConfig.build`."""
            return Expanded(self, spec)

    basis: Tensor
    """``float32 (size, A)`` with orthonormal columns."""

    def __init__(self, config: Expanded.Config, spec: HeadSpec) -> None:
        super().__init__(spec)
        if config.size < spec.action_size:
            raise ValueError(
                f"head.size must be at least {spec.action_size} (entries of an action), "
                f"got {config.size}"
            )
        generator = torch_generator(config.seed, "expansion")
        drawn = torch.randn(config.size, spec.action_size, generator=generator)
        self.register_buffer("basis", torch.linalg.qr(drawn).Q)
        self.inner = config.inner.build(dataclasses.replace(spec, action_size=config.size))

    @property
    def network(self) -> nn.Module:
        """The inner head's."""
        return self.inner.network

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """The inner head's loss on the expanded chunk; ``mask`` keeps whole steps ``(B, H)``."""
        if mask.dim() != 2:
            raise ValueError(
                "an expanded head mixes the entries of an action, so that a mask of single "
                "entries means nothing to it. Fix: one embodiment, or the inner head alone"
            )
        return self.inner.loss(features, chunk @ self.basis.T, mask, generator)

    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """The inner head's samples, mapped back."""
        drawn = self.inner.sample(features, generator, samples)
        return dataclasses.replace(drawn, chunk=drawn.chunk @ self.basis)


HORIZON, EXECUTE, WIDTH = 16, 8, 64
SIZES = {"small": 2, "large": 32}
"""Entries per step: chunks of 32 and of 512 numbers. PushT's actions have 2."""
STEPS = {"10": 10, "2": 2}
"""Euler steps of sampling; the policy acts with the first."""

HEADS: Mapping[str, CleanAction.Config] = {
    "clean": CleanAction.Config(target="clean", weighting="velocity", draws=1, steps=10),
    "velocity": CleanAction.Config(target="velocity", weighting="velocity", draws=1, steps=10),
    "clean, uniform": CleanAction.Config(target="clean", weighting="uniform", draws=1, steps=10),
    "velocity, uniform": CleanAction.Config(
        target="velocity", weighting="uniform", draws=1, steps=10
    ),
    "noise": CleanAction.Config(target="noise", weighting="velocity", draws=1, steps=10),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Size of the experiment."""

    demonstrations: int = 200
    steps: int = 2000
    episodes: int = 24
    max_steps: int = 150
    states: int = 12
    """Initial states in which the planner is asked again and again."""
    repeats: int = 16
    samples: int = 12
    seeds: tuple[int, ...] = (0, 1, 2, 3)


QUICK = Scale(
    demonstrations=5, steps=12, episodes=1, max_steps=10, states=2, repeats=4, samples=3, seeds=(0,)
)


def claim(quick: bool = False) -> Claim:
    """The claim; ``quick`` shows that everything runs."""
    scale = QUICK if quick else Scale()

    def demonstrations(shared: Path) -> Path:
        return pusht_demonstrations(shared, episodes=scale.demonstrations, noise=0.02)

    def expert(shared: Path) -> References:
        return references(
            shared, PUSHT, "push-t", states=scale.states, repeats=scale.repeats, horizon=HORIZON
        )

    def prepare(shared: Path) -> None:
        demonstrations(shared)
        expert(shared)

    def measure(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        outcomes: dict[str, float] = {}
        rewards: dict[str, tuple[float, ...]] = {}
        cost: dict[str, float] = {}
        for size, entries in SIZES.items():
            trained = train_policy(
                model(HEADS[arm], entries),
                demonstrations(shared),
                directory / size / "policy",
                steps=scale.steps,
                seed=seed,
                action_key="action.expert",
            )
            found = measurement(
                evaluate_policy(
                    trained.model, PUSHT, ("push-t",), directory / size / "evaluation",
                    episodes=scale.episodes, first_seed=1_000_000 + 1_000 * seed,
                    max_steps=scale.max_steps,
                    config=ChunkedPolicy.Config(execute=EXECUTE, batch_size=LANES),
                ),
                trained.cost,
            )  # fmt: skip
            outcomes[f"best_reward/{size}"] = found.outcome("best_reward")
            rewards[f"best_reward/{size}"] = tuple(found.episodes["best_reward"])
            cost = {**found.cost, "train_seconds": cost.get("train_seconds", 0.0)
                    + found.cost["train_seconds"]}  # fmt: skip
            for name, distance in distances(trained.model, expert(shared), scale, seed).items():
                outcomes[f"energy/{size}/{name}"] = distance
        spread = np.asarray(trained.model.statistics["action"]["std"])
        outcomes["several_modes"] = expert(shared).several_modes(spread)
        return Measurement(outcomes=outcomes, episodes=rewards, cost=cost)

    return Claim(
        system="abot-m0",
        title="ABot-M0: predicting the clean chunk",
        statement=(
            "Under one and the same weighting, a head that predicts the clean chunk learns the "
            "demonstrations' distribution of chunks better than one that predicts the velocity, "
            "and by more the more dimensions the chunk has; in the larger one it also acts better."
        ),
        source=(
            "ABot-M0, arXiv 2602.11236: action manifold learning; comparison with a velocity head "
            "on LIBERO-Plus at chunks of 8 and 30 and at 2 to 10 sampling steps"
        ),
        world=(
            "PushT from states (pusher, corners of the T), the T beginning at 40 % of its usual "
            f"distance and angle from its mark; {scale.demonstrations} demonstrations "
            "of a planner that goes round the T either way, slightly disturbed. Chunks of "
            f"{HORIZON} steps, written with {SIZES['small']} or {SIZES['large']} entries per step "
            "by a fixed orthogonal expansion"
        ),
        arms={
            "clean": "the clean chunk, in velocity weighting: the paper's head",
            "velocity": "the velocity, in velocity weighting: flow matching",
            "clean, uniform": "the clean chunk, in uniform weighting: plain regression of it",
            "velocity, uniform": "the velocity, in uniform weighting",
            "noise": "the noise, in velocity weighting",
        },
        controls={
            "Target and weighting change together": "two targets by two weightings; the central "
            "comparison has the same weighting on both sides",
            "A longer chunk is another task": "the expansion is orthonormal: the same actions, "
            "the same distances, only more dimensions",
            "With one mode regression does as well": "the planner goes either way; its chunks "
            "from the same states are tested for several modes (outcome several_modes)",
            "Networks and samplers differ": "one network, one law of times, one sampler; the "
            "clamp is the same in training and sampling",
        },
        hypotheses=hypotheses(),
        seeds=scale.seeds,
        budget=(
            f"at each size {scale.steps} steps of {WINDOWS} windows, one noise per chunk; "
            f"{scale.episodes} episodes of at most {scale.max_steps} steps; equal parameters"
        ),
        measure=measure,
        prepare=prepare,
        figures=figures,
        parts={
            "head": "enactive.models.heads.clean_action",
            "network": "enactive.models.heads.flow_matching",
            "expansion": "enactive.systems.abot_m0",
            "distances": "enactive.systems.references",
        },
        not_tried=(
            "chunks that grow because there is more to do: longer horizons, two arms",
            "networks of other widths, where the effect should shrink or grow",
            "the paper's backbone, data mixture and three-dimensional features",
        ),
        scale_note=(
            "The paper: a transformer of 16 layers and width 768 beside a vision-language model. "
            f"Here: 2 layers of width {WIDTH} on states."
        ),
    )


def hypotheses() -> tuple[Hypothesis, ...]:
    """What is claimed, and what is reported beside it."""

    def advantage(arms: Mapping[str, Measurement], size: str, steps: str = "10") -> float:
        """How much nearer the expert's distribution the clean target is."""
        name = f"energy/{size}/{steps}"
        return arms["velocity"].outcome(name) - arms["clean"].outcome(name)

    def reward(arms: Mapping[str, Measurement], size: str) -> float:
        name = f"best_reward/{size}"
        return arms["clean"].outcome(name) - arms["velocity"].outcome(name)

    def uniform(arms: Mapping[str, Measurement]) -> float:
        name = "energy/large/10"
        return arms["velocity, uniform"].outcome(name) - arms["clean, uniform"].outcome(name)

    unit = "energy distance, standard deviations"
    return (
        Hypothesis(
            name="gap grows",
            statement="The clean target's advantage is larger with 512 numbers than with 32",
            value=lambda arms: advantage(arms, "large") - advantage(arms, "small"),
            direction="greater", threshold=0.0, unit=unit,
        ),
        Hypothesis(
            name="acts better",
            statement="With 512 numbers the clean target covers more of the mark",
            value=lambda arms: reward(arms, "large"),
            direction="greater", threshold=0.0, unit="best reward of an episode",
        ),
        Hypothesis(
            name="acts better by more",
            statement="Its advantage in coverage is larger with 512 numbers than with 32",
            value=lambda arms: reward(arms, "large") - reward(arms, "small"),
            direction="greater", threshold=0.0, unit="best reward of an episode", primary=False,
        ),
        Hypothesis(
            name="fewer steps",
            statement="With 512 numbers, going from 10 to 2 sampling steps costs it less",
            value=lambda arms: advantage(arms, "large", "2") - advantage(arms, "large", "10"),
            direction="greater", threshold=0.0, unit=unit, primary=False,
        ),
        Hypothesis(
            name="uniform weighting",
            statement="With 512 numbers it is also ahead where both are weighted uniformly",
            value=uniform,
            direction="greater", threshold=0.0, unit=unit, primary=False,
        ),
        Hypothesis(
            name="weighting",
            statement="With 512 numbers the clean target gains from velocity weighting",
            value=lambda arms: (
                arms["clean, uniform"].outcome("energy/large/10")
                - arms["clean"].outcome("energy/large/10")
            ),
            direction="greater", threshold=0.0, unit=unit, primary=False,
        ),
        Hypothesis(
            name="noise",
            statement="With 512 numbers the noise is a worse target than the clean chunk",
            value=lambda arms: (
                arms["noise"].outcome("energy/large/10") - arms["clean"].outcome("energy/large/10")
            ),
            direction="greater", threshold=0.0, unit=unit, primary=False,
        ),
    )  # fmt: skip


def figures(measurements: Mapping[tuple[str, int], Measurement]) -> list[Figure]:
    """How each target and weighting fares as the chunk grows."""
    numbers = [HORIZON * entries for entries in SIZES.values()]
    rows: list[Series] = []
    for arm, kind in zip(HEADS, ("a", "b", "c", "d", "faint"), strict=True):
        seeds = [found for (name, _), found in measurements.items() if name == arm]
        if seeds:
            means = [
                float(np.mean([found.outcome(f"energy/{size}/10") for found in seeds]))
                for size in SIZES
            ]
            rows.append(Series(name=arm, x=numbers, y=means, kind=kind))
    title = "Distance to the planner's chunks"
    return [
        Figure(
            title=title,
            svg=lines(rows, title="Energy distance by numbers in a chunk"),
            caption="Energy distance to the planner's chunks from the same states, in standard "
            "deviations of the actions, by the numbers in a chunk; 10 sampling steps, mean over "
            "seeds.",
        )
    ]


def model(head: CleanAction.Config, entries: int) -> ActionModel.Config:
    """The small policy from states that all arms share but for target and weighting."""
    return ActionModel.Config(
        states=("proprio", "keypoints"),
        horizon=HORIZON,
        backbone=SmallVLA.Config(width=WIDTH, depth=1),
        head=Expanded.Config(inner=head, size=entries),
    )


def distances(
    trained: ActionModel, expert: References, scale: Scale, seed: int
) -> dict[str, float]:
    """Energy distance to the expert's chunks, by the number of sampling steps."""
    spread = np.asarray(trained.statistics["action"]["std"])
    head = trained.head
    assert isinstance(head, Expanded)
    acting = head.inner.config
    found: dict[str, float] = {}
    for name, steps in STEPS.items():
        head.inner.config = dataclasses.replace(acting, steps=steps)
        predicted = predicted_chunks(
            trained, PUSHT, "push-t", expert.seeds, samples=scale.samples, seed=seed
        )
        found[name] = energy(predicted, expert.chunks, spread)
    head.inner.config = acting
    return found
