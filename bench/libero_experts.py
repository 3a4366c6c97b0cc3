"""How often LIBERO's scripted expert succeeds, and how fast the world is, task by task.

    python bench/libero_experts.py --suites libero_object libero_spatial --episodes 20

Every episode is one line of a JSON-lines file, written when it ends; a run that was cut off is
started again with the same command and goes on where it stopped. Seeds are 0, 1, ..., so that with
50 official states or fewer no two episodes begin alike. Without pictures: the expert reads the
simulator's truth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from enactive.evaluation.statistics import wilson
from enactive.worlds.libero import Libero
from enactive.worlds.libero_experts import LiberoExpert
from enactive.worlds.libero_tasks import BASE_SUITES, suite_names


def episode(world: Libero, name: str, seed: int) -> dict[str, Any]:
    """One attempt of the expert, as JSON values."""
    expert = LiberoExpert()
    memory = expert.begin(name, seed)
    begun = time.perf_counter()
    observation = world.reset(world.spec.task(name).task(), seed)
    reset = time.perf_counter() - begun
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
        "reset_seconds": reset, "seconds": time.perf_counter() - begun, "expert": expert.version,
        "world": dict(world.spec.provenance["packages"]),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suites", nargs="+", default=list(BASE_SUITES))
    parser.add_argument("--episodes", type=int, default=20, help="per task, at most 50")
    parser.add_argument("--max-steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("bench/results/libero_experts.jsonl"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    rows: list[dict[str, Any]] = []
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the line that a cut-off left half written
            continue
        if row["expert"] == LiberoExpert.version:
            rows.append(row)
    done = {(row["task"], row["seed"]) for row in rows}
    config = Libero.Config(suites=tuple(options.suites), cameras=(), max_steps=options.max_steps)
    world = config.build()
    try:
        with options.out.open("a") as file:
            if lines and not options.out.read_text().endswith("\n"):
                file.write("\n")
            for name in suite_names(options.suites):
                for seed in range(options.episodes):
                    if (name, seed) in done:
                        continue
                    row = episode(world, name, seed)
                    rows.append(row)
                    file.write(json.dumps(row) + "\n")
                    file.flush()
    finally:
        world.close()
    table(rows, set(suite_names(options.suites)))


def table(rows: list[dict[str, Any]], names: set[str]) -> None:
    """Print successes with 95 % Wilson intervals, steps and speed of each task."""
    by_task: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["task"] in names:
            by_task[row["task"]].append(row)
    print("| task | success | 95 % | steps | steps/s |\n|---|---|---|---|---|")
    for name, tried in by_task.items():
        wins = [row for row in tried if row["success"]]
        interval = wilson(len(wins), len(tried))
        steps = sum(row["steps"] for row in wins) / len(wins) if wins else float("nan")
        moving = sum(row["seconds"] - row["reset_seconds"] for row in tried)
        rate = sum(row["steps"] for row in tried) / moving
        print(
            f"| `{name}` | {len(wins)}/{len(tried)} | {interval.low:.0%}-{interval.high:.0%} "
            f"| {steps:.0f} | {rate:.1f} |"
        )


if __name__ == "__main__":
    main()
