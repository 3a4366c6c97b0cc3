"""How often the tabletop's expert succeeds, by family and by perturbation, with intervals.

    python bench/tabletop_expert.py [--episodes 20] [--perturbations] [--arm gantry]

Without perturbations every task of a family is tried in turn until the family has so many episodes
(at least one a task); with them, as many episodes are spread over the tasks that each applies to.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from enactive.evaluation.statistics import wilson
from enactive.observations import Task
from enactive.worlds.tabletop.control import CONTROLS
from enactive.worlds.tabletop.expert import expert_action
from enactive.worlds.tabletop.perturbations import PERTURBATIONS, applicable
from enactive.worlds.tabletop.tasks import TASKS, Family
from enactive.worlds.tabletop.wording import wording
from enactive.worlds.tabletop.world import Tabletop

RESULTS = Path(__file__).resolve().parent / "results" / "tabletop_expert.json"


def attempt(world: Tabletop, name: str, perturbations: tuple[str, ...], seed: int) -> bool:
    """Whether the expert succeeds in one episode."""
    text = wording(name, perturbations, seed)
    task = Task(name=name, instruction=text, perturbations=perturbations)
    observation = world.reset(task, seed)
    while True:
        step = world.step(expert_action(name, observation.privileged["tabletop"]))
        observation = step.observation
        if step.terminated or step.truncated:
            return step.success


def row(world: Tabletop, names: list[str], perturbations: tuple[str, ...], count: int) -> Any:
    """Successes, episodes, and the Wilson interval of the rate."""
    count = max(count, len(names))
    won = [attempt(world, names[i % len(names)], perturbations, i) for i in range(count)]
    interval = wilson(sum(won), count)
    return {"successes": sum(won), "episodes": count, "interval": [interval.low, interval.high]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--perturbations", action="store_true")
    parser.add_argument("--arm", default="gantry")
    parser.add_argument("--control", default="ee_delta", choices=[*CONTROLS])
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    config = Tabletop.Config(
        arm=arguments.arm, control=arguments.control, cameras=(), states=("proprio",)
    )
    world = config.build()
    table: dict[str, Any] = {}
    for family in Family:
        names = [task.name for task in TASKS.values() if task.family is family]
        table[family.value] = row(world, names, (), arguments.episodes)
        print(family.value, json.dumps(table[family.value]), flush=True)
    if arguments.perturbations:
        for perturbation in PERTURBATIONS:
            name = perturbation.name
            names = [task.name for task in TASKS.values() if name in applicable(task)]
            table[name] = row(world, names, (name,), arguments.episodes)
            print(name, json.dumps(table[name]), flush=True)
    world.close()
    result = {
        "mujoco": importlib.metadata.version("mujoco"),
        "arm": arguments.arm,
        "control": arguments.control,
        "table": table,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.replace(arguments.out)


if __name__ == "__main__":
    main()
