"""Bins: every entry of every step is one id, on its own.

Each of the A dimensions has an interval that is cut into V bins of equal width; an entry's id is
its bin, and an id stands for the middle of its bin. What lies outside the interval goes to the
first or last bin. Where the interval comes from is what tells the tokenizers of this kind apart
(:mod:`~enactive.models.tokenizers.uniform_bins`, :mod:`~enactive.models.tokenizers.quantile_bins`).

The ids of a chunk stand step by step, and dimension by dimension within a step: id ``h * A + a`` is
entry a of step h. So every id belongs to one step, and a head can leave out the ids past an
episode's end.
"""

from __future__ import annotations

import abc

import torch
from torch import Generator, Tensor

from enactive.models.tokenizers.tokenizer import Decoded, Progress, Tokenizer


class Bins(Tokenizer):
    """V bins of equal width per dimension; subclasses say between which bounds."""

    low: Tensor
    """``float32 (A,)``: where the first bin begins."""
    high: Tensor
    """``float32 (A,)``: where the last bin ends."""
    steps: Tensor

    def __init__(self, bins: int, action_size: int, horizon: int) -> None:
        if bins < 2:
            raise ValueError(f"tokenizer.bins is {bins}; give at least 2")
        super().__init__(action_size=action_size, horizon=horizon)
        self.vocabulary = bins
        self.length = horizon * action_size
        self.register_buffer("low", torch.zeros(action_size))
        self.register_buffer("high", torch.ones(action_size))
        steps = torch.arange(horizon).repeat_interleave(action_size)
        self.register_buffer("steps", steps, persistent=False)

    @abc.abstractmethod
    def bounds(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Where the bins of each dimension begin and end, ``float32 (A,)`` each.

        Args:
            values: all entries of the training chunks, ``float32 (N * H, A)``.
        """

    def _fit(self, chunks: Tensor, generator: Generator, progress: Progress | None) -> None:
        low, high = self.bounds(chunks.reshape(-1, self.action_size))
        self.low.copy_(low)
        self.high.copy_(high)

    @property
    def width(self) -> Tensor:
        """``float32 (A,)``: the width of a bin; 0 for a dimension that is constant."""
        return (self.high - self.low) / self.vocabulary

    def encode(self, chunk: Tensor) -> Tensor:
        """The bin of each entry, see :meth:`Tokenizer.encode`."""
        self.require_fitted()
        width = self.width
        place = (chunk - self.low) / torch.where(width > 0, width, torch.ones_like(width))
        ids = place.floor().clamp(0, self.vocabulary - 1).long()  # (B, H, A)
        return ids.flatten(1)

    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """The middle of each id's bin. An id that is none counts as the nearest that is one."""
        self.require_fitted()
        inside = ids.clamp(0, self.vocabulary - 1).view(-1, self.horizon, self.action_size)
        chunk = self.low + (inside.float() + 0.5) * self.width  # (B, H, A)
        return Decoded(chunk=chunk, valid=self.is_valid(ids))
