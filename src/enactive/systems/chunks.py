"""Action chunks of a dataset, for experiments on tokenizers that need no policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from enactive.episodes.dataset import Dataset
from enactive.episodes.windows import Subset, WindowSpec, WindowTable, subset
from enactive.models.normalization import Mode, Normalizer
from enactive.seeding import numpy_generator


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
        held_out: share of the episodes that is held out, at least one.
        seed: decides which episodes are held out.
        mode: how actions are normalised; ``"identity"`` leaves them in the world's units.
        stride: steps from one chunk's beginning to the next one's.
        action_key: the feature, ``"action.expert"`` for the labels of disturbed demonstrations.

    Returns:
        Chunks; past an episode's end its last action is held, as in training.

    Raises:
        ValueError: a number is out of range, or there is a single episode.
        KeyError: there is no such feature.
    """
    if horizon < 1 or stride < 1:
        raise ValueError(f"horizon and stride must be at least 1, got {horizon} and {stride}")
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must lie between 0 and 1, got {held_out}")
    found = Dataset.open(dataset)
    if found.num_episodes < 2:
        raise ValueError(f"{dataset}: one episode cannot be split; collect more")
    training, other = _split(found, held_out, seed)
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


def _split(dataset: Dataset, share: float, seed: int) -> tuple[Subset, Subset]:
    count = dataset.num_episodes
    held = min(max(1, round(share * count)), count - 1)
    order = numpy_generator(seed, "chunks", "split").permutation(count).tolist()
    return subset(dataset, sorted(order[held:])), subset(dataset, sorted(order[:held]))
