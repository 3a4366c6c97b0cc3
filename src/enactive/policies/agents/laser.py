"""Laser: a search agent that speaks a small formal language and carries a register.

Laser (arXiv 2512.20458) restricts an agent to symbolic actions in three families (planning,
task-solving, retrospection), each parsed deterministically, and replaces its transcript by a
register of slots. Every turn the model reads the rules, the task and the register, and writes one
action. Actions on the register (a plan, a conclusion, a doubt) are carried out at once and the
model is asked again; a call goes to the world. How long it has been at it does not lengthen what it
reads.

Language and memory are two parts (:class:`Language`, :class:`Keeper`), so that either can be
exchanged by itself; :mod:`enactive.systems.laser` does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.tokens import ActionToken
from enactive.actions.tools import Call, ToolSpace
from enactive.models.language_models.language_model import LanguageModel, Message, Request
from enactive.models.language_models.scripted import CHARACTERS_PER_TOKEN
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.laser_grammar import RULES, Act, NoAct, parse
from enactive.policies.agents.prompts import answer_call, answer_tool, cost_of, describe_tools
from enactive.policies.agents.register import (
    EMPTY,
    Did,
    Doubted,
    DropGoal,
    Found,
    Noted,
    Register,
    SetGoal,
)


class Language(Protocol):
    """What a model writes, and how it is read."""

    @property
    def rules(self) -> str:
        """For the model."""
        ...

    def parse(self, reply: str, space: ToolSpace) -> Act:
        """The action that a reply says; raises :class:`NoAct`."""
        ...


class Keeper(Protocol):
    """What is carried from turn to turn. States are immutable."""

    def begin(self) -> Any:
        """The state of an episode that begins."""
        ...

    def add(self, state: Any, act: Act, said: str, result: str) -> Any:
        """The state after an action that was written as ``said``; raises :class:`NoAct` where the
        action does not fit the state."""
        ...

    def refuse(self, state: Any, said: str) -> Any:
        """The state after a reply that was no action. The next prompt says what was wrong."""
        ...

    def render(self, state: Any, limit: int) -> str:
        """What the model reads of it, in at most ``limit`` characters."""
        ...


@dataclass(frozen=True, slots=True)
class Symbols:
    """The formal language of :mod:`~enactive.policies.agents.laser_grammar`."""

    rules: str = RULES

    def parse(self, reply: str, space: ToolSpace) -> Act:
        """The action that a reply says; raises :class:`NoAct`."""
        return parse(reply, space)


@dataclass(frozen=True, slots=True)
class Slots:
    """A register, and nothing besides."""

    def begin(self) -> Register:
        """An empty one."""
        return EMPTY

    def add(self, state: Register, act: Act, said: str, result: str) -> Register:
        """Carry an action out on the register."""
        try:
            for id, text in act.goals:
                state = state.apply(SetGoal(id=id, text=text))
            if act.verb == "REVISE":
                return state.apply(SetGoal(id=state.goal(act.about).id, text=act.text))
            if act.verb == "DROP":
                return state.apply(DropGoal(id=act.about))
            if act.verb == "CONCLUDE":
                found = Found(id=act.about, answer=act.text, evidence=act.evidence)
                # What it was concluded from has served, and makes room.
                return state.apply(found).apply(Did(action=str(act), result="kept above"))
            if act.verb == "DOUBT":
                return state.apply(Doubted(id=act.about, reason=act.text))
        except KeyError as error:
            raise NoAct(str(error.args[0])) from error
        if act.verb == "NOTE":
            return state.apply(Noted(text=act.text))
        if act.call is not None:
            return state.apply(Did(action=str(act), result=result))
        return state

    def refuse(self, state: Register, said: str) -> Register:
        """Unchanged: the prompt says what was wrong, once, and nothing that was found is lost."""
        return state

    def render(self, state: Register, limit: int) -> str:
        """The register as text."""
        return state.serialise(limit)


@dataclass(frozen=True, kw_only=True, slots=True)
class LaserMemory:
    """What is remembered of an episode."""

    task: str
    state: Any
    turn: int = 0
    """Replies so far."""
    refused: int = 0
    """Replies that were no action."""
    problem: str = ""
    """Why the last reply was none; empty where it was one."""
    pending: tuple[Act, str] | None = None
    """The call under way, and how the model wrote it."""


@dataclass(frozen=True, slots=True)
class Laser:
    """The planner; made with ``Laser.Config(...).build(model, space)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Laser`."""

        window: int = 2048
        """Tokens that a prompt may have, rules and task included, counted as
        :data:`~enactive.models.language_models.scripted.CHARACTERS_PER_TOKEN` characters each."""
        max_turns: int = 60
        """Replies in an episode, those that are no action included; then it answers that it does
        not know."""
        max_thoughts: int = 8
        """Replies in one decision; then it answers that it does not know."""
        max_tokens: int = 128
        """Longest reply."""
        answer_tool: str = ""
        """Name of the tool that ends an episode; by default the one that is called so."""

        def build(
            self,
            model: LanguageModel,
            accepts: ActionSpace,
            *,
            language: Language | None = None,
            keeper: Keeper | None = None,
        ) -> Laser:
            """The planner for worlds that accept ``accepts``.

            Raises:
                ValueError: the actions are no calls of tools, none of which answers, or a bound is
                    out of range.
            """
            if not isinstance(accepts, ToolSpace):
                raise ValueError(f"laser calls tools; it cannot act in {type(accepts).__name__}")
            if answer_tool(accepts.tools, self.answer_tool) is None:
                raise ValueError("answer_tool: no tool ends an episode; name one")
            if self.window < 128 or self.max_turns < 1 or self.max_thoughts < 1:
                raise ValueError("laser needs window >= 128, max_turns >= 1 and max_thoughts >= 1")
            return Laser(self, model, accepts, language or Symbols(), keeper or Slots())

    config: Config
    model: LanguageModel
    space: ToolSpace
    language: Language
    keeper: Keeper

    @property
    def name(self) -> str:
        return f"laser ({self.model.name})"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        parts = [type(one).__qualname__ for one in (self.language, self.keeper)]
        return {"policy": "laser", **asdict(self.config), "parts": parts,
                "model": dict(self.model.describe())}  # fmt: skip

    def begin(self, task: Task, seed: int) -> LaserMemory:
        return LaserMemory(task=task.instruction, state=self.keeper.begin())

    def act(
        self, observations: Sequence[Observation], memories: Sequence[LaserMemory]
    ) -> list[Decision]:
        return [self._act(seen, one) for seen, one in zip(observations, memories, strict=True)]

    def prompt(self, memory: LaserMemory) -> tuple[Message, ...]:
        """What the model reads: what never changes, then the task, then what is kept."""
        tools = [one for one in self.space.tools if one.name != self._answer.name]
        system = f"{self.language.rules}\nTools:\n{describe_tools(tools)}"
        task = f"Task: {memory.task}\n"
        wrong = f"\nYour last reply was not understood: {memory.problem}" if memory.problem else ""
        turn = f"{wrong}\nTurn {memory.turn + 1} of {self.config.max_turns}."
        room = self.config.window * CHARACTERS_PER_TOKEN - len(system) - len(task) - len(turn)
        kept = self.keeper.render(memory.state, max(room, 0))
        return (
            Message(role="system", content=system),
            Message(role="user", content=f"{task}{kept}{turn}"),
        )

    @property
    def _answer(self) -> Any:
        return answer_tool(self.space.tools, self.config.answer_tool)

    def _act(self, seen: Observation, memory: LaserMemory) -> Decision:
        if not memory.task:
            memory = replace(memory, task=seen.instruction)
        if memory.pending is not None:
            act, said = memory.pending
            state = self.keeper.add(memory.state, act, said, seen.text or "")
            memory = replace(memory, state=state, pending=None)
        tokens: list[ActionToken] = []
        cost = Cost()
        for _ in range(self.config.max_thoughts):
            if memory.turn >= self.config.max_turns:
                break
            request = Request(
                messages=self.prompt(memory), max_tokens=self.config.max_tokens, stop=("\n\n",)
            )
            reply = self.model.complete(request)
            cost += cost_of(reply.usage)
            memory = replace(memory, turn=memory.turn + 1, problem="")
            parents = (tokens[-1].id,) if tokens else ()
            said = reply.text.strip()
            tokens.append(
                ActionToken(
                    id=f"turn-{memory.turn}", kind="language", content=said, parents=parents,
                    source="laser",
                )
            )  # fmt: skip
            try:
                act = self.language.parse(reply.text, self.space)
                if act.verb == "ANSWER":
                    return self._decide(answer_call(self._answer, act.text), tokens, cost, memory)
                if act.call is not None:
                    memory = replace(memory, pending=(act, said))
                    return self._decide(_action(act.call), tokens, cost, memory)
                state = self.keeper.add(memory.state, act, said, "")
                memory = replace(memory, state=state)
            except NoAct as problem:
                state = self.keeper.refuse(memory.state, said)
                memory = replace(
                    memory, state=state, refused=memory.refused + 1, problem=str(problem)[:300]
                )
        # Nothing was decided within the bounds: the episode must not hang.
        return self._decide(answer_call(self._answer, "unknown"), tokens, cost, memory)

    def _decide(
        self, action: Any, tokens: list[ActionToken], cost: Cost, memory: LaserMemory
    ) -> Decision:
        parents = (tokens[-1].id,) if tokens else ()
        raw = ActionToken(id="action", kind="raw", content=action, parents=parents, source="laser")
        return Decision(action=action, chain=Chain((*tokens, raw)), cost=cost, memory=memory)


def _action(call: Call) -> dict[str, Any]:
    return {"tool": call.tool, "arguments": dict(call.arguments)}
