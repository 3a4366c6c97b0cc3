"""Two complementary sets of contexts: every motion is in both, and no context's factor is.

Items (clips, or tasks of a world) are cells of a grid: a motion, or skill, in a context. A context
is told by its factors, e.g. ``("red cube", "checkered table")``. Each factor's levels are halved,
and the two sets are the contexts whose levels lie in the first halves, or in the second ones, so
that no level of any factor is on both sides: a background that both sets share would let a model
look known in a context that is called unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Generic, TypeVar

import numpy as np

from enactive.seeding import numpy_generator

Item = TypeVar("Item", bound=Hashable)

MOST_CHOICES = 20_000
"""Ways of halving that are looked through; of more, as many are drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """Where an item lies in the grid."""

    motion: Hashable
    """Coarse motion, or skill: what has to be recognised or done."""
    context: tuple[Hashable, ...]
    """Level of each factor: what must not matter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextSplit(Generic[Item]):
    """The two sets. Train on one, test on both, and change places."""

    first: tuple[Item, ...]
    """Items of the first set of contexts; every motion has as many here as in the second."""
    second: tuple[Item, ...]
    mixed: tuple[Item, ...]
    """Items whose factors lie on different sides: neither known nor unknown, but fit to ask which
    factor it is that matters."""
    left_out: tuple[Item, ...]
    """Items without which every motion has as many on both sides."""
    levels: tuple[tuple[frozenset[Hashable], frozenset[Hashable]], ...]
    """Of each factor, the levels of the first and of the second set."""

    @property
    def directions(self) -> tuple[tuple[tuple[Item, ...], tuple[Item, ...]], ...]:
        """``(known, unknown)`` of both directions: train on the known set."""
        return ((self.first, self.second), (self.second, self.first))


def context_split(cells: Mapping[Item, Cell], *, seed: int = 0) -> ContextSplit[Item]:
    """Halve the levels of every factor so that each motion is in both sets, equally often.

    Of all ways, one that leaves out the fewest items is taken.

    Args:
        cells: item to its place in the grid.
        seed: chooses among equally good ways, and which surplus items are left out.

    Raises:
        ValueError: contexts differ in their number of factors, a factor has a single level, or a
            motion cannot be in both sets.
    """
    factors = _factors(cells)
    draw = numpy_generator(seed, "context split")
    choices = _choices(factors, draw)
    scored = [(_kept(cells, choice), place) for place, choice in enumerate(choices)]
    best = max(kept for kept, _ in scored)
    if best == 0:
        raise ValueError(
            "no way of halving the contexts leaves every motion in both sets: "
            f"{_lonely(cells)}; add contexts, or leave that motion out"
        )
    ties = [place for kept, place in scored if kept == best]
    halves = choices[ties[int(draw.integers(len(ties)))]]
    sides: tuple[list[Item], list[Item]] = ([], [])
    mixed: list[Item] = []
    for item, cell in cells.items():
        side = _side(cell, halves)
        (mixed if side is None else sides[side]).append(item)
    fewest = {
        motion: min(sum(cells[item].motion == motion for item in side) for side in sides)
        for motion in dict.fromkeys(cell.motion for cell in cells.values())
    }
    chosen = [_surplus_removed(side, cells, fewest, draw) for side in sides]
    kept = {*chosen[0], *chosen[1]}
    return ContextSplit(
        first=tuple(chosen[0]),
        second=tuple(chosen[1]),
        mixed=tuple(mixed),
        left_out=tuple(item for side in sides for item in side if item not in kept),
        levels=tuple(
            (half, frozenset(levels) - half) for half, levels in zip(halves, factors, strict=True)
        ),
    )


def side_of(cell: Cell, split: ContextSplit[Item]) -> tuple[int, ...]:
    """For each factor, 0 where the cell's level is of the first set and 1 of the second."""
    return tuple(
        int(level not in first)
        for level, (first, _) in zip(cell.context, split.levels, strict=True)
    )


def _factors(cells: Mapping[Item, Cell]) -> list[list[Hashable]]:
    """Levels of each factor, in the order in which they occur."""
    lengths = {len(cell.context) for cell in cells.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"every context needs the same factors, at least one; their numbers are "
            f"{sorted(lengths)}"
        )
    factors = [
        [*dict.fromkeys(cell.context[place] for cell in cells.values())]
        for place in range(lengths.pop())
    ]
    for place, levels in enumerate(factors):
        if len(levels) < 2:
            raise ValueError(
                f"factor {place} has one level, {levels[0]!r}: it would be on both sides; leave it "
                "out of the contexts if all items share it"
            )
    return factors


Halves = tuple[frozenset[Hashable], ...]
"""Of each factor, the levels of the first set."""


def _choices(factors: Sequence[Sequence[Hashable]], draw: np.random.Generator) -> list[Halves]:
    """Ways of halving every factor. The first factor's first level is always in the first set: the
    other half of the ways are the same ones with the sets' names exchanged."""
    options: list[list[frozenset[Hashable]]] = []
    for place, levels in enumerate(factors):
        small = len(levels) // 2
        sizes = {small, len(levels) - small}
        halves = [frozenset(half) for size in sorted(sizes) for half in combinations(levels, size)]
        options.append([half for half in halves if place or levels[0] in half])
    total = 1
    for halves in options:
        total *= len(halves)
    if total <= MOST_CHOICES:
        return [*product(*options)]
    return [
        tuple(halves[int(draw.integers(len(halves)))] for halves in options)
        for _ in range(MOST_CHOICES)
    ]


def _side(cell: Cell, halves: Halves) -> int | None:
    inside = [level in half for level, half in zip(cell.context, halves, strict=True)]
    return 0 if all(inside) else None if any(inside) else 1


def _kept(cells: Mapping[Item, Cell], halves: Halves) -> int:
    """Items of a balanced split; 0 where a motion is missing on one side."""
    counts = (Counter[Hashable](), Counter[Hashable]())
    for cell in cells.values():
        side = _side(cell, halves)
        if side is not None:
            counts[side][cell.motion] += 1
    each = [min(counts[0][m], counts[1][m]) for m in {cell.motion for cell in cells.values()}]
    return 2 * sum(each) if min(each) else 0


def _lonely(cells: Mapping[Item, Cell]) -> str:
    contexts: dict[Hashable, set[tuple[Hashable, ...]]] = {}
    for cell in cells.values():
        contexts.setdefault(cell.motion, set()).add(cell.context)
    fewest = min(contexts, key=lambda motion: len(contexts[motion]))
    return f"{fewest!r} has {len(contexts[fewest])} context(s)"


def _surplus_removed(
    side: Sequence[Item],
    cells: Mapping[Item, Cell],
    fewest: Mapping[Hashable, int],
    draw: np.random.Generator,
) -> list[Item]:
    kept: set[Item] = set()
    for motion, count in fewest.items():
        own = [item for item in side if cells[item].motion == motion]
        kept |= {own[int(place)] for place in draw.permutation(len(own))[:count]}
    return [item for item in side if item in kept]
