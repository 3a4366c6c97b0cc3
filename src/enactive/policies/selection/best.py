"""Best of N: the candidate that a scorer likes most, the first of them at a tie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from enactive.observations import Observation
from enactive.policies.selection.selection import (
    Choice,
    Floats,
    Scorer,
    Selection,
    SelectionConfig,
)


class Best(Selection):
    """See the module."""

    among_candidates: ClassVar[bool] = True
    uses_scorer: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(SelectionConfig):
        """It has no options."""

        def build(self) -> Best:
            """Make the selection."""
            return Best()

    def choose(
        self,
        observation: Observation,
        candidates: Floats,
        generator: np.random.Generator,
        scorer: Scorer | None = None,
    ) -> Choice:
        """The candidate with the largest score."""
        assert scorer is not None  # wiring refuses it
        scores = [float(score) for score in scorer.score(observation, candidates)]
        return Choice(int(np.argmax(scores)), scores)
