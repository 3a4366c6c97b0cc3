"""LeRobot's side of ``dataset_reading.py``: runs in LeRobot's own environment, prints JSON.

Commands: ``write ROOT EPISODES STEPS``, ``read ROOT SAMPLES BATCH WORKERS CHUNK``,
``values ROOT CHUNK OUT INDEX...``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("SVT_LOG", "0")
os.environ["HF_HUB_OFFLINE"] = "1"

import lerobot
import numpy as np
import torch
import torchcodec
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from dataset_scene import CAMERAS, FPS, INSTRUCTIONS, SIZE, Clock, scene


def open_dataset(root: Path, chunk: int) -> Any:
    delta = {"action": [step / FPS for step in range(chunk)]}
    return LeRobotDataset(
        "bench/reading", root=root, delta_timestamps=delta, video_backend="torchcodec"
    )


def write(root: Path, episodes: int, steps: int) -> dict[str, Any]:
    """Write the scenes with LeRobot's defaults."""
    vector = {"dtype": "float32", "shape": (4,), "names": ["x", "y", "z", "gripper"]}
    features: dict[str, Any] = {"observation.state": vector, "action": dict(vector)}
    for camera in CAMERAS:
        names = ["height", "width", "channels"]
        features[f"observation.images.{camera}"] = {
            "dtype": "video",
            "shape": (SIZE, SIZE, 3),
            "names": names,
        }
    start = time.perf_counter()
    dataset = LeRobotDataset.create("bench/reading", FPS, features, root=root, use_videos=True)
    for episode in range(episodes):
        images, state, action = scene(episode, steps)
        for t in range(steps):
            frame = {f"observation.images.{c}": images[c][t] for c in CAMERAS}
            frame |= {"observation.state": state[t], "action": action[t]}
            dataset.add_frame(frame | {"task": INSTRUCTIONS[episode % len(INSTRUCTIONS)]})
        dataset.save_episode()
    dataset.finalize()
    return {"seconds": time.perf_counter() - start}


def read(root: Path, samples: int, batch: int, workers: int, chunk: int) -> dict[str, Any]:
    """Read ``samples`` random windows in a fresh process, then as many again."""
    torch.set_num_threads(1)
    clock = Clock()
    dataset = open_dataset(root, chunk)
    # The sampler is what `shuffle=True` makes; the decoder cache of the parent stays unused.
    chosen = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:samples]
    loader: Any = torch.utils.data.DataLoader(
        torch.utils.data.Subset(dataset, chosen.tolist()),
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(1),
    )
    opened = clock.lap()
    epochs: list[list[float]] = []
    for _ in range(2):
        count = 0
        for item in loader:
            count += len(item["action"])
            assert item["observation.images.front"].dtype == torch.float32
            assert item["action"].shape[1:] == (chunk, 4)
            assert item["action_is_pad"].dtype == torch.bool
        assert count == len(chosen)
        epochs.append(clock.lap())
    return {"open": opened, "epochs": epochs, "samples": len(chosen)}


def values(root: Path, chunk: int, out: Path, indices: list[int]) -> dict[str, Any]:
    """Save some samples, for comparison."""
    dataset = open_dataset(root, chunk)
    items = [dataset[index] for index in indices]
    keys = [f"observation.images.{c}" for c in CAMERAS] + ["action", "action_is_pad"]
    np.savez(
        out,
        **{key: torch.stack([item[key] for item in items]).numpy() for key in keys},
        task=np.asarray([item["task"] for item in items]),
    )
    return {
        "lerobot": lerobot.__version__,
        "torch": torch.__version__,
        "torchcodec": torchcodec.__version__,
    }


if __name__ == "__main__":
    command, root, *rest = sys.argv[1:]
    if command == "write":
        result = write(Path(root), *map(int, rest))
    elif command == "read":
        result = read(Path(root), *map(int, rest))
    else:
        result = values(Path(root), int(rest[0]), Path(rest[1]), [int(i) for i in rest[2:]])
    print("RESULT " + json.dumps(result))
