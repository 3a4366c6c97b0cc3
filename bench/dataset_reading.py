"""Reading random windows from datasets on disk: this project and LeRobot, on the same files.

A sample is what training wants: two 96x96 pictures as float32 (3, 96, 96) in [0, 1], a chunk of 16
actions and its padding mask. Every measurement is made in a fresh process with one thread for
tensor operations. *Cold* is opening the dataset, with no decoded frames cached anywhere, and
reading every window once; *warm* is a later epoch in the same process. "2 workers" are two
prefetching threads here and two worker processes there. Without workers the rate per second of the
process's processor time is given too; other load on the machine hardly changes it. The values of
both are compared.

    python bench/dataset_reading.py --lerobot-python PATH

PATH is the interpreter of an environment with LeRobot 0.4.4 and torchcodec. Without it only this
project is measured.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dataset_scene import CAMERAS, FPS, INSTRUCTIONS, SIZE, Clock, scene

BATCH = 32
CHUNK = 16
HERE = Path(__file__).resolve().parent


# -- this project's side ---------------------------------------------------------------------


def write(root: Path, episodes: int, steps: int) -> dict[str, Any]:
    """Write the scenes with this project's defaults."""
    from enactive.episodes import layout
    from enactive.episodes.episode import Episode, EpisodeHeader, Outcome
    from enactive.episodes.store import DatasetWriter
    from enactive.observations import Task

    vector = {"dtype": "float32", "shape": [4], "names": ["x", "y", "z", "gripper"]}
    picture = {"dtype": "video", "shape": [SIZE, SIZE, 3], "names": ["height", "width", "channels"]}
    one = {"shape": [1], "names": None}
    features: dict[str, dict[str, Any]] = {
        layout.camera_key(camera): dict(picture) for camera in CAMERAS
    }
    features |= {"observation.state": dict(vector), "action": dict(vector)}
    features |= {"next.reward": {"dtype": "float32", **one}}
    features |= {"next.success": {"dtype": "bool", **one}, "next.done": {"dtype": "bool", **one}}
    features |= {key: dict(feature) for key, feature in layout.BOOKKEEPING.items()}

    def episode(index: int) -> Episode:
        images, state, actions = scene(index, steps)
        instruction = INSTRUCTIONS[index % len(INSTRUCTIONS)]
        return Episode(
            header=EpisodeHeader(
                id=f"bench/{index}",
                index=index,
                task=Task(name=instruction, instruction=instruction),
                seed=index,
                world={"name": "bench"},
                policy="bench",
            ),
            images=images,
            state={"proprio": state},
            actions=actions,
            rewards=np.zeros(steps, np.float32),
            successes=np.zeros(steps, np.bool_),
            outcome=Outcome(success=False, steps=steps, terminated=False, truncated=True),
        )

    start = time.perf_counter()
    DatasetWriter.create(root, features, FPS).append(episode(i) for i in range(episodes))
    return {"seconds": time.perf_counter() - start}


def to_tensors(batch: Any) -> dict[str, Any]:
    """What LeRobot's loader gives: pictures as float32 (B, 3, H, W) in [0, 1], and the rest."""
    import torch

    # Reordering bytes first, then one pass of conversion, is the fastest way on a CPU.
    result = {
        f"observation.images.{name}": torch.from_numpy(frames[:, 0])
        .permute(0, 3, 1, 2)
        .contiguous()
        .float()
        .div_(255)
        for name, frames in batch.images.items()
    }
    result |= {"observation.state": torch.from_numpy(batch.state["proprio"][:, 0])}
    result |= {"action": torch.from_numpy(batch.action), "task": batch.instructions}
    return result | {"action_is_pad": torch.from_numpy(~batch.mask)}


def read(root: Path, workers: int, epochs: int, cache: str) -> dict[str, Any]:
    """Read whole epochs in a fresh process."""
    import torch

    from enactive.episodes.cache import FrameCache
    from enactive.episodes.dataset import Dataset
    from enactive.episodes.loader import WindowLoader
    from enactive.episodes.windows import WindowSpec

    torch.set_num_threads(1)
    config = FrameCache.Config(directory=cache)
    clock = Clock()
    loader = WindowLoader(
        Dataset.open(root),
        WindowSpec(action_steps=CHUNK),
        batch_size=BATCH,
        seed=0,
        workers=workers,
        cache=config,
    )
    opened = clock.lap()
    batches = -(-loader.num_windows // BATCH)
    stream = loader.iterate(to_tensors)
    seconds: list[list[float]] = []
    for _ in range(epochs):
        for _ in range(batches):
            item = next(stream)
            assert item["observation.images.front"].shape == (BATCH, 3, SIZE, SIZE)
            assert item["action"].shape == (BATCH, CHUNK, 4)
        seconds.append(clock.lap())
    return {"open": opened, "epochs": seconds, "samples": batches * BATCH}


def compare(root: Path, python: str, scratch: Path) -> dict[str, Any]:
    """Read the same windows with both and compare every value."""
    from enactive.episodes.cache import FrameCache
    from enactive.episodes.dataset import Dataset
    from enactive.episodes.loader import WindowLoader
    from enactive.episodes.windows import WindowSpec

    dataset = Dataset.open(root)
    frames = dataset.num_frames
    ends = [entry.stop - 1 for entry in dataset.episodes]
    chosen = np.random.default_rng(0).permutation(frames)[:200].tolist() + ends[:20]
    file = scratch / "values.npz"
    theirs_versions = peer(python, "values", root, CHUNK, file, *chosen)
    theirs = np.load(file)
    loader = WindowLoader(
        dataset,
        WindowSpec(action_steps=CHUNK),
        batch_size=frames,
        seed=0,
        cache=FrameCache.Config(directory=None),
    )
    batch = next(loader.once())
    ours = to_tensors(batch)
    report: dict[str, Any] = {"windows": len(chosen), "versions": theirs_versions}
    levels: list[float] = []
    exact = True
    for camera in CAMERAS:
        key = f"observation.images.{camera}"
        difference = np.abs(ours[key][chosen].numpy() - theirs[key])
        levels += [float(difference.max() * 255), float(difference.mean() * 255)]
        exact &= np.array_equal(ours[key][chosen].numpy(), theirs[key])
    report["pictures"] = {
        "max_levels": max(levels[::2]),
        "mean_levels": statistics.mean(levels[1::2]),
        "bit_equal": exact,
    }
    for key in ("action", "action_is_pad"):
        report[f"{key}_equal"] = np.array_equal(ours[key][chosen].numpy(), theirs[key])
    texts = [ours["task"][index] for index in chosen]
    report["instructions_equal"] = texts == theirs["task"].tolist()
    return report


# -- running both ----------------------------------------------------------------------------


def peer(python: str, command: str, root: Path, *rest: Any) -> dict[str, Any]:
    """Run LeRobot's side in its environment."""
    return call([python, str(HERE / "lerobot_reading.py"), command, str(root), *map(str, rest)])


def own(*arguments: Any) -> dict[str, Any]:
    """Run this project's reader in a fresh process."""
    return call([sys.executable, __file__, "--read", *map(str, arguments)])


def call(command: list[str]) -> dict[str, Any]:
    """Run a process and give the result it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


def summary(rates: list[float]) -> dict[str, float]:
    """Median and range of repeated rates."""
    return {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}


def measure(root: Path, frames: int, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Rates in samples/s of one dataset, alternating between both readers."""
    rates: dict[str, list[float]] = {}

    def note(who: str, workers: int, result: dict[str, Any], warm: bool = True) -> None:
        kinds = ["time"] if workers else ["time", "processor time"]
        for clock, kind in enumerate(kinds):
            # LeRobot's rate does not depend on how much was read before: if it read a part of an
            # epoch, the part stands for the whole. Opening counts once.
            whole = frames / result["samples"]
            first, *later = (epoch[clock] * whole for epoch in result["epochs"])
            where = f"{workers} workers, per second of {kind}"
            rate = frames / (result["open"][clock] + first)
            rates.setdefault(f"{who} cold, {where}", []).append(rate)
            if warm:
                rate = frames / statistics.median(later)
                rates.setdefault(f"{who} warm, {where}", []).append(rate)

    for repeat in range(options.repeats):
        for workers in (0, 2):
            cache = scratch / f"cache-{root.name}-{repeat}-{workers}"
            epochs = max(3, round(20_000 / frames))
            note("ours", workers, own(root, workers, epochs, cache))
            note("ours, cached on disk,", workers, own(root, workers, 1, cache), warm=False)
            shutil.rmtree(cache)
            if options.lerobot_python:
                samples = min(frames, options.peer_samples)
                arguments = ("read", root, samples, BATCH, workers, CHUNK)
                note("lerobot", workers, peer(options.lerobot_python, *arguments))
    table: dict[str, Any] = {name: summary(values) for name, values in sorted(rates.items())}
    if options.lerobot_python:
        table["ratios"] = {
            name.removeprefix("ours "): value["median"]
            / table[name.replace("ours", "lerobot")]["median"]
            for name, value in table.items()
            if name.startswith("ours ")
        }
    return table


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = {n: importlib.metadata.version(n) for n in ("enactive", "torch", "numpy", "av")}
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lerobot-python", help="interpreter of LeRobot's environment")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--larger", type=int, default=10, help="factor of the second size; 0: none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--peer-samples", type=int, default=3000, help="windows of an epoch that LeRobot reads"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "dataset_reading.json")
    options = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "batch": BATCH, "chunk": CHUNK, "datasets": {}}
    report["repeats"] = options.repeats
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        sizes = [("ours", options.episodes)]
        if options.lerobot_python:
            sizes.insert(0, ("lerobot", options.episodes))
        if options.larger:
            sizes.append(("ours", options.episodes * options.larger))
        for writer, episodes in sizes:
            frames = episodes * options.steps
            name = f"written by {writer}, {episodes} x {options.steps} frames"
            print(name, flush=True)
            root = scratch / f"{writer}-{episodes}"
            if writer == "ours":
                entry: dict[str, Any] = {"writing": write(root, episodes, options.steps)}
            else:
                entry = {
                    "writing": peer(options.lerobot_python, "write", root, episodes, options.steps)
                }
            entry["megabytes"] = (
                sum(f.stat().st_size for f in root.rglob("*.*") if f.is_file()) / 1e6
            )
            if options.lerobot_python:
                entry["equality"] = compare(root, options.lerobot_python, scratch)
                print("  same values:", entry["equality"])
            entry["samples per second"] = measure(root, frames, options, scratch)
            for key, value in entry["samples per second"].items():
                if key == "ratios":
                    for kind, ratio in value.items():
                        print(f"  {kind}: {ratio:.1f} times LeRobot")
                else:
                    low, high = value["min"], value["max"]
                    print(f"  {key}: {value['median']:,.0f} ({low:,.0f} to {high:,.0f})")
            report["datasets"][name] = entry
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{options.out}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--read":
        folder, worker_count, epoch_count, cache_directory = sys.argv[2:]
        found = read(Path(folder), int(worker_count), int(epoch_count), cache_directory)
        print("RESULT " + json.dumps(found))
    else:
        main()
