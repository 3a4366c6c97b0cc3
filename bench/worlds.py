"""Every world that is installed: control steps per second, and how often its expert succeeds.

For each world: steps per second of one process with random actions, state only and with its default
pictures, resets inside the time; and the expert's success on ``--episodes`` episodes of each task
from seed 0, with Wilson's 95 % interval. All speeds come first, while the machine is fresh. What is
in the results already is left out, so that an interrupted run goes on where it stopped; ``--again``
measures it anew. An expert with a note in EXPERTS_ELSEWHERE is measured by its own script.

    python bench/worlds.py [--worlds babyai crafter] [--episodes 20] [--seconds 10]

Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from enactive.evaluation.files import write_atomically
from enactive.evaluation.plan import Rules, evaluation_plan
from enactive.evaluation.rollouts import rollout
from enactive.evaluation.statistics import wilson
from enactive.policies.expert import ExpertPolicy
from enactive.registry import Registry, UnknownPart
from enactive.seeding import numpy_generator
from enactive.worlds.pool import WorldPool
from enactive.worlds.trials import sample
from enactive.worlds.world import World

RESULTS = Path(__file__).resolve().parent / "results" / "worlds.json"
LEFT_OUT = {
    "gymnasium": "any environment",
    "metaworld_interface": "Meta-World, other controls",
    "perturbed": "any world, perturbed",
}
"""Registered worlds that are no benchmark of their own."""
EXPERTS_ELSEWHERE = {"libero": "bench/libero_experts.py"}
WARM_UP = 20
"""Steps before the clock starts."""
TIMED_TASKS = 3
"""Tasks that the speed is measured on, in turn: the first, the middle and the last."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--worlds", nargs="*", default=[])
    parser.add_argument("--episodes", type=int, default=20, help="of each task")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of speed")
    parser.add_argument("--tasks", nargs="*", default=[], help="only these, for a quick look")
    parser.add_argument("--again", action="store_true", help="measure what is there already")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    chosen = arguments.worlds or [n for n in Registry("worlds").names() if n not in LEFT_OUT]
    found = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {"worlds": {}}
    worlds = found["worlds"]
    configs = {name: installed(name) for name in chosen}
    for part, measure in (("speed", speeds), ("expert", expert)):
        for name, config in configs.items():
            if config is None or (part == "expert" and name in EXPERTS_ELSEWHERE):
                continue
            if part in worlds.get(name, {}) and not arguments.again:
                print(f"{name}: {part} is there already (--again measures it anew)")
                continue
            print(f"{name}: {part}", flush=True)
            worlds.setdefault(name, {})[part] = measure(name, config, arguments)
            found["machine"] = machine()
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(arguments.out, json.dumps(found, indent=1) + "\n")
    return 0


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the docstring's lines."""


def installed(name: str) -> Any:
    """The world's default configuration; None where a package is missing."""
    try:
        config = Registry("worlds").load(name)()
        config.build().close()
    except ModuleNotFoundError as error:
        print(f"{name}: left out, {error.name} is not installed")
        return None
    return config


def speeds(name: str, config: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """The world as it was measured, and its control steps per second."""
    blind = without_pictures(config)
    world = config.build()
    spec = world.spec
    record: dict[str, Any] = {
        "world": f"{spec.name} {spec.version}",
        "packages": dict(spec.provenance.get("packages", {})),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cameras": [f"{c.name} {c.height}x{c.width}" for c in spec.observations.cameras],
        "tasks": len(spec.tasks),
        "state": None,
        "pictures": None,
    }
    if spec.observations.cameras:
        record["pictures"] = speed(world, arguments.seconds)
    world.close()
    if blind is not None:
        world = blind.build()
        record["state"] = speed(world, arguments.seconds)
        world.close()
    print(f"  {record['state']} {record['pictures']}", flush=True)
    return record


def without_pictures(config: Any) -> Any:
    """``config`` with nothing drawn; None where the world cannot."""
    fields = getattr(config, "__dataclass_fields__", {})
    if "cameras" not in fields or not isinstance(config.cameras, tuple):
        return None
    return replace(config, cameras=())


def speed(world: World, seconds: float) -> dict[str, float]:
    """Control steps per second of random actions, and per second of processor time."""
    spec, generator = world.spec, numpy_generator(0, "bench", "worlds")
    tasks = [spec.tasks[i].task() for i in sorted({0, len(spec.tasks) // 2, len(spec.tasks) - 1})]
    steps, seed, wall, processor = -WARM_UP, 0, 0.0, 0.0
    over = True
    while wall == 0.0 or time.perf_counter() - wall < seconds:
        if over:
            world.reset(tasks[seed % TIMED_TASKS % len(tasks)], seed)
            seed += 1
        step = world.step(sample(spec, generator))
        over = step.terminated or step.truncated
        steps += 1
        if steps == 0:
            wall, processor = time.perf_counter(), time.process_time()
    elapsed, used = time.perf_counter() - wall, time.process_time() - processor
    return {
        "per_second": round(steps / elapsed, 1),
        "per_processor_second": round(steps / used, 1),
        "episodes": seed,
    }


def expert(name: str, config: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Task to successes of the world's expert, with Wilson's interval."""
    config = without_pictures(config) or config
    rates: dict[str, Any] = {}
    with WorldPool(config, workers=0) as pool:
        try:
            policy = ExpertPolicy.Config().build(pool.spec)
        except UnknownPart:
            return {"tasks": {}, "note": "no expert is registered"}
        names = [task.name for task in pool.spec.tasks]
        for number, task in enumerate(arguments.tasks or names):
            begun = time.perf_counter()
            plan = evaluation_plan(
                pool.spec, [task], arguments.episodes, first_seed=0, wording="canonical"
            )
            try:
                results = rollout(pool, policy, plan, rules=Rules(success_hold=0))
            except KeyError as error:
                rates[task] = {"note": str(error.args[0]).partition(";")[0]}
                print(f"  {task}: {rates[task]['note']}", flush=True)
                continue
            good = sum(result.success for result in results)
            interval = wilson(good, len(results))
            rates[task] = {
                "successes": good,
                "episodes": len(results),
                "low": round(interval.low, 4),
                "high": round(interval.high, 4),
                "mean_steps": round(sum(r.steps for r in results) / len(results), 1),
                "gave_up": sum("expert_gave_up" in r.events for r in results),
            }
            took = time.perf_counter() - begun
            print(f"  {number + 1}/{len(names)} {task}: {good}/{len(results)}, {took:.1f} s")
            sys.stdout.flush()
    counted = [rate for rate in rates.values() if "successes" in rate]
    good, total = (sum(rate[key] for rate in counted) for key in ("successes", "episodes"))
    interval = wilson(good, total) if total else None
    return {
        "first_seed": 0,
        "successes": good,
        "episodes": total,
        "low": round(interval.low, 4) if interval else None,
        "high": round(interval.high, 4) if interval else None,
        "tasks": rates,
    }


def machine() -> dict[str, Any]:
    """Where it was measured."""
    model = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        lines = listed.read_text().splitlines()
        named = [line for line in lines if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    packages = ("enactive", "numpy", "mujoco", "gymnasium")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": versions,
    }


if __name__ == "__main__":
    raise SystemExit(main())
