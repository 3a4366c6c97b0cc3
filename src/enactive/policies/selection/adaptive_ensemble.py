"""Adaptive ensembling (CogACT, Li et al., 2024, arXiv 2411.19650, "Adaptive Action Ensemble").

The action of a step is the mean of what the K newest chunks say about it, each weighted by how much
it agrees with the newest one: ``w_k ∝ exp(alpha · cos(a_k, a_now))``. A chunk that went the other
way round an obstacle is to count less.

**How adaptive it is.** A cosine lies in [-1, 1], so two weights differ by a factor of at most
``exp(2 · alpha)``. With the published alpha = 0.1 that is 1.22: a prediction in exactly the
opposite direction still counts 82 % of one that agrees fully, and the result is nearly the plain
mean. ``mean_ensemble`` is the control; a larger alpha tells whether agreement matters.

**Whose cosine.** By default of normalised actions. The authors' evaluation takes it of actions in
their own units (``normalised=False``), where an entry with large numbers, such as a gripper command
of 0 or 1 beside metres, decides nearly alone, and where absolute positions all point the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from enactive.policies.selection.selection import Plan, Selection, SelectionConfig, Weights

TINY = 1e-12
"""Keeps the cosine of a zero action defined: 0."""


class AdaptiveEnsemble(Selection):
    """See the module."""

    overlapping: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(SelectionConfig):
        """Size of the window and weight of agreement."""

        window: int = 7
        """K: the newest chunks that are averaged, at most. The paper: 7 and 2, by robot."""
        alpha: float = 0.1
        """Weights are softmax(alpha · cosine); 0 is the plain mean, 0.1 nearly."""
        normalised: bool = True
        """Cosines of normalised actions; False takes them in the action space's units."""

        def build(self) -> AdaptiveEnsemble:
            """Make the selection."""
            return AdaptiveEnsemble(self)

    def __init__(self, config: AdaptiveEnsemble.Config) -> None:
        if config.window < 2:
            raise ValueError(f"selection.window must be at least 2, got {config.window}")
        self.window = config.window
        self.alpha = config.alpha
        self.normalised = config.normalised

    def weights(self, plans: Sequence[Plan], step: int) -> Weights:
        """``exp(alpha · (cos - largest cos))``: the softmax but for its scale."""
        said = np.stack(
            [(p.normalised if self.normalised else p.chunk)[step - p.start] for p in plans]
        ).astype(np.float64)  # (N, A)
        agreement = self.alpha * cosines(said, said[-1])  # (N,)
        return np.exp(agreement - agreement.max())


def cosines(rows: Weights, reference: Weights) -> Weights:
    """Cosine ``(N,)`` of every row of ``(N, D)`` with ``reference (D,)``; 0 where either is 0."""
    lengths = np.linalg.norm(rows, axis=-1) * np.linalg.norm(reference)
    return rows @ reference / np.maximum(lengths, TINY)
