"""A language model whose answers are on the tape."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from enactive.episodes.action_log import canonical, digest
from enactive.models.language_models.language_model import (
    Completion,
    LanguageModel,
    Listener,
    Message,
    ModelError,
    Request,
)
from enactive.runtime.budget import Budget, Spent
from enactive.runtime.tape import NOTHING, Diverged, Tape, difference


class TapedModel:
    """Asks a model and puts its answers on a tape; what the tape holds is not asked again.

    Args:
        model: who answers; None where only recorded answers are to be had.
        tape: of the episode.
        budget: a completion is cut to the tokens that are left.
        spent: of the episode; every answer is added, recorded ones too.
    """

    def __init__(
        self, model: LanguageModel | None, tape: Tape, budget: Budget, spent: Spent
    ) -> None:
        self._model = model
        self._tape = tape
        self._budget = budget
        self._spent = spent
        self._decision = 0
        self._asked = 0
        self._messages: tuple[Message, ...] = ()
        self._settings: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The model's."""
        return "recorded" if self._model is None else self._model.name

    def describe(self) -> Mapping[str, Any]:
        """The model's."""
        return {} if self._model is None else self._model.describe()

    def at(self, decision: int) -> None:
        """What is asked from now on is asked on the way to this decision."""
        self._decision, self._asked = decision, 0

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        """The recorded answer, or the model's.

        Raises:
            Diverged: something else was asked when it was recorded.
            ModelError: the model cannot answer, or the budget is used up.
        """
        path = f"{self._decision}.m{self._asked}"
        self._asked += 1
        asked = digest(canonical(request.to_dict())).hex()
        recorded = self._tape.peek("model", path)
        if recorded is NOTHING:
            completion = self._ask(request, listener)
            entry = {**self._news(request, asked), "completion": completion.to_dict()}
            self._tape.put("model", path, entry, commit=True)
        else:
            news = self._news(request, asked)
            was = {key: value for key, value in recorded.items() if key != "completion"}
            if was != news:
                raise Diverged(difference("model", path, canonical(was), canonical(news)))
            self._tape.take("model", path)
            completion = Completion.from_dict(recorded["completion"])
        self._spent.usage += completion.usage
        return completion

    def _ask(self, request: Request, listener: Listener | None) -> Completion:
        spent = self._spent.over(self._budget)
        if spent:
            raise OutOfBudget(spent)
        if self._model is None:
            raise ModelError("there is no model here, and the answer was not recorded")
        if self._budget.tokens is not None:
            left = self._budget.tokens - self._spent.tokens
            request = dataclasses.replace(request, max_tokens=min(request.max_tokens, left))
        return self._model.complete(request, listener)

    def _news(self, request: Request, asked: str) -> dict[str, Any]:
        """What is in this request that was not in the last: transcripts grow at their end, so the
        log grows with what is new."""
        same = 0
        for old, new in zip(self._messages, request.messages, strict=False):
            if old != new:
                break
            same += 1
        whole = request.to_dict()
        settings = {key: value for key, value in whole.items() if key != "messages"}
        news: dict[str, Any] = {
            "asked": asked, "same": same, "messages": whole["messages"][same:],
        }  # fmt: skip
        changed = {k: v for k, v in settings.items() if self._settings.get(k, NOTHING) != v}
        if changed:
            news["settings"] = changed
        self._messages, self._settings = request.messages, settings
        # What is compared with a recording has been through JSON.
        return _through_json(news)


class OutOfBudget(ModelError):
    """A budget was used up on the way to a decision."""


def _through_json(value: dict[str, Any]) -> dict[str, Any]:
    import json

    return json.loads(canonical(value))
