"""How often each interval covers the truth: a table, 10,000 simulations per truth by default.

python bench/interval_coverage.py
python bench/interval_coverage.py --simulations 2000 --out coverage.json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from enactive.evaluation.coverage import coverage_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    print("| method | design | truths | mean coverage | least | promise | kept |")
    print("|---|---|---:|---:|---:|---|---|")
    rows = []
    for row in coverage_table(arguments.simulations, arguments.seed, arguments.confidence):
        rows.append(asdict(row))
        kept = "yes" if row.kept(arguments.confidence) else "no"
        print(
            f"| {row.method} | {row.design} | {row.truths} | {row.mean:.2%} | {row.least:.2%} | "
            f"{row.promise} | {kept} |",
            flush=True,
        )
    if arguments.out is not None:
        record = {**vars(arguments), "rows": rows}
        del record["out"]
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
