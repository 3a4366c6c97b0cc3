"""Control interfaces of the tabletop's arms: what a command means.

Every interface ends in joint targets, which the arm's position controllers follow. Targets stay
within a leash of where the arm is, so that pushing against something stores no motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from enactive.actions.groups import Group
from enactive.actions.spaces import VectorSpace
from enactive.worlds.tabletop.arms import OPENING, SQUEEZE, Arm, Vector
from enactive.worlds.tabletop.engine import RATE_HZ

STEP = 0.03
"""Most that the hand's target moves in a control step along each axis, m."""
TURN = 0.20
"""Most that it turns about the vertical, rad."""
LOW = np.array([-0.46, -0.40, 0.012, -2.0])
HIGH = np.array([0.46, 0.40, 0.40, 2.0])
"""Bounds of the hand's target: x, y, z in m, yaw in rad."""
_LEASH = np.array([0.08, 0.08, 0.05, np.inf])
"""Of the yaw there is none: what is measured jumps where a turn ends."""
_LIMIT = np.array([STEP, STEP, STEP, TURN])


@dataclass(frozen=True, slots=True)
class Aim:
    """What the arm is told: the hand's pose ``(4,)`` and the joint targets ``(J,)`` for it."""

    pose: Vector
    joints: Vector


class Control(Protocol):
    """A control interface. The gripper's entry, the last, is the same in all."""

    def groups(self, arm: Arm) -> tuple[Group, ...]:
        """The conventions of the arm's part of the action."""
        ...

    def aim(self, command: Vector, now: Aim, pose: Vector, joints: Vector, arm: Arm) -> Aim:
        """What ``command`` makes of the aim ``now``, the measured ``pose (4,)`` and ``joints
        (J,)`` given."""
        ...

    def command(self, wanted: Vector, now: Aim, arm: Arm) -> Vector:
        """The command that makes ``wanted (4,)`` the hand's target; to be clipped to bounds."""
        ...


def space(control: Control, arm: Arm) -> VectorSpace:
    """The action space of ``arm`` behind ``control``."""
    gripper = Group(
        name="gripper", quantity="gripper", representation="scalar", reference="absolute",
        frame="hand", unit="effort", low=-1.0, high=1.0, positive="closes",
    )  # fmt: skip
    return VectorSpace(groups=(*control.groups(arm), gripper), rate_hz=RATE_HZ)


def finger_target(entry: float) -> float:
    """Target of both fingers, m, for the gripper's entry in [-1, 1]; 1 squeezes."""
    return (OPENING - SQUEEZE) / 2 - entry * (OPENING + SQUEEZE) / 2


def _towards(wanted: Vector, now: Aim, pose: Vector, arm: Arm) -> Aim:
    moved = now.pose + np.minimum(np.maximum(wanted - now.pose, -_LIMIT), _LIMIT)
    moved = np.minimum(np.maximum(moved, pose - _LEASH), pose + _LEASH)
    moved = np.minimum(np.maximum(moved, LOW), HIGH)
    return Aim(moved, arm.inverse(moved))


@dataclass(frozen=True, slots=True)
class EndEffectorDelta:
    """A displacement of the hand's target and a turn of it."""

    def groups(self, arm: Arm) -> tuple[Group, ...]:
        return (
            Group(
                name="arm", quantity="position", representation="xyz", reference="delta",
                frame="base", unit="m", low=-STEP, high=STEP,
            ),
            Group(
                name="wrist", quantity="orientation", representation="scalar", reference="delta",
                frame="base", unit="rad", low=-TURN, high=TURN,
            ),
        )  # fmt: skip

    def aim(self, command: Vector, now: Aim, pose: Vector, joints: Vector, arm: Arm) -> Aim:
        return _towards(now.pose + command, now, pose, arm)

    def command(self, wanted: Vector, now: Aim, arm: Arm) -> Vector:
        return wanted - now.pose


@dataclass(frozen=True, slots=True)
class EndEffectorAbsolute:
    """Where the hand shall be; its target goes there by at most :data:`STEP` and :data:`TURN`."""

    def groups(self, arm: Arm) -> tuple[Group, ...]:
        return (
            Group(
                name="arm", quantity="position", representation="xyz", reference="absolute",
                frame="base", unit="m", low=tuple(LOW[:3].tolist()), high=tuple(HIGH[:3].tolist()),
            ),
            Group(
                name="wrist", quantity="orientation", representation="scalar",
                reference="absolute", frame="base", unit="rad", low=LOW[3], high=HIGH[3],
            ),
        )  # fmt: skip

    def aim(self, command: Vector, now: Aim, pose: Vector, joints: Vector, arm: Arm) -> Aim:
        return _towards(command, now, pose, arm)

    def command(self, wanted: Vector, now: Aim, arm: Arm) -> Vector:
        return wanted


@dataclass(frozen=True, slots=True)
class JointDelta:
    """Changes of the joint targets."""

    def groups(self, arm: Arm) -> tuple[Group, ...]:
        return tuple(
            Group(
                name=joint.name, quantity="joint", representation="scalar", reference="delta",
                frame="arm", unit=joint.unit, low=-joint.step, high=joint.step,
            )
            for joint in arm.joints
        )  # fmt: skip

    def aim(self, command: Vector, now: Aim, pose: Vector, joints: Vector, arm: Arm) -> Aim:
        steps = 3 * np.array([joint.step for joint in arm.joints])
        moved = np.clip(now.joints + command, joints - steps, joints + steps)
        low, high = (np.array([getattr(j, end) for j in arm.joints]) for end in ("low", "high"))
        moved = np.clip(moved, low, high)
        return Aim(arm.forward(moved), moved)

    def command(self, wanted: Vector, now: Aim, arm: Arm) -> Vector:
        return arm.inverse(wanted) - now.joints


CONTROLS: Mapping[str, Control] = {
    "ee_delta": EndEffectorDelta(),
    "ee_absolute": EndEffectorAbsolute(),
    "joint_delta": JointDelta(),
}
"""Control interfaces by name."""
