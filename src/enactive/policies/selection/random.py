"""A random candidate: the control of :mod:`~enactive.policies.selection.best`.

It draws as many candidates and looks at none of them, so that what separates the two is the
scorer's judgement and not the number of samples.
"""

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


class Random(Selection):
    """See the module."""

    among_candidates: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(SelectionConfig):
        """It has no options."""

        def build(self) -> Random:
            """Make the selection."""
            return Random()

    def choose(
        self,
        observation: Observation,
        candidates: Floats,
        generator: np.random.Generator,
        scorer: Scorer | None = None,
    ) -> Choice:
        """Any of the candidates, each equally likely."""
        return Choice(int(generator.integers(len(candidates))))
