"""Asking a model until its reply can be executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from enactive.actions.decision import Cost
from enactive.actions.tokens import ActionToken
from enactive.models.language_models.language_model import LanguageModel, Message, Request
from enactive.policies.agents.prompts import cost_of, invalid, read_json, shorten


@dataclass(slots=True)
class Attempts:
    """The replies of one decision: what they cost, and what is wrong with the last one.

    Of those that were refused only the last is shown again: a model repeats what it reads.
    """

    model: LanguageModel
    source: str
    messages: tuple[Message, ...] = ()
    """The last refused reply and what is wrong with it."""
    tokens: list[ActionToken] = field(default_factory=list[ActionToken])
    cost: Cost = field(default_factory=Cost)
    problem: str = ""
    last: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The last reply that was a JSON object."""
    _text: str = ""

    def ask(self, request: Request) -> Mapping[str, Any]:
        """The JSON object of the next reply; empty, with ``problem`` set, where it is none."""
        completion = self.model.complete(request)
        self.cost += cost_of(completion.usage)
        self._text, self.problem = completion.text.strip(), ""
        try:
            value = read_json(completion.text)
        except ValueError as error:
            cut = " (it was cut off: say less)" if completion.finish == "length" else ""
            self.problem = f"{error}{cut}"
            return {}
        if not isinstance(value, Mapping):
            self.problem = "the reply is no JSON object"
            return {}
        self.last = cast("Mapping[str, Any]", value)
        return self.last

    def refused(self, problem: str) -> None:
        """The last reply cannot be executed."""
        self.problem = problem
        said = shorten(self._text, 500)
        self.messages = (
            Message(role="assistant", content=said),
            Message(role="tool", content=invalid(problem)),
        )
        id = f"attempt{len(self.tokens)}"
        self.tokens.append(
            ActionToken(id=id, kind="language", content=said, source=self.source, chosen=False)
        )
