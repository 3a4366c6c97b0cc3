"""The table of heads of equal size: what bench/heads.py timed beside what the claim measured.

Prints Markdown. Success and its intervals come from the claim discrete-diffusion-vla (Student's t
over seeds); passes, milliseconds and memory from the benchmark, at the claim's size.

    python bench/heads_table.py claims/discrete-diffusion-vla/result.json bench/results/heads.json
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from enactive.systems.equal_heads import SETTINGS, Setting

ROUNDS = ("T=1", "T=2", "T=4", "T=8", "T=12")
ROWS = {
    ("autoregression", ""): "autoregressive",
    **{("discrete diffusion", name): f"discrete_diffusion, {name}" for name in ROUNDS},
    ("flow matching", ""): "flow_matching",
}
"""Kind of head and decoder in the claim -> name in the benchmark."""


def interval(values: list[float]) -> str:
    """Mean over seeds and its 95 % interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.2f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1))
    half /= math.sqrt(len(values))
    return f"{mean:.2f} ({mean - half:.2f} to {mean + half:.2f})"


def outcomes(units: list[dict[str, Any]], arm: str, name: str) -> list[float]:
    """One outcome of every seed of an arm."""
    found = [unit["measurement"] for unit in units if unit["arm"] == arm and not unit["error"]]
    return [one["outcomes"][name] for one in found if name in one["outcomes"]]


def table(setting: Setting, units: list[dict[str, Any]], bench: list[dict[str, Any]]) -> list[str]:
    """Markdown rows of one setting."""
    scores = dict.fromkeys((setting.score, "success"))
    titles = [setting.name, *(score.replace("_", " ") for score in scores)]
    titles += ["passes", "ms (median, p95)", "peak memory, KiB", "parameters"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    timed = {
        row["head"]: row
        for row in bench
        if row["size"] == "claim" and row["ids"] == setting.horizon * setting.entries
    }
    for (kind, decoder), name in ROWS.items():
        suffix = f", {decoder}" if decoder else ""
        arm = f"{setting.name}, {kind}"
        found = [outcomes(units, arm, f"{score}{suffix}") for score in scores]
        if not all(found) or name not in timed:
            continue
        row = timed[name]
        times = row["milliseconds"]
        lines.append(
            f"| {kind}{suffix} | {' | '.join(map(interval, found))} | {row['passes']} "
            f"| {times['median']:.2f}, {times['p95']:.2f} | {row['peak_kilobytes']:.0f} "
            f"| {row['parameters']} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("claim", type=Path, help="result.json of discrete-diffusion-vla")
    parser.add_argument("bench", type=Path, help="what bench/heads.py wrote")
    arguments = parser.parse_args()
    units = json.loads(arguments.claim.read_text())["units"]
    bench = json.loads(arguments.bench.read_text())["results"]
    for setting in SETTINGS:
        print("\n".join(table(setting, units, bench)), end="\n\n")


if __name__ == "__main__":
    main()
