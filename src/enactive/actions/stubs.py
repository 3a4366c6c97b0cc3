"""Tools as Python sees them: names, signatures, and arguments by position.

A program calls a tool as a function of its name, with arguments by position or by name, required
ones first. Beside it is an awaitable form with ``_async`` at its end, so that ``asyncio.gather``
makes several calls together.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from enactive.actions.tools import Tool

AWAITABLE = "_async"
"""End of the name of a tool's awaitable form."""


def program_names(tools: Iterable[Tool]) -> dict[str, Tool]:
    """The tools by the names that programs call them by: ``-`` becomes ``_``.

    Raises:
        ValueError: two tools would have one name, or a name is none that Python allows.
    """
    found: dict[str, Tool] = {}
    for tool in tools:
        name = tool.name.replace("-", "_")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"tool {tool.name!r}: programs cannot call {name!r}; rename it")
        found_here = found.get(name)
        if found_here is not None:
            raise ValueError(f"tools {found_here.name!r} and {tool.name!r} are both {name!r} in "
                             "programs; rename one")  # fmt: skip
        found[name] = tool
    for name in found:
        if name.endswith(AWAITABLE) and name.removesuffix(AWAITABLE) in found:
            raise ValueError(f"tool {name!r} has the name of another one's awaitable form")
    return found


def parameters(tool: Tool) -> tuple[str, ...]:
    """The arguments in the order in which a program may give them by position."""
    known = list(tool.input_schema.get("properties", {}))
    required = [name for name in tool.input_schema.get("required", ()) if name in known]
    return (*required, *(name for name in known if name not in required))


def bind_arguments(
    tool: Tool, positional: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call that a program made.

    Raises:
        TypeError: more are given by position than there are, or one is given twice.
    """
    order = parameters(tool)
    if len(positional) > len(order):
        raise TypeError(f"{tool.name}() takes {len(order)} arguments, {len(positional)} were given")
    arguments = dict(zip(order, positional, strict=False))
    for name, value in named.items():
        if name in arguments:
            raise TypeError(f"{tool.name}() got two values for the argument {name!r}")
        arguments[name] = value
    return arguments


def stubs(tools: Iterable[Tool], *, awaitable: bool = True, documented: bool = False) -> str:
    """Python stubs of the tools: what a type checker, and a model, knows of them.

    Args:
        tools: each becomes a function, its objects typed dictionaries.
        awaitable: whether the awaitable forms are declared too.
        documented: whether descriptions stand in the functions.
    """
    lines: list[str] = []
    for name, tool in program_names(tools).items():
        writer = _Writer(name)
        given = ", ".join(_parameter(tool, one, writer) for one in _writable(tool))
        if len(_writable(tool)) < len(parameters(tool)):
            given += (", " if given else "") + "**others: Any"
        returns = writer.result(tool.output_schema, "Result") if tool.output_schema else "Any"
        body = f"\n    {_docstring(tool)}" if documented else " ..."
        lines += [*writer.classes, f"def {name}({given}) -> {returns}:{body}"]
        if awaitable:
            lines.append(f"async def {name}{AWAITABLE}({given}) -> {returns}: ...")
    return "\n".join(lines) + "\n"


HEADER = """\
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict
"""
"""What :func:`stubs` need imported."""


def _writable(tool: Tool) -> tuple[str, ...]:
    return tuple(n for n in parameters(tool) if n.isidentifier() and not keyword.iskeyword(n))


def _parameter(tool: Tool, name: str, writer: _Writer) -> str:
    schema = tool.input_schema["properties"][name]
    kind = writer.argument(schema)
    if name in tool.input_schema.get("required", ()):
        return f"{name}: {kind}"
    default = schema.get("default", ...) if isinstance(schema, Mapping) else ...
    simple = default is None or isinstance(default, bool | int | float | str)
    return f"{name}: {kind} = {default!r}" if simple else f"{name}: {kind} = ..."


def _docstring(tool: Tool) -> str:
    words = [tool.description.strip() or tool.name]
    for name in parameters(tool):
        said = tool.input_schema["properties"][name]
        if isinstance(said, Mapping) and "description" in said:
            words.append(f"{name}: {cast('Mapping[str, Any]', said)['description']}")
    text = "\n    ".join(line for word in words for line in word.splitlines())
    return '"""' + text.replace("\\", "\\\\").replace('"""', "'''") + '"""'


class _Writer:
    """Types of one tool; objects in results become classes, collected in order."""

    def __init__(self, tool: str) -> None:
        self._tool = "".join(part.capitalize() for part in tool.split("_"))
        self.classes: list[str] = []

    def argument(self, schema: Any) -> str:
        """The type of an argument: read-only views, so that any list of integers is one of
        numbers."""
        return self._kind(schema, "", "Sequence", "Mapping")

    def result(self, schema: Any, name: str) -> str:
        """The type of a result, with classes for objects."""
        return self._kind(schema, name, "list", "dict")

    def _kind(self, schema: Any, name: str, many: str, mapping: str) -> str:
        if not isinstance(schema, Mapping):
            return "Any"
        given = cast("Mapping[str, Any]", schema)
        if "const" in given or "enum" in given:
            return _literal([given["const"]] if "const" in given else given["enum"])
        for key in ("anyOf", "oneOf"):
            if key in given:
                return self._either(given[key], name, many, mapping)
        kind = given.get("type")
        if isinstance(kind, list):
            named = cast("list[str]", kind)
            return self._either([{**given, "type": k} for k in named], name, many, mapping)
        if kind == "array":
            items = given.get("items")
            inner = self._kind(items, f"{name}Item" if name else "", many, mapping)
            return f"{many}[{inner}]"
        if kind == "object":
            return self._object(given, name, many, mapping)
        return _SIMPLE.get(str(kind), "Any")

    def _either(self, schemas: Any, name: str, many: str, mapping: str) -> str:
        kinds: dict[str, None] = {}
        for i, one in enumerate(schemas):
            kinds[self._kind(one, f"{name}{i}" if name else "", many, mapping)] = None
        return "Any" if "Any" in kinds else " | ".join(kinds)

    def _object(self, schema: Mapping[str, Any], name: str, many: str, mapping: str) -> str:
        properties = schema.get("properties")
        if not properties or not name:
            values = schema.get("additionalProperties")
            inner = self._kind(values, f"{name}Value" if name else "", many, mapping)
            return f"{mapping}[str, {'Any' if properties else inner}]"
        required = schema.get("required", ())
        fields: list[str] = []
        for key, one in properties.items():
            part = re.sub(r"\W", "", key.title())
            kind = self._kind(one, f"{name}{part}", many, mapping)
            fields.append(f"{key!r}: {kind if key in required else f'NotRequired[{kind}]'}")
        made = f"{self._tool}{name}"
        self.classes.append(f"{made} = TypedDict({made!r}, {{{', '.join(fields)}}})")
        return made


_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def _literal(values: Iterable[Any]) -> str:
    given = list(values)
    if not given or not all(v is None or isinstance(v, bool | int | str) for v in given):
        return "Any"
    return f"Literal[{', '.join(map(repr, given))}]"
