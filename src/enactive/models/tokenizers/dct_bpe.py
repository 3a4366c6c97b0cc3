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

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Generator, Tensor

from enactive.models.tokenizers.tokenizer import Decoded, Progress, Tokenizer, TokenizerConfig

# Integer k of the alphabet is the character at _FIRST + k where pairs are learned and looked up.
# From there up to the surrogates no code point is a space, a control or a combining character.
_FIRST, _LAST = 0x4E00, 0xD7FF


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
        self._code: _Code | None = None
        self.register_load_state_dict_post_hook(_forget_code)

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
        if count > min(self.vocabulary - 1, _LAST - _FIRST):
            raise ValueError(
                f"tokenizer.vocabulary is {self.vocabulary} and the training chunks have "
                f"coefficients from {smallest} to {largest}: {count} ids before any is merged. "
                "Give a larger tokenizer.vocabulary or a smaller tokenizer.scale, or normalise "
                "actions so that outliers are cut (normalization.action: quantiles)"
            )
        merges = _learn(_rows(whole - low), count, self.vocabulary - 1, self.vocabulary)
        self.low.fill_(low)
        self.symbols.fill_(count)
        self.merges.fill_(-1)
        self.merges[: len(merges)] = torch.tensor(merges, dtype=torch.long).view(-1, 2)
        self._code = None

    @property
    def code(self) -> _Code:
        """What the merged pairs stand for, made of the buffers when it is first needed."""
        if self._code is None:
            self.require_fitted()
            self._code = _Code.of(
                int(self.symbols), [(int(a), int(b)) for a, b in self.merges.tolist() if a >= 0]
            )
        return self._code

    def encode(self, chunk: Tensor) -> Tensor:
        """Ids, padded with ``end``, see :meth:`Tokenizer.encode`."""
        encodings = self.code.encoder.encode_batch(_rows(self.coefficients(chunk) - self.low))
        rows = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        ids = np.full((len(rows), self.length), self.end, dtype=np.int64)
        ids[np.arange(self.length) < lengths[:, None]] = [one for row in rows for one in row]
        return torch.from_numpy(ids).to(chunk.device)

    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """Chunks of ids.

        A row is valid if nothing but ``end`` follows its first ``end`` and the ids before it stand
        for H A integers, in whatever way they are split into ids. In a row that is not, ids
        without a meaning are left out, integers past H A are cut off, missing ones are 0: the
        low frequencies that are there count.
        """
        table, starts, sizes = (part.to(ids.device) for part in self.code.expansions)
        known = self._known(ids)
        which = torch.where(known, ids, torch.zeros_like(ids))
        size = torch.where(known, sizes[which], torch.zeros_like(ids))  # (B, L)
        flat_size = size.flatten()
        begins = flat_size.cumsum(0) - flat_size
        owner = torch.repeat_interleave(flat_size)  # (total integers,)
        within = torch.arange(len(owner), device=ids.device) - begins[owner]
        integers = table[starts[which].flatten()[owner] + within] + self.low
        row_begins = begins.view_as(size)[:, :1]  # (B, 1)
        place = torch.arange(len(owner), device=ids.device)
        row = owner // self.length
        column = place - row_begins[row, 0]
        fits = column < self.length
        whole = torch.zeros(len(ids), self.length, dtype=torch.long, device=ids.device)
        whole[row[fits], column[fits]] = integers[fits]
        coefficients = whole.view(-1, self.horizon, self.action_size).float() / self.config.scale
        chunk = torch.matmul(self.transform.T, coefficients)  # (B, H, A)
        return Decoded(chunk=chunk, valid=self._well_formed(ids, known, size))

    def is_valid(self, ids: Tensor) -> Tensor:
        """Which rows stand for exactly H A integers, see :meth:`decode`."""
        known = self._known(ids)
        sizes = self.code.expansions[2].to(ids.device)
        which = torch.where(known, ids, torch.zeros_like(ids))
        return self._well_formed(ids, known, sizes[which] * known)

    def _known(self, ids: Tensor) -> Tensor:
        """``bool (B, L)``: ids before the first ``end`` that have a meaning."""
        before = (ids == self.end).cumsum(-1) == 0
        return before & (ids >= 0) & (ids < self.code.count)

    def _well_formed(self, ids: Tensor, known: Tensor, size: Tensor) -> Tensor:
        return (known | (ids == self.end)).all(-1) & (size.sum(-1) == self.length)


def dct_matrix(steps: int) -> Tensor:
    """The orthonormal DCT-II, ``float32 (H, H)``: row k is frequency k."""
    frequency = torch.arange(steps, dtype=torch.float64)[:, None]
    time = torch.arange(steps, dtype=torch.float64)[None]
    matrix = torch.cos(math.pi * frequency * (time + 0.5) / steps) * math.sqrt(2 / steps)
    matrix[0] = math.sqrt(1 / steps)
    return matrix.float()


@dataclass(frozen=True, slots=True)
class _Code:
    """Ids and the integers (from 0) that they stand for."""

    count: int
    """Ids that have a meaning: 0, ..., count - 1."""
    expansions: tuple[Tensor, Tensor, Tensor]
    """Integers of all ids in a row, where each id's begin in it, and how many they are."""
    encoder: Any
    """A ``tokenizers.Tokenizer`` over characters."""

    @classmethod
    def of(cls, symbols: int, merges: list[tuple[int, int]]) -> _Code:
        from tokenizers import Tokenizer as Encoder
        from tokenizers.models import BPE

        texts = [chr(_FIRST + k) for k in range(symbols)]
        ids = {text: k for k, text in enumerate(texts)}
        for left, right in merges:
            # Two pairs may make the same text, which is one id.
            if ids.setdefault(texts[left] + texts[right], len(texts)) == len(texts):
                texts.append(texts[left] + texts[right])
        encoder = Encoder(BPE(vocab=ids, merges=[(texts[a], texts[b]) for a, b in merges]))
        sizes = torch.tensor([len(text) for text in texts])
        codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4").astype(np.int64)
        table = torch.from_numpy(codes - _FIRST)
        return cls(len(texts), (table, sizes.cumsum(0) - sizes, sizes), encoder)


def _learn(rows: list[str], symbols: int, most: int, limit: int) -> list[tuple[int, int]]:
    """The pairs to merge, in order, as ids.

    Args:
        rows: the training rows as characters.
        symbols: size of the alphabet.
        most: ids to make, with the alphabet.
        limit: pairs to return, at most. More pairs than new ids are possible, if rarely.
    """
    from tokenizers import Tokenizer as Encoder
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    alphabet = [chr(_FIRST + k) for k in range(symbols)]
    learner = Encoder(BPE())
    trainer = BpeTrainer(
        vocab_size=most, min_frequency=2, show_progress=False, initial_alphabet=alphabet
    )
    learner.train_from_iterator(rows, trainer=trainer, length=len(rows))
    texts = {text: k for k, text in enumerate(alphabet)}
    merges: list[tuple[int, int]] = []
    for left, right in json.loads(learner.to_str())["model"]["merges"][:limit]:
        merges.append((texts[left], texts[right]))
        texts.setdefault(left + right, len(texts))
    return merges


def _rows(integers: Tensor) -> list[str]:
    """Integers from 0, ``int64 (N, L)``, as N texts of L characters."""
    codes = (integers.cpu().numpy() + _FIRST).astype("<u4")
    text = codes.tobytes().decode("utf-32-le")
    length = codes.shape[1]
    return [text[k : k + length] for k in range(0, len(text), length)]


def _forget_code(module: torch.nn.Module, _: object) -> None:
    assert isinstance(module, DctBpe)
    module._code = None
