"""What a policy and the expert keep under probes, for the table and picture of the page on probes.

    python bench/probes.py runs/tabletop/probes --expert runs/tabletop/expert

Both are directories of ``enactive evaluate --probe``, of the same tasks, seeds and probes.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enactive.evaluation.claims.charts import standalone
from enactive.evaluation.files import write_atomically
from enactive.evaluation.report import svg
from enactive.evaluation.results import Evaluation
from enactive.evaluation.retention import SUCCESS, Retention, as_text, retention

ROOT = Path(__file__).resolve().parent.parent
MEASURES = {"approached_target": "means it", SUCCESS: "does it"}
LIMIT = 1.5
"""Right end of the picture."""


def played(evaluation: Evaluation) -> set[tuple[str, int, str]]:
    """Task, seed and group of every episode."""
    return {(one.task, one.seed, one.group) for one in evaluation.episodes}


def rows_of(evaluation: Evaluation) -> list[Retention]:
    """Both measures under every probe."""
    axes = evaluation.provenance.get("perturbations")
    return retention(
        evaluation, axes=axes if isinstance(axes, dict) else None, measures=tuple(MEASURES)
    )


def plain(row: Retention) -> dict[str, Any]:
    """JSON values; what is infinite or no number is null."""
    numbers = (row.ratio.estimate, row.ratio.low, row.ratio.high)
    estimate, low, high = (value if math.isfinite(value) else None for value in numbers)
    return {
        "measure": row.measure,
        "axis": row.axis,
        "probe": row.probe,
        "before": [row.before.successes, row.before.episodes],
        "after": [row.after.successes, row.after.episodes],
        "retention": estimate,
        "interval": [low, high],
    }


def picture(rows: Sequence[Retention]) -> str:
    """Both measures of each probe below one another, as an SVG file."""
    probes = [row for row in rows if row.probe]
    drawn = [
        svg.Row(
            label=f"{row.probe}: {MEASURES[row.measure]}",
            value=row.ratio.estimate if math.isfinite(row.ratio.estimate) else 0.0,
            low=row.ratio.low,
            high=min(row.ratio.high, LIMIT),
            note=f"{row.before.interval.estimate:.0%} → {row.after.interval.estimate:.0%}",
        )
        for name in dict.fromkeys(row.probe for row in probes)
        for row in probes
        if row.probe == name
    ]
    return standalone(svg.intervals(drawn, 260, limit=LIMIT))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("--expert", type=Path, required=True)
    arguments = parser.parse_args()
    policy, expert = (
        Evaluation.load(directory / "evaluation.json")
        for directory in (arguments.policy, arguments.expert)
    )
    if played(policy) != played(expert):
        raise SystemExit("policy and expert did not play the same episodes: give both the same")
    rows = {"policy": rows_of(policy), "expert": rows_of(expert)}
    print("\n\n".join(as_text(found) for found in rows.values()))
    record = {
        "episodes": len(policy.episodes),
        **{who: [plain(row) for row in found] for who, found in rows.items()},
    }
    results = ROOT / "bench" / "results" / "probes.json"
    write_atomically(results, json.dumps(record, indent=1) + "\n")
    write_atomically(ROOT / "docs" / "assets" / "probes.svg", picture(rows["policy"]))


if __name__ == "__main__":
    main()
