"""A claim that was run: everything a page shows, and the same as JSON."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enactive.episodes.provenance import Provenance, provenance
from enactive.evaluation.claims.cautions import cautions
from enactive.evaluation.claims.claim import Claim
from enactive.evaluation.claims.runner import Plan, measurements
from enactive.evaluation.claims.units import Record, measurement_to_json
from enactive.evaluation.claims.verdict import (
    ClaimVerdict,
    Measurements,
    binary,
    judge,
    means,
    names_of,
)
from enactive.evaluation.results import Rate, rate
from enactive.evaluation.statistics import Interval

FORMAT = 1
"""Version of ``result.json``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One run of a claim."""

    claim: Claim
    reference: str
    """The name under which the claim was asked for."""
    quick: bool
    records: tuple[Record, ...]
    verdict: ClaimVerdict
    cautions: tuple[str, ...]
    provenance: Provenance
    root: Path
    """Where everything that was made lies."""
    date: str
    """Of the last unit, UTC, ``YYYY-MM-DD``."""

    @property
    def measurements(self) -> Measurements:
        """By (arm, seed)."""
        return measurements(self.records)

    @property
    def failures(self) -> tuple[Record, ...]:
        """Units that failed."""
        return tuple(record for record in self.records if record.measurement is None)

    @property
    def minutes(self) -> float:
        """One core's time for all units together."""
        return sum(record.seconds for record in self.records) / 60

    @property
    def headline(self) -> str:
        """The verdict, which a quick run does not have."""
        return "quick run, no verdict" if self.quick else str(self.verdict.ruling)

    @property
    def command(self) -> str:
        """What runs it again."""
        return f"enactive claim {self.reference}{' --quick' if self.quick else ''}"


def result(plan: Plan, records: Sequence[Record], declared: Claim | None = None) -> Result:
    """Judge what was measured.

    Args:
        declared: the claim as its file declares it, where ``plan.claim`` has other seeds.
    """
    claim = plan.claim
    found = measurements(records)
    verdict = judge(claim, found)
    notes = cautions(claim, found)
    if declared is not None and declared.seeds != claim.seeds:
        notes.append(
            f"Run with the seeds {_listed(claim.seeds)}; declared are {_listed(declared.seeds)}."
        )
    if plan.quick:
        notes.insert(0, "This is the quick variant: it shows that everything runs, nothing else.")
    notes += _mixed(records, plan)
    last = max((record.started for record in records), default="")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Result(
        claim=claim,
        reference=plan.reference,
        quick=plan.quick,
        records=tuple(records),
        verdict=verdict,
        cautions=tuple(notes),
        provenance=provenance(seeds={f"seed {seed}": seed for seed in claim.seeds}),
        root=plan.root,
        date=last[:10] or today,
    )


def _mixed(records: Sequence[Record], plan: Plan) -> list[str]:
    """Units that were not measured by the same code."""
    found: list[str] = []
    commits = {record.commit for record in records if record.commit}
    if len(commits) > 1:
        found.append(f"Units were measured at {len(commits)} different commits; see the units.")
    if any(record.dirty for record in records):
        found.append("Some units were measured with changes that are not in any commit.")
    kept = [unit for unit in plan.stale if unit in plan.done]
    if kept:
        found.append(
            f"{len(kept)} units were measured before the claim's file changed, and kept on request."
        )
    machines = {record.machine for record in records if record.machine}
    if len(machines) > 1:
        found.append(f"Units ran on {len(machines)} different machines; times are not comparable.")
    return found


def pooled_rates(claim: Claim, found: Measurements, name: str) -> dict[str, Rate]:
    """Successes per arm over the episodes of all seeds, with Wilson's interval.

    The interval says how these very policies would do on other episodes. It says nothing about
    other seeds of training.
    """
    rates: dict[str, Rate] = {}
    for arm in claim.arms:
        row = [
            value == 1.0
            for seed in claim.seeds
            if (arm, seed) in found
            for value in found[arm, seed].episodes.get(name, ())
        ]
        if row:
            rates[arm] = rate(row)
    return rates


def as_json(result: Result) -> dict[str, Any]:
    """Every number of the page as JSON values."""
    claim, found = result.claim, result.measurements
    return {
        "format": FORMAT,
        "system": claim.system,
        "reference": result.reference,
        "quick": result.quick,
        "verdict": str(result.verdict.ruling),
        "reason": result.verdict.reason,
        "date": result.date,
        "minutes": round(result.minutes, 2),
        "declaration": claim.declaration(),
        "declaration_hash": claim.hash,
        "hypotheses": [
            {
                "name": one.hypothesis.name,
                "primary": one.hypothesis.primary,
                "ruling": str(one.ruling),
                "reason": one.reason,
                "values": {str(seed): _plain(value) for seed, value in one.values.items()},
                "interval": _interval(one.interval),
            }
            for one in result.verdict.hypotheses
        ],
        "arms": {
            group: {name: _arms(claim, found, group, name) for name in names_of(found, group)}
            for group in ("outcomes", "cost")
        },
        "pooled": {
            name: {
                arm: {
                    "successes": one.successes,
                    "episodes": one.episodes,
                    "interval": _interval(one.interval),
                }
                for arm, one in pooled_rates(claim, found, name).items()
            }
            for name in names_of(found, "episodes")
            if binary(found, name)
        },
        "cautions": list(result.cautions),
        "units": [_unit(record) for record in result.records],
        "provenance": result.provenance.to_dict(),
        "command": result.command,
    }


def to_text(values: Mapping[str, Any]) -> str:
    """JSON with one value a line, but lists of numbers on one line."""
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r'\[[^\[\]{}"]*\]', lambda found: " ".join(found.group().split()), text) + "\n"


def _unit(record: Record) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: getattr(record, name)
        for name in (
            "arm", "seed", "attempt", "seconds", "peak_mb", "started", "commit", "dirty",
            "version", "machine", "error",
        )
    }  # fmt: skip
    measured = record.measurement
    values["measurement"] = None if measured is None else measurement_to_json(measured)
    return values


def _arms(claim: Claim, found: Measurements, group: str, name: str) -> dict[str, Any]:
    return {
        arm: {
            "mean": _plain(sum(values.values()) / len(values)),
            "interval": _interval(interval),
            "seeds": {str(seed): _plain(value) for seed, value in values.items()},
        }
        for arm, (values, interval) in means(claim, found, group, name).items()
    }


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {"low": interval.low, "high": interval.high, "method": interval.method}


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
