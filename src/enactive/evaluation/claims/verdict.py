"""From measurements to a verdict: intervals over seeds, thresholds, and the claim's rule.

The seed is the sampling unit. Episodes of one trained policy share its luck; an interval that
counts them as independent is too narrow (``enactive claim self-test`` shows by how much).

A claim is supported only if every primary hypothesis is. By the intersection-union principle
(Berger 1982) no correction for their number is needed: if one of them is false in truth, the chance
that all are found supported is no greater than the chance that this one is, 2.5 %.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from enactive.evaluation.claims.claim import Claim, Hypothesis, Measurement
from enactive.evaluation.statistics import Interval, student_t

CONFIDENCE = 0.95
"""Of all intervals, two-sided; so each hypothesis errs at 2.5 % in its direction."""

Measurements = Mapping[tuple[str, int], Measurement]
"""By (arm, seed)."""


class Ruling(enum.StrEnum):
    """What the evidence says."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True, slots=True)
class HypothesisVerdict:
    """One hypothesis and the evidence for it."""

    hypothesis: Hypothesis
    ruling: Ruling
    reason: str
    """In words, with the numbers."""
    values: Mapping[int, float] = field(default_factory=dict[int, float])
    """Seed -> value."""
    interval: Interval | None = None
    """Of the mean over seeds; None for exact hypotheses and where there are too few seeds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimVerdict:
    """The claim's verdict."""

    ruling: Ruling
    reason: str
    hypotheses: tuple[HypothesisVerdict, ...]
    missing: tuple[tuple[str, int], ...] = ()
    """Units (arm, seed) that were declared and have no measurement."""


def judge(claim: Claim, measurements: Measurements) -> ClaimVerdict:
    """The verdict on ``claim``.

    While units are missing the claim is inconclusive, whatever the others say: that a unit failed
    may well have to do with its arm.
    """
    missing = tuple(
        (arm, seed) for seed in claim.seeds for arm in claim.arms if (arm, seed) not in measurements
    )
    found = tuple(_judge_one(claim, one, measurements) for one in claim.hypotheses)
    ruling = combine([verdict.ruling for verdict in found if verdict.hypothesis.primary])
    if missing:
        total = len(claim.seeds) * len(claim.arms)
        return ClaimVerdict(
            ruling=Ruling.INCONCLUSIVE,
            reason=f"{len(missing)} of {total} units have no measurement",
            hypotheses=found,
            missing=missing,
        )
    return ClaimVerdict(ruling=ruling, reason=_reason(ruling, found), hypotheses=found)


def combine(rulings: Sequence[Ruling]) -> Ruling:
    """Supported iff all are; not supported if any is not supported; inconclusive otherwise."""
    if rulings and all(ruling is Ruling.SUPPORTED for ruling in rulings):
        return Ruling.SUPPORTED
    if any(ruling is Ruling.NOT_SUPPORTED for ruling in rulings):
        return Ruling.NOT_SUPPORTED
    return Ruling.INCONCLUSIVE


def judge_values(hypothesis: Hypothesis, values: Mapping[int, float]) -> HypothesisVerdict:
    """The verdict on one hypothesis from its value in every seed."""

    def verdict(ruling: Ruling, reason: str, interval: Interval | None = None) -> HypothesisVerdict:
        return HypothesisVerdict(
            hypothesis=hypothesis, ruling=ruling, reason=reason, values=values, interval=interval
        )

    broken = [seed for seed, value in values.items() if not math.isfinite(value)]
    if broken:
        listed = ", ".join(f"{values[seed]} in seed {seed}" for seed in broken)
        return verdict(Ruling.INCONCLUSIVE, f"the value is not finite: {listed}")
    if not values:
        return verdict(Ruling.INCONCLUSIVE, "no seed has all its arms")
    if hypothesis.exact:
        return verdict(*_exact(hypothesis, values))
    if len(values) == 1:
        return verdict(
            Ruling.INCONCLUSIVE, "one seed says nothing about how much seeds differ from each other"
        )
    interval = student_t(list(values.values()), CONFIDENCE, floor=hypothesis.resolution)
    said = (
        f"mean {shown(interval.estimate)}, 95 % interval [{shown(interval.low)}, "
        f"{shown(interval.high)}] over {len(values)} seeds, threshold {shown(hypothesis.threshold)}"
    )
    if interval.high == interval.low:
        said += "; every seed gave the same value"
        if len(values) < 3:
            return verdict(
                Ruling.INCONCLUSIVE, f"{said}, and two that agree may do so by chance", interval
            )
    above, below = interval.low > hypothesis.threshold, interval.high < hypothesis.threshold
    good, bad = (above, below) if hypothesis.direction == "greater" else (below, above)
    if good:
        return verdict(Ruling.SUPPORTED, said, interval)
    if bad:
        return verdict(Ruling.NOT_SUPPORTED, said, interval)
    return verdict(Ruling.INCONCLUSIVE, f"{said}: it lies inside", interval)


def _exact(hypothesis: Hypothesis, values: Mapping[int, float]) -> tuple[Ruling, str]:
    sign = 1 if hypothesis.direction == "greater" else -1
    wrong = {
        seed: value for seed, value in values.items() if sign * (value - hypothesis.threshold) < 0
    }
    bound = f"{'at least' if sign > 0 else 'at most'} {shown(hypothesis.threshold)}"
    if wrong:
        listed = ", ".join(f"{shown(value)} in seed {seed}" for seed, value in wrong.items())
        return Ruling.NOT_SUPPORTED, f"exact: should be {bound}, is {listed}"
    low, high = min(values.values()), max(values.values())
    extent = shown(low) if low == high else f"{shown(low)} to {shown(high)}"
    return Ruling.SUPPORTED, f"exact: {extent} in {len(values)} seeds, {bound}"


def _judge_one(claim: Claim, hypothesis: Hypothesis, found: Measurements) -> HypothesisVerdict:
    values: dict[int, float] = {}
    for seed in claim.seeds:
        arms = {arm: found[arm, seed] for arm in claim.arms if (arm, seed) in found}
        if len(arms) < len(claim.arms):
            continue
        try:
            values[seed] = float(hypothesis.value(arms))
        except Exception as error:  # a mistake in one line must not cost the hours of the run
            return HypothesisVerdict(
                hypothesis=hypothesis,
                ruling=Ruling.INCONCLUSIVE,
                reason=f"its value failed in seed {seed}: {type(error).__name__}: {error}",
            )
    return judge_values(hypothesis, values)


def _reason(ruling: Ruling, found: Sequence[HypothesisVerdict]) -> str:
    primary = [one for one in found if one.hypothesis.primary]
    if ruling is Ruling.SUPPORTED:
        count = len(primary)
        which = {1: "the primary hypothesis is", 2: "both primary hypotheses are"}
        return f"{which.get(count, f'all {count} primary hypotheses are')} supported"
    named = [one.hypothesis.name for one in primary if one.ruling is ruling]
    return f"{ruling}: {', '.join(named)}"


def shown(value: float) -> str:
    """A number with four significant digits, large ones in full."""
    if math.isfinite(value) and abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def means(
    claim: Claim, measurements: Measurements, group: str, name: str
) -> dict[str, tuple[dict[int, float], Interval | None]]:
    """Per arm: the value of every seed, and the interval of their mean (None for one seed).

    Args:
        group: ``"outcomes"`` or ``"cost"``.
        name: which one; arms without it are left out.
    """
    table: dict[str, tuple[dict[int, float], Interval | None]] = {}
    for arm in claim.arms:
        values: dict[int, float] = {}
        for seed in claim.seeds:
            if (arm, seed) in measurements:
                row: Mapping[str, float] = getattr(measurements[arm, seed], group)
                if name in row:
                    values[seed] = row[name]
        if values:
            finite = len(values) > 1 and all(math.isfinite(value) for value in values.values())
            interval = student_t(list(values.values()), CONFIDENCE) if finite else None
            table[arm] = (values, interval)
    return table


def names_of(measurements: Measurements, group: str) -> list[str]:
    """All names in ``group`` of any measurement, in order of first appearance."""
    names: dict[str, None] = {}
    for measurement in measurements.values():
        row: Mapping[str, object] = getattr(measurement, group)
        names |= dict.fromkeys(row)
    return list(names)


def binary(measurements: Measurements, name: str) -> bool:
    """Whether the episodes' values of ``name`` are all 0 or 1."""
    rows = [m.episodes[name] for m in measurements.values() if name in m.episodes]
    return bool(rows) and all(value in (0.0, 1.0) for row in rows for value in row)
