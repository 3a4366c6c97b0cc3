"""A language model that is a Python function: for protocol claims and tests of planners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from enactive.models.language_models.language_model import Completion, Listener, Request, Usage

CHARACTERS_PER_TOKEN = 4
"""What a scripted model counts as a token; English text has about as many."""


def approximate_tokens(text: str) -> int:
    """Tokens of a text, counted as characters over four, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scripted:
    """Answers with what ``answer`` says.

    It must be a function of the request alone (a draw comes from a generator seeded by it), as any
    model at temperature 0 is. Tokens are counted with :func:`approximate_tokens`, so that arms of a
    claim can be compared by what they read and write.
    """

    name: str
    answer: Callable[[Request], str | Completion]
    """A text, which gets its usage counted here, or a whole completion."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values that decide what it answers: error rates, seeds."""

    def describe(self) -> Mapping[str, Any]:
        """Its name and settings."""
        return {"model": "scripted", "name": self.name, **self.settings}

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        """What the function says; raises what it raises."""
        answer = self.answer(request)
        if isinstance(answer, str):
            answer = Completion(text=answer, usage=counted(request, answer))
        if listener is not None and answer.text:
            listener(answer.text)
        return answer


def counted(request: Request, text: str) -> Usage:
    """The usage of a scripted answer: every message read and the text written."""
    prompt = sum(approximate_tokens(message.content) for message in request.messages)
    return Usage(prompt_tokens=prompt, completion_tokens=approximate_tokens(text))
