"""SO-101's scripted controllers, which ship with the package, in the units of our action space.

``reach-close`` is the package's ``scripted_reach_close``, ``pick-place`` its
``PickPlaceController``. The package has no controller that lifts the cube for ``pick-cube``: there
the latter picks it up and, where it would carry it away, this one raises it further.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest
from enactive.worlds.so101 import METRES_PER_UNIT, TASKS

OBSERVED = slice(0, 17)
"""Proprioception and block in the privileged vector: what ``scripted_reach_close`` reads."""
BLOCK, GOAL, GRASP = slice(14, 17), slice(17, 20), slice(20, 23)

RAISE = np.array([0.0, 0.0, 0.4, 0.0], np.float32)
"""Up, as carefully as the package lifts, with the jaws closed; in the package's units."""


@dataclass(frozen=True, slots=True)
class ControllerMemory:
    """What the package's controller keeps between steps."""

    task: str
    phase: str = "HOVER"
    steps: int = 0
    """Spent in this phase."""
    table: float | None = None
    """Height of the block at the start, m."""


@dataclass(frozen=True, slots=True)
class SO101Expert:
    """Expert of the SO-101 world."""

    version: ClassVar[int] = 1

    def begin(self, task: str, seed: int) -> ControllerMemory:
        """The memory of an episode that begins; the seed plays no part.

        Raises:
            KeyError: there is no such task; the message suggests which was meant.
        """
        if task not in TASKS:
            raise KeyError(f"SO-101 has no task {task!r}; {suggest(task, TASKS)}")
        return ControllerMemory(task=task)

    def act(
        self, truth: NDArray[np.float64], memory: ControllerMemory
    ) -> tuple[NDArray[np.float32], ControllerMemory]:
        """The next displacement and gripper command.

        Args:
            truth: ``float64 (23,)``, the world's privileged vector.
            memory: what this episode's last call handed on.

        Returns:
            ``float32 (4,)``: x, y, z in m, each in [-0.025, 0.025], and the gripper's opening in
            [0, 1]; and the next memory.
        """
        if memory.task == "reach-close":
            from lerobot_env_so101.scripted import scripted_reach_close

            return _metres(scripted_reach_close(truth[OBSERVED], METRES_PER_UNIT)), memory
        return _controlled(truth, memory)


def _controlled(
    truth: NDArray[np.float64], memory: ControllerMemory
) -> tuple[NDArray[np.float32], ControllerMemory]:
    from lerobot_env_so101.scripted.pick_place import Phase, PickPlaceController

    if memory.task == "pick-cube" and memory.phase == Phase.TRAVERSE.name:
        return _metres(RAISE), memory
    controller = PickPlaceController(METRES_PER_UNIT)
    controller._phase = Phase[memory.phase]
    controller._steps_in_phase = memory.steps
    controller._table_z = memory.table
    goal = truth[GOAL] if memory.task == "pick-place" else truth[BLOCK]
    action = controller.act(truth[GRASP], truth[BLOCK], goal)
    following = replace(
        memory,
        phase=controller.phase.name,
        steps=controller._steps_in_phase,
        table=controller._table_z,
    )
    if memory.task == "pick-cube" and controller.phase.value > Phase.LIFT.value:
        return _metres(RAISE), replace(following, phase=Phase.TRAVERSE.name)
    return _metres(action), following


def _metres(action: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled = np.array(action, np.float32)
    scaled[:3] *= METRES_PER_UNIT
    return scaled
