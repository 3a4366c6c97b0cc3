"""The bake-off of tokenizers and heads: its arms, and how each of them is measured.

An arm is a head, with a tokenizer where it predicts ids. Its unit trains one policy on PushT and
one on Meta-World, evaluates both, and asks what its tokenizer does to chunks of demonstrations that
nothing was fitted on. One more arm has no policy: tokenizers alone, at several numbers of bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enactive.episodes.dataset import Dataset
from enactive.episodes.windows import WindowSpec, WindowTable, subset
from enactive.evaluation.claims.claim import Measurement
from enactive.models.action_model import ActionModel, seeded_initialisation
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.batch import Batch
from enactive.models.heads.autoregressive import Autoregressive
from enactive.models.heads.clean_action import CleanAction
from enactive.models.heads.diffusion import Diffusion
from enactive.models.heads.discrete_diffusion import DiscreteDiffusion
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.head import HeadConfig
from enactive.models.heads.l1 import L1
from enactive.models.heads.next_scale import NextScale
from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.models.tokenizers.fact import FACT
from enactive.models.tokenizers.quantile_bins import QuantileBins
from enactive.models.tokenizers.report import TokenizerReport, report, table
from enactive.models.tokenizers.rvq import RVQ
from enactive.models.tokenizers.spectral import Spectral
from enactive.models.tokenizers.tokenizer import TokenizerConfig
from enactive.models.tokenizers.uniform_bins import UniformBins
from enactive.policies.chunked import ChunkedPolicy
from enactive.seeding import torch_generator
from enactive.systems.chunks import chunks
from enactive.systems.demonstrations import (
    METAWORLD,
    PUSHT,
    metaworld_demonstrations,
    pusht_demonstrations,
)
from enactive.systems.experiment import LANES, evaluate_policy, measurement, train_policy

HORIZON, EXECUTE, WIDTH = 16, 8, 64
FITTED_ON = 4096
"""Chunks that tokenizers are fitted on, at most."""
TASKS = ("drawer-open", "door-open", "push")
ALONE = "tokenizers alone"
"""The arm without a policy."""

TOKENIZERS: Mapping[str, TokenizerConfig] = {
    "uniform_bins": UniformBins.Config(chunks=FITTED_ON),
    "quantile_bins": QuantileBins.Config(chunks=FITTED_ON),
    "dct_bpe": DctBpe.Config(vocabulary=512, chunks=FITTED_ON),
    "rvq": RVQ.Config(chunks=FITTED_ON),  # 8 ids of 8 bits
    "spectral": Spectral.Config(vocabulary=512, chunks=FITTED_ON),  # 7 ids of 9 bits
    "fact": FACT.Config(chunks=FITTED_ON),  # 8 ids of 8 bits
}

AR = Autoregressive.Config(mlp_ratio=6)
MASKED = DiscreteDiffusion.Config(mlp_ratio=6)

# Inner widths that give all heads 201 000 to 209 000 parameters: a larger vocabulary takes more for
# its ids, heads without ids take more inside. Every loss draws one time or mask per chunk.
ARMS: Mapping[str, tuple[HeadConfig, str | None]] = {
    "autoregressive + uniform_bins": (AR, "uniform_bins"),
    "autoregressive + quantile_bins": (AR, "quantile_bins"),
    "autoregressive + dct_bpe": (replace(AR, mlp_ratio=4), "dct_bpe"),
    "autoregressive + rvq": (AR, "rvq"),
    "autoregressive + spectral": (replace(AR, mlp_ratio=4), "spectral"),
    "autoregressive + fact": (AR, "fact"),
    "discrete_diffusion + quantile_bins": (MASKED, "quantile_bins"),
    "discrete_diffusion + rvq": (MASKED, "rvq"),
    "discrete_diffusion + fact": (MASKED, "fact"),
    "next_scale + spectral": (NextScale.Config(mlp_ratio=6), "spectral"),
    "l1": (L1.Config(depth=3, mlp_ratio=4), None),
    "flow_matching": (FlowMatching.Config(mlp_ratio=3), None),
    "diffusion": (Diffusion.Config(conditioning="tokens", mlp_ratio=7, draws=1), None),
    "clean_action": (CleanAction.Config(mlp_ratio=3, draws=1), None),
}

CODED = tuple(arm for arm in ARMS if arm.startswith("autoregressive"))
"""The arms that differ in their tokenizer alone."""

VARIANTS: Mapping[str, tuple[TokenizerConfig, ...]] = {
    "uniform_bins": tuple(replace(UniformBins.Config(), bins=n) for n in (8, 32, 128)),
    "quantile_bins": tuple(replace(QuantileBins.Config(), bins=n) for n in (8, 32, 128)),
    "dct_bpe": (
        DctBpe.Config(scale=2.5, vocabulary=512),
        DctBpe.Config(scale=5.0, vocabulary=512),
        DctBpe.Config(scale=20.0, vocabulary=1024),
    ),
    "rvq": (RVQ.Config(stages=2), RVQ.Config(stages=8)),
    "spectral": (Spectral.Config(scales=(1, 2)), Spectral.Config(scales=(1, 2, 3, 4))),
    "fact": (FACT.Config(codes=4), FACT.Config(codes=16)),
}
"""More and fewer bits than in the policies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Size of the experiment."""

    demonstrations: int = 200
    """Of PushT."""
    task_demonstrations: int = 15
    """Of each task of Meta-World."""
    held_out: int = 6
    """Demonstrations of each task that only measure tokenizers."""
    steps: int = 1000
    """Of each of a unit's two trainings."""
    fit_steps: int | None = None
    """Of tokenizers that learn; None takes their own."""
    episodes: int = 24
    """Of PushT."""
    task_episodes: int = 8
    """Of each task of Meta-World."""
    max_steps: int = 200
    tasks: int = len(TASKS)
    """Of Meta-World's :data:`TASKS`, the first ones."""
    seeds: tuple[int, ...] = (0, 1, 2, 3)


QUICK = Scale(
    demonstrations=3, task_demonstrations=2, held_out=1, steps=4, fit_steps=4, episodes=2,
    task_episodes=2, max_steps=8, tasks=1, seeds=(0,),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A world with its demonstrations."""

    name: str
    world: Any
    tasks: tuple[str, ...]
    states: tuple[str, ...]
    outcome: str
    """What counts there: an episode's success or its best reward."""

    def data(self, shared: Path, scale: Scale, held_out: bool = False) -> Path:
        """Demonstrations to train on, or others."""
        seed = 40 if held_out else 0
        if self.world is PUSHT:
            count = scale.held_out if held_out else scale.demonstrations
            return pusht_demonstrations(shared, episodes=count, noise=0.02, seed=seed)
        count = scale.held_out if held_out else scale.task_demonstrations
        return metaworld_demonstrations(
            shared, tasks=self.tasks[: scale.tasks], episodes=count, noise=0.3, seed=seed
        )


SETTINGS = (
    Setting(
        name="pusht", world=PUSHT, tasks=("push-t",), states=("proprio", "keypoints"),
        outcome="best_reward",
    ),
    Setting(
        name="metaworld", world=METAWORLD, tasks=TASKS, states=("proprio", "objects"),
        outcome="success",
    ),
)  # fmt: skip
ACTION = "action.expert"
"""The undisturbed action, which is imitated."""


def model(arm: str, setting: Setting, scale: Scale) -> ActionModel.Config:
    """The small policy from states that all arms share but for head and tokenizer."""
    head, name = ARMS[arm]
    return ActionModel.Config(
        states=setting.states,
        horizon=HORIZON,
        backbone=SmallVLA.Config(width=WIDTH, depth=1),
        head=head,
        tokenizer=None if name is None else sized(TOKENIZERS[name], scale),
    )


def sized(config: TokenizerConfig, scale: Scale) -> TokenizerConfig:
    """``config`` with the scale's steps, where it learns."""
    if scale.fit_steps is None or not isinstance(
        config, (RVQ.Config, Spectral.Config, FACT.Config)
    ):
        return config
    return replace(config, fit_steps=scale.fit_steps)


def measure(arm: str, seed: int, directory: Path, shared: Path, scale: Scale) -> Measurement:
    """One unit."""
    if arm == ALONE:
        return alone(seed, directory, shared, scale)
    outcomes: dict[str, float] = {}
    episodes: dict[str, tuple[float, ...]] = {}
    cost: dict[str, float] = {}
    for setting in SETTINGS:
        place = directory / setting.name
        trained = train_policy(
            model(arm, setting, scale), setting.data(shared, scale), place / "policy",
            steps=scale.steps, seed=seed, action_key=ACTION,
        )  # fmt: skip
        evaluation = evaluate_policy(
            trained.model, setting.world, setting.tasks[: scale.tasks], place / "evaluation",
            episodes=scale.episodes if setting.world is PUSHT else scale.task_episodes,
            # Other initial states for every seed, the same for all its arms.
            first_seed=1_000_000 + 1_000 * seed,
            max_steps=scale.max_steps,
            config=ChunkedPolicy.Config(execute=EXECUTE, batch_size=LANES),
        )  # fmt: skip
        found = measurement(evaluation, trained.cost)
        outcomes[setting.name] = found.outcome(setting.outcome)
        if setting.outcome != "success":
            outcomes[f"{setting.name}/success"] = found.outcome("success")
        episodes[setting.name] = tuple(found.episodes[setting.outcome])
        cost |= {f"{setting.name}/{name}": value for name, value in found.cost.items()}
        outcomes |= described(trained.model, setting, shared, scale, seed)
    names = {name.partition("/")[2] for name in cost}
    for name in sorted(names):
        both = [cost[f"{setting.name}/{name}"] for setting in SETTINGS]
        added = name in ("train_seconds", "train_steps")
        cost[name] = float(np.sum(both) if added else np.mean(both))
    return Measurement(outcomes=outcomes, episodes=episodes, cost=cost)


def described(
    trained: ActionModel, setting: Setting, shared: Path, scale: Scale, seed: int
) -> dict[str, float]:
    """What the policy's tokenizer does to held-out chunks, and how many of its rows are valid."""
    if trained.tokenizer is None:
        return {}
    data = setting.data(shared, scale, held_out=True)
    held = trained.normalizer.normalize("action", every_chunk(data))
    said = report(trained.tokenizer, held)
    with torch.inference_mode():
        drawn = trained.head.sample(
            trained.features(windows(data, setting)), torch_generator(seed, "valid rows")
        )
    valid = 1.0 if drawn.valid is None else float(drawn.valid.float().mean())
    found = {"mse": said.mse, "bits": said.bits, "ids": said.ids, "valid": valid}
    return {f"{setting.name}/{name}": value for name, value in found.items()}


def every_chunk(data: Path) -> Tensor:
    """All chunks of a dataset, every fourth step one, in the world's units: ``(N, H, A)``."""
    spec = WindowSpec(action_steps=HORIZON, cameras=(), states=(), action_key=ACTION)
    windows = WindowTable(subset(Dataset.open(data)), spec)
    action, _ = windows.actions(windows.places(np.arange(0, windows.size, 4)))
    return torch.from_numpy(action)


def windows(data: Path, setting: Setting, count: int = 64) -> Batch:
    """``count`` observations spread evenly over a dataset."""
    spec = WindowSpec(action_steps=1, cameras=(), states=setting.states, action_key=ACTION)
    found = WindowTable(subset(Dataset.open(data)), spec)
    places = found.places(np.linspace(0, found.size - 1, count).astype(np.int64))
    states = {name: torch.from_numpy(value) for name, value in found.states(places).items()}
    return Batch(images={}, state=states, instructions=tuple(found.instructions(places)))


def alone(seed: int, directory: Path, shared: Path, scale: Scale) -> Measurement:
    """Tokenizers without a policy: bits and held-out error of more and fewer bits each.

    ``episodes`` holds rows ``SETTING/TOKENIZER bits`` and ``... mse``, one value for each of the
    tokenizer's :data:`VARIANTS`. The tables, with everything that reports hold, are ``SETTING.md``
    in ``directory``.
    """
    rows: dict[str, tuple[float, ...]] = {}
    for setting in SETTINGS:
        # Normalised as in the policies, by demonstrations that they train on.
        made = chunks(setting.data(shared, scale), horizon=HORIZON, seed=seed, action_key=ACTION)
        held = made.normalizer.normalize(
            "action", every_chunk(setting.data(shared, scale, held_out=True))
        )
        reports: dict[str, TokenizerReport] = {}
        for name, configs in VARIANTS.items():
            for config in configs:
                generator = torch_generator(seed, "bake-off", name, varied(config))
                with seeded_initialisation(seed):
                    tokenizer = sized(config, scale).build(
                        action_size=held.shape[2], horizon=HORIZON
                    )
                tokenizer.fit(_some(made.training, generator), generator)
                reports[f"{name}, {varied(config)}"] = report(tokenizer, held)
            found = [reports[f"{name}, {varied(config)}"] for config in configs]
            rows[f"{setting.name}/{name} bits"] = tuple(said.bits for said in found)
            rows[f"{setting.name}/{name} mse"] = tuple(said.mse for said in found)
        (directory / f"{setting.name}.md").write_text(table(reports) + "\n", encoding="utf-8")
    return Measurement(episodes=rows)


def varied(config: TokenizerConfig) -> str:
    """Where ``config`` differs from what its kind is by default: ``"stages 2"``."""
    usual = type(config)()
    names = [field.name for field in fields(config)]
    own = {name: getattr(config, name) for name in names}
    return ", ".join(f"{k} {v}" for k, v in own.items() if v != getattr(usual, k))


def _some(training: Tensor, generator: torch.Generator) -> Tensor:
    return training[torch.randperm(len(training), generator=generator)[:FITTED_ON]]
