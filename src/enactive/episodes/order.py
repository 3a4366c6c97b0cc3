"""In which order windows are read: endless, shuffled, and computable at any place.

An order maps *ordinals* 0, 1, 2, ... to windows: ordinals ``[k N, (k + 1) N)`` visit each of the N
windows once and make up epoch k. Any ordinal can be asked for at any time, in any thread, so the
place of a reader is one integer, batches can be made in parallel, and resuming is exact.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from enactive.seeding import numpy_generator

Integers = NDArray[np.int64]
_Permutation = NDArray[np.int32 | np.int64]
_Key = TypeVar("_Key", int, tuple[int, int])
_Value = TypeVar("_Value")


class Order(Protocol):
    """An endless order over windows ``0 .. size - 1``."""

    @property
    def size(self) -> int:
        """N, the number of windows: the length of an epoch."""
        ...

    @property
    def name(self) -> str:
        """How it shuffles, as recorded with a reader's place: another order is another run."""
        ...

    def windows(self, ordinals: Integers) -> Integers:
        """The windows at ``ordinals``, ``int64 (B,)`` each."""
        ...

    def upcoming(self, ordinal: int) -> tuple[int, Integers]:
        """What to make ready once ``ordinal`` is reached: the number of the block that follows, and
        its groups (``int64``, empty if everything is always at hand)."""
        ...


class FullShuffle:
    """Every epoch is one uniformly random permutation of all windows."""

    def __init__(self, size: int, seed: int, *stream: str | int) -> None:
        """
        Args:
            size: N, windows.
            seed: the run's seed.
            stream: names of the random stream; two datasets of one run must differ in it.
        """
        self.size = size
        self.name = "full"
        self._seed = seed
        self._stream = stream
        self._recent = _Recent(self._permutation, keep=2)

    def windows(self, ordinals: Integers) -> Integers:
        """The windows at ``ordinals``, ``int64 (B,)`` each."""
        epochs = ordinals // self.size  # (B,)
        places = ordinals - epochs * self.size  # (B,)
        result = np.empty(len(ordinals), np.int64)
        for epoch in np.unique(epochs):
            rows = epochs == epoch  # a batch may straddle two epochs
            result[rows] = self._recent.get(int(epoch))[places[rows]]
        return result

    def upcoming(self, ordinal: int) -> tuple[int, Integers]:
        """Nothing needs to be made ready."""
        return -1, np.empty(0, np.int64)

    def _permutation(self, epoch: int) -> _Permutation:
        generator = numpy_generator(self._seed, *self._stream, "epoch", epoch)
        return _shuffled(self.size, generator)


class BlockShuffle:
    """Shuffles blocks of episodes, and the windows within each block.

    For datasets whose decoded frames fit nowhere: an epoch shuffles the episodes, cuts them into
    blocks of at most ``capacity`` windows (at least one episode), and serves block after block, the
    windows of a block in random order. Each episode is decoded once an epoch.
    """

    def __init__(
        self, lengths: Sequence[int] | Integers, capacity: int, seed: int, *stream: str | int
    ) -> None:
        """
        Args:
            lengths: windows of each episode, in the order in which windows are numbered.
            capacity: windows of a block.
            seed: the run's seed.
            stream: names of the random stream; two datasets of one run must differ in it.
        """
        self._lengths = np.asarray(lengths, np.int64)
        self._first = np.concatenate([[0], np.cumsum(self._lengths)])
        self.size = int(self._first[-1])
        self.name = f"blocks of {capacity}"
        self._capacity = capacity
        self._seed = seed
        self._stream = stream
        self._plans = _Recent(self._plan, keep=2)
        self._blocks = _Recent(self._block, keep=4)

    def windows(self, ordinals: Integers) -> Integers:
        """The windows at ``ordinals``, ``int64 (B,)`` each."""
        epochs = ordinals // self.size
        places = ordinals - epochs * self.size
        result = np.empty(len(ordinals), np.int64)
        for epoch in np.unique(epochs):
            _, starts = self._plans.get(int(epoch))
            blocks = np.searchsorted(starts, places, side="right") - 1
            for block in np.unique(blocks[epochs == epoch]):
                rows = (epochs == epoch) & (blocks == block)
                order = self._blocks.get((int(epoch), int(block)))
                result[rows] = order[places[rows] - starts[block]]
        return result

    def upcoming(self, ordinal: int) -> tuple[int, Integers]:
        """The episodes of the block after the one that holds ``ordinal``."""
        epoch, place = divmod(ordinal, self.size)
        groups, starts = self._plans.get(epoch)
        block = int(np.searchsorted(starts, place, side="right"))  # the following one
        number = (epoch << 32) + block
        if block == len(groups):
            groups, block = self._plans.get(epoch + 1)[0], 0
        return number, groups[block]

    def _plan(self, epoch: int) -> tuple[list[Integers], Integers]:
        """Episodes of each block of an epoch, and the place at which each block begins."""
        generator = numpy_generator(self._seed, *self._stream, "episodes", epoch)
        episodes = _shuffled(len(self._lengths), generator).astype(np.int64)
        groups: list[list[int]] = []
        room = 0
        for episode, length in zip(episodes, self._lengths[episodes], strict=True):
            if not groups or length > room:
                groups.append([])
                room = self._capacity
            groups[-1].append(int(episode))
            room -= int(length)
        blocks = [np.asarray(group, np.int64) for group in groups]
        sizes = [int(self._lengths[block].sum()) for block in blocks]
        return blocks, np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(np.int64)

    def _block(self, key: tuple[int, int]) -> Integers:
        """Windows of one block, shuffled."""
        epoch, block = key
        episodes = self._plans.get(epoch)[0][block]
        spans = [(int(self._first[e]), int(self._first[e + 1])) for e in episodes.tolist()]
        windows = np.concatenate([np.arange(*span, dtype=np.int64) for span in spans])
        numpy_generator(self._seed, *self._stream, "block", epoch, block).shuffle(windows)
        return windows


class Interleave:
    """Which of D orders each sample comes from, in exact proportions and any place computable.

    Every round of :attr:`ROUND` samples holds as many of each part as its weight says, in random
    order, and what rounding leaves over is carried along: after any number n of rounds a part has
    been drawn within one sample of ``n * ROUND * weight`` (the largest takes up the slack).
    """

    ROUND = 4096
    _ONE = 1 << 40

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        """
        Args:
            weights: D positive weights; only their ratios matter.
            seed: the run's seed.
        """
        total = sum(weights)
        # Integers, so that counts are exact and can be compared after a resume.
        self.shares = [round(weight / total * self._ONE) for weight in weights]
        self._largest = int(np.argmax(self.shares))
        self._seed = seed
        self._rounds = _Recent(self._round, keep=4)

    def parts(self, samples: Integers) -> tuple[Integers, Integers]:
        """For each of B sample numbers, its part and how many samples of that part came before.

        Args:
            samples: ``int64 (B,)``, non-negative.

        Returns:
            Parts and ordinals within the part, ``int64 (B,)`` each.
        """
        if len(self.shares) == 1:
            return np.zeros_like(samples), samples
        rounds = samples // self.ROUND
        places = samples - rounds * self.ROUND
        parts = np.empty(len(samples), np.int64)
        ordinals = np.empty(len(samples), np.int64)
        for number in np.unique(rounds):
            rows = rounds == number
            drawn, nth = self._rounds.get(int(number))
            parts[rows] = drawn[places[rows]]
            before = np.asarray(self._before(int(number)), np.int64)
            ordinals[rows] = before[parts[rows]] + nth[places[rows]]
        return parts, ordinals

    def _before(self, number: int) -> list[int]:
        """Samples of each part in rounds ``0 .. number - 1``; integers, so exact at any length."""
        counts = [(number * self.ROUND * share) // self._ONE for share in self.shares]
        counts[self._largest] += number * self.ROUND - sum(counts)
        return counts

    def _round(self, number: int) -> tuple[Integers, Integers]:
        before, after = self._before(number), self._before(number + 1)
        counts = [end - start for start, end in zip(before, after, strict=True)]
        drawn = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
        numpy_generator(self._seed, "mixture", "round", number).shuffle(drawn)
        nth = np.empty(self.ROUND, np.int64)
        for part, count in enumerate(counts):
            nth[drawn == part] = np.arange(count)
        return drawn, nth


def _shuffled(size: int, generator: np.random.Generator) -> _Permutation:
    # 4 bytes a window where they suffice: 400 MB for a hundred million windows.
    dtype = np.int32 if size <= np.iinfo(np.int32).max else np.int64
    permutation = np.arange(size, dtype=dtype)
    generator.shuffle(permutation)
    return permutation


class _Recent(Generic[_Key, _Value]):
    """The last few values of a pure function, shared by threads."""

    def __init__(self, make: Callable[[_Key], _Value], keep: int) -> None:
        self._make = make
        self._keep = keep
        self._values: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> _Value:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            else:
                self._values[key] = self._make(key)
                if len(self._values) > self._keep:
                    self._values.popitem(last=False)
            return self._values[key]
