"""Quantile bins (OpenVLA, Kim et al. 2024, section 3.2).

Each dimension of the action is cut into 256 bins of equal width between the 1st and the 99th
percentile of the training chunks; what lies outside is clipped. Against bounds at the extremes
(:mod:`~enactive.models.tokenizers.uniform_bins`), outliers cost themselves instead of everyone's
precision. (Bins of equal mass, which the name might also mean, are not what OpenVLA and its
successors use: their bins are widest exactly where a large action needs a precise value.)

A dimension that takes one value in 98 % of the data, such as a gripper that hardly ever opens, has
no width between these percentiles; its bounds are the extremes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from enactive.models.tokenizers.bins import Bins
from enactive.models.tokenizers.tokenizer import TokenizerConfig


class QuantileBins(Bins):
    """See the module and :class:`Bins`."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenizerConfig):
        """Number of bins and where they end."""

        bins: int = 256
        """V, bins per dimension."""
        low: float = 0.01
        """Fraction of the training values below the first bin."""
        high: float = 0.99
        """Fraction of the training values below the end of the last bin."""
        chunks: int = 65536
        """Training chunks whose quantiles are taken, at most."""

        def build(self, *, action_size: int, horizon: int) -> QuantileBins:
            """Make the tokenizer, see :meth:`TokenizerConfig.build`."""
            return QuantileBins(self, action_size, horizon)

    def __init__(self, config: QuantileBins.Config, action_size: int, horizon: int) -> None:
        if not 0 <= config.low < config.high <= 1:
            raise ValueError(
                f"tokenizer.low is {config.low} and tokenizer.high {config.high}; give fractions "
                "with 0 <= low < high <= 1"
            )
        super().__init__(config.bins, action_size, horizon)
        self.fractions = (config.low, config.high)

    def bounds(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The two quantiles of each dimension, by linear interpolation between order statistics."""
        ordered = values.double().sort(0).values  # (N * H, A)
        low, high = (_quantile(ordered, fraction) for fraction in self.fractions)
        flat = high <= low
        return (
            torch.where(flat, ordered[0], low).float(),
            torch.where(flat, ordered[-1], high).float(),
        )


def _quantile(ordered: Tensor, fraction: float) -> Tensor:
    # torch.quantile refuses more than 2^24 values.
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below].lerp(ordered[above], place - below)
