"""How often LIBERO's scripted expert succeeds, and how fast the world is, task by task.

    python bench/libero_experts.py --suites libero_object libero_spatial --episodes 20

Every episode is one line of a JSON-lines file, written when it ends; a run that was cut off is
started again with the same command and goes on where it stopped. Seeds are 0, 1, ..., so that with
50 official states or fewer no two episodes begin alike. Without pictures: the expert reads the
simulator's truth.

Lines carry the expert's version. A task that was measured in full under an older version is not
measured again unless ``--again`` asks for it; the table says which version each figure is of and
never mixes two. Tasks that the expert cannot do are not run but listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from enactive.evaluation.statistics import wilson
from enactive.worlds.libero import Libero
from enactive.worlds.libero_experts import LiberoExpert, unsupported
from enactive.worlds.libero_tasks import SUITES, find_task, suite_names


def episode(world: Libero, name: str, seed: int) -> dict[str, Any]:
    """One attempt of the expert, as JSON values."""
    expert = LiberoExpert()
    memory = expert.begin(name, seed)
    begun, spent = time.perf_counter(), time.process_time()
    observation = world.reset(world.spec.task(name).task(), seed)
    reset, resetting = time.perf_counter() - begun, time.process_time() - spent
    events: list[tuple[int, str]] = []
    steps = 0
    while True:
        action, memory = expert.act(observation.privileged["libero"], memory)
        step = world.step(action)
        steps += 1
        observation = step.observation
        events.extend((steps, event) for event in step.events)
        if step.terminated or step.truncated:
            break
    return {
        "task": name, "seed": seed, "success": step.success, "steps": steps, "events": events,
        "reset_seconds": reset, "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - spent - resetting, "expert": expert.version,
        "world": dict(world.spec.provenance["packages"]),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suites", nargs="+", default=list(SUITES))
    parser.add_argument("--episodes", type=int, default=20, help="per task, at most 50")
    parser.add_argument("--max-steps", type=int, default=600)
    parser.add_argument("--again", action="store_true", help="also what older versions did")
    parser.add_argument("--tasks", nargs="*", help="numbers in each suite, by default all")
    parser.add_argument("--out", type=Path, default=Path("runs/libero_experts.jsonl"))
    parser.add_argument("--summary", type=Path, help="gets what the table shows, as JSON")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    rows: list[dict[str, Any]] = []
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the line that a cut-off left half written
            continue
        rows.append(row)
    names = [
        name
        for name in suite_names(options.suites)
        if not options.tasks or name.partition("/")[2].partition("-")[0] in options.tasks
    ]
    config = Libero.Config(suites=tuple(options.suites), cameras=(), max_steps=options.max_steps)
    world = config.build()
    try:
        with options.out.open("a") as file:
            if lines and not options.out.read_text().endswith("\n"):
                file.write("\n")
            for name in names:
                if unsupported(find_task(name).definition()):
                    continue
                measured = newest(rows, name)
                older = bool(measured) and measured[0]["expert"] < LiberoExpert.version
                if older and (options.again or len(measured) < options.episodes):
                    measured = []
                for seed in range(options.episodes):
                    if any(row["seed"] == seed for row in measured):
                        continue
                    row = episode(world, name, seed)
                    rows.append(row)
                    file.write(json.dumps(row) + "\n")
                    file.flush()
    finally:
        world.close()
    found = summary(rows, names)
    table(found)
    if options.summary is not None:
        kept = json.loads(options.summary.read_text()) if options.summary.exists() else {}
        options.summary.write_text(json.dumps({**kept, **found}, indent=0) + "\n")


def newest(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The lines of a task that are of the newest version among them, one of each seed."""
    own = [row for row in rows if row["task"] == name]
    version = max((row["expert"] for row in own), default=0)
    return list({row["seed"]: row for row in own if row["expert"] == version}.values())


def summary(rows: list[dict[str, Any]], names: list[str]) -> dict[str, dict[str, Any]]:
    """Task to its counts, or to why it was not run.

    Steps are means over successes; steps_per_second are control steps per second of CPU time.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if reason := unsupported(find_task(name).definition()):
            found[name] = {"unsupported": reason}
            continue
        tried = newest(rows, name)
        if not tried:
            continue
        wins = [row for row in tried if row["success"]]
        timed = [row for row in tried if "cpu_seconds" in row]
        found[name] = {
            "successes": len(wins),
            "episodes": len(tried),
            "steps": round(sum(row["steps"] for row in wins) / len(wins)) if wins else None,
            "expert": tried[0]["expert"],
        }
        if timed:
            rate = sum(row["steps"] for row in timed) / sum(row["cpu_seconds"] for row in timed)
            found[name]["steps_per_second"] = round(rate, 1)
    return found


def table(found: dict[str, dict[str, Any]]) -> None:
    """Print successes with 95 % Wilson intervals, steps and speed of each task."""
    print("| task | success | 95 % | steps | steps/s | expert |\n|---|---|---|---|---|---|")
    for name, row in found.items():
        if "unsupported" in row:
            print(f"| `{name}` | not supported: {row['unsupported']} | | | | |")
            continue
        interval = wilson(row["successes"], row["episodes"])
        print(
            f"| `{name}` | {row['successes']}/{row['episodes']} "
            f"| {interval.low:.0%}-{interval.high:.0%} | {row['steps']} "
            f"| {row.get('steps_per_second', '')} | {row['expert']} |"
        )


if __name__ == "__main__":
    main()
