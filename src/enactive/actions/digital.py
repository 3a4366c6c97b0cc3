"""Action spaces that are no vectors: choices, keyboards, programs, unions.

Screens and calls of tools have modules of their own, :mod:`enactive.actions.screen` and
:mod:`enactive.actions.tools`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from enactive.actions.groups import check_fields, check_names
from enactive.actions.screen import ScreenSpace
from enactive.actions.spaces import ActionSpace, space_from_dict
from enactive.actions.tools import Tool, ToolSpace
from enactive.registry import suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceSpace:
    """One of N: the action is an ``int`` in ``[0, N)``."""

    names: tuple[str, ...]
    """What each choice does, e.g. ``("left", "right")``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        check_names("ChoiceSpace", "names", self.names)

    @property
    def size(self) -> int:
        """N, the number of choices."""
        return len(self.names)

    def contains(self, action: Any) -> bool:
        """Whether ``action`` is an integer in ``[0, N)``."""
        whole = isinstance(action, int | np.integer) and not isinstance(action, bool)
        return whole and 0 <= int(action) < self.size

    def index(self, name: str) -> int:
        """The action called ``name``; raises ``KeyError`` with suggestions."""
        if name not in self.names:
            raise KeyError(f"no choice is called {name!r}; {suggest(name, self.names)}")
        return self.names.index(name)

    def sample(self, generator: np.random.Generator) -> int:
        """A uniform choice."""
        return int(generator.integers(self.size))

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes an equal space of them."""
        return {"space": "choice", "names": list(self.names)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChoiceSpace:
        """The space that :meth:`to_dict` described."""
        return cls(names=tuple(check_fields(cls, data)["names"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyboardMouseSpace:
    """Games: ``{"keys": [...], "pointer": [dx, dy]}``: the keys held down during the step, and the
    pointer's motion in pixels."""

    keys: tuple[str, ...]
    """Keys and buttons that exist, e.g. ``("w", "a", "mouse_left")``."""
    max_motion: float = 0.0
    """Largest pointer motion a step along each axis, px; 0 where there is no pointer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(self.keys))
        check_names("KeyboardMouseSpace", "keys", self.keys)
        if not (np.isfinite(self.max_motion) and self.max_motion >= 0):
            raise ValueError(f"KeyboardMouseSpace: max_motion is {self.max_motion}; it is px, >= 0")

    def contains(self, action: Any) -> bool:
        """Whether the keys exist, none twice, and the pointer stays within ``max_motion``."""
        if not _has_keys(action, {"keys", "pointer"}):
            return False
        keys, pointer = _items(action["keys"]), _items(action["pointer"])
        if keys is None or pointer is None or len(pointer) != 2:
            return False
        held = all(isinstance(key, str) and key in self.keys for key in keys)
        near = all(_is_number(p) and abs(p) <= self.max_motion for p in pointer)
        return held and len(set(keys)) == len(keys) and near

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """Each key held with probability one half, the pointer's motion uniform."""
        held = generator.random(len(self.keys)) < 0.5
        pointer = generator.uniform(-self.max_motion, self.max_motion, 2)
        keys = [key for key, down in zip(self.keys, held.tolist(), strict=True) if down]
        return {"keys": keys, "pointer": pointer.tolist()}

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes an equal space of them."""
        return {
            "space": "keyboard_mouse",
            "keys": list(self.keys),
            "max_motion": float(self.max_motion),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KeyboardMouseSpace:
        """The space that :meth:`to_dict` described."""
        return cls(**check_fields(cls, data))


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeSpace:
    """Programs, as source text, that may call tools."""

    language: str = "python"
    tools: tuple[Tool, ...] = ()
    """What a program may call."""
    max_characters: int = 100_000
    """Longest program."""

    def contains(self, action: Any) -> bool:
        """Whether ``action`` is a non-empty text of at most ``max_characters``; for Python, one
        that parses. Nothing is run."""
        return not self.problem(action)

    def problem(self, action: Any) -> str:
        """Why ``action`` is none of this space, with the line and the fix; empty if it is one."""
        if not isinstance(action, str):
            return f"a program is source text, got {type(action).__name__}"
        if not 0 < len(action) <= self.max_characters:
            return f"the program has {len(action)} characters; it may have 1 to " + str(
                self.max_characters
            )
        if self.language == "python":
            import ast

            try:
                ast.parse(action)
            except SyntaxError as error:
                return f"the program does not parse: line {error.lineno}: {error.msg}"
            except (ValueError, RecursionError, MemoryError) as error:
                return f"the program does not parse: {type(error).__name__}: {error}"
        return ""

    def sample(self, generator: np.random.Generator) -> str:
        """A Python program of one random call whose arguments satisfy its tool's schema."""
        from enactive.actions.stubs import program_names

        if self.language != "python":
            raise NotImplementedError(f"no program is drawn in {self.language!r}, only in 'python'")
        if not self.tools:
            return "pass"
        names = {tool.name: name for name, tool in program_names(self.tools).items()}
        call = ToolSpace(tools=self.tools).sample(generator)
        return f"{names[call['tool']]}(**{call['arguments']!r})"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes an equal space of them."""
        return {
            "space": "code",
            "language": self.language,
            "tools": [tool.to_dict() for tool in self.tools],
            "max_characters": self.max_characters,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CodeSpace:
        """The space that :meth:`to_dict` described."""
        given = check_fields(cls, data)
        tools = tuple(Tool.from_dict(tool) for tool in given.get("tools", ()))
        given["tools"] = tools
        return cls(**given)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnionSpace:
    """Any of several named spaces at each step: ``{"space": name, "action": ...}``."""

    spaces: Mapping[str, ActionSpace]
    """Name to space."""

    def __post_init__(self) -> None:
        check_names("UnionSpace", "spaces", tuple(self.spaces))

    def contains(self, action: Any) -> bool:
        """Whether the named space exists and contains the action."""
        return not self.problem(action)

    def problem(self, action: Any) -> str:
        """Why ``action`` is none of this space, with the field and the fix; empty if it is one."""
        if not _has_keys(action, {"space", "action"}):
            return "an action has 'space' and 'action', and nothing else"
        name = action["space"]
        member = self.spaces.get(name) if isinstance(name, str) else None
        if member is None:
            return f"space: none is called {name!r}; {suggest(str(name), self.spaces)}"
        say = getattr(member, "problem", None)
        if say is not None:
            return say(action["action"])
        held = member.contains(action["action"])
        return "" if held else f"action: {action['action']!r} is none of {name!r}"

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """An action of one of the spaces that can be drawn from, each as likely.

        Raises:
            ValueError: none of them can be drawn from.
        """
        able = [name for name, space in self.spaces.items() if hasattr(space, "sample")]
        if not able:
            raise ValueError(f"UnionSpace: none of {[*self.spaces]} can be drawn from")
        name = able[int(generator.integers(len(able)))]
        member: Any = self.spaces[name]
        return {"space": name, "action": member.sample(generator)}

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes an equal space of them."""
        spaces = {name: space.to_dict() for name, space in self.spaces.items()}
        return {"space": "union", "spaces": spaces}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> UnionSpace:
        """The space that :meth:`to_dict` described."""
        spaces = check_fields(cls, data)["spaces"]
        return cls(spaces={name: space_from_dict(space) for name, space in spaces.items()})


KINDS: dict[str, Any] = {
    "choice": ChoiceSpace,
    "keyboard_mouse": KeyboardMouseSpace,
    "screen": ScreenSpace,
    "tools": ToolSpace,
    "code": CodeSpace,
    "union": UnionSpace,
}
"""The spaces of this module by the tag that ``to_dict`` gives them."""


def _has_keys(action: Any, keys: set[str]) -> bool:
    return isinstance(action, Mapping) and set(cast("Mapping[Any, Any]", action)) == keys


def _items(value: Any) -> list[Any] | None:
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else None


def _is_number(value: Any) -> bool:
    if isinstance(value, float | np.floating):
        return bool(np.isfinite(value))
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
