"""LIBERO's scripted expert: it reads the goal and the simulator's truth, and plans as it goes.

The first literal of the goal that does not hold is worked on: things are taken from above and put
down, drawers pulled and pushed, the stove's knob turned (:mod:`enactive.worlds.libero_motions`).
Plans are short and made anew when they end, so that what failed is tried again, elsewhere. What
it cannot do, :func:`unsupported` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.worlds.libero_motions import (
    OPEN,
    Waypoint,
    carried,
    clear,
    drag,
    flat,
    grasp,
    here,
    in_the_way,
    put,
    slide,
    twist,
)
from enactive.worlds.libero_state import part_of_truth
from enactive.worlds.libero_tasks import Definition, Literal, find_task

Vector = NDArray[np.float64]

_ORDER = {"open": 0, "turnon": 1, "turnoff": 1, "on": 2, "in": 2, "close": 3}
"""What is done first: a drawer is opened before and closed after something is put in."""
_OPEN_ENOUGH = 0.12
"""How far a drawer must be out for something to be put in, m."""
_GAIN = 4.0
"""Commanded displacement over remaining distance; the hand follows softly."""
_TURN_GAIN = 2.5
_SAME = 0.08
"""How near an orientation counts as reached, rad."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is remembered of an episode."""

    goal: tuple[Literal, ...]
    inside: frozenset[str] = frozenset()
    """What lies in something narrow."""
    home: Waypoint | None = None
    """Where the hand was first: as high as nothing in the scene, and pointing down."""
    waypoints: tuple[Waypoint, ...] = ()
    """What remains to be done; the first is under way."""
    steps: int = 0
    """Steps spent on the first waypoint."""
    there: int = 0
    """Of them, since it was reached."""
    attempts: int = 0
    """Plans to take something that were made so far."""


def unsupported(definition: Definition) -> str:
    """Why the expert cannot do a task, or nothing."""
    for verb, *names in definition.goal:
        if verb in ("open", "close") and not names[0].endswith("_region"):
            return "a microwave's door"
        if verb == "in" and ("shelf" in names[1] or "microwave" in names[1]):
            return "a place that is reached only from the side"
    return ""


class LiberoExpert:
    """A planning expert, see :class:`enactive.policies.expert.PlanningExpert`."""

    version: ClassVar[int] = 3

    def begin(self, task: str, seed: int) -> Plan:
        """The memory of an episode that begins.

        Raises:
            KeyError: there is no such task.
        """
        definition = find_task(task).definition()
        return Plan(goal=definition.goal, inside=definition.inside)

    def act(self, truth: Vector, memory: Plan) -> tuple[NDArray[np.float32], Plan]:
        """``(TRUTH (D,), memory) -> (action float32 (7,), next memory)``."""
        if memory.home is None:
            memory = replace(memory, home=here(truth))
        if not memory.waypoints:
            memory = _planned(truth, memory)
        if not memory.waypoints:  # nothing that it can do
            return np.array([0, 0, 0, 0, 0, 0, OPEN], np.float32), memory
        waypoint = memory.waypoints[0]
        away, turn = _remaining(truth, waypoint)
        action = np.concatenate([_GAIN * away, _TURN_GAIN * turn, [waypoint.gripper]])
        there = memory.there > 0 or bool(
            np.linalg.norm(away) < waypoint.tolerance
            and (np.linalg.norm(turn) < _SAME or waypoint.tolerance >= 1.0)
        )
        memory = replace(memory, steps=memory.steps + 1, there=memory.there + int(there))
        if memory.there > waypoint.hold or memory.steps >= waypoint.patience:
            memory = replace(memory, waypoints=memory.waypoints[1:], steps=0, there=0)
        low = np.array([-0.05] * 3 + [-0.5] * 3 + [-1.0])
        return np.clip(action, low, -low).astype(np.float32), memory


def _remaining(truth: Vector, waypoint: Waypoint) -> tuple[Vector, Vector]:
    """Way ``(3,)`` in m and turn ``(3,)`` as axis-angle in rad that lead to the waypoint."""
    now = Rotation.from_quat(part_of_truth(truth, "hand.q")[[1, 2, 3, 0]])
    wanted = Rotation.from_matrix(np.reshape(waypoint.turn, (3, 3)))
    return np.subtract(waypoint.place, part_of_truth(truth, "hand")), (
        wanted * now.inv()
    ).as_rotvec()


def _planned(truth: Vector, memory: Plan) -> Plan:
    """The next waypoints for the first literal, in the order of doing, that does not hold."""
    goal = memory.goal
    for literal in sorted(range(len(goal)), key=lambda i: (_ORDER[goal[i][0]], i)):
        if part_of_truth(truth, "holds", literal)[0] == 0:
            return _work_on(truth, memory, literal)
    return memory


def _work_on(truth: Vector, memory: Plan, literal: int) -> Plan:
    verb, *names = memory.goal[literal]
    assert memory.home is not None
    home = np.asarray(memory.home.place)
    moves = _joint_moves(truth, literal)
    if verb in ("open", "close"):
        drawer = names[0].endswith("_region")
        waypoints = slide(truth, literal, home, verb == "open") if drawer and moves else []
        # Turning sideways and back is safe for the wrist where the hand began.
        around = [memory.home] if waypoints else []
        return replace(
            memory, waypoints=(*around, *waypoints, *around), attempts=memory.attempts + 1
        )
    if verb in ("turnon", "turnoff"):
        return replace(memory, waypoints=tuple(twist(truth, literal, home, verb == "turnon")))
    holding = carried(truth, literal)
    enough = _OPEN_ENOUGH - (0.04 if holding else 0.0)
    if verb == "in" and moves and abs(part_of_truth(truth, "joint", literal)[0]) < enough:
        shift = None if holding else in_the_way(truth, literal)
        if shift is not None:
            moved = clear(truth, literal, home, memory.attempts, names[0] in memory.inside, shift)
            return replace(memory, waypoints=tuple(moved), attempts=memory.attempts + 1)
        pulled = slide(truth, literal, home, True, 0.165)
        return replace(memory, waypoints=(memory.home, *pulled, memory.home))
    if holding:
        return replace(memory, waypoints=tuple(put(truth, literal, home, verb == "in")))
    if flat(truth, literal):
        waypoints = drag(truth, literal, home, memory.attempts)
        return replace(memory, waypoints=tuple(waypoints), attempts=memory.attempts + 1)
    narrow = names[0] in memory.inside
    waypoints = grasp(truth, literal, home, memory.attempts, narrow)
    return replace(memory, waypoints=tuple(waypoints), attempts=memory.attempts + 1)


def _joint_moves(truth: Vector, literal: int) -> bool:
    return bool(np.any(part_of_truth(truth, "joint.axis", literal)))
