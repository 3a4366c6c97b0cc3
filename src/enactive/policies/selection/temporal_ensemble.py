"""Temporal ensembling (ACT, Zhao et al., 2023, section IV.A): older predictions count more.

The action of a step is the weighted mean of what every chunk that covers it says, with weights
``exp(-decay · i)``, i = 0 for the **oldest**. So a larger decay takes new observations in more
slowly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from enactive.policies.selection.selection import Plan, Selection, SelectionConfig, Weights


class TemporalEnsemble(Selection):
    """See the module."""

    overlapping: ClassVar[bool] = True
    window: int | None = None

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(SelectionConfig):
        """How fast the weights fall."""

        decay: float = 0.01
        """m: the i-th oldest prediction weighs exp(-m i); 0 is the plain mean."""

        def build(self) -> TemporalEnsemble:
            """Make the selection."""
            return TemporalEnsemble(self)

    def __init__(self, config: TemporalEnsemble.Config) -> None:
        self.decay = config.decay

    def weights(self, plans: Sequence[Plan], step: int) -> Weights:
        """``exp(-decay · i)``, oldest first."""
        return np.exp(-self.decay * np.arange(len(plans)))
