"""The plain mean of overlapping chunks: the control of every weighted ensemble.

What a weighting adds is what it does better than this with the same window and the same number of
predictions per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from enactive.policies.selection.selection import Plan, Selection, SelectionConfig, Weights


class MeanEnsemble(Selection):
    """See the module."""

    overlapping: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(SelectionConfig):
        """Size of the window."""

        window: int = 7
        """K: the newest chunks that are averaged, at most."""

        def build(self) -> MeanEnsemble:
            """Make the selection."""
            return MeanEnsemble(self)

    def __init__(self, config: MeanEnsemble.Config) -> None:
        if config.window < 2:
            raise ValueError(f"selection.window must be at least 2, got {config.window}")
        self.window = config.window

    def weights(self, plans: Sequence[Plan], step: int) -> Weights:
        """All the same."""
        return np.ones(len(plans))
