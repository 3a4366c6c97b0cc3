"""Motions of LIBERO's scripted expert: what to do about one literal of a goal, as waypoints.

Every function reads the simulator's truth (:data:`enactive.worlds.libero_state.TRUTH`) and returns
the next few waypoints. Positions are in m from the robot's base, turns as matrices whose columns
are the hand's axes: the third points out of the hand, along the fingers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.worlds.libero_state import part_of_truth

Vector = NDArray[np.float64]

OPEN, CLOSED = -1.0, 1.0
GRIP_WIDTH = 0.072
"""Things wider than this are not taken across, but by their rim, m; the fingers open 0.08."""
UP = np.array([0.0, 0.0, 1.0])
_RISE = 0.12
"""Between things that a transport passes and what is transported, m."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waypoint:
    """Where the hand shall be."""

    place: tuple[float, float, float]
    """Of the fingertips, m from the base."""
    turn: tuple[float, ...]
    """Of the hand, nine entries of a matrix, row by row."""
    gripper: float
    """:data:`OPEN` or :data:`CLOSED`."""
    tolerance: float = 0.01
    """How near counts as there, m."""
    hold: int = 0
    """Steps to stay, once there."""
    patience: int = 60
    """Steps after which it is given up and the next one begins."""


def _waypoint(place: Vector, turn: Vector, gripper: float) -> Waypoint:
    x, y, z = (float(entry) for entry in place)
    return Waypoint(place=(x, y, z), turn=tuple(turn.reshape(-1).tolist()), gripper=gripper)


def hand_turn(forward: Vector, closing: Vector, truth: Vector) -> Vector:
    """The orientation ``(3, 3)`` of a hand that points along ``forward`` and closes its fingers
    along ``closing`` or against it, whichever is the smaller turn from where it is."""
    now = _matrix(part_of_truth(truth, "hand.q"))
    local = now.T @ part_of_truth(truth, "closing")  # the fingers' direction in the hand's axes
    forward = forward / np.linalg.norm(forward)
    closing = closing - forward * (closing @ forward)
    closing = closing / np.linalg.norm(closing)
    own = np.column_stack([local, [0.0, 0.0, 1.0], np.cross(local, [0.0, 0.0, 1.0])])
    best, least = now, np.inf
    for sign in (1.0, -1.0):
        wanted = np.column_stack([sign * closing, forward, np.cross(sign * closing, forward)])
        turn = wanted @ np.linalg.inv(own)
        angle = float(np.linalg.norm(Rotation.from_matrix(turn @ now.T).as_rotvec()))
        if angle < least:
            best, least = turn, angle
    return best


def carried(truth: Vector, literal: int) -> bool:
    """Whether what the literal is about is between the fingers and off the ground with them."""
    box = _box(truth, literal)
    hand, opening = part_of_truth(truth, "hand"), part_of_truth(truth, "opening")[0]
    near = np.abs(hand - box.centre) <= box.half + 0.025
    return bool(near.all() and 0.0015 < opening < 0.078 and hand[2] > box.centre[2] - 0.02)


def grasp(truth: Vector, literal: int, home: Vector, attempt: int) -> list[Waypoint]:
    """Take the thing from above and lift it: across its narrow side, or by its rim."""
    box = _box(truth, literal)
    top = box.centre[2] + box.half[2]
    across = 0 if box.half[0] <= box.half[1] else 1
    closing = box.axes[across]
    place = box.centre.copy()
    if 2 * box.half[across] > GRIP_WIDTH:
        # By the rim, to the side: there the other finger is free, and the arm is not in the way.
        angle = (0.0, np.pi, np.pi / 2, -np.pi / 2)[attempt % 4]
        closing = np.array([np.sin(angle), np.cos(angle), 0.0])
        radius = min(box.half[0], box.half[1]) - 0.006
        place[:2] += radius * closing[:2]
        place[2] = top - min(0.02, box.half[2])
    else:
        place[2] = max(top - 0.035 + 0.01 * (attempt % 2), box.centre[2] - box.half[2] + 0.012)
    turn = hand_turn(-UP, closing, truth)
    high = max(home[2], top + _RISE)
    above = np.array([place[0], place[1], high])
    return [
        *_rise(truth, high, OPEN),
        _waypoint(above, turn, OPEN),
        replace(_waypoint(place + 0.05 * UP, turn, OPEN), tolerance=0.008),
        replace(_waypoint(place, turn, OPEN), tolerance=0.006, patience=30),
        replace(_waypoint(place, turn, CLOSED), tolerance=1.0, hold=10),
        replace(_waypoint(above, turn, CLOSED), tolerance=0.03),
    ]


def put(truth: Vector, literal: int, home: Vector, inside: bool) -> list[Waypoint]:
    """Bring what is carried over the target, let it down, let go and rise."""
    box = _box(truth, literal)
    hand = part_of_truth(truth, "hand")
    target = part_of_truth(truth, "target", literal)
    half = _upright(part_of_truth(truth, "target.q", literal),
                    part_of_truth(truth, "target.half", literal))  # fmt: skip
    turn = hand_turn(-UP, part_of_truth(truth, "closing") * [1.0, 1.0, 0.0], truth)
    bottom = box.centre[2] - box.half[2]
    floor = target[2] - half[2] + 0.03 if inside else target[2] + half[2] + 0.008
    drawer = bool(np.any(part_of_truth(truth, "joint.axis", literal)))
    if inside and not drawer:
        floor = max(floor, target[2] + half[2] - 0.06)  # let it fall: hand and rim need room
    shift = np.append(target[:2] - box.centre[:2], floor - bottom)
    place = hand + shift
    high = max(home[2], place[2] + _RISE, hand[2])
    above = np.array([place[0], place[1], high])
    return [
        *_rise(truth, high, CLOSED),
        replace(_waypoint(above, turn, CLOSED), tolerance=0.012, hold=3, patience=80),
        replace(_waypoint(place, turn, CLOSED), tolerance=0.01, patience=40),
        replace(_waypoint(place, turn, OPEN), tolerance=1.0, hold=8),
        _waypoint(above, turn, OPEN),
    ]


def slide(truth: Vector, literal: int, home: Vector, opening: bool) -> list[Waypoint]:
    """Pull a drawer open by its handle, or push it shut."""
    handle = part_of_truth(truth, "handle", literal)
    joint = part_of_truth(truth, "joint", literal)[0]
    outward = -part_of_truth(truth, "joint.axis", literal)  # drawers open against their axis
    turn = hand_turn(-outward, UP, truth)
    grip = OPEN if opening else CLOSED
    before = handle + 0.12 * outward
    high = np.array([before[0], before[1], max(home[2], before[2] + 0.05)])
    reach = [
        *_rise(truth, high[2], grip),
        replace(_waypoint(high, turn, grip), hold=12, patience=80),
        _waypoint(before, turn, grip),
    ]
    if not opening:
        # A drawer counts as shut only past its zero: push against its stop.
        end = handle - outward * (abs(joint) + 0.05)
        return [
            *reach,
            replace(_waypoint(end, turn, grip), patience=60),
            _waypoint(before, turn, grip),
        ]
    on, end = handle - 0.004 * outward, handle + (0.19 - abs(joint)) * outward
    return [
        *reach,
        replace(_waypoint(on, turn, OPEN), tolerance=0.006, patience=40),
        replace(_waypoint(on, turn, CLOSED), tolerance=1.0, hold=10),
        replace(_waypoint(end, turn, CLOSED), patience=60),
        replace(_waypoint(end, turn, OPEN), tolerance=1.0, hold=8),
        _waypoint(end + 0.06 * outward, turn, OPEN),
        _waypoint(np.append((end + 0.06 * outward)[:2], high[2]), turn, OPEN),
    ]


def twist(truth: Vector, literal: int, home: Vector, on: bool) -> list[Waypoint]:
    """Turn the stove's knob: on by its positive direction, off by its negative."""
    handle = part_of_truth(truth, "handle", literal)
    joint = part_of_truth(truth, "joint", literal)[0]
    ridge = _matrix(part_of_truth(truth, "handle.q", literal))[:, 0]  # across the knob's ridge
    turn = hand_turn(-UP, ridge, truth)
    angle = 0.9 - joint if on else -joint - 0.15
    high = np.array([handle[0], handle[1], max(home[2], handle[2] + 0.1)])
    twisted = [
        replace(_waypoint(handle, _about_z(share * angle) @ turn, CLOSED), tolerance=1.0, hold=8)
        for share in (0.4, 0.8, 1.2)
    ]
    return [
        *_rise(truth, high[2], OPEN),
        replace(_waypoint(high, turn, OPEN), hold=6),
        replace(_waypoint(handle, turn, OPEN), tolerance=0.006, patience=40),
        replace(_waypoint(handle, turn, CLOSED), tolerance=1.0, hold=10),
        *twisted,
        replace(_waypoint(handle, _about_z(1.2 * angle) @ turn, OPEN), tolerance=1.0, hold=6),
        _waypoint(high, turn, OPEN),
    ]


def _rise(truth: Vector, height: float, gripper: float) -> list[Waypoint]:
    """Straight up first, where the hand is low."""
    hand = part_of_truth(truth, "hand")
    if hand[2] > height - 0.04:
        return []
    turn = _matrix(part_of_truth(truth, "hand.q"))
    return [replace(_waypoint(np.append(hand[:2], height), turn, gripper), tolerance=0.03)]


@dataclass(frozen=True, slots=True)
class _Box:
    centre: Vector
    half: Vector
    """Half sizes along two level directions and the vertical, m."""
    axes: Vector
    """The two level directions, ``(2, 3)``."""


def _box(truth: Vector, literal: int) -> _Box:
    """The bounding box of what the literal is about, as it lies there."""
    turn = _matrix(part_of_truth(truth, "part.q", literal))
    half = part_of_truth(truth, "part.half", literal)
    centre = part_of_truth(truth, "part", literal) + turn @ part_of_truth(
        truth, "part.box", literal
    )
    vertical = int(np.argmax(np.abs(turn[2])))
    level = [axis for axis in range(3) if axis != vertical]
    axes = turn[:, level].T * [1.0, 1.0, 0.0]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return _Box(centre, half[[*level, vertical]], axes)


def _upright(quaternion: Vector, half: Vector) -> Vector:
    """Half sizes ``(3,)`` along the base's axes of a box that is turned."""
    return np.abs(_matrix(quaternion)) @ half


def _matrix(wxyz: Vector) -> Vector:
    return Rotation.from_quat(wxyz[[1, 2, 3, 0]]).as_matrix()


def _about_z(angle: float) -> Vector:
    return Rotation.from_euler("z", angle).as_matrix()
