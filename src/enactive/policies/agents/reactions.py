"""How roles decide what to do about what is new: MetaGPT's three reaction modes.

``by_order``, ``react`` and ``plan_and_act`` of the published roles, each with its budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from enactive.actions.tools import Failure
from enactive.models.language_models.language_model import LanguageModel
from enactive.models.language_models.language_model import Message as Said
from enactive.policies.agents.documents import Box, Document, Message, kind_of
from enactive.policies.agents.flow import Flow, StepFailed, do, fail
from enactive.policies.agents.works import TeamState, Write, complete

if TYPE_CHECKING:
    from enactive.policies.agents.roles import Role


class Mode(Protocol):
    """How a role decides what to do about what is new."""

    def react(self, role: Role, news: tuple[Message, ...], box: Box) -> Flow[TeamState, None]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ByOrder:
    """Every work that has something new and all that it consumes, in the role's order."""

    def react(self, role: Role, news: tuple[Message, ...], box: Box) -> Flow[TeamState, None]:
        return _by_order(role, frozenset(one.kind for one in news), box)


@do
async def _by_order(role: Role, fresh: frozenset[str], box: Box) -> None:
    for work in role.works:
        due = fresh.intersection(map(kind_of, work.on or work.consumes))
        if due and role.inputs(work, box) is not None:
            await role.perform(work, box)


@dataclass(frozen=True, kw_only=True, slots=True)
class React:
    """The model chooses the next work by its name, or ``stop``."""

    model: LanguageModel
    loops: int = 1
    """Works, at most, in one reaction."""

    def react(self, role: Role, news: tuple[Message, ...], box: Box) -> Flow[TeamState, None]:
        return _react(self, role, news, box)


@do
async def _react(mode: React, role: Role, news: tuple[Message, ...], box: Box) -> None:
    done: list[str] = []
    for _ in range(mode.loops):
        ready = [work for work in role.works if role.inputs(work, box) is not None]
        if not ready:
            return
        names = [*(work.name for work in ready), "stop"]
        told = f"New: {', '.join(one.kind for one in news)}. Done: {', '.join(done) or 'nothing'}."
        said = [
            Said(role="system", content=f"You are {role.name}. {role.goal}"),
            Said(role="user", content=f"{told} Choose what to do next: {', '.join(names)}."),
        ]
        schema = {"type": "string", "enum": names}
        text = (await complete(mode.model, said, schema, 32)).strip().strip('"')
        chosen = next((work for work in ready if work.name == text), None)
        if chosen is None:  # "stop", or no name at all
            return
        box = await role.perform(chosen, box, keep=True)
        done.append(chosen.name)


class PlannedStep(Document):
    """One step of a plan."""

    work: str = Field(max_length=64)
    goal: str = Field(max_length=400)


class Plan(Document):
    """What a role means to do, in order."""

    steps: tuple[PlannedStep, ...] = Field(min_length=1, max_length=12, strict=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanAndAct:
    """The model writes a plan of works and goals; it is done in order. Where a step fails, the rest
    is planned again with what went wrong."""

    model: LanguageModel
    plans: int = 2
    """Plans, at most, in one reaction."""

    def react(self, role: Role, news: tuple[Message, ...], box: Box) -> Flow[TeamState, None]:
        return _plan_and_act(self, role, news, box)


@do
async def _plan_and_act(mode: PlanAndAct, role: Role, news: tuple[Message, ...], box: Box) -> None:
    works = {work.name: work for work in role.works}
    problem = f"New: {', '.join(one.kind for one in news)}."
    for left in reversed(range(mode.plans)):
        writer = Write(
            model=mode.model, name="plan", consumes=(), kind=Plan,
            instruction=f"You are {role.name}. {role.goal} Works: {', '.join(works)}.",
        )  # fmt: skip
        plan = await writer.do({}, "", problem)
        assert isinstance(plan, Plan)
        try:
            for step in plan.steps:
                if step.work not in works or role.inputs(works[step.work], box) is None:
                    await fail(Failure(kind="invalid", message=f"{step.work} cannot be done now"))
                box = await role.perform(works[step.work], box, step.goal, keep=True)
            return
        except StepFailed as error:
            if not left:
                raise
            problem = f"A step failed: {error.failed.failure.message}. Plan what is left to do."
