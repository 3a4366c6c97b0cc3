"""From the journal to the dataset: idempotent, resumable, whole at every moment."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from enactive.episodes import layout, sidecar
from enactive.episodes.dataset import Dataset
from enactive.episodes.features import Storage, world_features
from enactive.episodes.journal import Journal
from enactive.episodes.store import DatasetWriter
from enactive.episodes.video import VideoCodec


def compact(
    journal: Journal,
    path: Path | str,
    *,
    ids: Collection[str] | None = None,
    storage: Storage = "video",
    codec: VideoCodec | None = None,
    expert: bool | None = None,
    batch: int = 50,
    forget: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Make the finished episodes of a journal part of the dataset at ``path``.

    Episodes are known by id: those that the dataset has are passed over, so the call can be
    repeated, also after its process was killed. Within one call they are added by index.

    Args:
        journal: where the episodes are.
        path: the dataset, made if it is not there.
        ids: which of the finished episodes; by default all.
        storage: cameras as mp4 or as lossless PNG; for a new dataset only.
        codec: how cameras are encoded, where they are mp4.
        expert: whether to keep the column ``action.expert``; by default, whether the first
            episode has labels. For a new dataset only.
        batch: episodes in one commit.
        forget: drop the steps of compacted episodes from the journal, after their commit.
        progress: called with (episodes done, episodes to do).

    Raises:
        ValueError: there is nothing to compact and no dataset, or episodes are of two worlds.
    """
    present = _ids(Path(path))
    todo = [header for header in journal.readable() if header.id not in present]
    if ids is not None:
        todo = [header for header in todo if header.id in ids]
    if todo and not (Path(path) / layout.INFO).exists():
        first = journal.read(todo[0].id)
        labelled = first.expert_actions is not None if expert is None else expert
        features = world_features(first.header.world, storage=storage, expert=labelled)
        rate = float(first.header.world["rate_hz"])
        name = str(first.header.world["name"])
        writer = DatasetWriter.create(path, features, rate, robot=name, codec=codec)
    elif (Path(path) / layout.INFO).exists():
        writer = DatasetWriter.open(path, codec=codec)
    else:
        raise ValueError(f"{journal.path} holds no finished episode, and there is no {path}")
    for start in range(0, len(todo), batch):
        part = todo[start : start + batch]
        writer.append(journal.read(header.id) for header in part)
        if progress:
            progress(start + len(part), len(todo))
    if forget:
        kept = _ids(Path(path))
        journal.forget(header.id for header in journal.readable() if header.id in kept)
    return Dataset(path)


def _ids(path: Path) -> set[str]:
    if not (path / layout.INFO).exists():
        return set()
    count = Dataset(path).num_episodes
    table = sidecar.read_table(path, "episodes", ["episode_index", "id"])
    rows = zip(table["episode_index"].to_pylist(), table["id"].to_pylist(), strict=True)
    return {id for index, id in rows if index < count}
