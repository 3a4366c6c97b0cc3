"""Control interfaces of Meta-World's arm: what a command means, and how it becomes a motion.

Every interface says where the hand shall go; only the numbers differ. A :class:`Control` turns a
command into a displacement of the hand's target, which is what Meta-World executes natively, and a
displacement into the command that causes it. The two are inverse to one another within bounds,
except that several joint motions move the hand alike; there the smallest one is chosen.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.groups import Group
from enactive.actions.spaces import VectorSpace
from enactive.configuration import Part
from enactive.worlds.metaworld import RATE_HZ
from enactive.worlds.metaworld_experts import METRES_PER_UNIT

Vector = NDArray[np.float64]

JOINTS = tuple(f"right_j{i}" for i in range(7))
"""The Sawyer arm's joints, in the order of the simulator's positions."""

HAND = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Orientation of the hand in the scene: columns are the hand's axes. Meta-World's controller holds
it there for the whole episode (its mocap body never turns), so the frame "tool" is a fixed rotation
of the scene, the same wherever the base stands and however it is turned."""

REACH = 2.0
"""Bound of an absolute position's entries, m: every place of the table, from any base near it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseFrame:
    """Where an embodiment's base stands in the scene: its coordinates are measured from there."""

    yaw: float = 0.0
    """Turn about the vertical axis, rad."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Place of its origin in the scene, m."""
    mirrored: bool = False
    """Whether its x axis is reversed, which makes it left-handed."""

    @property
    def label(self) -> str:
        """Name of the frame in action spaces. Every body calls its own base ``"base"``; a
        mirrored one is of another kind, and no rigid conversion leads from one to the other."""
        return "mirrored_base" if self.mirrored else "base"

    @property
    def axes(self) -> Vector:
        """``(3, 3)``: columns are the base's axes in the scene."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        return turn @ np.diag([-1.0, 1.0, 1.0]) if self.mirrored else turn

    def vector(self, scene: Vector) -> Vector:
        """A displacement ``(..., 3)`` of the scene, in the base's axes."""
        return scene @ self.axes

    def point(self, scene: Vector) -> Vector:
        """A point ``(..., 3)`` of the scene, in the base's coordinates."""
        return (scene - np.asarray(self.offset)) @ self.axes

    def scene_vector(self, vector: Vector) -> Vector:
        """The inverse of :meth:`vector`."""
        return vector @ self.axes.T

    def scene_point(self, point: Vector) -> Vector:
        """The inverse of :meth:`point`."""
        return point @ self.axes.T + np.asarray(self.offset)


class Arm:
    """The kinematics of one environment's arm, beside its simulation.

    Args:
        env: a Meta-World environment.
    """

    def __init__(self, env: Any) -> None:
        import mujoco

        self._env = env
        self._scratch = mujoco.MjData(env.model)
        self._hand = int(env.model.body("hand").id)
        self._positions = [int(env.model.joint(name).qposadr[0]) for name in JOINTS]
        self._velocities = [int(env.model.joint(name).dofadr[0]) for name in JOINTS]

    @property
    def target(self) -> Vector:
        """Where the controller pulls the hand to, in the scene, ``(3,)`` m."""
        return np.array(self._env.data.mocap_pos[0], np.float64)

    @property
    def joints(self) -> Vector:
        """Measured joint angles, ``(7,)`` rad."""
        return np.array(self._env.data.qpos[self._positions], np.float64)

    def hand(self, joints: Vector) -> Vector:
        """Forward kinematics: where the hand is at ``joints``, in the scene, ``(3,)`` m."""
        import mujoco

        self._scratch.qpos[:] = self._env.data.qpos
        self._scratch.qpos[self._positions] = joints
        mujoco.mj_kinematics(self._env.model, self._scratch)
        return np.array(self._scratch.xpos[self._hand], np.float64)

    def jacobian(self, joints: Vector) -> Vector:
        """How the hand moves with each joint at ``joints``, ``(3, 7)`` m/rad."""
        import mujoco

        self.hand(joints)
        mujoco.mj_comPos(self._env.model, self._scratch)
        whole = np.zeros((3, self._env.model.nv))
        mujoco.mj_jacBody(self._env.model, self._scratch, whole, None, self._hand)
        return whole[:, self._velocities]


class Control(Part, abc.ABC, kind="controls"):
    """What the commands of an interface mean. Subclasses are frozen dataclasses."""

    __slots__ = ()

    @abc.abstractmethod
    def group(self, frame: BaseFrame) -> Group:
        """The convention of the arm's part of the action."""

    @abc.abstractmethod
    def displacement(self, command: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        """How far a command moves the hand's target, in the scene, ``(3,)`` m.

        Args:
            command: values of :meth:`group`, ``(D,)``.
            frame: where the base stands.
            arm: the arm as it is now.
        """

    @abc.abstractmethod
    def command(self, displacement: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        """The command ``(D,)`` that moves the hand's target by ``displacement``; the inverse of
        :meth:`displacement`. Not clipped to the group's bounds."""

    @abc.abstractmethod
    def metres_per_half_range(self, frame: BaseFrame) -> float:
        """About how far the hand moves for half the range of an entry, m: turns a disturbance
        in metres into the unit of :class:`enactive.policies.expert.ExpertPolicy`'s noise."""

    def space(self, frame: BaseFrame) -> VectorSpace:
        """The action space: the arm's group and the gripper."""
        return VectorSpace(groups=(self.group(frame), _gripper()), rate_hz=RATE_HZ)


def _gripper() -> Group:
    return Group(
        name="gripper", quantity="gripper", representation="scalar", reference="absolute",
        frame="hand", unit="effort", low=-1.0, high=1.0, positive="closes",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class EndEffectorDelta(Control):
    """A displacement of the hand: Meta-World's own interface, in any base's or the hand's axes."""

    tool: bool = False
    """Measured along the hand's axes (:data:`HAND`) instead of the base's."""

    def group(self, frame: BaseFrame) -> Group:
        return Group(
            name="arm", quantity="position", representation="xyz", reference="delta",
            frame="tool" if self.tool else frame.label, unit="m",
            low=-self._bound(frame), high=self._bound(frame),
        )  # fmt: skip

    def _bound(self, frame: BaseFrame) -> float:
        """Large enough for every displacement that the scene's axes allow, m."""
        turned = 1.0 if self.tool else abs(np.cos(frame.yaw)) + abs(np.sin(frame.yaw))
        return METRES_PER_UNIT * float(turned)

    def displacement(self, command: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        return HAND @ command if self.tool else frame.scene_vector(command)

    def command(self, displacement: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        return HAND.T @ displacement if self.tool else frame.vector(displacement)

    def metres_per_half_range(self, frame: BaseFrame) -> float:
        return self._bound(frame)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndEffectorAbsolute(Control):
    """Where the hand's target shall be; it gets there at most 1 cm per step along each axis."""

    def group(self, frame: BaseFrame) -> Group:
        return Group(
            name="arm", quantity="position", representation="xyz", reference="absolute",
            frame=frame.label, unit="m", low=-REACH, high=REACH,
        )  # fmt: skip

    def displacement(self, command: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        return frame.scene_point(command) - arm.target

    def command(self, displacement: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        return frame.point(arm.target + displacement)

    def metres_per_half_range(self, frame: BaseFrame) -> float:
        return REACH


@dataclass(frozen=True, kw_only=True, slots=True)
class JointDelta(Control):
    """Changes of the seven joint angles; the hand is displaced as forward kinematics says.

    The inverse is Newton's method with the damped pseudo-inverse of the hand's Jacobian (Wampler,
    1986): of all joint motions with the same effect it finds about the smallest. The hand keeps
    its orientation, because Meta-World's controller holds it: only where the joints would carry
    the hand counts, not how they would turn it.
    """

    limit: float = 0.1
    """Largest change of a joint per step, rad."""
    damping: float = 0.01
    """Damping of the pseudo-inverse, m/rad; small against the Jacobian's singular values, of which
    the smallest is about 0.3 over Meta-World's table."""

    def group(self, frame: BaseFrame) -> Group:
        return Group(
            name="joints", quantity="joint", representation="scalar", reference="delta",
            frame="arm", unit="rad", low=-self.limit, high=self.limit, size=len(JOINTS),
        )  # fmt: skip

    def displacement(self, command: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        joints = arm.joints
        return arm.hand(joints + command) - arm.hand(joints)

    def command(self, displacement: Vector, frame: BaseFrame, arm: Arm) -> Vector:
        start = arm.joints
        goal = arm.hand(start) + displacement
        joints = start.copy()
        for _ in range(5):
            jacobian = arm.jacobian(joints)  # (3, 7)
            error = goal - arm.hand(joints)
            if np.abs(error).max() < 1e-10:
                break
            square = jacobian @ jacobian.T + self.damping**2 * np.eye(3)
            joints = joints + jacobian.T @ np.linalg.solve(square, error)
        return joints - start

    def metres_per_half_range(self, frame: BaseFrame) -> float:
        return self.limit * 1.0  # joints are up to about a metre from the hand
