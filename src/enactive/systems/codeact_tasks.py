"""The tasks of the CodeAct claim: a small robot that looks at things, reads notes and moves things.

Five kinds: one call that does it (the atomic control), a choice between two calls by what is seen,
notes that lead from one to the next, every thing of a colour, and a sum over things. Names of
things and what they are like are drawn from the seed; nothing about a thing follows from its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.actions.tools import READS, Effects, Tool
from enactive.worlds.workspace.problem import (
    Apply,
    Domain,
    Judge,
    Level,
    Operation,
    Problem,
    State,
    Wordings,
    call,
    pick,
    several,
)

KINDS = ("atomic", "choice", "notes", "gather", "sum")
"""Kinds of tasks by level, from 1."""
COLOURS = ("red", "green", "blue", "white")
PLACES = ("shelf", "tray", "bin", "drawer", "rack")
THINGS = (
    "bolt", "bottle", "bowl", "brush", "clamp", "cup", "fork", "fuse", "hinge", "jar", "knob",
    "lamp", "lid", "nut", "pan", "plate", "plug", "pot", "ring", "saw", "screw", "sponge",
    "spring", "tape", "valve", "washer",
)  # fmt: skip


def things_of(generator: np.random.Generator, count: int) -> dict[str, Any]:
    """Things by name, each with a colour, a weight in kg, a place, and a note that says nothing."""
    names = several(generator, THINGS, count)
    return {
        name: {
            "colour": pick(generator, COLOURS),
            "weight": int(generator.integers(1, 50)) / 10,
            "place": pick(generator, PLACES),
            "note": "",
        }
        for name in names
    }


def places(things: Mapping[str, Any]) -> dict[str, str]:
    """Where each thing is."""
    return {name: one["place"] for name, one in things.items()}


def _moved(things: Mapping[str, Any], targets: Mapping[str, str]) -> Judge:
    """A judge: exactly these things were moved, to these places."""
    expected = {**places(things), **targets}

    def judge(state: State, answer: str) -> str:
        found = places(state["things"])
        wrong = sorted(name for name in expected if found[name] != expected[name])
        return f"{wrong} are not where they should be" if wrong else ""

    return judge


def _elsewhere(generator: np.random.Generator, *used: str) -> str:
    return pick(generator, [place for place in PLACES if place not in used])


def _atomic(generator: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any], Judge]:
    things = things_of(generator, 6)
    thing = pick(generator, list(things))
    place = _elsewhere(generator, things[thing]["place"])
    return things, {"thing": thing, "place": place}, _moved(things, {thing: place})


def _choice(generator: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any], Judge]:
    things = things_of(generator, 6)
    seen, other = several(generator, list(things), 2)
    colour = pick(generator, COLOURS)
    if generator.random() < 0.5:
        things[seen]["colour"] = colour
    place = _elsewhere(generator, things[seen]["place"], things[other]["place"])
    moved = seen if things[seen]["colour"] == colour else other
    fields = {"seen": seen, "other": other, "colour": colour, "place": place}
    return things, fields, _moved(things, {moved: place})


def _notes(generator: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any], Judge]:
    things = things_of(generator, 8)
    walk = several(generator, list(things), int(generator.integers(3, 6)))
    for one, following in pairwise(walk):
        things[one]["note"] = following
    place = _elsewhere(generator, things[walk[-1]]["place"])
    return things, {"first": walk[0], "place": place}, _moved(things, {walk[-1]: place})


def _gather(generator: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any], Judge]:
    things = things_of(generator, int(generator.integers(6, 11)))
    colour = things[pick(generator, list(things))]["colour"]
    place = pick(generator, PLACES)
    targets = {name: place for name, one in things.items() if one["colour"] == colour}
    return things, {"colour": colour, "place": place}, _moved(things, targets)


def _sum(generator: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any], Judge]:
    things = things_of(generator, int(generator.integers(6, 11)))
    colour = things[pick(generator, list(things))]["colour"]
    total = round(sum(one["weight"] for one in things.values() if one["colour"] == colour), 1)

    def judge(state: State, answer: str) -> str:
        return "" if answer.strip() == f"{total:.1f}" else f"the answer is not {total:.1f}"

    return things, {"colour": colour}, judge


_MAKERS: tuple[
    Callable[[np.random.Generator], tuple[dict[str, Any], dict[str, Any], Judge]], ...
] = (_atomic, _choice, _notes, _gather, _sum)

WORDS = (
    "Put the {thing} on the {place}.",
    "If the {seen} is {colour}, put it on the {place}; otherwise put the {other} there.",
    "Start at the {first} and go from note to note: each names the next thing. Put the last one on "
    "the {place}.",
    "Put every {colour} thing on the {place}.",
    "What do the {colour} things weigh together? Answer in kilograms with one decimal.",
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """A task of the kind that ``level`` names."""
    things, fields, judge = _MAKERS[level - 1](generator)
    return Problem(
        wordings=Wordings(training=(WORDS[level - 1],), held_out=(WORDS[level - 1],)),
        fields=fields,
        state={"things": things},
        solution=(call("answer", text="done"),),
        judge=judge,
    )


def _thing(state: State, name: str) -> dict[str, Any]:
    if name not in state["things"]:
        raise ToolError(f"there is no {name!r}; there are {', '.join(state['things'])}")
    return state["things"][name]


def _list(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    return list(state["things"])


def _look(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    one = _thing(state, arguments["thing"])
    return {name: one[name] for name in ("colour", "weight", "place", "note")}


def _move(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    one = _thing(state, arguments["thing"])
    one["place"] = arguments["place"]
    return None


_NAME = {"type": "string", "maxLength": 40}


def _operation(
    name: str, description: str, given: Mapping[str, Any], gives: Mapping[str, Any],
    effects: Effects, resources: tuple[str, ...], apply: Apply,
) -> Operation:  # fmt: skip
    schema = {"type": "object", "properties": dict(given), "required": list(given),
              "additionalProperties": False}  # fmt: skip
    made = Tool(name=name, description=description, input_schema=schema, output_schema=gives,
                effects=effects, resources=resources)  # fmt: skip
    return Operation(tool=made, apply=apply)


_SEEN = {"colour": {"type": "string"}, "weight": {"type": "number"}, "place": {"type": "string"},
         "note": {"type": "string"}}  # fmt: skip
_MOVES = Effects(destructive=True, idempotent=True, open_world=False)

ROBOT = Domain(
    name="robot",
    operations=(
        _operation("list_things", "Names of all things.", {},
                   {"type": "array", "items": {"type": "string"}}, READS, (), _list),
        _operation("look", "What a thing is like, and the note on it.", {"thing": _NAME},
                   {"type": "object", "properties": _SEEN, "required": list(_SEEN)}, READS,
                   ("thing:{thing}",), _look),
        _operation("move", "Put a thing somewhere.", {"thing": _NAME, "place": {"enum": [*PLACES]}},
                   {"type": "null"}, _MOVES, ("thing:{thing}",), _move),
    ),
    levels=tuple(Level(max_steps=40, description=kind) for kind in KINDS),
    generate=generate,
)  # fmt: skip
"""Tasks ``robot-1`` to ``robot-5``, in the order of :data:`KINDS`."""
