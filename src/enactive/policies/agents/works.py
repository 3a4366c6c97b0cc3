"""Works of roles: documents in, a document out; written by a model, validated, executed.

What a model writes is validated against the schema of its kind, and what is wrong is told to it,
field by field. Where a check can execute something, what the check says is fed back (MetaGPT, arXiv
2308.00352, §3.3). Everything has a budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from enactive.actions.tools import Failure
from enactive.models.language_models.language_model import LanguageModel, Request
from enactive.models.language_models.language_model import Message as Said
from enactive.policies.agents.documents import (
    Bus,
    Document,
    Kind,
    kind_of,
    read_document,
    schema_of,
)
from enactive.policies.agents.flow import Flow, ask, do, fail, get, modify
from enactive.policies.agents.merges import append, by_field, by_key, total
from enactive.policies.agents.record import Record

Inputs = Mapping[str, Document]
"""Kind's name -> the latest document of it that the role has read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeamState:
    """Where a team is; the state of its flow."""

    bus: Bus
    works: int = 0
    """Works done."""
    asked: int = 0
    """Completions."""
    most: int | None = None
    """Completions that there may be. Roles that react in one round count apart until it ends."""
    read: Record = field(default_factory=Record)
    """Role -> messages that it has read."""


MERGE = by_field(
    bus=by_field(boxes=by_key(), published=append), works=total, asked=total, read=by_key()
)
"""Roles that react in one round write their own boxes, and publish in the order of the team."""


class Work(Protocol):
    """Something that a role can do: documents in, a document out."""

    @property
    def name(self) -> str: ...
    @property
    def consumes(self) -> tuple[Kind, ...]: ...
    @property
    def on(self) -> tuple[Kind, ...]:
        """Of what it consumes, the kinds whose arrival makes it due; empty for all."""
        ...

    @property
    def produces(self) -> tuple[Kind, ...]:
        """Kinds, one of which it gives."""
        ...

    def do(self, inputs: Inputs, goal: str, feedback: str) -> Flow[TeamState, Document]:
        """Do it.

        Args:
            inputs: what it consumes.
            goal: what a plan wants of it; often empty.
            feedback: what was wrong with what it gave before; empty at first.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """A document written by a language model, and validated against its schema.

    What does not validate is told to the model, field by field, and written again.
    """

    model: LanguageModel
    name: str
    instruction: str
    consumes: tuple[Kind, ...]
    kind: Kind
    on: tuple[Kind, ...] = ()
    attempts: int = 3
    """Completions, at most, for one document."""
    max_tokens: int = 512
    seed: int = 0
    """Of the sampling."""

    @property
    def produces(self) -> tuple[Kind, ...]:
        return (self.kind,)

    def do(self, inputs: Inputs, goal: str, feedback: str) -> Flow[TeamState, Document]:
        return _write(self, inputs, goal, feedback)


@do
async def _write(work: Write, inputs: Inputs, goal: str, feedback: str) -> Document:
    parts = [f"{name}:\n{one.model_dump_json()}" for name, one in inputs.items()]
    parts += [f"Goal: {goal}"] if goal else []
    parts += [feedback] if feedback else []
    said = [
        Said(
            role="system", content=f"{work.instruction}\nReply with JSON of {kind_of(work.kind)}."
        ),
        Said(role="user", content="\n\n".join(parts) or "Begin."),
    ]
    problem = ""
    for _ in range(work.attempts):
        text = await complete(work.model, said, schema_of(work.kind), work.max_tokens, work.seed)
        found = read_document(work.kind, text)
        if isinstance(found, Document):
            return found
        problem = found
        said += [Said(role="assistant", content=text), Said(role="user", content=problem)]
    return await fail(
        Failure(
            kind="invalid",
            message=f"{work.name}: {problem}; no valid {kind_of(work.kind)} in {work.attempts} "
            "attempts",
        )
    )


@do
async def complete(
    model: LanguageModel,
    messages: Sequence[Said],
    schema: Mapping[str, Any] | None,
    max_tokens: int,
    seed: int = 0,
) -> str:
    """A completion's text, counted in the team's state; the failure ``budget`` beyond its most."""
    state: TeamState = await get()
    if state.most is not None and state.asked >= state.most:
        await fail(Failure(kind="budget", message=f"{state.most} completions are used up"))
    request = Request(messages=tuple(messages), schema=schema, max_tokens=max_tokens, seed=seed)
    completion = await ask(model, request)
    await modify(_asked)
    return completion.text


def _asked(state: TeamState) -> TeamState:
    return replace(state, asked=state.asked + 1)


class Check(Protocol):
    """Finds out whether a document is right, by executing something."""

    def __call__(self, document: Document, inputs: Inputs, /) -> Flow[TeamState, str]:
        """What is wrong, for whoever made it; empty if nothing is."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A work whose document must pass an executable check: what the check says is fed back."""

    work: Work
    check: Check
    rounds: int = 3
    """Times that the work is done, at most."""

    @property
    def name(self) -> str:
        return self.work.name

    @property
    def consumes(self) -> tuple[Kind, ...]:
        return self.work.consumes

    @property
    def on(self) -> tuple[Kind, ...]:
        return self.work.on

    @property
    def produces(self) -> tuple[Kind, ...]:
        return self.work.produces

    def do(self, inputs: Inputs, goal: str, feedback: str) -> Flow[TeamState, Document]:
        return _checked(self, inputs, goal, feedback)


@do
async def _checked(checked: Checked, inputs: Inputs, goal: str, feedback: str) -> Document:
    problem = feedback
    for _ in range(checked.rounds):
        document = await checked.work.do(inputs, goal, problem)
        found = await checked.check(document, inputs)
        if not found:
            return document
        problem = f"You gave {document.model_dump_json()}\nIt failed its check: {found}"
    return await fail(
        Failure(kind="error", message=f"{checked.name}: after {checked.rounds} rounds: {problem}")
    )
