"""Questions about what an arm did in a clip (CFG-Bench): contact, direction, magnitude, order,
cause, and questions with a false premise.

Clips are the expert's episodes, or motions that go wrong in a known way. Four cubes of one look
but for their colours stand there, so that words tell nothing of which of them it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from enactive.worlds.questions.acting import CLOSED, OPEN, Act
from enactive.worlds.questions.item import Item, shuffled
from enactive.worlds.questions.staging import (
    AREA,
    COLOURS,
    READY,
    Piece,
    Point,
    footprint,
    scaled,
    scene,
    some,
    spots,
)
from enactive.worlds.tabletop.tasks import Family

WAYS: Mapping[str, Point] = {
    "to the left": (-1.0, 0.0),
    "to the right": (1.0, 0.0),
    "away from the viewer": (0.0, 1.0),
    "towards the viewer": (0.0, -1.0),
}
"""Directions as seen from the camera ``front``."""

LENGTHS: Mapping[str, float] = {
    "about 4 cm": 0.04, "about 9 cm": 0.09, "about 14 cm": 0.14, "about 19 cm": 0.19
}  # fmt: skip
TOLERANCE = 0.015
"""How far from the stated length a displacement may be, m."""
TRIES = 40


def contact(draw: np.random.Generator) -> Item:
    """Which thing did the fingers close on?"""
    colours, act, which = _begin(draw)
    _retry(act.expert(Family.PICK, which))
    act.go(*_above(act, which, 0.01), CLOSED)
    act.go(*_above(act, which, 0.0), OPEN)
    act.go(*_above(act, which, 0.12), OPEN)
    return _item(
        draw, "Which cube did the fingers close on?", f"the {colours[which]} one",
        [f"the {c} one" for i, c in enumerate(colours) if i != which], act,
    )  # fmt: skip


def direction(draw: np.random.Generator) -> Item:
    """In which direction was a thing moved?"""
    way = int(draw.integers(4))
    words = tuple(WAYS)
    colours, act, which = _moved(draw, words[way], float(draw.uniform(0.08, 0.15)))
    wrong = [word for i, word in enumerate(words) if i != way]
    return _item(
        draw, f"In which direction did the arm move the {colours[which]} cube?", words[way], wrong,
        act,
    )  # fmt: skip


def magnitude(draw: np.random.Generator) -> Item:
    """How far was a thing moved?"""
    right = tuple(LENGTHS)[int(draw.integers(4))]
    way = tuple(WAYS)[int(draw.integers(4))]
    colours, act, which = _moved(draw, way, LENGTHS[right])
    wrong = [one for one in LENGTHS if one != right]
    return _item(draw, f"How far did the arm move the {colours[which]} cube?", right, wrong, act)


def order(draw: np.random.Generator) -> Item:
    """Which two things were moved, and which of them first?"""
    for _ in range(TRIES):
        colours, act, first = _begin(draw)
        second = int(draw.choice([i for i in range(4) if i != first]))
        other = next(i for i in draw.permutation(4).tolist() if i not in (first, second))
        if all(_shift(draw, act, which, 0.06) for which in (first, second)):
            break
    else:
        raise RuntimeError("no scene in which two cubes can be moved")
    a, b, c = (colours[i] for i in (first, second, other))
    # Which of the three cubes is in every option does not tell whether it was first or second.
    pairs = [(b, a), (a, c), (c, a)] if draw.integers(2) else [(b, a), (c, b), (b, c)]
    question = "Which cubes did the arm move, and in which order?"
    return _item(
        draw, question, f"first the {a} one, then the {b} one",
        [f"first the {x} one, then the {y} one" for x, y in pairs], act,
    )  # fmt: skip


def factual(draw: np.random.Generator) -> Item:
    """A question whose premise holds, with the options of :func:`counterfactual`."""
    return _premise(draw, true=True)


def counterfactual(draw: np.random.Generator) -> Item:
    """A question whose premise is false: the right option corrects it."""
    return _premise(draw, true=False)


def _premise(draw: np.random.Generator, *, true: bool) -> Item:
    """Two directions, of which one is the motion's, and two corrections, of which one names the
    cube that was moved or would be right if another had been: the same form for both kinds."""
    words = some(draw, tuple(WAYS), 2)
    colours, act, which = _moved(draw, words[0], float(draw.uniform(0.08, 0.15)))
    rest = [i for i in draw.permutation(4).tolist() if i != which]
    asked = which if true else rest[0]
    named = rest[:2] if true else [which, rest[1]]

    def correction(i: int) -> str:
        return f"it did not move that one but the {colours[i]} one"

    options = [*words, *(correction(i) for i in named)]
    right = options.pop(0 if true else 2)
    question = f"In which direction did the arm move the {colours[asked]} cube?"
    return _item(draw, question, right, options, act)


def cause(draw: np.random.Generator) -> Item:
    """Why did it fail? The four ways of :data:`~enactive.worlds.questions.failures.FAILURES`."""
    from enactive.worlds.questions.failures import FAILURES, attempt

    kinds = tuple(FAILURES)
    kind = kinds[int(draw.integers(4))]
    tried = attempt(draw, kind)
    return _item(
        draw, f"The arm was to put the {tried.named} cube into the {tried.target}. Why did it "
        "fail?", FAILURES[kind], [FAILURES[one] for one in kinds if one != kind], tried.act,
        {"failure": kind},
    )  # fmt: skip


# -- scenes and motions --------------------------------------------------------------------------


def hand_near(draw: np.random.Generator) -> tuple[float, float, float, float]:
    """Where the hand begins in a clip."""
    x, y = draw.uniform(-0.06, 0.06, 2).tolist()
    return (x, READY[1] + y, READY[2], 0.0)


def _begin(draw: np.random.Generator) -> tuple[list[str], Act, int]:
    """Four cubes, the arm before it does anything, and one of the cubes."""
    colours = some(draw, COLOURS, 4)
    looks = [scaled(colour, "cube", 1.2) for colour in colours]
    places = spots(draw, [footprint(look) for look in looks], AREA)
    pieces = [Piece(look=x, at=at) for x, at in zip(looks, places, strict=True)]
    act = Act.begin(scene(pieces, hand=hand_near(draw)), settle=2)
    return colours, act, int(draw.integers(4))


def _moved(draw: np.random.Generator, way: str, length: float) -> tuple[list[str], Act, int]:
    """One cube carried by ``length`` m in the direction ``way``, the others where they were."""
    across, ahead = WAYS[way]
    for _ in range(TRIES):
        colours, act, which = _begin(draw)
        x, y = act.places[0][which, :2].tolist()
        goal = (x + length * across, y + length * ahead)
        if not _free(act, which, goal) or not carry(act, which, goal):
            continue
        went = act.moved(which)
        along, aside = went @ (across, ahead), went @ (ahead, -across)
        still = np.delete(act.places[-1] - act.places[0], which, axis=0)
        if abs(along - length) < TOLERANCE and abs(aside) < 0.02 and np.abs(still).max() < 0.01:
            return colours, act, which
    raise RuntimeError(f"no scene in which a cube can be moved {way} by {length} m")


def _shift(draw: np.random.Generator, act: Act, which: int, least: float) -> bool:
    """Carry a cube somewhere else, at least ``least`` m away; whether it got there."""
    x, y = act.places[-1][which, :2].tolist()
    for _ in range(20):
        angle, length = float(draw.uniform(0, 2 * math.pi)), float(draw.uniform(0.09, 0.16))
        goal = (x + length * math.cos(angle), y + length * math.sin(angle))
        if _free(act, which, goal):
            carry(act, which, goal)
            return float(np.hypot(*act.moved(which))) > least
    return False


def _free(act: Act, which: int, goal: Point) -> bool:
    """Whether the cube can stand at ``goal``, inside the picture and clear of the others."""
    if abs(goal[0]) > AREA[0] + 0.05 or abs(goal[1]) > AREA[1] + 0.04:
        return False
    others = np.delete(act.places[-1][:, :2], which, axis=0)
    return bool(np.hypot(*(others - goal).T).min() > 0.085)


def carry(act: Act, which: int, goal: Point) -> bool:
    """Pick something up, carry it over ``goal``, put it down and go up; whether it was held."""
    bottom = float(act.places[-1][which, 2])
    if not act.expert(Family.PICK, which):
        return False
    off = act.hands[-1][:2] - act.places[-1][which, :2]
    x, y = float(goal[0] + off[0]), float(goal[1] + off[1])
    act.go(x, y, 0.12, CLOSED, settle=4)
    held = act.held[-1] == which
    act.go(x, y, bottom + 0.004, CLOSED, settle=3)
    act.go(x, y, bottom + 0.004, OPEN, settle=6)
    act.go(x, y, 0.16, OPEN, settle=4)
    return held


def _above(act: Act, which: int, height: float) -> tuple[float, float, float]:
    x, y = act.hands[-1][:2].tolist()
    return x, y, float(act.places[0][which, 2]) + height


def _retry(done: bool) -> None:
    if not done:
        raise RuntimeError("the expert failed to pick up a cube that stands free")


def _item(
    draw: np.random.Generator, question: str, right: str, wrong: list[str], act: Act,
    facts: Mapping[str, object] | None = None,
) -> Item:  # fmt: skip
    went = (act.places[-1] - act.places[0])[:, :2].round(4).tolist()
    return Item(
        question=question, **shuffled(right, wrong, draw), scene=act.staged, states=act.clip(),
        facts={"moved": went, "steps": len(act.states) - 1, **(facts or {})},
    )  # fmt: skip
