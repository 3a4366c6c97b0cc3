"""A dataset is whole at every moment: commits interrupted between any two file operations."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import made_episodes as made
import pytest

from enactive.episodes import commit, layout
from enactive.episodes.dataset import Dataset
from enactive.episodes.features import world_features
from enactive.episodes.store import DatasetWriter


class Killed(BaseException):
    """Stands for the end of the process: nothing in the package may catch it."""


def grown(tmp_path: Path) -> tuple[Path, str, str]:
    """A dataset of two episodes, its hash, and its hash after two more."""
    path = tmp_path / "dataset"
    writer = DatasetWriter.create(path, world_features(made.world()), made.RATE)
    before = writer.append(made.episode(n, 2) for n in range(2)).content_hash()
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    after = DatasetWriter.open(copy).append(made.episode(n, 2) for n in range(2, 4)).content_hash()
    return path, before, after


def test_every_interrupted_commit_is_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before, after = grown(tmp_path)
    replace = os.replace
    outcomes: list[str] = []
    for limit in range(40):
        work = tmp_path / f"work-{limit}"
        shutil.copytree(path, work)
        done = 0

        def counted(source: Path, target: Path) -> None:
            nonlocal done
            if done == limit:  # noqa: B023 - called within this turn of the loop
                raise Killed
            done += 1
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted)
            # A dead process runs no clean-up either.
            patch.setattr(commit, "discard_staging", lambda root: None)
            try:
                DatasetWriter.open(work).append(made.episode(n, 2) for n in range(2, 4))
                finished = True
            except Killed:
                finished = False
        found = Dataset.open(work)
        outcomes.append({before: "before", after: "after"}[found.content_hash()])
        if limit % 3 == 0:
            again = DatasetWriter.open(work).append(made.episode(n, 2) for n in range(4))
            assert again.content_hash() == after
            assert not (work / layout.STAGING).exists()
        shutil.rmtree(work)
        if finished:
            break
    assert finished
    assert outcomes.index("after") > 0
    assert outcomes == sorted(outcomes, reverse=True)  # before, before, ..., after, after


def test_a_reader_without_the_right_to_write_sees_the_dataset_as_it_was(tmp_path: Path) -> None:
    path, before, _ = grown(tmp_path)
    layout.write_json({"move": [layout.INFO]}, path / layout.COMMIT)
    (path / layout.LOCK).unlink()
    (path / layout.LOCK).mkdir()  # opening it for writing fails, whoever runs the tests
    assert Dataset.open(path).content_hash() == before


def test_a_reader_waits_while_a_living_process_moves_files(tmp_path: Path) -> None:
    path, before, _ = grown(tmp_path)
    layout.write_json({"move": []}, path / layout.COMMIT)
    with commit.locked(path):
        os.unlink(path / layout.COMMIT)
        assert Dataset.open(path).content_hash() == before
    assert not (path / layout.COMMIT).exists()
