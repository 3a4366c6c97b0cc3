"""How often the embedded model does tasks of the tool workspace, as ``enactive agent`` asks it.

    python bench/embedded_agent.py --tasks units-1 tables-1 files-1 --episodes 20

Each line is one task: successes with Wilson's interval, and what an episode took. Seeds begin at
1000000; the solved tasks that the model is shown are made from the seeds of training.
"""

from __future__ import annotations

import argparse
import json
import time

from enactive.cli.agent import small_planner
from enactive.evaluation.statistics import wilson
from enactive.models.language_models.embedded import Embedded
from enactive.observations import Task
from enactive.worlds.workspace.world import Workspace

FIRST_SEED = 1_000_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="+", default=["units-1", "tables-1", "files-1"])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--reworded", action="store_true", help="sentences that are held out")
    arguments = parser.parse_args()
    world, model = Workspace.Config().build(), Embedded.Config().build()
    policy = small_planner().build(model, world.spec.accepts)
    perturbations = ("reworded",) if arguments.reworded else ()
    for name in arguments.tasks:
        task = Task(name=name, instruction="", perturbations=perturbations)
        right = steps = tokens = 0
        started = time.perf_counter()
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.episodes):
            observation, memory = world.reset(task, seed), policy.begin(task, seed)
            while True:
                decision = policy.act([observation], [memory])[0]
                memory, cost = decision.memory, decision.cost
                step = world.step(decision.action)
                observation, steps = step.observation, steps + 1
                tokens += cost.tokens + cost.prompt_tokens
                if step.terminated or step.truncated:
                    break
            right += step.success
        took = time.perf_counter() - started
        interval = wilson(right, arguments.episodes)
        line = {
            "task": name, "reworded": arguments.reworded, "successes": right,
            "episodes": arguments.episodes, "low": round(interval.low, 3),
            "high": round(interval.high, 3), "steps": steps / arguments.episodes,
            "tokens": tokens / arguments.episodes, "seconds": round(took / arguments.episodes, 1),
        }  # fmt: skip
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
