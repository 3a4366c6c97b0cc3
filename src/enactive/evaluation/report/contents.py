"""What a report is made from, gathered from an evaluation's directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from enactive.episodes.episode import Episode
from enactive.episodes.journal import Journal
from enactive.evaluation.replay import ReplayReport
from enactive.evaluation.results import EpisodeResult, Evaluation
from enactive.evaluation.sources import open_journal

EVALUATION = "evaluation.json"
JOURNAL = "journal.sqlite"
REPLAY = "replay.json"
TIMINGS = "timings.json"
LOG = "log.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """Everything that a report shows."""

    directory: Path
    """Of the evaluation; commands in the report name it."""
    evaluation: Evaluation
    journal: Path | None
    """Where the episodes' pictures are; None if they are gone."""
    replay: ReplayReport | None
    """What replaying them showed; None if that was not done."""
    expert: Evaluation | None = None
    """The expert on the same plan: its rows show which probes are merely harder."""
    training: Sequence[Mapping[str, Any]] = ()
    """Lines of the training run's log, each with ``step``."""
    timings: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds of each part of a recipe."""


def gather(directory: Path, training: Path | None = None, expert: Path | None = None) -> Contents:
    """Read what lies in an evaluation's directory.

    Args:
        directory: holds ``evaluation.json`` and, for pictures, ``journal.sqlite``; where
            ``replay.json`` is there, it is reported.
        training: the training run's directory or its ``log.jsonl``; by default the run that the
            evaluation's provenance names, or the only one beside ``directory``.
        expert: directory of the expert's evaluation on the same plan.

    Raises:
        FileNotFoundError: there is no evaluation.
    """
    file = directory / EVALUATION
    if not file.is_file():
        raise FileNotFoundError(
            f"{directory} holds no {EVALUATION}; make one with: enactive evaluate POLICY --out "
            f"{directory}"
        )
    evaluation = Evaluation.load(file)
    log = _log(directory, evaluation, training)
    journal, replay = directory / JOURNAL, directory / REPLAY
    timings = [p for p in (directory / TIMINGS, directory.parent / TIMINGS) if p.is_file()]
    return Contents(
        directory=directory,
        evaluation=evaluation,
        journal=journal if journal.is_file() else None,
        expert=None if expert is None else Evaluation.load(expert / EVALUATION),
        replay=ReplayReport.load(replay) if replay.is_file() else None,
        training=_lines(log) if log is not None else (),
        timings=json.loads(timings[0].read_text(encoding="utf-8")) if timings else {},
    )


def _log(directory: Path, evaluation: Evaluation, training: Path | None) -> Path | None:
    if training is not None:
        log = training / LOG if training.is_dir() else training
        if not log.is_file():
            raise FileNotFoundError(f"{training} holds no {LOG}: it is not a training run")
        return log
    named = evaluation.provenance.get("checkpoint")
    if isinstance(named, str):
        for parent in (Path(named), *Path(named).parents)[:4]:
            if (parent / LOG).is_file():
                return parent / LOG
    beside = sorted(directory.parent.glob(f"*/{LOG}"))
    return beside[0] if len(beside) == 1 else None


def _lines(log: Path) -> list[Mapping[str, Any]]:
    records: list[Mapping[str, Any]] = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            record: Any = json.loads(line)
        except json.JSONDecodeError:
            break  # a run that was killed may leave half a line at the end
        if isinstance(record, dict) and "step" in record:
            records.append(cast("Mapping[str, Any]", record))
    return records


class Recordings:
    """Episodes of a journal by id; use it as a context manager. One is kept in memory."""

    def __init__(self, path: Path | None) -> None:
        self._journal: Journal | None = None if path is None else open_journal(path)
        self._known: set[str] = set()
        if self._journal is not None:
            self._known = {header.id for header in self._journal.readable()}

    def __enter__(self) -> Recordings:
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self._journal.close()

    def read(self, episode: EpisodeResult) -> Episode | None:
        """The recording of ``episode``, if it is there."""
        if self._journal is None or episode.id not in self._known:
            return None
        return self._journal.read(episode.id)
