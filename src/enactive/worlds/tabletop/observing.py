"""What the tabletop shows: state vectors for policies, and the truth that its expert reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enactive.observations import StateVector
from enactive.worlds.tabletop.arms import ARMS, OPENING, Arm, Vector
from enactive.worlds.tabletop.control import CONTROLS, Aim
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.furniture import HINGE_AT
from enactive.worlds.tabletop.progress import Progress
from enactive.worlds.tabletop.scene import SLOTS, Thing
from enactive.worlds.tabletop.success import goal, in_place
from enactive.worlds.tabletop.tasks import Family
from enactive.worlds.tabletop.vocabulary import COLOURS, FURNITURE, KINDS

PROPRIO = StateVector(
    name="proprio",
    names=("hand.x", "hand.y", "hand.z", "hand.yaw", "gripper"),
    unit="mixed: position of the gripper in m, yaw in rad, opening from 0 (closed) to 1 (open)",
)

_POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
_ENTRIES = (
    "present", *_POSE, *(f"is-{colour}" for colour in COLOURS), *(f"is-{kind}" for kind in KINDS),
    "half.x", "half.y", "half.z",
)  # fmt: skip

OBJECTS = StateVector(
    name="objects",
    names=tuple(f"thing{slot}.{entry}" for slot in range(SLOTS) for entry in _ENTRIES),
    unit="mixed: 1 where a thing is in the slot, its centre (furniture: its handle) in m, its "
    "orientation as a quaternion wxyz, one-hot colour and kind, half extents in m; all 0 in empty "
    "slots",
)
"""Which slot holds which thing is drawn for each episode: it tells nothing about the task."""

FURNITURE_STATE = StateVector(
    name="furniture",
    names=("present", "drawer", "door"),
    unit="mixed: 1 where the cabinet is there, drawer in m, door in rad from closed",
)


def joint_state(arm: Arm) -> StateVector:
    """The state vector of an arm's joints."""
    return StateVector(
        name="joints",
        names=tuple(joint.name for joint in arm.joints),
        unit="mixed: m for slides, rad for hinges",
    )


def states(arm: Arm) -> Mapping[str, StateVector]:
    """State vectors that can be shown, by name."""
    vectors = (PROPRIO, joint_state(arm), OBJECTS, FURNITURE_STATE)
    return {vector.name: vector for vector in vectors}


_JOINTS = max(len(arm.joints) for arm in ARMS.values())

TRUTH_NAMES = (
    "hand.x", "hand.y", "hand.z", "hand.yaw", "opening",
    "aim.x", "aim.y", "aim.z", "aim.yaw", *(f"aim.joint{i}" for i in range(_JOINTS)),
    "arm", "control", "holding", "in_place",
    *(f"named.{entry}" for entry in (*_POSE, "half.x", "half.y", "half.z", "opened")),
    "goal.x", "goal.y", "goal.surface", "hinge.x", "hinge.y",
)  # fmt: skip

TRUTH = StateVector(
    name="tabletop",
    names=TRUTH_NAMES,
    unit="mixed: positions in m, angles in rad, orientations as quaternions wxyz, flags 0 or 1, "
    "arm and control as indices; 0 for what the task does not have",
)
"""What the scripted expert reads, in double precision."""

_ARM_NAMES, _CONTROL_NAMES = tuple(ARMS), tuple(CONTROLS)


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that a state vector may be read from."""

    engine: Engine
    progress: Progress
    aim: Aim
    arm: str
    control: str


class Objects:
    """The vector of all things: what does not change in an episode is written once."""

    def __init__(self, things: tuple[Thing, ...]) -> None:
        colours, kinds = tuple(COLOURS), KINDS
        self._table = np.zeros((SLOTS, len(_ENTRIES)), np.float32)
        self._slots = np.array([thing.slot for thing in things])
        for thing in things:
            row = self._table[thing.slot]
            row[0] = 1.0
            row[8 + colours.index(thing.look.colour)] = 1.0
            row[8 + len(colours) + kinds.index(thing.look.shape)] = 1.0
            row[-3:] = thing.look.half if not thing.is_furniture else 0.0
        self._furniture = [thing for thing in things if thing.is_furniture]

    def read(self, engine: Engine) -> NDArray[np.float32]:
        """``float32 (D,)``."""
        table = self._table
        table[self._slots, 1:4] = engine.positions()
        table[self._slots, 4:8] = engine.orientations()
        for thing in self._furniture:
            table[thing.slot, 1:4] = engine.place(thing.role)
        return table.ravel().copy()


def _proprio(seen: Seen) -> NDArray[np.float32]:
    pose = seen.engine.pose()
    return np.array([*pose.tolist(), seen.engine.opening() / OPENING], np.float32)


def _joints(seen: Seen) -> NDArray[np.float32]:
    return seen.engine.joints().astype(np.float32)


def _furniture(seen: Seen) -> NDArray[np.float32]:
    values = np.zeros(3, np.float32)
    for thing in seen.engine.things:
        if thing.is_furniture:
            values[0] = 1.0
            values[1 + FURNITURE.index(thing.look.shape)] = seen.engine.opened(thing.role)
    return values


READ: Mapping[str, Callable[[Seen], NDArray[np.float32]]] = {
    "proprio": _proprio,
    "joints": _joints,
    "furniture": _furniture,
}
"""How each state vector but ``objects`` is read."""


def truth(seen: Seen) -> Vector:
    """The vector :data:`TRUTH`, ``float64 (D,)``."""
    engine, scene = seen.engine, seen.engine.scene
    named = engine.index("named")
    thing = scene.named
    values = [
        *engine.pose().tolist(), engine.opening(), *seen.aim.pose.tolist(),
        *seen.aim.joints.tolist(), *[0.0] * (_JOINTS - len(seen.aim.joints)),
        float(_ARM_NAMES.index(seen.arm)), float(_CONTROL_NAMES.index(seen.control)),
        float(seen.progress.held == named), float(in_place(engine)),
        *engine.place("named").tolist(), *engine.data.xquat[engine.bodies[named]].tolist(),
    ]  # fmt: skip
    opened = 0.0 if thing.movable else engine.opened("named")
    half = thing.look.half if thing.movable else (0.0, 0.0, 0.0)
    values += [*half, opened]
    spot = goal(engine)
    surface = 0.0
    target = scene.target
    if target is not None and spot is not None:
        z = float(engine.place("target")[2])
        if target.is_container:
            surface = z - target.look.half[2] + 0.004
        elif scene.task.family is Family.STACK:
            surface = z + target.look.half[2]
    values += [*(spot or (0.0, 0.0)), surface]
    values += _hinge(engine)
    return np.array(values, np.float64)


def _hinge(engine: Engine) -> list[float]:
    if not engine.scene.named.is_furniture:
        return [0.0, 0.0]
    x, y = engine.scene.cabinet
    return [x + HINGE_AT, y]
