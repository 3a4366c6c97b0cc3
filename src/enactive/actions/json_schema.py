"""JSON Schemas that other programs accept: no references, an object at the root, bounded texts.

Clients and grammar compilers read a part of JSON Schema, and not the same part: some drop ``$ref``,
some refuse a union at the root and with it the whole session, some compile ``maxLength: n`` to n
repetitions and refuse 2,000 of them. :func:`inlined` is what a
:class:`~enactive.actions.tools.Tool` holds; :func:`portable` is what is shown to a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

CHARACTERS = 1999
"""Most characters of a text in a portable schema: llama.cpp refuses grammars with 2,000
repetitions."""
ENTRIES = 500
"""Longest list whose length a portable schema speaks of: an entry and its comma are repeated
together, so that grammars end sooner. A list with no bound is no repetition."""
_DEEPEST = 64
_MOST = 20_000  # schemas within one schema: references to references double at every level

_ONE = ("additionalProperties", "contains", "else", "if", "not", "propertyNames", "then",
        "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("dependentSchemas", "patternProperties", "properties")
_NOTES = {"default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"}
_DROPPED = {"$comment", "$defs", "$id", "$schema", "definitions", "discriminator", "examples"}

Schema = dict[str, Any]


def inlined(schema: Mapping[str, Any]) -> Schema:
    """``schema`` as one object without references, titles and unions at its root.

    A union of objects at the root becomes one object with the properties of all of them, of which
    those are required that all require: it allows more than the union did. An object that lists
    properties and does not say what else it may have may have nothing else.

    Raises:
        ValueError: a type contains itself, a reference leads elsewhere, or the root is no object;
            the message names the place.
    """
    return _root(_Inliner(schema).at(schema, "#", ()))


def inlined_value(schema: Mapping[str, Any]) -> Schema:
    """The same for a result, whose root may be anything."""
    return _Inliner(schema).at(schema, "#", ())


def portable(schema: Mapping[str, Any]) -> Schema:
    """:func:`inlined`, in the part of JSON Schema that grammar compilers and providers share.

    Texts have at most 1,999 characters; bounds of lists beyond 500 are left out; ``const`` is an
    ``enum`` of one, ``oneOf`` an ``anyOf``, a tuple a list of any of its types. It is for what a
    model writes; what a tool is given is checked against the tool's own schema.
    ``portable(portable(s))`` is ``portable(s)``.

    Raises:
        ValueError: as :func:`inlined`.
    """
    return cast("Schema", _walk(inlined(schema), _shared))


class _Inliner:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._made = 0

    def at(self, schema: Any, where: str, inside: tuple[str, ...], depth: int = 0) -> Schema:
        """The schema at ``where`` without references; ``inside`` are those being followed."""
        self._made += 1
        if depth > _DEEPEST or self._made > _MOST:
            raise ValueError(
                f"{where}: more than {_DEEPEST} levels or {_MOST} schemas once its references are "
                "written out; give a flatter type"
            )
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        if not isinstance(schema, Mapping):
            raise ValueError(f"{where} is a {type(schema).__name__}; a schema is an object")
        given = cast("Mapping[str, Any]", schema)
        if "$ref" in given:
            return self._followed(given, where, inside, depth)
        if "$dynamicRef" in given or "$recursiveRef" in given:
            raise ValueError(f"{where}: dynamic references cannot be written out; use '$ref'")

        def child(value: Any, name: str) -> Schema:
            return self.at(value, f"{where}/{name}", inside, depth + 1)

        result = {k: v for k, v in given.items() if k not in _DROPPED and not _is_title(k, v)}
        _each(result, child)
        if "properties" in result:
            result.setdefault("type", "object")
            result.setdefault("additionalProperties", False)
        return result

    def _followed(
        self, schema: Mapping[str, Any], where: str, inside: tuple[str, ...], depth: int
    ) -> Schema:
        reference = str(schema["$ref"])
        if reference in inside or reference == "#":
            raise ValueError(
                f"{where}: {reference!r} contains itself, and a schema without references cannot "
                "say so; write its levels out, or take it as JSON text"
            )
        target = self.at(self._target(reference, where), reference, (*inside, reference), depth)
        beside = {k: v for k, v in schema.items() if k not in ("$ref", *_DROPPED)}
        beside.pop("title", None)
        if set(beside) <= _NOTES:
            return {**target, **beside}
        return {"allOf": [target, self.at(beside, where, inside, depth + 1)]}

    def _target(self, reference: str, where: str) -> Any:
        if not reference.startswith("#/"):
            raise ValueError(
                f"{where}: {reference!r} leads out of the schema; put the type into it"
            )
        value: Any = self._root
        for part in reference[2:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = cast("list[Any]", value)[int(key)]
            elif isinstance(value, Mapping) and key in value:
                value = cast("Mapping[str, Any]", value)[key]
            else:
                raise ValueError(f"{where}: there is nothing at {reference!r}")
        return value


def _is_title(key: str, value: Any) -> bool:
    return key == "title" and isinstance(value, str)


def _each(schema: Schema, child: Callable[[Any, str], Any]) -> None:
    """Replace every schema directly inside ``schema`` by what ``child`` makes of it."""
    for key in _ONE:
        if key in schema and not isinstance(schema[key], bool):
            schema[key] = child(schema[key], key)
    for key in ("items", *_LISTS):
        if isinstance(schema.get(key), list):
            listed = cast("list[Any]", schema[key])
            schema[key] = [child(one, f"{key}/{i}") for i, one in enumerate(listed)]
    if isinstance(schema.get("items"), Mapping):
        schema["items"] = child(schema["items"], "items")
    elif isinstance(schema.get("items"), bool):
        schema["items"] = {} if schema["items"] else {"not": {}}
    for key in _MAPS:
        if isinstance(schema.get(key), Mapping):
            named = cast("Mapping[str, Any]", schema[key])
            schema[key] = {name: child(one, f"{key}/{name}") for name, one in named.items()}


def _walk(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    result = dict(cast("Mapping[str, Any]", schema))
    _each(result, lambda one, _: _walk(one, change))
    return change(result)


# ------------------------------------------------------------------------------------ the root


def _root(schema: Schema) -> Schema:
    parts = [*cast("list[Schema]", schema.pop("allOf", []))]
    unions = [cast("list[Schema]", schema.pop(key)) for key in ("anyOf", "oneOf") if key in schema]
    for key in ("if", "then", "else", "not"):
        schema.pop(key, None)  # a root that depends on values is left to the tool's own check
    parts += [_union([_root(dict(one)) for one in union]) for union in unions]
    whole = dict(schema)
    for one in parts:
        whole = _both(whole, _root(dict(one)))
    kind = whole.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise ValueError(f"#: the arguments have type {kind!r}; they must be an object")
    whole["type"] = "object"
    whole.setdefault("properties", {})
    whole.setdefault("additionalProperties", False)
    return whole


def _union(branches: Sequence[Schema]) -> Schema:
    properties: dict[str, list[Schema]] = {}
    for branch in branches:
        for name, one in branch["properties"].items():
            found = properties.setdefault(name, [])
            if one not in found:
                found.append(one)
    open_ = any(branch["additionalProperties"] is not False for branch in branches)
    merged = {k: one[0] if len(one) == 1 else {"anyOf": one} for k, one in properties.items()}
    common = [set(branch.get("required", ())) for branch in branches]
    required = set[str]().union(*common).intersection(*common)
    result: Schema = {"type": "object", "properties": merged, "additionalProperties": open_}
    if required:
        result["required"] = [name for name in merged if name in required]
    return result


def _both(one: Schema, other: Schema) -> Schema:
    properties = dict(cast("Schema", one.get("properties", {})))
    for name, schema in other["properties"].items():
        mine = properties.get(name, schema)
        properties[name] = schema if mine == schema else {"allOf": [mine, schema]}
    required = dict.fromkeys([*one.get("required", ()), *other.get("required", ())])
    merged = {**other, **one, "properties": properties}
    if required:
        merged["required"] = list(required)
    return merged


# ----------------------------------------------------------------------------- the shared part


def _shared(schema: Schema) -> Schema:
    result = dict(schema)
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if "oneOf" in result:
        either = result.pop("oneOf")
        if "anyOf" in result:
            result["allOf"] = [*result.get("allOf", []), {"anyOf": either}]
        else:
            result["anyOf"] = either
    if "prefixItems" in result:
        fixed = cast("list[Any]", result.pop("prefixItems"))
        rest = result.get("items")
        closed = result.get("maxItems", len(fixed) + 1) <= len(fixed) or rest == {"not": {}}
        kinds = [one for i, one in enumerate(fixed) if one not in fixed[:i]]
        if not closed:
            result.pop("items", None)
        else:
            result["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    kinds = result.get("type")
    named = cast("list[str]", kinds) if isinstance(kinds, list) else [kinds]
    if "enum" not in result and "string" in named:
        result["maxLength"] = min(result.get("maxLength", CHARACTERS), CHARACTERS)
        if "minLength" in result:
            result["minLength"] = min(result["minLength"], CHARACTERS)
    if result.get("maxItems", 0) > ENTRIES:
        del result["maxItems"]
    if result.get("minItems", 0) > ENTRIES:
        result["minItems"] = ENTRIES
    return result
