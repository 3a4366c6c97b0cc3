"""Attempts to put a cube into a container: done as told, or gone wrong in one of four ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from enactive.worlds.questions.acting import CLOSED, OPEN, Act
from enactive.worlds.questions.staging import (
    AREA,
    COLOURS,
    READY,
    Piece,
    footprint,
    one,
    scaled,
    scene,
    some,
    spots,
)
from enactive.worlds.tabletop.relations import holds
from enactive.worlds.tabletop.tasks import Family, container
from enactive.worlds.tabletop.vocabulary import CONTAINERS, Relation

FAILURES: Mapping[str, str] = {
    "missed": "the fingers closed beside the cube",
    "other": "it took another cube",
    "dropped": "it lost the cube on the way",
    "beside": "it put the cube down beside the container",
}
"""Kind of failure to the words for it."""

DONE = "done"
"""The attempt that goes as told."""

CUBE, OTHER, THIRD, TARGET = range(4)
"""Numbers of the things in the scene of an attempt."""

_TRIES = 40
_OVER = 0.15
"""Height at which the hand goes to the container, m."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What the arm did, and what it had been told."""

    act: Act
    colours: tuple[str, str, str]
    """Of the cubes, in the order of their numbers."""
    target: str
    """What the container is."""

    @property
    def named(self) -> str:
        """Colour of the cube that was to be put into the container."""
        return self.colours[CUBE]


def attempt(draw: np.random.Generator, kind: str) -> Attempt:
    """An attempt of ``kind``, one of :data:`FAILURES` or :data:`DONE`; truth confirms what it is.

    The words are drawn before anything else, so that they do not tell the kind.
    """
    colours, target = some(draw, COLOURS, 3), one(draw, tuple(CONTAINERS))
    for _ in range(_TRIES):
        act = begin(draw, colours, target)
        _do(draw, act, kind)
        if found(act) == kind:
            return Attempt(act=act, colours=(colours[0], colours[1], colours[2]), target=target)
    raise RuntimeError(f"no attempt is {kind!r} in {_TRIES} scenes")


def begin(draw: np.random.Generator, colours: list[str], target: str) -> Act:
    """Three cubes of ``colours`` and a container, before anything is done."""
    looks = [*(scaled(colour, "cube", 1.1) for colour in colours), container(target)]
    places = spots(draw, [footprint(look) + 0.005 for look in looks], AREA)
    pieces = [Piece(look=x, at=at) for x, at in zip(looks, places, strict=True)]
    x, y = draw.uniform(-0.06, 0.06, 2).tolist()
    return Act.begin(scene(pieces, hand=(x, READY[1] + y, READY[2], 0.0)), settle=2)


def found(act: Act) -> str:
    """What an attempt was, from where things lie and what was held; ``""`` if none of these."""
    ever = {number for number in act.held if number is not None}
    moved = np.hypot(*(act.places[-1] - act.places[0])[:, :2].T) > 0.03
    if moved[THIRD] or act.held[-1] is not None:
        return ""
    lies = inside(act, CUBE)
    if ever == {CUBE}:
        if lies:
            return DONE if not moved[OTHER] else ""
        away = np.hypot(*(act.places[-1][CUBE] - act.places[-1][TARGET])[:2])
        return "beside" if away < 0.13 else "dropped"
    if ever == {OTHER}:
        return "other" if inside(act, OTHER) and not moved[CUBE] else ""
    return "missed" if not ever and not moved.any() else ""


def inside(act: Act, number: int) -> bool:
    """Whether a cube lies in the container now."""
    centre, where = act.places[-1][number].tolist(), act.places[-1][TARGET].tolist()
    things = act.staged.things
    return holds(Relation.IN, centre, things[number].look.half, where, things[TARGET].look)


def _do(draw: np.random.Generator, act: Act, kind: str) -> None:
    if kind in (DONE, "other"):
        number = CUBE if kind == DONE else OTHER
        act.expert(Family.PUT_IN, number, TARGET, Relation.IN)
        x, y = act.hands[-1][:2].tolist()
        act.go(x, y, _OVER, OPEN)
        return
    x, y, z = act.places[0][CUBE].tolist()
    u, v = act.places[0][TARGET, :2].tolist()
    if kind == "missed":
        side = float(draw.choice([-1.0, 1.0])) * float(draw.uniform(0.050, 0.060))
        act.go(x, y + side, _OVER, OPEN)
        act.go(x, y + side, z, OPEN)
        act.go(x, y + side, z, CLOSED, settle=6)
        act.go(x, y + side, _OVER, CLOSED)
        act.go(u, v, _OVER, CLOSED)
        act.go(u, v, _OVER, OPEN, settle=4)
        return
    if not act.expert(Family.PICK, CUBE):
        return
    if kind == "dropped":
        share = float(draw.uniform(0.25, 0.5))
        act.go(x + share * (u - x), y + share * (v - y), _OVER, CLOSED)
        act.wait(6, OPEN)
        act.go(u, v, _OVER, OPEN, settle=4)
        return
    angle = float(draw.uniform(0.0, 2 * np.pi))
    beside = (u + 0.105 * np.cos(angle), v + 0.105 * np.sin(angle))
    act.go(*beside, _OVER, CLOSED)
    act.go(*beside, z + 0.008, CLOSED)
    act.go(*beside, z + 0.008, OPEN, settle=5)
    act.go(*beside, _OVER, OPEN)
