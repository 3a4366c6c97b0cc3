"""Questions along the way of a task (ERIQ): spatial grounding, planning and monitoring, error
detection and recovery, intent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from enactive.worlds.questions.acting import Act, at_rest, still
from enactive.worlds.questions.clips import hand_near
from enactive.worlds.questions.failures import (
    CUBE,
    DONE,
    FAILURES,
    OTHER,
    TARGET,
    Attempt,
    attempt,
    begin,
)
from enactive.worlds.questions.item import Item, shuffled
from enactive.worlds.questions.staging import (
    AREA,
    COLOURS,
    Piece,
    footprint,
    one,
    scaled,
    scene,
    some,
    spots,
)
from enactive.worlds.tabletop.relations import holds
from enactive.worlds.tabletop.tasks import Family, container
from enactive.worlds.tabletop.vocabulary import CONTAINERS, DIRECTIONS, Relation

NEXT: Mapping[str, str] = {
    "reach": "move to the cube",
    "grasp": "close the fingers",
    "carry": "carry the cube to the container",
    "release": "open the fingers",
}
"""Stage of a task to what comes next."""

RECOVERY: Mapping[str, str] = {
    DONE: "nothing more",
    "other": "take the wrong cube out, then fetch the right one",
    "dropped": "fetch the cube from where it fell",
    "beside": "lift the cube over the wall next to it",
}
"""What became of an attempt to what is to be done about it."""

_TRIES = 60


def relation(draw: np.random.Generator) -> Item:
    """Spatial grounding: which cube stands in this relation to another thing?"""
    colours, kind = some(draw, COLOURS, 4), one(draw, tuple(CONTAINERS))
    words = tuple(DIRECTIONS)
    asked = words[int(draw.integers(4))]
    for _ in range(_TRIES):
        x, y = draw.uniform(-1.0, 1.0, 2) * (0.07, 0.03)
        pieces = [Piece(look=container(kind), at=(float(x), float(y)))]
        for way, colour in zip(words, colours, strict=True):
            across, ahead = DIRECTIONS[way]
            along, aside = float(draw.uniform(0.10, 0.13)), float(draw.uniform(-0.04, 0.04))
            at = (float(x) + along * across + aside * ahead, float(y) + along * ahead
                  - aside * across)  # fmt: skip
            pieces.append(Piece(look=scaled(colour, "cube", 1.2), at=at))
        where = (*pieces[0].at, pieces[0].look.half[2])
        standing = [
            holds(asked, (*p.at, p.look.half[2]), p.look.half, where, pieces[0].look)
            for p in pieces[1:]
        ]
        near = min(math.dist(a.at, b.at) for a in pieces for b in pieces if a is not b)
        if standing == [way is asked for way in words] and near > 0.075:
            break
    else:
        raise RuntimeError("no scene with one cube on each side")
    right = words.index(asked)
    return _still(
        draw, f"Which cube is {asked.value} the {kind}?", f"the {colours[right]} one",
        [f"the {c} one" for i, c in enumerate(colours) if i != right], pieces,
    )  # fmt: skip


def within(draw: np.random.Generator) -> Item:
    """Spatial grounding: which cube lies in the container?"""
    colours, kind = some(draw, COLOURS, 4), one(draw, tuple(CONTAINERS))
    right = int(draw.integers(4))
    looks = [scaled(colour, "cube", 1.0) for colour in colours]
    holder = container(kind)
    for _ in range(_TRIES):
        radii = [footprint(holder), *(footprint(look) for look in looks)]
        places = spots(draw, radii, AREA)
        places[1 + right] = places[0]
        bottoms = [0.005 if i == right else 0.0 for i in range(4)]
        pieces = [Piece(look=holder, at=places[0])]
        pieces += [
            Piece(look=look, at=at, bottom=bottom)
            for look, at, bottom in zip(looks, places[1:], bottoms, strict=True)
        ]
        if at_rest(scene(pieces)):
            break
    else:
        raise RuntimeError(f"no scene with a cube at rest in the {kind}")
    return _still(
        draw, f"Which cube lies in the {kind}?", f"the {colours[right]} one",
        [f"the {c} one" for i, c in enumerate(colours) if i != right], pieces,
    )  # fmt: skip


def following(draw: np.random.Generator) -> Item:
    """Planning: what must the arm do next? One moment of the expert's episode."""
    stages = tuple(NEXT)
    stage = stages[int(draw.integers(4))]
    colours, target = some(draw, COLOURS, 3), one(draw, tuple(CONTAINERS))

    def away(act: Act, number: int) -> float:
        return float(np.hypot(*(act.hands[-1] - np.append(act.places[-1][number], 0.0))[:2]))

    reached: Mapping[str, Callable[[Act], bool]] = {
        "reach": lambda act: len(act.states) > 1 + started,
        "grasp": lambda act: (
            act.held[-1] is None and away(act, CUBE) < 0.006
            and abs(float(act.hands[-1][2] - act.places[-1][CUBE, 2])) < 0.008
        ),
        "carry": lambda act: act.held[-1] == CUBE and act.hands[-1][2] > 0.06 + lift,
        "release": lambda act: act.held[-1] == CUBE and away(act, TARGET) < 0.015
        and act.hands[-1][2] < 0.09,
    }  # fmt: skip
    for _ in range(_TRIES):
        act = begin(draw, colours, target)
        started, lift = int(draw.integers(8)), float(draw.uniform(0.0, 0.1))
        act.expert(Family.PUT_IN, CUBE, TARGET, Relation.IN, until=reached[stage])
        if not reached[stage](act):
            continue
        if stage == "reach" and away(act, CUBE) < 0.07:
            continue
        if stage == "carry" and away(act, TARGET) < 0.07:
            continue
        return Item(
            question=f"The arm is to put the {colours[CUBE]} cube into the {target}. What must "
            "it do next?",
            **shuffled(NEXT[stage], [NEXT[s] for s in stages if s != stage], draw),
            scene=act.staged, states=(act.state,), facts={"stage": stage},
        )  # fmt: skip
    raise RuntimeError(f"no episode comes to the stage {stage!r}")


def done(draw: np.random.Generator) -> Item:
    """Monitoring: has the arm done what it was told? Half of the time it has."""
    finished = bool(draw.integers(2))
    kinds = tuple(FAILURES)
    kind = DONE if finished else kinds[int(draw.integers(len(kinds)))]
    tried = attempt(draw, kind)
    right, wrong = ("yes", "no") if finished else ("no", "yes")
    question = f"{_order(tried)} Has it done so?"
    return _clip(draw, question, right, [wrong], tried, kind)


def error(draw: np.random.Generator) -> Item:
    """Error detection: what went wrong, if anything did?"""
    words = {DONE: "nothing", **{k: v for k, v in FAILURES.items() if k != "beside"}}
    kinds = tuple(words)
    kind = kinds[int(draw.integers(4))]
    tried = attempt(draw, kind)
    question = f"{_order(tried)} What went wrong?"
    return _clip(draw, question, words[kind], [words[k] for k in kinds if k != kind], tried, kind)


def recovery(draw: np.random.Generator) -> Item:
    """Recovery: what should the arm do about what became of it?"""
    kinds = tuple(RECOVERY)
    kind = kinds[int(draw.integers(4))]
    tried = attempt(draw, kind)
    question = f"{_order(tried)} What should it do now?"
    wrong = [RECOVERY[one] for one in kinds if one != kind]
    return _clip(draw, question, RECOVERY[kind], wrong, tried, kind)


def intent(draw: np.random.Generator) -> Item:
    """Intent: which cube is the hand on its way to? The clip ends before it is there."""
    for _ in range(_TRIES):
        colours, which = some(draw, COLOURS, 4), int(draw.integers(4))
        looks = [scaled(colour, "cube", 1.2) for colour in colours]
        places = spots(draw, [footprint(look) for look in looks], AREA)
        pieces = [Piece(look=x, at=at) for x, at in zip(looks, places, strict=True)]
        act = Act.begin(scene(pieces, hand=hand_near(draw)), settle=2)
        way = act.places[0][:, :2] - act.hands[0][:2]
        if np.hypot(*way[which]) < 0.10:
            continue
        share = float(draw.uniform(0.55, 0.75))
        begun = math.hypot(*way[which])

        def far(act: Act, which: int = which, share: float = share, begun: float = begun) -> bool:
            left = act.places[0][which, :2] - act.hands[-1][:2]
            return math.hypot(*left) < (1 - share) * begun

        act.expert(Family.PICK, which, until=far)
        went = act.hands[-1][:2] - act.hands[0][:2]
        if math.hypot(*went) < 0.03 or act.held[-1] is not None:
            continue
        # Of all cubes it must be the one that lies most nearly ahead.
        cosine = way @ went / (np.hypot(*way.T) * np.hypot(*went) + 1e-9)
        best = np.argsort(-cosine)
        if best[0] != which or cosine[best[0]] - cosine[best[1]] < 0.05:
            continue
        return Item(
            question="Which cube is the hand on its way to?",
            **shuffled(f"the {colours[which]} one",
                       [f"the {c} one" for i, c in enumerate(colours) if i != which], draw),
            scene=act.staged, states=act.clip(), facts={"which": which, "share": share},
        )  # fmt: skip
    raise RuntimeError("no approach tells one cube from the others")


def _order(tried: Attempt) -> str:
    return f"The arm was told to put the {tried.named} cube into the {tried.target}."


def _still(
    draw: np.random.Generator, question: str, right: str, wrong: list[str], pieces: list[Piece]
) -> Item:
    staged = scene(pieces)
    return Item(
        question=question, **shuffled(right, wrong, draw), scene=staged, states=still(staged),
        facts={"places": [list(piece.at) for piece in pieces]},
    )  # fmt: skip


def _clip(
    draw: np.random.Generator, question: str, right: str, wrong: list[str], tried: Attempt,
    kind: str,
) -> Item:  # fmt: skip
    act = tried.act
    return Item(
        question=question, **shuffled(right, wrong, draw), scene=act.staged, states=act.clip(),
        facts={"kind": kind, "took_other": OTHER in act.held},
    )  # fmt: skip
