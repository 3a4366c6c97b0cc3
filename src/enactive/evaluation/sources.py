"""Where recorded episodes are found again: a journal (a file) or a dataset (a directory)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from enactive.episodes import layout
from enactive.episodes.dataset import Dataset
from enactive.episodes.episode import Episode, EpisodeHeader
from enactive.episodes.journal import Journal
from enactive.evaluation.plan import TrainingRecord
from enactive.evaluation.recording import Recording
from enactive.registry import suggest


def headers(path: Path) -> dict[str, EpisodeHeader]:
    """Episode id to header, in recorded order, of every episode that can be read at ``path``."""
    if path.is_dir():
        return {record.header.id: record.header for record in Dataset.open(path).records}
    with open_journal(path) as journal:
        return {header.id: header for header in journal.readable()}


def read_episode(path: Path, name: str) -> Episode:
    """One whole episode; raises ``KeyError`` with suggestions."""
    if path.is_dir():
        dataset = Dataset.open(path)
        return dataset.read(_index(dataset, name))
    with open_journal(path) as journal:
        _known(name, [header.id for header in journal.readable()])
        return journal.read(name)


def recordings(path: Path, ids: Sequence[str]) -> Iterator[Recording]:
    """What replay needs of each episode, in the order of ``ids``; decodes no video.

    Raises:
        KeyError: an id is not recorded; the message suggests one.
    """
    if path.is_dir():
        dataset = Dataset.open(path)
        for name in ids:
            yield _from_dataset(dataset, _index(dataset, name))
        return
    with open_journal(path) as journal:
        known = [header.id for header in journal.readable()]
        for name in ids:
            _known(name, known)
            yield Recording.of(journal.read(name))


def training_record(datasets: Iterable[Dataset]) -> TrainingRecord:
    """The initial states and wordings of training data.

    Episodes of somebody else's dataset have no recorded seed; their wordings count all the same.
    """
    seeds: dict[str, set[int]] = {}
    instructions: set[str] = set()
    for dataset in datasets:
        instructions.update(dataset.tasks)
        for record in dataset.records:
            seeds.setdefault(record.header.task.name, set()).add(record.header.seed)
    return TrainingRecord(
        seeds={name: frozenset(found) for name, found in seeds.items()},
        instructions=frozenset(instructions),
    )


def open_journal(path: Path) -> Journal:
    """The journal at ``path``, which must be there; raises ``FileNotFoundError``."""
    if not path.is_file():
        raise FileNotFoundError(f"there is neither a journal nor a dataset at {path}")
    return Journal.open(path)


def _from_dataset(dataset: Dataset, index: int) -> Recording:
    record = dataset.record(index)
    wanted = [layout.ACTION, "next.reward", "next.success"]
    rows = dataset.frames(index, [key for key in wanted if key in dataset.features])
    actions = rows[layout.ACTION]
    events: dict[int, tuple[str, ...]] = {}
    for event in dataset.events(index):
        events[event.step] = (*events.get(event.step, ()), event.name)
    return Recording(
        header=record.header,
        actions=actions.reshape(len(actions), -1),
        outcome=record.outcome,
        hashes=record.hashes,
        rewards=rows.get("next.reward"),
        successes=None if "next.success" not in rows else rows["next.success"].astype(np.bool_),
        events=events,
    )


def _index(dataset: Dataset, name: str) -> int:
    found = {record.header.id: record.episode for record in dataset.records}
    _known(name, found)
    return found[name]


def _known(name: str, known: Iterable[str]) -> None:
    listed = list(known)
    if name not in listed:
        raise KeyError(f"no episode {name!r} is recorded; {suggest(name, listed[:50])}")
