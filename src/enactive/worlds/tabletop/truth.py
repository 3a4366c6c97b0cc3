"""What is true of a state, in words and numbers: labels for questions about a scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from enactive.worlds.tabletop.arms import OPENING
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.furniture import TRAVEL
from enactive.worlds.tabletop.model import TABLE_FRICTION, body_name
from enactive.worlds.tabletop.progress import Progress
from enactive.worlds.tabletop.relations import holds
from enactive.worlds.tabletop.scene import Thing
from enactive.worlds.tabletop.success import RESTING
from enactive.worlds.tabletop.vocabulary import Relation


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingTruth:
    """One thing, now."""

    role: str
    slot: int
    kind: str
    colour: str
    size: str
    material: str
    """Of objects; ``""`` of everything else."""
    position: tuple[float, float, float]
    """Centre, or furniture's handle, m."""
    orientation: tuple[float, float, float, float]
    """Quaternion wxyz."""
    half: tuple[float, float, float]
    """Half extents along its own axes, m."""
    mass: float
    """kg; 0 of what is fixed."""
    friction: float
    """Sliding friction coefficient on the table; 0 of marks."""
    movable: bool
    container: bool
    graspable: bool
    """Whether a horizontal width of it, as it lies, fits between the open fingers; furniture is
    held by its handle."""
    held: bool
    at_rest: bool
    upright: bool
    """Whether its vertical axis is within 15 degrees of the vertical."""
    supported_by: str
    """Role of the thing that it stands on or lies in; ``"table"``, ``"hand"``, or ``"nothing"`` in
    a fall."""
    stable: bool
    """At rest with its centre over what carries it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelationTruth:
    """One relation that holds."""

    relation: str
    subject: str
    """Role."""
    other: str
    """Role."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JointTruth:
    """A joint of furniture."""

    name: str
    kind: str
    """``"slide"`` or ``"hinge"``."""
    position: float
    """m or rad from closed."""
    travel: float
    """m or rad from closed to open."""
    open: bool
    """Whether it is more than half open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneTruth:
    """Everything that can be said of a state; ``to_dict`` gives JSON values."""

    task: str
    family: str
    perturbations: tuple[str, ...]
    time: float
    """Seconds since the episode began."""
    hand: tuple[float, float, float, float]
    """x, y, z in m, yaw in rad."""
    opening: float
    """Distance between the fingers, m."""
    things: tuple[ThingTruth, ...]
    relations: tuple[RelationTruth, ...]
    joints: tuple[JointTruth, ...]

    def thing(self, role: str) -> ThingTruth:
        """The thing of ``role``; raises ``KeyError`` where there is none."""
        for thing in self.things:
            if thing.role == role:
                return thing
        raise KeyError(f"no thing is {role!r} here; there are: {[t.role for t in self.things]}")

    def related(self, relation: Relation, subject: str, other: str) -> bool:
        """Whether the thing ``subject`` stands in ``relation`` to the thing ``other``."""
        wanted = RelationTruth(relation=relation.value, subject=subject, other=other)
        return wanted in self.relations

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def scene_truth(engine: Engine, progress: Progress) -> SceneTruth:
    """The truth about the engine's present state."""
    relations = _relations(engine)
    x, y, z, yaw = engine.pose().tolist()
    scene = engine.scene
    return SceneTruth(
        task=scene.task.name,
        family=scene.task.family.value,
        perturbations=scene.perturbations,
        time=float(engine.data.time),
        hand=(x, y, z, yaw),
        opening=2 * engine.opening(),
        things=tuple(_thing(engine, progress, thing, relations) for thing in engine.things),
        relations=tuple(relations),
        joints=tuple(_joint(engine, thing) for thing in engine.things if thing.is_furniture),
    )


def _relations(engine: Engine) -> list[RelationTruth]:
    found: list[RelationTruth] = []
    there = [thing for thing in engine.things if not thing.is_furniture]
    for subject in there:
        for other in there:
            if subject is other or other.is_mark or not subject.movable:
                continue
            centre, where = engine.place(subject.role), engine.place(other.role)
            found += [
                RelationTruth(relation=relation.value, subject=subject.role, other=other.role)
                for relation in Relation
                if holds(relation, centre.tolist(), subject.look.half, where.tolist(), other.look)
            ]
    return found


def _thing(
    engine: Engine, progress: Progress, thing: Thing, relations: list[RelationTruth]
) -> ThingTruth:
    index = engine.index(thing.role)
    body = int(engine.bodies[index])
    x, y, z = engine.place(thing.role).tolist()
    w, i, j, k = engine.data.xquat[body].tolist()
    axes = engine.data.xmat[body].reshape(3, 3)
    half = np.array(thing.look.half)
    held = progress.held == index
    resting = not thing.movable or engine.speed(thing.role) < RESTING
    support = _support(thing, relations, held, z - float(np.abs(axes[2]) @ half))
    return ThingTruth(
        role=thing.role,
        slot=thing.slot,
        kind=thing.look.shape,
        colour=thing.look.colour,
        size=thing.look.size,
        material=thing.material if thing.movable else "",
        position=(x, y, z),
        orientation=(w, i, j, k),
        half=thing.look.half if not thing.is_furniture else (0.0, 0.0, 0.0),
        mass=float(engine.model.body(body_name(thing)).mass[0]) if thing.movable else 0.0,
        friction=_friction(engine, thing),
        movable=thing.movable,
        container=thing.is_container,
        graspable=thing.is_furniture or (thing.movable and _graspable(axes, half)),
        held=held,
        at_rest=resting,
        upright=bool(axes[2, 2] > np.cos(np.radians(15.0))),
        supported_by=support,
        stable=resting and support not in ("hand", "nothing"),
    )


def _graspable(axes: np.ndarray, half: np.ndarray) -> bool:
    return any(abs(axes[2, i]) < 0.5 and half[i] < OPENING - 0.004 for i in range(3))


def _support(thing: Thing, relations: list[RelationTruth], held: bool, bottom: float) -> str:
    if not thing.movable:
        return "table"
    if held:
        return "hand"
    for relation in relations:
        if relation.subject == thing.role and relation.relation in (Relation.ON, Relation.IN):
            return relation.other
    return "table" if bottom < 0.004 else "nothing"


def _friction(engine: Engine, thing: Thing) -> float:
    """In a contact the larger of the two coefficients counts."""
    if not thing.movable:
        return 0.0
    own = float(engine.model.geom(body_name(thing)).friction[0])
    return max(own, TABLE_FRICTION * engine.scene.dynamics.friction)


def _joint(engine: Engine, thing: Thing) -> JointTruth:
    name = thing.look.shape
    position, travel = engine.opened(thing.role), TRAVEL[name]
    return JointTruth(
        name=name, kind="slide" if name == "drawer" else "hinge", position=position,
        travel=travel, open=position > travel / 2,
    )  # fmt: skip
