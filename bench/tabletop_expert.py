"""How often the tabletop's expert succeeds, by family and by perturbation, with intervals.

    python bench/tabletop_expert.py [--episodes 20]

Every task of a family is tried in turn until the family has so many episodes (at least one a task),
with both arms and all their controls; with the first of them, as many episodes under each
perturbation are spread over the tasks that it applies to. Seeds are 0, 1, ... in each row.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from enactive.evaluation.files import write_atomically
from enactive.evaluation.statistics import wilson
from enactive.observations import Task
from enactive.worlds.tabletop.arms import ARMS
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


def table(arm: str, control: str, perturbed: bool, count: int) -> dict[str, Any]:
    """Family, or perturbation, to its row."""
    config = Tabletop.Config(arm=arm, control=control, cameras=(), states=("proprio",))
    world = config.build()
    found: dict[str, Any] = {}
    for family in Family:
        names = [task.name for task in TASKS.values() if task.family is family]
        found[family.value] = row(world, names, (), count)
    for perturbation in PERTURBATIONS if perturbed else ():
        names = [t.name for t in TASKS.values() if perturbation.name in applicable(t)]
        found[perturbation.name] = row(world, names, (perturbation.name,), count)
    world.close()
    for name, entry in found.items():
        print(f"{arm} {control} {name}: {entry['successes']}/{entry['episodes']}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--episodes", type=int, default=20, help="of each row")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "command": f"python bench/tabletop_expert.py --episodes {arguments.episodes}",
        "mujoco": importlib.metadata.version("mujoco"),
        "arms": [],
    }
    for arm in ARMS:
        for control in CONTROLS:
            rows = table(arm, control, not result["arms"], arguments.episodes)
            result["arms"].append({"arm": arm, "control": control, "rows": rows})
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
