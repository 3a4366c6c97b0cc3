"""Demonstrations that claims share: collected once by a world's expert, as states without pictures.

A set of demonstrations lies in ``shared/NAME-HASH``; the hash is of everything that decides its
bits (world, expert, tasks, numbers, seeds), so a changed recipe is another directory and never a
mixture of two. Several processes may ask for the same set at once: one makes it, the others wait.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enactive.configuration import config_hash
from enactive.episodes.compaction import compact
from enactive.episodes.dataset import Dataset
from enactive.episodes.journal import Journal
from enactive.episodes.provenance import provenance
from enactive.episodes.windows import Subset, WindowSpec, WindowTable, split
from enactive.evaluation.collect import DEMONSTRATION, collect
from enactive.evaluation.plan import FIRST_EVALUATION_SEED
from enactive.evaluation.progress import progress_bar
from enactive.evaluation.worlds import config_record
from enactive.models.normalization import Mode, Normalizer
from enactive.policies.expert import ExpertPolicy
from enactive.worlds.metaworld import MetaWorld
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import PushT

PUSHT = PushT.Config(cameras=(), states=("proprio", "velocity", "block", "keypoints"))
"""PushT as states: a policy names those that it reads."""

METAWORLD = MetaWorld.Config(cameras=(), states=("proprio", "objects"))
"""Meta-World as states."""

SEEDS_PER_SAMPLE = 10_000
"""Initial states that one ``seed`` of demonstrations may use."""


def pusht_demonstrations(shared: Path, *, episodes: int, seed: int = 0, noise: float = 0.0) -> Path:
    """PushT's planner in :data:`PUSHT`; two modes, see :mod:`enactive.worlds.pusht_planner`.

    Args:
        shared: directory of what claims share.
        episodes: successful demonstrations.
        seed: another number gives other initial states.
        noise: as in :func:`demonstrations`; 0.02 is about 5 px.

    Returns:
        The dataset's directory.
    """
    return demonstrations(
        shared, "pusht", PUSHT, ("push-t",), episodes=episodes, seed=seed,
        expert=ExpertPolicy.Config(noise=noise, noise_hold=2),
    )  # fmt: skip


def metaworld_demonstrations(
    shared: Path,
    *,
    tasks: Sequence[str],
    episodes: int,
    seed: int = 0,
    noise: float = 0.0,
    noise_hold: int = 4,
    noise_episodes: float = 1.0,
) -> Path:
    """Meta-World's scripted experts in :data:`METAWORLD`; they have one mode.

    Args:
        shared: directory of what claims share.
        tasks: names of tasks.
        episodes: successful demonstrations of each.
        seed: another number gives other initial states.
        noise: as in :func:`demonstrations`.
        noise_hold: steps for which a disturbance is kept.
        noise_episodes: share of the episodes that are disturbed.

    Returns:
        The dataset's directory.
    """
    expert = ExpertPolicy.Config(noise=noise, noise_hold=noise_hold, noise_episodes=noise_episodes)
    return demonstrations(
        shared, "metaworld", METAWORLD, tuple(tasks), episodes=episodes, seed=seed, expert=expert
    )


def demonstrations(
    shared: Path,
    name: str,
    world: Any,
    tasks: tuple[str, ...],
    *,
    episodes: int,
    seed: int = 0,
    expert: ExpertPolicy.Config | None = None,
) -> Path:
    """Successful demonstrations by a world's expert, made where they are not there yet.

    With ``expert.noise`` above 0 the executed actions are disturbed; the clean ones, which are to
    be imitated, are then the feature ``"action.expert"``: train with that ``action_key``.

    Args:
        shared: directory of what claims share.
        name: how the set's directory begins.
        world: configuration of the world.
        tasks: names of its tasks.
        episodes: successful ones of each task.
        seed: sample n uses the initial states ``n * SEEDS_PER_SAMPLE, ...``, below those that
            evaluations use.
        expert: who demonstrates; by default the world's expert, undisturbed.

    Returns:
        The dataset's directory.

    Raises:
        ValueError: numbers out of range.
        CollectionFailed: the expert fails too often.
    """
    most = FIRST_EVALUATION_SEED // SEEDS_PER_SAMPLE
    if not 0 <= seed < most or not 1 <= episodes <= SEEDS_PER_SAMPLE // 4:
        raise ValueError(
            f"needs seed in [0, {most}) and episodes in [1, {SEEDS_PER_SAMPLE // 4}], got {seed} "
            f"and {episodes}: initial states of training and evaluation must not meet"
        )
    with WorldPool(world, 0) as pool:
        policy = (expert or ExpertPolicy.Config()).build(pool.spec)
        recipe = {
            "world": config_record(world),
            "version": pool.spec.version,
            "policy": dict(policy.describe()),
            "rules": asdict(DEMONSTRATION),
            "tasks": list(tasks),
            "episodes": episodes,
            "seed": seed,
        }
        final = shared / f"{name}-{config_hash(recipe)}"
        if final.is_dir():
            return final / "dataset"
        shared.mkdir(parents=True, exist_ok=True)
        partial = shared / f".{final.name}.partial"
        # The system frees the lock when this process ends, however it ends.
        with (shared / f".{final.name}.lock").open("a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not final.is_dir():
                partial.mkdir(exist_ok=True)
                _make(pool, policy, tasks, episodes, seed * SEEDS_PER_SAMPLE, partial)
                os.replace(partial, final)
    return final / "dataset"


def _make(
    pool: WorldPool,
    policy: ExpertPolicy,
    tasks: tuple[str, ...],
    episodes: int,
    first_seed: int,
    directory: Path,
) -> None:
    """Collect, or what is left of it, into ``directory``."""
    with Journal.open(directory / "journal.sqlite") as journal:
        with progress_bar(f"demonstrations, {pool.spec.name}", episodes * len(tasks)) as listener:
            collected = collect(
                pool, policy, tasks, episodes, journal,
                first_seed=first_seed, listener=listener,
                provenance=provenance(seeds={"first": first_seed}, worlds=[pool.spec]).to_dict(),
            )  # fmt: skip
        compact(journal, directory / "dataset", ids={result.id for result in collected.kept})


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunks:
    """Action chunks of a dataset, split by episode."""

    training: Tensor
    """``float32 (N, H, A)``."""
    held_out: Tensor
    """``float32 (M, H, A)``, of other episodes."""
    normalizer: Normalizer
    """Made from the training chunks' episodes alone; feature ``"action"``."""
    rate_hz: float
    """Steps per second."""

    @property
    def shape(self) -> tuple[int, int]:
        """``(H, A)``."""
        return self.training.shape[1], self.training.shape[2]


def chunks(
    dataset: Path,
    *,
    horizon: int,
    held_out: float = 0.2,
    seed: int = 0,
    mode: Mode = "mean_std",
    stride: int = 1,
    action_key: str = "action",
) -> Chunks:
    """A dataset's chunks for experiments on tokenizers.

    Args:
        dataset: its directory.
        horizon: H.
        held_out: share of each instruction's episodes that is held out.
        seed: decides which episodes are held out.
        mode: how actions are normalised; ``"identity"`` leaves them in the world's units.
        stride: steps from one chunk's beginning to the next one's.
        action_key: the feature, ``"action.expert"`` for the labels of disturbed demonstrations.

    Returns:
        Chunks; past an episode's end its last action is held, as in training.

    Raises:
        ValueError: a number is out of range, or there are too few episodes to hold any out.
        KeyError: there is no such feature.
    """
    if horizon < 1 or stride < 1:
        raise ValueError(f"horizon and stride must be at least 1, got {horizon} and {stride}")
    found = Dataset.open(dataset)
    training, other = split(found, validation=held_out, seed=seed)
    spec = WindowSpec(action_steps=horizon, cameras=(), states=(), action_key=action_key)
    steps = np.concatenate([_actions(training, spec, entry) for entry in training.episodes])
    low, median, high = np.quantile(steps, (0.01, 0.5, 0.99), axis=0)
    statistics = {
        "mean": steps.mean(0), "std": steps.std(0), "min": steps.min(0), "max": steps.max(0),
        "q01": low, "q50": median, "q99": high,
    }  # fmt: skip
    normalizer = Normalizer.Config(action=mode).build(
        {"action": steps.shape[1]}, {"action": statistics}
    )
    return Chunks(
        training=normalizer.normalize("action", _chunks(training, spec, stride)),
        held_out=normalizer.normalize("action", _chunks(other, spec, stride)),
        normalizer=normalizer,
        rate_hz=found.fps,
    )


def _actions(source: Subset, spec: WindowSpec, episode: int) -> np.ndarray:
    return source.dataset.frames(episode, [spec.action_key])[spec.action_key].astype(np.float64)


def _chunks(source: Subset, spec: WindowSpec, stride: int) -> Tensor:
    table = WindowTable(source, spec)
    places = table.places(np.arange(table.size, dtype=np.int64))
    begins = np.flatnonzero(places.step % stride == 0)
    action, _ = table.actions(table.places(begins.astype(np.int64)))
    return torch.from_numpy(action)
