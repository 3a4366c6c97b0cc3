"""Tables of agents for ``docs_tables.py``: what the runtime costs, and what replays."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "bench" / "results"


def overhead() -> str:
    """Time per action and bytes of the journal, ours and the peers'."""
    found = json.loads((RESULTS / "agent_overhead.json").read_text())
    lines = [
        "| runtime | µs per action, median (lowest to highest run) | p95 | bytes kept per byte of "
        "payload |",
        "|---|---|---|---|",
    ]
    for name, row in found["table"].items():
        low, high = row["median_us_range"]
        kept = row["bytes_per_payload_byte"]
        lines.append(
            f"| {name} | {row['median_us']:.0f} ({low:.0f} to {high:.0f}) | {row['p95_us']:.0f} | "
            f"{f'{kept:.2f}' if kept else 'none kept'} |"
        )
    return "\n".join(lines)


def replays() -> str:
    """Episodes recorded and replayed, by kind of world."""
    found = json.loads((RESULTS / "agent_replay.json").read_text())
    lines = [
        "| world | episodes | tasks | successes | decisions | calls | entries compared | "
        "bit-equal, deciding again | bit-equal, recorded decisions |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found["table"].items():
        lines.append(
            f"| {name} | {row['episodes']} | {row['tasks']} | {row['successes']} | "
            f"{row['decisions']} | {row['calls']} | {row['entries_compared']} | {row['equal']} | "
            f"{row['equal_recorded_decisions']} |"
        )
    return "\n".join(lines)
