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
_TALL = 0.06
"""Half the height from which a wide thing is no bowl or mug but has a handle of its own, m."""
_BESIDE = 0.2
"""From the middle of an open drawer to what can be taken beside it, m."""
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


def here(truth: Vector) -> Waypoint:
    """Where the hand is now, its fingers open."""
    turn = _matrix(part_of_truth(truth, "hand.q"))
    return replace(_waypoint(part_of_truth(truth, "hand"), turn, OPEN), tolerance=0.04)


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


def grasp(
    truth: Vector, literal: int, home: Vector, attempt: int, narrow: bool = False
) -> list[Waypoint]:
    """Take the thing from above and lift it: across its narrow side, or by its rim.

    Args:
        truth: of the scene.
        literal: what it is about is taken.
        home: where the hand began.
        attempt: another number tries another side.
        narrow: the thing lies in something that opens towards the robot's side, such as a drawer.
    """
    box = _box(truth, literal)
    top = box.centre[2] + box.half[2]
    across = 0 if box.half[0] <= box.half[1] else 1
    closing = box.axes[across]
    place = box.centre.copy()
    if 2 * box.half[across] > GRIP_WIDTH and box.half[2] > _TALL:
        # By a handle, which juts out at one end or the other.
        end = (box.half[1 - across] - 0.015) * (1 if attempt % 2 else -1)
        place += end * box.axes[1 - across]
        place[2] = top - 0.045
    elif 2 * box.half[across] > GRIP_WIDTH:
        # By the rim, to the side: there the other finger is free, and the arm is not in the way.
        sides = _sides(truth, literal, box)
        angle = sides[(attempt + 2 * narrow) % len(sides)]
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


def in_the_way(truth: Vector, literal: int) -> Vector | None:
    """How a thing must move ``(3,)``, so that it can still be taken when the drawer it belongs in
    stands open above or beside it; None where it need not."""
    outward = -part_of_truth(truth, "joint.axis", literal)
    away = _box(truth, literal).centre - part_of_truth(truth, "handle", literal)
    away[2] = 0.0
    ahead = float(away @ outward)
    sideways = away - ahead * outward
    distance = float(np.linalg.norm(sideways))
    if not -0.1 < ahead < 0.3 or distance > _BESIDE - 0.02:
        return None
    towards = sideways / distance if distance > 0.02 else np.array([-1.0, 0.0, 0.0])
    return (_BESIDE - distance) * towards


def clear(
    truth: Vector, literal: int, home: Vector, attempt: int, narrow: bool, shift: Vector
) -> list[Waypoint]:
    """Take the thing, see :func:`grasp`, and put it down ``shift (3,)`` further."""
    taken = grasp(truth, literal, home, attempt, narrow)
    closing, lifted = taken[-2], taken[-1]
    turn = np.asarray(closing.turn)
    above = np.add(lifted.place, shift)
    place = np.add(closing.place, shift)
    return [
        *taken,
        replace(_waypoint(above, turn, CLOSED), tolerance=0.02),
        replace(_waypoint(place + 0.005 * UP, turn, CLOSED), tolerance=0.01, patience=40),
        replace(_waypoint(place, turn, OPEN), tolerance=1.0, hold=8),
        _waypoint(above, turn, OPEN),
    ]


def _sides(truth: Vector, literal: int, box: _Box) -> list[float]:
    """Where to take the rim, as angles from the base's y axis, the best first.

    To the side by default. Beside a drawer that stands open for it: where the hand, which is wide
    in the direction in which it closes, has most room.
    """
    if not np.any(part_of_truth(truth, "joint.axis", literal)):
        return [0.0, np.pi, np.pi / 2, -np.pi / 2]
    target = part_of_truth(truth, "target", literal)[:2]
    half = (
        _upright(
            part_of_truth(truth, "target.q", literal), part_of_truth(truth, "target.half", literal)
        )[:2]
        + 0.06
    )  # fmt: skip; walls
    room: dict[float, float] = {}
    for angle in np.arange(8) * np.pi / 4:
        along = np.array([np.sin(angle), np.cos(angle)])
        rim = box.centre[:2] + min(box.half[:2]) * along
        hand = [
            rim + away * along + aside * np.array([along[1], -along[0]])
            for away in np.linspace(-0.1, 0.1, 9)
            for aside in (-0.035, 0.0, 0.035)
        ]
        gaps = np.maximum(np.abs(np.array(hand) - target) - half, 0.0)
        depth = np.minimum(half - np.abs(np.array(hand) - target), half).min(1).max()
        room[float(angle)] = float(np.linalg.norm(gaps, axis=1).min()) - max(float(depth), 0.0)
    return sorted(room, key=lambda angle: -room[angle])


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


def flat(truth: Vector, literal: int) -> bool:
    """Whether the thing is too flat and wide to be taken, and shall only go elsewhere on the same
    ground: a plate."""
    box, target = _box(truth, literal), part_of_truth(truth, "target", literal)
    thin = 2 * box.half[2] < 0.03 and 2 * min(box.half[:2]) > GRIP_WIDTH
    return bool(thin and abs(target[2] - box.centre[2]) < 0.03)


def drag(truth: Vector, literal: int, home: Vector, attempt: int) -> list[Waypoint]:
    """Push a plate along the ground with closed fingers, from within its rim."""
    box = _box(truth, literal)
    way = part_of_truth(truth, "target", literal)[:2] - box.centre[:2]
    length = float(np.linalg.norm(way))
    along = np.append(way / length, 0.0)
    start = box.centre + (min(box.half[:2]) - 0.03) * along
    start[2] = box.centre[2] + box.half[2] - (0.012, 0.015, 0.01)[attempt % 3]
    turn = hand_turn(-UP, np.array([-along[1], along[0], 0.0]), truth)
    high = max(home[2], start[2] + _RISE)
    return [
        *_rise(truth, high, CLOSED),
        _waypoint(np.append(start[:2], high), turn, CLOSED),
        _waypoint(start + 0.04 * UP, turn, CLOSED),
        replace(_waypoint(start, turn, CLOSED), tolerance=0.006, patience=30),
        *(  # slowly: the rim must not climb over the fingers
            replace(_waypoint(start + gone * along, turn, CLOSED), tolerance=0.02, patience=15)
            for gone in np.arange(0.04, length, 0.04)
        ),
        replace(_waypoint(start + length * along, turn, CLOSED), tolerance=0.005, patience=25),
    ]


def slide(
    truth: Vector, literal: int, home: Vector, opening: bool, travel: float = 0.19
) -> list[Waypoint]:
    """Pull a drawer open by its handle, or push it shut.

    ``travel``: how far it is pulled, m, some of which the hand falls short of.
    """
    handle = part_of_truth(truth, "handle", literal)
    joint = part_of_truth(truth, "joint", literal)[0]
    outward = -part_of_truth(truth, "joint.axis", literal)  # drawers open against their axis
    # Shut with the hand tilted: its wrist must not pass between the drawer and the robot.
    sideways = np.cross(UP, outward)
    turn = hand_turn(-outward, UP, truth) if opening else hand_turn(-outward - UP, sideways, truth)
    grip = OPEN if opening else CLOSED
    before = handle + (0.12 if opening else 0.07) * outward
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
    on, end = handle - 0.004 * outward, handle + (travel - abs(joint)) * outward
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
