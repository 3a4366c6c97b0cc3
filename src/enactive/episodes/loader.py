"""The window loader: an endless, shuffled, resumable stream of batches.

Sample number n of a run is a pure function of the datasets, the window, the seed and n. So a
loader's place is one integer; batches are the same bits with any number of workers, on any number
of ranks, and after any interruption. Workers are threads: gathering a batch is a handful of NumPy
copies that let go of the interpreter, and a process would have to copy the batch once more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from enactive.actions.slots import Slots
from enactive.episodes.batch import Batch
from enactive.episodes.cache import FrameCache
from enactive.episodes.dataset import Dataset
from enactive.episodes.frames import FrameStore, Progress, frame_bytes
from enactive.episodes.mixture import Mixture, check_compatible, mixture
from enactive.episodes.order import BlockShuffle, FullShuffle, Interleave, Order
from enactive.episodes.windows import (
    Places,
    Subset,
    WindowSpec,
    WindowTable,
    history_steps,
)

_T = TypeVar("_T")
Integers = NDArray[np.int64]


class WindowLoader:
    """Batches of windows from one dataset, a part of one, or a mixture.

    Iterating never ends; ``next`` after ``next`` continues where the loader stands, and
    :meth:`state_dict` after a batch is the state in which the following batch comes next. Epochs
    follow one another without a gap or a short batch: a batch may straddle two.

    Args:
        data: what to read. Its frames are decoded here and now unless they are cached already.
        spec: what a window holds.
        batch_size: B, windows of this rank's batches.
        seed: the run's seed.
        workers: threads that gather batches ahead; 0 gathers in the calling thread. Batches do not
            depend on it.
        cache: where decoded frames are kept; by default on disk under the user's cache directory.
        rank: which of the data-parallel processes this is. Together the ranks' batches hold what
            a single process with batches of ``batch_size * world_size`` would read.
        world_size: how many there are.
        progress: told how many episodes have been decoded, and how many there are.
        slots: for a mixture of embodiments, the unified actions that batches hold.
        embodiments: name of each of the mixture's datasets to the embodiment it is of.

    Raises:
        enactive.episodes.mixture.IncompatibleDatasets: the datasets of a mixture do not agree.
        KeyError: a dataset lacks something that ``spec`` names.
        ValueError: a count is out of range.
    """

    def __init__(
        self,
        data: Dataset | Subset | Mixture,
        spec: WindowSpec,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        cache: FrameCache.Config | None = None,
        rank: int = 0,
        world_size: int = 1,
        progress: Progress | None = None,
        slots: Slots | None = None,
        embodiments: Mapping[str, str] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if workers < 0:
            raise ValueError(f"workers must be at least 0, got {workers}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0 to {world_size - 1} (world_size - 1), got {rank}")
        mixed = data if isinstance(data, Mixture) else mixture({"dataset": data})
        check_compatible(mixed, spec, unified=slots is not None)
        self.spec = spec
        self.batch_size = batch_size
        self.workers = workers
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._samples = 0  # that all ranks together have served
        self._tables = [WindowTable(part, spec) for part in mixed.parts.values()]
        self._names = list(mixed.parts)
        self._slots = slots
        self._embodiments = [(embodiments or {}).get(name, name) for name in self._names]
        # One order of cameras for all: a mixture's datasets may list them differently.
        self.cameras = self._tables[0].cameras
        frames = (cache or FrameCache.Config()).build()
        self._stores: list[FrameStore] = frames.open_all(
            list(mixed.parts.values()), self.cameras, progress
        )
        self._orders = [
            self._order(name, table, store)
            for name, table, store in zip(self._names, self._tables, self._stores, strict=True)
        ]
        self._interleave = Interleave([mixed.weights[name] for name in self._names], seed)
        self._prepared = [-1] * len(self._tables)

    def _order(self, name: str, table: WindowTable, store: FrameStore) -> Order:
        if store.block_bytes is None:
            return FullShuffle(table.size, self._seed, "windows", name)
        one = max(frame_bytes(table.dataset, self.cameras), 1)
        capacity = max(store.block_bytes // one, 1)
        return BlockShuffle(table.lengths, capacity, self._seed, "windows", name)

    # -- reading ---------------------------------------------------------------------------

    @property
    def num_windows(self) -> int:
        """N, the windows of all datasets together."""
        return sum(table.size for table in self._tables)

    @property
    def epoch(self) -> float:
        """Windows served so far by all ranks, as a multiple of :attr:`num_windows`."""
        return self._samples / self.num_windows

    def __iter__(self) -> Iterator[Batch]:
        """Batches from here on, without end."""
        return self.iterate(_same)

    def iterate(self, convert: Callable[[Batch], _T]) -> Iterator[_T]:
        """What ``convert`` makes of each batch, made by the worker that gathered it.

        Args:
            convert: e.g. to tensors; called in several threads at a time if there are workers.
        """
        if self.workers == 0:
            while True:
                batch = convert(self._gather(self._samples))
                self._samples += self._stride
                yield batch
        else:
            yield from self._ahead(convert)

    def once(self) -> Iterator[Batch]:
        """Every window of this rank once, in the order of the datasets; the last batch of a dataset
        may be short. For validation: the loader's place does not change."""
        for part, table in enumerate(self._tables):
            mine = np.arange(self._rank, table.size, self._world_size)
            for start in range(0, len(mine), self.batch_size):
                windows = mine[start : start + self.batch_size]
                yield self._assemble(np.full(len(windows), part, np.int64), windows)

    @property
    def _stride(self) -> int:
        return self.batch_size * self._world_size

    def _ahead(self, convert: Callable[[Batch], _T]) -> Iterator[_T]:
        queue: deque[tuple[int, Future[_T]]] = deque()
        with ThreadPoolExecutor(self.workers, "windows") as pool:
            try:
                ahead = self._samples
                while True:
                    if queue and queue[0][0] != self._samples:  # the state was changed meanwhile
                        for _, future in queue:
                            future.cancel()
                        queue.clear()
                    if not queue:
                        ahead = self._samples
                    while len(queue) < 2 * self.workers:
                        future = pool.submit(self._make, ahead, convert)
                        queue.append((ahead, future))
                        ahead += self._stride
                    batch = queue.popleft()[1].result()
                    self._samples += self._stride
                    yield batch
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, start: int, convert: Callable[[Batch], _T]) -> _T:
        return convert(self._gather(start))

    def _gather(self, start: int) -> Batch:
        """This rank's batch of the samples from ``start`` on."""
        first = start + self._rank * self.batch_size
        parts, ordinals = self._interleave.parts(np.arange(first, first + self.batch_size))
        windows = np.empty_like(ordinals)
        for part, order in enumerate(self._orders):
            rows = parts == part
            if rows.any():
                windows[rows] = order.windows(ordinals[rows])
                self._prepare(part, order, int(ordinals[rows][-1]))
        return self._assemble(parts, windows)

    def _prepare(self, part: int, order: Order, ordinal: int) -> None:
        number, rows = order.upcoming(ordinal)
        if len(rows) and number > self._prepared[part]:
            self._prepared[part] = number
            self._stores[part].prepare(rows)

    def _assemble(self, parts: Integers, windows: Integers) -> Batch:
        if (parts == parts[0]).all():
            return self._part(int(parts[0]), windows)
        present = np.unique(parts)
        pieces = [self._part(int(part), windows[parts == part]) for part in present]
        # Rows of the pieces, one after another, back to where the mixture drew them.
        back = np.argsort(np.argsort(parts, kind="stable"), kind="stable")
        texts = [text for piece in pieces for text in piece.instructions]

        def join(pick: Callable[[Batch], NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([pick(piece) for piece in pieces])[back]

        return Batch(
            images={name: join(lambda piece, n=name: piece.images[n]) for name in self.cameras},
            state={name: join(lambda piece, n=name: piece.state[n]) for name in self.spec.states},
            instructions=[texts[i] for i in back.tolist()],
            action=join(lambda piece: piece.action),
            mask=join(lambda piece: piece.mask),
            dataset_index=join(lambda piece: piece.dataset_index),
            episode_index=join(lambda piece: piece.episode_index),
            frame_index=join(lambda piece: piece.frame_index),
            embodiment=None if self._slots is None else join(_embodiment),
        )

    def _part(self, part: int, windows: Integers) -> Batch:
        table, store = self._tables[part], self._stores[part]
        places: Places = table.places(windows)
        steps = history_steps(places.step, self.spec.observation_steps)
        action, mask = table.actions(places)
        embodiment: Integers | None = None
        if self._slots is not None:
            name = self._embodiments[part]
            action = self._slots.embed(name, action)  # (B, H, U)
            mask = mask[:, :, None] & self._slots.mask(name)
            embodiment = np.full(len(windows), self._slots.index(name), np.int64)
        return Batch(
            images={name: store.gather(name, places.row, steps) for name in self.cameras},
            state=table.states(places),
            instructions=table.instructions(places),
            action=action,
            mask=mask,
            dataset_index=np.full(len(windows), part, np.int64),
            episode_index=table.episodes[places.row],
            frame_index=places.step,
            embodiment=embodiment,
        )

    # -- resuming --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: JSON values.

        Batch size, ranks and workers may differ when it is loaded; what decides the order of
        samples may not, and is recorded to be checked.
        """
        return {"samples": self._samples, "order": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state`` was taken, also in iterators that exist already.

        Raises:
            ValueError: the order of samples is not the one of ``state``; the message says why.
        """
        now = self._identity()
        for name, then in dict(state["order"]).items():
            if name not in now or now[name] != then:
                raise ValueError(
                    f"the loader cannot resume: {name} was {then!r} and is {now.get(name)!r}; use "
                    "the same data, weights, seed and cache bounds, or begin a new run"
                )
        self._samples = int(state["samples"])

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self._seed,
            "datasets": self._names,
            "episodes": [table.digest() for table in self._tables],
            "windows": [order.size for order in self._orders],
            "shuffle": [order.name for order in self._orders],
            "shares": self._interleave.shares,
        }

    def close(self) -> None:
        """Let go of the decoded frames."""
        for store in self._stores:
            store.close()


def _same(batch: Batch) -> Batch:
    return batch


def _embodiment(batch: Batch) -> Integers:
    assert batch.embodiment is not None
    return batch.embodiment
