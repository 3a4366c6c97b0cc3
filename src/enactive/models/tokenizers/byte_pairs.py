"""Byte-pair encoding of rows of small integers (Sennrich et al. 2016, section 3.2).

Learning merges the most frequent pair of neighbours into a new id, again and again. Encoding
applies the merges to a row in the order in which they were learned, from the left. Ids are: the
symbols 0, ..., S - 1, then the merged pairs in that order.

Pairs are learned by the ``tokenizers`` library. It also encodes single rows; batches are encoded
here with array operations, to the same ids and several times as fast. One round merges, in all rows
at once, every pair that nothing can forestall: in its row's order of merging, a pair (a, b) comes
before everything else that could take its a or its b. What could is known beforehand: pairs (t, a)
where t is the left neighbour or an id that ends in it, and pairs (b, t) where t is the right
neighbour or an id that begins with it. The pair that comes first in its row is never forestalled;
so every round gets on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

# Symbol k is this character + k in texts: one code unit each, up to the surrogates.
_FIRST, _LAST = 0x0100, 0xD7FF
MOST_SYMBOLS = _LAST - _FIRST + 1
"""Symbols that an alphabet can have."""
Ranks = NDArray[np.int16]
_NEVER = np.iinfo(np.int16).max
# Below this many integers in a batch, calls of array operations cost more than the library.
_FEW = 2048
# Integers that are worked on at once, so that they stay in a processor's cache.
_BLOCK = 1 << 17
# So few merges within runs are done as quickly with all others.
_FEW_RUN_MERGES = 4
# Above this many ids the tables of pairs would take too much memory.
_MANY = 4096


def learn(rows: Integers, symbols: int, ids: int) -> list[tuple[int, int]]:
    """The pairs to merge, in order.

    Args:
        rows: ``int64 (N, L)``, integers in [0, symbols).
        symbols: S, size of the alphabet.
        ids: symbols and merged pairs together, at most; fewer where no pair occurs twice any more.

    Returns:
        Pairs of ids, at most ``ids`` of them. Two pairs may make the same text, which has one id.
    """
    from tokenizers import Tokenizer as Encoder
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    alphabet = [chr(_FIRST + k) for k in range(symbols)]
    learner = Encoder(BPE())
    trainer = BpeTrainer(
        vocab_size=ids, min_frequency=2, show_progress=False, initial_alphabet=alphabet
    )
    learner.train_from_iterator(_texts(rows), trainer=trainer, length=len(rows))
    known = {text: k for k, text in enumerate(alphabet)}
    merges: list[tuple[int, int]] = []
    for left, right in json.loads(learner.to_str())["model"]["merges"][:ids]:
        merges.append((known[left], known[right]))
        known.setdefault(left + right, len(known))
    return merges


@dataclass(frozen=True, slots=True)
class Expansions:
    """Sequences of different lengths, by number: the symbols that each id stands for."""

    symbols: Integers
    """Those of all ids one after the other, ``int64 (total,)``."""
    starts: Integers
    """Where each id's begin in ``symbols``, ``int64 (ids,)``."""
    sizes: Integers
    """How many they are, ``int64 (ids,)``."""

    def places(self, numbers: Integers, sizes: Integers) -> Integers:
        """Where in ``symbols`` the sequences of ``numbers (N,)``, of ``sizes (N,)``, lie."""
        shift = self.starts.take(numbers) - (np.cumsum(sizes) - sizes)
        place = np.repeat(shift, sizes)
        place += np.arange(len(place))
        return place

    def gather(self, numbers: Integers, sizes: Integers) -> Integers:
        """The sequences of ``numbers (N,)``, of ``sizes (N,)``, one after the other."""
        return self.symbols.take(self.places(numbers, sizes))


def _first_of_its_row(rank: Ranks, row: Integers) -> NDArray[np.bool_]:
    """Where ``rank`` is the lowest of its row; ``row`` ascends."""
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    lowest = np.minimum.reduceat(rank, starts)
    return np.repeat(lowest, np.diff(np.append(starts, len(row)))) == rank


class BytePairs:
    """A fixed list of merges."""

    def __init__(self, symbols: int, merges: Sequence[tuple[int, int]]) -> None:
        """Args:
        symbols: S, size of the alphabet.
        merges: pairs of ids in order, see :func:`learn`.
        """
        self._merges = list(merges)
        self._texts = [chr(_FIRST + k) for k in range(symbols)]
        ids = {text: k for k, text in enumerate(self._texts)}
        made: list[int] = []
        for left, right in self._merges:
            text = self._texts[left] + self._texts[right]
            if ids.setdefault(text, len(self._texts)) == len(self._texts):
                self._texts.append(text)
            made.append(ids[text])
        self._made = np.array(made, dtype=np.intp)
        self._known_runs: Expansions | None = None

    @property
    def count(self) -> int:
        """Ids: 0, ..., count - 1."""
        return len(self._texts)

    @cached_property
    def expansions(self) -> Expansions:
        """The symbols of every id."""
        sizes = np.array([len(text) for text in self._texts], dtype=np.int64)
        codes = np.frombuffer("".join(self._texts).encode("utf-32-le"), dtype="<u4")
        return Expansions(codes.astype(np.int64) - _FIRST, np.cumsum(sizes) - sizes, sizes)

    def decode(self, ids: Integers) -> tuple[Integers, Integers]:
        """The symbols of ids in [0, count), ``int64 (N,)``.

        Returns:
            All their symbols one after the other, ``int64 (total,)``, and how many each id has,
            ``int64 (N,)``.
        """
        table = self.expansions
        sizes = table.sizes.take(ids)
        return table.gather(ids, sizes), sizes

    def encode(self, rows: Integers) -> tuple[Integers, Integers]:
        """Rows ``int64 (N, L)`` of symbols as ids.

        Returns:
            All rows' ids one after the other, ``int64 (total,)``, and how many each row has,
            ``int64 (N,)``.
        """
        if rows.size < _FEW or self.count > _MANY:
            return self.encode_singly(rows)
        return self.encode_together(rows)

    def encode_singly(self, rows: Integers) -> tuple[Integers, Integers]:
        """:meth:`encode` by the library."""
        found = [one.ids for one in self._library.encode_batch_fast(_texts(rows))]
        lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
        return np.array([k for one in found for k in one], dtype=np.int64), lengths

    @cached_property
    def _library(self) -> Any:
        return self._encoder(self._merges)

    def _encoder(self, merges: list[tuple[int, int]]) -> Any:
        """A ``tokenizers.Tokenizer`` for some of the merges, and all ids."""
        from tokenizers import Tokenizer as Encoder
        from tokenizers.models import BPE

        texts = self._texts
        vocabulary = {text: k for k, text in enumerate(texts)}
        return Encoder(BPE(vocab=vocabulary, merges=[(texts[a], texts[b]) for a, b in merges]))

    # ---------------------------------------------------------------------- whole batches

    def encode_together(self, rows: Integers) -> tuple[Integers, Integers]:
        """:meth:`encode` by array operations, over as many rows at once as caches hold."""
        size = max(1, _BLOCK // max(1, rows.shape[1]))
        starts = range(0, max(1, len(rows)), size)
        parts = [self._encode_block(rows[start : start + size]) for start in starts]
        ids, lengths = (np.concatenate(side) for side in zip(*parts, strict=True))
        return ids, lengths

    def _encode_block(self, rows: Integers) -> tuple[Integers, Integers]:
        # Between rows stands an id that no pair has, so that they are one long row. Two of them at
        # both ends: every pair that may be merged has two pairs before it and two behind it.
        order, bounds = self._tables
        gap = self.count
        count, length = rows.shape
        flat = np.full(count * (length + 1) + 3, gap, dtype=np.intp)
        flat[1:-2].reshape(count, length + 1)[:, 1:] = rows
        ids = self._merge_runs(flat, length)
        while True:
            # From here on, "place" k is the pair of ids k and k + 1.
            pairs = ids[:-1] * (gap + 1)
            pairs += ids[1:]
            rank = order.take(pairs)
            place = np.flatnonzero(rank != _NEVER)
            if not len(place):
                break
            # Where most places are pairs to merge, everything is looked up once, in order.
            known = bounds.take(pairs) if len(place) > 0.5 * len(ids) else None
            near = [
                (bounds.take(pairs.take(place + k)) if known is None else known.take(place + k))
                for k in (-2, -1, 1, 2)
            ]
            earlier, left, right, later = (one.view(np.int16) for one in near)
            own, before, after = rank.take(place), rank.take(place - 1), rank.take(place + 1)
            free = own < left[::2]
            free |= (own < before) & (own <= earlier[::2])
            late = own <= right[1::2]
            late |= (own <= after) & (own <= later[1::2])
            # Finding what comes first in each row is only worth while once most is done.
            if len(place) < 0.1 * len(ids):
                row = np.flatnonzero(ids == gap).searchsorted(place, side="right")
                first = _first_of_its_row(own, row)
            else:
                first = own == own.min()
            free |= first
            late |= first
            # In a run of one id, every second pair is merged, counted from where the run begins.
            run = np.flatnonzero(own == before)
            if len(run):
                index = np.arange(len(run))
                new = np.diff(place.take(run), prepend=-2) != 1
                along = index - np.maximum.accumulate(np.where(new, index, 0))  # 0, 1, ... in each
                free[run] = free.take(run - along - 1) & (along & 1 == 1)
            free &= late
            chosen = place.take(np.flatnonzero(free))
            ids[chosen] = self._made.take(rank.take(chosen))
            kept = np.ones(len(ids), dtype=bool)
            kept[chosen + 1] = False
            ids = ids.take(np.flatnonzero(kept))
        borders = np.flatnonzero(ids == gap)[1:-1]
        return ids.take(np.flatnonzero(ids != gap)), np.diff(borders) - 1

    def _merge_runs(self, ids: Integers, longest: int) -> Integers:
        """What those first merges make of ``ids`` that only concern one symbol.

        Where one symbol is much more frequent than the others, as 0 is here, these are most of the
        work, and what becomes of a run of it depends on nothing but its length.
        """
        symbol, merges = self._run_merges
        if len(merges) < _FEW_RUN_MERGES:
            return ids
        inside = ids == symbol
        edges = np.flatnonzero(inside[1:] != inside[:-1])  # runs lie between every two of them
        starts, lengths = edges[::2] + 1, edges[1::2] - edges[::2]
        several = np.flatnonzero(lengths > 1)
        starts, lengths = starts.take(several), lengths.take(several)
        table = self._runs(longest)
        sizes = table.sizes.take(lengths)  # always less than lengths
        place = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        place += np.arange(len(place))
        ids[place] = table.gather(lengths, sizes)
        edge = np.zeros(len(ids), dtype=np.int8)
        edge[starts + sizes] = 1
        edge[starts + lengths] = -1
        return ids.take(np.flatnonzero(np.cumsum(edge, dtype=np.int8) == 0))

    @cached_property
    def _run_merges(self) -> tuple[int, list[tuple[int, int]]]:
        """A symbol, and the first merges as far as they concern only it."""
        if not self._merges or self._merges[0][0] != self._merges[0][1]:
            return 0, []
        symbol = self._merges[0][0]
        own = {symbol}
        merges: list[tuple[int, int]] = []
        for (a, b), made in zip(self._merges, self._made.tolist(), strict=True):
            if not {a, b} <= own:
                break
            own.add(made)
            merges.append((a, b))
        return symbol, merges

    def _runs(self, longest: int) -> Expansions:
        """What every run becomes, by its length from 0 on."""
        if self._known_runs is None or len(self._known_runs.sizes) <= longest:
            symbol, merges = self._run_merges
            library = self._encoder(merges)
            text = self._texts[symbol] * longest
            rows = [library.encode(text[:length]).ids for length in range(longest + 1)]
            sizes = np.array([len(row) for row in rows], dtype=np.int64)
            flat = np.array([one for row in rows for one in row], dtype=np.int64)
            self._known_runs = Expansions(flat, np.cumsum(sizes) - sizes, sizes)
        return self._known_runs

    @cached_property
    def _tables(self) -> tuple[Ranks, NDArray[np.int32]]:
        """For pairs of neighbours: their own rank; the lowest rank at which something that ends in
        the left one takes the right one; and the lowest at which something that begins with the
        right one takes the left one. The first as ``int16 ((count + 1) ** 2,)``, where the left id
        counts rows, the other two as such pairs of ``int16``, so that one look-up gives both."""
        ends: dict[int, set[int]] = {}
        begins: dict[int, set[int]] = {}
        width = self.count + 1
        order, left, right = (np.full(width**2, _NEVER, dtype=np.int16) for _ in range(3))
        for rank, ((a, b), made) in enumerate(zip(self._merges, self._made.tolist(), strict=True)):
            order[a * width + b] = min(rank, order[a * width + b])
            for tail in ends.get(a, {a}):
                left[tail * width + b] = min(rank, left[tail * width + b])
            for head in begins.get(b, {b}):
                right[a * width + head] = min(rank, right[a * width + head])
            ends.setdefault(made, {made}).update(ends.get(b, {b}))
            begins.setdefault(made, {made}).update(begins.get(a, {a}))
        return order, np.stack([left, right], -1).view(np.int32).ravel()


def _texts(rows: Integers) -> list[str]:
    return list(_slices(rows))


def _slices(rows: Integers) -> Iterator[str]:
    text = (rows + _FIRST).astype("<u4").tobytes().decode("utf-32-le")
    length = rows.shape[1]
    return (text[k : k + length] for k in range(0, len(text), length))
