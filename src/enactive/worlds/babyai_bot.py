"""BabyAI's bot, bounded: it follows an episode and says what it would do next.

The bot ships with MiniGrid. It keeps a stack of subgoals and replans until the topmost yields an
action; on some seeds two subgoals replace one another without end. Its stack here counts how often
it is asked and refuses after :data:`PATIENCE`, which no clock and no other process has part in, so
that a bot that runs in circles gives up at the same step everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATIENCE = 300
"""How often one replanning may look at or change the stack of subgoals. Levels that the bot solves
need twenty at most."""

DONE = 6
"""The action that does nothing: what is advised once the bot has given up."""


class InCircles(RuntimeError):
    """The bot replanned without coming to an action."""


class Bot:
    """The bot of one episode."""

    def __init__(self, bot: Any) -> None:
        bot.stack = _Stack(bot.stack)
        self._bot = bot
        self.advice: int | None = None
        """The action that the bot would take now; None once it has given up."""
        self._replan(None)

    @classmethod
    def of(cls, env: Any) -> Bot:
        """The bot of an environment that was just reset."""
        from minigrid.utils.baby_ai_bot import BabyAIBot

        return cls(BabyAIBot(env))

    def follow(self, action: int) -> None:
        """Take note that ``action`` was executed, the bot's own or another."""
        if self.advice is not None:
            self._replan(action)

    def _replan(self, action: int | None) -> None:
        self._bot.stack.left = PATIENCE
        try:
            self.advice = int(self._bot.replan(action))
        # At a loss, the bot raises whatever comes: failed assertions, a box that is gone, TypeError
        # for a place that it did not find.
        except Exception:
            self.advice = None


class _Stack(list[Any]):
    """A list that runs out of patience."""

    left = PATIENCE

    def __init__(self, subgoals: Iterable[Any]) -> None:
        super().__init__(subgoals)

    def _ask(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise InCircles(f"no action after {PATIENCE} looks at the subgoals")

    def __getitem__(self, index: Any) -> Any:
        self._ask()
        return super().__getitem__(index)

    def append(self, subgoal: Any) -> None:
        self._ask()
        super().append(subgoal)

    def pop(self, index: Any = -1) -> Any:
        self._ask()
        return super().pop(index)


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> int:
    """The bot's advice.

    Args:
        task_name: name of the level; the advice is the episode's already.
        privileged: ``float64 (1,)``, the observation's ``privileged["babyai"]``.

    Returns:
        Index of one of the seven actions; :data:`DONE` once the bot has given up, which the
        episode's event ``expert_gave_up`` records.
    """
    advice = int(privileged[0])
    return DONE if advice < 0 else advice
