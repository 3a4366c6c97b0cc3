"""Questions about what things are: colour, shape, size, weight (PAC Bench's properties).

What the words say never depends on the answer: options are the scene's own, one of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from enactive.worlds.questions.acting import masses_of, still
from enactive.worlds.questions.item import Item, shuffled
from enactive.worlds.questions.staging import COLOURS, Piece, footprint, scaled, scene, some, spots
from enactive.worlds.tabletop.vocabulary import Look

KINDS = ("cube", "ball", "cylinder", "brick")
FACTORS = (0.75, 1.0, 1.3, 1.65)
"""Sizes of four things of one shape: each at least 1.26 times the next smaller."""

_TRIES = 200


def colour(draw: np.random.Generator) -> Item:
    """What colour is the thing of this shape? Four shapes in four colours."""
    pieces, asked = _four(draw)
    look = pieces[asked].look
    wrong = [piece.look.colour for i, piece in enumerate(pieces) if i != asked]
    return _item(draw, f"What colour is the {look.shape}?", look.colour, wrong, pieces)


def shape(draw: np.random.Generator) -> Item:
    """What shape is the thing of this colour? Four shapes in four colours."""
    pieces, asked = _four(draw)
    look = pieces[asked].look
    wrong = [piece.look.shape for i, piece in enumerate(pieces) if i != asked]
    question = f"What shape is the {look.colour} thing?"
    return _item(draw, question, f"a {look.shape}", [f"a {one}" for one in wrong], pieces)


def size(draw: np.random.Generator) -> Item:
    """Which of four things of one shape is the largest, or the smallest?"""
    kind = KINDS[int(draw.integers(len(KINDS)))]
    colours, largest = some(draw, COLOURS, 4), bool(draw.integers(2))
    # Which option is right does not depend on what is asked: the sizes follow it.
    ends = (3, 0) if largest else (0, 3)
    right = int(draw.integers(4))
    rest = [number for number in draw.permutation(4).tolist() if number != ends[0]]
    sizes = [FACTORS[ends[0]] if i == right else FACTORS[rest.pop()] for i in range(4)]
    pieces = _placed(draw, [scaled(c, kind, f) for c, f in zip(colours, sizes, strict=True)])
    question = f"Which {kind} is the {'largest' if largest else 'smallest'}?"
    wrong = [f"the {one} one" for i, one in enumerate(colours) if i != right]
    return _item(draw, question, f"the {colours[right]} one", wrong, pieces)


def weight(draw: np.random.Generator) -> Item:
    """Which of four things of one material is the heaviest? Shapes and sizes differ; the simulator
    knows the masses, and the heaviest has at least 1.3 times the next one's."""
    colours, right = some(draw, COLOURS, 4), int(draw.integers(4))
    for _ in range(_TRIES):
        kinds = [KINDS[int(draw.integers(len(KINDS)))] for _ in range(4)]
        factors = draw.uniform(0.9, 1.7, 4).tolist()
        looks = [scaled(c, k, f) for c, k, f in zip(colours, kinds, factors, strict=True)]
        pieces = _placed(draw, looks)
        masses = masses_of(scene(pieces))
        others = max(mass for i, mass in enumerate(masses) if i != right)
        if masses[right] > 1.3 * others:
            break
    else:
        raise RuntimeError("no four things of which the drawn one is the heaviest")
    wrong = [f"the {one} one" for i, one in enumerate(colours) if i != right]
    question = "All four things are made of wood. Which one is the heaviest?"
    return _item(draw, question, f"the {colours[right]} one", wrong, pieces)


def _four(draw: np.random.Generator) -> tuple[list[Piece], int]:
    """Four shapes in four colours, in random places, and the number of one of them."""
    colours, kinds = some(draw, COLOURS, 4), some(draw, KINDS, 4)
    asked = int(draw.integers(4))
    looks = [scaled(c, k, 1.3) for c, k in zip(colours, kinds, strict=True)]
    return _placed(draw, looks), asked


def _placed(draw: np.random.Generator, looks: Sequence[Look]) -> list[Piece]:
    places = spots(draw, [footprint(look) for look in looks])
    yaws = draw.uniform(-0.6, 0.6, len(looks)).tolist()
    return [
        Piece(look=look, at=at, yaw=yaw) for look, at, yaw in zip(looks, places, yaws, strict=True)
    ]


def _item(
    draw: np.random.Generator, question: str, right: str, wrong: list[str], pieces: list[Piece]
) -> Item:
    staged = scene(pieces)
    things = [
        {"colour": p.look.colour, "shape": p.look.shape, "half": list(p.look.half)}
        for p in pieces
    ]  # fmt: skip
    return Item(
        question=question, **shuffled(right, wrong, draw), scene=staged, states=still(staged),
        facts={"things": things},
    )  # fmt: skip
