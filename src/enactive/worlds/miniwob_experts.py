"""Scripted experts for tasks of MiniWoB++.

Each looks at the page as it is, the hidden parts of the document included, and says the next thing
to do with pointer or keyboard. None remembers anything, so each also goes on from where somebody
else has left a page. They are simulator truth, not something that a screen's user could know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.screen import ScreenSpace
from enactive.worlds.miniwob_page import Action, Page, decode
from enactive.worlds.miniwob_pointing import POINTING
from enactive.worlds.miniwob_writing import WRITING

SPACE = ScreenSpace(width=160, height=210)
"""What can be done: the screen of a task."""

_EXPERTS = {**POINTING.experts, **WRITING.experts}


def expert_action(task: str, truth: NDArray[np.float64]) -> Action:
    """What the expert of ``task`` does: its advice, ``float64 (A,)``; it waits if it has none."""
    return decode(truth) or {"do": "wait"}


def has_expert(task: str) -> bool:
    """Whether there is an expert for the task."""
    return task in _EXPERTS


def expert_tasks() -> tuple[str, ...]:
    """The tasks that have an expert."""
    return tuple(sorted(_EXPERTS))


def advice(task: str, utterance: str, elements: Sequence[Mapping[str, Any]]) -> Action | None:
    """The next action in a page; ``None`` where the expert knows nothing to do."""
    if not elements or task not in _EXPERTS:
        return None
    try:
        action = _EXPERTS[task](Page(utterance, elements))
    except (LookupError, ValueError, StopIteration):
        return None
    return action if action is None or not SPACE.problem(action) else None
