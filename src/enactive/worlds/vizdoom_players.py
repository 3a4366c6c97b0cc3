"""ViZDoom's scripted players: functions of where the player and the objects are.

The package ships none. They press the keys that the scenario offers and turn with the mouse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest
from enactive.worlds.vizdoom import DEGREES_PER_PIXEL, MAX_MOTION

ENEMY, MEDKIT, VEST, FIREBALL = 1, 2, 3, 4
HALF_WIDTH = 16.0
"""How far off its middle a monster is still hit, map units; they are 20 or more to a side."""

Things = NDArray[np.float64]
"""``(N, 2)``: places of one kind of object, map units, relative to the player: ahead, left."""


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> dict[str, Any]:
    """What the scripted player would do.

    Args:
        task_name: name of the scenario.
        privileged: ``float64 (198,)``, the observation's ``privileged["vizdoom"]``.

    Returns:
        ``{"keys": [...], "pointer": [dx, dy]}``.

    Raises:
        KeyError: there is no player for this scenario; the message says for which there is one.
    """
    if task_name not in PLAYERS:
        raise KeyError(f"no scripted player for {task_name!r}; {suggest(task_name, PLAYERS)}")
    return PLAYERS[task_name](privileged)


def _strafe_and_shoot(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Stand in front of the monster, then shoot."""
    enemies = things(truth, ENEMY)
    if not len(enemies):
        return act()
    left = float(enemies[0, 1])
    if abs(left) <= HALF_WIDTH:
        return act("mouse_left")
    return act("a" if left > 0 else "d")


def _turn_and_shoot(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Turn to the nearest monster, and shoot when it is in the middle."""
    enemies = things(truth, ENEMY)
    if not len(enemies):
        return act()
    ahead, left = min(enemies.tolist(), key=lambda place: np.hypot(*place))
    angle = float(np.degrees(np.arctan2(left, ahead)))
    aimed = abs(np.sin(np.radians(angle))) * np.hypot(ahead, left) <= HALF_WIDTH and ahead > 0
    return act("mouse_left", turn=angle) if aimed else act(turn=angle)


def _walk_to_medkits(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Go for the nearest medkit, preferring those ahead: turning takes time too."""
    kits = things(truth, MEDKIT)
    if not len(kits):
        return act("w", turn=10.0)

    def effort(place: list[float]) -> float:
        return float(np.hypot(*place) + 100.0 * abs(np.arctan2(place[1], place[0])))

    ahead, left = min(kits.tolist(), key=effort)
    angle = float(np.degrees(np.arctan2(left, ahead)))
    return act("w", turn=angle) if abs(angle) < 45 else act(turn=angle)


PLAYERS: dict[str, Callable[[NDArray[np.float64]], dict[str, Any]]] = {
    "basic": _strafe_and_shoot,
    "defend_the_center": _turn_and_shoot,
    "defend_the_line": _turn_and_shoot,
    "health_gathering": _walk_to_medkits,
}
"""Scenario to its player."""


def things(truth: NDArray[np.float64], kind: int) -> Things:
    """Where the objects of one kind are, as the player sees them."""
    listed = truth[6:].reshape(-1, 3)
    away = listed[listed[:, 0] == kind, 1:] - truth[:2]  # (N, 2)
    angle = np.radians(truth[2])
    ahead = np.array([np.cos(angle), np.sin(angle)])
    left = np.array([-ahead[1], ahead[0]])
    return np.stack([away @ ahead, away @ left], axis=-1)


def act(*keys: str, turn: float = 0.0) -> dict[str, Any]:
    """The action that holds ``keys`` and turns by ``turn`` degrees to the left, as far as a step
    allows."""
    pixels = float(np.clip(-turn / DEGREES_PER_PIXEL, -MAX_MOTION, MAX_MOTION))
    return {"keys": list(keys), "pointer": [pixels, 0.0]}
