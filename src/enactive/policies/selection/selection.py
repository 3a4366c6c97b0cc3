"""The contract of selection: what becomes of candidates and of chunks that overlap in time.

A chunk policy predicts S candidate chunks at a time, and chunks of several predictions may cover
the same step. A selection answers both questions, each on its own: which **candidate** of a
prediction counts (:meth:`Selection.choose`), and how much the action of each **overlapping chunk**
weighs at a step (:meth:`Selection.weights`). How often there is a prediction is the policy's
``execute``; a selection that cannot work with it refuses it, with the reason.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from enactive.configuration import Part
from enactive.observations import Observation

Floats = NDArray[np.float32]
Weights = NDArray[np.float64]


class Scorer(Protocol):
    """A verifier as selection sees it."""

    def score(self, observation: Observation, candidates: Floats) -> Sequence[float]:
        """One score per candidate of ``candidates (S, H, A)``; larger is better."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A chunk that was chosen, and the step at which it begins."""

    start: int
    """Step of the episode that its first action was predicted for."""
    chunk: Floats
    """``float32 (H, A)`` in the action space's units."""
    normalised: Floats
    """``float32 (H, A)``, as the head gave it: entries of different units are comparable."""
    trace: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    """What the head showed of this candidate (:attr:`Samples.trace`), by name, without B and S; of
    it only what the selection asks for."""

    def at(self, step: int) -> Floats:
        """The action ``(A,)`` for a step of the episode."""
        return self.chunk[step - self.start]


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate that counts."""

    index: int
    """In [0, S)."""
    scores: Sequence[float] | None = None
    """S scores, where candidates were scored; larger is better."""


class Selection:
    """Chooses among candidates and weighs overlapping chunks.

    It has no state: a policy keeps the plans in the episode's memory.
    """

    among_candidates: ClassVar[bool] = False
    """Whether it chooses among candidates; otherwise more than one would be drawn for nothing."""
    overlapping: ClassVar[bool] = False
    """Whether it uses chunks of earlier predictions too."""
    uses_scorer: ClassVar[bool] = False
    """Whether it needs a :class:`Scorer`."""
    needs_trace: ClassVar[tuple[str, ...]] = ()
    """Entries of :attr:`Samples.trace` that the head must give."""
    uses_trace: ClassVar[tuple[str, ...]] = ()
    """Entries that it takes into account where the head gives them."""
    window: int | None = 1
    """How many chunks it looks at, the newest included; None for all that overlap."""

    def choose(
        self,
        observation: Observation,
        candidates: Floats,
        generator: np.random.Generator,
        scorer: Scorer | None = None,
    ) -> Choice:
        """The candidate of ``candidates (S, H, A)`` that counts; by default the first."""
        return Choice(0)

    def weights(self, plans: Sequence[Plan], step: int) -> Weights:
        """How much each plan's action for ``step`` counts, ``float64 (N,)``, in any common scale.

        Args:
            plans: N plans that cover ``step``, oldest first; never more than ``window``.
            step: the step to be executed.
        """
        newest = np.zeros(len(plans))
        newest[-1] = 1.0
        return newest

    def action(self, plans: Sequence[Plan], step: int) -> Floats:
        """The weighted mean ``(A,)`` of what ``plans`` say about ``step``."""
        if len(plans) == 1:
            return plans[0].at(step)
        weights = self.weights(plans, step)  # (N,)
        predictions = np.stack([plan.at(step) for plan in plans])  # (N, A)
        mean = (predictions * weights[:, None]).sum(axis=0) / weights.sum()  # (A,)
        return mean.astype(np.float32)

    def refuses(
        self,
        *,
        execute: int,
        horizon: int,
        samples: int,
        scorer: Scorer | None,
        head: str,
        traces: Sequence[str],
    ) -> str | None:
        """Why this selection cannot work so, with the fix; None if it can.

        Args:
            execute: steps between predictions.
            horizon: H.
            samples: S.
            scorer: what the policy was given.
            head: the head's name, for the message.
            traces: what the head shows of its samples.
        """
        if self.uses_scorer and scorer is None:
            return "it needs a scorer. Fix: hand one to build(), or choose another selection"
        if scorer is not None and not self.uses_scorer:
            return "it would ignore the scorer. Fix: selection 'best', or no scorer"
        if samples > 1 and not self.among_candidates:
            return (
                f"it would ignore {samples - 1} of the {samples} samples. Fix: samples=1, or "
                "selection 'random' or 'best'"
            )
        if self.overlapping and execute >= horizon:
            return (
                f"no two chunks overlap when all {horizon} actions of one are executed. Fix: "
                f"execute less than {horizon}, e.g. 1"
            )
        missing = [name for name in self.needs_trace if name not in traces]
        if missing:
            shown = ", ".join(traces) or "nothing"
            return (
                f"it weighs chunks by {', '.join(missing)}, and the head {head!r} shows {shown} of "
                "how its chunks came about. Fix: a head that shows it, or another selection"
            )
        return None


class SelectionConfig(Part, abc.ABC, kind="selections"):
    """Base of the configurations of selections."""

    __slots__ = ()

    @abc.abstractmethod
    def build(self) -> Selection:
        """Make the selection.

        Raises:
            ValueError: a field is out of range.
        """
