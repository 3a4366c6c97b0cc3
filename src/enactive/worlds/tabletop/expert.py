"""The scripted expert: what to do next, from the present truth alone.

It has no memory. Where the hand, the object and the goal are, and whether something is held, decide
the next motion; an object that slips or rolls away is simply gone for again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.worlds.tabletop.arms import ARMS, OPENING, SQUEEZE, TIP, Vector
from enactive.worlds.tabletop.control import CONTROLS, HIGH, LOW, STEP, TURN, Aim, space
from enactive.worlds.tabletop.observing import TRUTH_NAMES
from enactive.worlds.tabletop.success import DRAWER_OPEN
from enactive.worlds.tabletop.tasks import TASKS, Family

TRAVEL = 0.19
"""Height of the hand when it goes across the table, m."""
CARRY = 0.21
"""The same with something in the fingers."""
PUSH_SPEED = 0.008
"""m per control step."""

OPEN, CLOSED = -1.0, 1.0

Wanted = tuple[float, float, float, float, float]
"""The hand's target: x, y, z in m, yaw in rad; and the gripper's entry in [-1, 1]."""


class Truth:
    """The privileged vector by names."""

    def __init__(self, vector: Vector) -> None:
        self._values = dict(zip(TRUTH_NAMES, vector.tolist(), strict=True))

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def point(self, name: str) -> Vector:
        """``(3,)`` m."""
        return np.array([self[f"{name}.{axis}"] for axis in "xyz"])

    @property
    def half(self) -> Vector:
        """Half extents of the named object along its own axes, ``(3,)`` m."""
        return np.array([self[f"named.half.{axis}"] for axis in "xyz"])

    @property
    def axes(self) -> Vector:
        """Axes of the named object as columns, ``(3, 3)``."""
        quaternion = [self[f"named.q{axis}"] for axis in "wxyz"]
        return Rotation.from_quat(quaternion, scalar_first=True).as_matrix()

    @property
    def height(self) -> float:
        """Half the height of the named object as it lies, m."""
        return float(np.abs(self.axes[2]) @ self.half)


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> NDArray[np.float32]:
    """The next action in the world's own arm and control interface.

    Args:
        task_name: name of the task.
        privileged: ``float64 (D,)``, the observation's ``privileged["tabletop"]``.

    Returns:
        ``float32 (A,)``, within bounds.
    """
    truth = Truth(privileged)
    x, y, z, yaw, grip = _FAMILIES[TASKS[task_name].family](truth)
    arm = ARMS[tuple(ARMS)[int(truth["arm"])]]
    control = CONTROLS[tuple(CONTROLS)[int(truth["control"])]]
    pose = np.array([truth[f"aim.{entry}"] for entry in ("x", "y", "z", "yaw")])
    joints = np.array([truth[f"aim.joint{i}"] for i in range(len(arm.joints))])
    limit = np.array([STEP, STEP, STEP, TURN])
    wanted = np.clip([x, y, z, yaw], LOW, HIGH)
    # One step's worth of it: joints that all go their fastest would not go straight.
    wanted = pose + np.clip(wanted - pose, -limit, limit)
    command = control.command(wanted, Aim(pose, joints), arm)
    return space(control, arm).clip(np.append(command, grip))


def _entry(opening: float) -> float:
    """The gripper's entry whose target is ``opening``, m."""
    return float(np.clip(((OPENING - SQUEEZE) / 2 - opening) / ((OPENING + SQUEEZE) / 2), -1, 1))


def _across(truth: Truth) -> tuple[float, float]:
    """Yaw of the hand that takes the object at its narrowest, and half its width there."""
    best: tuple[float, float, float] | None = None
    half, axes = truth.half, truth.axes
    for i in range(3):
        x, y, z = axes[:, i].tolist()
        if abs(z) > 0.5 or half[i] > OPENING - 0.006:
            continue
        yaw = math.remainder(math.atan2(y, x), math.pi)
        key = (round(float(half[i]), 4), abs(yaw), yaw)
        best = key if best is None else min(best, key)
    if best is None:
        return 0.0, float(half.min())
    return best[2], best[0]


def _go(truth: Truth, x: float, y: float, z: float, yaw: float, grip: float,
        height: float = TRAVEL) -> Wanted:  # fmt: skip
    """To a place by way of ``height``: up, across, down."""
    hand = truth.point("hand")
    away = math.hypot(x - hand[0], y - hand[1])
    if away > 0.015 and hand[2] < min(height, z + 0.07) - 0.015 and hand[2] < height - 0.015:
        return (float(hand[0]), float(hand[1]), height, yaw, grip)
    if away > 0.03:
        return (x, y, height, yaw, grip)
    turned = abs(math.remainder(yaw - truth["hand.yaw"], 2 * math.pi))
    if away > 0.006 or turned > 0.1:
        return (x, y, max(z + 0.06, min(float(hand[2]), height)), yaw, grip)
    return (x, y, z, yaw, grip)


def _near(truth: Truth, x: float, y: float, z: float, within: float = 0.012) -> bool:
    hand = truth.point("hand")
    return math.hypot(x - hand[0], y - hand[1]) < within and abs(hand[2] - z) < 0.008


def _fetch(truth: Truth) -> Wanted:
    """Towards the named object, and close the fingers round it."""
    x, y, z = truth.point("named").tolist()
    yaw, _ = _across(truth)
    low = max(z, 0.0125)
    if _near(truth, x, y, low):
        return (x, y, low, yaw, CLOSED)
    return _go(truth, x, y, low, yaw, OPEN)


def _up(truth: Truth, grip: float, height: float = CARRY) -> Wanted:
    return (truth["aim.x"], truth["aim.y"], height, truth["aim.yaw"], grip)


def _pick(truth: Truth) -> Wanted:
    return _up(truth, CLOSED) if truth["holding"] else _fetch(truth)


def _put(truth: Truth) -> Wanted:
    """Carry the named object to its goal and let go of it."""
    _, half = _across(truth)
    ajar = _entry(min(OPENING, half + 0.012))
    if not truth["holding"]:
        return _up(truth, ajar) if truth["in_place"] else _fetch(truth)
    hand, named = truth.point("hand"), truth.point("named")
    dx, dy = truth["goal.x"] - named[0], truth["goal.y"] - named[1]
    away = math.hypot(dx, dy)
    # Where the hand must be for the object to be at its goal.
    x, y = float(hand[0] + dx), float(hand[1] + dy)
    bottom = float(named[2]) - truth.height
    yaw = truth["aim.yaw"]
    down = float(hand[2]) + truth["goal.surface"] + 0.004 - bottom
    if away < 0.012 and bottom < truth["goal.surface"] + 0.009:
        return (x, y, max(down, float(hand[2])), yaw, ajar)
    if away > 0.03 and hand[2] < CARRY - 0.04:
        return (float(hand[0]), float(hand[1]), CARRY, yaw, CLOSED)
    if away > 0.010:
        return (x, y, max(float(hand[2]), down), yaw, CLOSED)
    return (x, y, down, yaw, CLOSED)


def _touch(truth: Truth) -> Wanted:
    x, y, z = truth.point("named").tolist()
    return _go(truth, x, y, z + truth.height + TIP - 0.006, 0.0, CLOSED)


def _push(truth: Truth) -> Wanted:
    """From behind the object, straight to the mark."""
    if truth["in_place"]:
        return _up(truth, CLOSED)
    hand, named = truth.point("hand")[:2], truth.point("named")[:2]
    way = np.array([truth["goal.x"], truth["goal.y"]]) - named
    left = float(np.linalg.norm(way))
    ahead = way / max(left, 1e-6)
    low = 0.018
    # The fingers' broad side faces the object.
    yaw = math.remainder(math.atan2(ahead[1], ahead[0]) - math.pi / 2, math.pi)
    reach = float(np.abs(ahead @ truth.axes[:2]) @ truth.half) + 0.011
    offset = named - hand
    along = float(offset @ ahead)
    aside = offset - along * ahead
    if truth["hand.z"] < low + 0.02 and 0 < along < reach + 0.05 and aside @ aside < 0.02**2:
        pace = min(PUSH_SPEED, max(0.003, 0.3 * left))
        gap = max(0.0, along - reach - 0.002)
        x, y = hand + (pace + min(gap, 0.01)) * ahead + 0.5 * aside
        return (float(x), float(y), low, yaw, CLOSED)
    x, y = named - (reach + 0.018) * ahead
    return _go(truth, float(x), float(y), low, yaw, CLOSED, height=0.15)


def _pull(truth: Truth, ahead: Vector) -> Wanted:
    """Take the handle, one finger before and one behind it, and go in the direction ``ahead``."""
    yaw = math.remainder(math.atan2(ahead[1], ahead[0]), math.pi)
    x, y, z = truth.point("named").tolist()
    ajar = _entry(0.018)
    if truth["opening"] < 0.010 and _near(truth, x, y, z, within=0.03):
        dx, dy = 0.02 * ahead
        return (x + dx, y + dy, z, yaw, CLOSED)
    if _near(truth, x, y, z):
        return (x, y, z, yaw, CLOSED)
    return _go(truth, x, y, z, yaw, ajar, height=0.24)


def _shove(truth: Truth, ahead: Vector, yaw: float) -> Wanted:
    """Push the handle in the direction ``ahead (2,)`` with closed fingers."""
    x, y, z = truth.point("named").tolist()
    hand = truth.point("hand")[:2]
    offset = np.array([x, y]) - hand
    along = float(offset @ ahead)
    aside = offset - along * ahead
    if abs(truth["hand.z"] - z) < 0.02 and -0.01 < along < 0.07 and aside @ aside < 0.02**2:
        u, v = hand + 0.02 * ahead + 0.5 * aside
        return (float(u), float(v), z, yaw, CLOSED)
    u, v = np.array([x, y]) - 0.04 * ahead
    return _go(truth, float(u), float(v), z, yaw, CLOSED, height=0.24)


def _swing(truth: Truth) -> Vector:
    """Direction in which the door's handle goes when the door opens, ``(2,)``."""
    arm = truth.point("named")[:2] - np.array([truth["hinge.x"], truth["hinge.y"]])
    tangent = np.array([-arm[1], arm[0]])
    return tangent / np.linalg.norm(tangent)


def _open_drawer(truth: Truth) -> Wanted:
    if truth["named.opened"] > DRAWER_OPEN + 0.02:
        return _up(truth, OPEN)
    return _pull(truth, np.array([0.0, -1.0]))


def _close_drawer(truth: Truth) -> Wanted:
    return _shove(truth, np.array([0.0, 1.0]), 0.0)


def _open_door(truth: Truth) -> Wanted:
    return _pull(truth, _swing(truth))


def _close_door(truth: Truth) -> Wanted:
    ahead = -_swing(truth)
    yaw = math.remainder(math.atan2(ahead[1], ahead[0]) - math.pi / 2, math.pi)
    return _shove(truth, ahead, yaw)


_FAMILIES: Mapping[Family, Callable[[Truth], Wanted]] = {
    Family.TOUCH: _touch,
    Family.PICK: _pick,
    Family.PICK_RELATED: _pick,
    Family.PICK_SIZED: _pick,
    Family.PUT_IN: _put,
    Family.STACK: _put,
    Family.BESIDE: _put,
    Family.PUSH: _push,
    Family.DRAWER_OPEN: _open_drawer,
    Family.DRAWER_CLOSE: _close_drawer,
    Family.DOOR_OPEN: _open_door,
    Family.DOOR_CLOSE: _close_door,
}
