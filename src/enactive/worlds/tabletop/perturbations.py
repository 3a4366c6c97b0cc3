"""The perturbations: named, in levels, each on one axis and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from enactive.registry import suggest
from enactive.seeding import numpy_generator
from enactive.worlds.tabletop.tasks import (
    FURNITURE_FAMILIES,
    UNSEEN_CONTAINER,
    Family,
    TableTask,
)
from enactive.worlds.tabletop.vocabulary import (
    CONTAINER_COLOURS,
    HELD_OUT_COLOURS,
    HELD_OUT_COMBINATIONS,
    Look,
    Relation,
)
from enactive.worlds.world import PerturbationSpec

_DESCRIPTIONS = {
    "object-1": "the named object has a colour-shape combination that training holds out",
    "object-2": "the named object is smaller or larger than any in training",
    "object-3": "the named object has a colour that training holds out",
    "object-4": "the named object has a shape that training holds out, a puck",
    "target-1": "the target stands outside the area where targets stand in training",
    "target-2": "the target is another container, support, reference or mark",
    "wording-1": "another of the task's held-out paraphrases",
    "wording-2": "the instruction inside a long, polite request",
    "wording-3": "the instruction with a clause that says which other thing is not meant",
    "distractor-1": "two more objects that share neither colour nor shape with the named one",
    "distractor-2": "three more objects that share the named one's colour or its shape",
    "camera-1": "cameras turned by up to 8 degrees and tilted by up to 4 about the table's middle",
    "camera-2": "cameras turned by 15 to 25 degrees, further off, with another field of view",
    "light-1": "half as much light, from another side",
    "light-2": "strong coloured light from the side",
    "texture-1": "a table and a floor of other colours",
    "texture-2": "a checkered table and a checkered floor",
    "dynamics-1": "objects three times as heavy",
    "dynamics-2": "a third of all friction",
    "dynamics-3": "position controllers with 0.4 of their gain",
    "reach-1": "the named thing stands outside the area where it stands in training",
    "reach-2": "the hand begins outside the region where it begins in training",
}

PERTURBATIONS: tuple[PerturbationSpec, ...] = tuple(
    PerturbationSpec(name=name, axis=name.split("-")[0], description=text)
    for name, text in _DESCRIPTIONS.items()
)
"""All of them; which apply to a task is said by :func:`applicable`."""

AXES = tuple(dict.fromkeys(perturbation.axis for perturbation in PERTURBATIONS))

_TARGET_PLACES = (Family.PUT_IN, Family.STACK, Family.BESIDE, Family.PUSH)


def applicable(task: TableTask) -> tuple[str, ...]:
    """Names of the perturbations that change something about ``task``.

    Furniture has no other looks, and some tasks have no target that could be elsewhere or other.
    """
    names: list[str] = []
    for perturbation in PERTURBATIONS:
        name, axis = perturbation.name, perturbation.axis
        if axis == "object" and task.family in FURNITURE_FAMILIES:
            continue
        if name == "target-1" and task.family not in _TARGET_PLACES:
            continue
        if name == "target-2" and other_target(task) is None:
            continue
        names.append(name)
    return tuple(names)


def check(task: TableTask, perturbations: Sequence[str]) -> dict[str, str]:
    """The perturbations by axis, once they are known to go together and with the task.

    Raises:
        ValueError: two are on one axis, or one changes nothing about the task.
    """
    known = applicable(task)
    found: dict[str, str] = {}
    for name in perturbations:
        if name not in known:
            raise ValueError(
                f"perturbations: {name!r} changes nothing about the task {task.name!r}; "
                f"{suggest(name, known)}"
            )
        axis = name.rsplit("-", 1)[0]
        if axis in found:
            raise ValueError(
                f"perturbations: {found[axis]!r} and {name!r} are on one axis; give one of them"
            )
        found[axis] = name
    return found


def other_object(task: TableTask, perturbation: str | None) -> Look:
    """The named object's looks under a perturbation of the axis ``object`` (None: as named)."""
    look = task.named
    if perturbation is None:
        return look
    draw = numpy_generator(0, "tabletop", task.name, perturbation)
    if perturbation == "object-1":
        colours = [colour for colour, shape in HELD_OUT_COMBINATIONS if shape == look.shape]
        return Look(colour=colours[draw.integers(len(colours))], shape=look.shape, size=look.size)
    if perturbation == "object-2":
        held_out = {"large": "huge", "small": "tiny"}
        size = held_out.get(look.size) or ("tiny", "huge")[draw.integers(2)]
        return Look(colour=look.colour, shape=look.shape, size=size)
    if perturbation == "object-3":
        colour = HELD_OUT_COLOURS[draw.integers(len(HELD_OUT_COLOURS))]
        return Look(colour=colour, shape=look.shape, size=look.size)
    return Look(colour=look.colour, shape="puck", size=look.size)


def other_target(task: TableTask) -> Look | None:
    """The target under ``target-2``; None where the task has none that could be another."""
    target = task.target
    if target is None or (task.family is Family.PICK_RELATED and task.relation is Relation.IN):
        return None
    if task.family is Family.PUT_IN:
        kind = UNSEEN_CONTAINER[task.named.phrase]
        return Look(colour=CONTAINER_COLOURS[kind], shape=kind)
    if task.family is Family.PUSH:
        return Look(colour="black", shape="circle")
    draw = numpy_generator(0, "tabletop", task.name, "target-2")
    if target.shape in CONTAINER_COLOURS:
        kinds = [kind for kind in CONTAINER_COLOURS if kind != target.shape]
        kind = kinds[draw.integers(len(kinds))]
        return Look(colour=CONTAINER_COLOURS[kind], shape=kind)
    colours = [
        colour
        for colour, shape in HELD_OUT_COMBINATIONS
        if shape == target.shape and colour != task.named.colour
    ]
    colour = colours[draw.integers(len(colours))]
    return Look(colour=colour, shape=target.shape, size=target.size)
