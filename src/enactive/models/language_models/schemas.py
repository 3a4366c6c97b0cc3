"""JSON Schemas that a constrained model can write: bounded, closed, with fixed white space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from enactive.actions.tools import Tool

MOST_CHARACTERS = 1000
"""Of any string. llama.cpp's grammars break from ``maxLength`` 2000 on, and an unbounded string can
run into the token limit and leave half a value."""
MOST_ITEMS = 16
"""Of any list that declares no limit."""


def bounded(
    schema: Mapping[str, Any], characters: int = MOST_CHARACTERS, items: int = MOST_ITEMS
) -> dict[str, Any]:
    """``schema`` in which every string and list has a limit and objects take nothing undeclared.

    Args:
        schema: JSON Schema without references.
        characters: limit of strings that declare none; larger declared ones become
            ``MOST_CHARACTERS``.
        items: limit of lists that declare none.
    """

    def walk(value: Any) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [walk(one) for one in cast("Sequence[Any]", value)]
        if not isinstance(value, Mapping):
            return value
        node = dict(cast("Mapping[str, Any]", value))
        for key in ("items", "anyOf", "oneOf", "allOf", "prefixItems", "additionalProperties"):
            if key in node:
                node[key] = walk(node[key])
        if "properties" in node:
            node["properties"] = {name: walk(one) for name, one in node["properties"].items()}
            node.setdefault("additionalProperties", False)
        kinds = node.get("type")
        kinds = [kinds] if isinstance(kinds, str) else kinds or []
        if "string" in kinds and "enum" not in node and "const" not in node:
            node["maxLength"] = min(node.get("maxLength", characters), MOST_CHARACTERS)
        if "array" in kinds and "prefixItems" not in node:
            node.setdefault("maxItems", items)
        return node

    return walk(schema)


def call_schema(
    tools: Sequence[Tool], characters: int = MOST_CHARACTERS, optional: bool = True
) -> dict[str, Any]:
    """The schema of one call of one of ``tools``: ``{"tool": name, "arguments": {...}}``.

    A union of objects where there are several tools, so put it inside an object: hosts refuse a
    union at the root.

    Args:
        tools: at least one.
        characters: longest string in the arguments.
        optional: whether arguments that are not required may be given.

    Raises:
        ValueError: there is no tool.
    """
    if not tools:
        raise ValueError("call_schema: tools is empty; a call needs one to call")
    calls = [_one(tool, characters, optional) for tool in tools]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def _one(tool: Tool, characters: int, optional: bool) -> dict[str, Any]:
    arguments = bounded({"properties": {}, **tool.input_schema, "type": "object"}, characters)
    arguments.pop("$schema", None)
    if not optional:
        required = arguments.get("required", [])
        kept = {n: one for n, one in arguments["properties"].items() if n in required}
        arguments["properties"] = kept
    return {
        "type": "object",
        "properties": {"tool": {"const": tool.name}, "arguments": arguments},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }
