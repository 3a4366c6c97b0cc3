"""What is wrong with a dataset, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from enactive.episodes import layout, video

if TYPE_CHECKING:
    from enactive.episodes.dataset import Dataset

TOLERANCE = 1e-4
"""Seconds by which a timestamp may miss its place, LeRobot's ``tolerance_s``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong."""

    code: str
    """Stable short name, e.g. ``"missing-statistics"``."""
    where: str
    """The file, feature or episode."""
    message: str
    fix: str

    def __str__(self) -> str:
        return f"[{self.code}] {self.where}: {self.message} Fix: {self.fix}"


def raise_problems(path: Path, problems: Iterable[Problem], limit: int = 8) -> None:
    """Raise ``BrokenDataset`` listing the problems, if there is any."""
    from enactive.episodes.dataset import BrokenDataset

    found = list(problems)
    if not found:
        return
    lines = [f"  {problem}" for problem in found[:limit]]
    if len(found) > limit:
        lines.append(f"  ... and {len(found) - limit} more")
    raise BrokenDataset(f"{path} cannot be used:\n" + "\n".join(lines))


def quick_problems(dataset: Dataset) -> Iterator[Problem]:
    """Problems that can be found without decoding a picture."""
    structural = list(_structure(dataset))
    yield from structural
    if structural:
        return  # What follows reads what was found to be missing.
    miscounted = list(_counts(dataset))
    yield from miscounted
    yield from _statistics(dataset)
    yield from _videos(dataset)
    if not miscounted:
        yield from _times(dataset)


def all_problems(dataset: Dataset) -> Iterator[Problem]:
    """Every problem; decodes every video once and compares hashes of what is lossless."""
    quick = list(quick_problems(dataset))
    yield from quick
    if any(problem.code != "missing-statistics" for problem in quick):
        return
    for camera in dataset.cameras:
        for entry in dataset.episodes:
            try:
                dataset.video(camera, entry.index)
            except (ValueError, OSError) as error:
                yield Problem(
                    code="unreadable-pictures",
                    where=f"camera {camera}, episode {entry.index}",
                    message=f"{error}.",
                    fix="restore the file from its source, or drop the episode",
                )
    yield from _values(dataset)


def _structure(dataset: Dataset) -> Iterator[Problem]:
    table = dataset.episode_table
    needed = [
        "episode_index",
        "length",
        "data/chunk_index",
        "data/file_index",
        "dataset_from_index",
        "dataset_to_index",
    ]
    keys = [key for key, feature in dataset.features.items() if feature["dtype"] == "video"]
    for key in keys:
        needed += [f"videos/{key}/{part}" for part in ("chunk_index", "file_index")]
        needed += [f"videos/{key}/{part}" for part in ("from_timestamp", "to_timestamp")]
    missing = [name for name in needed if name not in table.column_names]
    for name in missing:
        camera = name.split("/")[1] if name.startswith("videos/") else ""
        yield Problem(
            code="missing-camera" if camera else "missing-column",
            where="meta/episodes",
            message=f"the column {name!r} is missing"
            + (f", so nobody knows where the pictures of {camera!r} are." if camera else "."),
            fix=f"drop {camera!r} from the features in meta/info.json, or add its videos"
            if camera
            else "write the episode table again from the data files",
        )
    if table.num_rows < dataset.num_episodes:
        yield Problem(
            code="missing-episodes",
            where="meta/episodes",
            message=f"info.json promises {dataset.num_episodes} episodes, the table has "
            f"{table.num_rows}.",
            fix=f"set total_episodes to {table.num_rows}, or restore the missing rows",
        )
    if not (dataset.path / layout.TASKS).is_file():
        yield Problem(
            code="missing-tasks",
            where=layout.TASKS,
            message="the file is missing, so the episodes have no instructions.",
            fix="restore it: one row per instruction with its task_index",
        )
    if keys and not dataset.info.get("video_path"):
        yield Problem(
            code="missing-video-path",
            where=layout.INFO,
            message=f"{', '.join(keys)} are videos, but video_path is not given.",
            fix=f'set "video_path": "{layout.VIDEO}"',
        )
    if not missing:
        for path in dataset.data_files:
            yield from _data_file(dataset, path)


def _data_file(dataset: Dataset, path: Path) -> Iterator[Problem]:
    name = str(path.relative_to(dataset.path))
    if not path.is_file():
        yield Problem(
            code="missing-data-file",
            where=name,
            message="the episode table names it, but it is not there.",
            fix="restore the file; a download may have been interrupted",
        )
        return
    try:
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        yield Problem(
            code="unreadable-data-file",
            where=name,
            message=f"it is no parquet file ({error}).",
            fix="restore the file; its writer may have died before it was closed",
        )
        return
    for key, feature in dataset.features.items():
        if feature["dtype"] != "video" and key not in schema.names:
            camera = feature["dtype"] == "image"
            yield Problem(
                code="missing-camera" if camera else "missing-feature",
                where=name,
                message=f"info.json promises {key!r}, the file has no such column.",
                fix=f"drop {key!r} from the features in meta/info.json, or write the column",
            )


def _counts(dataset: Dataset) -> Iterator[Problem]:
    entries = dataset.episodes
    total = sum(entry.length for entry in entries)
    if total != dataset.num_frames:
        yield Problem(
            code="wrong-frame-count",
            where=layout.INFO,
            message=f"total_frames is {dataset.num_frames}, the episodes have {total} together.",
            fix=f"set total_frames to {total}",
        )
    rows = sum(pq.read_metadata(path).num_rows for path in dataset.data_files)
    if rows < total:
        yield Problem(
            code="wrong-frame-count",
            where="data",
            message=f"the files hold {rows} frames, the episode table promises {total}.",
            fix="restore the missing rows, or drop the episodes that lost them",
        )
        return
    episode = dataset.column("episode_index")
    for entry in entries:
        mine = episode[entry.start : entry.stop]
        if len(mine) != entry.length or (mine != entry.index).any():
            count = int((episode == entry.index).sum())
            yield Problem(
                code="wrong-frame-count",
                where=f"episode {entry.index}",
                message=f"the table gives it rows {entry.start} to {entry.stop - 1}, in the data "
                f"{count} rows carry its index.",
                fix="write dataset_from_index, dataset_to_index and length again from the data",
            )
    tasks = dataset.column("task_index")
    if len(tasks) and int(tasks.max()) >= len(dataset.tasks):
        yield Problem(
            code="unknown-task",
            where=layout.TASKS,
            message=f"frames have task_index {int(tasks.max())}, the file has "
            f"{len(dataset.tasks)} instructions.",
            fix="add the missing instructions",
        )


def _statistics(dataset: Dataset) -> Iterator[Problem]:
    advice = f"enactive.episodes.repair.recompute_statistics({str(dataset.path)!r})"
    if not (dataset.path / layout.STATS).is_file():
        yield Problem(
            code="missing-statistics",
            where=layout.STATS,
            message="the file is missing, so nothing can be normalised.",
            fix=advice,
        )
        return
    for key, feature in dataset.features.items():
        if feature["dtype"] == "string":
            continue
        entry = dataset.stats.get(key)
        lacking = [n for n in ("min", "max", "mean", "std", "count") if n not in (entry or {})]
        if entry is None or lacking:
            yield Problem(
                code="missing-statistics",
                where=f"{layout.STATS}, {key}",
                message=f"there is no {', '.join(lacking)} for it.",
                fix=advice,
            )
            continue
        picture = feature["dtype"] in ("video", "image")
        size = 3 if picture else int(np.prod(feature["shape"]))
        for name in ("min", "max", "mean", "std"):
            if entry[name].size != size or not np.isfinite(entry[name]).all():
                yield Problem(
                    code="wrong-statistics",
                    where=f"{layout.STATS}, {key}",
                    message=f"{name} has {entry[name].size} finite-or-not values, {size} finite "
                    "ones are needed.",
                    fix=advice,
                )


def _videos(dataset: Dataset) -> Iterator[Problem]:
    needed: dict[Path, int] = {}
    for entry in dataset.episodes:
        for span in entry.videos.values():
            needed[span.path] = max(needed.get(span.path, 0), span.start + entry.length)
    for path, frames in needed.items():
        name = str(path.relative_to(dataset.path))
        if not path.is_file():
            yield Problem(
                code="missing-video",
                where=name,
                message="the episode table names it, but it is not there.",
                fix="restore the file; datasets downloaded without videos lack all of them",
            )
            continue
        try:
            rate, count = video.rate_and_count(path)
        except (video.UnreadableVideo, OSError) as error:
            yield Problem(
                code="unreadable-video",
                where=name,
                message=f"{error}.",
                fix="restore the file; its writer may have died before it was closed",
            )
            continue
        if count < frames:
            yield Problem(
                code="wrong-frame-count",
                where=name,
                message=f"it holds {count} frames, its episodes need {frames}.",
                fix="restore the file, or drop the episodes at its end",
            )
        if rate is not None and abs(float(rate) - dataset.fps) > 0.01 * dataset.fps:
            yield Problem(
                code="wrong-rate",
                where=name,
                message=f"it runs at {float(rate):g} frames per second, the dataset at "
                f"{dataset.fps:g}.",
                fix="set fps in meta/info.json to the rate of recording",
            )


def _times(dataset: Dataset) -> Iterator[Problem]:
    stamps = dataset.column("timestamp").reshape(-1).astype(np.float64)
    frame = dataset.column("frame_index").reshape(-1)
    for entry in dataset.episodes:
        rows = slice(entry.start, entry.stop)
        if (frame[rows] != np.arange(entry.length)).any():
            yield Problem(
                code="wrong-frame-index",
                where=f"episode {entry.index}",
                message="frame_index does not count 0, 1, 2, ...",
                fix="write frame_index again",
            )
            continue
        off = np.abs(stamps[rows] - frame[rows] / dataset.fps)
        # A float32 timestamp is only as fine as its size allows.
        worst = int(np.argmax(off)) if len(off) else 0
        if len(off) and off[worst] > TOLERANCE + stamps[rows][worst] * 2.0**-22:
            steps = np.diff(stamps[rows])
            rate = 1 / np.median(steps) if len(steps) and np.median(steps) > 0 else float("nan")
            yield Problem(
                code="wrong-timestamps",
                where=f"episode {entry.index}",
                message=f"frame {worst} has timestamp {stamps[rows][worst]:.6f} s, at "
                f"{dataset.fps:g} frames per second it belongs at {worst / dataset.fps:.6f} s "
                f"(the timestamps themselves run at about {rate:.6g} per second).",
                fix="set fps in meta/info.json to the rate of recording, or write timestamps as "
                "frame_index / fps",
            )


def _values(dataset: Dataset) -> Iterator[Problem]:
    for key, feature in dataset.features.items():
        if not str(feature["dtype"]).startswith("float"):
            continue
        values: Any = dataset.column(key)
        bad = np.argwhere(~np.isfinite(values.reshape(len(values), -1)))
        if len(bad):
            yield Problem(
                code="not-a-number",
                where=key,
                message=f"{len(bad)} values are not finite, the first in frame {bad[0][0]}.",
                fix="drop the episodes concerned",
            )
