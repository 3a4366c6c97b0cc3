"""The tools of the PoAct claim: many small functions between kinds of things, and their tasks.

A tool makes a thing of one kind out of a thing of another; a task asks for a thing of a kind that
takes several tools in a row. There are 10, 50 or 200 tools, of which a task needs two,
four or five. Kinds have two names; descriptions use either, so that words alone do not always find
the tool.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.seeding import numpy_generator
from enactive.worlds.workspace.problem import (
    Apply,
    Domain,
    Level,
    Operation,
    Problem,
    State,
    Wordings,
    call,
    pick,
    reads,
    text,
)

SIZES = (10, 50, 200)
OTHER_NAME = 0.15
"""Chance that a description calls a kind by its other name."""
HOPS = (2, 4, 5)
"""Tools that a task of each level needs."""
MOST_STEPS = 6
MODULUS = 997
_FIRST = ("ba", "ke", "lu", "mo", "ni", "pe", "ra", "so", "ti", "vu", "ze", "do")
_LAST = ("vik", "rol", "dan", "mek", "sup", "tos", "lin", "gar", "bex", "fum", "zod", "jas",
         "nor", "pim", "wex", "cal", "hob", "tyr", "quil", "dro")  # fmt: skip
_VERBS = ("mend", "fold", "trade", "melt", "weave", "press", "carve", "brew")


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """One tool's truth."""

    name: str
    takes: str
    gives: str
    factor: int
    shift: int

    def make(self, thing: str) -> str:
        """The thing that it makes; raises ``ToolError`` for one of another kind."""
        kind, _, number = thing.partition(":")
        if kind != self.takes or not number.isdigit():
            raise ToolError(f"it takes a {self.takes}, like '{self.takes}:12', not {thing!r}")
        return f"{self.gives}:{(int(number) * self.factor + self.shift) % MODULUS}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """All tools of one size."""

    makers: Mapping[str, Maker]
    descriptions: Mapping[str, str]

    def onward(self, kind: str) -> list[Maker]:
        """The tools that take a kind."""
        return [one for one in self.makers.values() if one.takes == kind]

    def route(self, start: str, goal: str) -> list[str] | None:
        """Kinds of a shortest way, both ends included; None where there is none."""
        before: dict[str, str] = {start: ""}
        queue = deque([start])
        while queue:
            kind = queue.popleft()
            if kind == goal:
                way = [kind]
                while before[way[-1]]:
                    way.append(before[way[-1]])
                return way[::-1]
            for one in self.onward(kind):
                if one.gives not in before:
                    before[one.gives] = kind
                    queue.append(one.gives)
        return None

    def between(self, takes: str, gives: str) -> Maker | None:
        """The tool from one kind to another; there is at most one."""
        return next((m for m in self.onward(takes) if m.gives == gives), None)


@cache
def catalogue(size: int) -> Catalogue:
    """The catalogue of ``size`` tools; the same every time."""
    generator = numpy_generator(0, "poact-tools", size)
    names = [a + b for a in _FIRST for b in _LAST]
    generator.shuffle(names)
    count = size // 2 + 3
    kinds, others = names[:count], names[count : 2 * count]
    other = dict(zip(kinds, others, strict=True))
    # A ring lets every kind be reached; the rest of the tools are shortcuts between any two.
    pairs = [(kinds[i], kinds[(i + 1) % count]) for i in range(count)]
    while len(pairs) < size:
        takes, gives = pick(generator, kinds), pick(generator, kinds)
        if takes != gives and (takes, gives) not in pairs:
            pairs.append((takes, gives))
    makers: dict[str, Maker] = {}
    descriptions: dict[str, str] = {}
    order: list[int] = generator.permutation(size).tolist()
    for number, place in enumerate(order):
        takes, gives = pairs[place]
        name = f"{pick(generator, _VERBS)}_{number:03d}"
        makers[name] = Maker(name=name, takes=takes, gives=gives,
                             factor=int(generator.integers(2, MODULUS)),
                             shift=int(generator.integers(MODULUS)))  # fmt: skip
        said = [other[k] if generator.random() < OTHER_NAME else k for k in (takes, gives)]
        descriptions[name] = f"Makes a {said[1]} out of a {said[0]}."
    return Catalogue(makers=makers, descriptions=descriptions)


def domain(size: int) -> Domain:
    """The workspace's domain of one size, ``tools10`` for example."""
    made = catalogue(size)

    def operation(maker: Maker) -> Operation:
        apply: Apply = lambda state, arguments, key: maker.make(arguments["thing"])  # noqa: E731
        thing = text("a thing, like 'kind:12'", 40)
        return reads(maker.name, made.descriptions[maker.name], {"thing": thing}, apply)

    return Domain(
        name=f"tools{size}",
        operations=tuple(operation(maker) for maker in made.makers.values()),
        levels=tuple(
            Level(max_steps=MOST_STEPS, description=f"a thing that takes {hops} tools")
            for hops in HOPS
        ),
        generate=lambda level, generator: _problem(made, HOPS[level - 1], generator),
    )


def _problem(made: Catalogue, hops: int, generator: np.random.Generator) -> Problem:
    kinds = sorted({one.takes for one in made.makers.values()})
    while True:
        start, goal = pick(generator, kinds), pick(generator, kinds)
        way = made.route(start, goal)
        if way is not None and len(way) == hops + 1:
            break
    thing = f"{start}:{int(generator.integers(MODULUS))}"
    solution: list[Mapping[str, Any]] = []
    made_thing = thing
    for takes, gives in itertools.pairwise(way):
        maker = made.between(takes, gives)
        assert maker is not None
        solution.append(call(maker.name, thing=made_thing))
        made_thing = maker.make(made_thing)
    # Several ways may lead there, and to other numbers: any thing that tools made of the given one
    # is right. It is checked by going all ways of up to the limit of steps.
    right = _reachable(made, thing, goal)

    def judge(state: State, answer: str) -> str:
        found = re.fullmatch(r"\s*(\w+:\d+)\s*", answer)
        return "" if found and found.group(1) in right else f"{answer!r} is none of {sorted(right)}"

    wordings = Wordings(
        training=("Turn {thing} into a {goal}, and answer with what you get.",),
        held_out=("A {goal} is wanted. Make it out of {thing} and answer with it.",),
    )
    return Problem(
        wordings=wordings, fields={"thing": thing, "goal": goal}, state={},
        solution=(*solution, call("answer", text=made_thing)), judge=judge,
    )  # fmt: skip


def _reachable(made: Catalogue, thing: str, goal: str, most: int = 6) -> frozenset[str]:
    front, found = {thing}, set[str]()
    for _ in range(most):
        front = {
            maker.make(one) for one in front for maker in made.onward(one.partition(":")[0])
        }  # fmt: skip
        found |= {one for one in front if one.startswith(f"{goal}:")}
    return frozenset(found)


TOOLS_10, TOOLS_50, TOOLS_200 = (domain(size) for size in SIZES)
