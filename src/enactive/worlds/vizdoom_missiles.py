"""What flies in ViZDoom: where a rocket meets a monster, and how to strafe clear of fireballs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enactive.worlds.vizdoom import TICS
from enactive.worlds.vizdoom_scene import OBJECT

ROCKET_DELAY, ROCKET_START, ROCKET_SPEED = 9.0, 30.0, 20.0
"""So many tics after the key the rocket is there, so far ahead of the player, and flies so many map
units a tic."""
STRIDE = 20.0 / 3.0
"""How far the monster of ``predict_position`` walks in a tic, map units."""
LANE = 10.0
"""How far off the line between its marks it still walks along that line, map units; the engine
makes a monster that is farther off walk slantwise."""
BEND = 40.0
"""How far from its marks it may turn round, map units."""
ABREAST = 150.0
"""How far to the side of the player it is shot at while it walks in a zigzag, map units."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to fire."""

    at: NDArray[np.float64]
    """``(2,)``: a place in the map."""
    sure: bool
    """Whether the monster can be expected there."""


def aim_ahead(
    place: NDArray[np.float64], monster: NDArray[np.float64], marks: NDArray[np.float64]
) -> Aim:
    """Where a rocket fired now meets the monster of ``predict_position``.

    It walks to and fro between a mark in the north and one in the south: straight, or in a zigzag
    about the line between them. Where a zigzag's next corner is, nobody knows; it is met when it
    comes past the player, where its distance makes little difference to the aim.

    Args:
        place: ``(2,)``, the player's.
        monster: ``(6,)``, an object of the truth.
        marks: ``(N, 6)``, the same, N > 0.
    """
    x, y, heading = monster[1:4].tolist()
    across, along = monster[OBJECT.index("speed.x") :].tolist()
    lane = float(marks[0, 1])
    straight = across == 0 and abs(heading % 180 - 90) < 1 and abs(x - lane) <= LANE
    stride = STRIDE if straight else STRIDE * np.sqrt(0.5)
    start = np.array([x if straight else lane, y])
    walk = np.array([0.0, np.sign(along) * stride])
    flight = 0.0  # tics from now until it hits
    for _ in range(20):
        away = float(np.linalg.norm(start + flight * walk - place))
        flight = ROCKET_DELAY + (away - ROCKET_START) / ROCKET_SPEED
    at = start + flight * walk
    south, north = marks[:, 2].min() + BEND, marks[:, 2].max() - BEND
    sure = south < at[1] < north if straight else abs(at[1] - place[1]) < ABREAST
    return Aim(at, bool(along != 0 and sure))


THRUST, FRICTION = 0.75, 0.90625
"""Of a player that strafes: what a tic adds to its speed (map units a tic), and the part of the
speed that is left after one."""
RADIUS = 16.0
"""Half the width of the player, map units."""
HORIZON = 60
"""Tics that are looked ahead: in that time a fireball crosses the room."""
TOUCH = 24.0
"""Distance along x and y at which a fireball hits, map units: its half width, the player's, and a
little more."""
WIDE = 60.0
"""Distance beyond which more is no better, map units."""


def best_strafe(
    *,
    place: NDArray[np.float64],
    speed: float,
    balls: NDArray[np.float64],
    room: tuple[float, float],
) -> int:
    """Tics to strafe for, to the north if positive, before standing still: the best of all such
    ways.

    A way is the worse the closer each ball comes, far worse where one hits, and, other things being
    equal, where it ends away from the middle of the room.

    Args:
        place: ``(2,)``, the player's.
        speed: the player's, northwards, map units a tic.
        balls: ``(B, 6)``, objects of the truth.
        room: least and largest y of the room.
    """
    pressed = np.arange(-HORIZON, HORIZON + 1, TICS)  # (P,)
    ways = _ways(pressed, float(place[1]), speed, room)  # (P, T)
    tics = np.arange(1, HORIZON + 1)[:, None]  # (T, 1)
    flown = balls[:, None, 1:3] + tics * balls[:, None, 4:6]  # (B, T, 2)
    beside = np.abs(flown[:, :, 0] - place[0])  # (B, T)
    aside = np.abs(flown[:, :, 1] - ways[:, None])  # (P, B, T)
    gap = np.maximum(aside, beside).min(-1)  # (P, B)
    danger = (np.clip(1 - gap / WIDE, 0, None) + 10.0 * (gap < TOUCH)).sum(-1)
    off = np.abs(ways[:, -1] - sum(room) / 2) / (room[1] - room[0])
    return int(pressed[int(np.argmin(danger + 0.2 * off))])


def _ways(
    pressed: NDArray[np.int64], y: float, speed: float, room: tuple[float, float]
) -> NDArray[np.float64]:
    """``(P, T)``: y after each tic when strafing for so many tics, as the engine moves it."""
    at, speeds = np.full(len(pressed), y), np.full(len(pressed), speed)
    ways = np.zeros((len(pressed), HORIZON))
    low, high = room[0] + RADIUS, room[1] - RADIUS
    for tic in range(HORIZON):
        speeds = speeds + THRUST * np.sign(pressed) * (tic < np.abs(pressed))
        at = at + speeds
        walled = (at < low) | (at > high)
        at, speeds = np.clip(at, low, high), np.where(walled, 0.0, speeds * FRICTION)
        ways[:, tic] = at
    return ways
