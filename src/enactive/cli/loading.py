"""What the words of a command line stand for: policies, worlds, plans, recordings."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from enactive.cli.mistakes import UserError
from enactive.registry import suggest
from enactive.worlds.world import WorldSpec

JOURNAL = "journal.sqlite"
"""Name of the journal in the directory of a collection or an evaluation."""
ACTIONS = "actions.sqlite"
"""Name of the action log in the directory of an agent's run."""
DATASET = "dataset"
"""Name of the dataset in the directory of a collection."""
EVALUATION = "evaluation.json"
"""Name of the results in the directory of an evaluation."""
REPLAY = "replay.json"
"""Name of what replaying a whole evaluation showed, beside its results."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def known_tasks(spec: WorldSpec, names: Iterable[str]) -> tuple[str, ...]:
    """``names`` without repeats; ``all`` stands for every task of the world.

    Raises:
        UserError: the world has no such task, with a suggestion.
    """
    chosen = tuple(dict.fromkeys(names))
    known = [task.name for task in spec.tasks]
    if chosen == ("all",):
        return tuple(known)
    for name in chosen:
        if name not in known:
            raise UserError(f"--tasks: {spec.name} has no task {name!r}; {suggest(name, known)}")
    return chosen


def dataset_path(path: Path) -> Path:
    """The dataset that ``path`` means: itself, or the one that a collection left in it."""
    return path / DATASET if (path / DATASET / "meta").is_dir() else path


def evaluation_path(path: Path) -> Path:
    """The results file that ``path`` means: itself, or the one in the directory.

    Raises:
        UserError: there is none.
    """
    found = path / EVALUATION if path.is_dir() else path
    if not found.is_file():
        raise UserError(
            f"{path}: there is no evaluation; `enactive evaluate POLICY --out {path}` makes one"
        )
    return found


def action_log_path(path: Path) -> Path | None:
    """The action log of agents' episodes that ``path`` means: itself, or the one in the directory;
    None if there is none."""
    found = path / ACTIONS if path.is_dir() else path
    return found if found.name.endswith(ACTIONS) and found.is_file() else None


def recording_path(path: Path) -> Path:
    """Where the episodes are that ``path`` means: a journal (file) or a dataset (directory).

    Raises:
        UserError: there are none.
    """
    if (path / JOURNAL).is_file():
        return path / JOURNAL
    found = dataset_path(path)
    if found.is_file() or (found / "meta").is_dir():
        return found
    raise UserError(
        f"{path}: there are no recorded episodes; expected a journal, a dataset, or the directory "
        "of a collection or an evaluation"
    )


def check_recorded(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse ids of episodes that are not among the recorded ones.

    Raises:
        UserError: with a suggestion.
    """
    for name in names:
        if name not in known:
            near = suggest(name, known).partition("known: ")[0]
            raise UserError(
                f"no episode {name!r} is recorded; {near}`enactive info` lists all {len(known)}"
            )


def training_datasets(checkpoint: Path) -> list[Any]:
    """The datasets that the run of a checkpoint was trained on, those that are still there."""
    from enactive import configuration
    from enactive.episodes.dataset import Dataset
    from enactive.training.config import Training

    for directory in (checkpoint, *checkpoint.parents[:2]):
        file = directory / "config.yaml"
        if not file.is_file() or "run:" not in file.read_text(encoding="utf-8"):
            continue
        run = configuration.load_yaml(Training, file)
        return [Dataset.open(s.path) for s in run.data if Path(s.path).is_dir()]
    return []


def recorded_world(datasets: Iterable[Any]) -> Any:
    """The configuration of the world that datasets were recorded in; None if they do not say."""
    from enactive.evaluation.worlds import load_config

    for dataset in datasets:
        for record in dataset.records[:1]:
            found = record.header.world.get("config")
            if found is not None:
                return load_config(found)
    return None


def recorded_tasks(datasets: Iterable[Any]) -> tuple[str, ...]:
    """Names of the tasks that datasets hold, in recorded order."""
    records = (record for dataset in datasets for record in dataset.records)
    return tuple(dict.fromkeys(record.header.task.name for record in records))
