"""One commit of a dataset in the making: files under staging, then the list to publish."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from enactive.episodes import columns, commit, layout, sidecar, video
from enactive.episodes import statistics as stats
from enactive.episodes.dataset import Dataset
from enactive.episodes.episode import Episode
from enactive.episodes.features import Features, episode_columns, episode_images

Summaries = dict[str, stats.Summary]


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How a dataset is laid out; fixed when it is made."""

    features: Features
    fps: float
    robot: str | None = None
    codec: video.VideoCodec = field(default_factory=video.VideoCodec)
    data_mb: int = layout.DATA_MB
    video_mb: int = layout.VIDEO_MB

    @property
    def rate(self) -> Fraction:
        """Frames per second, exactly."""
        return Fraction(self.fps).limit_denominator(100_000)

    @property
    def cameras(self) -> list[str]:
        """Features that are stored as mp4."""
        return [key for key, feature in self.features.items() if feature["dtype"] == "video"]

    @property
    def types(self) -> dict[str, columns.ArrowType]:
        """Column to Arrow type of the data files."""
        return {
            key: columns.arrow_type(feature)
            for key, feature in self.features.items()
            if feature["dtype"] != "video"
        }


@dataclass(kw_only=True, slots=True)
class _Staged:
    """An episode that lies in the staging directory, before its files have their places."""

    row: dict[str, Any]
    parts: dict[str, Path]
    """Camera feature to the episode's own mp4."""
    summaries: Summaries


@dataclass(kw_only=True, slots=True)
class State:
    """What a commit starts from and adds to."""

    dataset: Dataset | None
    tasks: list[str]
    ids: set[str]
    vectors: dict[str, stats.VectorStatistics] = field(
        default_factory=dict[str, stats.VectorStatistics]
    )
    pictures: dict[str, stats.ImageStatistics] = field(
        default_factory=dict[str, stats.ImageStatistics]
    )


class Commit:
    """One change of a dataset in the making: files under staging, then the list to publish."""

    def __init__(self, path: Path, form: Format, state: State) -> None:
        self.path, self.form, self.state = path, form, state
        self.types, self.cameras = form.types, form.cameras
        self.root = path / layout.STAGING
        self.info = _info(form, state.dataset)
        self.staged: list[_Staged] = []
        self.names: list[str] = []
        self.side: sidecar.Rows = {table: [] for table in layout.SIDECARS}
        old = state.dataset.episode_table if state.dataset else None
        self.frame = state.dataset.num_frames if state.dataset else 0
        self.first = state.dataset.num_episodes if state.dataset else 0
        self.where = self._after(old, "data")
        self.parquet: Any = None
        self.sink: Any = None
        self.schema = pa.schema([pa.field(key, kind) for key, kind in self.types.items()])
        self.threads = ThreadPoolExecutor(max(len(self.cameras), 1), "enactive-encode")

    def __enter__(self) -> Commit:
        return self

    def __exit__(self, *_: object) -> None:
        self.threads.shutdown(cancel_futures=True)
        self._close_parquet()
        commit.discard_staging(self.path)

    # -- episodes --------------------------------------------------------------------------

    def add(self, episode: Episode) -> None:
        """Stage one episode: its frames, pictures, statistics and rows of our tables."""
        form, length = self.form, episode.length
        if not length:
            raise ValueError(f"episode {episode.header.id!r} has no step; it cannot be stored")
        index = self.first + len(self.staged)
        pictures = episode_images(episode, form.features)
        encoding = {key: self._encode(index, key, pictures[key]) for key in self.cameras}
        rows = self._rows(index, episode)
        summaries: Summaries = {}
        for key, values in rows.items():
            mine = stats.VectorStatistics(max(values[0].size, 1))
            mine.update(values)
            summaries[key] = mine.summary()
            self.state.vectors.setdefault(key, self._earlier(key, values)).merge(mine)
        histograms: dict[str, NDArray[np.int64]] = {}
        for key, images in pictures.items():
            seen = stats.ImageStatistics()
            seen.update(stats.thinned(images[stats.sampled_rows(length)]))
            summaries[key], histograms[key] = seen.summary(), seen.histogram
            self.state.pictures.setdefault(key, stats.ImageStatistics()).merge(seen)
        self._write_rows(rows, pictures)
        parts = {key: future.result() for key, future in encoding.items()}
        row = {
            "episode_index": index,
            "tasks": [episode.instruction],
            "length": length,
            "data/chunk_index": self.where[0],
            "data/file_index": self.where[1],
            "dataset_from_index": self.frame,
            "dataset_to_index": self.frame + length,
        }
        self.staged.append(_Staged(row=row, parts=parts, summaries=summaries))
        self.frame += length
        for table, added in sidecar.rows_of(index, episode, histograms).items():
            self.side[table] += added
        if self.sink is not None and self.sink.tell() >= form.data_mb * 2**20:
            self._close_parquet()
            self.where = layout.next_file(*self.where, layout.CHUNK_SIZE)

    def _encode(self, index: int, key: str, images: NDArray[np.uint8]) -> Any:
        path = self.root / "parts" / f"{key}-{index:06d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)

        def work() -> Path:
            video.encode(images, path, self.form.rate, self.form.codec)
            return path

        return self.threads.submit(work)

    def _rows(self, index: int, episode: Episode) -> dict[str, NDArray[Any]]:
        length = episode.length
        instruction = episode.instruction
        if instruction not in self.state.tasks:
            self.state.tasks.append(instruction)
        frame = np.arange(length)
        task = self.state.tasks.index(instruction)
        return episode_columns(episode, self.form.features) | {
            "timestamp": (frame / self.form.fps).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.full(length, index),
            "index": self.frame + frame,
            "task_index": np.full(length, task),
        }

    def _earlier(self, key: str, values: NDArray[Any]) -> stats.VectorStatistics:
        before = stats.VectorStatistics(max(values[0].size, 1))
        if self.state.dataset is not None:
            before.update(self.state.dataset.column(key))
        return before

    def _write_rows(
        self, rows: Mapping[str, NDArray[Any]], pictures: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        arrays = [
            columns.encode_images(pictures[key])
            if kind == columns.IMAGE_TYPE
            else columns.from_numpy(rows[key], kind)
            for key, kind in self.types.items()
        ]
        if self.parquet is None:
            name = layout.DATA.format(chunk_index=self.where[0], file_index=self.where[1])
            self.sink = pa.OSFile(str(self._path(name)), "wb")
            self.parquet = pq.ParquetWriter(self.sink, self.schema, compression="snappy")
        self.parquet.write_table(pa.table(arrays, schema=self.schema))

    def _close_parquet(self) -> None:
        if self.parquet is not None:
            self.parquet.close()
            self.sink.close()
            self.parquet = self.sink = None

    # -- files -----------------------------------------------------------------------------

    def files(self) -> list[str]:
        """Write what remains and give the staged files in the order to publish, info last."""
        self._close_parquet()
        for key in self.cameras:
            self._place_videos(key)
        last: Any = self.state.dataset.episode_table if self.state.dataset else None
        where = self._after(last, "meta/episodes")
        self._write_episodes(where)
        for table, rows in self.side.items():
            if rows:
                own = self._free(table)
                self._write(own, pa.Table.from_pylist(rows, schema=sidecar.SCHEMAS[table]))
        self._write(layout.TASKS, _tasks_table(self.state.tasks))
        layout.write_json(stats.to_json(self._statistics()), self._path(layout.STATS))
        episodes = self.first + len(self.staged)
        self.info |= {
            "total_episodes": episodes,
            "total_frames": self.frame,
            "total_tasks": len(self.state.tasks),
            "splits": {"train": f"0:{episodes}"},
        }
        layout.write_json(self.info, self._path(layout.INFO))
        return self.names

    def _path(self, name: str) -> Path:
        """The staging place of a file of the dataset; registers it for publication."""
        self.names.append(name)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write(self, name: str, table: columns.Table) -> None:
        pq.write_table(table, self._path(name), compression="snappy")

    def _free(self, table: str) -> str:
        where = (0, 0)
        while True:
            name = layout.SIDECAR.format(table=table, chunk_index=where[0], file_index=where[1])
            if not (self.path / name).exists():
                return name
            where = layout.next_file(*where, layout.CHUNK_SIZE)

    @staticmethod
    def _after(table: Any, group: str) -> tuple[int, int]:
        """The first unused file indices of a group, after the last row of the episode table."""
        if table is None or not table.num_rows:
            return (0, 0)
        if f"{group}/file_index" not in table.column_names:
            return (0, table.num_rows)
        row = table.num_rows - 1
        last = [table[f"{group}/{part}"][row].as_py() for part in ("chunk_index", "file_index")]
        return layout.next_file(int(last[0]), int(last[1]), layout.CHUNK_SIZE)

    def _place_videos(self, key: str) -> None:
        """Join the episodes' mp4 parts into files of at most ``video_mb``."""
        limit = self.form.video_mb * 2**20
        group: list[Path] = []
        where, shown, size = self._last_video(key, self.staged[0].parts[key], group)
        for staged in self.staged:
            part = staged.parts[key]
            if group and size + part.stat().st_size > limit:
                self._join(key, where, group)
                where, shown, size = layout.next_file(*where, layout.CHUNK_SIZE), 0, 0
                group = []
            group.append(part)
            size += part.stat().st_size
            length = staged.row["length"]
            staged.row |= {
                f"videos/{key}/chunk_index": where[0],
                f"videos/{key}/file_index": where[1],
                f"videos/{key}/from_timestamp": float(shown / self.form.rate),
                f"videos/{key}/to_timestamp": float((shown + length) / self.form.rate),
            }
            shown += length
        self._join(key, where, group)

    def _last_video(
        self, key: str, part: Path, group: list[Path]
    ) -> tuple[tuple[int, int], int, int]:
        """Where to go on: in the last file if it has room and the same encoder wrote it."""
        if self.state.dataset is None:
            return (0, 0), 0, 0
        table = self.state.dataset.episode_table
        entry = self.state.dataset.episodes[-1]
        path = entry.videos[layout.camera_name(key)].path
        row = table.num_rows - 1
        chunk = int(table[f"videos/{key}/chunk_index"][row].as_py())
        file = int(table[f"videos/{key}/file_index"][row].as_py())
        size = path.stat().st_size
        room = size + part.stat().st_size <= self.form.video_mb * 2**20
        if room and video.parameters(path) == video.parameters(part):
            group.append(path)
            return (chunk, file), video.rate_and_count(path)[1], size
        return layout.next_file(chunk, file, layout.CHUNK_SIZE), 0, 0

    def _join(self, key: str, where: tuple[int, int], group: list[Path]) -> None:
        name = layout.VIDEO.format(video_key=key, chunk_index=where[0], file_index=where[1])
        target = self._path(name)
        video.concatenate(group, target, self.form.rate)
        for part in group:
            if part.is_relative_to(self.root):
                part.unlink()
        if "info" not in self.info["features"][key]:
            self.info["features"][key]["info"] = video.stream_facts(target)

    def _write_episodes(self, where: tuple[int, int]) -> None:
        rows: list[dict[str, Any]] = []
        for staged in self.staged:
            flat = {
                f"stats/{key}/{name}": self._typed(key, name, value)
                for key, summary in staged.summaries.items()
                for name, value in summary.items()
            }
            place = {"meta/episodes/chunk_index": where[0], "meta/episodes/file_index": where[1]}
            rows.append(staged.row | flat | place)
        name = layout.EPISODES.format(chunk_index=where[0], file_index=where[1])
        self._write(name, pa.Table.from_pylist(rows))

    def _typed(self, key: str, name: str, value: NDArray[Any]) -> list[Any]:
        """A statistic as LeRobot stores it: extremes in the feature's own type."""
        dtype = self.form.features[key]["dtype"]
        whole = name in ("min", "max") and (dtype == "bool" or "int" in dtype)
        return value.astype(dtype).tolist() if whole else value.tolist()

    def _statistics(self) -> Summaries:
        found = {key: seen.summary() for key, seen in self.state.vectors.items()}
        dataset = self.state.dataset
        for key, seen in self.state.pictures.items():
            summary = seen.summary()
            if dataset is not None:
                summary = _with_earlier_pictures(dataset, key, seen)
            found[key] = summary
        return found


def _with_earlier_pictures(
    dataset: Dataset, key: str, seen: stats.ImageStatistics
) -> stats.Summary:
    """Statistics of a camera over old and new episodes: exact if our tables have the histograms."""
    table = sidecar.read_table(dataset.path, "episodes", ["histograms"])
    old = [sidecar.histograms(row) for row in table["histograms"].to_pylist()]
    if len(old) == dataset.num_episodes and all(key in row for row in old):
        before = stats.ImageStatistics()
        before.images = int(dataset.stats[key]["count"][0])
        for row in old:
            before.histogram += row[key]
        before.merge(seen)
        return before.summary()
    return stats.merge_summaries(dataset.stats[key], seen.summary())


def _info(form: Format, dataset: Dataset | None) -> dict[str, Any]:
    if dataset is not None:
        return json.loads(json.dumps(dataset.info))
    return {
        "codebase_version": layout.FORMAT,
        "robot_type": form.robot,
        "total_episodes": 0,
        "total_frames": 0,
        "total_tasks": 0,
        "chunks_size": layout.CHUNK_SIZE,
        "data_files_size_in_mb": form.data_mb,
        "video_files_size_in_mb": form.video_mb,
        "fps": form.fps,
        "splits": {},
        "data_path": layout.DATA,
        "video_path": layout.VIDEO if form.cameras else None,
        "features": json.loads(json.dumps(form.features)),
    }


def _tasks_table(tasks: list[str]) -> columns.Table:
    """``meta/tasks.parquet`` as pandas writes a frame that is indexed by the instruction."""
    index = "__index_level_0__"
    describe = [
        {"name": "task_index", "field_name": "task_index", "numpy_type": "int64"},
        {"name": None, "field_name": index, "numpy_type": "object"},
    ]
    kinds = ("int64", "unicode")
    pandas = {
        "index_columns": [index],
        "column_indexes": [],
        "columns": [
            {**column, "pandas_type": kind, "metadata": None}
            for column, kind in zip(describe, kinds, strict=True)
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), index: tasks})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})
