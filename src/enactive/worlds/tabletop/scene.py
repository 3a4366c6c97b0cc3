"""A scene: everything about an episode's beginning, as a function of task, perturbations and seed.

No simulator is needed here. What each axis of perturbations decides is a field or an attribute of
its own, drawn from a stream of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from enactive.seeding import numpy_generator
from enactive.worlds.tabletop import perturbations as perturbing
from enactive.worlds.tabletop.arrangement import Arrangement, Place, arrange
from enactive.worlds.tabletop.setting import (
    CameraSetting,
    Dynamics,
    LightSetting,
    Surfaces,
    camera_setting,
    dynamics,
    light_setting,
    surfaces,
)
from enactive.worlds.tabletop.tasks import (
    FURNITURE_FAMILIES,
    UNSEEN_CONTAINER,
    Family,
    TableTask,
    container,
)
from enactive.worlds.tabletop.vocabulary import (
    CONTAINERS,
    FURNITURE,
    HELD_OUT_COMBINATIONS,
    MARKS,
    MATERIALS,
    ROUND,
    SHAPES,
    TRAINING_COMBINATIONS,
    Look,
)

SLOTS = 10
"""K: the most things that a scene can hold; state vectors have a place for each."""

_DISTRACTORS = {"distractor-1": 2, "distractor-2": 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One thing of a scene, as it stands at the beginning."""

    role: str
    """``"named"``, ``"target"``, ``"twin"``, ``"other-1"``, ``"container"``, ``"distractor-1"``,
    ``"furniture"``... : what it is for in the task; unique in the scene."""
    look: Look
    slot: int
    """Its place in state vectors, in [0, K); drawn, so that it tells nothing."""
    position: tuple[float, float, float]
    """Centre, m."""
    yaw: float
    """Turn about the vertical, rad."""
    material: str = "wood"
    opening: float = 0.0
    """Of furniture: how far it is open, m or rad."""

    @property
    def movable(self) -> bool:
        """Whether it is a free body."""
        return self.look.shape in SHAPES

    @property
    def is_container(self) -> bool:
        return self.look.shape in CONTAINERS

    @property
    def is_mark(self) -> bool:
        return self.look.shape in MARKS

    @property
    def is_furniture(self) -> bool:
        return self.look.shape in FURNITURE


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """The beginning of an episode."""

    task: TableTask
    perturbations: tuple[str, ...]
    seed: int
    things: tuple[Thing, ...]
    hand: tuple[float, float, float, float]
    """Where the hand begins: x, y, z in m, yaw in rad."""
    cabinet: tuple[float, float]
    """Where the middle of the cabinet's front is, m; of use where furniture is."""
    cameras: CameraSetting
    light: LightSetting
    surfaces: Surfaces
    dynamics: Dynamics

    def thing(self, role: str) -> Thing:
        """The thing of ``role``; raises ``KeyError`` where there is none."""
        for thing in self.things:
            if thing.role == role:
                return thing
        raise KeyError(f"no thing is {role!r} here; there are: {[t.role for t in self.things]}")

    @property
    def named(self) -> Thing:
        """What is to be handled."""
        return self.thing("named")

    @property
    def target(self) -> Thing | None:
        """Where it shall go or what it stands to; None where the task has no target."""
        return next((thing for thing in self.things if thing.role == "target"), None)


def make_scene(task: TableTask, perturbations: Sequence[str], seed: int) -> Scene:
    """The scene of an episode.

    Args:
        task: what is to be done.
        perturbations: names of :data:`~enactive.worlds.tabletop.perturbations.PERTURBATIONS`, at
            most one on each axis.
        seed: decides everything that the task and the perturbations leave open.

    Raises:
        ValueError: the perturbations do not go together or not with the task.
    """
    by_axis = perturbing.check(task, perturbations)
    arrangement = arrange(task, seed)
    reach = by_axis.get("reach")
    return Scene(
        task=task,
        perturbations=tuple(perturbations),
        seed=seed,
        things=_things(task, arrangement, by_axis, seed),
        hand=arrangement.far_hand if reach == "reach-2" else arrangement.hand,
        cabinet=arrangement.far_cabinet if reach == "reach-1" else arrangement.cabinet,
        cameras=camera_setting(by_axis.get("camera"), seed),
        light=light_setting(by_axis.get("light"), seed),
        surfaces=surfaces(by_axis.get("texture"), seed),
        dynamics=dynamics(by_axis.get("dynamics")),
    )


def _things(
    task: TableTask, arrangement: Arrangement, by_axis: dict[str, str], seed: int
) -> tuple[Thing, ...]:
    looks = _looks(task, by_axis, seed)
    far = {
        "named": by_axis.get("reach") == "reach-1",
        "target": by_axis.get("target") == "target-1",
    }
    slots = numpy_generator(seed, "tabletop", task.name, "slots").permutation(SLOTS)
    things: list[Thing] = []
    places = arrangement.places(far_named=far["named"], far_target=far["target"])
    for index, role in enumerate(sorted(looks, key=_order)):
        draw = numpy_generator(seed, "tabletop", task.name, "thing", role)
        materials = tuple(MATERIALS)
        material = materials[draw.integers(len(materials))]
        turn = float(draw.uniform(-0.6, 0.6))
        look = looks[role]
        thing = Thing(
            role=role,
            look=look,
            slot=int(slots[index]),
            position=(0.0, 0.0, 0.0),
            yaw=turn if look.shape in SHAPES and look.shape not in ROUND else 0.0,
            material=material if look.shape in SHAPES else "wood",
        )
        if look.shape in FURNITURE:
            cabinet = (
                arrangement.far_cabinet if by_axis.get("reach") == "reach-1" else None
            ) or arrangement.cabinet
            opening = arrangement.openings[look.shape]
            things.append(replace(thing, position=(*cabinet, 0.0), opening=opening))
            continue
        things.append(replace(thing, position=_standing(look, places[role], looks)))
    return tuple(things)


def _standing(look: Look, place: Place, looks: dict[str, Look]) -> tuple[float, float, float]:
    """Where the centre of something is that stands at ``place``."""
    height = look.half[2]
    if place.on is not None:
        below = looks[place.on]
        height += 0.004 if below.shape in CONTAINERS else 2 * below.half[2]
    return (*place.spot, height)


def _order(role: str) -> tuple[bool, str]:
    return role.startswith("distractor"), role  # added things take the last of the drawn slots


def _looks(task: TableTask, by_axis: dict[str, str], seed: int) -> dict[str, Look]:
    """Role to looks of everything in the scene."""
    furniture = task.family in FURNITURE_FAMILIES
    named = task.named if furniture else perturbing.other_object(task, by_axis.get("object"))
    looks: dict[str, Look] = {"named": named}
    target = task.target
    if by_axis.get("target") == "target-2":
        target = perturbing.other_target(task)
    if target is not None:
        looks["target"] = target
    if task.family is Family.PICK_RELATED:
        looks["twin"] = named
    elif task.family is Family.PICK_SIZED:
        looks["twin"] = replace(named, size="small" if task.named.size == "large" else "large")
    elif task.family is Family.PUT_IN:
        looks["container"] = other_container(task)
    elif furniture:
        other = "door" if task.named.shape == "drawer" else "drawer"
        looks["furniture"] = Look(colour="brown", shape=other)
    draw = numpy_generator(seed, "tabletop", task.name, "others")
    pool = _free_combinations(task, TRAINING_COMBINATIONS)
    chosen = [pool[int(i)] for i in draw.permutation(len(pool))]
    count = others(task)
    for number, (colour, shape) in enumerate(chosen[:count], start=1):
        looks[f"other-{number}"] = Look(colour=colour, shape=shape)
    level = by_axis.get("distractor")
    if level is not None:
        added = _distractors(task, level, {*chosen[:count]}, seed)
        for number, (colour, shape) in enumerate(added, start=1):
            looks[f"distractor-{number}"] = Look(colour=colour, shape=shape)
    return looks


def others(task: TableTask) -> int:
    """How many other objects every scene of the task has."""
    return 1 if task.family is Family.PUSH else 2


def other_container(task: TableTask) -> Look:
    """The container beside the one that something is put into: another that is seen in training."""
    assert task.target is not None
    unseen = UNSEEN_CONTAINER[task.named.phrase]
    (kind,) = {*CONTAINERS} - {unseen, task.target.shape}
    return container(kind)


def _free_combinations(task: TableTask, among: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Combinations that nothing in the task has, whatever the perturbation."""
    looks = [task.named, *([task.target] if task.target else [])]
    if task.family not in FURNITURE_FAMILIES:
        looks += [
            perturbing.other_object(task, name)
            for name in perturbing.applicable(task)
            if name.startswith("object")
        ]
    other = perturbing.other_target(task)
    looks += [other] if other is not None else []
    taken = {(look.colour, look.shape) for look in looks}
    return [pair for pair in among if pair not in taken]


def _distractors(
    task: TableTask, level: str, present: set[tuple[str, str]], seed: int
) -> list[tuple[str, str]]:
    named = task.named
    pool = [
        pair
        for pair in _free_combinations(task, (*TRAINING_COMBINATIONS, *HELD_OUT_COMBINATIONS))
        if pair not in present
    ]
    similar = [p for p in pool if p[0] == named.colour or p[1] == named.shape]
    if level == "distractor-1" or task.family in FURNITURE_FAMILIES:
        pool = [p for p in pool if p not in similar]
    else:
        pool = similar
    draw = numpy_generator(seed, "tabletop", task.name, level)
    return [pool[int(i)] for i in draw.permutation(len(pool))[: _DISTRACTORS[level]]]
