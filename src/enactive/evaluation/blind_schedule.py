"""Who plays when in a blind evaluation: groups of aliases, and orders that balance place and time.

Every alias plays every start once. A *round* is one start; within it the groups take turns, and
within a group its members. Orders come from Williams squares: over a block of rounds every member
is in every place equally often, and follows every other member equally often, so that neither a
drift of the world nor what an episode leaves behind can favour anyone.

Source: E. J. Williams (1949), "Experimental designs balanced for the estimation of residual effects
of treatments", Australian Journal of Scientific Research A 2; groups of four to eight as in the
"Grouped Blind Ensemble" of arXiv 2602.09722.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from enactive.seeding import numpy_generator

LARGEST = 8
"""Members of a group at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One trial of the schedule."""

    round: int
    """From 0; all turns of a round have the same start."""
    start: int
    """Place of the start in the plan."""
    group: int
    """From 0."""
    alias: str


def aliases(count: int) -> list[str]:
    """``P1, P2, ...``"""
    return [f"P{number + 1}" for number in range(count)]


def groups_of(members: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """As few groups of at most :data:`LARGEST` as hold all members, as equal as can be.

    Two to eight members are one group; more make groups of four to eight. Members keep their order:
    who is behind an alias is random already.
    """
    count = -(-len(members) // LARGEST)
    ends = [len(members) * (number + 1) // count for number in range(count)]
    return tuple(tuple(members[begin:end]) for begin, end in zip([0, *ends], ends, strict=False))


def turns(starts: int, members: Sequence[str], salt: str) -> list[Turn]:
    """Every trial in order; all of it follows from the salt.

    Args:
        starts: how many there are; their order is drawn.
        members: the aliases.
        salt: hexadecimal digits.
    """
    generator = numpy_generator(int(salt, 16), "blind order")
    order = generator.permutation(starts).tolist()
    groups = groups_of(members)
    between = balanced_orders(starts, len(groups), generator)
    within = [balanced_orders(starts, len(group), generator) for group in groups]
    return [
        Turn(round=number, start=start, group=group, alias=groups[group][member])
        for number, start in enumerate(order)
        for group in between[number]
        for member in within[group][number]
    ]


def balanced_orders(rounds: int, size: int, generator: np.random.Generator) -> list[list[int]]:
    """An order of ``size`` members for each round.

    Over a whole block (``size`` rounds, twice as many where it is odd) every member is in every
    place equally often, and follows every other equally often. Rows and names are drawn anew for
    each block; the last block may be cut off.
    """
    made: list[list[int]] = []
    while len(made) < rounds:
        names = generator.permutation(size)
        block = names[williams(size)]
        made += block[generator.permutation(len(block))].tolist()
    return made[:rounds]


def williams(size: int) -> np.ndarray:
    """A Williams design, ``int64 (B, size)``: B is ``size``, or twice as much where it is odd."""
    # 0, 1, n-1, 2, n-2, ...: neighbours differ by 1, -2, 3, ... and so by every amount once.
    first = [(place + 1) // 2 if place % 2 else (size - place // 2) % size for place in range(size)]
    square = (np.array(first)[None] + np.arange(size)[:, None]) % size
    return square if size % 2 == 0 else np.concatenate([square, square[:, ::-1]])
