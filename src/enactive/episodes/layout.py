"""Where the parts of a dataset lie on disk: LeRobotDataset v3 plus our tables beside it.

Layout facts are those of LeRobot 0.4.4 (``lerobot/datasets/utils.py``), which globs
``meta/episodes/*/*.parquet`` and ``data/*/*.parquet`` and sorts the paths.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FORMAT = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
CHUNK_SIZE = 1000
"""Files of one directory before the next ``chunk-NNN`` begins."""
DATA_MB = 100
VIDEO_MB = 200

OWN = "enactive"
"""Our directory inside a dataset; other readers do not look there."""
SIDECAR = OWN + "/{table}/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
SIDECARS = ("episodes", "chains", "events")
STAGING = OWN + "/staging"
COMMIT = OWN + "/commit.json"
LOCK = OWN + "/lock"

CAMERA_PREFIX = "observation.images."
STATE_KEY = "observation.state"
PROPRIO = "proprio"
ACTION = "action"
EXPERT = "action.expert"

BOOKKEEPING: dict[str, dict[str, Any]] = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}
"""The columns every v3 dataset has."""


def camera_key(camera: str) -> str:
    """The feature under which the camera called ``camera`` is stored."""
    return camera if camera.startswith(CAMERA_PREFIX) else CAMERA_PREFIX + camera


def camera_name(key: str) -> str:
    """The camera's short name; a key outside ``observation.images.`` is its own name."""
    return key.removeprefix(CAMERA_PREFIX)


def state_key(name: str) -> str:
    """The feature under which the state vector called ``name`` is stored."""
    return STATE_KEY if name == PROPRIO else f"observation.{name}"


def state_name(key: str) -> str:
    """The state vector stored under the feature ``key``."""
    return PROPRIO if key == STATE_KEY else key.removeprefix("observation.")


def next_file(chunk_index: int, file_index: int, chunk_size: int) -> tuple[int, int]:
    """Indices of the file after this one."""
    if file_index + 1 >= chunk_size:
        return chunk_index + 1, 0
    return chunk_index, file_index + 1


def read_json(path: Path) -> Any:
    """The JSON value in ``path``."""
    with path.open(encoding="utf-8") as file:
        return json.load(file)


def write_json(value: Any, path: Path) -> None:
    """Write ``value`` to ``path`` atomically and durably, in the indentation LeRobot uses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=4, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def sync(path: Path) -> None:
    """Ask the system to put a file's or a directory's content on the disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
