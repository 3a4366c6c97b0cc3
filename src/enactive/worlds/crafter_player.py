"""Crafter's scripted player: it reads the whole map and works back from what is asked.

The package ships no player. This one is a function of the state: to make a wooden pickaxe it needs
wood and a table, to place a table it needs wood, to get wood it walks to the nearest tree. What
must be at hand comes from the game's own tables. It keeps itself alive on the way: it hits zombies
that stand next to it, and eats, drinks and sleeps before it must. How it grows a plant is in
:mod:`~enactive.worlds.crafter_garden`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest
from enactive.worlds.crafter import ACTIONS
from enactive.worlds.crafter_garden import STONES, fortify, hidden, plant, tend, wait
from enactive.worlds.crafter_instructions import TRAINING
from enactive.worlds.crafter_scene import FREE, MOVES, Scene, add, face, go, go_and_do, use, wander

LOW = 3
"""Of food and drink: what it has at most when it goes for more."""
TIRED = 1
"""Of energy: what it has at most when it sleeps, if no zombie is near."""
FED = 6
"""Of food and drink: what it has at most when it goes for more before it plants."""
OUT_BY_DAY = 5
"""Of food and drink: what it has at most when it leaves its hole for more. By night it stays."""
SIGHT = 10
"""Cells around in which a zombie means that it is night."""


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> int:
    """What the scripted player would do.

    Args:
        task_name: name of the achievement.
        privileged: ``float64 (4118,)``, the observation's ``privileged["crafter"]``.

    Returns:
        Index of one of the 17 actions.

    Raises:
        KeyError: there is no such achievement; the message suggests which was meant.
    """
    if task_name not in TRAINING:
        raise KeyError(f"Crafter has no {task_name!r}; {suggest(task_name, TRAINING)}")
    scene = Scene.read(privileged)
    return ACTIONS.index(_stay_alive(scene, task_name) or _achieve(scene, task_name) or "noop")


def _stay_alive(scene: Scene, task: str) -> str | None:
    if scene.sleeping:
        return "noop"
    for move in MOVES:
        if scene.kind(add(scene.at, move)) == "zombie":
            return use(scene, move)
    if task == "eat_plant" and scene.exists("plant"):
        return _guard(scene)
    return _need(scene, task)


def _guard(scene: Scene) -> str | None:
    """Keep the plant behind stones until it is ripe, and go for what is needed meanwhile."""
    if scene.ripe:
        return fortify(scene, leaving=False)
    if scene.kind(scene.ahead) == "water" and scene.has["drink"] < 9:
        return "do"  # as much as it can, for a long time
    if hidden(scene):
        # Who has nothing to eat or drink loses a point of health in 16 steps; zombies are quicker.
        night = scene.near("zombie", SIGHT)
        return None if night else _need(scene, "eat_plant", least=OUT_BY_DAY)
    return fortify(scene, leaving=True) or _need(scene, "eat_plant")


def _need(scene: Scene, task: str, least: int = LOW) -> str | None:
    """What hunger, thirst and tiredness ask for, once there is no more than ``least``."""
    if scene.has["drink"] <= least and scene.exists("water"):
        return go_and_do(scene, "water")
    if scene.has["food"] <= least and scene.exists("cow"):
        return go_and_do(scene, "cow")
    if scene.has["energy"] <= TIRED and task != "wake_up" and not scene.near("zombie", 6):
        return "sleep"
    return None


def _achieve(scene: Scene, goal: str) -> str | None:
    """The next action towards an achievement; None where there is no way."""
    verb, _, what = goal.partition("_")
    ways: dict[str, Callable[[Scene, str], str | None]] = {
        "collect": _collect, "place": _place, "make": _make, "eat": _eat,
        "defeat": lambda scene, creature: go_and_do(scene, creature) or _with_pickaxe(scene),
        "wake": lambda scene, _: "sleep" if scene.has["energy"] < 9 else "noop",
    }  # fmt: skip
    return ways[verb](scene, what)


def _collect(scene: Scene, item: str) -> str | None:
    from enactive.worlds.crafter_engine import rules

    sources: dict[str, Any] = rules("collect")
    material = next(name for name, rule in sources.items() if item in rule["receive"])
    missing = _get(scene, sources[material]["require"])
    return missing or go_and_do(scene, material) or _with_pickaxe(scene)


def _eat(scene: Scene, what: str) -> str | None:
    if what == "cow":
        return go_and_do(scene, "cow") or wander(scene)
    return _grow(scene)


def _grow(scene: Scene) -> str | None:
    """Plant, with tools, stones and a full stomach; wait; eat."""
    if scene.exists("plant"):
        return (None if scene.ripe else wait(scene)) or tend(scene)
    missing = _get(scene, {"wood_pickaxe": 1, "wood_sword": 1, "stone": STONES, "sapling": 1})
    if missing:
        return missing
    if scene.has["food"] <= FED and scene.exists("cow"):
        return go_and_do(scene, "cow")
    thirsty = scene.has["drink"] <= FED and scene.exists("water")
    if thirsty or (scene.has["drink"] < 9 and scene.kind(scene.ahead) == "water"):
        return go_and_do(scene, "water")
    return plant(scene)


def _place(scene: Scene, what: str) -> str | None:
    from enactive.worlds.crafter_engine import rules

    rule: dict[str, Any] = rules("place")[what]
    missing = _get(scene, rule["uses"])
    if missing:
        return missing
    if scene.kind(scene.ahead) in rule["where"]:
        return f"place_{what}"
    return face(scene, [kind for kind in rule["where"] if kind in FREE])


def _make(scene: Scene, what: str) -> str | None:
    from enactive.worlds.crafter_engine import rules

    rule: dict[str, Any] = rules("make")[what]
    needs = dict(rule["uses"])
    absent = [tool for tool in rule["nearby"] if not scene.exists(tool)]
    for tool in absent:  # what they take is gathered at once
        for item, amount in rules("place")[tool]["uses"].items():
            needs[item] = needs.get(item, 0) + amount
    missing = _get(scene, needs)
    if missing:
        return missing
    for tool in rule["nearby"]:
        if not scene.near(tool, 1):
            # A second workbench is cheaper than a way that may be blocked, if there is enough.
            spare = dict(needs)
            for item, amount in rules("place")[tool]["uses"].items():
                spare[item] = spare.get(item, 0) + amount
            if tool in absent or all(scene.has[item] >= n for item, n in spare.items()):
                return _place(scene, tool)
            return go(scene, tool)
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
