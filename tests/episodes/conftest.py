"""Datasets for the tests of this package, in LeRobot's format and written without our writer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enactive.episodes import video
from enactive.episodes.dataset import Dataset

sys.path.insert(0, str(Path(__file__).parent))  # made_episodes, which a child process runs too

MakeDataset = Callable[..., Dataset]


@pytest.fixture(scope="session")
def make_dataset(tmp_path_factory: pytest.TempPathFactory) -> MakeDataset:
    """Writes a LeRobotDataset v3 whose values say where they are from.

    ``observation.state`` is ``(episode, step, dataset)``, ``action`` is ``(episode, step)``; the
    pictures are noise with a bar as bright as the step. Instructions change with the episode.
    """

    def make(
        lengths: Sequence[int],
        *,
        cameras: Sequence[str] = ("front", "wrist"),
        size: tuple[int, int] = (32, 48),
        fps: int = 20,
        action_names: Sequence[str] = ("x", "y"),
        tag: int = 0,
        instructions: int = 2,
    ) -> Dataset:
        root = tmp_path_factory.mktemp("dataset")
        _write(root, lengths, cameras, size, fps, action_names, tag, instructions)
        return Dataset.open(root)

    return make


def _write(
    root: Path,
    lengths: Sequence[int],
    cameras: Sequence[str],
    size: tuple[int, int],
    fps: int,
    action_names: Sequence[str],
    tag: int,
    instructions: int,
) -> None:
    rng = np.random.default_rng([tag, *lengths])
    total = sum(lengths)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    step = np.concatenate([np.arange(length) for length in lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    features: dict[str, dict[str, Any]] = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": ["e", "t", "d"]},
        "action": {
            "dtype": "float32",
            "shape": [len(action_names)],
            "names": {"motors": list(action_names)},
        },
    }
    for camera in cameras:
        features[f"observation.images.{camera}"] = {
            "dtype": "video",
            "shape": [*size, 3],
            "names": ["height", "width", "channels"],
        }
    scalars = {"timestamp": "float32"} | dict.fromkeys(
        ("frame_index", "episode_index", "index", "task_index"), "int64"
    )
    for name, dtype in scalars.items():
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    values = {
        "observation.state": np.stack([episode, step, np.full(total, tag)], 1).astype(np.float32),
        "action": np.stack([episode, step], 1).astype(np.float32)[:, : len(action_names)],
        "timestamp": (step / fps).astype(np.float32),
        "frame_index": step,
        "episode_index": episode,
        "index": np.arange(total),
        "task_index": episode % instructions,
    }
    columns: dict[str, Any] = {
        key: pa.array(list(value)) if value.ndim > 1 else pa.array(value)
        for key, value in values.items()
    }
    _save(pa.table(columns), root / "data/chunk-000/file-000.parquet")

    rows: dict[str, list[Any]] = {
        "episode_index": list(range(len(lengths))),
        "tasks": [[f"task {e % instructions}"] for e in range(len(lengths))],
        "length": list(lengths),
        "data/chunk_index": [0] * len(lengths),
        "data/file_index": [0] * len(lengths),
        "dataset_from_index": starts.tolist(),
        "dataset_to_index": (starts + lengths).tolist(),
    }
    stats = {key: _stats(np.asarray(value, np.float64)) for key, value in values.items()}
    for camera in cameras:
        key = f"observation.images.{camera}"
        rows[f"videos/{key}/chunk_index"] = [0] * len(lengths)
        rows[f"videos/{key}/file_index"] = [0] * len(lengths)
        rows[f"videos/{key}/from_timestamp"] = (starts / fps).tolist()
        rows[f"videos/{key}/to_timestamp"] = ((starts + lengths) / fps).tolist()
        path = root / f"videos/{key}/chunk-000/file-000.mp4"
        path.parent.mkdir(parents=True)
        noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        pictures = (_picture(noise, e, t) for e, t in zip(episode, step, strict=True))
        video.encode(pictures, path, Fraction(fps), video.VideoCodec())
        image = np.full((3, 1, 1), 0.5)
        stats[key] = {n: image.tolist() for n in ("min", "max", "mean", "std")} | {"count": [total]}
    _save(pa.table(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    tasks = {"task_index": range(instructions), "task": [f"task {i}" for i in range(instructions)]}
    _save(pa.table({k: list(v) for k, v in tasks.items()}), root / "meta/tasks.parquet")
    (root / "meta/stats.json").write_text(json.dumps(stats))
    info = {
        "codebase_version": "v3.0",
        "robot_type": None,
        "total_episodes": len(lengths),
        "total_frames": total,
        "total_tasks": instructions,
        "chunks_size": 1000,
        "fps": fps,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))


def _picture(noise: Any, episode: int, step: int) -> Any:
    picture = noise // 4
    picture[:16, :16] = min(4 * step, 255)
    picture[16:, :16] = min(20 * episode, 255)
    return picture


def _save(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _stats(values: Any) -> dict[str, Any]:
    values = values.reshape(len(values), -1)
    return {
        "min": values.min(0).tolist(),
        "max": values.max(0).tolist(),
        "mean": values.mean(0).tolist(),
        "std": values.std(0).tolist(),
        "count": [len(values)],
    }
