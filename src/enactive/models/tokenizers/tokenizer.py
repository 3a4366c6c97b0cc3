"""The contract of a tokenizer: action chunks to sequences of ids, and back.

A tokenizer is exchangeable by one key of the configuration, like a head. It is fitted on the
normalised chunks of a training set, then frozen, and travels with the checkpoint: all that it
learned is in its ``state_dict``, in tensors whose shapes the configuration alone decides.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from enactive.configuration import Part

Progress = Callable[[int, int], None]
"""Told how many steps of fitting are done, and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """What B rows of ids stand for."""

    chunk: Tensor
    """``float32 (B, H, A)``, normalised. A malformed row has a defined value too, which the
    tokenizer documents; it is finite."""
    valid: Tensor
    """``bool (B,)``: False where the ids are no encoding of any chunk."""
    passes: int = 0
    """Forward passes of the neural decoder that each row took; 0 where there is none."""


class NotFitted(RuntimeError):
    """A tokenizer was used before it was fitted or loaded."""


class Tokenizer(nn.Module, abc.ABC):
    """Chunks to ids and back."""

    horizon: int
    """H, steps of a chunk."""
    action_size: int
    """A, entries of an action."""
    vocabulary: int
    """V: ids are 0, ..., V - 1, with ``end`` if there is one."""
    length: int
    """L: ids of a row."""
    end: int | None = None
    """The id that ends a row of a variable-length tokenizer and pads it to L; None where every row
    uses all L ids."""
    decoder: nn.Module | None
    """The neural decoder; one call of its ``forward`` on B rows is one pass of these rows."""
    steps: Tensor | None
    """``int64 (L,)``: the chunk's step that each id belongs to; None where ids span steps."""
    legal: Tensor | None
    """``bool (L, V)``: which ids may stand at each place; None where any may. Heads never sample
    others."""

    def __init__(self, *, action_size: int, horizon: int) -> None:
        super().__init__()
        self.action_size = action_size
        self.horizon = horizon
        self.decoder = None
        self.register_buffer("steps", None, persistent=False)
        self.register_buffer("legal", None, persistent=False)
        self.register_buffer("_fitted", torch.zeros((), dtype=torch.bool))

    @property
    def fitted(self) -> bool:
        """Whether :meth:`fit` has run, or fitted weights have been loaded."""
        return bool(self._fitted)

    def fit(self, chunks: Tensor, generator: Generator, progress: Progress | None = None) -> None:
        """Learn from training chunks, then freeze every parameter.

        Args:
            chunks: normalised ``float32 (N, H, A)``, of the training set only.
            generator: source of every random number.
            progress: told how far it is.

        Raises:
            ValueError: the chunks have another shape, are none, or are not finite.
        """
        wanted = (self.horizon, self.action_size)
        if chunks.dim() != 3 or tuple(chunks.shape[1:]) != wanted or not len(chunks):
            raise ValueError(
                f"chunks must be (N, {wanted[0]}, {wanted[1]}) with N > 0, got "
                f"{tuple(chunks.shape)}"
            )
        if not bool(chunks.isfinite().all()):
            raise ValueError("chunks holds values that are not finite; check the dataset")
        self._fitted.fill_(False)
        self.requires_grad_(True)
        self.train()
        with torch.enable_grad():
            self._fit(chunks.float(), generator, progress)
        self._fitted.fill_(True)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Tokenizer:
        """As of any module, except that a fitted tokenizer stays in evaluation mode."""
        super().train(mode and not self.fitted)
        return self

    @abc.abstractmethod
    def _fit(self, chunks: Tensor, generator: Generator, progress: Progress | None) -> None:
        """The fitting itself, see :meth:`fit`."""

    @abc.abstractmethod
    def encode(self, chunk: Tensor) -> Tensor:
        """Ids ``int64 (B, L)`` of normalised chunks ``float32 (B, H, A)``.

        Raises:
            NotFitted: it has not been fitted.
        """

    @abc.abstractmethod
    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """Chunks of ids ``int64 (B, L)``; any ids at all, malformed ones are flagged.

        Args:
            ids: of B rows.
            generator: source of the decoder's noise, where it has any; None stands for a fixed
                one, so that decoding is a function of the ids.
        """

    def is_valid(self, ids: Tensor) -> Tensor:
        """``bool (B,)``: whether each row of ``ids (B, L)`` is the encoding of some chunk.

        By default every row of L ids in [0, V) is.
        """
        return ((ids >= 0) & (ids < self.vocabulary)).all(-1)

    def bits(self, ids: Tensor) -> Tensor:
        """Bits that each row of ``ids (B, L)`` takes, ``float32 (B,)``.

        An id takes log2 V bits; a row of variable length takes its ids and the end.
        """
        count = torch.full((len(ids),), float(self.length))
        if self.end is not None:
            count = ((ids != self.end).sum(-1) + 1).clamp(max=self.length).float()
        return count.to(ids.device) * torch.log2(torch.tensor(float(self.vocabulary)))

    def require_fitted(self) -> None:
        """Refuse to work before fitting.

        Raises:
            NotFitted: says what to do.
        """
        if not self.fitted:
            raise NotFitted(
                f"{type(self).__name__} has not been fitted: call fit(chunks, generator) on "
                "training chunks, or load a checkpoint; the trainer fits it before its first step"
            )


class TokenizerConfig(Part, abc.ABC, kind="tokenizers"):
    """Base of the configurations of tokenizers."""

    __slots__ = ()

    variable_length: ClassVar[bool] = False
    """Whether rows may end before L ids (then :attr:`Tokenizer.end` is not None)."""
    chunks: int
    """Training chunks that it is fitted on, at most; drawn evenly from the training set."""

    @abc.abstractmethod
    def build(self, *, action_size: int, horizon: int) -> Tokenizer:
        """Make the tokenizer, not fitted yet.

        Args:
            action_size: A.
            horizon: H.
        """


def fill_past_end(chunk: Tensor, mask: Tensor) -> Tensor:
    """``chunk (B, H, A)`` with what its mask leaves out replaced, so that it never matters.

    Steps past an episode's end take the value of the last kept step; entries that an embodiment
    does not have (a mask ``(B, H, A)`` that is False at every step) become 0. Tokenizers encode
    whole chunks, so that a head must decide what stands there.

    Args:
        chunk: ``float32 (B, H, A)``.
        mask: ``bool (B, H)``, True up to some step, or ``bool (B, H, A)``.
    """
    whole = mask.unsqueeze(-1).expand_as(chunk) if mask.dim() == 2 else mask  # (B, H, A)
    place = torch.arange(chunk.shape[1], device=chunk.device)[None, :, None]
    last = torch.where(whole, place, -1).amax(1, keepdim=True)  # (B, 1, A)
    held = chunk.gather(1, last.clamp(min=0))  # (B, 1, A)
    held = torch.where(last >= 0, held, torch.zeros_like(held))
    return torch.where(whole, chunk, held.expand_as(chunk))
