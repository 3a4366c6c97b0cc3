"""Tables of measured results in the documentation, written from the files that hold the results.

A table stands between two comments of a page, ``<!-- table: NAME -->`` and ``<!-- end -->``.

    python scripts/docs_tables.py           # rewrite what has changed
    python scripts/docs_tables.py --check   # fail if anything would change

``heads``: success and its intervals from the claim discrete-diffusion-vla, passes, milliseconds and
memory of the same heads from ``bench/heads.py``. ``bake-off``: the claim action-tokenization.
Intervals are Student's t over seeds, 95 %. The tables of worlds are in ``world_tables.py``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import agent_tables
import world_tables

from enactive.evaluation.statistics import student_t
from enactive.systems import bakeoff
from enactive.systems.equal_heads import SETTINGS, Setting

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
ROUNDS = ("T=1", "T=2", "T=4", "T=8", "T=12")
DECODERS = {
    ("autoregression", ""): "autoregressive",
    **{("discrete diffusion", name): f"discrete_diffusion, {name}" for name in ROUNDS},
    ("flow matching", ""): "flow_matching",
}
"""Kind of head and decoder in the claim -> name in the benchmark."""

Units = Sequence[Mapping[str, Any]]


def heads() -> str:
    """Heads of equal size: one table per setting."""
    units = result("discrete-diffusion-vla")
    bench = json.loads((ROOT / "bench/results/heads.json").read_text())["results"]
    return "\n\n".join(equal_heads(setting, units, bench) for setting in SETTINGS)


def equal_heads(setting: Setting, units: Units, bench: Units) -> str:
    """The heads of one setting."""
    scores = list(dict.fromkeys((setting.score, "success")))
    titles = [setting.name, *(score.replace("_", " ") for score in scores)]
    titles += ["passes", "ms (median, p95)", "peak memory, KiB", "parameters"]
    timed = {
        row["head"]: row
        for row in bench
        if row["size"] == "claim" and row["ids"] == setting.horizon * setting.entries
    }
    rows: list[list[str]] = []
    for (kind, decoder), name in DECODERS.items():
        suffix = f", {decoder}" if decoder else ""
        arm, row = f"{setting.name}, {kind}", timed[name]
        found = [interval(outcomes(units, arm, f"{score}{suffix}")) for score in scores]
        times = row["milliseconds"]
        rows.append(
            [
                kind + suffix, *found, f"{row['passes']}",
                f"{times['median']:.2f}, {times['p95']:.2f}",
                f"{row['peak_kilobytes']:.0f}", f"{row['parameters']}",
            ]
        )  # fmt: skip
    return markdown(titles, rows)


def bake_off() -> str:
    """Every arm that has a policy, best first by the mean of both scores."""
    units = result("action-tokenization")
    titles = ["head + tokenizer"]
    for setting in bakeoff.SETTINGS:
        score = "success" if setting.outcome == "success" else "best reward"
        titles += [f"{setting.name}: {score}", "passes", "bits", "held-out MSE"]
    scored: list[tuple[float, list[str]]] = []
    for arm in bakeoff.ARMS:
        row, total = [arm], 0.0
        for setting in bakeoff.SETTINGS:
            values = outcomes(units, arm, setting.name)
            total += sum(values) / len(values)
            row.append(interval(values))
            row.append(f"{mean(costs(units, arm, f'{setting.name}/head_passes')):.3g}")
            for name, digits in (("bits", ".0f"), ("mse", ".2g")):
                known = outcomes(units, arm, f"{setting.name}/{name}")
                row.append(f"{mean(known):{digits}}" if known else "–")
        scored.append((total, row))
    scored.sort(key=lambda pair: -pair[0])
    return markdown(titles, [row for _, row in scored])


def _expert_of(world: str) -> str:
    return markdown(*world_tables.expert_of(world))


TABLES: Mapping[str, Callable[[], str]] = {
    "heads": heads,
    "bake-off": bake_off,
    "agent-overhead": agent_tables.overhead,
    "agent-replays": agent_tables.replays,
    "worlds": lambda: markdown(*world_tables.worlds()),
    "libero-suites": lambda: markdown(*world_tables.libero_suites()),
    "libero-listening": lambda: markdown(*world_tables.libero_listening()),
    "libero-exceptions": lambda: markdown(*world_tables.libero_exceptions()),
    "tabletop-speed": lambda: markdown(*world_tables.tabletop_speed()),
    "probes": lambda: markdown(*world_tables.probes()),
    "tabletop-expert": lambda: markdown(*world_tables.tabletop_expert()),
    **{
        f"expert-{name}": partial(_expert_of, name)
        for name in ("babyai", "crafter", "vizdoom", "so101", "metaworld")
    },
}


def result(system: str) -> Units:
    """The units of a kept claim that succeeded."""
    file = ROOT / "claims" / system / "result.json"
    return [unit for unit in json.loads(file.read_text())["units"] if not unit["error"]]


def outcomes(units: Units, arm: str, name: str) -> list[float]:
    """One outcome of every seed of an arm; empty where the arm has none."""
    found = [unit["measurement"]["outcomes"] for unit in units if unit["arm"] == arm]
    return [one[name] for one in found if name in one]


def costs(units: Units, arm: str, name: str) -> list[float]:
    """One cost of every seed of an arm."""
    return [unit["measurement"]["cost"][name] for unit in units if unit["arm"] == arm]


def mean(values: Sequence[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


def interval(values: Sequence[float]) -> str:
    """Mean over seeds and its interval."""
    found = student_t(values)
    return f"{found.estimate:.2f} ({found.low:.2f} to {found.high:.2f})"


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(
        [
            f"| {' | '.join(titles)} |",
            "|---" * len(titles) + "|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


def main() -> int:
    """Rewrite or check every page of ``docs/`` that has a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    check = parser.parse_args().check
    stale: list[str] = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        made = PLACE.sub(lambda m: f"{m[1]}\n{TABLES[m['name']]()}\n\n{m[3]}", text)
        if made == text:
            continue
        stale.append(page.name)
        if not check:
            page.write_text(made, encoding="utf-8")
    if stale:
        said = "stale, run scripts/docs_tables.py" if check else "rewritten"
        print(f"{', '.join(stale)}: {said}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
