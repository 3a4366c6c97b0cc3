"""What both sides of the dataset benchmarks share: the episodes, and a clock."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

FPS = 80
SIZE = 96
CAMERAS = ("front", "wrist")
INSTRUCTIONS = ("open the faucet", "close the faucet", "press the button")


def scene(episode: int, steps: int) -> tuple[dict[str, Any], Any, Any]:
    """One episode: camera to ``uint8 (T, 96, 96, 3)``, states and actions ``float32 (T, 4)``.

    The pictures show a textured table and a gripper that moves over it.
    """
    rng = np.random.default_rng([7, episode])
    actions = rng.uniform(-1, 1, (steps, 4)).astype(np.float32)
    path = 44 + np.cumsum(rng.normal(0, 1.2, (steps, 2)), axis=0)
    path = np.clip(path, 4, SIZE - 20).astype(int)
    state = np.concatenate([path, np.arange(steps)[:, None], actions[:, 3:]], 1)
    images: dict[str, Any] = {}
    for number, camera in enumerate(CAMERAS):
        # Texture at two scales, like a rendered table: neither flat nor incompressible.
        coarse = rng.integers(40, 200, (12, 12, 3)).repeat(8, 0).repeat(8, 1)
        fine = np.random.default_rng(number).integers(-12, 13, (SIZE, SIZE, 1))
        table = np.clip(coarse + fine, 0, 255).astype(np.uint8)
        video = np.repeat(table[None], steps, axis=0)
        colour = rng.integers(0, 256, 3)
        for t, (x, y) in enumerate(path):
            video[t, y : y + 16, x : x + 12] = colour
            video[t, y + 4 : y + 8, x + 2 : x + 10] = 255 - colour
        images[camera] = video
    return images, state.astype(np.float32), actions


class Clock:
    """Measures laps, in seconds of time and of this process's processor time."""

    def __init__(self) -> None:
        self._last = (time.perf_counter(), time.process_time())

    def lap(self) -> list[float]:
        """Both, since the last lap or the beginning."""
        now = (time.perf_counter(), time.process_time())
        lap = [now[0] - self._last[0], now[1] - self._last[1]]
        self._last = now
        return lap
