"""How fast the tabletop is: control steps without pictures, with pictures, and expert episodes.

Steps replay the expert's actions, so that grasps and contacts are inside; resets are outside of
the step rates and inside the episode rate. Rates are per second of processor time of this process
(which means something on a busy machine too) and of the clock.

    python bench/tabletop.py [--seconds 3] [--images]
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from enactive.worlds.tabletop.expert import expert_action
from enactive.worlds.tabletop.tasks import TASKS, Family
from enactive.worlds.tabletop.world import Tabletop

RESULTS = Path(__file__).resolve().parent / "results" / "tabletop.json"
ONE_OF_EACH = {task.family: task.name for task in reversed(TASKS.values())}


def demonstration(world: Tabletop, name: str, seed: int) -> list[Any]:
    """The expert's actions in one episode."""
    observation, actions = world.reset(world.spec.task(name).task(), seed), []
    while True:
        actions.append(expert_action(name, observation.privileged["tabletop"]))
        step = world.step(actions[-1])
        observation = step.observation
        if step.terminated or step.truncated:
            return actions


def stepping(config: Tabletop.Config, seconds: float) -> dict[str, dict[str, float]]:
    """Family to control steps per second of processor time and of the clock."""
    guide = Tabletop.Config(arm=config.arm, control=config.control, cameras=(), states=()).build()
    world = config.build()
    found: dict[str, dict[str, float]] = {}
    for family, name in ONE_OF_EACH.items():
        actions = demonstration(guide, name, 0)
        task = world.spec.task(name).task()
        steps, processor, wall = 0, 0.0, 0.0
        while processor < seconds / len(Family):
            world.reset(task, 0)
            begun, at = time.process_time(), time.perf_counter()
            for action in actions:
                world.step(action)
            processor += time.process_time() - begun
            wall += time.perf_counter() - at
            steps += len(actions)
        found[family.value] = {
            "steps_per_processor_second": steps / processor, "steps_per_second": steps / wall
        }  # fmt: skip
    rates = [entry["steps_per_processor_second"] for entry in found.values()]
    found["all"] = {
        "steps_per_processor_second": float(len(rates) / np.sum(1 / np.array(rates))),
        "steps_per_second": float(
            len(rates) / np.sum([1 / entry["steps_per_second"] for entry in found.values()])
        ),
    }
    world.close()
    guide.close()
    return found


def episodes(seconds: float) -> dict[str, float]:
    """Expert episodes per second, resets and the expert's own time included."""
    world = Tabletop.Config(cameras=(), states=("proprio", "objects")).build()
    names, count = [*ONE_OF_EACH.values()], 0
    begun, at = time.process_time(), time.perf_counter()
    while time.process_time() - begun < seconds or count % len(names):
        demonstration(world, names[count % len(names)], count)
        count += 1
    result = {
        "episodes_per_processor_second": count / (time.process_time() - begun),
        "episodes_per_second": count / (time.perf_counter() - at),
    }
    world.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="processor time of each part")
    parser.add_argument("--images", action="store_true", help="with pictures too")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    states = ("proprio", "objects")
    parts: dict[str, Any] = {
        "states, gantry": stepping(
            Tabletop.Config(cameras=(), states=states, privileged=False), arguments.seconds
        ),
        "states and truth, gantry": stepping(
            Tabletop.Config(cameras=(), states=states), arguments.seconds
        ),
        "states, jointed": stepping(
            Tabletop.Config(arm="jointed", cameras=(), states=states, privileged=False),
            arguments.seconds,
        ),
        "expert": episodes(arguments.seconds),
    }
    if arguments.images:
        parts["one 96x96 picture, gantry"] = stepping(
            Tabletop.Config(cameras=("front",)), arguments.seconds
        )
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": {"platform": platform.platform(), "cores": os.cpu_count()},
        "mujoco": importlib.metadata.version("mujoco"),
        "parts": parts,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.replace(arguments.out)
    for name, part in parts.items():
        print(name, json.dumps(part.get("all", part)))


if __name__ == "__main__":
    main()
