"""Crafter's scripted player: it reads the whole map and works back from what is asked.

The package ships no player. This one is a function of the state: to make a wooden pickaxe it needs
wood and a table, to place a table it needs wood, to get wood it walks to the nearest tree. What
must be at hand comes from the game's own tables. It keeps itself alive on the way: it hits zombies
that stand next to it, and eats, drinks and sleeps before it must.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest
from enactive.worlds.crafter import ACTIONS, AREA, ITEMS
from enactive.worlds.crafter_instructions import TRAINING

Cell = tuple[int, int]

MOVES: dict[Cell, str] = {
    (-1, 0): "move_left", (1, 0): "move_right", (0, -1): "move_up", (0, 1): "move_down"
}  # fmt: skip
DIGGABLE = ("stone", "coal", "iron", "diamond", "table", "furnace")
FREE = ("grass", "path", "sand")
LOW = 3
"""Of food and drink: what it has at most when it goes for more."""
TIRED = 1
"""Of energy: what it has at most when it sleeps, if no zombie is near."""


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> int:
    """What the scripted player would do.

    Args:
        task_name: name of the achievement.
        privileged: ``float64 (4117,)``, the observation's ``privileged["crafter"]``.

    Returns:
        Index of one of the 17 actions.

    Raises:
        KeyError: there is no such achievement; the message suggests which was meant.
    """
    if task_name not in TRAINING:
        raise KeyError(f"Crafter has no {task_name!r}; {suggest(task_name, TRAINING)}")
    scene = Scene.read(privileged)
    return ACTIONS.index(_stay_alive(scene, task_name) or _achieve(scene, task_name) or "noop")


@dataclass(frozen=True, slots=True)
class Scene:
    """The state in the game's words."""

    map: NDArray[np.int64]
    """``(64, 64)``, x first: ids."""
    at: Cell
    facing: Cell
    sleeping: bool
    has: dict[str, int]

    @classmethod
    def read(cls, truth: NDArray[np.float64]) -> Scene:
        own = truth[AREA * AREA :].astype(int).tolist()
        return cls(
            map=truth[: AREA * AREA].reshape(AREA, AREA).astype(np.int64),
            at=(own[0], own[1]),
            facing=(own[2], own[3]),
            sleeping=bool(own[4]),
            has=dict(zip(ITEMS, own[5:], strict=True)),
        )

    def kind(self, cell: Cell) -> str:
        from enactive.worlds.crafter_engine import KINDS

        x, y = cell
        return KINDS[self.map[x, y]] if 0 <= x < AREA and 0 <= y < AREA else "outside"

    @property
    def ahead(self) -> Cell:
        return _add(self.at, self.facing)

    def exists(self, kind: str) -> bool:
        return bool((self.map == _id(kind)).any())

    def near(self, kind: str, distance: int) -> bool:
        """Whether ``kind`` is in the square of cells at most ``distance`` away."""
        (x, y), d = self.at, distance
        return bool((self.map[max(x - d, 0) : x + d + 1, max(y - d, 0) : y + d + 1]
                     == _id(kind)).any())  # fmt: skip


def _stay_alive(scene: Scene, task: str) -> str | None:
    if scene.sleeping:
        return "noop"
    for move in MOVES:
        if scene.kind(_add(scene.at, move)) == "zombie":
            return _use(scene, move)
    if scene.has["drink"] <= LOW and scene.exists("water"):
        return _go_and_do(scene, "water")
    if scene.has["food"] <= LOW and scene.exists("cow"):
        return _go_and_do(scene, "cow")
    if scene.has["energy"] <= TIRED and task != "wake_up" and not scene.near("zombie", 6):
        return "sleep"
    return None


def _achieve(scene: Scene, goal: str) -> str | None:
    """The next action towards an achievement; None where there is no way."""
    verb, _, what = goal.partition("_")
    rules: dict[str, Callable[[Scene, str], str | None]] = {
        "collect": _collect, "place": _place, "make": _make, "eat": _eat,
        "defeat": lambda scene, creature: _go_and_do(scene, creature) or _with_pickaxe(scene),
        "wake": lambda scene, _: "sleep" if scene.has["energy"] < 9 else "noop",
    }  # fmt: skip
    return rules[verb](scene, what)


def _collect(scene: Scene, item: str) -> str | None:
    from crafter import constants

    sources: dict[str, Any] = constants.collect
    material = next(name for name, rule in sources.items() if item in rule["receive"])
    missing = _get(scene, sources[material]["require"])
    return missing or _go_and_do(scene, material) or _with_pickaxe(scene)


def _eat(scene: Scene, what: str) -> str | None:
    if what == "cow":
        return _go_and_do(scene, "cow") or _wander(scene)
    return _go_and_do(scene, "plant") or _place(scene, "plant")


def _place(scene: Scene, what: str) -> str | None:
    from crafter import constants

    rule: dict[str, Any] = constants.place[what]
    missing = _get(scene, rule["uses"])
    if missing:
        return missing
    if scene.kind(scene.ahead) in rule["where"]:
        return f"place_{what}"
    return _face(scene, [kind for kind in rule["where"] if kind in FREE])


def _make(scene: Scene, what: str) -> str | None:
    from crafter import constants

    rule: dict[str, Any] = constants.make[what]
    needs = dict(rule["uses"])
    absent = [tool for tool in rule["nearby"] if not scene.exists(tool)]
    for tool in absent:  # what they take is gathered at once
        for item, amount in constants.place[tool]["uses"].items():
            needs[item] = needs.get(item, 0) + amount
    missing = _get(scene, needs)
    if missing:
        return missing
    for tool in rule["nearby"]:
        if not scene.near(tool, 1):
            # A second workbench is cheaper than a way that may be blocked, if there is enough.
            spare = dict(needs)
            for item, amount in constants.place[tool]["uses"].items():
                spare[item] = spare.get(item, 0) + amount
            if tool in absent or all(scene.has[item] >= n for item, n in spare.items()):
                return _place(scene, tool)
            return _go(scene, tool)
    return f"make_{what}"


def _get(scene: Scene, needs: dict[str, int]) -> str | None:
    """The next action towards having ``needs``; None where everything is at hand."""
    for item, amount in needs.items():
        if scene.has[item] < amount:
            made = item.endswith(("pickaxe", "sword"))
            return _make(scene, item) if made else _collect(scene, item)
    return None


def _with_pickaxe(scene: Scene) -> str | None:
    """What cannot be reached may be behind stone."""
    return None if scene.has["wood_pickaxe"] else _make(scene, "wood_pickaxe")


def _go_and_do(scene: Scene, kind: str) -> str | None:
    if scene.kind(scene.ahead) == kind:
        return "do"
    if kind in FREE:
        return _face(scene, [kind])
    return _go(scene, kind)


def _face(scene: Scene, kinds: list[str]) -> str | None:
    """Look at a free cell of one of ``kinds``: one looks where one went last."""
    for move in (scene.facing, *MOVES):
        if scene.kind(_add(scene.at, move)) in FREE:
            beyond = _add(_add(scene.at, move), move)
            if scene.kind(beyond) in kinds:
                return MOVES[move]
    return _go(scene, kinds[0]) or _wander(scene)


def _go(scene: Scene, kind: str) -> str | None:
    """The first action of the quickest way to a cell next to the nearest ``kind``, or to looking
    at it; digging through stone counts as two steps more."""
    target = _id(kind)
    if not scene.exists(kind):
        return None
    digs = scene.has["wood_pickaxe"] > 0
    queue: list[tuple[int, Cell, Cell | None]] = [(0, scene.at, None)]
    best: dict[Cell, int] = {scene.at: 0}
    while queue:
        cost, cell, first = heapq.heappop(queue)
        if cost > best[cell]:
            continue
        for move, following in _neighbours(cell):
            if scene.map[following] == target:
                return _use(scene, first or move, only_look=first is None)
            kind_there = scene.kind(following)
            price = 1 if kind_there in FREE else 3 if digs and kind_there == "stone" else 0
            if price and cost + price < best.get(following, 1 << 30):
                best[following] = cost + price
                heapq.heappush(queue, (cost + price, following, first or move))
    return None


def _use(scene: Scene, move: Cell, *, only_look: bool = True) -> str:
    """Look along ``move`` or, if one does and something is in the way, hit it."""
    there = scene.kind(_add(scene.at, move))
    blocked = there not in FREE
    if scene.facing == move and blocked and (only_look or there == "stone"):
        return "do"
    return MOVES[move]


def _wander(scene: Scene) -> str | None:
    """Any free step, straight on if possible."""
    for move in (scene.facing, *MOVES):
        if scene.kind(_add(scene.at, move)) in FREE:
            return MOVES[move]
    return None


def _neighbours(cell: Cell) -> Iterator[tuple[Cell, Cell]]:
    for move in MOVES:
        x, y = _add(cell, move)
        if 0 <= x < AREA and 0 <= y < AREA:
            yield move, (x, y)


def _add(cell: Cell, move: Cell) -> Cell:
    return cell[0] + move[0], cell[1] + move[1]


def _id(kind: str) -> int:
    from enactive.worlds.crafter_engine import KINDS

    return KINDS.index(kind)
