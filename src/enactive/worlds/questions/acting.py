"""What the arm does in a scene: the expert, or motions that go wrong, in the tabletop's physics.

A label that says whether something can be done is not written down anywhere: the expert tries it
here, from the state that is shown, and the simulator says what became of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from enactive.worlds.questions.item import MOMENTS
from enactive.worlds.questions.staging import cast
from enactive.worlds.tabletop.arms import ARMS, Vector
from enactive.worlds.tabletop.control import CONTROLS, Aim, finger_target
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.expert import expert_action
from enactive.worlds.tabletop.observing import Seen, truth
from enactive.worlds.tabletop.progress import Progress
from enactive.worlds.tabletop.relations import holds
from enactive.worlds.tabletop.scene import Scene
from enactive.worlds.tabletop.tasks import TASKS, Family
from enactive.worlds.tabletop.vocabulary import Relation

ARM, CONTROL = "gantry", "ee_delta"
OPEN, CLOSED = -1.0, 1.0
ATTEMPT = 150
"""Control steps that the expert has for one thing; what it can do takes about a third of them."""

_EXAMPLE: Mapping[Family, str] = {
    family: next(task.name for task in TASKS.values() if task.family is family) for family in Family
}
"""A task of each family: the expert reads the family off its name, all else off the state."""


@dataclass(kw_only=True, slots=True)
class Act:
    """The arm at work in a scene; everything that happened is kept, step by step."""

    staged: Scene
    state: bytes
    """Physics state now."""
    pose: Vector
    """What the hand is told: x, y, z in m, yaw in rad."""
    states: list[bytes] = field(default_factory=list[bytes])
    """After each control step; the first is where it began."""
    hands: list[Vector] = field(default_factory=list[Vector])
    """The hand's pose ``(4,)`` at each of them."""
    places: list[Vector] = field(default_factory=list[Vector])
    """Centres of all things ``(N, 3)`` m at each of them."""
    held: list[int | None] = field(default_factory=list["int | None"])
    """Number of the thing that is held at each of them."""

    @classmethod
    def begin(cls, staged: Scene, settle: int = 0) -> Act:
        """The beginning of ``staged``, after ``settle`` control steps in which the arm waits."""
        engine = Engine(staged_for_engine(staged), ARMS[ARM])
        act = cls(staged=staged, state=engine.state(), pose=np.array(staged.hand))
        act.note(engine, None)
        if settle:
            act.wait(settle)
            act.states, act.hands = act.states[-1:], act.hands[-1:]
            act.places, act.held = act.places[-1:], act.held[-1:]
        return act

    def note(self, engine: Engine, held: int | None) -> None:
        """Keep the present state."""
        self.state = engine.state()
        self.states.append(self.state)
        self.hands.append(engine.pose())
        self.places.append(engine.positions().copy())
        self.held.append(held)

    def expert(
        self, family: Family, named: int, target: int | None = None,
        relation: Relation | None = None, *, steps: int = ATTEMPT,
        until: Callable[[Act], bool] | None = None,
    ) -> bool:  # fmt: skip
        """Let the expert try something; whether it came about.

        Args:
            family: what is to be done, with ``named``, ``target`` and ``relation`` as in
                :func:`~enactive.worlds.questions.staging.cast`.
            steps: control steps after which it has failed.
            until: stop as soon as this holds, whatever became of it.
        """
        engine = Engine(cast(self.staged, family, named, target, relation), ARMS[ARM])
        engine.set_state(self.state)
        progress = Progress(start=engine.positions().copy(), held=self.held[-1])
        for _ in range(steps):
            aim = Aim(self.pose, self.pose)
            seen = Seen(engine, progress, aim, ARM, CONTROL)
            action = expert_action(_EXAMPLE[family], truth(seen))
            self._command(engine, action.astype(np.float64))
            success, _ = progress.update(engine)
            self.note(engine, progress.held)
            if success:
                return True
            if until is not None and until(self):
                return False
        return False

    def go(
        self, x: float, y: float, z: float, grip: float, *, steps: int = 60, settle: int = 2
    ) -> None:
        """Move the hand in a straight line to ``x, y, z`` m with the gripper's entry ``grip``."""
        engine, progress = self._waiting()
        for _ in range(steps):
            away = np.array([x, y, z]) - self.pose[:3]
            command = np.array([*np.clip(away, -0.03, 0.03), 0.0, grip])
            self._command(engine, command)
            progress.held = engine.held(progress.held)
            self.note(engine, progress.held)
            if np.abs(away).max() < 1e-6 and math.dist(self.hands[-1][:3], (x, y, z)) < 0.01:
                break
        self.wait(settle, grip)

    def wait(self, steps: int, grip: float = OPEN) -> None:
        """Keep the hand where it is."""
        engine, progress = self._waiting()
        for _ in range(steps):
            self._command(engine, np.array([0.0, 0.0, 0.0, 0.0, grip]))
            progress.held = engine.held(progress.held)
            self.note(engine, progress.held)

    def clip(self) -> tuple[bytes, ...]:
        """:data:`~enactive.worlds.questions.item.MOMENTS` states, evenly over what happened."""
        last = len(self.states) - 1
        return tuple(self.states[round(last * i / (MOMENTS - 1))] for i in range(MOMENTS))

    def moved(self, number: int) -> Vector:
        """How far a thing is from where it began, ``(2,)`` m as seen from above."""
        return (self.places[-1] - self.places[0])[number, :2]

    def _waiting(self) -> tuple[Engine, Progress]:
        engine = Engine(staged_for_engine(self.staged), ARMS[ARM])
        engine.set_state(self.state)
        return engine, Progress(start=engine.positions().copy(), held=self.held[-1])

    def _command(self, engine: Engine, command: Vector) -> None:
        aim = CONTROLS[CONTROL].aim(
            command[:-1], Aim(self.pose, self.pose), engine.pose(), engine.joints(), ARMS[ARM]
        )
        self.pose = aim.pose
        engine.step(aim.joints, finger_target(float(command[-1])))


def staged_for_engine(staged: Scene) -> Scene:
    """A scene in which nothing is to be done, with the names that an engine looks for."""
    return cast(staged, Family.TOUCH, 0)


def can(
    staged: Scene, family: Family, named: int, target: int | None = None,
    relation: Relation | None = None,
) -> bool:  # fmt: skip
    """Whether the expert can do something from the beginning of ``staged``; physics decides."""
    return Act.begin(staged, settle=4).expert(family, named, target, relation)


OFF = 0.010
"""How far from the middle of what is below something is let go of, to see whether it stays, m."""


def stays_on(staged: Scene, upper: int, lower: int) -> bool | None:
    """Whether a thing stays on another when it is let go of 1 cm beside the middle.

    It is tried on two opposite sides, each for more than a second; None where they differ, or where
    the gripper cannot take the thing at all.
    """
    found: set[bool] = set()
    for side in (OFF, -OFF):
        act = Act.begin(staged, settle=4)
        if not act.expert(Family.PICK, upper):
            return None
        below, above = staged.things[lower].look, staged.things[upper].look
        u, v, w = act.places[-1][lower].tolist()
        hand = act.hands[-1][:3] - act.places[-1][upper]  # where it holds the thing
        x, y = u + side + float(hand[0]), v + side / 2 + float(hand[1])
        low = w + below.half[2] + above.half[2] + float(hand[2]) + 0.003
        high = max(0.14, low + 0.04)
        act.go(x, y, high, CLOSED, settle=4)
        act.go(x, y, low, CLOSED, settle=3)
        act.go(x, y, low, OPEN, settle=6)
        act.go(x, y, high, OPEN, settle=30)
        centre, where = act.places[-1][upper].tolist(), act.places[-1][lower].tolist()
        found.add(holds(Relation.ON, centre, above.half, where, below))
    return found.pop() if len(found) == 1 else None


def at_rest(staged: Scene) -> bool:
    """Whether everything stays where it is put, within 1 cm, when the arm waits."""
    act = Act.begin(staged)
    act.wait(12)
    return bool(np.abs(act.places[-1] - act.places[0]).max() < 0.01)


def masses_of(staged: Scene) -> list[float]:
    """Mass of each thing, kg."""
    engine = Engine(staged_for_engine(staged), ARMS[ARM])
    return [float(engine.model.body(int(body)).mass[0]) for body in engine.bodies]


def still(staged: Scene) -> tuple[bytes, ...]:
    """The one state of a still: how the scene stands after a moment."""
    return (Act.begin(staged, settle=4).state,)
