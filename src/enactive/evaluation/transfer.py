"""What is recognised, or done, in contexts that training never had: known, unknown and the drop.

A grid of motions (or skills) and contexts (objects, backgrounds) is split into two complementary
sets of contexts, see :mod:`enactive.evaluation.context_splits`. One trains on the first set and is
tested on the same motions in known contexts (other samples of the first set) and in unknown ones
(the second set); then the sets change places. Unknown alone says nothing: a poor model has nothing
to lose. So nothing here gives it without the known rate beside it.

Source: Punching Bag vs. Punching Person (arXiv 2508.00085, ICCV 2025): two complementary context
sets, averaged over both directions; ``D_abs = K - U`` and ``HM = 2 K U / (K + U)``. The intervals
are ours.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from enactive.evaluation.statistics import Interval, clustered_wilson, wilson


@dataclass(frozen=True, kw_only=True, slots=True)
class Direction:
    """Outcomes of one direction: trained on one set of contexts, tested on both."""

    known: Sequence[bool]
    """Right or wrong for each test in contexts of training; the tests are none of its samples."""
    unknown: Sequence[bool]
    """The same for each test in the other set's contexts."""
    known_contexts: Sequence[Hashable] = ()
    """Context of each known test; with these of :attr:`unknown_contexts` the intervals are for
    contexts like these, without for these contexts again."""
    unknown_contexts: Sequence[Hashable] = ()
    """Context of each unknown test."""

    def __post_init__(self) -> None:
        if not self.known or not self.unknown:
            raise ValueError(
                f"{len(self.known)} known and {len(self.unknown)} unknown tests: each direction "
                "needs both, because a drop has no meaning without what it drops from"
            )
        for name, tests, contexts in (
            ("known", self.known, self.known_contexts),
            ("unknown", self.unknown, self.unknown_contexts),
        ):
            if contexts and len(contexts) != len(tests):
                raise ValueError(f"{name}: {len(tests)} tests, but {len(contexts)} contexts")
        if shared := {*self.known_contexts} & {*self.unknown_contexts}:
            raise ValueError(
                f"contexts are tested as known and as unknown: {sorted(map(str, shared))[:5]}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """The four numbers, averaged over the directions."""

    known: Interval
    """K, mean rate in known contexts."""
    unknown: Interval
    """U, mean rate in unknown contexts."""
    drop: Interval
    """``D_abs = K - U``, in [-1, 1]; 0 is a model that does not mind."""
    harmonic: Interval
    """``HM = 2 K U / (K + U)``, in [0, 1]; 0 where either is."""
    directions: int
    """Trainings that were averaged; 2 with the swap."""


def transfer(directions: Sequence[Direction], confidence: float = 0.95) -> Transfer:
    """K, U, D_abs and HM of tests in known and unknown contexts.

    Every rate has Wilson's interval, :func:`~enactive.evaluation.statistics.clustered_wilson`'s
    where contexts are given. Sums and differences of independent rates have the ends that follow
    from theirs (MOVER: Newcombe 1998, method 10; Zou & Donner 2008), and so has the mean of the two
    reciprocals, of which HM is the reciprocal. The sample are the tests: what another training
    would have given is not in the intervals; a claim takes several seeds for that.

    Args:
        directions: one for each training; give both, the sets having changed places.

    Raises:
        ValueError: there are no directions.
    """
    if not directions:
        raise ValueError("give at least one direction, better both")
    known = _mean([_rate(one.known, one.known_contexts, confidence) for one in directions])
    unknown = _mean([_rate(one.unknown, one.unknown_contexts, confidence) for one in directions])
    return Transfer(
        known=known,
        unknown=unknown,
        drop=_difference(known, unknown),
        harmonic=_harmonic(known, unknown),
        directions=len(directions),
    )


def harmonic_mean(known: float, unknown: float) -> float:
    """``HM = 2 K U / (K + U)``, 0 where both are 0."""
    return 2 * known * unknown / (known + unknown) if known + unknown > 0 else 0.0


def as_text(rows: Sequence[tuple[str, Transfer]]) -> str:
    """Named results as a table for a terminal, K beside every U."""
    head = ("", "known", "unknown", "D_abs", "HM")
    cells = [
        (name, *(_cell(one) for one in (found.known, found.unknown, found.drop, found.harmonic)))
        for name, found in rows
    ]
    widths = [max(len(line[place]) for line in (head, *cells)) for place in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *cells)
    )


def _cell(one: Interval) -> str:
    return f"{one.estimate:.1%} [{one.low:.1%}, {one.high:.1%}]"


def _rate(tests: Sequence[bool], contexts: Sequence[Hashable], confidence: float) -> Interval:
    if len({*contexts}) > 1:
        return clustered_wilson(tests, contexts, confidence)
    return wilson(sum(tests), len(tests), confidence)


def _mean(rates: Sequence[Interval]) -> Interval:
    if len(rates) == 1:
        return rates[0]
    count = len(rates)
    estimate = sum(one.estimate for one in rates) / count
    below = math.hypot(*(one.estimate - one.low for one in rates)) / count
    above = math.hypot(*(one.high - one.estimate for one in rates)) / count
    return _interval(estimate, estimate - below, estimate + above, rates[0])


def _difference(first: Interval, second: Interval) -> Interval:
    estimate = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    return _interval(estimate, estimate - below, estimate + above, first)


def _harmonic(known: Interval, unknown: Interval) -> Interval:
    estimate = harmonic_mean(known.estimate, unknown.estimate)
    if min(known.estimate, unknown.estimate) <= 0:
        # HM rises with both; a reciprocal has no ends here, so each rate's own upper end is taken.
        return _interval(estimate, 0.0, harmonic_mean(known.high, unknown.high), known)
    mean = (1 / known.estimate + 1 / unknown.estimate) / 2
    above = math.hypot(*(_inverse(one.low) - 1 / one.estimate for one in (known, unknown))) / 2
    below = math.hypot(*(1 / one.estimate - 1 / one.high for one in (known, unknown))) / 2
    low = 0.0 if math.isinf(above) else 1 / (mean + above)
    return _interval(estimate, low, 1 / (mean - below), known)


def _inverse(value: float) -> float:
    return math.inf if value <= 0 else 1 / value


def _interval(estimate: float, low: float, high: float, like: Interval) -> Interval:
    return Interval(
        estimate=estimate, low=low, high=high, confidence=like.confidence, method="mover"
    )
