"""An exponential moving average of a model's weights (Polyak & Juditsky, 1992)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class EMA:
    """``average = d · average + (1 - d) · weights`` after every step, ``float32``.

    Early on the decay is smaller, ``d_n = min(decay, (1 + n) / (10 + n))`` after n steps, so that
    the random initial weights do not linger. Buffers and integers are copied, not averaged.
    """

    def __init__(self, state: Mapping[str, Tensor], decay: float) -> None:
        """
        Args:
            state: a model's ``state_dict``; the average starts at a copy of it.
            decay: d, in [0, 1).
        """
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in state.items()}

    @torch.no_grad()
    def update(self, state: Mapping[str, Tensor], updates: int) -> None:
        """Take in the weights after a step; ``updates`` is how many came before."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        names = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.state[name] for name in names], [state[name] for name in names], 1 - decay
        )
        for name in state.keys() - set(names):
            self.state[name].copy_(state[name])
