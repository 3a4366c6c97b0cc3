"""Scenes for questions: things of any size at any place, and which of them an action is about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from enactive.worlds.tabletop.scene import Scene, Thing
from enactive.worlds.tabletop.setting import CameraSetting, Dynamics, LightSetting, Surfaces
from enactive.worlds.tabletop.tasks import Family, TableTask
from enactive.worlds.tabletop.vocabulary import CONTAINERS, ROUND, SHAPES, Look, Relation

Point = tuple[float, float]

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
"""Colours of what questions are about; all pairs of colour and shape occur equally often."""
AREA = (0.19, 0.13)
"""Half sides of the area where things stand, m."""
NEAR_VIEW, WIDE_VIEW = 0.72, 1.3
"""Distances of the cameras, as factors of the tabletop's own."""
PARKED = (-0.44, 0.38, 0.40, 0.0)
"""Where the hand is in stills: out of the way. x, y, z in m, yaw in rad."""
READY = (0.0, 0.05, 0.20, 0.0)
"""Where it begins in clips, give or take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sized(Look):
    """Looks with extents of their own instead of one of the named sizes."""

    extents: tuple[float, float, float]
    """Half extents, m."""

    @property
    def half(self) -> tuple[float, float, float]:
        return self.extents


def scaled(colour: str, shape: str, factor: float) -> Sized:
    """An object ``factor`` times as large as a medium one."""
    x, y, z = SHAPES[shape]
    return Sized(colour=colour, shape=shape, extents=(x * factor, y * factor, z * factor))


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Something that stands in a scene."""

    look: Look
    at: Point
    """Centre as seen from above, m."""
    bottom: float = 0.0
    """Height of its lower side, m: 0 on the table."""
    yaw: float = 0.0
    material: str = "wood"


def scene(pieces: Sequence[Piece], *, view: float = NEAR_VIEW,
          hand: tuple[float, float, float, float] = PARKED) -> Scene:  # fmt: skip
    """A scene of ``pieces``, in whose roles are their numbers: ``"0"``, ``"1"``...

    Nothing is to be done in it until :func:`cast` says what.
    """
    things = tuple(
        Thing(
            role=str(number),
            look=piece.look,
            slot=number,
            position=(*piece.at, piece.bottom + piece.look.half[2]),
            yaw=piece.yaw if piece.look.shape in SHAPES and piece.look.shape not in ROUND else 0.0,
            material=piece.material,
        )
        for number, piece in enumerate(pieces)
    )
    return Scene(
        task=TableTask(name="question", family=Family.TOUCH, named=pieces[0].look),
        perturbations=(),
        seed=0,
        things=things,
        hand=hand,
        cabinet=(0.0, 0.0),
        cameras=CameraSetting(distance=view),
        light=LightSetting(),
        surfaces=Surfaces(),
        dynamics=Dynamics(),
    )


def cast(
    staged: Scene, family: Family, named: int, target: int | None = None,
    relation: Relation | None = None,
) -> Scene:  # fmt: skip
    """The same scene with something to be done in it: its states fit both.

    Args:
        staged: the scene.
        family: what is to be done.
        named: number of the thing that is to be handled.
        target: number of where it shall go.
        relation: how it shall stand to the target.
    """
    roles: Mapping[int | None, str] = {target: "target", named: "named"}
    things = tuple(
        replace(thing, role=roles.get(number, f"other-{number}"))
        for number, thing in enumerate(staged.things)
    )
    task = TableTask(
        name="question", family=family, named=things[named].look,
        target=things[target].look if target is not None else None, relation=relation,
    )  # fmt: skip
    return replace(staged, task=task, things=things)


def spots(
    draw: np.random.Generator, radii: Sequence[float], area: Point = AREA,
    taken: Sequence[tuple[Point, float]] = (),
) -> list[Point]:  # fmt: skip
    """Places for circles of ``radii`` that touch neither one another nor those ``taken``.

    Raises:
        RuntimeError: they do not fit.
    """
    for _ in range(60):
        circles = list(taken)
        for radius in radii:
            for _ in range(80):
                x, y = (draw.uniform(-1.0, 1.0, 2) * area).tolist()
                if all(math.hypot(x - u, y - v) > radius + r for (u, v), r in circles):
                    circles.append(((x, y), radius))
                    break
            else:
                break
        else:
            return [spot for spot, _ in circles[len(taken) :]]
    raise RuntimeError(f"no room for circles of {list(radii)} m")


def footprint(look: Look) -> float:
    """Radius of what a thing covers, and of the room that open fingers need beside it, m."""
    return math.hypot(*look.half[:2]) + (0.005 if look.shape in CONTAINERS else 0.03)


def some(draw: np.random.Generator, pool: Sequence[str], count: int) -> list[str]:
    """``count`` different ones of ``pool``, in random order."""
    return [str(pool[int(i)]) for i in draw.permutation(len(pool))[:count]]


def one(draw: np.random.Generator, pool: Sequence[str]) -> str:
    """One of ``pool``."""
    return pool[int(draw.integers(len(pool)))]
