"""What planners that call tools share: the tools in a space, and calls that a schema allows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from enactive.actions.digital import CodeSpace, UnionSpace
from enactive.actions.spaces import ActionSpace
from enactive.actions.tools import Tool, ToolSpace
from enactive.policies.agents.retrieval import STOP_WORDS


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolPart:
    """The tool calls among the actions of a space."""

    space: ToolSpace
    member: str = ""
    """Name of the union's member that it is; empty where the space itself is one of calls."""

    @classmethod
    def of(cls, accepts: ActionSpace) -> ToolPart:
        """The calls in a space, or in the first member of a union that has any.

        Raises:
            ValueError: there are none.
        """
        if isinstance(accepts, ToolSpace):
            return cls(space=accepts)
        if isinstance(accepts, UnionSpace):
            for name, member in accepts.spaces.items():
                if isinstance(member, ToolSpace):
                    return cls(space=member, member=name)
        raise ValueError(f"accepts: a planner of calls needs a ToolSpace or a union with one, not "
                         f"{type(accepts).__name__}")  # fmt: skip

    def action(self, calls: Any) -> Any:
        """A tool action as an action of the whole space."""
        return {"space": self.member, "action": calls} if self.member else calls


def tools_of(accepts: ActionSpace) -> tuple[Tool, ...]:
    """Every tool that actions of a space can call, each once."""
    if isinstance(accepts, ToolSpace | CodeSpace):
        return accepts.tools
    if isinstance(accepts, UnionSpace):
        found = [tool for member in accepts.spaces.values() for tool in tools_of(member)]
        return tuple({tool.name: tool for tool in reversed(found)}.values())[::-1]
    return ()


# ---------------------------------------------------------------------- arguments that are copied

MOST_SPANS = 400
LONGEST_COPIED = 200
"""Characters; arguments that may be longer are texts of their own and are not restricted."""

_QUOTED = re.compile(r"'([^']{1,120})'|\"([^\"]{1,120})\"|`([^`]{1,120})`")
_NAMES = re.compile(r"[A-Z][\w-]*(?: [A-Z][\w-]*)*")
_TOKEN = re.compile(r"[^\s,;:!?()'\"]+")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w])")


def spans(texts: Sequence[str]) -> list[str]:
    """What could be copied out of texts, newest text first: strings in JSON, quoted passages,
    names, words, numbers and paths, and file names put into folders that are named.

    Args:
        texts: the task and what was seen since, oldest first.
    """
    found: dict[str, None] = {}
    for text in reversed(texts):
        found.update(dict.fromkeys(_spans(text)))
    for word in STOP_WORDS:
        found.pop(word, None)
    words = [one for one in found if re.fullmatch(r"[a-z][\w-]*", one)]
    files = [one for one in found if re.fullmatch(r"[\w./-]*\w\.[a-z]{1,4}", one)]
    for path in files[:8]:
        for folder in words[:40]:
            found[f"{folder}/{path.rpartition('/')[2]}"] = None
    return [one for one in found if one][:MOST_SPANS]


def _spans(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    leaves = [text] if isinstance(value, str) else _leaves(value)
    found = [] if isinstance(value, str) else [leaf for leaf in leaves if len(leaf) <= 120]
    for leaf in leaves:
        found += ["".join(groups) for groups in _QUOTED.findall(leaf)]
        found += _NAMES.findall(leaf)
        tokens = [token.rstrip(".") for token in _TOKEN.findall(leaf)]
        found += tokens
        found += _NUMBER.findall(leaf)
    return found


def _leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return [leaf for one in mapping.values() for leaf in _leaves(one)]
    if isinstance(value, list):
        return [leaf for one in cast("list[Any]", value) for leaf in _leaves(one)]
    if isinstance(value, str):
        return [value]
    return [json.dumps(value)] if isinstance(value, int | float) and value is not True else []


def copied(tools: Sequence[Tool], texts: Sequence[str]) -> tuple[Tool, ...]:
    """``tools`` with short text and number arguments restricted to what ``texts`` say.

    A small model that copies makes slips (a digit, a letter of a path); where it can only choose
    among what is there it cannot. Arguments that declare choices, may be longer than
    :data:`LONGEST_COPIED`, or fit nothing that was said stay as they are.
    """
    there = spans(texts)
    return tuple(replace(tool, input_schema=_restricted(tool, there)) for tool in tools)


def copied_answer(tool: Tool, results: Sequence[str]) -> Tool:
    """The tool that ends an episode, its first text restricted to what ``results`` say, or to a
    word that its description has in quotes (``'done'``)."""
    properties = dict(cast("Mapping[str, Mapping[str, Any]]", tool.input_schema["properties"]))
    for name, schema in properties.items():
        if schema.get("type") == "string" and "enum" not in schema:
            quoted = ["".join(one) for one in _QUOTED.findall(schema.get("description", ""))]
            choices = [*dict.fromkeys([*spans(results), *quoted])]
            if choices:
                properties[name] = {"type": "string", "enum": choices}
            break
    return replace(tool, input_schema={**tool.input_schema, "properties": properties})


def _restricted(tool: Tool, there: Sequence[str]) -> dict[str, Any]:
    properties = cast("Mapping[str, Mapping[str, Any]]", tool.input_schema.get("properties", {}))
    narrowed = {name: _narrowed(schema, there) for name, schema in properties.items()}
    return {**tool.input_schema, "properties": narrowed}


def _narrowed(schema: Mapping[str, Any], there: Sequence[str]) -> dict[str, Any]:
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        return dict(schema)
    choices: list[Any] = []
    if kind == "string" and schema.get("maxLength", LONGEST_COPIED + 1) <= LONGEST_COPIED:
        pattern = re.compile(schema.get("pattern", ""))
        least, most = schema.get("minLength", 0), schema["maxLength"]
        choices = [one for one in there if least <= len(one) <= most and pattern.search(one)]
        if choices:
            choices += [*schema.get("examples", ()), *_default(schema)]
    elif kind in ("number", "integer"):
        said = [float(one) for one in there if _NUMBER.fullmatch(one)]
        low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
        said = [one for one in said if low <= one <= high]
        if kind == "integer":
            said = [int(one) for one in said if one == int(one)]
        choices = [*said, *(_default(schema) if said else ())]
    choices = [*dict.fromkeys(choices)]
    if not choices:
        return dict(schema)
    return {"type": kind, "enum": choices} | (
        {"description": schema["description"]} if "description" in schema else {}
    )


def _default(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    return (schema["default"],) if "default" in schema else ()
