"""ViZDoom's scripted players: functions of where the player, the objects and the walls are.

The package ships none. They press the keys that the scenario offers and turn with the mouse. How
often each reaches its scenario's goal is in ``docs/benchmarks.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest
from enactive.worlds.vizdoom import DEGREES_PER_PIXEL, MAX_MOTION
from enactive.worlds.vizdoom_maze import maze
from enactive.worlds.vizdoom_missiles import aim_ahead, best_strafe
from enactive.worlds.vizdoom_scene import (
    ENEMY,
    FIREBALL,
    MARK,
    MEDKIT,
    OWN,
    VEST,
    in_sight,
    objects,
    relative,
    things,
    walls,
)

HALF_WIDTH = 16.0
"""How far off its middle a monster is still hit, map units; they are 20 or more to a side."""
REACH = MAX_MOTION * DEGREES_PER_PIXEL
"""How far a step turns, degrees."""


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> dict[str, Any]:
    """What the scripted player would do.

    Args:
        task_name: name of the scenario.
        privileged: ``float64 (872,)``, the observation's ``privileged["vizdoom"]``.

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
    angle = _angle(ahead, left)
    aimed = abs(np.sin(np.radians(angle))) * np.hypot(ahead, left) <= HALF_WIDTH and ahead > 0
    return act("mouse_left", turn=angle) if aimed else act(turn=angle)


def _walk_to_medkits(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Go for the nearest medkit, preferring those ahead: turning takes time too."""
    kits = things(truth, MEDKIT)
    if not len(kits):
        return act("w", turn=10.0)

    def effort(place: list[float]) -> float:
        return float(np.hypot(place[0], place[1]) + 100.0 * abs(np.arctan2(place[1], place[0])))

    return _walk_to(*min(kits.tolist(), key=effort))


KERB = -14.0
"""Where the player of the corridor walks, y; the middle of it is at 0 and its walls at ±32."""


def _corner_by_corner(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Walk along one wall of the corridor, so that of the guards on either side the one across is
    seen first and from afar; stand and shoot the nearest one in sight.

    The first shot after a pause goes straight, those of a trigger that is held do not: it is
    pressed when the weapon is ready.
    """
    listed = objects(truth)
    enemies = listed[listed[:, 0] == ENEMY, 1:3]
    seen = relative(truth, enemies[in_sight(truth, enemies)])
    if not len(seen):
        ahead = np.array([[truth[0] + 60.0, KERB]])
        return _walk_to(*relative(truth, ahead)[0].tolist())
    angle = _angle(*min(seen.tolist(), key=lambda place: float(np.hypot(place[0], place[1]))))
    shoots = abs(angle) <= REACH and truth[OWN.index("attack_ready")]
    return act("mouse_left", turn=angle) if shoots else act(turn=angle)


def _walk_through_the_maze(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Take the shortest way to the vest that keeps some distance from the walls."""
    listed = objects(truth)
    vests = listed[listed[:, 0] == VEST, 1:3]
    if not len(vests):
        return act()
    x, y = vests[0].tolist()
    ways = maze(walls(truth)[:, :4].tobytes(), (x, y))
    return _walk_to(*relative(truth, ways.ahead(truth[:2])[None])[0].tolist())


def _fire_ahead(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Aim where the monster will be, and fire once that is known well enough."""
    listed = objects(truth)
    monsters, marks = (listed[listed[:, 0] == kind] for kind in (ENEMY, MARK))
    spent = not truth[OWN.index("ammo")] or not truth[OWN.index("attack_ready")]
    if spent or not len(monsters) or not len(marks):
        return act()  # a rocket leaves later than the key, and where the player looks then
    aim = aim_ahead(truth[:2], monsters[0], marks)
    angle = _angle(*relative(truth, aim.at[None])[0].tolist())
    return act("mouse_left", turn=angle) if aim.sure and abs(angle) <= REACH else act(turn=angle)


def _dodge(truth: NDArray[np.float64]) -> dict[str, Any]:
    """Strafe as keeps clear of the fireballs in the air."""
    listed = objects(truth)
    north = walls(truth)[:, 1:4:2]  # y of their ends
    way = best_strafe(
        place=truth[:2],
        speed=float(truth[OWN.index("speed.y")]),
        balls=listed[listed[:, 0] == FIREBALL],
        room=(float(north.min()), float(north.max())),
    )
    return act("a" if way > 0 else "d") if way else act()


PLAYERS: dict[str, Callable[[NDArray[np.float64]], dict[str, Any]]] = {
    "basic": _strafe_and_shoot,
    "deadly_corridor": _corner_by_corner,
    "defend_the_center": _turn_and_shoot,
    "defend_the_line": _turn_and_shoot,
    "health_gathering": _walk_to_medkits,
    "my_way_home": _walk_through_the_maze,
    "predict_position": _fire_ahead,
    "take_cover": _dodge,
}
"""Scenario to its player."""


def _angle(ahead: float, left: float) -> float:
    """Degrees to the left."""
    return float(np.degrees(np.arctan2(left, ahead)))


def _walk_to(ahead: float, left: float) -> dict[str, Any]:
    angle = _angle(ahead, left)
    return act("w", turn=angle) if abs(angle) < 45 else act(turn=angle)


def act(*keys: str, turn: float = 0.0) -> dict[str, Any]:
    """The action that holds ``keys`` and turns by ``turn`` degrees to the left, as far as a step
    allows."""
    pixels = float(np.clip(-turn / DEGREES_PER_PIXEL, -MAX_MOTION, MAX_MOTION))
    return {"keys": list(keys), "pointer": [pixels, 0.0]}
