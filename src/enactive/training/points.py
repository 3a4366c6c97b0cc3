"""A dataset of a second's making, for tutorials, tests and benchmarks of training.

A white dot on a picture with a red and a blue square; the instruction says which one to move to.
Nothing but language tells the two apart, nothing but the picture says where they are, and the
expert moves in a straight line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import Group, VectorSpace
from enactive.episodes.dataset import Dataset
from enactive.episodes.episode import Episode, EpisodeHeader, Outcome, world_record
from enactive.episodes.features import world_features
from enactive.episodes.store import DatasetWriter
from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec
from enactive.seeding import numpy_generator
from enactive.worlds.world import WorldSpec

INSTRUCTIONS = {"red": "go to the red square", "blue": "move to the blue square"}
SPEED = 0.05
"""Longest move of a step, in picture widths."""


def world_spec(size: int = 32, cameras: tuple[str, ...] = ("top",)) -> WorldSpec:
    """The world the dataset pretends to come from: pictures of ``size`` x ``size`` pixels."""
    move = Group(
        name="move",
        quantity="other",
        representation="scalar",
        reference="delta",
        frame="picture",
        unit="widths",
        low=-SPEED,
        high=SPEED,
        size=2,
    )
    return WorldSpec(
        name="points",
        version="1",
        observations=ObservationSpec(
            cameras=tuple(Camera(name=name, height=size, width=size) for name in cameras),
            states=(StateVector(name="proprio", names=("x", "y"), unit="widths"),),
        ),
        accepts=VectorSpace(groups=(move,), rate_hz=10.0),
        tasks=tuple(
            TaskSpec(name=name, instructions=(text,), max_steps=40)
            for name, text in INSTRUCTIONS.items()
        ),
        rate_hz=10.0,
    )


def picture(
    dot: NDArray[np.float64], squares: dict[str, NDArray[np.float64]], size: int
) -> NDArray[np.uint8]:
    """``uint8 (size, size, 3)``: the squares, and the dot over them; places are in [0, 1]."""
    image = np.full((size, size, 3), 40, np.uint8)
    for color, place in squares.items():
        _paint(image, place, size // 8, (230, 30, 30) if color == "red" else (30, 60, 230))
    _paint(image, dot, size // 16, (255, 255, 255))
    return image


def _paint(
    image: NDArray[np.uint8], place: NDArray[np.float64], half: int, color: tuple[int, int, int]
) -> None:
    size = len(image)
    x, y = (np.clip(place, 0, 1) * (size - 1)).round().astype(int)
    image[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1] = color


def episodes(
    count: int, seed: int, size: int = 32, cameras: tuple[str, ...] = ("top",)
) -> Iterator[Episode]:
    """Expert episodes, every other one to the red square."""
    spec = world_spec(size, cameras)
    world = world_record(spec)
    for index in range(count):
        generator = numpy_generator(seed, "points", index)
        task = spec.tasks[index % 2].task()
        squares = {color: generator.uniform(0.1, 0.9, 2) for color in INSTRUCTIONS}
        dot = generator.uniform(0.1, 0.9, 2)
        images: list[NDArray[np.uint8]] = []
        places: list[NDArray[np.float32]] = []
        actions: list[NDArray[np.float32]] = []
        for _ in range(40):
            way = squares[task.name] - dot
            action = way * min(1.0, SPEED / max(float(np.linalg.norm(way)), 1e-9))
            images.append(picture(dot, squares, size))
            places.append(dot.astype(np.float32))
            actions.append(action.astype(np.float32))
            if np.linalg.norm(way) < SPEED / 2:
                break
            dot = dot + action
        length = len(actions)
        last = np.zeros(length, np.bool_)
        last[-1] = True
        yield Episode(
            header=EpisodeHeader(
                id=f"points/{seed}/{index}",
                index=index,
                task=task,
                seed=index,
                world=world,
                policy="expert",
            ),
            images={name: np.stack(images) for name in cameras},
            state={"proprio": np.stack(places)},
            actions=np.stack(actions),
            rewards=last.astype(np.float32),
            successes=last,
            outcome=Outcome(success=True, steps=length, terminated=True, truncated=False),
        )


def write_points(
    path: Path,
    count: int = 40,
    seed: int = 0,
    size: int = 32,
    cameras: tuple[str, ...] = ("top",),
) -> Dataset:
    """Write ``count`` episodes to the directory ``path`` as a LeRobotDataset v3."""
    features = world_features(world_record(world_spec(size, cameras)))
    writer = DatasetWriter.create(path, features, 10, robot="points")
    return writer.append(episodes(count, seed, size, cameras))
