"""What a domain of the workspace is made of: operations, levels, and the problem of one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from enactive.actions.tools import READS, Effects, Tool

State: TypeAlias = dict[str, Any]
"""What a domain's tools work on: JSON values, keys are strings."""

Apply: TypeAlias = Callable[[State, Mapping[str, Any], str], Any]
"""``(state, arguments with defaults filled in, idempotency key) -> JSON value``. Changes ``state``
in place; raises :class:`~enactive.actions.toolbox.ToolError` having changed nothing."""

Judge: TypeAlias = Callable[[State, str], str]
"""``(state at the end, answer) -> what is wrong``; empty where the task is done."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One tool of a domain and what it does to the domain's state."""

    tool: Tool
    apply: Apply

    def __call__(self, state: State, arguments: Mapping[str, Any], key: str = "") -> Any:
        """Apply it, defaults of the schema filled in; the arguments are taken as valid."""
        known: Mapping[str, Any] = self.tool.input_schema.get("properties", {})
        defaults = {name: one["default"] for name, one in known.items() if "default" in one}
        return self.apply(state, {**defaults, **arguments}, key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One difficulty of a domain; its task is called ``"<domain>-<number from 1>"``."""

    max_steps: int
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wordings:
    """Ways to say one thing, with fields in braces."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    """Sentences that no training data may use."""

    def told(self, fields: Mapping[str, Any], generator: np.random.Generator) -> tuple[str, str]:
        """One training sentence and one that is held out."""
        training, held_out = pick(generator, self.training), pick(generator, self.held_out)
        return training.format_map(fields), held_out.format_map(fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What one seed of one task asks."""

    wordings: Wordings
    fields: Mapping[str, Any]
    """Of the wordings."""
    state: State
    """At the start."""
    solution: tuple[Mapping[str, Any], ...]
    """Actions that solve it, the last of which answers."""
    judge: Judge


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """A kind of task: its tools, its levels, and the generator of its problems."""

    name: str
    operations: tuple[Operation, ...]
    levels: tuple[Level, ...]
    generate: Callable[[int, np.random.Generator], Problem]
    """``(level from 1, generator) -> problem``."""
    begin: Callable[[State, str], State] = lambda state, name: state
    """``(state at the start, name of the episode) -> state that the tools get``: where the state
    proper is kept elsewhere, this puts it there and returns how to find it."""
    look: Callable[[State], State] = lambda state: state
    """The state proper, for the judge."""
    close: Callable[[], None] = lambda: None
    """Frees connections. May be called twice."""
    sealed: bool = True
    """Whether nothing outside the process has part in it."""

    def task_name(self, level: int) -> str:
        """Name of the task of a level, e.g. ``"files-1"``."""
        return f"{self.name}-{level}"


def reads(
    name: str,
    description: str,
    properties: Mapping[str, Any],
    apply: Apply,
    resources: tuple[str, ...] | None = (),
) -> Operation:
    """An operation that changes nothing."""
    return _operation(name, description, properties, apply, READS, resources)


def writes(
    name: str,
    description: str,
    properties: Mapping[str, Any],
    apply: Apply,
    resources: tuple[str, ...] | None,
    *,
    destructive: bool = True,
    idempotent: bool = False,
) -> Operation:
    """An operation that changes the task's own world."""
    effects = Effects(destructive=destructive, idempotent=idempotent, open_world=False)
    return _operation(name, description, properties, apply, effects, resources)


def text(description: str, longest: int = 200, **more: Any) -> dict[str, Any]:
    """Schema of a bounded string; ``more`` are further keywords of JSON Schema."""
    return {"type": "string", "maxLength": longest, "description": description, **more}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    """The action of one call."""
    return {"tool": tool, "arguments": arguments}


def pick(generator: np.random.Generator, among: Sequence[T]) -> T:
    """One of a sequence."""
    return among[int(generator.integers(len(among)))]


def several(generator: np.random.Generator, among: Sequence[T], count: int) -> list[T]:
    """``count`` different ones of a sequence, in random order."""
    chosen: list[int] = generator.permutation(len(among))[:count].tolist()
    return [among[place] for place in chosen]


def _operation(
    name: str,
    description: str,
    properties: Mapping[str, Any],
    apply: Apply,
    effects: Effects,
    resources: tuple[str, ...] | None,
) -> Operation:
    schema = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name, one in properties.items() if "default" not in one],
        "additionalProperties": False,
    }
    tool = Tool(
        name=name, description=description, input_schema=schema, effects=effects,
        resources=resources,
    )  # fmt: skip
    return Operation(tool=tool, apply=apply)
