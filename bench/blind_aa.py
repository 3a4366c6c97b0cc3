"""How often a blind evaluation finds a difference between a policy and itself, in real worlds.

    python bench/blind_aa.py tabletop [--repetitions 500]
    python bench/blind_aa.py groups [--repetitions 200]
    python bench/blind_aa.py pusht [--repetitions 60]
    python bench/blind_aa.py --table

Every repetition is a whole evaluation: aliases, schedule, episodes, log, and its verification. The
policy is the world's expert with noise, so that it succeeds about every other time. Repetitions
that are in the results already are not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from enactive.evaluation.blind import LOG, OUTCOME, run_blind
from enactive.evaluation.blind_log import verify_blind
from enactive.evaluation.hash_chain import parse
from enactive.evaluation.plan import Rules, evaluation_plan
from enactive.evaluation.statistics import clopper_pearson
from enactive.policies.expert import ExpertPolicy
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import PushT
from enactive.worlds.tabletop.world import Tabletop

RESULTS = Path(__file__).resolve().parent / "results" / "blind_aa.json"
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One world, policy and size of evaluation."""

    world: Any
    task: str
    noise: float
    steps: int
    aliases: int
    starts: int
    repetitions: int


TABLE = Tabletop.Config(cameras=(), states=("proprio",))
SETTINGS = {
    "tabletop": Setting(
        world=TABLE, task="touch-red-cube", noise=0.2, steps=18, aliases=2, starts=24,
        repetitions=500,
    ),
    "groups": Setting(
        world=TABLE, task="touch-red-cube", noise=0.2, steps=18, aliases=4, starts=12,
        repetitions=200,
    ),
    "pusht": Setting(
        world=PushT.Config(cameras=(), start=0.2), task="push-t", noise=0.02, steps=60, aliases=2,
        starts=20, repetitions=60,
    ),
}  # fmt: skip


def repetition(pool: WorldPool, setting: Setting, number: int, directory: Path) -> dict[str, Any]:
    """One evaluation: outcomes by alias, and the p-values of its comparisons."""
    policy = ExpertPolicy.Config(noise=setting.noise).build(pool.spec)
    policies = {f"the same {n}": policy for n in range(setting.aliases)}
    plan = evaluation_plan(
        pool.spec, [setting.task], setting.starts, wording="canonical",
        first_seed=10_000_000 + number * setting.starts,
    )  # fmt: skip
    salt = hashlib.sha256(f"A/A {number}".encode()).hexdigest()
    rules = Rules(max_steps=setting.steps, success_hold=0)
    run_blind(directory, pool, policies, plan, rules=rules, salt=salt)
    result = verify_blind(directory)
    if result.problems:
        raise RuntimeError(f"repetition {number}: {result.problems}")
    outcomes: dict[str, list[int]] = {}
    for entry in parse((directory / LOG).read_text(encoding="utf-8")):
        if entry.kind == OUTCOME:
            outcomes.setdefault(entry.data["alias"], []).append(int(entry.data["success"]))
    return {
        "outcomes": outcomes,
        "p": [pair.p_value for pair in result.pairs],
        "adjusted": [pair.p_adjusted for pair in result.pairs],
    }


def attainable(discordant: int, level: float = LEVEL) -> float:
    """How often the exact test of so many discordant pairs is below ``level``, at most ``level``:
    its p-values are few."""
    fewer = np.arange(discordant + 1)
    p = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(fewer, discordant - fewer), discordant, 0.5))
    return float(stats.binom.pmf(fewer, discordant, 0.5)[p <= level].sum())


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the repetitions of a setting found."""
    false = sum(min(row["adjusted"]) <= LEVEL for row in rows)
    tables = [np.array([row["outcomes"][a] for a in sorted(row["outcomes"])]) for row in rows]
    interval = clopper_pearson(false, len(rows))
    found = {
        "evaluations": len(rows),
        "episodes": int(sum(table.size for table in tables)),
        "success": float(np.mean([table.mean() for table in tables])),
        "false finds": false,
        "rate": interval.estimate,
        "interval": [interval.low, interval.high],
    }
    if len(tables[0]) == 2:
        different = [int((table[0] != table[1]).sum()) for table in tables]
        found["discordant pairs"] = float(np.mean(different))
        found["attainable"] = float(np.mean([attainable(count) for count in different]))
    else:
        comparisons = [p <= LEVEL for row in rows for p in row["p"]]
        found["uncorrected, per comparison"] = float(np.mean(comparisons))
        found["uncorrected, any"] = float(np.mean([min(row["p"]) <= LEVEL for row in rows]))
    return found


def load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


def save(name: str, setting: Setting, rows: list[dict[str, Any]]) -> None:
    record = load()
    record[name] = {
        "task": setting.task, "noise": setting.noise, "steps": setting.steps,
        "aliases": setting.aliases, "starts": setting.starts, "level": LEVEL,
        "numpy": importlib.metadata.version("numpy"),
        "summary": summary(rows),
        "rows": rows,
    }  # fmt: skip
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(compact(record) + "\n", encoding="utf-8")
    temporary.replace(RESULTS)


def compact(record: dict[str, Any]) -> str:
    """JSON with one line a repetition."""
    text = json.dumps({k: {**v, "rows": []} for k, v in record.items()}, indent=1)
    for name, one in record.items():
        rows = ",\n".join("   " + json.dumps(row, separators=(",", ":")) for row in one["rows"])
        place = text.index('"rows": []', text.index(f'"{name}": {{'))
        text = text[:place] + f'"rows": [\n{rows}\n  ]' + text[place + len('"rows": []') :]
    return text


def table() -> None:
    """The rows of the documentation."""
    print("| setting | aliases | starts | evaluations | success | false finds | 95 % interval |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for name, one in load().items():
        found = one["summary"]
        low, high = found["interval"]
        print(
            f"| {name} | {one['aliases']} | {one['starts']} | {found['evaluations']} | "
            f"{found['success']:.0%} | {found['false finds']} ({found['rate']:.1%}) | "
            f"{low:.1%} to {high:.1%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setting", nargs="?", choices=[*SETTINGS])
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.setting is not None:
        setting = SETTINGS[arguments.setting]
        wanted = arguments.repetitions or setting.repetitions
        rows = load().get(arguments.setting, {}).get("rows", [])
        with WorldPool(setting.world, 0) as pool:
            for number in range(len(rows), wanted):
                with tempfile.TemporaryDirectory() as directory:
                    rows.append(repetition(pool, setting, number, Path(directory)))
                if (number + 1) % 10 == 0 or number + 1 == wanted:
                    save(arguments.setting, setting, rows)
                    print(number + 1, json.dumps(summary(rows)), flush=True)
    if arguments.table or arguments.setting is None:
        table()


if __name__ == "__main__":
    main()
