"""The settings of :mod:`enactive.worlds.desktop`, their tools, and tasks made from checkers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from enactive.seeding import numpy_generator
from enactive.worlds.checkers import All, Is

LARGEST = 9
"""Settings are whole numbers from 0 to this."""

ToolKind = Literal["right", "slow", "off", "dead", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting: where it is and what its tool is like."""

    name: str
    app: str
    kind: ToolKind
    """``right``: does what it says. ``slow``: does too, and takes long. ``off``: sets a value one
    further and says which. ``dead``: says "ok" and does nothing. ``none``: there is no tool."""


def _settings(apps: Mapping[str, str], kinds: str) -> tuple[Setting, ...]:
    letters: dict[str, ToolKind] = {
        "r": "right", "s": "slow", "o": "off", "d": "dead", "-": "none"
    }  # fmt: skip
    named = [(app, name) for app, names in apps.items() for name in names.split()]
    return tuple(
        Setting(name=name, app=app, kind=letters[kind])
        for (app, name), kind in zip(named, kinds, strict=True)
    )


SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "settings": _settings(
        {
            "sound": "volume bass treble balance",
            "display": "brightness contrast warmth gamma",
            "mouse": "speed delay scroll trail",
            "mail": "fontsize refresh archive signature",
        },
        "r-sord-rs-r-ro-d",
    ),
    "other_settings": _settings(
        {
            "camera": "zoom exposure focus timer",
            "printer": "copies darkness margin tray",
            "clock": "snooze alarm offset chime",
            "notes": "indent spacing history backup",
        },
        "-rros-dr-o-rrsd-",
    ),
}
"""Task to its settings. No app, setting or tool of one occurs in the other; both have the same
number of tools of each kind."""

SLOW_COST = 8
"""Budget that a call of a slow tool takes; others and clicks take 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """One episode's beginning and end."""

    start: Mapping[str, int]
    checker: All
    instruction: str


def goal(task: str, seed: int) -> Goal:
    """Evaluator-first: two or three atomic checkers that do not hold yet, then the sentence."""
    generator = numpy_generator(seed, "desktop", task)
    settings = SETTINGS[task]
    start = {one.name: int(generator.integers(LARGEST + 1)) for one in settings}
    count = int(generator.integers(2, 4))
    chosen = generator.choice(len(settings), count, replace=False)
    atoms: list[Is] = []
    words: list[str] = []
    for index in chosen.tolist():
        one = settings[index]
        others = np.setdiff1d(np.arange(LARGEST + 1), [start[one.name]])
        value = int(generator.choice(others))
        atoms.append(Is(one.name, value))
        words.append(f"in {one.app} set {one.name} to {value}")
    return Goal(start=start, checker=All(tuple(atoms)), instruction="; ".join(words))
