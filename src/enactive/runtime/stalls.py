"""Noticing that an episode goes round in circles.

The patterns are those that users of agents report most: the same action with the same outcome over
and over, two actions in alternation, one invalid action after another.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from enactive.episodes.action_log import digest


@dataclass(frozen=True, kw_only=True, slots=True)
class StallRules:
    """When a repetition is worth a warning, and when the episode is stopped. 0 is never."""

    repeats: int = 4
    """Equal actions with equal outcomes in a row after which it is warned; at twice as many it is
    stopped."""
    alternations: int = 4
    """Repetitions of the same two steps in alternation, likewise."""
    invalid: int = 4
    """Invalid actions in a row, likewise."""


@dataclass(slots=True)
class StallDetector:
    """Watches one episode. What it says depends on the actions and outcomes only."""

    rules: StallRules
    _steps: deque[bytes] = field(default_factory=lambda: deque[bytes](maxlen=64))
    _run: int = 0
    _alternating: int = 0
    _invalid: int = 0

    def saw(self, action: bytes, outcome: bytes, *, valid: bool) -> tuple[str, bool]:
        """Take note of a step.

        Returns:
            A warning for the policy, empty if there is none, and whether to stop.
        """
        step = digest(action + b"\0" + outcome)
        last = self._steps[-1] if self._steps else None
        before = self._steps[-2] if len(self._steps) > 1 else None
        self._run = self._run + 1 if step == last else 1
        alternates = step == before and step != last
        self._alternating = self._alternating + 1 if alternates else 0
        self._invalid = 0 if valid else self._invalid + 1
        self._steps.append(step)
        for count, limit, what in (
            (self._run, self.rules.repeats, "the same action with the same outcome"),
            (self._alternating // 2 + 1, self.rules.alternations, "the same two steps in turn"),
            (self._invalid, self.rules.invalid, "an invalid action"),
        ):
            if limit and count >= limit:
                return f"{count} times in a row: {what}. Do something else.", count >= 2 * limit
        return "", False
