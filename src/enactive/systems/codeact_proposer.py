"""The scripted proposers of the CodeAct claim: they know how each kind of task is done, not what is
in the world, and make mistakes at a given rate.

Both read the same conversation. One writes the program that does the task; the other writes calls,
as many at once as need no result of one another. A mistake is a misspelt argument in one call, the
kind of error that comes back in words. Whether an action has one is drawn anew for each new stage
of the task and each time that an error is told; a proposer that has learned nothing new says the
same again, as a model at temperature 0 does. A slip is a wrong condition or target, which nothing
reports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enactive.models.language_models.language_model import Message, Request
from enactive.models.language_models.scripted import Scripted
from enactive.seeding import numpy_generator
from enactive.systems.codeact_tasks import KINDS, PLACES, WORDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """How often a proposer errs."""

    mistakes: float
    """Probability that an action has a mistake that is reported."""
    slips: float
    """Probability that an episode's way of doing the task is wrong, which is not."""


_PATTERNS = tuple(
    re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\w+)", re.escape(words))) for words in WORDS
)


def read_task(words: str) -> tuple[str, dict[str, str]]:
    """Kind and fields of a task, read off its wording."""
    for kind, pattern in zip(KINDS, _PATTERNS, strict=True):
        found = pattern.search(words)
        if found:
            return kind, found.groupdict()
    raise ValueError(f"no task reads so: {words!r}")


def programmer(seed: int, rates: Rates) -> Scripted:
    """Writes the whole task as one program, and writes it again if the task has not ended."""

    def answer(request: Request) -> str:
        kind, fields, _, heard = _read(request.messages)
        source = _PROGRAMS[kind].format_map(_slipped(kind, fields, seed, rates))
        if _errs(seed, kind, 0, sum(map(_failed, heard)), rates.mistakes):
            misspelt = {"list_things()": "list_things(all=True)", "thing=": "ting="}
            wrong = next(key for key in ("thing=", "list_things()") if key in source)
            # The last such call of the program: what comes before it has been done by then.
            head, _, tail = source.rpartition(wrong)
            source = head + misspelt[wrong] + tail
        return f"The task in one program.\n```python\n{source}\n```"

    settings = {"seed": seed, "mistakes": rates.mistakes, "slips": rates.slips}
    return Scripted(name="programmer", answer=answer, settings=settings)


def caller(seed: int, rates: Rates, parallel: int) -> Scripted:
    """Writes the calls that can be made now, at most ``parallel`` at once; calls that failed are
    written again where that is told."""

    def answer(request: Request) -> str:
        kind, fields, said, heard = _read(request.messages)
        done = _results(said, heard)
        calls = _next_calls(kind, _slipped(kind, fields, seed, rates), done)[:parallel]
        told = sum(map(_failed, heard))
        if _errs(seed, kind, len(done), told, rates.mistakes):
            # The last call that can be misspelt.
            for call in reversed(calls):
                if "thing" in call["arguments"]:
                    call["arguments"] = {**call["arguments"], "ting": call["arguments"]["thing"]}
                    del call["arguments"]["thing"]
                    break
                if call["tool"] == "list_things":
                    call["arguments"] = {"all": True}
                    break
        action = calls[0] if len(calls) == 1 else {"calls": calls}
        if len(calls) == 1:
            action = {key: calls[0][key] for key in ("tool", "arguments")}
        return f"What can be done now.\n```json\n{json.dumps(action)}\n```"

    settings = {"seed": seed, "mistakes": rates.mistakes, "slips": rates.slips}
    return Scripted(name="caller", answer=answer, settings=settings)


_PROGRAMS: Mapping[str, str] = {
    "atomic": 'move(thing="{thing}", place="{place}")\nanswer("done")',
    "choice": (
        'if look(thing="{seen}")["colour"] == "{colour}":\n    chosen = "{seen}"\n'
        'else:\n    chosen = "{other}"\nmove(thing=chosen, place="{place}")\nanswer("done")'
    ),
    "notes": (
        'at = "{first}"\nnote = look(thing=at)["note"]\nwhile note:\n    at = note\n'
        '    note = look(thing=at)["note"]\nmove(thing=at, place="{place}")\nanswer("done")'
    ),
    "gather": (
        'for one in list_things():\n    if look(thing=one)["colour"] == "{colour}":\n'
        '        move(thing=one, place="{place}")\nanswer("done")'
    ),
    "sum": (
        "total = 0.0\nfor one in list_things():\n    seen = look(thing=one)\n"
        '    if seen["colour"] == "{colour}":\n        total += seen["weight"]\n'
        'answer(f"{{total:.1f}}")'
    ),
}


def _next_calls(
    kind: str, fields: Mapping[str, str], done: Sequence[tuple[str, Any, Any]]
) -> list[dict[str, Any]]:
    """The calls that need nothing but what is known, the answer after all others."""
    listed = next((value for tool, _, value in done if tool == "list_things"), None)
    seen = {given["thing"]: value for tool, given, value in done if tool == "look"}
    moved = {given["thing"] for tool, given, _ in done if tool == "move"}
    looks: list[str] = []
    targets: list[str] = []
    words = "done"
    if kind == "atomic":
        targets = [fields["thing"]]
    elif kind == "choice":
        looks = [fields["seen"]]
        if fields["seen"] in seen:
            right = seen[fields["seen"]]["colour"] == fields["colour"]
            targets = [fields["seen"] if right else fields["other"]]
    elif kind == "notes":
        at = fields["first"]
        while at in seen and seen[at]["note"]:
            at = seen[at]["note"]
        looks = [at]
        targets = [at] if at in seen else []
    else:
        if listed is None:
            return [_call("0", "list_things")]
        looks = list(listed)
        chosen = [one for one in listed if seen.get(one, {}).get("colour") == fields["colour"]]
        if kind == "gather":
            targets = chosen
        else:
            words = f"{sum(seen[one]['weight'] for one in chosen):.1f}"
    unseen = [one for one in looks if one not in seen]
    if unseen:
        return [_call(str(i), "look", thing=one) for i, one in enumerate(unseen)]
    place = fields.get("place", "")
    calls = [
        _call(str(i), "move", thing=one, place=place)
        for i, one in enumerate(target for target in targets if target not in moved)
    ]
    end = {**_call("end", "answer", text=words), "after": [one["id"] for one in calls]}
    return [*calls, end]


def _call(id: str, tool: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id, "tool": tool, "arguments": arguments, "after": []}


def _slipped(kind: str, fields: Mapping[str, str], seed: int, rates: Rates) -> dict[str, str]:
    """The fields as the proposer understood them: the same in all arms of an episode."""
    draw = numpy_generator(seed, "codeact slips", kind)
    if draw.random() >= rates.slips:
        return dict(fields)
    if "place" in fields:
        return {**fields, "place": next(one for one in PLACES if one != fields["place"])}
    return {**fields, "colour": "red" if fields["colour"] != "red" else "blue"}


def _errs(seed: int, kind: str, stage: int, told: int, rate: float) -> bool:
    return bool(numpy_generator(seed, "codeact mistakes", kind, stage, told).random() < rate)


def _read(
    messages: Sequence[Message],
) -> tuple[str, dict[str, str], list[str], list[str]]:
    """Kind and fields of the task, what was said and what was heard since."""
    task = next(one.content for one in messages if one.role == "user")
    kind, fields = read_task(task)
    said = [one.content for one in messages if one.role == "assistant"]
    heard = [one.content for one in messages if one.role == "tool"]
    return kind, fields, said, heard


def _failed(result: str) -> bool:
    return bool(re.search(r"^(?:Error|Refused|Stopped): ", result, re.MULTILINE))


def _results(said: Sequence[str], heard: Sequence[str]) -> list[tuple[str, Any, Any]]:
    """Tool, arguments and value of every call that is known to have been made."""
    found: list[tuple[str, Any, Any]] = []
    for reply, result in zip(said, heard, strict=False):
        if not result.startswith("{"):
            continue  # refused, and nothing was made
        action = json.loads(reply.partition("```json\n")[2].rpartition("\n```")[0])
        calls = action.get("calls", [action])
        told = json.loads(result)
        for call, one in zip(calls, told.get("results", [told]), strict=True):
            if "value" in one:
                found.append((call["tool"], call["arguments"], one["value"]))
    return found
