"""Calls of tools: what a tool is, the space of calls, and what became of a call.

A tool declares what calling it does (:class:`Effects`) and what it touches
(:attr:`Tool.resources`), so that whoever executes calls knows which may run side by side, which may
be run again, and which never. The effects are those of the Model Context Protocol's tool
annotations (specification 2025-06-18, "ToolAnnotations"), with the same defaults: the most careful
ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, cast, get_args

import jsonschema_rs
import numpy as np
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from enactive.actions.groups import check_fields, check_names
from enactive.registry import suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """What calling a tool does to its surroundings."""

    read_only: bool = False
    """It changes nothing."""
    destructive: bool = True
    """It may overwrite or delete, rather than only add. Means nothing where ``read_only``."""
    idempotent: bool = False
    """A second call with the same arguments changes nothing more. True where ``read_only``."""
    open_world: bool = True
    """It reaches things outside the task's own world (the network, a person, the clock): replay
    takes its recorded result instead of calling it."""

    def __post_init__(self) -> None:
        if self.read_only:
            object.__setattr__(self, "destructive", False)
            object.__setattr__(self, "idempotent", True)

    @property
    def repeatable(self) -> bool:
        """Whether a call of unknown fate may simply be made again."""
        return self.read_only or self.idempotent

    def to_dict(self) -> dict[str, bool]:
        """The fields."""
        return {
            "read_only": self.read_only,
            "destructive": self.destructive,
            "idempotent": self.idempotent,
            "open_world": self.open_world,
        }


READS = Effects(read_only=True, open_world=False)
"""Looks at the task's own world."""
WRITES = Effects(destructive=True, open_world=False)
"""Changes the task's own world."""
EXTERNAL = Effects()
"""Anything, anywhere: what is assumed where nothing is declared."""


@dataclass(frozen=True, kw_only=True)  # no slots: what follows from the fields is computed once
class Tool:
    """One callable: what it takes and gives, what calling it does, and what it touches."""

    name: str
    """Letters, digits, ``_`` and ``-``, at most 64: what every client accepts. Programs can call
    it where it is a Python identifier."""
    description: str
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    """JSON Schema of the arguments: an object, no references, no union at its root."""
    output_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON Schema of the result; empty for any."""
    effects: Effects = EXTERNAL
    resources: tuple[str, ...] | None = None
    """What it touches: names, with arguments in braces (``"file:{path}"``). Calls that share one
    wait for each other unless all of them only read. ``()``: it shares nothing with anyone;
    ``None``: unknown, so it waits for all others and they for it."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"Tool: name is {self.name!r}; use 1 to 64 letters, digits, '_' and '-'"
            )
        kind = self.input_schema.get("type", "object")
        if kind != "object":
            raise ValueError(f"Tool {self.name!r}: input_schema has type {kind!r}, not 'object'")
        if self.resources is None:
            return
        object.__setattr__(self, "resources", tuple(self.resources))
        known = cast("Mapping[str, Any]", self.input_schema.get("properties", {}))
        for template in self.resources or ():
            for name in _FIELD.findall(template):
                if name not in known:
                    raise ValueError(
                        f"Tool {self.name!r}: resources has {template!r}, but there is no "
                        f"argument {name!r}; {suggest(name, known)}"
                    )

    @cached_property
    def _schemas(self) -> tuple[_Schema, _Schema]:
        return _schema(self.input_schema), _schema(self.output_schema)

    def check_arguments(self, arguments: Any) -> str:
        """What is wrong with ``arguments``, with the field and the fix; empty if nothing is."""
        return self._schemas[0].problem(arguments, "arguments")

    def check_result(self, value: Any) -> str:
        """What is wrong with a result, against ``output_schema``; empty if nothing is."""
        return self._schemas[1].problem(value, "result") if self.output_schema else ""

    def touches(self, arguments: Mapping[str, Any]) -> frozenset[str] | None:
        """The resources of a call with these arguments; ``None`` if they are unknown."""
        if self.resources is None:
            return None

        def fill(found: re.Match[str]) -> str:
            return str(arguments.get(found.group(1)))

        return frozenset(_FIELD.sub(fill, template) for template in self.resources)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": dict(self.input_schema),
            "output_schema": dict(self.output_schema),
            "effects": self.effects.to_dict(),
            "resources": None if self.resources is None else list(self.resources),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tool:
        """The tool that :meth:`to_dict` described."""
        given = check_fields(cls, data)
        if "effects" in given:
            given["effects"] = Effects(**check_fields(Effects, given["effects"]))
        if given.get("resources") is not None:
            given["resources"] = tuple(given["resources"])
        return cls(**given)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of a tool."""

    tool: str
    arguments: Mapping[str, Any]
    """JSON values."""
    id: str = "0"
    """Names the call among those that are made together."""
    after: tuple[str, ...] = ()
    """Ids of calls made together with it that must succeed before it starts."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "id": self.id,
            "tool": self.tool,
            "arguments": dict(self.arguments),
            "after": list(self.after),
        }


FailureKind = Literal[
    "invalid", "rejected", "error", "timeout", "cancelled", "skipped", "budget", "in_doubt"
]
"""Why a call gave nothing: ``invalid`` arguments or result, ``rejected`` by a check, an ``error``
of the tool, ``timeout``, ``cancelled`` from outside, ``skipped`` because what it comes after
failed, ``budget`` spent, or ``in_doubt``: it was under way when the process died, and may not be
repeated.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why something gave no value."""

    kind: FailureKind
    message: str
    """One line or more that says what was wrong and, where it is known, what to do."""
    where: str = ""
    """What failed: a call's path, a step's name."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(FailureKind):
            raise ValueError(f"Failure: kind is {self.kind!r}; one of {get_args(FailureKind)}")

    def to_dict(self) -> dict[str, str]:
        """The fields."""
        return {"kind": self.kind, "message": self.message, "where": self.where}


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """A call gave a value."""

    value: Any
    """A JSON value; ``None`` is one like any other."""


CallResult = Returned | Failure
"""What became of a call. A failure is a value, never an exception."""


def result_to_dict(result: CallResult) -> dict[str, Any]:
    """``{"value": ...}`` or ``{"failure": ...}``."""
    if isinstance(result, Returned):
        return {"value": result.value}
    return {"failure": result.to_dict()}


def result_from_dict(data: Mapping[str, Any]) -> CallResult:
    """The result that :func:`result_to_dict` described."""
    if "failure" in data:
        return Failure(**data["failure"])
    return Returned(value=data["value"])


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolSpace:
    """Typed calls: ``{"tool": name, "arguments": {...}}``, or several that are made together,
    ``{"calls": [{"id": ..., "tool": ..., "arguments": {...}, "after": [...]}, ...]}``."""

    tools: tuple[Tool, ...]
    parallel: int = 1
    """Most calls that one action may make."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", tuple(self.tools))
        check_names("ToolSpace", "tools", tuple(tool.name for tool in self.tools))
        if self.parallel < 1:
            raise ValueError(f"ToolSpace: parallel is {self.parallel}; it counts calls, >= 1")

    def tool(self, name: str) -> Tool:
        """The tool called ``name``; raises ``KeyError`` with suggestions."""
        for tool in self.tools:
            if tool.name == name:
                return tool
        raise KeyError(f"no tool is called {name!r}; {suggest(name, (t.name for t in self.tools))}")

    def contains(self, action: Any) -> bool:
        """Whether every call's tool exists and its arguments satisfy the tool's schema."""
        return not self.problem(action)

    def problem(self, action: Any) -> str:
        """Why ``action`` is none of this space, with the field and the fix; empty if it is one."""
        try:
            calls = self.calls(action)
        except ValueError as error:
            return str(error)
        return "; ".join(found for call in calls if (found := self.check_call(call)))

    def calls(self, action: Any) -> tuple[Call, ...]:
        """The calls of an action, in order. Their arguments are not checked.

        Raises:
            ValueError: it has another form, too many calls, or calls that wait for one another.
        """
        if not isinstance(action, Mapping):
            raise ValueError(f"an action is a mapping, got {type(action).__name__}")
        act = cast("Mapping[str, Any]", action)
        if "calls" not in act:
            return (_call(act, "0"),)
        if set(act) != {"calls"} or not isinstance(act["calls"], list | tuple):
            raise ValueError("an action with 'calls' has nothing else; it is a list of calls")
        listed = cast("list[Any]", act["calls"])
        if not 1 <= len(listed) <= self.parallel:
            raise ValueError(f"'calls' has {len(listed)} calls; one action may make 1 to "
                             f"{self.parallel}")  # fmt: skip
        calls = tuple(_call(one, str(i)) for i, one in enumerate(listed))
        check_order(calls)
        return calls

    def check_call(self, call: Call) -> str:
        """What is wrong with a call; empty if nothing is."""
        try:
            return self.tool(call.tool).check_arguments(call.arguments)
        except KeyError as error:
            return str(error.args[0])

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """One call of a random tool, with random arguments that satisfy its schema."""
        from enactive.actions.tool_samples import sample_call

        call = sample_call(self.tools[int(generator.integers(len(self.tools)))], generator)
        return {"tool": call.tool, "arguments": dict(call.arguments)}

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes an equal space of them."""
        tools = [tool.to_dict() for tool in self.tools]
        return {"space": "tools", "tools": tools, "parallel": self.parallel}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ToolSpace:
        """The space that :meth:`to_dict` described."""
        given = check_fields(cls, data)
        given["tools"] = tuple(Tool.from_dict(tool) for tool in given["tools"])
        return cls(**given)


def check_order(calls: Sequence[Call]) -> None:
    """Refuse calls of one id, and calls that wait for an unknown one or for each other.

    Raises:
        ValueError: naming the calls.
    """
    ids = [call.id for call in calls]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice:
        raise ValueError(f"calls: the ids {twice} occur more than once; ids must differ")
    for call in calls:
        for other in call.after:
            if other not in ids:
                raise ValueError(f"calls: {call.id!r} comes after {other!r}, which is not there; "
                                 + suggest(other, ids))  # fmt: skip
    in_order(calls)


def in_order(calls: Sequence[Call]) -> list[Call]:
    """The calls, each after those that it comes after; otherwise in the order in which they are
    given.

    Raises:
        ValueError: some wait for one another.
    """
    ordered: list[Call] = []
    waiting = list(calls)
    done: set[str] = set()
    while waiting:
        call = next((one for one in waiting if done.issuperset(one.after)), None)
        if call is None:
            raise ValueError(f"calls: {sorted(one.id for one in waiting)} wait for one another")
        waiting.remove(call)
        ordered.append(call)
        done.add(call.id)
    return ordered


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELD = re.compile(r"\{(\w+)\}")


def _call(data: Any, id: str) -> Call:
    if not isinstance(data, Mapping):
        raise ValueError(f"a call is a mapping, got {type(data).__name__}")
    given = cast("Mapping[str, Any]", data)
    unknown = sorted(set(given) - {"id", "tool", "arguments", "after"})
    if unknown or "tool" not in given or "arguments" not in given:
        raise ValueError(f"a call has 'tool' and 'arguments', may have 'id' and 'after'; "
                         f"got {sorted(map(str, given))}")  # fmt: skip
    after = given.get("after", ())
    if not isinstance(given["tool"], str) or not isinstance(given["arguments"], Mapping):
        raise ValueError("a call's 'tool' is a name and its 'arguments' are a mapping")
    if not isinstance(after, list | tuple) or not all(isinstance(one, str) for one in after):
        raise ValueError("a call's 'after' is a list of ids")
    arguments = cast("Mapping[str, Any]", given["arguments"])
    return Call(
        tool=given["tool"], arguments=arguments, id=str(given.get("id", id)), after=tuple(after)
    )


def _schema(schema: Mapping[str, Any]) -> _Schema:
    """The compiled schema; worlds are made anew more often than their schemas change."""
    return _compiled(json.dumps(schema, default=dict))


@lru_cache(maxsize=4096)
def _compiled(text: str) -> _Schema:
    return _Schema.of(json.loads(text))


@dataclass(frozen=True, slots=True)
class _Schema:
    """A JSON Schema in two hands: a compiled one says fast that all is well, which it nearly always
    is; the other explains what is not."""

    compiled: Callable[[Any], bool]
    explaining: Validator

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> _Schema:
        """Raises ``jsonschema.SchemaError`` where it is no schema."""
        plain = dict(schema)
        kind = cast("Callable[[Any], type[Validator]]", validator_for)(plain)
        kind.check_schema(plain)
        explaining = kind(plain)
        try:
            compiled = jsonschema_rs.validator_for(plain).is_valid
        except ValueError:  # a regular expression, say, that only Python understands
            compiled = explaining.is_valid
        return cls(compiled, explaining)

    def problem(self, value: Any, what: str) -> str:
        """What is wrong with ``value``, and where; empty if nothing is."""
        try:
            if self.compiled(value):
                return ""
        except (ValueError, TypeError):  # no JSON at all: the other says so
            pass
        error = best_match(self.explaining.iter_errors(value))
        if error is None:
            return f"{what}: it holds what JSON does not, such as NaN"
        path = error.absolute_path  # an error inside a union has a path of its own
        where = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in path)
        return f"{what}{where}: {error.message}"
