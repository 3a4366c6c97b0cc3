"""When a task is done, from simulator truth; one function a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from enactive.worlds.tabletop.arms import Vector
from enactive.worlds.tabletop.arrangement import BESIDE
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.relations import holds, on_mark
from enactive.worlds.tabletop.tasks import Family
from enactive.worlds.tabletop.vocabulary import DIRECTIONS, Relation

LIFTED = 0.05
"""Height above where it stood from which on a picked object counts, m."""
RESTING = 0.06
"""Speed below which something counts as at rest, m/s."""
UNMOVED = 0.03
"""How far a reference may have been moved, m."""
DRAWER_OPEN, DRAWER_CLOSED = 0.10, 0.01
"""m."""
DOOR_OPEN, DOOR_CLOSED = 0.9, 0.06
"""rad."""

Done = Callable[[Engine, Vector, int | None], bool]
"""``(engine, centres at the beginning (N, 3), index of what is held) -> done``."""


def goal(engine: Engine) -> tuple[float, float] | None:
    """Where on the table the named object's centre shall be, m; None where it shall be nowhere."""
    task, target = engine.scene.task, engine.scene.target
    if target is None or task.family is Family.PICK_RELATED:
        return None
    x, y, _ = engine.place("target").tolist()
    if task.family is Family.BESIDE:
        assert task.relation is not None
        across, ahead = DIRECTIONS[task.relation]
        return x + BESIDE * across, y + BESIDE * ahead
    return x, y


def in_place(engine: Engine) -> bool:
    """Whether the named object is where it shall be, let go or not, at rest or not."""
    scene = engine.scene
    task, named, target = scene.task, scene.named, scene.target
    if target is None or task.family is Family.PICK_RELATED:
        return False
    centre, where = engine.place("named").tolist(), engine.place("target").tolist()
    half = named.look.half
    if task.family is Family.PUSH:
        return on_mark(centre, where, target.look) and centre[2] < max(half) + 0.01
    assert task.relation is not None
    if not holds(task.relation, centre, half, where, target.look):
        return False
    return task.relation in (Relation.IN, Relation.ON) or centre[2] < max(half) + 0.01


def _touched(engine: Engine, start: Vector, held: int | None) -> bool:
    if not engine.near("named"):
        return False
    named = engine.index("named")
    return any(named in side for side in engine.touched())


def _picked(engine: Engine, start: Vector, held: int | None) -> bool:
    named = engine.index("named")
    return held == named and bool(engine.place("named")[2] > start[named, 2] + LIFTED)


def _placed(engine: Engine, start: Vector, held: int | None) -> bool:
    if held is not None or not in_place(engine) or engine.speed("named") > RESTING:
        return False
    if engine.scene.task.family is not Family.BESIDE:
        return True
    target = engine.index("target")
    moved = engine.place("target") - start[target]
    return bool(moved @ moved < UNMOVED**2)


def _furniture(low: float, high: float) -> Done:
    def done(engine: Engine, start: Vector, held: int | None) -> bool:
        return low <= engine.opened("named") <= high

    return done


DONE: Mapping[Family, Done] = {
    Family.TOUCH: _touched,
    Family.PICK: _picked,
    Family.PICK_RELATED: _picked,
    Family.PICK_SIZED: _picked,
    Family.PUT_IN: _placed,
    Family.STACK: _placed,
    Family.BESIDE: _placed,
    Family.PUSH: _placed,
    Family.DRAWER_OPEN: _furniture(DRAWER_OPEN, 10.0),
    Family.DRAWER_CLOSE: _furniture(-10.0, DRAWER_CLOSED),
    Family.DOOR_OPEN: _furniture(DOOR_OPEN, 10.0),
    Family.DOOR_CLOSE: _furniture(-10.0, DOOR_CLOSED),
}
"""How each family's success is told."""

SUSTAINED: Mapping[Family, int] = {family: 1 if family is Family.TOUCH else 3 for family in Family}
"""Control steps in a row for which it must hold."""
