"""Frames per second of recording and storing episodes: ours against LeRobot 0.4.4.

    python bench/dataset_writing.py --lerobot-python PATH/TO/VENV/bin/python

The same synthetic episodes (two cameras, 96 x 96) go

- through our journal, one crash-safe transaction a step, and then through compaction, with our
  default codec and with LeRobot's (AV1, constant rate factor 30, key frame every second frame);
- through ``LeRobotDataset.add_frame`` and ``save_episode`` with its defaults (PNG files, then AV1),
  with its streaming encoder, and with H.264.

LeRobot's time includes ``finalize``; ours includes everything until the dataset opens and passes
its checks. Making the frames is not counted on either side. Arms run in turn, ``--repeats`` times;
the median counts.
"""

from __future__ import annotations

import argparse
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

CAMERAS = ("front", "wrist")
SIZE = 96
FPS = 20
OURS = ("ours", "ours, AV1")
PEERS = ("lerobot", "lerobot, streaming", "lerobot, H.264")


def scene(episode: int, length: int) -> dict[str, Any]:
    """Frames like a rendered scene: shaded ground, moving blocks, a little texture."""
    random = np.random.default_rng(episode)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    texture = random.integers(0, 8, (SIZE, SIZE, 1))
    arrays: dict[str, Any] = {}
    for number, camera in enumerate(CAMERAS):
        ground = np.stack([rows + 60, columns // 2 + 80, (rows + columns) // 3 + 50], axis=-1)
        video = np.repeat((ground + texture).astype(np.uint8)[None], length, axis=0)
        path = np.cumsum(random.uniform(-1.5, 1.5, (length, 3, 2)), axis=0) + 40
        places = np.clip(path, 0, SIZE - 20).astype(int)
        for t in range(length):
            for block in range(3):
                top, left = places[t, block]
                color = np.roll((200, 60 + 40 * block, 30 + 20 * number), block)
                video[t, top : top + 14 + 3 * block, left : left + 12] = color
        arrays[f"observation.images.{camera}"] = video
    arrays["observation.state"] = random.normal(size=(length, 4)).astype(np.float32)
    arrays["action"] = random.uniform(-1, 1, (length, 4)).astype(np.float32)
    return arrays


def task(episode: int) -> str:
    return f"move block {episode % 3}"


# ------------------------------------------------------------------------------ the two sides


def run_ours(arm: str, work: Path, episodes: int, length: int) -> dict[str, Any]:
    from enactive.actions.chain import Chain
    from enactive.actions.decision import Decision
    from enactive.actions.spaces import Group, VectorSpace
    from enactive.episodes.compaction import compact
    from enactive.episodes.episode import EpisodeHeader, Outcome
    from enactive.episodes.journal import Journal
    from enactive.episodes.video import VideoCodec
    from enactive.observations import Observation, Task
    from enactive.worlds.world import Step

    same = {"reference": "delta", "frame": "base", "unit": "m", "low": -1.0, "high": 1.0}
    arm_group = Group(name="arm", quantity="position", representation="xyz", **same)
    grip = Group(name="grip", quantity="other", representation="scalar", **same)
    observed = [{"name": camera, "height": SIZE, "width": SIZE} for camera in CAMERAS]
    world = {
        "name": "bench",
        "rate_hz": FPS,
        "accepts": VectorSpace(groups=(arm_group, grip), rate_hz=FPS).to_dict(),
        "observations": {
            "cameras": observed,
            "states": [{"name": "proprio", "names": ["a", "b", "c", "d"], "unit": "m"}],
        },
    }
    codec = VideoCodec(name="libsvtav1", quality=30, preset="12") if "AV1" in arm else None
    data = [scene(episode, length) for episode in range(episodes)]
    begin = time.perf_counter()
    with Journal.open(work / "journal.db") as journal:
        for episode, arrays in enumerate(data):
            given = Task(name="move", instruction=task(episode))
            recorder = journal.begin(
                EpisodeHeader(
                    id=f"bench/{episode}",
                    index=episode,
                    task=given,
                    seed=episode,
                    world=world,
                    policy="none",
                )
            )
            seen = [
                Observation(
                    images={c: arrays[f"observation.images.{c}"][t] for c in CAMERAS},
                    state={"proprio": arrays["observation.state"][t]},
                    instruction=given.instruction,
                    time=t / FPS,
                )
                for t in range(length)
            ]
            for t in range(length):
                action = arrays["action"][t]
                chain = Chain.raw(action[None], source="bench")
                following = seen[min(t + 1, length - 1)]
                step = Step(
                    observation=following,
                    reward=0.0,
                    terminated=False,
                    truncated=t == length - 1,
                    success=False,
                )
                recorder.step(seen[t], Decision(action=action, chain=chain), step)
            recorder.finish(
                Outcome(success=False, steps=length, terminated=False, truncated=True), seen[-1]
            )
        recorded = time.perf_counter()
        compact(journal, work / "dataset", codec=codec)
    end = time.perf_counter()
    return {"seconds": end - begin, "recording": recorded - begin, "compaction": end - recorded}


def run_peer(arm: str, work: Path, episodes: int, length: int) -> dict[str, Any]:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    image = {"dtype": "video", "shape": (SIZE, SIZE, 3), "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": (4,), "names": ["a", "b", "c", "d"]}
    features = {f"observation.images.{camera}": dict(image) for camera in CAMERAS}
    features |= {"observation.state": dict(vector), "action": dict(vector)}
    options: dict[str, Any] = {"vcodec": "h264"} if "H.264" in arm else {}
    if "streaming" in arm:
        # Its queue drops frames when the encoder is slower than the recorder; here none may be.
        options |= {"streaming_encoding": True, "encoder_queue_maxsize": length + 1}
    data = [scene(episode, length) for episode in range(episodes)]
    begin = time.perf_counter()
    dataset = LeRobotDataset.create(
        "local/bench", fps=FPS, features=features, root=work / "dataset", **options
    )
    for episode, arrays in enumerate(data):
        for t in range(length):
            dataset.add_frame({key: arrays[key][t] for key in features} | {"task": task(episode)})
        dataset.save_episode()
    dataset.finalize()
    return {"seconds": time.perf_counter() - begin}


# ------------------------------------------------------------------------------------ running


def run_arm(arm: str, python: str, episodes: int, length: int) -> dict[str, Any]:
    """One arm in a process of its own; sizes of what it wrote included."""
    work = Path(tempfile.mkdtemp(prefix="writing-"))
    environment = {**os.environ, "SVT_LOG": "1", "HF_HUB_OFFLINE": "1"}
    try:
        command = [python, str(Path(__file__).resolve()), "--arm", arm, str(work)]
        done = subprocess.run(
            [*command, str(episodes), str(length)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{arm} failed:\n{done.stderr[-3000:]}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        files = [path for path in (work / "dataset").rglob("*") if path.is_file()]
        videos = [path for path in files if path.suffix == ".mp4"]
        result["frames_per_second"] = episodes * length / result["seconds"]
        result["video_bytes_per_picture"] = sum(p.stat().st_size for p in videos) / (
            episodes * length * len(CAMERAS)
        )
        result["mean_error"] = mean_error(work / "dataset", episodes, length)
        return result
    finally:
        shutil.rmtree(work, ignore_errors=True)


def mean_error(path: Path, episodes: int, length: int) -> float:
    """How far stored pictures are from the given ones, of 255, over two episodes."""
    from enactive.episodes.dataset import Dataset

    dataset = Dataset.open(path)
    if dataset.num_frames != episodes * length:
        sys.exit(f"{path} holds {dataset.num_frames} frames, not {episodes * length}")
    apart = [
        np.abs(
            dataset.video(camera, episode).astype(int)
            - scene(episode, length)[f"observation.images.{camera}"]
        ).mean()
        for episode in (0, episodes - 1)
        for camera in CAMERAS
    ]
    return float(np.mean(apart))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lerobot-python", help="interpreter that has LeRobot 0.4.4")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--length", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench/results/dataset_writing.json"))
    options = parser.parse_args()
    arms = [(arm, sys.executable) for arm in OURS]
    if options.lerobot_python:
        arms += [(arm, options.lerobot_python) for arm in PEERS]
    runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm, _ in arms}
    for repeat in range(options.repeats):
        for arm, python in arms:
            result = run_arm(arm, python, options.episodes, options.length)
            runs[arm].append(result)
            print(f"run {repeat}: {arm}: {result['frames_per_second']:.0f} frames/s", flush=True)
    rates = {
        arm: statistics.median(run["frames_per_second"] for run in results)
        for arm, results in runs.items()
    }
    print(f"\n{'':22} frames/s   bytes/picture   mean error of 255")
    for arm, results in runs.items():
        size, error = results[0]["video_bytes_per_picture"], results[0]["mean_error"]
        print(f"{arm:22} {rates[arm]:8.0f}   {size:13.0f}   {error:17.2f}")
    ratios: dict[str, float] = {}
    if options.lerobot_python:
        ratios = {
            "ours / lerobot, each its defaults": rates["ours"] / rates["lerobot"],
            "ours / lerobot's fastest": rates["ours"] / max(rates[arm] for arm in PEERS),
            "ours, AV1 / lerobot (AV1)": rates["ours, AV1"] / rates["lerobot"],
            "ours (H.264) / lerobot, H.264": rates["ours"] / rates["lerobot, H.264"],
        }
        for name, ratio in ratios.items():
            print(f"{name}: {ratio:.1f}x")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "episodes": options.episodes,
        "length": options.length,
        "cameras": [SIZE, SIZE, len(CAMERAS)],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "frames_per_second": rates,
        "ratios": ratios,
        "runs": runs,
    }
    options.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--arm":
        name, where, count, steps = sys.argv[2:6]
        run = run_peer if name in PEERS else run_ours
        print(json.dumps(run(name, Path(where), int(count), int(steps))))
    else:
        main()
