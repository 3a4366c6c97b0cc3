"""MiniWoB++ in the browser: which pages happen twice to the bit, how often the scripted experts
succeed, and how long steps take.

    python bench/miniwob.py replay --out replay.jsonl
    python bench/miniwob.py experts --episodes 20 --out experts.jsonl
    python bench/miniwob.py speed
    python bench/miniwob.py results --of replay.jsonl experts.jsonl --out bench/results/miniwob.json

Of a replay, two browsers take the same actions (random ones, and the expert's where there is one)
in the same episode of each task, the tasks in opposite orders. Every line is written when it is
known; a run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from enactive.evaluation.statistics import wilson
from enactive.seeding import numpy_generator
from enactive.worlds.miniwob import MiniWoB, task_names
from enactive.worlds.miniwob_experts import expert_action, expert_tasks, has_expert
from enactive.worlds.screen.browser import BrowserError
from enactive.worlds.trials import Moment, difference, run


def random_actions(world: MiniWoB, task: str, seed: int, count: int) -> list[Any]:
    generator = numpy_generator(seed, "bench", task)
    return [world.spec.accepts.sample(generator) for _ in range(count)]


def expert_actions(world: MiniWoB, task: str, seed: int) -> tuple[list[Any], Any]:
    """The expert's actions in an episode, and its last step."""
    observation = world.reset(world.spec.task(task).task(), seed)
    actions: list[Any] = []
    while True:
        actions.append(expert_action(task, observation.privileged["miniwob"]))
        step = world.step(actions[-1])
        observation = step.observation
        if step.terminated or step.truncated:
            return actions, step


def replay(steps: int) -> Iterator[dict[str, Any]]:
    """One line for every task whose page is the same twice or not."""
    names = task_names()
    first, second = MiniWoB.Config().build(), MiniWoB.Config().build()
    kept: dict[tuple[str, str], tuple[list[Any], list[Moment]]] = {}
    for name in names:
        kinds = {"random": random_actions(first, name, 1, steps)}
        if has_expert(name):
            kinds["expert"] = expert_actions(first, name, 1)[0]
        for kind, actions in kinds.items():
            try:
                kept[name, kind] = (actions, run(first, first.spec.task(name).task(), 1, actions))
            except BrowserError as error:
                yield {"task": name, "actions": kind, "difference": f"fails: {error}"}
                first = MiniWoB.Config().build()
    for (name, kind), (actions, moments) in reversed(kept.items()):
        again = run(second, second.spec.task(name).task(), 1, actions)
        yield {"task": name, "actions": kind, "difference": difference(moments, again)}
    first.close()
    second.close()


def experts(episodes: int, done: set[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """One line for every episode of an expert."""
    world = MiniWoB.Config(cameras=(), text=False).build()
    for name in expert_tasks():
        for seed in range(episodes):
            if (name, seed) in done:
                continue
            begun = time.perf_counter()
            actions, step = expert_actions(world, name, seed)
            yield {
                "task": name, "seed": seed, "success": step.success, "reward": step.reward,
                "steps": len(actions), "seconds": time.perf_counter() - begun,
            }  # fmt: skip
    world.close()


def speed(steps: int) -> None:
    """Milliseconds of a reset and of a step, with and without what can be left out."""
    for label, config in (
        ("picture, text, advice", MiniWoB.Config()),
        ("picture, text", MiniWoB.Config(privileged=False)),
        ("text", MiniWoB.Config(cameras=(), privileged=False)),
    ):
        begun = time.perf_counter()
        world = config.build()
        start = time.perf_counter() - begun
        resets: list[float] = []
        taken: list[float] = []
        for seed in range(5):
            begun = time.perf_counter()
            world.reset(world.spec.task("login-user").task(), seed)
            resets.append(time.perf_counter() - begun)
            for _ in range(steps):
                begun = time.perf_counter()
                world.step({"do": "move", "x": 20, "y": 100})
                taken.append(time.perf_counter() - begun)
        world.close()
        half = len(taken) // 2
        print(f"{label}: start {start:.2f} s, reset {1000 * sorted(resets)[2]:.0f} ms, "
              f"step {1000 * sorted(taken)[half]:.0f} ms")  # fmt: skip


def results(replayed: Path, tried: Path) -> dict[str, Any]:
    """Both files in one, as it is kept in the repository."""
    again, attempts = (
        [json.loads(line) for line in path.read_text().splitlines()] for path in (replayed, tried)
    )
    rates: dict[str, Any] = {}
    for name in sorted({row["task"] for row in attempts}):
        of = [row for row in attempts if row["task"] == name]
        rates[name] = {
            "successes": sum(row["success"] for row in of),
            "episodes": len(of),
            "mean_steps": sum(row["steps"] for row in of) / len(of),
        }
    different = [row for row in again if row["difference"]]
    return {
        "pages": len({row["task"] for row in again}),
        "replays": len(again),
        "different": different,
        "experts": rates,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("replay", "experts", "speed", "results"))
    parser.add_argument("--of", type=Path, nargs=2, help="files of a replay and of the experts")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.steps)
        return
    if given.what == "results":
        given.out.write_text(json.dumps(results(*given.of), indent=1) + "\n")
        return
    rows = []
    if given.out is not None and given.out.exists():
        rows = [json.loads(line) for line in given.out.read_text().splitlines()]
    done = {(row["task"], row.get("seed", 0)) for row in rows}
    lines = replay(given.steps) if given.what == "replay" else experts(given.episodes, done)
    for row in lines:
        rows.append(row)
        if given.out is not None:
            with given.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    if given.what == "replay":
        same = {row["task"] for row in rows} - {r["task"] for r in rows if r["difference"]}
        print(f"{len(same)} of {len({row['task'] for row in rows})} pages are the same twice")
        for row in rows:
            if row["difference"]:
                print(f"  {row['task']} ({row['actions']}): {row['difference']}")
        return
    for name in sorted({row["task"] for row in rows}):
        tries = [row for row in rows if row["task"] == name]
        good = sum(row["success"] for row in tries)
        rate = wilson(good, len(tries))
        mean = sum(row["steps"] for row in tries) / len(tries)
        print(f"| {name} | {good}/{len(tries)} | {rate.low:.2f}-{rate.high:.2f} | {mean:.1f} |")
    good = sum(row["success"] for row in rows)
    print(f"all: {good}/{len(rows)}")


if __name__ == "__main__":
    main()
