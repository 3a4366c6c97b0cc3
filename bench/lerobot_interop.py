"""LeRobot reads what we write, we read what LeRobot writes, and the statistics agree.

    python bench/lerobot_interop.py --lerobot-python PATH/TO/VENV/bin/python

LeRobot (0.4.4) lives in an environment of its own, so this script starts itself again with that
interpreter for the half that needs it. ``--fixture FILE`` only lets LeRobot write the
small dataset that the tests read, ``tests/data/lerobot_v3.zip``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FPS = 20
STATE, ACTION = "observation.state", "action"
CAMERAS = ("front", "wrist")
LENGTHS = (30, 130, 47, 101)  # below and above the 100 pictures from which LeRobot samples
FIRST = 3  # episodes of the first commit; the others are appended later
TOLERANCE = 1e-5


def episode_arrays(index: int, length: int, size: int) -> dict[str, Any]:
    """One synthetic episode: smooth pictures with moving shapes, a random walk as state."""
    random = np.random.default_rng(1000 + index)
    rows, columns = np.mgrid[0:size, 0:size]
    frames: dict[str, Any] = {}
    for number, camera in enumerate(CAMERAS):
        base = np.stack([rows, columns, rows + columns], axis=-1) * (200 / (2 * size))
        video = np.empty((length, size, size, 3), np.uint8)
        for t in range(length):
            place = (np.array([t, 2 * t]) + 7 * index + 11 * number) % (size - size // 4)
            image = base.copy()
            box = slice(place[0], place[0] + size // 4), slice(place[1], place[1] + size // 4)
            image[box] = (30 * number + 20, 220 - t % 100, 40 + 3 * index)
            video[t] = image.astype(np.uint8)
        frames[f"observation.images.{camera}"] = video
    walk = np.cumsum(random.normal(0, 0.01, (length, 4)), axis=0) + np.array([0.1, 0.6, 0.2, 0.5])
    frames[STATE] = walk.astype(np.float32)
    frames[ACTION] = random.uniform(-0.01, 0.01, (length, 4)).astype(np.float32)
    frames["next.reward"] = random.uniform(0, 1, length).astype(np.float32)
    frames["task"] = f"push the {('red', 'green')[index % 2]} box"
    return frames


# ------------------------------------------------------------------- in LeRobot's environment


def lerobot_features(size: int, cameras: tuple[str, ...], storage: str) -> dict[str, Any]:
    names = ["a", "b", "c", "d"]
    vector = {"dtype": "float32", "shape": (4,), "names": names}
    image = {"dtype": storage, "shape": (size, size, 3), "names": ["height", "width", "channels"]}
    pictures = {f"observation.images.{camera}": dict(image) for camera in cameras}
    reward = {"next.reward": {"dtype": "float32", "shape": (1,), "names": None}}
    return {**pictures, STATE: dict(vector), ACTION: dict(vector), **reward}


def peer_write(target: Path, size: int, lengths: list[int], codec: str, cameras: list[str]) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    storage = "image" if codec == "png" else "video"
    options = {} if codec == "png" else {"vcodec": codec}
    features = lerobot_features(size, tuple(cameras), storage)
    dataset = LeRobotDataset.create(
        "local/peer", fps=FPS, features=features, root=target, use_videos=codec != "png", **options
    )
    add_episodes(dataset, range(len(lengths)), lengths, size, features)
    dataset.finalize()


def add_episodes(
    dataset: Any, indices: Any, lengths: list[int], size: int, features: dict[str, Any]
) -> None:
    for index in indices:
        arrays = episode_arrays(index, lengths[index], size)
        for t in range(lengths[index]):
            frame = {key: arrays[key][t] for key in features if key != "next.reward"}
            frame["next.reward"] = arrays["next.reward"][t : t + 1]
            dataset.add_frame({**frame, "task": arrays["task"]})
        dataset.save_episode()


def peer_read(source: Path, out: Path) -> None:
    """Iterate every frame; keep everything. Then ask for windows, as training does."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("local/ours", root=source)
    rows: dict[str, list[Any]] = {}
    for number in range(len(dataset)):
        for key, value in dataset[number].items():
            if isinstance(value, str):
                rows.setdefault(key, []).append(value)
            elif key.startswith("observation.images."):
                image = (value.numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
                rows.setdefault(key, []).append(image)
            else:
                rows.setdefault(key, []).append(value.numpy())
    deltas = {key: [0.0, 1 / FPS, 2 / FPS] for key in (ACTION,)}
    deltas[dataset.meta.camera_keys[0]] = [-1 / FPS, 0.0]
    windows = LeRobotDataset("local/ours", root=source, delta_timestamps=deltas)
    shapes = {key: list(windows[len(windows) - 1][key].shape) for key in deltas}
    np.savez(out, **{key: np.array(values) for key, values in rows.items()})
    out.with_suffix(".json").write_text(json.dumps({"frames": len(dataset), "windows": shapes}))


def peer_append(target: Path, size: int) -> None:
    """Go on recording in a dataset that we wrote, with LeRobot."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("local/ours", root=target)
    features = lerobot_features(size, CAMERAS, "video")
    for index in (0, 1):
        arrays = episode_arrays(index, 12, size)
        for t in range(12):
            frame = {key: arrays[key][t] for key in features if key != "next.reward"}
            frame["next.reward"] = arrays["next.reward"][t : t + 1]
            frame["next.success"] = np.array([False])
            frame["next.done"] = np.array([t == 11])
            dataset.add_frame({**frame, "task": arrays["task"]})
        dataset.save_episode()
    dataset.finalize()
    again = LeRobotDataset("local/ours", root=target)
    assert len(again) == sum(LENGTHS) + 24
    assert again[len(again) - 1]["frame_index"] == 11


# ------------------------------------------------------------------------- in our environment


def our_episode(index: int, length: int, size: int) -> Any:
    from enactive.actions.spaces import Group, VectorSpace
    from enactive.episodes.episode import Episode, EpisodeHeader, Outcome, episode_hashes
    from enactive.observations import Task

    arrays = episode_arrays(index, length, size)
    part: dict[str, Any] = {"frame": "base", "reference": "delta", "low": -0.01, "high": 0.01}
    arm = Group(name="arm", quantity="position", representation="xyz", unit="m", **part)
    grip = Group(name="grip", quantity="other", representation="scalar", unit="m", **part)
    observed = [{"name": camera, "height": size, "width": size} for camera in CAMERAS]
    world = {
        "name": "interop",
        "rate_hz": FPS,
        "accepts": VectorSpace(groups=(arm, grip), rate_hz=FPS).to_dict(),
        "observations": {
            "cameras": observed,
            "states": [{"name": "proprio", "names": ["a", "b", "c", "d"], "unit": "m"}],
        },
    }
    images = {camera: arrays[f"observation.images.{camera}"] for camera in CAMERAS}
    state = {"proprio": arrays[STATE]}
    task = Task(name="push", instruction=arrays["task"])
    return Episode(
        header=EpisodeHeader(
            id=f"episode-{index}", index=index, task=task, seed=index, world=world, policy="none"
        ),
        images=images,
        state=state,
        actions=arrays[ACTION],
        rewards=arrays["next.reward"],
        successes=np.zeros(length, np.bool_),
        outcome=Outcome(success=False, steps=length, terminated=False, truncated=True),
        hashes=episode_hashes(images, state, arrays[ACTION]),
    )


def our_write(target: Path, size: int, storage: Any, codec: Any = None) -> Any:
    from enactive.episodes.features import world_features
    from enactive.episodes.store import DatasetWriter

    episodes = [our_episode(index, length, size) for index, length in enumerate(LENGTHS)]
    features = world_features(episodes[0].header.world, storage=storage)
    writer = DatasetWriter.create(target, features, FPS, robot="interop", codec=codec)
    writer.append(episodes[:FIRST])
    return DatasetWriter.open(target, codec=codec).append(episodes[FIRST:])


class Report:
    """Prints figures, counts what failed, and keeps everything for the JSON file."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def check(self, what: str, good: bool, **figures: Any) -> None:
        self.lines.append({"what": what, "good": bool(good), **figures})
        text = ", ".join(f"{name} {value}" for name, value in figures.items())
        print(f"{'ok  ' if good else 'FAIL'}  {what}: {text}", flush=True)

    @property
    def failures(self) -> int:
        return sum(not line["good"] for line in self.lines)


def compare_reading(report: Report, dataset: Any, npz: Path, lossless: bool) -> None:
    theirs = np.load(npz)
    facts = json.loads(npz.with_suffix(".json").read_text())
    report.check(
        "LeRobot iterates every frame",
        facts["frames"] == dataset.num_frames == sum(LENGTHS),
        frames=facts["frames"],
        windows=facts["windows"],
    )
    keys = (STATE, ACTION, "next.reward", "timestamp", "frame_index", "episode_index", "index")
    differing = [
        key for key in keys if not np.array_equal(theirs[key].squeeze(), dataset.column(key))
    ]
    report.check("its columns equal ours bit for bit", not differing, differing=differing)
    tasks = [dataset.tasks[index] for index in dataset.column("task_index")]
    report.check("its instructions equal ours", theirs["task"].tolist() == tasks)
    for camera in dataset.cameras:
        ours = np.concatenate([dataset.video(camera, e.index) for e in dataset.episodes])
        raw = np.concatenate(
            [
                episode_arrays(i, n, ours.shape[1])[f"observation.images.{camera}"]
                for i, n in enumerate(LENGTHS)
            ]
        )
        mine = theirs[f"observation.images.{camera}"].astype(int)
        apart = np.abs(mine - ours.astype(int))
        report.check(
            f"its pictures of {camera} are ours",
            apart.max() == 0 if lossless else apart.mean() < 1.5,
            mean_difference_of_256=round(float(apart.mean()), 4),
            max_difference=int(apart.max()),
            our_mean_error_to_raw=round(float(np.abs(ours.astype(int) - raw).mean()), 4),
        )
        # The right frame, not its neighbour: each decoded picture is nearest to its own raw one.
        shift = np.abs(mine[:-1] - raw[1:].astype(int)).mean() if len(raw) > 1 else np.inf
        own = np.abs(mine - raw.astype(int)).mean()
        report.check(
            f"{camera} is not off by one", own < shift, own=own.round(3), next=shift.round(3)
        )


def compare_statistics(report: Report, ours: Any, theirs: Any) -> None:
    for key in theirs.stats:
        mine, other = ours.stats[key], theirs.stats[key]
        picture = key.startswith("observation.images.")
        names = ["min", "max", "mean", "std", "count"]
        if picture:
            names.remove("std")
        apart = {
            name: float(np.abs(np.asarray(mine[name], float) - other[name]).max()) for name in names
        }
        report.check(
            f"statistics of {key}",
            max(apart.values()) < TOLERANCE,
            worst=f"{max(apart.values()):.2e}",
        )
        if picture:
            frames = np.concatenate(
                [
                    episode_arrays(i, n, 96)[key][sampled(n)].reshape(-1, 3) / 255.0
                    for i, n in enumerate(LENGTHS)
                ]
            )
            true = frames.std(axis=0)
            report.check(
                f"standard deviation of {key}",
                bool(np.abs(mine["std"].reshape(-1) - true).max() < TOLERANCE),
                true=true.round(5).tolist(),
                ours=mine["std"].reshape(-1).round(5).tolist(),
                lerobot=other["std"].reshape(-1).round(5).tolist(),
            )


def sampled(length: int) -> Any:
    from enactive.episodes.statistics import sampled_rows

    return sampled_rows(length)


def peer(python: str, *arguments: str) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "SVT_LOG": "1"}
    command = [python, str(Path(__file__).resolve()), "--peer", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"LeRobot's half failed ({arguments[0]}):\n{done.stderr[-4000:]}")


def peer_main(arguments: list[str]) -> None:
    name, *rest = arguments
    if name == "write":
        lengths = [int(n) for n in rest[2].split(",")]
        peer_write(Path(rest[0]), int(rest[1]), lengths, rest[3], rest[4].split(","))
    elif name == "read":
        peer_read(Path(rest[0]), Path(rest[1]))
    else:
        peer_append(Path(rest[0]), int(rest[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lerobot-python", required=True, help="interpreter that has LeRobot")
    parser.add_argument("--fixture", type=Path, help="write the tests' fixture, nothing else")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    os.environ["SVT_LOG"] = "1"  # errors only: the AV1 encoder prints a page for every file
    python = options.lerobot_python
    report = Report()
    work = Path(tempfile.mkdtemp(prefix="interop-"))
    try:
        if options.fixture:
            peer(python, "write", str(work / "tiny"), "32", "6,5", "libsvtav1", "front")
            shutil.make_archive(str(options.fixture.with_suffix("")), "zip", work / "tiny")
            size = options.fixture.stat().st_size
            report.check("fixture", size < 60_000, bytes=size)
        else:
            run(report, python, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if options.out:
        options.out.write_text(json.dumps(report.lines, indent=1))
    print(f"{len(report.lines) - report.failures} of {len(report.lines)} checks passed")
    sys.exit(1 if report.failures else 0)


def run(report: Report, python: str, work: Path) -> None:
    from enactive.episodes.dataset import Dataset
    from enactive.episodes.video import VideoCodec

    lengths = ",".join(map(str, LENGTHS))
    av1 = VideoCodec(name="libsvtav1", quality=30, preset="12")
    for label, storage, codec in (
        ("h264", "video", None),
        ("av1", "video", av1),
        ("png", "image", None),
    ):
        print(f"-- we write {label}, LeRobot reads")
        ours = our_write(work / f"ours-{label}", 96, storage, codec)
        peer(python, "read", str(ours.path), str(work / f"{label}.npz"))
        compare_reading(report, ours, work / f"{label}.npz", lossless=storage == "image")
    for label in ("libsvtav1", "h264", "png"):
        print(f"-- LeRobot writes {label}, we read")
        peer(python, "write", str(work / label), "96", lengths, label, ",".join(CAMERAS))
        theirs = Dataset.open(work / label)
        problems = theirs.validate()
        report.check("we find nothing wrong", not problems, problems=[str(p) for p in problems])
        state = np.concatenate([episode_arrays(i, n, 96)[STATE] for i, n in enumerate(LENGTHS)])
        report.check("its states are the raw ones", np.array_equal(theirs.column(STATE), state))
        for camera in CAMERAS:
            raw = [
                episode_arrays(i, n, 96)[f"observation.images.{camera}"].astype(int)
                for i, n in enumerate(LENGTHS)
            ]
            apart = [
                np.abs(theirs.video(camera, e.index).astype(int) - raw[e.index]).mean()
                for e in theirs.episodes
            ]
            good = max(apart) == 0 if label == "png" else max(apart) < 8
            report.check(f"its pictures of {camera}", good, mean_error=round(max(apart), 3))
        compare_statistics(report, ours, theirs)
    print("-- LeRobot goes on recording in a dataset of ours")
    peer(python, "append", str(work / "ours-h264"), "96")
    both = Dataset.open(work / "ours-h264")
    problems = both.validate()
    report.check(
        "we read the result",
        not problems and both.num_frames == sum(LENGTHS) + 24,
        episodes=both.num_episodes,
        ours=len(both.records),
        problems=[str(p) for p in problems],
    )


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--peer":
        peer_main(sys.argv[2:])
    else:
        main()
