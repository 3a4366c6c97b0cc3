"""The section on probes: what remains of success, and how far episodes get, when scenes change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from enactive.evaluation.report import svg
from enactive.evaluation.report.contents import Contents
from enactive.evaluation.report.html import fraction, section, table
from enactive.evaluation.results import Evaluation
from enactive.evaluation.retention import (
    SUCCESS,
    Retention,
    has_probes,
    measures_of,
    number,
    retention,
    span,
    stage_rates,
)

LIMIT = 1.25
"""Right end of the chart of ratios; a policy may do better under a probe."""


def probes(contents: Contents) -> str:
    """Retention by axis with the expert's rows, and rates of every stage by condition."""
    evaluation = contents.evaluation
    if not has_probes(evaluation):
        return ""
    rows = retention_rows(contents)
    success = [row for row in rows if row.measure == SUCCESS]
    chart = svg.intervals([_drawn(row, evaluation.policy) for row in success], 250, limit=LIMIT)
    expert = (
        "The expert sees the simulator's truth: where it loses as much, the probe is harder and "
        "says nothing about the policy."
        if contents.expert is not None
        else "No expert was run on these probes, so a probe that is merely harder cannot be told "
        "from one that breaks the policy: run the expert on them and name its evaluation with "
        "<code>--expert</code>."
    )
    return section(
        "probes",
        "What changes break",
        '<p class="soft">Success under a probe over success of the same starts without it, with '
        f"95 % intervals for these tasks again. {expert}</p>{chart}"
        "<details><summary>as a table, with every stage</summary>"
        + table(
            [
                "policy",
                "measure",
                "axis",
                "probe",
                "before",
                "after",
                "retention",
                "these tasks",
                "tasks like these",
            ],
            [_cells(row) for row in rows],
            numbers="    nnnnn",
        )
        + "</details>"
        + _stages(evaluation),
    )


def retention_rows(contents: Contents) -> list[Retention]:
    """All rows: the policy's, success and stages, then the expert's."""
    found: list[Retention] = []
    for evaluation in (contents.evaluation, contents.expert):
        if evaluation is not None and has_probes(evaluation):
            axes = evaluation.provenance.get("perturbations")
            found += retention(
                evaluation,
                axes=axes if isinstance(axes, dict) else None,  # type: ignore[arg-type]
                measures=measures_of(evaluation)[::-1],
            )
    return found


def retention_numbers(contents: Contents) -> list[dict[str, Any]]:
    """The rows as JSON values; what is infinite or no number is null."""
    if not has_probes(contents.evaluation):
        return []
    return [
        {
            "policy": row.policy,
            "measure": row.measure,
            "axis": row.axis,
            "probe": row.probe,
            "before": [row.before.successes, row.before.episodes],
            "after": [row.after.successes, row.after.episodes],
            "retention": _finite(row.ratio.estimate),
            "interval": [_finite(row.ratio.low), _finite(row.ratio.high)],
            "clustered": None
            if row.clustered is None
            else [_finite(row.clustered.low), _finite(row.clustered.high)],
        }
        for row in retention_rows(contents)
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _drawn(row: Retention, policy: str) -> svg.Row:
    label = row.axis if not row.probe or row.probe == row.axis else f"{row.axis}: {row.probe}"
    label += "" if row.policy == policy else f" ({row.policy})"
    known = math.isfinite(row.ratio.estimate)
    return svg.Row(
        label=label,
        value=row.ratio.estimate if known else 0.0,
        low=row.ratio.low,
        high=min(row.ratio.high, LIMIT),
        note=f"{row.before.interval.estimate:.0%} → {row.after.interval.estimate:.0%}",
        strong=not row.probe,
    )


def _cells(row: Retention) -> list[str]:
    return [
        escape(row.policy),
        escape(row.measure),
        escape(row.axis),
        escape(row.probe or "(all)"),
        fraction(row.before),
        fraction(row.after),
        number(row.ratio.estimate),
        span(row.ratio),
        "" if row.clustered is None else span(row.clustered),
    ]


def _stages(evaluation: Evaluation) -> str:
    """Rates of every event and of success, one row per condition."""
    found = stage_rates(evaluation)
    measures: Sequence[str] = measures_of(evaluation)
    if len(measures) < 2:
        return ""
    cells = [
        [
            escape("unperturbed" if condition == "main" else condition),
            *(
                f"{rates[m].interval.estimate:.0%} <span class=note>[{rates[m].interval.low:.0%}, "
                f"{rates[m].interval.high:.0%}]</span>"
                for m in measures
            ),
        ]
        for condition, rates in found.items()
    ]
    return (
        '<p class="soft">How far episodes get under each condition: share in which the event took '
        "place, with Wilson's 95 % interval.</p>"
        + table(["condition", *measures], cells, numbers=" " + "n" * len(measures))
    )
