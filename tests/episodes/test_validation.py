"""Broken datasets: every damage is named, and so is its repair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_episodes as made
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enactive.episodes import layout
from enactive.episodes.dataset import BrokenDataset, Dataset
from enactive.episodes.features import world_features
from enactive.episodes.repair import recompute_statistics
from enactive.episodes.store import DatasetWriter

VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"
DATA = "data/chunk-000/file-000.parquet"
TABLE = "meta/episodes/chunk-000/file-000.parquet"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    writer = DatasetWriter.create(tmp_path / "dataset", world_features(made.world()), made.RATE)
    writer.append(made.episode(number, 8) for number in range(3))
    return tmp_path / "dataset"


def edit_json(file: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def edit_column(file: Path, name: str, change: Callable[[Any], Any]) -> None:
    table = pq.read_table(file)
    old = table[name]
    values = change(np.array(old.to_pylist()))
    index = table.column_names.index(name)
    pq.write_table(table.set_column(index, name, pa.array(values.tolist(), old.type)), file)


def drop_columns(file: Path, *names: str) -> None:
    pq.write_table(pq.read_table(file).drop_columns(list(names)), file)


def drop_rows(path: Path) -> None:
    table = pq.read_table(path / DATA)
    pq.write_table(table.slice(0, 20), path / DATA)


def late(values: Any) -> Any:
    values = values.copy()
    values[5] += 0.01
    return values


def swapped(values: Any) -> Any:
    values = values.copy()
    values[[7, 8]] = values[[8, 7]]
    return values


DAMAGES: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "no statistics": (
        lambda p: (p / layout.STATS).unlink(),
        "missing-statistics",
        "nothing can be normalised.*recompute_statistics",
    ),
    "statistics of one feature": (
        lambda p: edit_json(p / layout.STATS, lambda s: s["action"].pop("std")),
        "missing-statistics",
        "stats.json, action: there is no std",
    ),
    "statistics of another size": (
        lambda p: edit_json(p / layout.STATS, lambda s: s["action"]["mean"].pop()),
        "wrong-statistics",
        "mean has 2",
    ),
    "another rate": (
        lambda p: edit_json(p / layout.INFO, lambda i: i.update(fps=25)),
        "wrong-timestamps",
        r"frame 7 has timestamp 0.350000 s, at 25 frames per second it belongs at 0.280000 s "
        r"\(the timestamps themselves run at about 20",
    ),
    "one timestamp": (
        lambda p: edit_column(p / DATA, "timestamp", late),
        "wrong-timestamps",
        "episode 0: frame 5 has timestamp 0.26",
    ),
    "frame numbers": (
        lambda p: edit_column(p / DATA, "frame_index", swapped),
        "wrong-frame-index",
        "does not count 0, 1, 2",
    ),
    "a promised camera": (
        lambda p: edit_json(
            p / layout.INFO,
            lambda i: i["features"].update(
                {"observation.images.top": i["features"]["observation.images.front"]}
            ),
        ),
        "missing-camera",
        "nobody knows where the pictures of 'observation.images.top' are",
    ),
    "a promised column": (
        lambda p: drop_columns(p / DATA, "observation.force"),
        "missing-feature",
        "promises 'observation.force', the file has no such column",
    ),
    "a video file": (
        lambda p: (p / VIDEO).unlink(),
        "missing-video",
        "front/chunk-000/file-000.mp4: the episode table names it",
    ),
    "a truncated video file": (
        lambda p: (p / VIDEO).write_bytes((p / VIDEO).read_bytes()[:300]),
        "unreadable-video",
        "cannot be opened",
    ),
    "a video of fewer frames": (
        lambda p: (p / VIDEO).write_bytes(_shorter(p)),
        "wrong-frame-count",
        "holds 8 frames, its episodes need 24",
    ),
    "a data file": (lambda p: (p / DATA).unlink(), "missing-data-file", "not there"),
    "a truncated data file": (
        lambda p: (p / DATA).write_bytes((p / DATA).read_bytes()[:500]),
        "unreadable-data-file",
        "no parquet file",
    ),
    "rows": (drop_rows, "wrong-frame-count", "hold 20 frames, the episode table promises 24"),
    "the total": (
        lambda p: edit_json(p / layout.INFO, lambda i: i.update(total_frames=23)),
        "wrong-frame-count",
        "total_frames is 23, the episodes have 24 together",
    ),
    "episodes": (
        lambda p: edit_json(p / layout.INFO, lambda i: i.update(total_episodes=4)),
        "missing-episodes",
        "promises 4 episodes, the table has 3",
    ),
    "an episode's rows": (
        lambda p: edit_column(p / DATA, "episode_index", swapped),
        "wrong-frame-count",
        "episode 0: the table gives it rows 0 to 7, in the data 8 rows carry its index",
    ),
    "columns of the episode table": (
        lambda p: drop_columns(p / TABLE, "length"),
        "missing-column",
        "'length' is missing",
    ),
    "instructions": (lambda p: (p / layout.TASKS).unlink(), "missing-tasks", "no instructions"),
    "one instruction": (
        lambda p: edit_column(p / DATA, "task_index", lambda v: v + 5),
        "unknown-task",
        "task_index 6, the file has 2 instructions",
    ),
}


def _shorter(path: Path) -> bytes:
    other = path.parent / "short"
    writer = DatasetWriter.create(other, world_features(made.world()), made.RATE)
    writer.append([made.episode(0, 8)])
    return (other / VIDEO).read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
def test_opening_names_the_damage_and_the_fix(path: Path, damage: str) -> None:
    harm, code, message = DAMAGES[damage]
    assert Dataset.open(path).validate() == []
    harm(path)
    with pytest.raises(BrokenDataset, match=message) as raised:
        Dataset.open(path)
    assert f"[{code}]" in str(raised.value)
    assert " Fix: " in str(raised.value)
    problems = Dataset(path, check=False).validate()
    assert code in [problem.code for problem in problems]


def test_pictures_that_do_not_decode_are_found_by_validation(path: Path) -> None:
    file = path / VIDEO
    content = bytearray(file.read_bytes())
    middle = content.index(b"mdat") + 400
    content[middle : middle + 600] = bytes(600)
    file.write_bytes(bytes(content))
    dataset = Dataset.open(path)  # nothing that can be seen without decoding
    problems = dataset.validate()
    assert {problem.code for problem in problems} == {"unreadable-pictures"}
    assert "camera front" in str(problems[0])


def test_values_that_are_not_numbers_are_found_by_validation(path: Path) -> None:
    def harm(values: Any) -> Any:
        values = values.copy()
        values[4, 1] = np.nan
        return values

    edit_column(path / DATA, "action", harm)
    problems = Dataset.open(path).validate()
    assert [(p.code, p.where) for p in problems] == [("not-a-number", "action")]
    assert "the first in frame 4" in problems[0].message


def test_lost_statistics_can_be_recomputed(path: Path) -> None:
    before = Dataset.open(path).stats
    (path / layout.STATS).unlink()
    after = recompute_statistics(path).stats
    assert set(after) == set(before)
    for key, entry in before.items():
        picture = key.startswith("observation.images.")
        for name, value in entry.items():
            # Pictures were encoded since; extremes and tails move most.
            if not picture or name in ("mean", "count"):
                tolerance = 0.02 if picture else 1e-12
                np.testing.assert_allclose(after[key][name], value, atol=tolerance)
