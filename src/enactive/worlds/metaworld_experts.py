"""Meta-World's scripted experts, in the units of our action space.

They read the simulator's truth (``Observation.privileged["metaworld"]``), never an image. Each is a
pure function of the observation.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest

METRES_PER_UNIT = 0.01
"""What one unit of Meta-World's position action moves the target of the hand, m."""


@cache
def expert(task_name: str) -> Any:
    """Meta-World's own policy object for ``task_name`` (``"faucet-open"``).

    Raises:
        KeyError: there is no such task; the message suggests which was meant.
    """
    from metaworld.policies import ENV_POLICY_MAP

    policies: dict[str, Any] = ENV_POLICY_MAP
    name = f"{task_name}-v3"
    if name not in policies:
        known = [key.removesuffix("-v3") for key in policies]
        raise KeyError(f"Meta-World has no expert for {task_name!r}; {suggest(task_name, known)}")
    return policies[name]()


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> NDArray[np.float32]:
    """What Meta-World's expert would do.

    Args:
        task_name: name of the task in our world, without version suffix.
        privileged: ``float64 (39,)``, the observation's ``privileged["metaworld"]``.

    Returns:
        ``float32 (4,)``: displacement x, y, z in m, each in [-0.01, 0.01], and gripper effort in
        [-1, 1] (positive closes).
    """
    with warnings.catch_warnings():
        # The package warns on every step that its own proportional gain saturates.
        warnings.simplefilter("ignore")
        # A copy: the experts for doors write into what they are given.
        action = np.asarray(expert(task_name).get_action(privileged.copy()), np.float64)
    action = np.clip(action, -1.0, 1.0)
    action[:3] *= METRES_PER_UNIT
    return action.astype(np.float32)
