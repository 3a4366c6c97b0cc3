"""The tasks: families of what is to be done, and with which things.

A task's name decides what its instruction names, so the same words hold for every seed; the seed
decides where things are, what else is there, and of what they are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from enactive.worlds.tabletop.vocabulary import CONTAINER_COLOURS, Look, Relation


class Family(StrEnum):
    """What kind of thing is to be done."""

    TOUCH = "touch"
    PICK = "pick"
    PICK_RELATED = "pick-related"
    """Two things of one kind; a relation to a third tells which is meant."""
    PICK_SIZED = "pick-sized"
    """Two things of one kind; the size tells which is meant."""
    PUT_IN = "put-in"
    STACK = "stack"
    BESIDE = "beside"
    PUSH = "push"
    DRAWER_OPEN = "drawer-open"
    DRAWER_CLOSE = "drawer-close"
    DOOR_OPEN = "door-open"
    DOOR_CLOSE = "door-close"


FURNITURE_FAMILIES = (
    Family.DRAWER_OPEN, Family.DRAWER_CLOSE, Family.DOOR_OPEN, Family.DOOR_CLOSE
)  # fmt: skip
PICKING = (Family.PICK, Family.PICK_RELATED, Family.PICK_SIZED)
"""Families that succeed with the named object in the air."""
PLACING = (Family.PUT_IN, Family.STACK, Family.BESIDE)
"""Families that carry the named object somewhere and let go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableTask:
    """One task, as its name says."""

    name: str
    family: Family
    named: Look
    """What is to be handled."""
    target: Look | None = None
    """Where it shall go, or, in :attr:`Family.PICK_RELATED`, what it stands in relation to."""
    relation: Relation | None = None
    """How it shall stand to the target, or how it stands to it now."""


def _look(phrase: str, size: str = "medium") -> Look:
    colour, shape = phrase.split()
    return Look(colour=colour, shape=shape, size=size)


def container(name: str) -> Look:
    """The container called ``name``."""
    return Look(colour=CONTAINER_COLOURS[name], shape=name)


def _slug(words: str) -> str:
    return words.replace(" ", "-")


_NAMED = (
    "red cube", "green cylinder", "blue brick", "yellow cube", "purple cylinder", "orange ball"
)  # fmt: skip

UNSEEN_CONTAINER: Mapping[str, str] = {
    "red cube": "box",
    "green cylinder": "tray",
    "blue brick": "bowl",
    "yellow cube": "bowl",
    "purple cylinder": "box",
    "orange ball": "tray",
}
"""Object to the one container that no task puts it into: a pairing for the axis ``target``."""

_SUPPORTS = {
    "red cube": "blue brick",
    "yellow cube": "green brick",
    "green cylinder": "orange cube",
    "purple cylinder": "yellow cube",
    "blue brick": "red cube",
}
_BESIDE = {"red cube": "green cylinder", "yellow cube": "purple brick"}
_PUSHED = ("red cube", "blue brick", "purple cylinder", "yellow cube")
_RELATED = {
    Relation.LEFT: ("red cube", container("bowl")),
    Relation.RIGHT: ("red cube", container("bowl")),
    Relation.BEHIND: ("yellow cube", container("box")),
    Relation.FRONT: ("yellow cube", container("box")),
    Relation.ON: ("red cube", _look("blue brick", "large")),
    Relation.IN: ("green cylinder", container("tray")),
}


def _make() -> list[TableTask]:
    tasks: list[TableTask] = []

    def add(name: str, family: Family, named: Look, *rest: object) -> None:
        target, relation = (*rest, None, None)[:2]
        assert target is None or isinstance(target, Look)
        assert relation is None or isinstance(relation, Relation)
        tasks.append(
            TableTask(
                name=_slug(name), family=family, named=named, target=target, relation=relation
            )
        )

    for named in _NAMED:
        add(f"touch {named}", Family.TOUCH, _look(named))
    for named in _NAMED:
        add(f"pick {named}", Family.PICK, _look(named))
    for relation, (named, target) in _RELATED.items():
        name = f"pick {named} {relation} {target.phrase}"
        add(name, Family.PICK_RELATED, _look(named), target, relation)
    for size, named in (("large", "red cube"), ("small", "yellow cylinder")):
        add(f"pick {size} {named}", Family.PICK_SIZED, _look(named, size))
    for named in _NAMED:
        for kind in CONTAINER_COLOURS:
            if kind != UNSEEN_CONTAINER[named]:
                name = f"put {named} in {kind}"
                add(name, Family.PUT_IN, _look(named), container(kind), Relation.IN)
    for named, below in _SUPPORTS.items():
        name = f"stack {named} on {below}"
        add(name, Family.STACK, _look(named), _look(below, "large"), Relation.ON)
    for named, beside in _BESIDE.items():
        for relation in (Relation.LEFT, Relation.RIGHT, Relation.BEHIND, Relation.FRONT):
            name = f"put {named} {relation} {beside}"
            add(name, Family.BESIDE, _look(named), _look(beside), relation)
    for named in _PUSHED:
        square = Look(colour="white", shape="square")
        add(f"push {named} to square", Family.PUSH, _look(named), square)
    for family in FURNITURE_FAMILIES:
        piece, action = family.value.split("-")
        add(f"{action} {piece}", family, Look(colour="brown", shape=piece))
    return tasks


TASKS: Mapping[str, TableTask] = {task.name: task for task in _make()}
"""Every task by name."""
