"""The timeline of an agent's episode: what its log says, put together for reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from enactive.episodes.action_log import Entry
from enactive.runtime.records import text_from


@dataclass(kw_only=True, slots=True)
class TracedCall:
    """One call of a tool."""

    path: str
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    verdict: str = ""
    """What a check said, and why; empty if none was asked."""
    begun: float = 0.0
    """s since the episode began."""
    ended: float | None = None
    """Likewise; None for a call whose result is not in the log."""
    value: Any = None
    failure: str = ""
    """Kind and message."""


@dataclass(kw_only=True, slots=True)
class TracedAnswer:
    """One answer of a language model."""

    path: str
    text: str
    tokens: int
    """Generated."""
    prompt_tokens: int
    messages: int
    """New in its request."""
    ended: float


@dataclass(kw_only=True, slots=True)
class TracedDecision:
    """One decision with all that came of it."""

    number: int
    action: Any = None
    thoughts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Kind and content of the chain's other tokens."""
    begun: float = 0.0
    decided: float = 0.0
    ended: float | None = None
    answers: list[TracedAnswer] = field(default_factory=list[TracedAnswer])
    calls: list[TracedCall] = field(default_factory=list[TracedCall])
    seen: str = ""
    """What was seen after it, in words, where it does not follow from the calls' results."""
    refused: str = ""
    """Why it was no action of the world."""
    reward: float = 0.0
    success: bool = False
    events: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class Timeline:
    """An episode from its beginning to its end."""

    instruction: str = ""
    seen: str = ""
    """What was first seen, in words."""
    decisions: list[TracedDecision] = field(default_factory=list[TracedDecision])
    reason: str = ""
    """Why it ended; empty if it did not."""
    seconds: float = 0.0


def timeline(entries: Iterable[Entry]) -> Timeline:
    """Put the entries of an episode together. One that was cut off ends where it was."""
    made = Timeline()
    start = last = None
    decisions: dict[int, TracedDecision] = {}
    calls: dict[str, TracedCall] = {}
    text = ""
    for entry in entries:
        start = entry.at if start is None else start
        at = entry.at - start
        value, number = entry.value, int(entry.path.partition(".")[0])
        if entry.kind == "reset":
            made.instruction = value.get("instruction", "")
            made.seen = text = text_from("", value.get("text", ""))
            last = at
            continue
        if entry.kind == "stop":
            made.reason, made.seconds = value["reason"], at
            continue
        decision = decisions.get(number)
        if decision is None:
            decision = decisions[number] = TracedDecision(number=number, begun=last or 0.0)
            made.decisions.append(decision)
        _add(decision, calls, entry, value, at)
        if entry.kind == "step" and "text" in value:
            decision.seen = text_from(text, value["text"])
            text = decision.seen or text
        made.seconds = last = at
    return made


def _add(
    decision: TracedDecision, calls: dict[str, TracedCall], entry: Entry, value: Any, at: float
) -> None:
    if entry.kind == "model":
        completion, usage = value["completion"], value["completion"]["usage"]
        decision.answers.append(
            TracedAnswer(
                path=entry.path,
                text=completion["text"] or str(completion["calls"]),
                tokens=usage["completion_tokens"],
                prompt_tokens=usage["prompt_tokens"],
                messages=len(value["messages"]),
                ended=at,
            )
        )
    elif entry.kind == "decision":
        decision.action, decision.decided = value["action"], at
        decision.thoughts = [
            (token["kind"], str(token["content"].get("json", token["content"])))
            for token in value.get("chain", ())
            if token["content"] != {"action": True}
        ]
        for path, tool, arguments in stated_calls(decision.number, value["action"]):
            calls[path] = TracedCall(path=path, tool=tool, arguments=arguments, begun=at)
    elif entry.kind == "step":
        decision.ended = at
        decision.refused = value.get("refused", "")
        decision.reward = value.get("reward", 0.0)
        decision.success = value.get("success", False)
        decision.events = tuple(value.get("events", ()))
    else:
        call = calls.setdefault(entry.path, TracedCall(path=entry.path, begun=at))
        if call not in decision.calls:
            decision.calls.append(call)
        if entry.kind == "verdict":
            reason = f": {value['reason']}" if value.get("reason") else ""
            call.verdict = f"{value['by'] or 'nobody'} says {value['say']}{reason}"
            call.arguments = value.get("arguments", call.arguments)
        elif entry.kind == "intent":
            call.begun = at
            call.tool = value.get("tool", call.tool)
            call.arguments = value.get("arguments", call.arguments)
        else:
            call.ended = at
            if "failure" in value:
                call.failure = f"{value['failure']['kind']}: {value['failure']['message']}"
            else:
                call.value = value["value"]


def stated_calls(number: int, action: Any) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Path, tool and arguments of the calls that an action itself says."""
    while isinstance(action, Mapping) and set(cast("Mapping[str, Any]", action)) == _MEMBER:
        action = action["action"]
    if not isinstance(action, Mapping):
        return []
    act = cast("Mapping[str, Any]", action)
    listed = act.get("calls", [act])
    return [
        (f"{number}.0.{one.get('id', i)}", str(one.get("tool")), one.get("arguments", {}))
        for i, one in enumerate(listed)
        if isinstance(one, Mapping) and "tool" in one
    ]


_MEMBER = {"space", "action"}
