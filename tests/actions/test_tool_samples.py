"""Random calls satisfy their tools' schemas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.tools import Tool, ToolSpace
from enactive.seeding import numpy_generator

KINDS: tuple[dict[str, Any], ...] = (
    {"type": "integer", "minimum": 3, "maximum": 5},
    {"type": "number", "minimum": -1.0, "maximum": 1.0},
    {"type": "boolean"},
    {"type": "null"},
    {"type": "string", "minLength": 2, "maxLength": 4},
    {"enum": ["a", 1, None]},
    {"const": 7},
    {"type": "string", "pattern": "^[a-z]+/x$", "examples": ["b/x"]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    {"type": "object", "properties": {"p": {"type": "boolean"}}, "required": ["p"]},
    {"anyOf": [{"type": "boolean"}, {"type": "integer"}]},
    {"type": ["string", "null"], "maxLength": 3},
)


@given(st.lists(st.sampled_from(KINDS), max_size=4), st.integers(0, 2**40), st.booleans())
def test_every_draw_is_in_the_space(kinds: list[Any], seed: int, all_needed: bool) -> None:
    properties = {f"x{place}": kind for place, kind in enumerate(kinds)}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if all_needed else [],
        "additionalProperties": False,
    }
    space = ToolSpace(tools=(Tool(name="t", description="", input_schema=schema),))
    drawn = space.sample(numpy_generator(seed, "test"))
    assert space.contains(drawn), space.problem(drawn)
    assert drawn == space.sample(numpy_generator(seed, "test"))


def test_a_schema_that_cannot_be_guessed_is_named() -> None:
    schema = {"properties": {"x": {"type": "string", "pattern": "^[0-9]{30}$"}}, "required": ["x"]}
    space = ToolSpace(tools=(Tool(name="secret", description="", input_schema=schema),))
    with pytest.raises(ValueError, match=r"'secret'.*examples"):
        space.sample(numpy_generator(0, "test"))
