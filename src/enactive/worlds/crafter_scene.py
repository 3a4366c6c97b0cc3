"""Crafter's state in the game's words, and ways through its map."""

from __future__ import annotations

import collections
import heapq
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enactive.worlds.crafter import AREA, ITEMS

Cell = tuple[int, int]

MOVES: dict[Cell, str] = {
    (-1, 0): "move_left", (1, 0): "move_right", (0, -1): "move_up", (0, 1): "move_down"
}  # fmt: skip
DIGGABLE = ("stone", "coal", "iron", "diamond", "table", "furnace")
FREE = ("grass", "path", "sand")


@dataclass(frozen=True, slots=True)
class Scene:
    """The state in the game's words."""

    map: NDArray[np.int64]
    """``(64, 64)``, x first: ids."""
    at: Cell
    facing: Cell
    sleeping: bool
    ripe: bool
    """Whether there is a plant that can be eaten."""
    has: dict[str, int]

    @classmethod
    def read(cls, truth: NDArray[np.float64]) -> Scene:
        own = truth[AREA * AREA :].astype(int).tolist()
        return cls(
            map=truth[: AREA * AREA].reshape(AREA, AREA).astype(np.int64),
            at=(own[0], own[1]),
            facing=(own[2], own[3]),
            sleeping=bool(own[4]),
            ripe=bool(own[5]),
            has=dict(zip(ITEMS, own[6:], strict=True)),
        )

    def kind(self, cell: Cell) -> str:
        from enactive.worlds.crafter_engine import KINDS

        x, y = cell
        return KINDS[self.map[x, y]] if 0 <= x < AREA and 0 <= y < AREA else "outside"

    @property
    def ahead(self) -> Cell:
        return add(self.at, self.facing)

    def exists(self, kind: str) -> bool:
        return bool((self.map == id_of(kind)).any())

    def open(self, cell: Cell) -> bool:
        """Whether the player is in ``cell`` or could be."""
        return cell == self.at or self.kind(cell) in FREE

    def cells(self, kind: str) -> list[Cell]:
        """Where ``kind`` is."""
        return [(x, y) for x, y in np.argwhere(self.map == id_of(kind)).tolist()]

    def near(self, kind: str, distance: int) -> bool:
        """Whether ``kind`` is in the square of cells at most ``distance`` away."""
        (x, y), d = self.at, distance
        return bool((self.map[max(x - d, 0) : x + d + 1, max(y - d, 0) : y + d + 1]
                     == id_of(kind)).any())  # fmt: skip


def go_and_do(scene: Scene, kind: str) -> str | None:
    if scene.kind(scene.ahead) == kind:
        return "do"
    if kind in FREE:
        return face(scene, [kind])
    return go(scene, kind)


def face(scene: Scene, kinds: list[str]) -> str | None:
    """Look at a free cell of one of ``kinds``: one looks where one went last."""
    for move in (scene.facing, *MOVES):
        if scene.kind(add(scene.at, move)) in FREE:
            beyond = add(add(scene.at, move), move)
            if scene.kind(beyond) in kinds:
                return MOVES[move]
    return go(scene, kinds[0]) or wander(scene)


def go(scene: Scene, kind: str) -> str | None:
    """:func:`approach`, to the nearest ``kind``."""
    target = id_of(kind)
    if not scene.exists(kind):
        return None
    return approach(scene, lambda cell: bool(scene.map[cell] == target))


def approach(scene: Scene, wanted: Callable[[Cell], bool]) -> str | None:
    """The first action of the quickest way to a cell next to one that is ``wanted``, or to looking
    at it; digging through stone counts as two steps more."""
    digs = scene.has["wood_pickaxe"] > 0
    queue: list[tuple[int, Cell, Cell | None]] = [(0, scene.at, None)]
    best: dict[Cell, int] = {scene.at: 0}
    while queue:
        cost, cell, first = heapq.heappop(queue)
        if cost > best[cell]:
            continue
        for move, following in neighbours(cell):
            if wanted(following):
                return use(scene, first or move, only_look=first is None)
            kind_there = scene.kind(following)
            digs_here = digs and kind_there == "stone" and not _guards(scene, following)
            price = 1 if kind_there in FREE else 3 if digs_here else 0
            if price and cost + price < best.get(following, 1 << 30):
                best[following] = cost + price
                heapq.heappush(queue, (cost + price, following, first or move))
    return None


def ways(scene: Scene, avoid: Collection[Cell] = ()) -> dict[Cell, tuple[int, Cell]]:
    """To every cell that can be walked to, not through those to ``avoid``: how many steps, and the
    first of them. The player's own cell is not in it."""
    found: dict[Cell, tuple[int, Cell]] = {}
    queue: collections.deque[tuple[Cell, int, Cell | None]] = collections.deque()
    queue.append((scene.at, 0, None))
    while queue:
        cell, steps, first = queue.popleft()
        for move, following in neighbours(cell):
            new = following not in found and following != scene.at and following not in avoid
            if new and scene.kind(following) in FREE:
                found[following] = steps + 1, first or move
                queue.append((following, steps + 1, first or move))
    return found


def walk(scene: Scene, goals: Collection[Cell], avoid: Collection[Cell] = ()) -> str | None:
    """The first step to the nearest of ``goals``, not through cells to ``avoid``; None where there
    is no way, or no step to go."""
    found = ways(scene, avoid)
    reached = [found[goal] for goal in goals if goal in found]
    return MOVES[min(reached)[1]] if reached and scene.at not in goals else None


def nearest(scene: Scene, kind: str) -> Cell | None:
    """Where the nearest ``kind`` is, as the crow flies."""
    x, y = scene.at
    return min(
        scene.cells(kind), key=lambda cell: abs(cell[0] - x) + abs(cell[1] - y), default=None
    )


def use(scene: Scene, move: Cell, *, only_look: bool = True) -> str:
    """Look along ``move`` or, if one does and something is in the way, hit it."""
    there = scene.kind(add(scene.at, move))
    blocked = there not in FREE
    if scene.facing == move and blocked and (only_look or there == "stone"):
        return "do"
    return MOVES[move]


def wander(scene: Scene) -> str | None:
    """Any free step, straight on if possible."""
    for move in (scene.facing, *MOVES):
        if scene.kind(add(scene.at, move)) in FREE:
            return MOVES[move]
    return None


def neighbours(cell: Cell) -> Iterator[tuple[Cell, Cell]]:
    for move in MOVES:
        x, y = add(cell, move)
        if 0 <= x < AREA and 0 <= y < AREA:
            yield move, (x, y)


def beside(cell: Cell) -> list[Cell]:
    """The four cells around."""
    return [add(cell, move) for move in MOVES]


def _guards(scene: Scene, cell: Cell) -> bool:
    """Whether a stone in ``cell`` protects a plant."""
    return any(scene.kind(one) == "plant" for one in beside(cell))


def add(cell: Cell, move: Cell) -> Cell:
    return cell[0] + move[0], cell[1] + move[1]


def id_of(kind: str) -> int:
    from enactive.worlds.crafter_engine import KINDS

    return KINDS.index(kind)
