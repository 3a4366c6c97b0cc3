"""What can be done next on a text desktop, and what is known about each of it.

A hybrid policy chooses among *options*: clicks on the cells that are shown, and calls of the tools
that would serve a wish of the instruction. Each option is a vector of features, made from the text
on the screen and from the policy's memory, never from the world's state. Features say how an option
relates to what is wished ("more, and the value shown is below the wished one"), so that what is
learned about one setting holds for all; only the tools' names are told apart one by one, and a tool
that was not there in training has no name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from enactive.actions.tools import Tool

How = Literal["seen", "told", "ok"]
"""How a value is known: from the screen, from a tool that said it, from a tool that said "ok"."""

Memory = tuple[tuple[str, int, How], ...]
"""The memory block: what is believed of settings, the latest last. Immutable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """One thing that the instruction asks for."""

    app: str
    setting: str
    value: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A screen of text, read."""

    app: str
    """The app that is open; empty on the desktop."""
    rows: tuple[str, ...]
    values: Mapping[str, int]
    said: str
    """What a call gave; empty if nothing."""


def wishes(instruction: str) -> tuple[Wish, ...]:
    """``"in sound set volume to 3; ..."``, read."""
    found = re.findall(r"in (\w+) set (\w+) to (\d+)", instruction)
    return tuple(Wish(app=app, setting=name, value=int(value)) for app, name, value in found)


def read(text: str) -> Shown:
    """A text of :class:`enactive.worlds.desktop.Desktop`."""
    lines = text.split("\n")
    app = lines[0].removeprefix("app ") if lines[0].startswith("app ") else ""
    said = ""
    if lines[-1].startswith(("said ", "failed: ")):
        said = lines.pop()
    rows = [line.split(" ") for line in lines[1:]]
    values = {row[0]: int(row[1]) for row in rows if len(row) > 1}
    return Shown(app=app, rows=tuple(row[0] for row in rows), values=values, said=said)


def remember(memory: Memory, shown: Shown, called: tuple[str, int] | None) -> Memory:
    """The memory after a screen was seen, and after what a call of the last decision said.

    Args:
        memory: before.
        shown: the screen now.
        called: setting and value of the last decision's call, if it was one.
    """
    known: dict[str, tuple[int, How]] = {name: (value, how) for name, value, how in memory}
    if called is not None and shown.said.startswith("said "):
        name, wanted = called
        answer = shown.said.removeprefix("said ")
        known[name] = (int(answer), "told") if answer.isdigit() else (wanted, "ok")
    known.update({name: (value, "seen") for name, value in shown.values.items()})
    return tuple((name, value, how) for name, (value, how) in known.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One thing that could be done."""

    action: Mapping[str, Any]
    """Of the union ``{"screen": ..., "calls": ...}``."""
    what: str
    """In words, for the chain."""
    features: NDArray[np.float64]
    """``(F,)``."""
    called: tuple[str, int] | None = None
    """Setting and value, if it is a call."""


class Options:
    """Makes options; the tools' names decide F."""

    def __init__(self, tools: Sequence[Tool], named: Sequence[str]) -> None:
        self._tools = {tool.name.removeprefix("set_"): tool for tool in tools}
        self._slow = {name for name, tool in self._tools.items() if "long" in tool.description}
        self._index = {name: i for i, name in enumerate(named)}
        self.size = len(_NAMES) + len(self._index)

    def of(
        self, shown: Shown, wished: Sequence[Wish], memory: Memory, *, clicks: bool, calls: bool
    ) -> list[Option]:
        """The options now, ``done`` among them; ``done`` alone if nothing else is there."""
        state = {wish: _status(wish, memory) for wish in wished}
        found = list(self._clicks(shown, state)) if clicks else []
        if calls:
            found += [self._call(wish, status, shown, memory) for wish, status in state.items()
                      if wish.setting in self._tools]  # fmt: skip
        if clicks and shown.app:
            here = [status for wish, status in state.items() if wish.app == shown.app]
            open_here = "unmet" in here or "unknown" in here
            found.append(self._option(_click(0, 0), "back", ["back"], open_here and "back_early"))
        else:
            every = set(state.values())
            found.append(self._option(_click(0, 0), "done", ["done"], *(
                f"done_{one}" for one in ("unknown", "unmet", "told", "ok") if one in every
            )))  # fmt: skip
        return found

    def _clicks(self, shown: Shown, state: Mapping[Wish, str]) -> Sequence[Option]:
        found: list[Option] = []
        for row, name in enumerate(shown.rows, 1):
            if not shown.app:
                inside = {status for wish, status in state.items() if wish.app == name}
                found.append(self._option(_click(0, row), f"open {name}", ["open"],
                                          *(f"open_{one}" for one in sorted(inside))))  # fmt: skip
                continue
            wanted = [wish.value for wish in state if wish.setting == name]
            value = shown.values[name]
            for column, sign in ((1, -1), (2, 1)):
                relation = "other"
                if wanted:
                    relation = {1: "towards", 0: "arrived", -1: "away"}[
                        int(np.sign((wanted[0] - value) * sign))
                    ]
                word = "less" if sign < 0 else "more"
                found.append(
                    self._option(_click(column, row), f"{word} {name}", ["step"],
                                 f"step_{relation}")
                )  # fmt: skip
        return found

    def _call(self, wish: Wish, status: str, shown: Shown, memory: Memory) -> Option:
        tool = self._tools[wish.setting]
        kind = "slow" if wish.setting in self._slow else "fast"
        action = {
            "space": "calls",
            "action": {"tool": tool.name, "arguments": {"value": wish.value}},
        }
        option = self._option(
            action, f"{tool.name}({wish.value})", ["call", f"call_{kind}"],
            f"call_{status}", bool(shown.app) and "call_inside",
            called=(wish.setting, wish.value),
        )  # fmt: skip
        features = option.features
        known = {name: value for name, value, _ in memory}
        if status == "unmet" and wish.setting in known:
            far = abs(known[wish.setting] - wish.value) / 9
            features[_PLACE[f"far_{kind}"]] = far
        if status in ("unknown", "unmet") and tool.name in self._index:
            features[len(_NAMES) + self._index[tool.name]] = 1
        return option

    def _option(
        self, action: Mapping[str, Any], what: str, always: Sequence[str],
        *given: str | bool, called: tuple[str, int] | None = None,
    ) -> Option:  # fmt: skip
        features = np.zeros(self.size)
        for name in (*always, *given):
            if isinstance(name, str):
                features[_PLACE[name]] = 1
        return Option(action=action, what=what, features=features, called=called)


_NAMES = (
    "done", "done_unknown", "done_unmet", "done_told", "done_ok", "back", "back_early", "open",
    "open_unknown", "open_unmet", "open_told", "open_ok", "open_met", "step", "step_towards",
    "step_arrived", "step_away", "step_other", "call", "call_fast", "call_slow", "call_unknown",
    "call_unmet", "call_told", "call_ok", "call_met", "call_inside", "far_fast", "far_slow",
)  # fmt: skip

_PLACE = {name: i for i, name in enumerate(_NAMES)}


def _status(wish: Wish, memory: Memory) -> str:
    for name, value, how in memory:
        if name == wish.setting:
            if value != wish.value:
                return "unmet"
            return {"seen": "met", "told": "told", "ok": "ok"}[how]
    return "unknown"


def _click(column: int, row: int) -> dict[str, Any]:
    return {"space": "screen", "action": {"do": "click", "x": column, "y": row}}
