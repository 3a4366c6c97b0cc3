"""Decoded frames of a dataset, all at hand or decoded as they are needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from enactive.episodes.dataset import Dataset
from enactive.episodes.windows import Subset

Frames = NDArray[np.uint8]
Integers = NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Called with the episodes decoded so far and those to decode."""


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

    def __init__(self, source: Subset, cameras: Sequence[str], budget: int, threads: int) -> None:
        # Room for the block in use and for the one that is being prepared.
        self.block_bytes: int | None = budget // 2
        self._source = source
        self._cameras = tuple(cameras)
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
        size = frame_bytes(dataset, (camera,))
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
                self._bytes -= frame_bytes(dataset, (other,)) * length
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


def frame_bytes(dataset: Dataset, cameras: Sequence[str]) -> int:
    """Bytes of one time step's decoded pictures."""
    shapes = [dataset.camera_feature(camera)[1] for camera in cameras]
    return sum(height * width * channels for height, width, channels in shapes)
