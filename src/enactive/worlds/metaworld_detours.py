"""Meta-World's experts with two modes on purpose: the hand first goes aside, to the left or right.

The scripted experts are functions of the state, so their demonstrations have one mode. Here the
episode's seed decides on which side of its first place the hand passes a point before the scripted
expert takes over, which it can from anywhere. The mean of both ways is a third one that also leads
to the object: what this makes is data with two modes, not a task in which averaging must fail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from enactive.seeding import numpy_generator
from enactive.worlds.metaworld_experts import METRES_PER_UNIT, expert_action

ASIDE = 0.12
"""How far aside the point is, m."""
ABOVE = 0.03
"""How far above the hand's first place it is, m."""
NEAR = 0.02
"""Distance at which the point counts as passed, m."""
LONGEST = 40
"""Steps after which the expert takes over in any case."""


@dataclass(frozen=True, slots=True)
class DetourMemory:
    """What is known of an episode besides the state."""

    task: str
    side: float
    """1 or -1: towards larger or smaller x."""
    point: tuple[float, float, float] | None = None
    """Where the hand passes, m; known after the first observation."""
    steps: int = 0
    over: bool = False


@dataclass(frozen=True, slots=True)
class DetourExpert:
    """A scripted expert that begins with a detour; registered as ``metaworld_detours``."""

    version: ClassVar[int] = 1

    def begin(self, task: str, seed: int) -> DetourMemory:
        """The memory of an episode that begins; the seed decides the side."""
        left = numpy_generator(seed, "metaworld_detours").random() < 0.5
        return DetourMemory(task=task, side=1.0 if left else -1.0)

    def act(
        self, truth: NDArray[np.float64], memory: DetourMemory
    ) -> tuple[NDArray[np.float32], DetourMemory]:
        """The next action.

        Args:
            truth: ``float64 (39,)``, the observation's ``privileged["metaworld"]``.
            memory: what this episode's last call handed on.

        Returns:
            ``float32 (4,)`` as :func:`~enactive.worlds.metaworld_experts.expert_action`, and the
            next memory.
        """
        hand = truth[:3]
        point = memory.point
        if point is None:
            x, y, z = (float(entry) for entry in hand)
            point = (x + memory.side * ASIDE, y, z + ABOVE)
        left = np.array(point) - hand
        over = memory.over or memory.steps >= LONGEST or float(np.linalg.norm(left)) < NEAR
        following = replace(memory, point=point, steps=memory.steps + 1, over=over)
        if over:
            return expert_action(memory.task, truth), following
        # The same gain as the scripted experts', and an open gripper.
        moved = np.clip(10.0 * left, -1.0, 1.0) * METRES_PER_UNIT
        return np.array([*moved, -1.0], np.float32), following
