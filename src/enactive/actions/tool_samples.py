"""Random arguments for tools: values that a JSON Schema allows.

Not uniform in any sense, but every draw satisfies the schema. Strings come from the schema's
``examples`` where it has some, so that a random caller can hit things that exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from enactive.actions.tools import Call, Tool

_LETTERS = "abcdefghijklmnopqrstuvwxyz 0123456789"


def sample_call(tool: Tool, generator: np.random.Generator) -> Call:
    """A call of ``tool`` with arguments that satisfy its schema.

    Raises:
        ValueError: none was found in 100 draws; give the properties ``examples``.
    """
    for _ in range(100):
        arguments = sample(tool.input_schema, generator)
        if not tool.check_arguments(arguments):
            return Call(tool=tool.name, arguments=arguments)
    raise ValueError(f"Tool {tool.name!r}: no random arguments satisfy its schema; add 'examples'")


def sample(schema: Mapping[str, Any], generator: np.random.Generator) -> Any:
    """A JSON value for ``schema``. Keywords other than types, bounds, ``enum``, ``const``,
    ``anyOf``, ``oneOf`` and ``examples`` are not looked at."""
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "examples", "anyOf", "oneOf"):
        if schema.get(key):
            one = schema[key][int(generator.integers(len(schema[key])))]
            return sample(one, generator) if key in ("anyOf", "oneOf") else one
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kinds = cast("list[str]", kind)
        kind = kinds[int(generator.integers(len(kinds)))]
    if kind == "object":
        known: Mapping[str, Any] = schema.get("properties", {})
        needed = schema.get("required", ())
        return {
            name: sample(one, generator)
            for name, one in known.items()
            if name in needed or generator.random() < 0.5
        }
    if kind == "array":
        least = int(schema.get("minItems", 0))
        count = int(generator.integers(least, int(schema.get("maxItems", least + 3)) + 1))
        return [sample(schema.get("items", {"type": "string"}), generator) for _ in range(count)]
    if kind == "boolean":
        return bool(generator.random() < 0.5)
    if kind == "integer":
        low = int(schema.get("minimum", -100))
        return int(generator.integers(low, int(schema.get("maximum", low + 200)) + 1))
    if kind == "number":
        low = float(schema.get("minimum", -100.0))
        return float(generator.uniform(low, float(schema.get("maximum", low + 200.0))))
    if kind == "null":
        return None
    least = int(schema.get("minLength", 0))
    count = int(generator.integers(least, min(int(schema.get("maxLength", 12)), least + 12) + 1))
    drawn: list[int] = generator.integers(0, len(_LETTERS), count).tolist()
    return "".join(_LETTERS[place] for place in drawn)
