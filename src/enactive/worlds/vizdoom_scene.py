"""ViZDoom's truth: what is where, as a vector, and what can be read from it."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.observations import StateVector

OBJECTS = 64
"""Most objects of a scene that the truth lists."""

WALLS = 96
"""Most walls of a map that the truth lists; the largest of these maps has 76."""

KINDS = {
    "Cacodemon": 1, "Demon": 1, "MarineChainsawVzd": 1, "DoomImp": 1, "Zombieman": 1,
    "ShotgunGuy": 1, "ChaingunGuy": 1, "Medikit": 2, "GreenArmor": 3, "DoomImpBall": 4,
    "PatrolPoint": 5,
}  # fmt: skip
"""Object of the engine to what the players take it for: 1 a living enemy, 2 a medkit, 3 the vest,
4 a fireball, 5 a mark in the map that a monster walks to. Others (corpses, puffs) are left out."""

OWN = ("x", "y", "angle", "speed.x", "speed.y", "health", "ammo", "attack_ready")
OBJECT = ("kind", "x", "y", "angle", "speed.x", "speed.y")
WALL = ("x1", "y1", "x2", "y2", "opaque")

TRUTH = StateVector(
    name="vizdoom",
    names=(
        *OWN,
        *(f"object{i}.{what}" for i in range(OBJECTS) for what in OBJECT),
        *(f"wall{i}.{what}" for i in range(WALLS) for what in WALL),
    ),
    unit="mixed: map units, degrees anticlockwise from x, map units a tic, kinds as in KINDS; 0 "
    "where there is none",
)
"""Where the player, the objects and the walls are."""

Wall = tuple[float, float, float, float, float]
"""From where to where, map units; 1 if nothing is seen or shot through it, 0 if it only bars the
way."""


def truth_of(
    own: Sequence[float], things: Sequence[Sequence[float]], walls: Sequence[Wall]
) -> NDArray[np.float64]:
    """The truth, ``float64 (872,)``: numbers of :data:`OWN`, rows of :data:`OBJECT` and walls."""
    truth = np.zeros(TRUTH.size)
    truth[: len(OWN)] = own
    of_things, of_walls = np.split(truth[len(OWN) :], [OBJECTS * len(OBJECT)])
    of_things[: len(things) * len(OBJECT)] = np.ravel(things)
    of_walls[: len(walls) * len(WALL)] = np.ravel(walls)
    return truth


def speed_of(
    thing: Any, before: Mapping[int, tuple[float, float]], tics: int
) -> tuple[float, float]:
    """Map units a tic: the engine's for what flies. What walks has none there, because the engine
    moves it by steps; for that it is the mean of the ``tics`` since it was where ``before`` says,
    which is number of an object to its place."""
    speed = (float(thing.velocity_x), float(thing.velocity_y))
    if any(speed) or thing.id not in before:
        return speed
    x, y = before[thing.id]
    return (thing.position_x - x) / tics, (thing.position_y - y) / tics


def walls_of(sectors: Any) -> list[Wall]:
    """Lines of the map that a player cannot cross, each once; one with floor on either side is a
    line of two sectors."""
    sides = collections.Counter(
        (float(line.x1), float(line.y1), float(line.x2), float(line.y2))
        for sector in sectors
        for line in sector.lines
        if line.is_blocking
    )
    return sorted((*ends, float(count == 1)) for ends, count in sides.items())[:WALLS]


ENEMY, MEDKIT, VEST, FIREBALL, MARK = 1, 2, 3, 4, 5

Things = NDArray[np.float64]
"""``(N, 2)``: places of one kind of object, map units, relative to the player: ahead, left."""


def objects(truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(64, 6)``: the objects' kinds, places, angles and speeds; kind 0 where there is none."""
    return truth[len(OWN) : len(OWN) + OBJECTS * len(OBJECT)].reshape(-1, len(OBJECT))


def walls(truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(N, 5)``: from where to where, map units, and whether they are opaque."""
    listed = truth[len(OWN) + OBJECTS * len(OBJECT) :].reshape(-1, len(WALL))
    return listed[listed[:, :4].any(-1)]


def things(truth: NDArray[np.float64], kind: int) -> Things:
    """Where the objects of one kind are, as the player sees them."""
    listed = objects(truth)
    return relative(truth, listed[listed[:, 0] == kind, 1:3])


def relative(truth: NDArray[np.float64], places: NDArray[np.float64]) -> Things:
    """Places ``(N, 2)`` of the map as the player sees them."""
    angle = np.radians(truth[2])
    ahead = np.array([np.cos(angle), np.sin(angle)])
    left = np.array([-ahead[1], ahead[0]])
    away = places - truth[:2]
    return np.stack([away @ ahead, away @ left], axis=-1)


def in_sight(truth: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether no opaque wall is between the player and each of ``places`` ``(N, 2)``, ``(N,)``."""
    listed = walls(truth)
    listed = listed[listed[:, 4] == 1]
    start, along = listed[:, :2], listed[:, 2:4] - listed[:, :2]  # (W, 2)
    look = (places - truth[:2])[:, None]  # (N, 1, 2)
    gap = start - truth[:2]  # (W, 2)
    turn = _cross(look, along)  # (N, W); 0 where they are parallel, which hides nothing
    safe = np.where(turn == 0, 1.0, turn)
    far, where = _cross(gap, along) / safe, _cross(gap, look) / safe
    hidden = (turn != 0) & (far > 0) & (far < 1) & (where >= 0) & (where <= 1)
    return ~hidden.any(-1)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
