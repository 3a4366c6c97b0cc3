"""Rollouts with pictures: this project's pool and Gymnasium's AsyncVectorEnv, on the same task.

Both step Meta-World's faucet-open with the same actions, 60 control steps an episode and a reset
after each, and draw the same two cameras at 96x96 after every step. One *step* is one control step
of one world; resets are inside the time. There are two peers:

- ``gymnasium default``: Meta-World's environment as it comes, drawn by Gymnasium's own renderer
  (multisampling, a 4096 shadow map, reflections);
- ``gymnasium tuned``: the same with the render quality that this project declares.

Every measurement is made in a fresh process and repeated in turn; medians are compared. Processor
time per step is printed beside the rates: unlike them, it means something on a busy machine too.

    python bench/rollouts.py [--steps 600] [--repeats 5]
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

TASK = "faucet-open"
EPISODE = 60
WARM_UP = 30
WORKERS = (1, 2)
SYSTEMS = ("enactive", "gymnasium default", "gymnasium tuned")
RESULTS = Path(__file__).resolve().parent / "results" / "rollouts.json"


def processor_seconds() -> float:
    """Processor time of this process and its live children so far, all threads."""
    tick = os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    total = 0.0
    for pid in ("self", *children):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / tick
    return total


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), processor_seconds()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, processor_seconds() - self._processor


def actions(worker: int, count: int) -> np.ndarray:
    """Actions in Meta-World's own units, ``float32 (count, 4)``, each held for ten steps."""
    generator = np.random.default_rng(worker)
    held = generator.uniform(-1, 1, (-(-count // 10), 4)).astype(np.float32)
    return np.repeat(held, 10, 0)[:count]


# -- this project ----------------------------------------------------------------------------


def run_enactive(workers: int, steps: int) -> tuple[float, float, float]:
    """Wall and processor seconds for ``steps`` control steps of each of ``workers`` worlds, and a
    picture's mean."""
    from enactive.worlds.metaworld import MetaWorld
    from enactive.worlds.pool import WorldPool
    from enactive.worlds.world import Step

    config = MetaWorld.Config(max_steps=EPISODE)
    plan = [actions(worker, WARM_UP + steps) for worker in range(workers)]
    for each in plan:
        each[:, :3] *= 0.01
    with WorldPool(config, workers=workers) as pool:
        task = pool.spec.task(TASK).task()

        def go(first: int, last: int) -> float:
            """Steps ``first`` to ``last`` of every worker, each at its own pace."""
            done = [first] * workers
            episode = [first // EPISODE] * workers
            mean = 0.0
            while min(done) < last:
                for worker, answer in pool.wait():
                    picture = answer
                    if isinstance(answer, Step):
                        picture = answer.observation
                        done[worker] += 1
                        if answer.truncated:
                            episode[worker] += 1
                            pool.reset(worker, task, 1000 * worker + episode[worker])
                            continue
                    mean = float(picture.images["front"][0].mean())
                    if done[worker] < last:
                        pool.step(worker, plan[worker][done[worker]])
            return mean

        for worker in range(workers):
            pool.reset(worker, task, 1000 * worker)
        go(0, WARM_UP)
        for worker in range(workers):
            pool.step(worker, plan[worker][WARM_UP])
        clock = Clock()
        mean = go(WARM_UP, WARM_UP + steps)
        return *clock.read(), mean


# -- the peers -------------------------------------------------------------------------------


def peer(tuned: bool) -> Any:
    """Meta-World in Gymnasium's terms: two cameras and the hand, through Gymnasium's renderer."""
    import gymnasium
    import mujoco
    from metaworld.env_dict import ENV_CLS_MAP

    from enactive.worlds.metaworld import MetaWorld

    config = MetaWorld.Config()
    size = config.image_size
    pictures = {
        view.name: gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        for view in config.cameras
    }

    class Peer(gymnasium.Env):
        def __init__(self) -> None:
            self.env = ENV_CLS_MAP[f"{TASK}-v3"](
                render_mode="rgb_array", camera_id=-1, width=size, height=size
            )
            self.env._set_task_called = True
            self.env._freeze_rand_vec = False
            self.env.seeded_rand_vec = True
            if tuned:
                self.env.model.vis.quality.offsamples = config.quality.offsamples
                self.env.model.vis.quality.shadowsize = config.quality.shadowsize
                self.env.model.vis.global_.offwidth = size
                self.env.model.vis.global_.offheight = size
            self.viewer = self.env.mujoco_renderer._get_viewer("rgb_array")
            if tuned:
                flags = self.viewer.scn.flags
                flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(config.quality.shadowsize > 0)
                flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = int(config.quality.reflections)
            hand = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
            self.observation_space = gymnasium.spaces.Dict({**pictures, "proprio": hand})
            self.action_space = self.env.action_space

        def look(self, seen: np.ndarray) -> dict[str, np.ndarray]:
            looked = {"proprio": seen[:4].astype(np.float32)}
            for view in config.cameras:
                self.viewer.cam.lookat[:] = view.lookat
                self.viewer.cam.distance = view.distance
                self.viewer.cam.azimuth = view.azimuth
                self.viewer.cam.elevation = view.elevation
                looked[view.name] = self.env.render()
            return looked

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            if seed is not None:
                self.env.seed(seed)
            seen, info = self.env.reset()
            return self.look(seen), info

        def step(self, action: np.ndarray) -> Any:
            seen, reward, terminated, truncated, info = self.env.step(action)
            return self.look(seen), reward, terminated, truncated, info

    return gymnasium.wrappers.TimeLimit(Peer(), EPISODE)


def peer_default() -> Any:
    return peer(tuned=False)


def peer_tuned() -> Any:
    return peer(tuned=True)


def run_peer(make: Any, workers: int, steps: int) -> tuple[float, float, float]:
    """As :func:`run_enactive`, by ``AsyncVectorEnv`` with shared memory."""
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode

    plan = np.stack([actions(worker, WARM_UP + steps) for worker in range(workers)])  # (W, T, 4)
    envs = AsyncVectorEnv(
        [make] * workers,
        shared_memory=True,
        context="spawn",
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    seen, _ = envs.reset(seed=[1000 * worker for worker in range(workers)])
    clock = Clock()
    for index in range(WARM_UP + steps):
        if index == WARM_UP:
            clock = Clock()
        seen, *_ = envs.step(plan[:, index])
    wall, processor = clock.read()
    envs.close()
    return wall, processor, float(seen["front"][-1][0].mean())


# -- measuring -------------------------------------------------------------------------------


def measure(system: str, workers: int, steps: int) -> dict[str, float]:
    """Control steps per second, in this process's children."""
    if system == "enactive":
        wall, processor, mean = run_enactive(workers, steps)
    else:
        make = peer_tuned if system.endswith("tuned") else peer_default
        wall, processor, mean = run_peer(make, workers, steps)
    if not 0 < mean < 255:
        raise SystemExit(f"{system}: black or white pictures, mean {mean}")
    count = workers * steps
    return {"steps_per_s": count / wall, "processor_ms": 1e3 * processor / count}


def in_fresh_process(system: str, workers: int, steps: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", system, str(workers), str(steps)]
    environment = {"MUJOCO_GL": "egl", **os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    packages = ("enactive", "gymnasium", "metaworld", "mujoco", "numpy")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "load_before": os.getloadavg()[0],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help="control steps per worker")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", nargs=3, metavar=("SYSTEM", "WORKERS", "STEPS"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.one:
        system, workers, steps = options.one
        print(json.dumps(measure(system, int(workers), int(steps))))
        return
    report: dict[str, Any] = {
        "what": "control steps per second with two 96x96 pictures each, resets included",
        "task": TASK, "episode": EPISODE, "steps_per_worker": options.steps,
        "repeats": options.repeats, "machine": machine(), "measured": {},
    }  # fmt: skip
    rates: dict[tuple[str, int], list[float]] = {}
    loads: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.repeats):
        for system in SYSTEMS:
            # The default picture takes many times as long; fewer steps say as much.
            steps = options.steps // 4 if system == "gymnasium default" else options.steps
            for workers in WORKERS:
                one = in_fresh_process(system, workers, steps)
                rates.setdefault((system, workers), []).append(one["steps_per_s"])
                loads.setdefault((system, workers), []).append(one["processor_ms"])
    print(f"{'':22}" + "".join(f"{f'{workers} process(es)':>36}" for workers in WORKERS))
    for system in SYSTEMS:
        row = ""
        for workers in WORKERS:
            found = rates[system, workers]
            middle = statistics.median(found)
            ratio = statistics.median(rates["enactive", workers]) / middle
            processor = statistics.median(loads[system, workers])
            report["measured"][f"{system}, {workers}"] = {
                "steps_per_s": {"median": middle, "min": min(found), "max": max(found)},
                "processor_ms_per_step": processor,
                "enactive_is_times": ratio,
            }
            row += f"{middle:8.1f} ({min(found):.0f}-{max(found):.0f}) x{ratio:5.2f}"
            row += f" {processor:6.2f} ms cpu"
        print(f"{system:22}{row}")
    print(json.dumps(report["machine"], indent=2))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = options.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    os.replace(temporary, options.out)


if __name__ == "__main__":
    main()
