"""The contract of a language model: messages in, one completion out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from enactive.actions.tools import Call, Tool

Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "calls"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str
    calls: tuple[Call, ...] = ()
    """Calls that an assistant's message makes."""
    call_id: str = ""
    """Of a tool's message: the call that it answers."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "role": self.role,
            "content": self.content,
            "calls": [call.to_dict() for call in self.calls],
            "call_id": self.call_id,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Everything that decides a completion."""

    messages: tuple[Message, ...]
    """Oldest first. What stays the same from call to call comes first, so that a server's prompt
    cache can serve it."""
    tools: tuple[Tool, ...] = ()
    """What the model may call by the protocol's own tool calls; empty to keep it to text."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the text must satisfy."""
    max_tokens: int = 256
    temperature: float = 0.0
    """0 takes the likeliest token."""
    seed: int = 0
    """Of the sampling, where the temperature is above 0."""
    stop: tuple[str, ...] = ()
    """Texts that end the completion; they are not part of it."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "messages": [message.to_dict() for message in self.messages],
            "tools": [tool.to_dict() for tool in self.tools],
            "schema": None if self.schema is None else dict(self.schema),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stop": list(self.stop),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens and money that a completion took."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's, those that a prompt cache served."""
    completion_tokens: int = 0
    money: float = 0.0
    """US dollars, at the prices that the client was told."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            money=self.money + other.money,
        )

    def to_dict(self) -> dict[str, float]:
        """The fields."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "money": self.money,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a model answered."""

    text: str
    calls: tuple[Call, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish: Finish = "stop"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "text": self.text,
            "calls": [call.to_dict() for call in self.calls],
            "usage": self.usage.to_dict(),
            "finish": self.finish,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Completion:
        """The completion that :meth:`to_dict` described."""
        calls = tuple(Call(**{**call, "after": tuple(call["after"])}) for call in data["calls"])
        return cls(
            text=data["text"], calls=calls, usage=Usage(**data["usage"]), finish=data["finish"]
        )


Listener = Callable[[str], None]
"""Told of each piece of text as it comes."""


class ModelError(RuntimeError):
    """The model could not answer; the message says why and what to do."""


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that completes conversations. Calls may come from several threads."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """JSON values that decide what it answers: weights' hash or endpoint, settings. No keys."""
        ...

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        """Answer.

        Raises:
            ModelError: there is no answer, after what retries the client makes.
        """
        ...
