"""Where things stand: circles that keep their distance, drawn by rejection.

Every place that any perturbation could need is drawn for every scene, and everything keeps clear of
all of them. So a perturbation moves what its axis names, and nothing makes room for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]

REACH = (0.44, 0.36)
"""Half sides of the area that the hand reaches, m."""
AREA = (0.26, 0.18)
"""Half sides of the area where things stand in training, m."""
WIDE = (0.33, 0.25)
"""Half sides of the area where added distractors stand, m."""

OBJECT = 0.058
"""Radius that an object keeps free, m: half the distance that lets open fingers pass."""
LARGE = 0.070
"""Radius of a support."""
CONTAINER = 0.092
MARK = 0.085


class NoRoom(RuntimeError):
    """No free place was found; the areas are too small for what should stand there."""


@dataclass(frozen=True, slots=True)
class Group:
    """Things that stand in a fixed arrangement."""

    circles: tuple[tuple[Point, float], ...]
    """Offsets from the group's place, m, and radii, m; the first is the group's main thing."""

    def at(self, place: Point) -> list[tuple[Point, float]]:
        """The circles of the group at ``place``."""
        x, y = place
        return [((x + dx, y + dy), radius) for (dx, dy), radius in self.circles]


@dataclass(slots=True)
class Taken:
    """What is occupied: circles, and lanes along which something will be pushed."""

    circles: list[tuple[Point, float]] = field(default_factory=list[tuple[Point, float]])
    lanes: list[tuple[Point, Point, float]] = field(
        default_factory=list[tuple[Point, Point, float]]
    )

    def free(self, circles: Sequence[tuple[Point, float]]) -> bool:
        """Whether ``circles`` touch nothing that is occupied."""
        for (x, y), radius in circles:
            for (u, v), other in self.circles:
                if (x - u) ** 2 + (y - v) ** 2 < (radius + other) ** 2:
                    return False
            for start, end, width in self.lanes:
                if _distance((x, y), start, end) < radius + width:
                    return False
        return True


def _distance(point: Point, start: Point, end: Point) -> float:
    """Distance of a point from a segment, m."""
    p, a, b = np.asarray(point), np.asarray(start), np.asarray(end)
    along = b - a
    share = float(np.clip((p - a) @ along / max(float(along @ along), 1e-9), 0.0, 1.0))
    return float(np.linalg.norm(p - a - share * along))


def inside(circles: Sequence[tuple[Point, float]], area: tuple[float, float]) -> bool:
    """Whether the centres lie in the rectangle about the table's middle."""
    return all(abs(x) <= area[0] and abs(y) <= area[1] for (x, y), _ in circles)


def uniform(area: tuple[float, float]) -> Callable[[np.random.Generator], Point]:
    """Draws places evenly over the rectangle about the table's middle."""

    def draw(generator: np.random.Generator) -> Point:
        x, y = generator.uniform(-1.0, 1.0, 2)
        return float(x * area[0]), float(y * area[1])

    return draw


def strips(
    x: tuple[float, float], y: tuple[float, float], mirror: NDArray[np.float64]
) -> Callable[[np.random.Generator], Point]:
    """Draws places from a rectangle, mirrored by one of the rows of ``mirror`` ``(N, 2)``."""

    def draw(generator: np.random.Generator) -> Point:
        sign = mirror[generator.integers(len(mirror))]
        return float(sign[0] * generator.uniform(*x)), float(sign[1] * generator.uniform(*y))

    return draw


def place(
    generator: np.random.Generator,
    group: Group,
    draw: Callable[[np.random.Generator], Point],
    taken: Taken,
    area: tuple[float, float],
    tries: int = 400,
) -> Point | None:
    """A free place for ``group`` inside ``area``, or None where none was found."""
    for _ in range(tries):
        spot = draw(generator)
        circles = group.at(spot)
        if inside(circles, area) and taken.free(circles):
            return spot
    return None
