"""What planners say to models and read from them: tools, examples, transcripts, JSON.

Everything here is text in and text out, and depends on nothing but its arguments, so that an
episode that is replayed asks the same questions to the byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from enactive.actions.decision import Cost
from enactive.actions.tools import Tool
from enactive.models.language_models.language_model import Message, Usage

ANSWERS = ("answer", "finish", "submit", "done")
"""What worlds call the tool that ends an episode; the first that exists is taken."""


# ------------------------------------------------------------------------------------- tools


def compact(value: Any) -> str:
    """A JSON value on one line, as constrained models write it."""
    return json.dumps(value, ensure_ascii=False)


def signature(tool: Tool) -> str:
    """A tool on one line: ``read_file(path: string) - The text of a file.``"""
    properties = cast("Mapping[str, Mapping[str, Any]]", tool.input_schema.get("properties", {}))
    required = tool.input_schema.get("required", [])
    listed = [f"{n}{'' if n in required else '?'}: {_kind(s)}" for n, s in properties.items()]
    return f"{tool.name}({', '.join(listed)}) - {_line(tool.description)}"


def describe_tools(tools: Sequence[Tool]) -> str:
    """One line a tool."""
    return "\n".join(signature(tool) for tool in tools)


def example_arguments(tool: Tool) -> dict[str, Any]:
    """Arguments that the tool's schema allows: of each required one, its first example, default or
    choice, or a plain value of its type."""
    properties = cast("Mapping[str, Mapping[str, Any]]", tool.input_schema.get("properties", {}))
    required = tool.input_schema.get("required", [])
    return {n: example_value(s, n) for n, s in properties.items() if n in required}


def example_value(schema: Mapping[str, Any], name: str = "value") -> Any:
    """A value of a schema without references; ``name`` becomes words where a text is wanted."""
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return example_value(schema[key][0], name)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        inner = cast("Mapping[str, Mapping[str, Any]]", schema.get("properties", {}))
        return {n: example_value(s, n) for n, s in inner.items() if n in schema.get("required", [])}
    if kind == "array":
        least = max(1, schema.get("minItems", 0))
        return [example_value(schema.get("items", {}), name) for _ in range(least)]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 1 if "maximum" in schema else 2))
        return low if kind == "integer" else float(low)
    if kind == "boolean":
        return True
    return None if kind == "null" else name.replace("_", " ")[: schema.get("maxLength", 40)]


def tool_examples(tools: Sequence[Tool]) -> list[tuple[str, Mapping[str, Any]]]:
    """For each tool a request in words, made from its description and example arguments, and the
    call that does it. One such example a tool is what a 135 M model chooses tools best with."""
    examples: list[tuple[str, Mapping[str, Any]]] = []
    for tool in tools:
        arguments = example_arguments(tool)
        said = ", ".join(f"{n} {v if isinstance(v, str) else compact(v)}"
                         for n, v in arguments.items())  # fmt: skip
        words = _line(tool.description) + (f" ({said})" if said else "")
        examples.append((words, {"tool": tool.name, "arguments": arguments}))
    return examples


def answer_tool(tools: Sequence[Tool], name: str = "") -> Tool | None:
    """The tool that ends an episode: the one called ``name``, or the first of :data:`ANSWERS`.

    Raises:
        ValueError: ``name`` is given and no tool has it.
    """
    known = {tool.name: tool for tool in tools}
    if name:
        if name not in known:
            raise ValueError(f"answer_tool: no tool is called {name!r}; there are {sorted(known)}")
        return known[name]
    return next((known[one] for one in ANSWERS if one in known), None)


def answer_call(tool: Tool, text: str) -> dict[str, Any]:
    """The call of an answer tool that gives ``text``: in its first text argument, cut to size."""
    arguments = example_arguments(tool)
    properties = cast("Mapping[str, Mapping[str, Any]]", tool.input_schema.get("properties", {}))
    for name, schema in properties.items():
        if schema.get("type") == "string" and "enum" not in schema:
            arguments[name] = text[: schema.get("maxLength", 1000)]
            break
    return {"tool": tool.name, "arguments": arguments}


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(compact(one) for one in schema["enum"])
    if "const" in schema:
        return compact(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(_kind(one) for one in schema[key])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _line(text: str) -> str:
    return " ".join(text.split())


# ------------------------------------------------------------------------------- transcripts


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One exchange: what the policy did, as the model wrote it, and what came of it."""

    said: str
    """JSON or a program."""
    result: str = ""
    """What the world said; empty until it has."""


def shorten(text: str, limit: int) -> str:
    """``text``, with the middle of a longer one than ``limit`` characters replaced by a mark that
    says how much is gone."""
    if len(text) <= limit:
        return text
    mark = f" [... {len(text)} characters, the middle left out ...] "
    kept = max(limit - len(mark), 0)
    return text[: (kept + 1) // 2] + mark + text[len(text) - kept // 2 :]


def plain_result(text: str) -> str:
    """What a world with tools says of calls, with the JSON around it taken off: the value alone, a
    text without quotes, ``failed: ...`` for a failure, one line a call. Other texts stay."""
    try:
        said = json.loads(text)
    except ValueError:
        return text
    results = said["results"] if isinstance(said, dict) and [*said] == ["results"] else [said]
    lines = [_plain_result(one) for one in results] if isinstance(results, list) else [None]
    return text if None in lines else "\n".join(cast("list[str]", lines))


def _plain_result(result: Any) -> str | None:
    if not isinstance(result, dict) or len(result) != 1:
        return None
    if "value" in result:
        value = result["value"]
        return value if isinstance(value, str) else compact(value)
    failure = result.get("failure")
    if isinstance(failure, dict) and "message" in failure:
        return f"failed: {failure['message']}"
    return None


ELIDED = "[result left out to save space]"


def fit(turns: Sequence[Turn], limit: int) -> tuple[Turn, ...]:
    """``turns`` within ``limit`` characters: oldest results are left out first, then what was said
    is replaced by the number of turns that are gone.

    Once over the limit it goes down to three quarters, so that the beginning of a transcript stays
    as it is for several turns and a prompt cache can serve it. The last turn is always kept, its
    result shortened if it must be.
    """
    kept = list(turns)
    if _size(kept) <= limit or not kept:
        return tuple(kept)
    aim = limit * 3 // 4
    for i in range(len(kept) - 1):
        if _size(kept) <= aim:
            return tuple(kept)
        if len(kept[i].result) > len(ELIDED):
            kept[i] = replace(kept[i], result=ELIDED)
    gone = 0
    while len(kept) > 1 and _size(kept) > aim:
        first = kept.pop(0)
        found = _GONE.fullmatch(first.said)
        gone += int(found.group(1)) if found else 1
    if _size(kept) > aim:
        last = kept[-1]
        said = shorten(last.said, aim // 2)
        kept[-1] = Turn(said=said, result=shorten(last.result, aim - len(said)))
    if gone:
        kept.insert(0, Turn(said=f"[{gone} earlier steps left out]"))
    return tuple(kept)


_GONE = re.compile(r"\[(\d+) earlier steps left out\]")


def _size(turns: Sequence[Turn]) -> int:
    return sum(len(turn.said) + len(turn.result) for turn in turns)


def conversation(
    system: str, examples: Sequence[tuple[str, Sequence[Turn]]], task: str, turns: Sequence[Turn]
) -> tuple[Message, ...]:
    """A conversation that ends where the assistant speaks next.

    What never changes comes first and every turn is added at the end, so that each request begins
    with the one before it.

    Args:
        system: what holds throughout.
        examples: solved tasks; a task and its turns each.
        task: what is to be done now.
        turns: what was done for it.
    """
    messages = [Message(role="system", content=system)]
    for words, solved in [*examples, (task, turns)]:
        messages.append(Message(role="user", content=words))
        for turn in solved:
            left_out = _GONE.fullmatch(turn.said)
            role = "tool" if left_out else "assistant"
            messages.append(Message(role=role, content=turn.said))
            if turn.result:
                messages.append(Message(role="tool", content=turn.result))
    return tuple(messages)


# --------------------------------------------------------------------------- reading replies


def read_json(text: str) -> Any:
    """The JSON value that a reply holds, bare, fenced, or after words.

    Raises:
        ValueError: there is none; the message is for the model to read.
    """
    text = text.strip()
    decoder = json.JSONDecoder()
    problem = "it is empty"
    starts = [0, *(found.start() for found in re.finditer(r"[{\[]", text))] if text else []
    for start in starts[:200]:
        try:
            value, _ = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            problem = f"{error.msg} at character {error.pos}"
        except RecursionError:
            problem = "it is nested too deeply"
        else:
            if start == 0 or isinstance(value, dict | list):
                return value
    raise ValueError(f"the reply is no JSON: {problem}")


def read_code(text: str) -> str:
    """The program in a reply: what stands between the first fence and the one that closes it, or
    to the end where none does; without a fence, all of it.

    Fences count only at the beginning of a line, so that back-quotes within a program do not end
    it.
    """
    lines = text.strip("\n").split("\n")
    fences = [i for i, line in enumerate(lines) if line.lstrip().startswith("```")]
    if not fences:
        return text.strip()
    first = fences[0]
    closing = next((i for i in fences[1:] if lines[i].strip() == "```"), len(lines))
    return "\n".join(lines[first + 1 : closing]).strip("\n")


def invalid(problem: str) -> str:
    """What a model is told of a reply that could not be executed."""
    return f"Not executed: {problem}. Reply again, in the form asked for."


def cost_of(usage: Usage) -> Cost:
    """A completion's usage as a decision's cost."""
    return Cost(
        tokens=usage.completion_tokens, prompt_tokens=usage.prompt_tokens, money=usage.money
    )
