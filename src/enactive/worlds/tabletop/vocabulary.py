"""What things on the table can be: colours, shapes, sizes, materials, containers, relations.

Training scenes hold half of all colour-shape combinations. The other half, two further colours, a
further shape and two further sizes appear under perturbations of the axis ``object`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.80, 0.12, 0.12),
    "green": (0.15, 0.60, 0.20),
    "blue": (0.15, 0.25, 0.80),
    "yellow": (0.90, 0.80, 0.10),
    "purple": (0.50, 0.15, 0.60),
    "orange": (0.95, 0.50, 0.10),
    "cyan": (0.10, 0.75, 0.80),
    "pink": (0.95, 0.50, 0.70),
    "white": (0.90, 0.90, 0.92),
    "grey": (0.45, 0.47, 0.50),
    "brown": (0.50, 0.35, 0.22),
    "black": (0.10, 0.10, 0.12),
}
"""Colour to RGB in [0, 1]. White, grey, brown and black are for containers, marks and furniture."""

HELD_OUT_COLOURS = ("cyan", "pink")

SHAPES: Mapping[str, tuple[float, float, float]] = {
    "cube": (0.020, 0.020, 0.020),
    "ball": (0.020, 0.020, 0.020),
    "cylinder": (0.020, 0.020, 0.024),
    "brick": (0.036, 0.019, 0.018),
    "puck": (0.027, 0.027, 0.013),
}
"""Shape to half extents of its medium size, m: x, y, z with the object's own axes. Balls and
cylinders (upright; a puck is a flat one) have their radius as the first two."""

ROUND = ("ball", "cylinder", "puck")
"""Shapes that look the same from every side."""

SIZES: Mapping[str, float] = {
    "tiny": 0.65, "small": 0.8, "medium": 1.0, "large": 1.3, "huge": 1.5
}  # fmt: skip
"""Size to factor of the half extents; tiny and huge are held out."""

CONTAINERS: Mapping[str, tuple[float, float, float]] = {
    "bowl": (0.056, 0.056, 0.022),
    "tray": (0.060, 0.060, 0.008),
    "box": (0.058, 0.058, 0.028),
}
"""Container to the half extents of its outside, m. Containers are fixed to the table."""

CONTAINER_COLOURS: Mapping[str, str] = {"bowl": "white", "tray": "grey", "box": "brown"}

MARKS: Mapping[str, str] = {"square": "white", "circle": "black"}
"""Kind of a mark on the table to its colour."""

MARK_HALF = 0.05
"""Half side, or radius, of a mark, m."""

FURNITURE = ("drawer", "door")

KINDS = (*SHAPES, *CONTAINERS, *MARKS, *FURNITURE)
"""Every shape a thing may have, in the order of one-hot vectors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What an object is made of."""

    density: float
    """kg/m³."""
    friction: float
    """Sliding friction coefficient on the table."""
    shine: float
    """Specular part of its looks, in [0, 1]."""


MATERIALS: Mapping[str, Material] = {
    "wood": Material(density=600.0, friction=0.5, shine=0.1),
    "rubber": Material(density=1000.0, friction=0.9, shine=0.0),
    "metal": Material(density=2400.0, friction=0.3, shine=0.9),
}


class Relation(StrEnum):
    """How one thing stands to another, seen from in front of the table (the side of the camera
    ``front``): right is +x, behind is +y, away from the viewer."""

    LEFT = "left of"
    RIGHT = "right of"
    BEHIND = "behind"
    FRONT = "in front of"
    ON = "on top of"
    IN = "inside"


DIRECTIONS: Mapping[Relation, tuple[float, float]] = {
    Relation.LEFT: (-1.0, 0.0),
    Relation.RIGHT: (1.0, 0.0),
    Relation.BEHIND: (0.0, 1.0),
    Relation.FRONT: (0.0, -1.0),
}
"""Directional relations and their direction on the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What tells one thing from another: colour, shape and size."""

    colour: str
    shape: str
    size: str = "medium"

    @property
    def phrase(self) -> str:
        """``"red cube"``; containers and furniture go without colour (there is one of each)."""
        if self.shape in CONTAINERS or self.shape in FURNITURE:
            return self.shape
        return f"{self.colour} {self.shape}"

    @property
    def half(self) -> tuple[float, float, float]:
        """Half extents, m."""
        if self.shape in SHAPES:
            x, y, z = SHAPES[self.shape]
            scale = SIZES[self.size]
            return (x * scale, y * scale, z * scale)
        if self.shape in CONTAINERS:
            return CONTAINERS[self.shape]
        return (MARK_HALF, MARK_HALF, 0.0005)


TRAINING_COMBINATIONS: tuple[tuple[str, str], ...] = (
    ("red", "cube"), ("red", "ball"),
    ("green", "cylinder"), ("green", "brick"),
    ("blue", "brick"), ("blue", "ball"),
    ("yellow", "cube"), ("yellow", "cylinder"),
    ("purple", "cylinder"), ("purple", "brick"),
    ("orange", "ball"), ("orange", "cube"),
)  # fmt: skip
"""Colour-shape combinations of training scenes."""

HELD_OUT_COMBINATIONS: tuple[tuple[str, str], ...] = tuple(
    (colour, shape)
    for colour in ("red", "green", "blue", "yellow", "purple", "orange")
    for shape in ("cube", "ball", "cylinder", "brick")
    if (colour, shape) not in TRAINING_COMBINATIONS
)
"""The other half, in which every colour and every shape is known and their pair is not."""
