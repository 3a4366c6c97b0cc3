"""The chat completions protocol of OpenAI: requests and answers as its JSON, both ways.

Written after the "Create chat completion" reference of OpenAI's API, which vLLM, llama.cpp's server
and most hosts speak. The client (:mod:`.openai_http`) and the server of recorded transcripts
(:mod:`.transcript`) share it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from enactive.actions.json_schema import portable
from enactive.actions.tools import Call, Tool
from enactive.models.language_models.language_model import (
    Completion,
    Finish,
    Message,
    ModelError,
    Request,
    Usage,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """US dollars for a million tokens."""

    prompt: float = 0.0
    cached: float | None = None
    """Of the prompt's tokens that the server's cache served; ``None``: as the others."""
    completion: float = 0.0

    def money(self, prompt: int, cached: int, completion: int) -> float:
        """What so many tokens cost; ``cached`` are among the prompt's."""
        low = self.prompt if self.cached is None else self.cached
        total = (prompt - cached) * self.prompt + cached * low + completion * self.completion
        return total / 1e6


def request_body(
    request: Request,
    model: str,
    *,
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
    strict: bool = False,
) -> dict[str, Any]:
    """The JSON body. Equal requests give equal bytes; what stays the same during an episode comes
    before the messages, and a longer conversation only adds at their end."""
    body: dict[str, Any] = {"model": model}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.schema is not None:
        named = {"name": "reply", "schema": portable(request.schema), "strict": strict}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    body["messages"] = [_message(message) for message in request.messages]
    body[limit_field] = request.max_tokens
    body["temperature"] = request.temperature
    if request.temperature > 0:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": portable(tool.input_schema),
    }
    return {"type": "function", "function": function}


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool" and message.call_id:
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    # A result of no protocol call is what the user says: servers refuse a tool's message alone.
    role = "user" if message.role == "tool" else message.role
    said: dict[str, Any] = {"role": role, "content": message.content}
    if message.calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function",
             "function": {"name": call.tool, "arguments": _text(call.arguments)}}
            for call in message.calls
        ]  # fmt: skip
    return said


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def answer_body(completion: Completion, model: str) -> dict[str, Any]:
    """A whole completion as a server sends it."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.text}
    calls = _message(Message(role="assistant", content="", calls=completion.calls))
    if completion.calls:
        message["tool_calls"] = calls["tool_calls"]
    choice = {"index": 0, "message": message, "finish_reason": _said(completion.finish)}
    return {
        "id": "recorded",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [choice],
        "usage": _usage_body(completion.usage),
    }


def answer_chunks(completion: Completion, model: str, size: int = 8) -> list[dict[str, Any]]:
    """The same in pieces of ``size`` characters, as a server streams it."""
    pieces = [completion.text[i : i + size] for i in range(0, len(completion.text), size)]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces]
    for index, call in enumerate(completion.calls):
        named = {"name": call.tool, "arguments": ""}
        start = {"index": index, "id": call.id, "type": "function", "function": named}
        deltas.append({"tool_calls": [start]})
        text = _text(call.arguments)
        for i in range(0, len(text), size):
            part = {"index": index, "function": {"arguments": text[i : i + size]}}
            deltas.append({"tool_calls": [part]})
    head = {"id": "recorded", "object": "chat.completion.chunk", "created": 0, "model": model}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    end = {"index": 0, "delta": {}, "finish_reason": _said(completion.finish)}
    chunks.append({**head, "choices": [end]})
    chunks.append({**head, "choices": [], "usage": _usage_body(completion.usage)})
    return chunks


def _said(finish: Finish) -> str:
    return "tool_calls" if finish == "calls" else finish


def _usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


class BadAnswer(ModelError):
    """What came is no answer of the protocol, or not all of one."""


def completion_of(body: Any, prices: Prices) -> Completion:
    """The completion in a whole answer.

    Raises:
        BadAnswer: it has another form.
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        listed = message.get("tool_calls") or []
        calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in listed]
        text = message.get("content") or ""
        return _completion(text, calls, choice["finish_reason"], body.get("usage"), prices)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadAnswer(f"the answer is no chat completion: {error!r}") from error


@dataclass(slots=True)
class Streamed:
    """The completion in a stream of chunks, as it grows."""

    prices: Prices
    pieces: list[str] = field(default_factory=list[str])
    calls: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    finish: str = ""
    usage: Mapping[str, Any] | None = None

    def add(self, chunk: Any) -> str:
        """Take one chunk; the text that is new in it.

        Raises:
            BadAnswer: it is none of the protocol's.
        """
        try:
            if "error" in chunk:
                raise BadAnswer(f"the stream broke off: {_text(chunk['error'])[:300]}")
            self.usage = chunk.get("usage") or self.usage
            if not chunk["choices"]:
                return ""
            choice = chunk["choices"][0]
            delta = choice.get("delta") or {}
            self.finish = choice.get("finish_reason") or self.finish
            for part in delta.get("tool_calls") or ():
                call = self.calls.setdefault(part.get("index", 0), ["", "", ""])
                function = part.get("function") or {}
                call[0] = part.get("id") or call[0]
                call[1] = function.get("name") or call[1]
                call[2] += function.get("arguments") or ""
            piece = delta.get("content") or ""
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise BadAnswer(f"a chunk is none of a chat completion: {error!r}") from error
        if piece:
            self.pieces.append(piece)
        return piece

    def completion(self) -> Completion:
        """The whole of it.

        Raises:
            BadAnswer: the stream ended before the completion did.
        """
        if not self.finish:
            raise BadAnswer("the stream ended before the completion did")
        calls = [tuple(self.calls[index]) for index in sorted(self.calls)]
        return _completion("".join(self.pieces), calls, self.finish, self.usage, self.prices)


def _completion(
    text: str,
    listed: Iterable[tuple[str, ...]],
    finish: str,
    usage: Mapping[str, Any] | None,
    prices: Prices,
) -> Completion:
    calls: list[Call] = []
    for id, name, arguments in listed:
        try:
            given = json.loads(arguments or "{}")
        except json.JSONDecodeError:
            given = None
        if isinstance(given, dict):
            calls.append(Call(tool=name, arguments=given, id=id or str(len(calls))))
        else:  # whoever asked reads it and says so; nothing is executed of it
            text += f"\ninvalid call of {name}: {arguments}"
    said = usage or {}
    prompt, written = int(said.get("prompt_tokens", 0)), int(said.get("completion_tokens", 0))
    cached = int((said.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return Completion(
        text=text.strip("\n") if calls else text,
        calls=tuple(calls),
        usage=Usage(
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=written,
            money=prices.money(prompt, cached, written),
        ),
        finish="calls" if calls else "length" if finish == "length" else "stop",
    )
