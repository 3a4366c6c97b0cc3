"""How often sequential comparisons stop wrongly, and how early they stop rightly.

python bench/sequential_errors.py
python bench/sequential_errors.py --runs 2000 --out errors.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from enactive.evaluation.power import episodes_needed, sequential_plan
from enactive.evaluation.sequential import StoppingRule
from enactive.evaluation.statistics import mcnemar_exact
from enactive.seeding import numpy_generator

PAIRS = 250


def peeking(plus: np.ndarray, minus: np.ndarray) -> float:
    """How often the exact McNemar test is below 0.05 at some pair."""
    size = int(max(plus.max(), minus.max())) + 1
    table = np.ones((size, size))
    for a, b in np.unique(np.stack([plus.ravel(), minus.ravel()]), axis=1).T.tolist():
        table[a, b] = mcnemar_exact(a, b)
    return float((table[plus, minus] <= 0.05).any(axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    runs = arguments.runs
    record: dict[str, Any] = {"runs": runs, "pairs": PAIRS, "equal": [], "different": []}
    grid = np.meshgrid(np.arange(PAIRS + 1), np.arange(PAIRS + 1), indexing="ij")
    table = StoppingRule().stops(*grid, PAIRS)
    print(f"{runs} comparisons of equal policies, {PAIRS} pairs, looked at after every pair:")
    print("| discordant pairs | stopped, e-process at 5 % | McNemar below 0.05 at some look |")
    print("|---:|---:|---:|")
    for discordant in (0.1, 0.4, 1.0):
        draws = numpy_generator(0, "bench", str(discordant)).random((runs, PAIRS))
        plus = np.cumsum(draws < discordant / 2, axis=1)
        minus = np.cumsum(draws > 1 - discordant / 2, axis=1)
        stopped = float((table[plus, minus] > 0).any(axis=1).mean())
        looked = peeking(plus[:1000], minus[:1000])
        print(f"| {discordant:.0%} | {stopped:.2%} | {looked:.1%} |", flush=True)
        record["equal"].append({"discordant": discordant, "stopped": stopped, "peeking": looked})
    print("\n| baseline | difference | fixed sample, power 0.8 | at most | mean pairs | power |")
    print("|---:|---:|---:|---:|---:|---:|")
    for baseline, difference in ((0.5, 0.4), (0.5, 0.2), (0.8, 0.1)):
        fixed = episodes_needed(baseline, difference).episodes
        plan = sequential_plan(baseline, difference, 2 * fixed, runs=runs)
        print(
            f"| {baseline:.0%} | {difference:+.0%} | {fixed} | {plan.most_pairs} | "
            f"{plan.mean_pairs:.0f} | {plan.power:.2f} |",
            flush=True,
        )
        record["different"].append(
            {
                "baseline": baseline, "difference": difference, "fixed": fixed,
                "most": plan.most_pairs, "mean": plan.mean_pairs, "power": plan.power,
            }
        )  # fmt: skip
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
