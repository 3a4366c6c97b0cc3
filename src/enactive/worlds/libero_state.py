"""What can be known of a LIBERO scene without pictures: the arm, every thing's pose, the goal.

Positions are measured from the robot's base, along its axes (which are the scene's), in m.
Orientations that a policy may read are the first two columns of a rotation matrix, which never
jump; those of :data:`TRUTH` are quaternions wxyz. The base stands elsewhere in every kind of scene;
only :data:`PUBLISHED` keeps the benchmark's own world coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.observations import StateVector
from enactive.worlds.libero_engine import MOST_LITERALS

Vector = NDArray[np.float64]

_COLUMNS = ("m00", "m10", "m20", "m01", "m11", "m21")

PROPRIO = StateVector(
    name="proprio",
    names=(
        "hand.x", "hand.y", "hand.z",
        *(f"hand.{entry}" for entry in _COLUMNS), "gripper",
    ),
    unit="mixed: hand in m from the base, first two columns of its orientation, opening between "
    "the fingers in m",
)  # fmt: skip
"""The hand's orientation hangs near a turn by pi, where axis-angle and quaternion jump; the columns
of the matrix do not."""

GRIP = StateVector(
    name="grip",
    names=PROPRIO.names[3:],
    unit="mixed: first two columns of the hand's orientation, opening between the fingers in m",
)
"""What a policy knows of the hand that shall act in the same way wherever it is."""

JOINTS = StateVector(name="joints", names=tuple(f"joint{i}" for i in range(1, 8)), unit="rad")

PUBLISHED = StateVector(
    name="libero_proprio",
    names=("hand.x", "hand.y", "hand.z", "hand.rx", "hand.ry", "hand.rz", "finger1", "finger2"),
    unit="mixed: hand in m in the benchmark's world frame, axis-angle in rad, fingers in m",
)
"""The eight numbers that published policies for LIBERO read."""

SLOT = ("there", "x", "y", "z", *_COLUMNS, "joint0", "joint1", "joint2")
"""Entries of one thing: 1 where the scene has it (else all are 0), position, orientation (the first
two columns of its matrix), and the positions of its joints (drawers from the top down in m, doors
and knobs in rad)."""

_GOAL = (
    ("holds", 1), ("part", 3), ("part.q", 4), ("part.box", 3), ("part.half", 3),
    ("target", 3), ("target.q", 4), ("target.half", 3),
    ("joint", 1), ("joint.axis", 3), ("joint.anchor", 3), ("handle", 3), ("handle.q", 4),
)  # fmt: skip
"""What an expert knows of one literal of the goal: whether it holds; the pose of what it is about,
with centre and half sizes of its bounding box in its own frame; pose and half sizes of the region
or thing that it shall be in or on; and of the joint that is to be moved or that moves the region,
its position, axis and anchor, and the pose of its handle."""

_HAND = (("hand", 3), ("hand.q", 4), ("closing", 3), ("opening", 1))
"""Where the fingertips are, the direction in which the fingers close, the opening between them."""


def _names(parts: Sequence[tuple[str, int]], prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{name}.{i}" for name, size in parts for i in range(size))


TRUTH = StateVector(
    name="libero",
    names=(
        *_names(_HAND, ""),
        *(name for i in range(MOST_LITERALS) for name in _names(_GOAL, f"goal{i}.")),
    ),
    unit="mixed: positions in m from the base, quaternions wxyz, joints in m or rad; 0 for "
    "literals that the goal does not have",
)

HANDLES: dict[str, tuple[float, float, float]] = {
    "top_level": (-0.003, -0.1016, 0.1839),
    "middle_level": (-0.003, -0.1016, 0.1104),
    "bottom_level": (-0.003, -0.1016, 0.0411),
    "microjoint": (0.2375, -0.054, 0.0),
    "button": (0.001, -0.005, 0.030),
}
"""Where a joint's handle is on the body that it moves, by the end of the joint's name; read off the
collision geoms of the benchmark's cabinets, microwave and stoves."""


def objects(slots: Sequence[str]) -> StateVector:
    """The pose of every thing, one slot each, measured from the base."""
    return _slots("objects", slots, "positions in m from the base")


def objects_relative(slots: Sequence[str]) -> StateVector:
    """The same, positions measured from the hand, along the base's axes."""
    return _slots("objects_relative", slots, "positions in m from the hand along the base's axes")


def _slots(name: str, slots: Sequence[str], unit: str) -> StateVector:
    names = tuple(f"{slot}.{entry}" for slot in slots for entry in SLOT)
    return StateVector(
        name=name, names=names, unit=f"mixed: {unit}, columns of orientations, joints"
    )


class Reader:
    """Reads the vectors above from one environment."""

    def __init__(self, env: Any, slots: Sequence[tuple[str, ...]]) -> None:
        """``slots``: of each, the things that may fill it; a scene has at most one of them."""
        self._env = env
        self._model: Any = env.sim.model._model
        self._data: Any = env.sim.data._data
        self._base: Vector = self._data.body("robot0_base").xpos.copy()
        self._site: int = self._model.site("gripper0_grip_site").id
        self._slots = [_Slot.find(env, self._model, slot) for slot in slots]
        goal = env.parsed_problem["goal_state"]
        self._literals = [tuple(literal) for literal in goal]
        self._boxes = {name: self._box(name) for name in env.obj_body_id}

    def proprio(self) -> Vector:
        """:data:`PROPRIO`, ``(10,)``."""
        return np.concatenate(
            [self._hand(), self._turn()[:, :2].T.reshape(-1), [self._fingers() @ (1.0, -1.0)]]
        )

    def joints(self) -> Vector:
        """:data:`JOINTS`, ``(7,)``."""
        return np.array(self._data.qpos[self._env.robots[0]._ref_joint_pos_indexes])

    def published(self) -> Vector:
        """:data:`PUBLISHED`, ``(8,)``."""
        turn = Rotation.from_matrix(self._turn()).as_rotvec()
        return np.concatenate([self._hand() + self._base, turn, self._fingers()])

    def objects(self, relative: bool) -> Vector:
        """:func:`objects` or :func:`objects_relative`, ``(D,)``."""
        origin = self._base + self._hand() if relative else self._base
        entries = np.zeros((len(self._slots), len(SLOT)))
        for row, slot in zip(entries, self._slots, strict=True):
            if slot is not None:
                row[0] = 1.0
                row[1:4] = self._data.xpos[slot.body] - origin
                turn = self._data.xmat[slot.body].reshape(3, 3)
                row[4:10] = turn[:, :2].T.reshape(-1)
                row[10 : 10 + len(slot.joints)] = self._data.qpos[list(slot.joints)]
        return entries.reshape(-1)

    def truth(self) -> Vector:
        """:data:`TRUTH`, ``(D,)``."""
        left = self._data.body("gripper0_leftfinger").xpos
        right = self._data.body("gripper0_rightfinger").xpos
        closing = (left - right) / np.linalg.norm(left - right)
        turn = _wxyz(self._turn())
        parts = [self._hand(), turn, closing, [self._fingers() @ (1.0, -1.0)]]
        for literal in self._literals:
            parts.extend(self._literal(literal))
        vector = np.zeros(TRUTH.size)
        known = np.concatenate(parts)
        vector[: len(known)] = known
        return vector

    def _hand(self) -> Vector:
        return self._data.site_xpos[self._site] - self._base

    def _turn(self) -> Vector:
        return self._data.site_xmat[self._site].reshape(3, 3)

    def _fingers(self) -> Vector:
        """Positions of the fingers, ``(2,)``, the second negative."""
        return np.array(self._data.qpos[self._env.robots[0]._ref_gripper_joint_pos_indexes])

    def _literal(self, literal: tuple[str, ...]) -> list[Any]:
        """The entries of :data:`_GOAL`, in order."""
        env, data = self._env, self._data
        holds = [float(env._eval_predicate(list(literal)))]
        zero, no_turn = np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
        part = [zero, no_turn, zero, zero]
        target = [zero, no_turn, zero]
        if literal[1] in env.obj_body_id:
            body = env.obj_body_id[literal[1]]
            centre, half = self._boxes[literal[1]]
            turn = data.xquat[body]
            part = [data.xpos[body] - self._base, turn, centre, half]
        if len(literal) == 3:
            target = self._target(literal[2])
        joint = self._joint(literal[-1])
        return [holds, *part, *target, *joint]

    def _target(self, name: str) -> list[Any]:
        data = self._data
        if name in self._boxes:
            centre, half = self._boxes[name]
            body = self._env.obj_body_id[name]
            turn = Rotation.from_matrix(data.xmat[body].reshape(3, 3))
            place = data.xpos[body] + turn.apply(centre) - self._base
            return [place, data.xquat[body], half]
        site = self._model.site(name).id
        turn = _wxyz(data.site_xmat[site].reshape(3, 3))
        half = np.asarray(self._env.object_sites_dict[name].size, np.float64)
        half = np.pad(half, (0, 3 - len(half)))
        return [data.site_xpos[site] - self._base, turn, half]

    def _joint(self, name: str) -> list[Any]:
        """The joint that moves the region or thing ``name``, where there is one."""
        thing = self._env.object_sites_dict.get(name) or self._env.get_object(name)
        joints = [j for j in getattr(thing, "joints", None) or () if _handle(j) is not None]
        if not joints:
            return [[0.0], np.zeros(3), np.zeros(3), np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])]
        data, joint = self._data, self._model.joint(joints[0])
        body = int(joint.bodyid[0])
        turn = Rotation.from_matrix(data.xmat[body].reshape(3, 3))
        handle = data.xpos[body] + turn.apply(np.asarray(_handle(joints[0]))) - self._base
        return [
            [data.qpos[joint.qposadr[0]]],
            data.xaxis[joint.id],
            data.xanchor[joint.id] - self._base,
            handle,
            data.xquat[body],
        ]

    def _box(self, name: str) -> tuple[Vector, Vector]:
        """Centre and half sizes ``(3,)`` of the collision geoms' box, in the thing's frame."""
        model, data = self._model, self._data
        root = self._env.obj_body_id[name]
        inside = _below(model, root)[model.geom_bodyid] & (model.geom_contype > 0)
        inside |= _below(model, root)[model.geom_bodyid] & (model.geom_conaffinity > 0)
        chosen = np.flatnonzero(inside)
        if not chosen.size:
            return np.zeros(3), np.zeros(3)
        signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T  # (8, 3)
        box = model.geom_aabb[chosen]  # (G, 6), centre and half sizes in the geom's frame
        corners = box[:, None, :3] + signs * box[:, None, 3:]  # (G, 8, 3)
        axes = data.geom_xmat[chosen].reshape(-1, 3, 3)
        scene = np.einsum("gij,gkj->gki", axes, corners) + data.geom_xpos[chosen][:, None]
        own = (scene.reshape(-1, 3) - data.xpos[root]) @ data.xmat[root].reshape(3, 3)
        low, high = own.min(0), own.max(0)
        return (low + high) / 2, (high - low) / 2


@dataclass(frozen=True, slots=True)
class _Slot:
    body: int
    joints: tuple[int, ...]
    """Addresses of its joints' positions."""

    @staticmethod
    def find(env: Any, model: Any, names: tuple[str, ...]) -> _Slot | None:
        name = next((name for name in names if name in env.obj_body_id), None)
        if name is None:
            return None
        body = env.obj_body_id[name]
        below = _below(model, body)
        hinged = [
            int(model.jnt_qposadr[j])
            for j in range(model.njnt)
            if below[model.jnt_bodyid[j]] and model.jnt_type[j] >= 2  # slide or hinge
        ]
        return _Slot(body, tuple(hinged[:3]))


def _below(model: Any, root: int) -> NDArray[np.bool_]:
    """Which bodies are ``root`` or hang on it, ``(B,)``."""
    below = np.zeros(model.nbody, np.bool_)
    below[root] = True
    for body in range(root + 1, model.nbody):  # parents come first
        below[body] = below[model.body_parentid[body]]
    return below


def _handle(joint: str) -> tuple[float, float, float] | None:
    return next((place for end, place in HANDLES.items() if joint.endswith(end)), None)


def _wxyz(matrix: Vector) -> Vector:
    return Rotation.from_matrix(matrix).as_quat()[[3, 0, 1, 2]]


_STARTS = {
    name: (sum(size for _, size in parts[:i]), size)
    for parts in (_HAND, _GOAL)
    for i, (name, size) in enumerate(parts)
}
_HAND_SIZE = sum(size for _, size in _HAND)
_GOAL_SIZE = sum(size for _, size in _GOAL)


def part_of_truth(truth: Vector, name: str, literal: int | None = None) -> Vector:
    """One part of a :data:`TRUTH` vector, ``(size,)``.

    Args:
        truth: ``(D,)``.
        name: name of the part, e.g. ``"hand"``, or of a literal's part, e.g. ``"target"``.
        literal: which literal.
    """
    start, size = _STARTS[name]
    offset = 0 if literal is None else _HAND_SIZE + literal * _GOAL_SIZE
    return truth[offset + start : offset + start + size]
