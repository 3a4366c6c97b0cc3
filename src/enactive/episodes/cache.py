"""Decoded frames at hand: every video is decoded in sequence once, then read at random.

Seeking in a video for every random frame costs a key frame, a decoder and a colour conversion per
sample; decoding in sequence costs a twentieth of that. So the frames of a dataset are decoded once
into a bounded cache on disk (uncompressed, memory-mapped, shared by processes) or into memory;
where they fit neither, block by block as training needs them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enactive.episodes.dataset import Dataset
from enactive.episodes.frames import (
    Frames,
    FrameStore,
    Progress,
    ResidentFrames,
    StreamedFrames,
    decode,
    frame_bytes,
)
from enactive.episodes.layout import sync
from enactive.episodes.windows import Subset

LAYOUT = 1
"""Raised whenever equal files would be decoded to other bytes."""
_SCRATCH = ".writing-"


@dataclass(frozen=True, slots=True)
class FrameCache:
    """Where decoded frames are kept, and within which bounds."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Bounds of the cache of decoded frames."""

        directory: str | None = "default"
        """Where to keep decoded frames: ``"default"`` is ``$XDG_CACHE_HOME/enactive/frames``
        (usually under ``~/.cache``); None keeps none on disk."""
        disk_bytes: int = 20 * 2**30
        """Bytes the directory may hold; the datasets not used for longest make room."""
        memory_bytes: int = 2 * 2**30
        """Bytes of frames a loader may hold in memory where the disk holds none: what fits is
        decoded once, what does not in shuffled blocks of episodes every epoch."""
        threads: int = 2
        """Threads that decode."""

        def __post_init__(self) -> None:
            for name in ("disk_bytes", "memory_bytes", "threads"):
                if getattr(self, name) < 1:
                    raise ValueError(f"cache.{name} must be at least 1, got {getattr(self, name)}")

        def build(self) -> FrameCache:
            """The cache these bounds describe; touches nothing yet."""
            return FrameCache(self)

    config: Config

    @property
    def directory(self) -> Path | None:
        """The directory, or None."""
        if self.config.directory == "default":
            base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
            return Path(base).expanduser() / "enactive" / "frames"
        return None if self.config.directory is None else Path(self.config.directory).expanduser()

    def open(
        self, source: Subset, cameras: Sequence[str], progress: Progress | None = None
    ) -> FrameStore:
        """The frames of ``source`` from ``cameras``; see :meth:`open_all`."""
        return self.open_all([source], cameras, progress)[0]

    def open_all(
        self, sources: Sequence[Subset], cameras: Sequence[str], progress: Progress | None = None
    ) -> list[FrameStore]:
        """The frames of ``sources`` from ``cameras``, decoded now if they are not cached.

        On disk go those whose whole datasets fit it together, in the order given; whole, so that
        parts of a dataset (training, validation) share them. The rest is kept in memory if it
        fits, and else streamed, with memory in proportion to size.

        Raises:
            enactive.episodes.video.UnreadableVideo: a video is damaged.
            OSError: the directory cannot be written.
        """
        stores: list[FrameStore | None] = [None] * len(sources)
        free = self.config.disk_bytes
        for number, source in enumerate(sources):
            whole = frame_bytes(source.dataset, cameras) * source.dataset.num_frames
            if self.directory is None or whole > free:
                continue
            disk = _DiskCache(self.directory, self.config.disk_bytes)
            arrays = disk.open(source.dataset, cameras, self.config.threads, progress)
            if arrays is not None:
                entries = [source.dataset.episode(episode) for episode in source.episodes]
                starts = np.asarray([entry.start for entry in entries], np.int64)
                stores[number] = ResidentFrames(arrays, starts)
                free -= whole
        sizes = [
            frame_bytes(source.dataset, cameras) * source.num_frames if store is None else 0
            for source, store in zip(sources, stores, strict=True)
        ]
        memory, needed = self.config.memory_bytes, sum(sizes)
        for number, (source, size) in enumerate(zip(sources, sizes, strict=True)):
            if stores[number] is None and needed <= memory:
                stores[number] = self._in_memory(source, cameras, progress)
            elif stores[number] is None:
                share = memory * size // needed
                stores[number] = StreamedFrames(source, cameras, share, self.config.threads)
        return [store for store in stores if store is not None]

    def _in_memory(
        self, source: Subset, cameras: Sequence[str], progress: Progress | None
    ) -> ResidentFrames:
        dataset = source.dataset
        lengths = [dataset.episode(episode).length for episode in source.episodes]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        arrays = {
            camera: np.empty((sum(lengths), *dataset.camera_feature(camera)[1]), np.uint8)
            for camera in cameras
        }
        decode(dataset, source.episodes, starts, arrays, self.config.threads, progress)
        return ResidentFrames(arrays, starts)


class _DiskCache:
    """A directory with one entry per camera and content: ``<key>/frames.npy`` and a description."""

    def __init__(self, directory: Path, budget: int) -> None:
        self._directory = directory
        self._budget = budget

    def open(
        self, dataset: Dataset, cameras: Sequence[str], threads: int, progress: Progress | None
    ) -> dict[str, Frames] | None:
        """Camera to read-only ``uint8 (N, H, W, 3)``; None if the disk has no room for them."""
        self._directory.mkdir(parents=True, exist_ok=True)
        keys = {camera: content_key(dataset, camera) for camera in cameras}
        with self._locked("-".join(sorted(keys.values()))):
            found = {camera: self._load(keys[camera], dataset, camera) for camera in cameras}
            missing = [camera for camera in cameras if found[camera] is None]
            if missing:
                if not self._make_room(dataset, missing, keep=set(keys.values())):
                    return None
                new = {camera: keys[camera] for camera in missing}
                self._write(dataset, new, threads, progress)
                found |= {camera: self._load(keys[camera], dataset, camera) for camera in missing}
        arrays = {camera: array for camera, array in found.items() if array is not None}
        if len(arrays) < len(cameras):
            raise OSError(f"{self._directory}: frames that were just written have vanished")
        return arrays

    def _load(self, key: str, dataset: Dataset, camera: str) -> Frames | None:
        path = self._directory / key / "frames.npy"
        shape = (dataset.num_frames, *dataset.camera_feature(camera)[1])
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            return None
        if array.shape != shape or array.dtype != np.uint8:
            return None
        with contextlib.suppress(OSError):
            os.utime(path.parent)  # used now; the least recently used make room
        return np.asarray(array)

    def _write(
        self, dataset: Dataset, keys: dict[str, str], threads: int, progress: Progress | None
    ) -> None:
        self._remove_abandoned()
        scratch = self._directory / f"{_SCRATCH}{os.getpid()}-{threading.get_ident()}"
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            arrays: dict[str, Frames] = {}
            for camera, key in keys.items():
                (scratch / key).mkdir(parents=True)
                arrays[camera] = np.lib.format.open_memmap(
                    scratch / key / "frames.npy",
                    mode="w+",
                    dtype=np.uint8,
                    shape=(dataset.num_frames, *dataset.camera_feature(camera)[1]),
                )
            starts = np.asarray([entry.start for entry in dataset.episodes], np.int64)
            decode(dataset, range(dataset.num_episodes), starts, arrays, threads, progress)
            for camera, key in keys.items():
                about = {"dataset": str(dataset.path), "camera": camera, "layout": LAYOUT}
                (scratch / key / "about.json").write_text(json.dumps(about), encoding="utf-8")
                # A machine that goes down must not leave a file of the right size without content.
                sync(scratch / key / "frames.npy")
                shutil.rmtree(self._directory / key, ignore_errors=True)  # an invalid one
                os.replace(scratch / key, self._directory / key)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _remove_abandoned(self) -> None:
        """Remove what processes left that died while they wrote."""
        for path in self._directory.glob(f"{_SCRATCH}*"):
            process = int(path.name.removeprefix(_SCRATCH).partition("-")[0])
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                shutil.rmtree(path, ignore_errors=True)
            except PermissionError:
                pass  # alive, and somebody else's

    def _make_room(self, dataset: Dataset, cameras: Sequence[str], keep: set[str]) -> bool:
        needed = frame_bytes(dataset, cameras) * dataset.num_frames
        entries: list[tuple[float, int, Path]] = []
        for path in self._directory.glob("*/frames.npy"):
            with contextlib.suppress(OSError):
                entries.append((path.parent.stat().st_mtime, path.stat().st_size, path.parent))
        held = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if held + needed <= self._budget:
                break
            if path.name not in keep and not path.name.startswith("."):
                # Processes that have it mapped keep their pages.
                shutil.rmtree(path, ignore_errors=True)
                held -= size
        return shutil.disk_usage(self._directory).free > needed + 2**28

    @contextlib.contextmanager
    def _locked(self, name: str) -> Generator[None]:
        """One process decodes a dataset, the others wait for it."""
        digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        with (self._directory / f".{digest}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def content_key(dataset: Dataset, camera: str) -> str:
    """A hash of all that decides a camera's decoded frames, 32 hex digits: the bytes of its files,
    where each episode lies in them, and the picture's shape."""
    key, shape = dataset.camera_feature(camera)
    digest = hashlib.blake2b(repr((LAYOUT, key, shape, dataset.rate)).encode(), digest_size=16)
    numbers: dict[Path, int] = {}
    for entry in dataset.episodes:
        span = entry.videos.get(camera)
        path = entry.data if span is None else span.path
        number = numbers.setdefault(path, len(numbers))
        place = (entry.length, number, None if span is None else span.start)
        digest.update(repr(place).encode())
    for path in numbers:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        digest.update(content.digest())
    return digest.hexdigest()
