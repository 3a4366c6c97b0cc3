"""Intent ensembling (MINT, arXiv 2602.08602): chunks that pursue the same intent are averaged.

For heads whose first code sums up what the whole chunk is for. A chunk made h steps ago counts by
how near its intent is to the newest one's, by the head's confidence in it, and by its age:
``w ∝ exp((cos(s_now, s_h) - 1) / temperature) · confidence · exp(-decay · h)``, the form of the
authors' code. The paper writes a softmax of the cosine alone; that is ``decay=0`` with a head that
shows no confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from enactive.policies.selection.adaptive_ensemble import cosines
from enactive.policies.selection.selection import Plan, Selection, SelectionConfig, Weights


class IntentEnsemble(Selection):
    """See the module."""

    overlapping: ClassVar[bool] = True
    needs_trace: ClassVar[tuple[str, ...]] = ("intent",)
    uses_trace: ClassVar[tuple[str, ...]] = ("confidence",)
    window: int | None = None

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(SelectionConfig):
        """How fast the weights fall with difference and with age."""

        temperature: float = 0.5
        """What a difference of cosines is divided by; smaller separates intents more sharply."""
        decay: float = 0.03
        """A chunk made h steps ago counts exp(-decay · h)."""

        def build(self) -> IntentEnsemble:
            """Make the selection."""
            return IntentEnsemble(self)

    def __init__(self, config: IntentEnsemble.Config) -> None:
        if config.temperature <= 0:
            raise ValueError(f"selection.temperature must be positive, got {config.temperature}")
        self.temperature = config.temperature
        self.decay = config.decay

    def weights(self, plans: Sequence[Plan], step: int) -> Weights:
        """Nearness of intents times confidence (1 where the head shows none) times youth."""
        intents = np.stack([plan.trace["intent"].reshape(-1) for plan in plans]).astype(np.float64)
        near = (cosines(intents, intents[-1]) - 1) / self.temperature  # (N,)
        ages = np.array([plans[-1].start - plan.start for plan in plans])  # (N,) steps
        confidence = [float(plan.trace.get("confidence", np.ones(())).mean()) for plan in plans]
        return np.exp(near - self.decay * ages) * np.maximum(confidence, 1e-6)
