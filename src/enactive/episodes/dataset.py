"""Reading a LeRobotDataset v3: ours, or anyone's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from enactive.episodes import columns, layout, sidecar, video
from enactive.episodes.commit import settle
from enactive.episodes.episode import Deliberation, Episode, Event
from enactive.episodes.provenance import file_hash
from enactive.registry import suggest

Statistics = Mapping[str, Mapping[str, NDArray[Any]]]


class BrokenDataset(ValueError):
    """A dataset that cannot be used; the message says what is wrong and how to fix it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoSpan:
    """Where an episode lies in a video file."""

    path: Path
    start: int
    """First frame of the episode, counted from the beginning of the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeEntry:
    """One row of the episode table."""

    index: int
    length: int
    """T, frames."""
    start: int
    """Row of its first frame among all frames of the dataset."""
    instructions: tuple[str, ...]
    data: Path
    """The parquet file with its rows."""
    videos: Mapping[str, VideoSpan] = field(default_factory=dict[str, VideoSpan])
    """Camera name to where its pictures are, for cameras stored as video."""

    @property
    def stop(self) -> int:
        """Row after its last frame."""
        return self.start + self.length


class Dataset:
    """A LeRobotDataset v3 on disk, read only.

    Args:
        path: the directory that holds ``meta/``, ``data/`` and ``videos/``.
        check: verify everything that needs no decoding (see :meth:`validate`) and raise if
            something is wrong.

    Raises:
        BrokenDataset: it is not a v3 dataset, or a check failed; the message names the fixes.
    """

    def __init__(self, path: Path | str, *, check: bool = True) -> None:
        self.path = Path(path)
        settle(self.path)
        self.info: dict[str, Any] = _read_info(self.path)
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.fps = float(self.info["fps"])
        self.rate = Fraction(self.info["fps"]).limit_denominator(100_000)
        self.num_episodes = int(self.info["total_episodes"])
        self.num_frames = int(self.info["total_frames"])
        self._columns: dict[str, NDArray[Any]] = {}
        self._tables: dict[str, columns.Table] = {}
        if check:
            from enactive.episodes.validation import quick_problems, raise_problems

            raise_problems(self.path, quick_problems(self))

    @classmethod
    def open(cls, path: Path | str, *, check: bool = True) -> Dataset:
        """Open the dataset at ``path``; see the class."""
        return cls(path, check=check)

    # -- what there is ---------------------------------------------------------------------

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras, without ``observation.images.``."""
        kinds = ("video", "image")
        return tuple(
            layout.camera_name(key)
            for key, feature in self.features.items()
            if feature["dtype"] in kinds
        )

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Instructions by ``task_index``."""
        path = self.path / layout.TASKS
        if not path.is_file():
            raise BrokenDataset(f"{path} is missing: the instructions of the episodes are unknown")
        table = pq.read_table(path)
        name = next((c for c in table.column_names if c != "task_index"), None)
        if name is None or "task_index" not in table.column_names:
            raise BrokenDataset(f"{path} needs a column task_index and one with the instructions")
        rows = zip(table["task_index"].to_pylist(), table[name].to_pylist(), strict=True)
        by_index = {int(index): str(text) for index, text in rows}
        count = max(by_index, default=-1) + 1
        return tuple(by_index.get(index, "") for index in range(count))

    @cached_property
    def episodes(self) -> tuple[EpisodeEntry, ...]:
        """The episode table, in order."""
        table = self.episode_table
        rows = {name: table[name].to_pylist() for name in table.column_names}
        entries: list[EpisodeEntry] = []
        start = 0
        for row in range(table.num_rows):
            where = {"chunk_index": rows["data/chunk_index"][row]}
            data = self.info["data_path"].format(file_index=rows["data/file_index"][row], **where)
            length = int(rows["length"][row])
            tasks = rows["tasks"][row] if "tasks" in rows else ()
            entries.append(
                EpisodeEntry(
                    index=int(rows["episode_index"][row]),
                    length=length,
                    start=int(rows.get("dataset_from_index", {row: start})[row]),
                    instructions=tuple([tasks] if isinstance(tasks, str) else tasks),
                    data=self.path / data,
                    videos=self._spans(rows, row),
                )
            )
            start += length
        return tuple(entries)

    def _spans(self, rows: dict[str, list[Any]], row: int) -> dict[str, VideoSpan]:
        spans: dict[str, VideoSpan] = {}
        for key, feature in self.features.items():
            if feature["dtype"] != "video" or f"videos/{key}/file_index" not in rows:
                continue
            name = self.info["video_path"].format(
                video_key=key,
                chunk_index=rows[f"videos/{key}/chunk_index"][row],
                file_index=rows[f"videos/{key}/file_index"][row],
            )
            start = round(rows[f"videos/{key}/from_timestamp"][row] * self.rate)
            spans[layout.camera_name(key)] = VideoSpan(path=self.path / name, start=start)
        return spans

    @cached_property
    def episode_table(self) -> columns.Table:
        """``meta/episodes`` as one Arrow table, without the statistics of single episodes."""
        paths = sorted((self.path / "meta" / "episodes").glob("*/*.parquet"))
        if not paths:
            raise BrokenDataset(f"{self.path}/meta/episodes holds no parquet file")
        parts: list[columns.Table] = []
        for path in paths:
            names = [n for n in pq.read_schema(path).names if not n.startswith("stats/")]
            parts.append(pq.read_table(path, columns=names))
        table = pa.concat_tables(parts, promote_options="permissive")
        # Rows past the count in info.json belong to a commit that was not finished.
        return table.slice(0, self.num_episodes)

    @cached_property
    def stats(self) -> Statistics:
        """Feature to statistic (``min max mean std count q01 q10 q50 q90 q99``) to array.

        Vectors: ``float64 (D,)`` in the feature's units. Images: ``(3, 1, 1)``, in [0, 1].

        Raises:
            BrokenDataset: ``meta/stats.json`` is missing.
        """
        path = self.path / layout.STATS
        if not path.is_file():
            raise BrokenDataset(
                f"{path} is missing: nothing can be normalised. Recompute it with "
                f"enactive.episodes.repair.recompute_statistics({str(self.path)!r})"
            )
        return {
            key: {name: np.array(value) for name, value in entry.items()}
            for key, entry in layout.read_json(path).items()
        }

    # -- what is in it ---------------------------------------------------------------------

    def episode(self, index: int) -> EpisodeEntry:
        """The episode ``index``; raises ``IndexError`` saying how many there are."""
        if not 0 <= index < len(self.episodes):
            raise IndexError(f"{self.path} has episodes 0 to {len(self.episodes) - 1}, not {index}")
        return self.episodes[index]

    def column(self, key: str) -> NDArray[Any]:
        """A feature of every frame: ``(N,)`` if it is one number per frame, else ``(N, D, ...)``.

        Read once and kept in memory. Not for cameras: see :meth:`video`.

        Raises:
            KeyError: there is no such feature; the message suggests one.
        """
        if key not in self._columns:
            self._columns[key] = self._read_column(key)
        return self._columns[key]

    def frames(self, episode: int, keys: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Features of one episode: key to ``(T,)`` or ``(T, D, ...)``."""
        entry = self.episode(episode)
        return {key: self.column(key)[entry.start : entry.stop] for key in keys}

    def _read_column(self, key: str) -> NDArray[Any]:
        feature = self.features.get(key)
        if feature is None:
            raise KeyError(f"{self.path} has no feature {key!r}; {suggest(key, self.features)}")
        if feature["dtype"] in ("video", "image"):
            raise KeyError(f"{key!r} is a camera: read it with Dataset.video")
        parts: list[NDArray[Any]] = []
        for path in self.data_files:
            try:
                table = pq.read_table(path, columns=[key])
                parts.append(columns.to_numpy(table[key]))
            except (pa.ArrowException, KeyError, ValueError) as error:
                raise BrokenDataset(f"{path}: column {key!r} cannot be read: {error}") from error
        return np.concatenate(parts)[: self.num_frames]

    @cached_property
    def data_files(self) -> tuple[Path, ...]:
        """The parquet files with the frames, in the order of the episodes."""
        return tuple(dict.fromkeys(entry.data for entry in self.episodes))

    def video(self, camera: str, episode: int) -> NDArray[np.uint8]:
        """The pictures of one camera over an episode, ``uint8 (T, H, W, 3)`` RGB, decoded in order.

        Raises:
            KeyError: there is no such camera; the message suggests one.
            enactive.episodes.video.UnreadableVideo: the file lacks frames or cannot be decoded.
        """
        entry = self.episode(episode)
        key, shape = self.camera_feature(camera)
        if self.features[key]["dtype"] == "image":
            return self._stored_images(key, entry)
        span = entry.videos.get(layout.camera_name(key))
        if span is None:
            raise BrokenDataset(f"{self.path}: the episode table has no columns videos/{key}/...")
        out = np.empty((entry.length, *shape), np.uint8)
        video.decode_into(span.path, span.start, self.rate, out)
        return out

    def camera_feature(self, camera: str) -> tuple[str, tuple[int, int, int]]:
        """The feature key of a camera and its picture's shape ``(H, W, 3)``."""
        for key in (camera, layout.camera_key(camera)):
            feature = self.features.get(key)
            if feature is not None and feature["dtype"] in ("video", "image"):
                a, b, c = feature["shape"]
                # Some datasets declare channels first; pixels are always stored as pictures.
                return key, ((b, c, a) if a == 3 and c != 3 else (a, b, c))
        raise KeyError(f"{self.path} has no camera {camera!r}; {suggest(camera, self.cameras)}")

    def _stored_images(self, key: str, entry: EpisodeEntry) -> NDArray[np.uint8]:
        first = next(other.start for other in self.episodes if other.data == entry.data)
        rows: list[dict[str, Any]] = []
        with pq.ParquetFile(entry.data) as file:
            position = first
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                low, high = max(entry.start, position), min(entry.stop, position + count)
                if low < high:
                    table = file.read_row_group(group, columns=[key])
                    rows += table[key].slice(low - position, high - low).to_pylist()
                position += count
        if len(rows) != entry.length:
            raise BrokenDataset(
                f"{entry.data} has {len(rows)} rows of episode {entry.index}, not {entry.length}"
            )
        return columns.decode_images(rows, self.path)

    # -- what our tables add ---------------------------------------------------------------

    @cached_property
    def records(self) -> tuple[sidecar.EpisodeRecord, ...]:
        """Header, outcome and hashes of the episodes that we wrote, in order of their index."""
        table = sidecar.read_table(self.path, "episodes")
        found = sorted(sidecar.records(table), key=lambda record: record.episode)
        return tuple(record for record in found if record.episode < self.num_episodes)

    def record(self, episode: int) -> sidecar.EpisodeRecord:
        """Header, outcome and hashes of one episode.

        Raises:
            KeyError: the episode was not written by us, so there is no such record.
        """
        for record in self.records:
            if record.episode == episode:
                return record
        raise KeyError(f"{self.path} says nothing of episode {episode} beyond its frames")

    def deliberations(self, episode: int) -> tuple[Deliberation, ...]:
        """The decisions of one episode with their chains and costs; empty if none are kept."""
        return sidecar.deliberations(self._table("chains"), episode)

    def events(self, episode: int) -> tuple[Event, ...]:
        """The events of one episode; empty if none are kept."""
        return sidecar.events(self._table("events"), episode)

    def _table(self, name: str) -> columns.Table:
        if name not in self._tables:
            self._tables[name] = sidecar.read_table(self.path, name)
        return self._tables[name]

    def read(self, episode: int) -> Episode:
        """One whole episode. Pictures stored as video come back as the decoder gives them; the
        hashes are those of the pictures as they were seen.

        Raises:
            KeyError: the episode was not written by us.
        """
        record = self.record(episode)
        keys = [k for k, f in self.features.items() if f["dtype"] not in ("video", "image")]
        rows = self.frames(episode, keys)
        states = [key for key in keys if key.startswith("observation.")]
        actions = rows[layout.ACTION].reshape(self.episode(episode).length, -1)
        return Episode(
            header=record.header,
            images={camera: self.video(camera, episode) for camera in self.cameras},
            state={layout.state_name(key): rows[key].reshape(len(rows[key]), -1) for key in states},
            actions=actions,
            expert_actions=rows.get(layout.EXPERT),
            rewards=rows["next.reward"],
            successes=rows["next.success"],
            outcome=record.outcome,
            events=self.events(episode),
            deliberations=self.deliberations(episode),
            hashes=record.hashes,
        )

    # -- trust -----------------------------------------------------------------------------

    def validate(self) -> list[Any]:
        """Everything that is wrong with the dataset, each with its fix; decodes every video.

        Returns:
            A list of :class:`enactive.episodes.validation.Problem`, empty if all is well.
        """
        from enactive.episodes.validation import all_problems

        return list(all_problems(self))

    def content_hash(self) -> str:
        """A hash of every byte of the dataset's files (not of where they lie), 32 hex digits."""
        digest = hashlib.blake2b(digest_size=16)
        for path in sorted(self._files()):
            relative = path.relative_to(self.path).as_posix().encode()
            digest.update(len(relative).to_bytes(4, "little") + relative)
            digest.update(bytes.fromhex(file_hash(path)))
        return digest.hexdigest()

    def _files(self) -> set[Path]:
        files = {self.path / layout.INFO, self.path / layout.TASKS, self.path / layout.STATS}
        files |= set((self.path / "meta" / "episodes").glob("*/*.parquet"))
        files |= {entry.data for entry in self.episodes}
        files |= {span.path for entry in self.episodes for span in entry.videos.values()}
        for table in layout.SIDECARS:
            files |= set((self.path / layout.OWN / table).glob("*/*.parquet"))
        return {path for path in files if path.is_file()}

    def __len__(self) -> int:
        return self.num_frames

    def __repr__(self) -> str:
        return (
            f"Dataset({str(self.path)!r}: {self.num_episodes} episodes, {self.num_frames} frames "
            f"at {self.fps:g} Hz, cameras {', '.join(self.cameras) or 'none'})"
        )


def _read_info(path: Path) -> dict[str, Any]:
    file = path / layout.INFO
    if not file.is_file():
        raise BrokenDataset(f"{path} is not a LeRobotDataset: there is no {layout.INFO}")
    info = layout.read_json(file)
    version = str(info.get("codebase_version", "none"))
    if not version.startswith("v3."):
        raise BrokenDataset(
            f"{path} has format {version}; this reader needs v3.x. Convert it with LeRobot's "
            "lerobot/datasets/v30/convert_dataset_v21_to_v30.py"
        )
    needed = ("fps", "features", "total_episodes", "total_frames", "data_path")
    missing = [name for name in needed if name not in info]
    if missing:
        raise BrokenDataset(f"{file} lacks {', '.join(missing)}")
    return info
