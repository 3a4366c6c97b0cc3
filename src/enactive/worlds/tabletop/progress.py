"""What has happened in an episode: intention, grasp, transport, placing, dropping, success.

The first stage is the intention of INT-ACT (Fang et al., 2025): which thing the gripper heads for,
told apart from whether it then succeeds. There it is a rule of the benchmark's simulator; here it
is the first thing within reach of the fingers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from enactive.worlds.tabletop.arms import Vector
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.furniture import TRAVEL
from enactive.worlds.tabletop.success import DONE, SUSTAINED, goal, in_place
from enactive.worlds.world import EventSpec

APPROACH = 0.055
"""Horizontal distance from a thing's centre, or a handle, at which it is approached, m."""
APPROACH_HEIGHT = 0.08
"""Height above it up to which it has, m."""
LIFT = 0.03
"""Height above its beginning from which a held object is lifted, m."""
MOVED = 0.03
"""How far something must have gone to be moved, m."""
MOVED_SHARE = 0.2
"""Of furniture: which share of its travel."""
OVER = 0.045
"""Horizontal distance from the goal within which something carried has been transported, m."""
LOST = 3
"""Control steps without a grip after which what was lifted is dropped or placed."""

EVENTS = (
    EventSpec(
        name="approached_target",
        description="of all things that can be handled, the named one was the first that the "
        "gripper came near",
    ),
    EventSpec(
        name="approached_other",
        description="another thing than the named one was the first that the gripper came near; "
        "an episode has one of the two, at most once",
    ),
    EventSpec(name="grasped", description="both fingers began to press on the named thing"),
    EventSpec(name="grasped_other", description="both fingers began to press on another thing"),
    EventSpec(name="lifted", description=f"the named object was held {LIFT * 100:g} cm higher"),
    EventSpec(
        name="transported",
        description=f"held and lifted, the named object came within {OVER * 100:g} cm of its goal, "
        "seen from above",
    ),
    EventSpec(
        name="placed", description="the named object came to be where it shall be, and not held"
    ),
    EventSpec(
        name="dropped",
        description="the named object was lifted and then lost elsewhere than at its goal",
    ),
    EventSpec(name="moved", description="the named thing moved by 3 cm or a fifth of its travel"),
    EventSpec(name="moved_other", description="another object moved by 3 cm"),
    EventSpec(name="success", description="the task's success test began to hold"),
)


@dataclass(slots=True)
class Progress:
    """The facts of an episode that the simulator's state does not hold."""

    start: Vector
    """Centres of all things at the beginning, ``(N, 3)`` m."""
    held: int | None = None
    """Index of what is held after the last step."""
    approached: bool = False
    """Whether the gripper has come near something."""
    carrying: bool = False
    """Whether the named object has been lifted and not yet let go."""
    loose: int = 0
    """Steps since it was held, while carrying."""
    streak: int = 0
    """Steps in a row for which the success test held."""
    true: set[str] = field(default_factory=set[str])
    """Events whose condition held after the last step."""

    def update(self, engine: Engine) -> tuple[bool, tuple[str, ...]]:
        """Look at the state after a control step: ``(success, events of the step)``."""
        self.held = engine.held(self.held)
        named = engine.index("named")
        family = engine.scene.task.family
        self.streak = self.streak + 1 if DONE[family](engine, self.start, self.held) else 0
        success = self.streak >= SUSTAINED[family]
        true: set[str] = set()
        events: list[str] = []
        if self.held is not None:
            true.add("grasped" if self.held == named else "grasped_other")
        if not self.approached:
            events += self._approach(engine)
        if engine.scene.named.movable:
            events += self._carry(engine, named, true)
        self._moved(engine, named, true)
        if success:
            true.add("success")
        if new := true - self.true:
            events += [spec.name for spec in EVENTS if spec.name in new]
        self.true = true
        return success, tuple(events)

    def _approach(self, engine: Engine) -> list[str]:
        x, y, z = engine.hand_position.tolist()
        nearest, found = APPROACH**2, ""
        for thing in engine.things:
            if not (thing.movable or thing.is_furniture):
                continue
            u, v, w = engine.place(thing.role).tolist()
            distance = (x - u) ** 2 + (y - v) ** 2
            if distance < nearest and z - w < APPROACH_HEIGHT:
                nearest, found = distance, thing.role
        if not found:
            return []
        self.approached = True
        return ["approached_target" if found == "named" else "approached_other"]

    def _carry(self, engine: Engine, named: int, true: set[str]) -> list[str]:
        x, y, z = engine.place("named").tolist()
        held = self.held == named
        spot = goal(engine)
        over = spot is not None and (x - spot[0]) ** 2 + (y - spot[1]) ** 2 < OVER**2
        if held and z > self.start[named, 2] + LIFT:
            self.carrying = True
            true.add("lifted")
            if over:
                true.add("transported")
        if self.held is None and in_place(engine):
            true.add("placed")
        if held or not self.carrying:
            self.loose = 0
            return []
        self.loose += 1
        if self.loose < LOST:
            return []
        self.carrying, self.loose = False, 0
        return [] if over else ["dropped"]

    def _moved(self, engine: Engine, named: int, true: set[str]) -> None:
        piece = engine.scene.named
        away = engine.positions() - self.start
        far: list[bool] = ((away * away).sum(1) > MOVED**2).tolist()
        if piece.is_furniture:
            share = abs(engine.opened("named") - piece.opening) / TRAVEL[piece.look.shape]
            far[named] = share > MOVED_SHARE
        if far[named]:
            true.add("moved")
        if sum(far) > far[named]:
            true.add("moved_other")

    def to_dict(self) -> dict[str, Any]:
        """msgpack values, from which :meth:`from_dict` makes an equal one."""
        return {
            "start": self.start.tobytes(),
            "held": self.held,
            "approached": self.approached,
            "carrying": self.carrying,
            "loose": self.loose,
            "streak": self.streak,
            "true": sorted(self.true),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Progress:
        """The progress that :meth:`to_dict` described."""
        start = np.frombuffer(data["start"], np.float64).reshape(-1, 3).copy()
        values: dict[str, Any] = {**data, "start": start, "true": set(data["true"])}
        return cls(**values)
