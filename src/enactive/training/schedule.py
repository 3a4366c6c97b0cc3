"""Learning rates over a stage: linear warm-up, then half a cosine (Loshchilov & Hutter, 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Factor on the peak learning rate at every step of a stage."""

    warmup: int = 100
    """Steps over which the factor rises from 1/warmup to 1; at most the stage's steps."""
    final: float = 0.05
    """Factor at the stage's last step."""

    def factor(self, step: int, steps: int) -> float:
        """Factor at ``step`` (0 .. steps - 1) of a stage of ``steps``."""
        warmup = min(self.warmup, steps)
        if step < warmup:
            return (step + 1) / warmup
        progress = (step + 1 - warmup) / (steps - warmup)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))
