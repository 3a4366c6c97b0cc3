"""DCT and byte-pair encoding: FAST (Pertsch et al. 2025, arXiv 2501.09747, section V, algorithm 1).

1. The orthonormal DCT-II of each dimension over the H steps, ``c = C x``.
2. ``q = round(scale * c)``: the only lossy step. Most high frequencies of a smooth chunk become 0.
3. The H x A integers in a row, low frequencies first, dimension by dimension within a frequency.
4. Byte-pair encoding: the pairs that are frequent in training rows become ids of their own, so that
   a run of zeros is one id.

Rows have variable length; ``end`` pads them to L = H A. No row is ever longer: every id stands for
at least one of the H A integers. So each chunk whose integers lie within the alphabet comes back
with exactly its integers.

The alphabet holds every integer between the training chunks' smallest and largest, and a margin;
integers beyond it are cut to it. Ids are: the alphabet in ascending order, the merged pairs in the
order in which they were learned, ids without a meaning where fewer pairs were frequent, ``end``.

What the published implementation does otherwise: it writes each integer as a character in UTF-8 and
merges bytes, within the pieces that a regular expression for English text cuts; here the integers
are merged themselves, across the whole row. It knows no padding, and decodes a malformed sequence
to zeros; see :meth:`DctBpe.decode` for what it decodes to here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from enactive.models.tokenizers.byte_pairs import MOST_SYMBOLS, BytePairs, Integers, learn
from enactive.models.tokenizers.dct import along_steps, dct_matrix
from enactive.models.tokenizers.tokenizer import Decoded, Progress, Tokenizer, TokenizerConfig

# Below this many ids in a batch, calls of array operations cost more than a loop.
_FEW = 1024


class DctBpe(Tokenizer):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenizerConfig):
        """Precision and vocabulary."""

        variable_length: ClassVar[bool] = True
        scale: float = 10.0
        """What coefficients are multiplied by before rounding: larger is more precise and longer.
        10 is the paper's, for chunks within about [-1, 1]."""
        vocabulary: int = 1024
        """V: alphabet, merged pairs and ``end`` together; the paper's for one dataset."""
        margin: float = 0.05
        """How much wider the alphabet is than the training chunks' integers, at each side, as a
        fraction of their range."""
        chunks: int = 16384
        """Training chunks that pairs are counted on, at most."""

        def build(self, *, action_size: int, horizon: int) -> DctBpe:
            """Make the tokenizer, see :meth:`TokenizerConfig.build`."""
            return DctBpe(self, action_size, horizon)

    low: Tensor
    """``int64 ()``: the alphabet's smallest integer."""
    symbols: Tensor
    """``int64 ()``: the integers in the alphabet."""
    merges: Tensor
    """``int64 (V, 2)``: the pairs of ids that were merged, in order; -1 where there are no more."""
    transform: Tensor
    """``float32 (H, H)``: the orthonormal DCT-II; its transpose is its inverse."""

    def __init__(self, config: DctBpe.Config, action_size: int, horizon: int) -> None:
        if config.scale <= 0:
            raise ValueError(f"tokenizer.scale is {config.scale}; it must be positive")
        if config.margin < 0:
            raise ValueError(f"tokenizer.margin is {config.margin}; it must not be negative")
        super().__init__(action_size=action_size, horizon=horizon)
        self.config = config
        self.vocabulary = config.vocabulary
        self.length = horizon * action_size
        self.end = config.vocabulary - 1
        self.register_buffer("low", torch.zeros((), dtype=torch.long))
        self.register_buffer("symbols", torch.zeros((), dtype=torch.long))
        self.register_buffer("merges", torch.full((config.vocabulary, 2), -1))
        self.register_buffer("transform", dct_matrix(horizon), persistent=False)
        self._known: _Known | None = None
        self.register_load_state_dict_post_hook(_forget)

    def coefficients(self, chunk: Tensor) -> Tensor:
        """The rounded coefficients, cut to the alphabet: ``int64 (B, H * A)``, low ones first.

        Args:
            chunk: normalised ``float32 (B, H, A)``.
        """
        known = self._tables
        return self._round(chunk).clamp_(known.low, known.low + known.symbols - 1)

    def _round(self, chunk: Tensor) -> Tensor:
        scaled = along_steps(self.transform, chunk).mul_(self.config.scale)  # (B, H, A)
        return scaled.round_().long().flatten(1)

    def _fit(self, chunks: Tensor, generator: Generator, progress: Progress | None) -> None:
        whole = self._round(chunks)  # (N, H * A)
        smallest, largest = int(whole.min()), int(whole.max())
        spare = math.ceil(self.config.margin * (largest - smallest))
        low = smallest - spare
        count = largest + spare - low + 1
        if count > min(self.vocabulary - 1, MOST_SYMBOLS):
            raise ValueError(
                f"tokenizer.vocabulary is {self.vocabulary} and the training chunks have "
                f"coefficients from {smallest} to {largest}: {count} ids before any is merged. "
                "Give a larger tokenizer.vocabulary or a smaller tokenizer.scale, or normalise "
                "actions so that outliers are cut (normalization.action: quantiles)"
            )
        merges = learn((whole - low).cpu().numpy(), count, self.vocabulary - 1)
        self.low.fill_(low)
        self.symbols.fill_(count)
        self.merges.fill_(-1)
        self.merges[: len(merges)] = torch.tensor(merges, dtype=torch.long).view(-1, 2)
        self._known = None

    @property
    def pairs(self) -> BytePairs:
        """The byte-pair encoding, made of the buffers when it is first needed.

        Raises:
            NotFitted: there is none yet.
        """
        return self._tables.pairs

    @property
    def _tables(self) -> _Known:
        if self._known is None:
            self.require_fitted()
            merges = [(int(a), int(b)) for a, b in self.merges.tolist() if a >= 0]
            low, symbols = int(self.low), int(self.symbols)
            pairs = BytePairs(symbols, merges)
            whole = (pairs.expansions.symbols + low).astype(np.float32)
            values = whole / np.float32(self.config.scale)
            spans = zip(pairs.expansions.starts, pairs.expansions.sizes, strict=True)
            pieces = [values[start : start + size].tobytes() for start, size in spans]
            self._known = _Known(pairs, low, symbols, values, pieces)
        return self._known

    def encode(self, chunk: Tensor) -> Tensor:
        """Ids, padded with ``end``, see :meth:`Tokenizer.encode`."""
        known = self._tables
        flat, lengths = known.pairs.encode(self.coefficients(chunk).sub_(known.low).cpu().numpy())
        ids = np.full((len(chunk), self.length), self.end, dtype=np.int64)
        if len(ids) == 1:
            ids[0, : len(flat)] = flat
        else:
            begin = np.arange(len(ids)) * self.length - (np.cumsum(lengths) - lengths)
            ids.ravel()[np.repeat(begin, lengths) + np.arange(len(flat))] = flat
        return torch.from_numpy(ids).to(chunk.device)

    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """Chunks of ids.

        A row is valid if nothing but ``end`` follows its first ``end`` and the ids before it stand
        for H A integers, in whatever way they are split into ids. In a row that is not, ids
        without a meaning are left out, integers past H A are cut off, missing ones are 0: the
        low frequencies that are there count.
        """
        whole = self._decode_few(ids) if ids.numel() < _FEW else None
        valid = None
        if whole is None:
            whole, valid = self._decode_many(ids)
        coefficients = torch.from_numpy(whole).to(self.transform.device)  # (B, H * A)
        coefficients = coefficients.view(-1, self.horizon, self.action_size)
        chunk = along_steps(self.transform.T, coefficients)  # (B, H, A)
        flags = torch.ones(len(chunk), dtype=torch.bool) if valid is None else valid
        return Decoded(chunk=chunk, valid=flags.to(chunk.device))

    def _decode_few(self, ids: Tensor) -> NDArray[np.float32] | None:
        """Coefficients ``(B, H * A)``; None if any row is malformed, or there is none.

        Of few ids, one by one is quicker than calls of array operations.
        """
        pieces = self._tables.pieces
        found: list[bytes] = []
        for row in ids.tolist():
            used = row[: len(row) - row.count(self.end)]
            # An ``end`` or an id without a meaning among these lies beyond the last piece.
            if not used or min(used) < 0 or max(used) >= len(pieces):
                return None
            found.append(b"".join([pieces[one] for one in used]))
            if len(found[-1]) != 4 * self.length:
                return None
        if not found:
            return None
        return np.frombuffer(bytearray(b"".join(found)), np.float32).reshape(-1, self.length)

    def _decode_many(self, ids: Tensor) -> tuple[NDArray[np.float32], Tensor]:
        """Coefficients ``(B, H * A)`` and which rows are valid."""
        known = self._tables
        rows = self._read(ids)
        values = known.values.take(known.pairs.expansions.places(rows.ids, rows.sizes))
        if (rows.integers == self.length).all():
            whole = values.reshape(len(ids), self.length)
        else:
            row = np.repeat(np.arange(len(ids)), rows.integers)
            begin = np.cumsum(rows.integers) - rows.integers
            column = np.arange(len(values)) - begin[row]
            fits = column < self.length
            whole = np.zeros((len(ids), self.length), dtype=np.float32)
            whole[row[fits], column[fits]] = values[fits]
        return whole, torch.from_numpy(rows.valid)

    def is_valid(self, ids: Tensor) -> Tensor:
        """Which rows stand for exactly H A integers, see :meth:`decode`."""
        return torch.from_numpy(self._read(ids).valid).to(ids.device)

    def _read(self, ids: Tensor) -> _Rows:
        """What there is in rows of ids ``(B, L)``, before their first ``end``."""
        array = ids.cpu().numpy()
        ends = array == self.end
        count = ends.sum(1)  # (B,)
        lengths = np.where(count > 0, ends.argmax(1), self.length)
        before = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
        used = array[:, : before.shape[1]].ravel().take(np.flatnonzero(before))
        known = (used >= 0) & (used < self.pairs.count)
        row = np.repeat(np.arange(len(array)), lengths)
        if known.all():
            clean = count == self.length - lengths
        else:
            clean = (count == self.length - lengths) & (
                np.bincount(row[~known], minlength=len(array)) == 0
            )
            used, row = used[known], row[known]
        sizes = self.pairs.expansions.sizes.take(used)
        integers = np.bincount(row, weights=sizes, minlength=len(array)).astype(np.int64)
        return _Rows(used, sizes, integers, clean & (integers == self.length))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of ids, read."""

    ids: Integers
    """Those with a meaning, of all rows one after the other, ``int64 (total,)``."""
    sizes: Integers
    """How many integers each of them stands for, ``int64 (total,)``."""
    integers: Integers
    """How many integers each row's stand for, ``int64 (B,)``."""
    valid: NDArray[np.bool_]
    """``(B,)``: rows that are well formed."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the buffers say, in the form in which it is used."""

    pairs: BytePairs
    low: int
    symbols: int
    values: NDArray[np.float32]
    """Coefficients in the place of the integers ``pairs.expansions.symbols``."""
    pieces: list[bytes]
    """The same of each id."""


def _forget(module: torch.nn.Module, _: object) -> None:
    assert isinstance(module, DctBpe)
    module._known = None
