"""Graphical interfaces: what can be done with a pointer and a keyboard on a screen of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from enactive.actions.groups import check_fields
from enactive.registry import suggest

NAMED_KEYS = (
    "Alt", "ArrowDown", "ArrowLeft", "ArrowRight", "ArrowUp", "Backspace", "Control", "Delete",
    "End", "Enter", "Escape", "Home", "Insert", "Meta", "PageDown", "PageUp", "Shift", "Tab",
    *(f"F{i}" for i in range(1, 13)),
)  # fmt: skip
"""Keys beside those of one character; names are those of the web's ``KeyboardEvent.key``."""

VERBS: Mapping[str, tuple[str, ...]] = {
    "click": ("x", "y"),
    "double_click": ("x", "y"),
    "right_click": ("x", "y"),
    "move": ("x", "y"),
    "drag": ("x", "y", "to_x", "to_y"),
    "type": ("text",),
    "scroll": ("dx", "dy"),
    "keys": ("keys",),
    "wait": (),
}
"""Verb to the fields that it has beside ``"do"``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenSpace:
    """Graphical interfaces: ``{"do": "click", "x": 10, "y": 20}`` and the like.

    The verbs: ``click``, ``double_click``, ``right_click``, ``move`` with pixel ``x`` in
    ``[0, width)`` and ``y`` in ``[0, height)`` from the top left; ``drag`` from there to ``to_x``,
    ``to_y``; ``type`` with ``text``; ``scroll`` with ``dx``, ``dy`` in px; ``keys`` with ``keys``,
    pressed together; ``wait`` alone.
    """

    width: int
    """Pixels."""
    height: int
    """Pixels."""

    MAX_CHARACTERS: ClassVar[int] = 2000
    """Longest text of one ``type``."""
    MAX_SCROLL: ClassVar[float] = 100_000.0
    """Furthest scroll along an axis, px."""

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if getattr(self, name) < 1:
                raise ValueError(f"ScreenSpace: {name} is {getattr(self, name)}; it is px, >= 1")

    def contains(self, action: Any) -> bool:
        """Whether the verb exists, has its fields and no others, and points at the screen."""
        return not self.problem(action)

    def problem(self, action: Any) -> str:
        """Why ``action`` is none of this space, with the field and the fix; empty if it is one."""
        if not isinstance(action, Mapping):
            return f"an action is a mapping with 'do', got {type(action).__name__}"
        act = cast("Mapping[Any, Any]", action)
        verb = act.get("do")
        if not isinstance(verb, str) or verb not in VERBS:
            return f"do: no verb is called {verb!r}; {suggest(str(verb), VERBS)}"
        wanted = ("do", *VERBS[verb])
        if set(act) != set(wanted):
            return f"{verb!r} has the fields {list(wanted)}, got {sorted(map(str, act))}"
        for name in VERBS[verb]:
            if found := self._field_problem(name, act[name]):
                return f"{name}: {found}"
        return ""

    def _field_problem(self, name: str, value: Any) -> str:
        if name in ("x", "to_x", "y", "to_y"):
            size = self.width if name in ("x", "to_x") else self.height
            if not _is_number(value):
                return f"{value!r} is no number of pixels"
            return "" if 0 <= value < size else f"{value} is outside the screen, [0, {size})"
        if name in ("dx", "dy"):
            far = _is_number(value) and abs(value) <= self.MAX_SCROLL
            return "" if far else f"{value!r} is no distance of at most {self.MAX_SCROLL:g} px"
        if name == "text":
            return self._text_problem(value)
        return _keys_problem(value)

    def _text_problem(self, value: Any) -> str:
        if not isinstance(value, str):
            return f"text is a string, got {type(value).__name__}"
        if len(value) > self.MAX_CHARACTERS:
            return f"{len(value)} characters; type at most {self.MAX_CHARACTERS} at a time"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "holds half a character (a lone surrogate)"
        return ""

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """Something that a hand could do: mostly clicks, at whole pixels."""
        verb = str(generator.choice(list(_WEIGHTS), p=list(_WEIGHTS.values())))
        ranges = {"x": self.width, "to_x": self.width, "y": self.height, "to_y": self.height}
        action: dict[str, Any] = {"do": verb}
        for name in VERBS[verb]:
            if name in ranges:
                action[name] = int(generator.integers(ranges[name]))
            elif name == "text":
                letters = generator.integers(ord("a"), ord("z") + 1, int(generator.integers(1, 9)))
                action[name] = "".join(map(chr, letters.tolist()))
            elif name == "keys":
                action[name] = [str(generator.choice(_COMMON_KEYS))]
            else:
                action[name] = int(generator.integers(-200, 201))
        return action

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes an equal space of them."""
        return {"space": "screen", "width": self.width, "height": self.height}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScreenSpace:
        """The space that :meth:`to_dict` described."""
        return cls(**check_fields(cls, data))


_WEIGHTS = {
    "click": 0.5, "double_click": 0.04, "right_click": 0.02, "move": 0.06, "drag": 0.08,
    "type": 0.12, "scroll": 0.06, "keys": 0.08, "wait": 0.04,
}  # fmt: skip

_COMMON_KEYS = ("Enter", "Tab", "Backspace", "Escape", "ArrowDown", "ArrowUp", "ArrowRight")


def _keys_problem(value: Any) -> str:
    if not isinstance(value, list | tuple) or not value:
        return "a list of at least one key"
    keys = list(cast("list[Any]", value))
    for key in keys:
        one = isinstance(key, str) and len(key) == 1 and key.isprintable()
        if not one and key not in NAMED_KEYS:
            return f"no key is called {key!r}; {suggest(str(key), NAMED_KEYS)}"
    return "a key occurs twice" if len(set(keys)) < len(keys) else ""


def _is_number(value: Any) -> bool:
    if isinstance(value, float | np.floating):
        return bool(np.isfinite(value))
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
