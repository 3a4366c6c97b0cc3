"""Decoded frames at hand: every video is decoded in sequence once, then read at random.

Seeking in a video for every random frame costs a key frame, a decoder and a colour conversion per
sample; decoding in sequence costs a twentieth of that. So the frames of a dataset are decoded once
into a bounded cache on disk (uncompressed, memory-mapped, shared by processes), or into memory, or
- where they fit neither - block by block as training needs them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from enactive.episodes.dataset import Dataset
from enactive.episodes.layout import sync
from enactive.episodes.windows import Subset

Frames = NDArray[np.uint8]
Integers = NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Called with the episodes decoded so far and those to decode."""

LAYOUT = 1
"""Raised whenever equal files would be decoded to other bytes."""
_SCRATCH = ".writing-"


class FrameStore(Protocol):
    """Decoded frames of some episodes of one dataset."""

    @property
    def block_bytes(self) -> int | None:
        """None if all frames are at hand; else how many bytes of them a block may hold."""
        ...

    def gather(self, camera: str, rows: Integers, steps: Integers) -> Frames:
        """Frames ``uint8 (B, T, H, W, 3)`` of steps ``(B, T)`` of the episodes ``rows (B,)``."""
        ...

    def prepare(self, rows: Integers) -> None:
        """Begin to decode the episodes ``rows`` in the background."""
        ...

    def close(self) -> None:
        """Stop background work and let go of the frames."""
        ...


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
        """Bytes of frames one dataset may hold in memory where the disk holds none: a dataset that
        fits is decoded once, a larger one in shuffled blocks of episodes every epoch."""
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
        """The frames of ``source`` from ``cameras``, decoded now if they are not cached.

        On disk the whole dataset is kept, so that subsets of it (training, validation) share it.

        Raises:
            enactive.episodes.video.UnreadableVideo: a video is damaged.
            OSError: the directory cannot be written.
        """
        dataset, config = source.dataset, self.config
        whole = {camera: _picture_bytes(dataset, camera) * dataset.num_frames for camera in cameras}
        entries = [dataset.episode(episode) for episode in source.episodes]
        starts = np.asarray([entry.start for entry in entries], np.int64)
        if self.directory is not None and sum(whole.values()) <= config.disk_bytes:
            disk = _DiskCache(self.directory, config.disk_bytes)
            arrays = disk.open(dataset, cameras, config.threads, progress)
            if arrays is not None:
                return ResidentFrames(arrays, starts)
        lengths = [entry.length for entry in entries]
        needed = sum(_picture_bytes(dataset, camera) for camera in cameras) * sum(lengths)
        if needed <= config.memory_bytes:
            starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
            arrays = {
                camera: np.empty((sum(lengths), *dataset.camera_feature(camera)[1]), np.uint8)
                for camera in cameras
            }
            decode(dataset, source.episodes, starts, arrays, config.threads, progress)
            return ResidentFrames(arrays, starts)
        return StreamedFrames(source, tuple(cameras), config.memory_bytes, config.threads)


class ResidentFrames:
    """All frames at hand, in memory or mapped from disk."""

    def __init__(self, arrays: dict[str, Frames], starts: Integers) -> None:
        """
        Args:
            arrays: camera to ``uint8 (N, H, W, 3)``.
            starts: row of each episode's first frame in them.
        """
        self.block_bytes: int | None = None
        self._arrays = arrays
        self._starts = starts

    def gather(self, camera: str, rows: Integers, steps: Integers) -> Frames:
        """See :meth:`FrameStore.gather`."""
        return self._arrays[camera][self._starts[rows][:, None] + steps]

    def prepare(self, rows: Integers) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Let go of the arrays."""
        self._arrays = {}


class StreamedFrames:
    """The episodes used last, decoded when they are asked for, within a budget of memory."""

    def __init__(self, source: Subset, cameras: tuple[str, ...], budget: int, threads: int) -> None:
        # Room for the block in use and for the one that is being prepared.
        self.block_bytes: int | None = budget // 2
        self._source = source
        self._cameras = cameras
        self._budget = budget
        self._held: OrderedDict[tuple[str, int], Future[Frames]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, "decode")

    def gather(self, camera: str, rows: Integers, steps: Integers) -> Frames:
        """See :meth:`FrameStore.gather`."""
        dataset = self._source.dataset
        result = np.empty((*steps.shape, *dataset.camera_feature(camera)[1]), np.uint8)
        asked = np.unique(rows)
        # All are asked for before the first is waited for, and copied out one by one: the budget
        # may be smaller than a batch's episodes.
        for row, future in [(row, self._ask(camera, int(row))) for row in asked]:
            at = rows == row
            result[at] = future.result()[steps[at]]
        return result

    def prepare(self, rows: Integers) -> None:
        """See :meth:`FrameStore.prepare`."""
        for row in rows:
            for camera in self._cameras:
                self._ask(camera, int(row))

    def close(self) -> None:
        """See :meth:`FrameStore.close`."""
        self._pool.shutdown(cancel_futures=True)
        self._held.clear()

    def _ask(self, camera: str, row: int) -> Future[Frames]:
        dataset, episode = self._source.dataset, self._source.episodes[row]
        size = _picture_bytes(dataset, camera)
        with self._lock:
            held = self._held.get((camera, row))
            if held is not None:
                self._held.move_to_end((camera, row))
                return held
            future = self._pool.submit(dataset.video, camera, episode)
            self._held[camera, row] = future
            self._bytes += size * dataset.episode(episode).length
            while self._bytes > self._budget and len(self._held) > 1:
                (other, gone), _ = self._held.popitem(last=False)
                length = dataset.episode(self._source.episodes[gone]).length
                self._bytes -= _picture_bytes(dataset, other) * length
            return future


def decode(
    dataset: Dataset,
    episodes: Sequence[int],
    starts: Integers,
    arrays: dict[str, Frames],
    threads: int,
    progress: Progress | None = None,
) -> None:
    """Decode episodes into arrays, several at a time.

    Args:
        dataset: where they are.
        episodes: which.
        starts: for each, the row of its first frame in the arrays.
        arrays: camera to ``uint8 (N, H, W, 3)``, filled.
        threads: threads; the decoder lets go of the interpreter while it works.
        progress: told after every episode.
    """

    def one(camera: str, number: int) -> None:
        frames = dataset.video(camera, episodes[number])
        arrays[camera][starts[number] : starts[number] + len(frames)] = frames

    jobs = [(camera, number) for number in range(len(episodes)) for camera in arrays]
    with ThreadPoolExecutor(threads, "decode") as pool:
        futures = [pool.submit(one, *job) for job in jobs]
        try:
            for done, future in enumerate(futures, 1):
                future.result()
                if progress is not None:
                    progress(done // max(len(arrays), 1), len(episodes))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
        needed = sum(_picture_bytes(dataset, camera) for camera in cameras) * dataset.num_frames
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


def _picture_bytes(dataset: Dataset, camera: str) -> int:
    height, width, channels = dataset.camera_feature(camera)[1]
    return height * width * channels
