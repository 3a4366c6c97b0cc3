"""The T of PushT as geometry: outline, distances, contacts, and ways round it.

Everything here is in the block's own frame (px; its origin is the middle of the bar's outer edge,
the stem points to +y), where it does not move. Poses ``(x, y, angle)`` take it to the board.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PUSHER_RADIUS = 15.0
"""px."""
BOARD = 512.0
"""Side of the board, px."""
GOAL = (256.0, 256.0, float(np.pi / 4))
"""Pose of the mark: x, y in px, angle in rad."""
CENTRE = np.array([0.0, 45.0])
"""The block's centre of gravity, about which it turns, px."""
BOXES = np.array([[-60.0, 0.0, 60.0, 30.0], [-15.0, 30.0, 15.0, 120.0]])
"""Bar and stem: x0, y0, x1, y1, px."""
OUTLINE = np.array(
    [[-60, 0], [60, 0], [60, 30], [15, 30], [15, 120], [-15, 120], [-15, 30], [-60, 30]], float
)
"""Corners of the outline in order, px."""
RING = 98.0
"""Radius of the circle about the centre on which the pusher goes round, px: the T's farthest corner
is 76.5 px out, the pusher has 15 px, the rest is room."""
RING_POINTS = 48
GAP = 4.0
"""Room between pusher and block before a push, px."""

_SPREAD = float(np.mean(np.sum((OUTLINE - OUTLINE.mean(0)) ** 2, 1)))
"""Mean squared distance of the corners to their mean, px²."""


def to_board(points: Array, pose: Array) -> Array:
    """``(..., 2)`` points of the block's frame on the board."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return points @ np.array([[c, s], [-s, c]]) + pose[:2]


def to_block(points: Array, pose: Array) -> Array:
    """``(..., 2)`` points of the board in the block's frame."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return (points - pose[:2]) @ np.array([[c, -s], [s, c]])


def distance(points: Array) -> Array:
    """Signed distance of ``(..., 2)`` points to the T, px; negative inside."""
    half = (BOXES[:, 2:] - BOXES[:, :2]) / 2  # (2, 2)
    middle = (BOXES[:, 2:] + BOXES[:, :2]) / 2
    beyond = np.abs(points[..., None, :] - middle) - half  # (..., 2, 2)
    outside = np.sqrt(np.sum(np.maximum(beyond, 0.0) ** 2, -1))
    inside = np.minimum(beyond.max(-1), 0.0)
    return (outside + inside).min(-1)


def free(start: Array, end: Array, room: Array | float) -> NDArray[np.bool_]:
    """Whether the pusher's middle may go straight from ``start`` to ``end``, ``(..., 2)`` each.

    Args:
        room: what the distance to the T must not fall below on the way, px.
    """
    share = np.linspace(0.0, 1.0, 40)[:, None]
    points = start[..., None, :] * (1 - share) + end[..., None, :] * share  # (..., 40, 2)
    return distance(points).min(-1) >= room


def pose_error(poses: Array, goal: Array) -> Array:
    """How far the T's corners are from where they shall be, root mean square, px.

    Args:
        poses: ``(..., 3)`` x, y, angle.
        goal: ``(3,)``.

    Returns:
        ``(...)``. As a function of the pose it has one minimum, 0 at the goal.
    """
    mean = OUTLINE.mean(0)
    c, s = np.cos(poses[..., 2]), np.sin(poses[..., 2])
    x = poses[..., 0] + c * mean[0] - s * mean[1]
    y = poses[..., 1] + s * mean[0] + c * mean[1]
    there = to_board(mean, goal)
    turned = 2 * _SPREAD * (1 - np.cos(poses[..., 2] - goal[2]))
    return np.sqrt((x - there[0]) ** 2 + (y - there[1]) ** 2 + turned)


@dataclass(frozen=True, slots=True)
class Contacts:
    """Where the pusher can begin to push, in the block's frame."""

    begin: Array
    """``(C, 2)``: the pusher's middle, :data:`GAP` short of touching."""
    direction: Array
    """``(C, 2)``: unit vectors, into the T."""
    sees: NDArray[np.bool_]
    """``(C, K)``: whether the way to each point of the ring is free."""


@cache
def ring() -> Array:
    """``(K, 2)``: points round the T, in the block's frame."""
    turns = np.arange(RING_POINTS) * (2 * np.pi / RING_POINTS)
    points: Array = CENTRE + RING * np.stack([np.cos(turns), np.sin(turns)], 1)
    points.setflags(write=False)
    return points


@cache
def contacts(spacing: float = 7.5, tilt: float = 0.35) -> Contacts:
    """Pushes along the outline, every ``spacing`` px, straight in and tilted by ``tilt`` rad."""
    begins: list[Array] = []
    directions: list[Array] = []
    for corner, following in zip(OUTLINE, np.roll(OUTLINE, -1, 0), strict=True):
        along = (following - corner) / np.linalg.norm(following - corner)
        inward = np.array([-along[1], along[0]])
        steps = np.arange(2.0, np.linalg.norm(following - corner) - 1.9, spacing)
        for place in corner + steps[:, None] * along:
            for angle in (-tilt, 0.0, tilt):
                direction = np.cos(angle) * inward + np.sin(angle) * along
                begins.append(place - inward * PUSHER_RADIUS - direction * GAP)
                directions.append(direction)
    begin, direction = np.array(begins), np.array(directions)
    room = PUSHER_RADIUS + 0.5 * GAP
    possible = distance(begin) >= room
    begin, direction = begin[possible], direction[possible]
    sees = free(begin[:, None], ring()[None], room)
    found = sees.any(1)
    return Contacts(begin=begin[found], direction=direction[found], sees=sees[found])


@dataclass(frozen=True, slots=True)
class Ways:
    """Shortest ways from one place to all contacts that turn in one direction round the T."""

    length: Array
    """``(C,)``, px; infinite where there is none."""
    leave: NDArray[np.int64]
    """``(C,)``: the ring's point it arrives at first; -1 where the straight way is free."""
    enter: NDArray[np.int64]
    """``(C,)``: the ring's point it leaves for the contact."""


def ways(start: Array, valid: NDArray[np.bool_], turn: int, *, strict: bool = False) -> Ways:
    """The ways from ``start``, turning by rising ring index (``turn`` 1) or falling (-1).

    Args:
        start: ``(2,)``, the pusher's middle in the block's frame, px.
        valid: ``(K,)``, which of the ring's points are on the board.
        turn: which way round.
        strict: no piece of a way may sweep the other way round. Otherwise only the arcs on the ring
            keep to it, and a straight way is taken wherever one is free.
    """
    found, circle = contacts(), ring()
    clear = PUSHER_RADIUS + 0.5 * GAP
    room = min(clear, float(distance(start)) - 0.3)
    seen = free(start, circle, room) & valid  # (K,)
    if strict:
        seen = seen & _ahead(start, circle, turn)
    arcs = np.where(seen[:, None], _arcs(valid, turn), np.inf)  # (K, K)
    reach = np.linalg.norm(circle - start, axis=1)[:, None] + arcs
    leave = reach.argmin(0)  # (K,) best first point for each last point
    onward = np.linalg.norm(found.begin[:, None] - circle, axis=2)  # (C, K)
    sees = found.sees & valid
    straight = free(start, found.begin, room)
    if strict:
        sees = sees & _ahead(circle, found.begin[:, None], turn)
        straight = straight & _ahead(start, found.begin, turn)
    total = np.where(sees, reach.min(0) + onward, np.inf)
    enter = total.argmin(1)
    length = total.min(1)
    length = np.where(straight, np.linalg.norm(found.begin - start, axis=1), length)
    return Ways(length=length, leave=np.where(straight, -1, leave[enter]), enter=enter)


def _ahead(start: Array, end: Array, turn: int) -> NDArray[np.bool_]:
    """Whether going from ``start`` to ``end`` sweeps less than half a turn the way of ``turn``."""
    a, b = start - CENTRE, end - CENTRE
    return turn * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) >= 0


def _arcs(valid: NDArray[np.bool_], turn: int) -> Array:
    """``(K, K)``: length of the way along the ring, infinite where it leaves the board."""
    index = np.arange(RING_POINTS)
    steps = ((index[None] - index[:, None]) * turn) % RING_POINTS  # from row to column
    # How many ring points ahead of each row are valid before the first that is not.
    ahead = (index[:, None] + turn * np.arange(RING_POINTS)[None]) % RING_POINTS
    reach = np.cumprod(valid[ahead], 1).sum(1)[:, None]
    length = steps * (2 * np.pi / RING_POINTS) * RING
    return np.where(steps < reach, length, np.inf)


def way_points(start: Array, contact: int, way: Ways, turn: int) -> Array:
    """``(N, 2)``: corners of the way from ``start`` to a contact, in the block's frame."""
    found, circle = contacts(), ring()
    begin = found.begin[contact]
    if way.leave[contact] < 0:
        return np.stack([start, begin])
    first, last = int(way.leave[contact]), int(way.enter[contact])
    count = ((last - first) * turn) % RING_POINTS + 1
    arc = circle[(first + turn * np.arange(count)) % RING_POINTS]
    points = [start, *arc, begin]
    # Cut corners where that is free. A chord of less than half the circle stays on this side.
    room = PUSHER_RADIUS + 1.5 * GAP
    kept, at = [points[0]], 0
    while at < len(points) - 1:
        most = min(len(points) - 1, at + RING_POINTS // 3)
        for to in range(most, at, -1):
            least = min(room, float(distance(points[at])) - 0.3, float(distance(points[to])) - 0.3)
            if to == at + 1 or bool(free(points[at], points[to], least)):
                kept.append(points[to])
                at = to
                break
    return np.stack(kept)


def turned(pusher: Array, pose: Array) -> float:
    """The angle that the pusher swept round the T's centre, rad; its sign is the way it went.

    Args:
        pusher: ``(T, 2)`` its places on the board, less than half a turn apart.
        pose: ``(3,)`` the T's pose, which must not change meanwhile.
    """
    seen = to_block(pusher, pose) - CENTRE
    angles = np.unwrap(np.arctan2(seen[:, 1], seen[:, 0]))
    return float(angles[-1] - angles[0])
