"""What an expert does from the same states again and again: the distribution that policies learn.

Success says how well a policy acts, and is noisy. What a head has learned of the data can be read
more directly where the expert can be asked again: from each of M initial states that no
demonstration had, N of its chunks, and beside them S of the policy's. Two distances compare them,
both in standard deviations of the actions, root mean square over steps and entries:

- **nearest**: from a chunk of the policy to the nearest of the expert's. A policy that averages two
  ways is far from both. It does not ask for spread: one chunk that is always the same can be near.
- **energy**: the energy distance (Székely and Rizzo, 2013) between the two sets. It is 0 only for
  equal distributions, so that a policy without spread pays for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from enactive.configuration import config_hash
from enactive.evaluation.multimodality import modes, repeated_chunks
from enactive.evaluation.worlds import config_record
from enactive.models.action_model import ActionModel
from enactive.models.batch import from_observations
from enactive.policies.expert import ExpertPolicy
from enactive.seeding import torch_generator

FIRST_SEED = 900_000
"""First initial state, between those of demonstrations and those of evaluations."""

Chunks = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """An expert's chunks from M states."""

    seeds: tuple[int, ...]
    """M seeds, which decide the initial states."""
    chunks: Chunks
    """``float32 (M, N, H, A)`` in the action space's units."""

    def several_modes(self, scale: NDArray[np.floating]) -> float:
        """Share of the states from which the expert's chunks have more than one mode.

        Args:
            scale: standard deviation of the actions ``(A,)``.
        """
        return float(np.mean([modes(chunks, scale).several for chunks in self.chunks]))


def references(
    shared: Path, world: Any, task: str, *, states: int, repeats: int, horizon: int
) -> References:
    """The world's expert from ``states`` initial states, made where they are not there yet.

    Args:
        shared: directory of what claims share; gets one file named by all that decides it.
        world: configuration of the world.
        task: name of the task.
        states: M.
        repeats: N, at least 4.
        horizon: H.
    """
    recipe = {
        "world": config_record(world), "task": task, "states": states,
        "repeats": repeats, "horizon": horizon, "first": FIRST_SEED,
    }  # fmt: skip
    file = shared / f"references-{config_hash(recipe)}.npy"
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + states))
    if not file.is_file():
        made = world.build()
        expert = ExpertPolicy.Config().build(made.spec)
        rows = [
            repeated_chunks(made, expert, task, seed, repeats=repeats, horizon=horizon)
            for seed in seeds
        ]
        made.close()
        partial = file.with_suffix(f".{os.getpid()}.partial.npy")
        np.save(partial, np.stack(rows))
        os.replace(partial, file)
    return References(seeds=seeds, chunks=np.load(file, allow_pickle=False))


def predicted_chunks(
    model: ActionModel, world: Any, task: str, seeds: Sequence[int], *, samples: int, seed: int
) -> Chunks:
    """What a model predicts in the same states: ``float32 (M, S, H, A)``.

    Args:
        model: one that sees a single observation, without cameras.
        world: configuration of the world.
        task: name of the task.
        seeds: of the M initial states.
        samples: S.
        seed: decides the model's random numbers.
    """
    made = world.build()
    told = made.spec.task(task).task()
    windows = [[made.reset(told, one)] for one in seeds]
    made.close()
    batch = from_observations(
        windows, [], [state.name for state in model.interface.consumes.states]
    )
    generators = [torch_generator(seed, "references", one) for one in seeds]
    return model.sample(batch, generators, samples).chunk.to(torch.float32).numpy()


def nearest(predicted: Chunks, expert: Chunks, scale: NDArray[np.floating]) -> float:
    """Mean distance of ``predicted (M, S, H, A)`` to the nearest of ``expert (M, N, H, A)``."""
    return float(_distances(predicted, expert, scale).min(-1).mean())


def energy(predicted: Chunks, expert: Chunks, scale: NDArray[np.floating]) -> float:
    """Energy distance of ``predicted (M, S, H, A)`` and ``expert (M, N, H, A)``, mean over states.

    ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` with X, X' from one set and Y, Y' from the other; both
    sets must hold at least two chunks. Pairs are of different chunks, so that the estimate has no
    bias and can be slightly negative.
    """
    between = float(_distances(predicted, expert, scale).mean())
    return 2 * between - _within(predicted, scale) - _within(expert, scale)


def _within(chunks: Chunks, scale: NDArray[np.floating]) -> float:
    """Mean distance of two different chunks of one state."""
    count = chunks.shape[1]
    total = _distances(chunks, chunks, scale).sum((-1, -2))  # (M,); the diagonal is 0
    return float(total.mean()) / (count * (count - 1))


def _distances(one: Chunks, other: Chunks, scale: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root mean square differences ``(M, S, N)`` of ``(M, S, H, A)`` and ``(M, N, H, A)``."""
    differences = (one[:, :, None] - other[:, None]).astype(np.float64) / scale
    return np.sqrt(np.mean(differences**2, axis=(-1, -2)))
