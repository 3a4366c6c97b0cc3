"""Where everything of a task may stand, for one seed: in training and under every perturbation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from enactive.seeding import numpy_generator
from enactive.worlds.tabletop.layout import (
    AREA,
    CONTAINER,
    LARGE,
    MARK,
    OBJECT,
    REACH,
    WIDE,
    Group,
    NoRoom,
    Point,
    Taken,
    place,
    strips,
    uniform,
)
from enactive.worlds.tabletop.tasks import FURNITURE_FAMILIES, Family, TableTask
from enactive.worlds.tabletop.vocabulary import CONTAINERS, DIRECTIONS, MARKS, Relation

BESIDE = 0.105
"""Distance between centres at which something is put beside something, m."""
RELATED = 0.14
"""Distance of twins from what they stand in relation to, m."""
MOST_DISTRACTORS = 3

_BOTH_SIDES = np.array([[1.0, 1.0], [-1.0, 1.0]])
_BOTH_ENDS = np.array([[1.0, 1.0], [1.0, -1.0]])
_ATTEMPTS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where one thing stands."""

    spot: Point
    """Centre on the table, m."""
    on: str | None = None
    """Role of what it stands on or in, where that is not the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """All places of one seed."""

    named: Point
    far_named: Point
    """Place of the named thing's group outside the training area."""
    target: Point
    far_target: Point
    rest: dict[str, Point]
    """Places of what belongs to neither group, by role."""
    offsets: dict[str, tuple[str, Point, str | None]]
    """Role to the group it is in (``"named"`` or ``"target"``), its offset there, and on what it
    stands."""
    hand: tuple[float, float, float, float]
    far_hand: tuple[float, float, float, float]
    cabinet: Point
    far_cabinet: Point
    openings: dict[str, float]
    """How far furniture is open, m or rad."""

    def places(self, *, far_named: bool, far_target: bool) -> dict[str, Place]:
        """Role to place."""
        origin = {
            "named": self.far_named if far_named else self.named,
            "target": self.far_target if far_target else self.target,
        }
        found = {role: Place(spot) for role, spot in self.rest.items()}
        for role, (group, (dx, dy), on) in self.offsets.items():
            x, y = origin[group]
            found[role] = Place((x + dx, y + dy), on)
        return found


def arrange(task: TableTask, seed: int) -> Arrangement:
    """The arrangement of ``task`` for ``seed``.

    Raises:
        NoRoom: nothing fits, which no task of ours comes to.
    """
    for attempt in range(_ATTEMPTS):
        generator = numpy_generator(seed, "tabletop", task.name, "layout", attempt)
        furniture = task.family in FURNITURE_FAMILIES
        rest = _at_furniture(generator) if furniture else None
        spots = (Taken(), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
        found = spots if furniture else _groups(task, generator)
        if found is None:
            continue
        taken, named, target, far_named, far_target = found
        rest = rest if furniture else _rest(task, generator, taken)
        if rest is None:
            continue
        draw = numpy_generator(seed, "tabletop", task.name, "poses")
        return Arrangement(
            named=named, target=target, far_named=far_named, far_target=far_target,
            rest=rest, offsets={} if furniture else _offsets(task),
            hand=_near_hand(draw), far_hand=_far_hand(draw),
            cabinet=(float(draw.uniform(-0.05, 0.05)), 0.20),
            far_cabinet=(float(draw.choice([-1, 1]) * draw.uniform(0.10, 0.14)), 0.20),
            openings=_openings(task, draw),
        )  # fmt: skip
    raise NoRoom(f"no arrangement of {task.name!r} for seed {seed} in {_ATTEMPTS} attempts")


def _offsets(task: TableTask) -> dict[str, tuple[str, Point, str | None]]:
    if task.family is not Family.PICK_RELATED:
        offsets: dict[str, tuple[str, Point, str | None]] = {"named": ("named", (0.0, 0.0), None)}
        if task.target is not None:
            offsets["target"] = ("target", (0.0, 0.0), None)
        return offsets
    assert task.relation is not None
    if task.relation in DIRECTIONS:
        x, y = (RELATED * part for part in DIRECTIONS[task.relation])
        return {
            "named": ("named", (0.0, 0.0), None),
            "target": ("named", (-x, -y), None),
            "twin": ("named", (-2 * x, -2 * y), None),
        }
    return {"named": ("named", (0.0, 0.0), "target"), "target": ("named", (0.0, 0.0), None)}


def _footprint(shape: str) -> float:
    if shape in CONTAINERS:
        return CONTAINER
    return MARK if shape in MARKS else LARGE


def _named_group(task: TableTask) -> Group:
    if task.family is not Family.PICK_RELATED:
        return Group((((0.0, 0.0), OBJECT),))
    assert task.target is not None
    offsets = _offsets(task)
    circles = [((0.0, 0.0), OBJECT), (offsets["target"][1], _footprint(task.target.shape))]
    if "twin" in offsets:
        circles.append((offsets["twin"][1], OBJECT))
    return Group(tuple(circles))


def _target_group(task: TableTask) -> Group | None:
    if task.target is None or task.family is Family.PICK_RELATED:
        return None
    circles = [((0.0, 0.0), _footprint(task.target.shape))]
    if task.family is Family.BESIDE:
        assert task.relation is not None
        x, y = (BESIDE * part for part in DIRECTIONS[task.relation])
        circles.append(((x, y), OBJECT))  # where the named object shall stand
    return Group(tuple(circles))


def _groups(
    task: TableTask, generator: np.random.Generator
) -> tuple[Taken, Point, Point, Point, Point] | None:
    """Where the named thing's and the target's groups are, and would be outside the area."""
    taken = Taken()
    nowhere = (0.0, 0.0)
    spots: list[Point] = []
    # What is pushed stands well away from its mark.
    apart = 0.06 if task.family is Family.PUSH else 0.0
    sides = _BOTH_SIDES
    if task.relation is Relation.LEFT and task.family is Family.PICK_RELATED:
        sides = _BOTH_SIDES[1:]
    elif task.relation is Relation.RIGHT and task.family is Family.PICK_RELATED:
        sides = _BOTH_SIDES[:1]
    draws = (
        (_target_group(task), uniform(AREA), AREA, apart),
        (_named_group(task), uniform(AREA), AREA, 0.0),
        (_target_group(task), strips((-0.2, 0.2), (0.25, 0.29), _BOTH_ENDS), REACH, 0.0),
        (_named_group(task), strips((0.34, 0.38), (-0.1, 0.1), sides), REACH, 0.0),
    )
    for group, draw, area, extra in draws:
        if group is None:
            spots.append(nowhere)
            continue
        spot = place(generator, group, draw, taken, area)
        if spot is None:
            return None
        spots.append(spot)
        taken.circles += [(centre, radius + extra) for centre, radius in group.at(spot)]
    target, named, far_target, far_named = spots
    if task.family is Family.PUSH:
        for start in (named, far_named):
            # The hand needs room behind the object too.
            for end in (target, far_target):
                taken.lanes.append((_behind(start, end), end, 0.03))
    return taken, named, target, far_named, far_target


def _behind(start: Point, end: Point) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(float(np.hypot(dx, dy)), 1e-9)
    return start[0] - 0.09 * dx / length, start[1] - 0.09 * dy / length


def _rest(task: TableTask, generator: np.random.Generator, taken: Taken) -> dict[str, Point] | None:
    """Places of everything else; added distractors have theirs whether they are there or not."""
    roles: list[tuple[str, float, tuple[float, float]]] = []
    if task.family is Family.PUT_IN:
        roles.append(("container", CONTAINER, AREA))
    related = task.family is Family.PICK_RELATED and task.relation not in DIRECTIONS
    if task.family is Family.PICK_SIZED or related:
        roles.append(("twin", OBJECT, AREA))
    count = 1 if task.family is Family.PUSH else 2
    roles += [(f"other-{number}", OBJECT, AREA) for number in range(1, count + 1)]
    roles += [(f"distractor-{number}", OBJECT, WIDE) for number in range(1, MOST_DISTRACTORS + 1)]
    spots: dict[str, Point] = {}
    for role, radius, area in roles:
        group = Group((((0.0, 0.0), radius),))
        spot = place(generator, group, uniform(area), taken, area)
        if spot is None:
            return None
        spots[role] = spot
        taken.circles += group.at(spot)
    return spots


def _at_furniture(generator: np.random.Generator) -> dict[str, Point] | None:
    """Places in front of the furniture, out of the way of what opens."""
    taken = Taken()
    spots: dict[str, Point] = {}
    strip = strips((-0.3, 0.3), (0.15, 0.29), np.array([[1.0, -1.0]]))
    for role in ("other-1", "other-2", "distractor-1", "distractor-2", "distractor-3"):
        group = Group((((0.0, 0.0), OBJECT),))
        spot = place(generator, group, strip, taken, REACH)
        if spot is None:
            return None
        spots[role] = spot
        taken.circles += group.at(spot)
    return spots


def _near_hand(draw: np.random.Generator) -> tuple[float, float, float, float]:
    x, y, z = draw.uniform((-0.10, -0.08, 0.18), (0.10, 0.08, 0.24))
    return float(x), float(y), float(z), 0.0


def _far_hand(draw: np.random.Generator) -> tuple[float, float, float, float]:
    x, y, z = draw.uniform((0.25, 0.18, 0.26), (0.35, 0.28, 0.32))
    signs = draw.choice([-1.0, 1.0], 2)
    return float(signs[0] * x), float(signs[1] * y), float(z), float(draw.uniform(-0.8, 0.8))


def _openings(task: TableTask, draw: np.random.Generator) -> dict[str, float]:
    ajar, wide = float(draw.uniform(0.0, 0.08)), float(draw.uniform(0.75, 1.0))
    shut = {"drawer": 0.0, "door": 0.0}
    full = {"drawer": 0.14, "door": 1.3}
    if task.family in FURNITURE_FAMILIES:
        piece, action = task.family.value.split("-")
        shut[piece] = full[piece] * (ajar if action == "open" else wide)
    return shut
