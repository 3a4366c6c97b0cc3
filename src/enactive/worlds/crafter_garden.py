"""How Crafter's player grows a plant: behind stones, and itself in a hole in the rock.

A sapling is ripe after 300 steps with the player less than 18 cells away, and gone as soon as a
cow, a zombie or a skeleton stands next to it. The same steps hold a night, in which zombies come
out of the grass; nothing digs, and nothing but the player walks over stones.
"""

from __future__ import annotations

from enactive.worlds.crafter_scene import (
    FREE,
    MOVES,
    Cell,
    Scene,
    add,
    approach,
    beside,
    nearest,
    walk,
    ways,
)

STONES = 5
"""Stones that it has before it plants: one for each side, and one for its hole."""
REACH = 16
"""How far from the plant it waits at most, in steps."""
PEACE = 4
"""Cells around that are without animals when it plants."""
RESTED = 8
"""Of energy: what it has at least when it does not sleep in its hole."""
ANIMALS = ("cow", "zombie", "skeleton", "arrow")


def plant(scene: Scene) -> str | None:
    """The next action towards planting where no animal is close."""
    calm = not any(scene.near(one, PEACE) for one in ("cow", "zombie", "skeleton"))
    if calm and scene.kind(scene.ahead) == "grass":
        return "place_plant"
    animals = [*scene.cells("cow"), *scene.cells("zombie"), *scene.cells("skeleton")]

    def effort(cell: Cell) -> tuple[bool, int]:
        (x, y), close = cell, PEACE + 1
        disturbed = any(max(abs(x - a), abs(y - b)) <= close for a, b in animals)
        return disturbed, _steps(scene.at, cell)

    grass = [cell for cell in scene.cells("grass") if _steps(scene.at, cell) <= 12]
    for cell in sorted(grass, key=effort)[:40]:
        action = _face_free(scene, cell)
        if action is not None:
            return action
    return None


def fortify(scene: Scene, *, leaving: bool) -> str | None:
    """The next action towards stones on all sides of the plant, but for one to eat from unless it
    is ``leaving``. None once that is so, or where nothing can be done."""
    plant = nearest(scene, "plant")
    if plant is None or not scene.has["stone"]:
        return None
    gaps = sorted(
        (cell for cell in beside(plant) if scene.kind(cell) in FREE),
        key=lambda cell: _steps(scene.at, cell),
    )
    if not leaving and scene.at not in beside(plant):
        gaps = gaps[1:]
    if scene.ahead in gaps:
        return "place_stone"
    for cell in gaps:
        action = _face_free(scene, cell)
        if action is not None:
            return action
    return None


def tend(scene: Scene) -> str | None:
    """The next action towards eating the plant, ripe or not: that does not harm it."""
    plant = nearest(scene, "plant")
    if plant is None:
        return None
    if scene.ahead == plant:
        return "do"
    if scene.at in beside(plant):
        return MOVES[_offset(scene.at, plant)]
    sides = [cell for cell in beside(plant) if scene.kind(cell) in (*FREE, "stone")]
    return approach(scene, lambda cell: cell in sides)


def wait(scene: Scene) -> str | None:
    """The next action towards sitting in a hole near the plant, and sleeping there; None where
    there is no rock for one.

    A hole is two cells deep, because one looks where one went last: in, to its end, and one cell
    back, one looks out and can put a stone into the mouth.
    """
    plant = nearest(scene, "plant")
    if plant is None:
        return None
    if hidden(scene):
        return "sleep" if scene.has["energy"] < RESTED else "noop"
    if _steps(scene.at, plant) <= REACH and scene.has["stone"]:
        ahead = scene.kind(scene.ahead)
        if ahead in FREE and _enclosed(scene, closed=scene.ahead):
            return "place_stone"
    reached = ways(scene)
    found: list[tuple[int, str]] = []
    for first in [*scene.cells("stone"), *scene.cells("path"), scene.at]:
        if _steps(first, plant) <= REACH and first not in beside(plant):
            holes = (_dig_in(scene, first, move, reached) for move in MOVES)
            found += [hole for hole in holes if hole is not None]
    return min(found, key=lambda hole: hole[0])[1] if found else None


def hidden(scene: Scene) -> bool:
    """Whether the player is near the plant and nothing can come to it."""
    plant = nearest(scene, "plant")
    return plant is not None and _steps(scene.at, plant) <= REACH and _enclosed(scene)


def _dig_in(
    scene: Scene, first: Cell, move: Cell, reached: dict[Cell, tuple[int, Cell]]
) -> tuple[int, str] | None:
    """How far it is to the mouth of a hole of the cell ``first`` and the one after it along
    ``move``, and what to do; None where there can be none. It is below 0 where it was begun."""
    last, mouth = add(first, move), (first[0] - move[0], first[1] - move[1])
    rock = (*FREE, "stone", "player")
    if not scene.open(mouth) or scene.kind(first) not in rock or scene.kind(last) not in rock:
        return None
    around = {*beside(first), *beside(last)} - {first, last, mouth}
    if any(scene.open(cell) or scene.kind(cell) in ANIMALS for cell in around):
        return None
    if scene.at == last:
        return -2, MOVES[_offset(last, first)]
    if scene.at in (first, mouth):
        following = last if scene.at == first else first
        digs = scene.kind(following) == "stone" and scene.facing == move
        return (-2 if scene.at == first else -1), "do" if digs else MOVES[move]
    if mouth not in reached:
        return None
    steps, begin = reached[mouth]
    return steps, MOVES[begin]


def _enclosed(scene: Scene, closed: Cell | None = None) -> bool:
    """Whether nothing gets to the player, if ``closed`` were a stone."""
    seen, queue = {scene.at}, [scene.at]
    while queue and len(seen) <= 3:
        for cell in beside(queue.pop()):
            if cell == closed or cell in seen:
                continue
            if scene.kind(cell) in ANIMALS:
                return False
            if scene.kind(cell) in FREE:
                seen.add(cell)
                queue.append(cell)
    return len(seen) <= 3


def _face_free(scene: Scene, cell: Cell) -> str | None:
    """The next action towards looking at a free ``cell`` without stepping on it: one looks where
    one went last, so the way leads straight at it."""
    starts: list[Cell] = []
    for move in MOVES:
        before = (cell[0] - move[0], cell[1] - move[1])
        start = (before[0] - move[0], before[1] - move[1])
        if scene.open(before) and scene.open(start):
            if scene.at == start:
                return MOVES[move]
            starts.append(start)
    return walk(scene, starts, avoid=(cell,)) or walk(scene, starts)


def _offset(start: Cell, end: Cell) -> Cell:
    return end[0] - start[0], end[1] - start[1]


def _steps(a: Cell, b: Cell) -> int:
    """Steps over free ground, which is how the game measures distance."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])
