"""Questions about what can be done: affordances and constraints (PAC Bench), labelled by physics.

The words are drawn first and the label next, by a fair coin or die; then places and sizes are drawn
until the expert's attempt in the simulator comes out as the label says. So half of all things asked
about are feasible in every family, and the words cannot tell which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from enactive.worlds.questions.acting import at_rest, can, stays_on, still
from enactive.worlds.questions.item import Item, shuffled
from enactive.worlds.questions.staging import (
    AREA,
    COLOURS,
    WIDE_VIEW,
    Piece,
    footprint,
    one,
    scaled,
    scene,
    some,
    spots,
)
from enactive.worlds.tabletop.scene import Scene
from enactive.worlds.tabletop.tasks import Family
from enactive.worlds.tabletop.vocabulary import CONTAINERS, Look, Relation

PROPOSALS = 80
"""Scenes that are tried for a label; about two are needed."""

Drawn = list[Piece]
Propose = Callable[[bool], Drawn]
"""A scene that is likely to be feasible, or likely not to be: the simulator has the last word."""


def fit(draw: np.random.Generator) -> Item:
    """Size: is the thing narrow enough for the gripper?"""
    asked, *rest = some(draw, COLOURS, 3)
    kind = one(draw, ("cube", "cylinder"))

    def propose(likely: bool) -> Drawn:
        width = float(draw.uniform(0.022, 0.037) if likely else draw.uniform(0.041, 0.056))
        looks = [scaled(asked, kind, width / 0.020)]
        looks += [scaled(c, kind, float(draw.uniform(1.1, 2.6))) for c in rest]
        return _placed(draw, looks, (0.22, 0.15))

    def attempt(staged: Scene) -> bool:
        return can(staged, Family.PICK, 0)

    return _yes_or_no(draw, f"Can the gripper pick up the {asked} {kind}?", propose, attempt)


def covered(draw: np.random.Generator) -> Item:
    """Support and occlusion: is something on it, or too near to it, for the fingers?"""
    asked, over, *rest = some(draw, COLOURS, 4)
    kind = one(draw, ("cube", "cylinder"))

    def propose(likely: bool) -> Drawn:
        lower = scaled(asked, kind, 1.2)
        upper = scaled(over, "brick", float(draw.uniform(1.1, 1.4)))
        (at,) = spots(draw, [0.09], (0.16, 0.10))
        if likely:  # behind or before it, where a picture from the front shows nearly the same
            side = 1.0 if draw.integers(2) else -1.0
            away = float(draw.uniform(0.075, 0.10))
            beside = Piece(look=upper, at=(at[0] + float(draw.uniform(-0.02, 0.02)),
                                           at[1] + side * away))  # fmt: skip
        else:
            shift = draw.uniform(-0.012, 0.012, 2).tolist()
            beside = Piece(look=upper, at=(at[0] + shift[0], at[1] + shift[1]),
                           bottom=2 * lower.half[2] + 0.0005)  # fmt: skip
        others = [scaled(c, kind, 1.2) for c in rest]
        places = spots(draw, [footprint(x) for x in others], (0.22, 0.15), [(at, 0.14)])
        return [
            Piece(look=lower, at=at), beside,
            *(Piece(look=look, at=spot) for look, spot in zip(others, places, strict=True)),
        ]  # fmt: skip

    def attempt(staged: Scene) -> bool:
        return can(staged, Family.PICK, 0)

    question = f"Can the gripper pick up the {asked} {kind} before anything else is moved?"
    return _yes_or_no(draw, question, propose, attempt)


def stable(draw: np.random.Generator) -> Item:
    """Stability: does what is put on something else stay there?"""
    upper, lower, other = some(draw, COLOURS, 3)

    def propose(likely: bool) -> Drawn:
        kinds = ("cube", "cylinder", "brick", "ball")
        top, below, factor = one(draw, kinds), "ball", float(draw.uniform(1.1, 1.8))
        if likely:
            below, factor = one(draw, kinds[:3]), float(draw.uniform(1.0, 1.8))
        elif draw.integers(2):
            top = one(draw, ("cube", "brick", "ball"))
            below, factor = "cylinder", float(draw.uniform(0.5, 0.7))
        looks = [scaled(upper, top, 1.0), scaled(lower, below, factor)]
        return _placed(draw, [*looks, scaled(other, one(draw, kinds), 1.2)])

    def attempt(staged: Scene) -> bool | None:
        return stays_on(staged, 0, 1)

    question = (
        f"If the gripper lets go of the {upper} thing 1 cm off the middle of the {lower} thing, "
        "will it stay there?"
    )
    return _yes_or_no(draw, question, propose, attempt)


def reach(draw: np.random.Generator) -> Item:
    """Reach and access: does the thing stand where the gripper can get to?"""
    asked, *rest = some(draw, COLOURS, 3)
    kind = one(draw, ("cube", "ball", "cylinder"))

    def propose(likely: bool) -> Drawn:
        side = 1.0 if draw.integers(2) else -1.0
        across = float(draw.uniform(0.34, 0.445) if likely else draw.uniform(0.485, 0.525))
        at = (side * across, float(draw.uniform(0.08, 0.34)))
        looks = [scaled(c, kind, 1.3) for c in (asked, *rest)]
        places = spots(draw, [footprint(x) for x in looks[1:]], (0.40, 0.22), [(at, 0.07)])
        return [Piece(look=x, at=p) for x, p in zip(looks, (at, *places), strict=True)]

    def attempt(staged: Scene) -> bool:
        return can(staged, Family.PICK, 0)

    question = f"Can the gripper reach the {asked} {kind} and pick it up?"
    return _yes_or_no(draw, question, propose, attempt, view=WIDE_VIEW)


AFFORDANCES = {
    "pick it up, but stand nothing on it": (True, False, False),
    "stand something on it, but not pick it up": (False, True, False),
    "pick it up, and stand something on it": (True, True, False),
    "put something into it, but not pick it up": (False, False, True),
}
"""Option to what the gripper can do with the thing: pick it up, put a cube on it, put a cube into
it. Each option is all that can be done, so that a right answer is an exact set."""


def affordance(draw: np.random.Generator) -> Item:
    """What can be done with a thing: which set, exactly?"""
    asked, helper, other = some(draw, COLOURS, 3)
    sets = tuple(AFFORDANCES)
    right = one(draw, sets)
    wanted = AFFORDANCES[right]

    def propose() -> Drawn:
        width = float(draw.uniform(0.041, 0.052)) / 0.020
        looks: dict[tuple[bool, bool, bool], Look] = {
            (True, False, False): scaled(asked, "ball", float(draw.uniform(1.0, 1.7))),
            (False, True, False): scaled(asked, one(draw, ("cube", "cylinder")), width),
            (True, True, False): scaled(asked, one(draw, ("cube", "cylinder", "brick")),
                                        float(draw.uniform(1.2, 1.7))),
            (False, False, True): Look(colour=asked, shape=one(draw, tuple(CONTAINERS))),
        }  # fmt: skip
        return _placed(
            draw, [looks[wanted], scaled(helper, "cube", 1.0), scaled(other, "cube", 1.0)]
        )

    def attempt(staged: Scene) -> tuple[bool, bool, bool]:
        fixed = staged.things[0].is_container  # containers are screwed to the table
        return (
            not fixed and can(staged, Family.PICK, 0),
            stays_on(staged, 1, 0) is True,
            fixed and can(staged, Family.PUT_IN, 1, 0, Relation.IN),
        )

    for proposal in range(PROPOSALS):
        staged = scene(propose())
        if attempt(staged) == wanted:
            return Item(
                question=f"What can the gripper do with the {asked} thing?",
                **shuffled(right, [s for s in sets if s != right], draw),
                scene=staged, states=still(staged),
                facts={"can": dict(zip(("pick", "stack", "fill"), wanted, strict=True)),
                       "proposals": proposal + 1},
            )  # fmt: skip
    raise RuntimeError(f"no scene in which one can {right} in {PROPOSALS} proposals")


def _yes_or_no(
    draw: np.random.Generator, question: str, propose: Propose,
    attempt: Callable[[Scene], bool | None], view: float | None = None,
) -> Item:  # fmt: skip
    wanted = bool(draw.integers(2))
    for proposal in range(PROPOSALS):
        # One in eight is drawn from the other side's kind: what looks feasible need not be.
        likely = wanted if draw.random() < 7 / 8 else not wanted
        pieces = propose(likely)
        staged = scene(pieces) if view is None else scene(pieces, view=view)
        if not at_rest(staged) or attempt(staged) != wanted:
            continue
        right, wrong = ("yes", "no") if wanted else ("no", "yes")
        return Item(
            question=question, **shuffled(right, [wrong], draw), scene=staged,
            states=still(staged), facts={"feasible": wanted, "proposals": proposal + 1},
        )  # fmt: skip
    raise RuntimeError(f"{question!r}: no scene for {wanted} in {PROPOSALS} proposals")


def _placed(
    draw: np.random.Generator, looks: Sequence[Look], area: tuple[float, float] = AREA
) -> Drawn:
    places = spots(draw, [footprint(look) for look in looks], area)
    yaws = draw.uniform(-0.5, 0.5, len(looks)).tolist()
    return [Piece(look=x, at=at, yaw=y) for x, at, y in zip(looks, places, yaws, strict=True)]
