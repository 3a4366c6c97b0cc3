"""Arms of the tabletop: their bodies, controllers and kinematics.

Both carry the same gripper, whose frame has its origin between the finger pads, z up and the
fingers on x. What an arm is told are targets of its joints, which position controllers follow; an
inverse says which targets put the gripper where.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

OPENING = 0.045
"""Largest distance of a finger from the middle, m."""
SQUEEZE = 0.015
"""How far beyond the middle a closing finger's target is, m: makes the grip's force."""
FINGER = (0.006, 0.010, 0.026)
"""Half extents of a finger, m."""
TIP = 0.010
"""How far fingers reach below the gripper's origin, m."""
ARM_GROUP = 1
"""Geom group of everything that belongs to an arm."""

_ARM_COLOUR = (0.42, 0.44, 0.48, 1.0)
_PAD_COLOUR = (0.16, 0.16, 0.18, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Joint:
    """A controlled joint."""

    name: str
    low: float
    """Smallest target, in :attr:`unit`."""
    high: float
    unit: str
    step: float
    """Most that a target may change in a control step."""
    gain: float
    """Of the position controller, N/m or N m/rad."""
    damping: float
    """N s/m or N m s/rad."""
    force: float
    """Largest force of the controller, N or N m."""
    armature: float = 0.0


class Arm(Protocol):
    """A kind of arm."""

    @property
    def name(self) -> str: ...

    @property
    def joints(self) -> tuple[Joint, ...]: ...

    def attach(self, mujoco: Any, world: Any) -> Any:
        """Add the arm's bodies to the world body of an ``MjSpec``; returns the gripper's body."""
        ...

    def inverse(self, pose: Vector) -> Vector:
        """Joint targets ``(J,)`` that put the gripper at ``pose (4,)``: x, y, z in m, yaw in rad,
        pointing down. What cannot be reached becomes the nearest stretched arm."""
        ...

    def forward(self, joints: Vector) -> Vector:
        """The gripper's pose ``(4,)`` at ``joints (J,)``, if it points down."""
        ...


def _add_joint(mujoco: Any, body: Any, joint: Joint, kind: Any, axis: tuple[float, ...]) -> None:
    body.add_joint(
        name=joint.name, type=kind, axis=list(axis), damping=joint.damping,
        armature=joint.armature,
    )  # fmt: skip


def _rod(
    mujoco: Any, body: Any, start: Sequence[float], end: Sequence[float], radius: float, mass: float
) -> None:
    """A link. Links have mass and are seen but collide with nothing; the gripper does."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[radius, 0.0, 0.0], fromto=[*start, *end],
        mass=mass, contype=0, conaffinity=0, group=ARM_GROUP, rgba=_ARM_COLOUR,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gantry:
    """A Cartesian gripper: three slides and a turn about the vertical."""

    name: str = "gantry"
    joints: tuple[Joint, ...] = (
        Joint(name="x", low=-0.46, high=0.46, unit="m", step=0.03, gain=1500, damping=80, force=60),
        Joint(name="y", low=-0.40, high=0.40, unit="m", step=0.03, gain=1500, damping=80, force=60),
        Joint(name="z", low=0.012, high=0.40, unit="m", step=0.03, gain=1500, damping=80, force=60),
        Joint(name="yaw", low=-2.0, high=2.0, unit="rad", step=0.20, gain=20, damping=1.3, force=6,
              armature=0.02),
    )  # fmt: skip

    def attach(self, mujoco: Any, world: Any) -> Any:
        hand = world.add_body(name="hand", gravcomp=1.0)
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        for joint, axis in zip(self.joints, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), strict=False):
            _add_joint(mujoco, hand, joint, slide, axis)
        _add_joint(mujoco, hand, self.joints[3], hinge, (0, 0, 1))
        _rod(mujoco, hand, (0, 0, 0.08), (0, 0, 0.66), 0.012, 0.1)
        return hand

    def inverse(self, pose: Vector) -> Vector:
        return np.array(pose, np.float64)

    def forward(self, joints: Vector) -> Vector:
        return np.array(joints, np.float64)


_BASE = (0.0, 0.66)
"""Where the jointed arm stands, m: behind the table, facing the viewer."""
_SHOULDER = 0.36
_UPPER = 0.56
_FORE = 0.56
_HAND = 0.16
"""Lengths of the jointed arm, m."""


@dataclass(frozen=True, slots=True)
class Jointed:
    """A five-axis arm: base, shoulder, elbow, wrist, turn of the gripper."""

    name: str = "jointed"
    joints: tuple[Joint, ...] = (
        Joint(name="base", low=-1.5, high=1.5, unit="rad", step=0.08, gain=1200, damping=70,
              force=120, armature=0.1),
        Joint(name="shoulder", low=-1.2, high=2.4, unit="rad", step=0.08, gain=1200, damping=70,
              force=120, armature=0.1),
        Joint(name="elbow", low=-2.9, high=0.0, unit="rad", step=0.10, gain=800, damping=40,
              force=80, armature=0.1),
        Joint(name="wrist", low=-2.6, high=1.6, unit="rad", step=0.12, gain=200, damping=8,
              force=30, armature=0.05),
        Joint(name="turn", low=-3.2, high=3.2, unit="rad", step=0.20, gain=20, damping=1.3,
              force=6, armature=0.02),
    )  # fmt: skip

    def attach(self, mujoco: Any, world: Any) -> Any:
        hinge, raises = mujoco.mjtJoint.mjJNT_HINGE, (-1, 0, 0)
        base = world.add_body(name="base", pos=[*_BASE, 0.0], gravcomp=1.0)
        _add_joint(mujoco, base, self.joints[0], hinge, (0, 0, 1))
        _rod(mujoco, base, (0, 0, 0), (0, 0, _SHOULDER), 0.05, 2.0)
        upper = base.add_body(name="upper", pos=[0, 0, _SHOULDER], gravcomp=1.0)
        _add_joint(mujoco, upper, self.joints[1], hinge, raises)
        _rod(mujoco, upper, (0, 0, 0), (0, -_UPPER, 0), 0.035, 1.5)
        fore = upper.add_body(name="fore", pos=[0, -_UPPER, 0], gravcomp=1.0)
        _add_joint(mujoco, fore, self.joints[2], hinge, raises)
        _rod(mujoco, fore, (0, 0, 0), (0, -_FORE, 0), 0.028, 1.0)
        wrist = fore.add_body(name="wrist", pos=[0, -_FORE, 0], gravcomp=1.0)
        _add_joint(mujoco, wrist, self.joints[3], hinge, raises)
        _rod(mujoco, wrist, (0, 0, 0), (0, 0.09 - _HAND, 0), 0.022, 0.2)
        turned = [math.sqrt(0.5), -math.sqrt(0.5), 0, 0]  # its z is up where the wrist points down
        hand = wrist.add_body(name="hand", pos=[0, -_HAND, 0], quat=turned, gravcomp=1.0)
        _add_joint(mujoco, hand, self.joints[4], hinge, (0, 0, 1))
        return hand

    def inverse(self, pose: Vector) -> Vector:
        x, y, z, yaw = (float(value) for value in pose)
        dx, dy = x - _BASE[0], y - _BASE[1]
        turn = math.atan2(dx, -dy)
        out, up = math.hypot(dx, dy), z + _HAND - _SHOULDER
        square = out * out + up * up
        cosine = (square - _UPPER**2 - _FORE**2) / (2 * _UPPER * _FORE)
        bend = math.acos(min(1.0, max(-1.0, cosine)))
        raised = math.atan2(up, out) + math.atan2(
            _FORE * math.sin(bend), _UPPER + _FORE * math.cos(bend)
        )
        return np.array([turn, raised, -bend, -math.pi / 2 - raised + bend, yaw - turn])

    def forward(self, joints: Vector) -> Vector:
        turn, raised, bend, wrist, last = (float(value) for value in joints)
        angles = (raised, raised + bend, raised + bend + wrist)
        lengths = (_UPPER, _FORE, _HAND)
        out = sum(r * math.cos(a) for r, a in zip(lengths, angles, strict=True))
        up = sum(r * math.sin(a) for r, a in zip(lengths, angles, strict=True))
        return np.array([
            _BASE[0] + out * math.sin(turn), _BASE[1] - out * math.cos(turn), _SHOULDER + up,
            turn + last,
        ])  # fmt: skip


ARMS: Mapping[str, Arm] = {"gantry": Gantry(), "jointed": Jointed()}
"""Arms by name."""

FINGERS = tuple(
    Joint(
        name=name, low=-SQUEEZE, high=OPENING, unit="m", step=1.0, gain=600, damping=30, force=10,
        armature=0.5,
    )
    for name in ("left_finger", "right_finger")
)  # fmt: skip
"""Controlled like joints. The armature (gears) keeps light fingers from sinking into what they
squeeze: MuJoCo's contacts give way in proportion to force over mass."""


def attach_gripper(mujoco: Any, hand: Any, friction: float) -> None:
    """Add palm and fingers, which collide with things, to the gripper's body."""
    box = mujoco.mjtGeom.mjGEOM_BOX
    collides = {"contype": 2, "conaffinity": 0, "group": ARM_GROUP}
    hand.add_geom(
        name="palm", type=box, size=[0.050, 0.018, 0.014], pos=[0, 0, 0.062], mass=0.9,
        rgba=_ARM_COLOUR, **collides,
    )  # fmt: skip
    for joint, side in zip(FINGERS, (-1.0, 1.0), strict=True):
        finger = hand.add_body(name=joint.name, gravcomp=1.0)
        finger.add_joint(
            name=joint.name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[side, 0, 0],
            range=[0.0, OPENING], limited=True, damping=joint.damping,
            armature=joint.armature,
        )  # fmt: skip
        finger.add_geom(
            name=joint.name, type=box, size=list(FINGER), mass=0.05, condim=4,
            pos=[side * FINGER[0], 0.0, FINGER[2] - TIP], rgba=_PAD_COLOUR,
            friction=[1.2 * friction, 0.01, 0.0001], **collides,
        )  # fmt: skip
