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
from enactive.models.tokenizers.dct import dct_matrix
from enactive.models.tokenizers.tokenizer import Decoded, Progress, Tokenizer, TokenizerConfig


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
        self._pairs: BytePairs | None = None
        self.register_load_state_dict_post_hook(_forget_pairs)

    def coefficients(self, chunk: Tensor) -> Tensor:
        """The rounded coefficients, cut to the alphabet: ``int64 (B, H * A)``, low ones first.

        Args:
            chunk: normalised ``float32 (B, H, A)``.
        """
        highest = self.low + self.symbols - 1
        return self._round(chunk).clamp(self.low, highest)

    def _round(self, chunk: Tensor) -> Tensor:
        scaled = torch.matmul(self.transform, chunk) * self.config.scale  # (B, H, A)
        return scaled.round().long().flatten(1)

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
        self._pairs = None

    @property
    def pairs(self) -> BytePairs:
        """The byte-pair encoding, made of the buffers when it is first needed.

        Raises:
            NotFitted: there is none yet.
        """
        if self._pairs is None:
            self.require_fitted()
            merges = [(int(a), int(b)) for a, b in self.merges.tolist() if a >= 0]
            self._pairs = BytePairs(int(self.symbols), merges)
        return self._pairs

    def encode(self, chunk: Tensor) -> Tensor:
        """Ids, padded with ``end``, see :meth:`Tokenizer.encode`."""
        pairs = self.pairs
        flat, lengths = pairs.encode((self.coefficients(chunk) - self.low).cpu().numpy())
        ids = np.full((len(chunk), self.length), self.end, dtype=np.int64)
        longest = int(lengths.max(initial=0))
        ids[:, :longest][np.arange(longest) < lengths[:, None]] = flat
        return torch.from_numpy(ids).to(chunk.device)

    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """Chunks of ids.

        A row is valid if nothing but ``end`` follows its first ``end`` and the ids before it stand
        for H A integers, in whatever way they are split into ids. In a row that is not, ids
        without a meaning are left out, integers past H A are cut off, missing ones are 0: the
        low frequencies that are there count.
        """
        rows = self._read(ids)
        symbols, _ = self.pairs.decode(rows.ids)
        if (rows.integers == self.length).all():
            whole = symbols.reshape(len(ids), self.length)
        else:
            row = np.repeat(np.arange(len(ids)), rows.integers)
            begin = np.cumsum(rows.integers) - rows.integers
            column = np.arange(len(symbols)) - begin[row]
            fits = column < self.length
            whole = np.full((len(ids), self.length), -int(self.low), dtype=np.int64)  # integer 0
            whole[row[fits], column[fits]] = symbols[fits]
        integers = torch.from_numpy(whole).to(self.low.device) + self.low  # (B, H * A)
        coefficients = integers.view(-1, self.horizon, self.action_size).float() / self.config.scale
        chunk = torch.matmul(self.transform.T, coefficients)  # (B, H, A)
        return Decoded(chunk=chunk, valid=torch.from_numpy(rows.valid).to(chunk.device))

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
        used = array[:, : before.shape[1]][before]
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
        return _Rows(used, integers, clean & (integers == self.length))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of ids, read."""

    ids: Integers
    """Those with a meaning, of all rows one after the other, ``int64 (total,)``."""
    integers: Integers
    """How many integers each row's stand for, ``int64 (B,)``."""
    valid: NDArray[np.bool_]
    """``(B,)``: rows that are well formed."""


def _forget_pairs(module: torch.nn.Module, _: object) -> None:
    assert isinstance(module, DctBpe)
    module._pairs = None
