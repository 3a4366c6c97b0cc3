"""Demonstrations that claims share: collected once by a world's expert, as states without pictures.

A set of demonstrations lies in ``shared/NAME-HASH``; the hash is of everything that decides its
bits (world, expert, tasks, numbers, seeds), so a changed recipe is another directory and never a
mixture of two. Several processes may ask for the same set at once: one makes it, the others wait.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from enactive.configuration import config_hash
from enactive.episodes.compaction import compact
from enactive.episodes.journal import Journal
from enactive.episodes.provenance import provenance
from enactive.evaluation.collect import DEMONSTRATION, collect
from enactive.evaluation.plan import FIRST_EVALUATION_SEED, Wording
from enactive.evaluation.progress import progress_bar
from enactive.evaluation.worlds import config_record
from enactive.policies.expert import ExpertPolicy
from enactive.worlds.metaworld import MetaWorld
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import PushT

PUSHT = PushT.Config(cameras=(), states=("proprio", "velocity", "block", "keypoints"), start=0.4)
"""PushT as states: a policy names those that it reads. The T begins at 40 % of its usual distance
and angle from the mark, because policies as small as the claims' hardly move it nearer from further
away. There, doing nothing has a best reward of 0.22 (mean of 100 starts)."""

METAWORLD = MetaWorld.Config(cameras=(), states=("proprio", "objects"))
"""Meta-World as states."""

WORDING: Wording = "canonical"
"""Which wordings are told: one per task, since no claim on states is about language."""

SEEDS_PER_SAMPLE = 10_000
"""Initial states that one ``seed`` of demonstrations may use."""


def pusht_demonstrations(
    shared: Path,
    *,
    episodes: int,
    seed: int = 0,
    noise: float = 0.0,
    world: PushT.Config = PUSHT,
) -> Path:
    """PushT's planner in :data:`PUSHT`; two modes, see :mod:`enactive.worlds.pusht_planner`.

    Args:
        shared: directory of what claims share.
        episodes: successful demonstrations.
        seed: another number gives other initial states.
        noise: as in :func:`demonstrations`; 0.02 is about 5 px.
        world: where, e.g. ``replace(PUSHT, start=0.3)`` for short episodes near the mark.

    Returns:
        The dataset's directory.
    """
    return demonstrations(
        shared, "pusht", world, ("push-t",), episodes=episodes, seed=seed,
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
    detours: bool = False,
    world: MetaWorld.Config = METAWORLD,
) -> Path:
    """Meta-World's scripted experts, states only; they have one mode.

    Args:
        shared: directory of what claims share.
        tasks: names of tasks.
        episodes: successful demonstrations of each.
        seed: another number gives other initial states.
        noise: as in :func:`demonstrations`.
        noise_hold: steps for which a disturbance is kept.
        noise_episodes: share of the episodes that are disturbed.
        detours: give them two modes, see :mod:`enactive.worlds.metaworld_detours`.
        world: where, e.g. ``replace(METAWORLD, states=("proprio", "things"))`` for no goals.

    Returns:
        The dataset's directory.
    """
    expert = ExpertPolicy.Config(
        expert="metaworld_detours" if detours else None,
        noise=noise, noise_hold=noise_hold, noise_episodes=noise_episodes,
    )  # fmt: skip
    return demonstrations(
        shared, "metaworld", world, tuple(tasks), episodes=episodes, seed=seed, expert=expert
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
    wording: Wording = WORDING,
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
        wording: which wordings are told, one an episode in turn.

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
            "wording": wording,
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
                _make(pool, policy, tasks, episodes, seed * SEEDS_PER_SAMPLE, partial, wording)
                os.replace(partial, final)
    return final / "dataset"


def _make(
    pool: WorldPool,
    policy: ExpertPolicy,
    tasks: tuple[str, ...],
    episodes: int,
    first_seed: int,
    directory: Path,
    wording: Wording,
) -> None:
    """Collect, or what is left of it, into ``directory``."""
    with Journal.open(directory / "journal.sqlite") as journal:
        with progress_bar(f"demonstrations, {pool.spec.name}", episodes * len(tasks)) as listener:
            collected = collect(
                pool, policy, tasks, episodes, journal,
                first_seed=first_seed, wording=wording, listener=listener,
                provenance=provenance(seeds={"first": first_seed}, worlds=[pool.spec]).to_dict(),
            )  # fmt: skip
        compact(journal, directory / "dataset", ids={result.id for result in collected.kept})
