"""CodeAct: each turn's action is a program; its output or traceback is what is read next.

Wang et al. 2024, "Executable Code Actions Elicit Better LLM Agents" (arXiv 2402.01030), section 2
and appendix: up to ten turns; a reply is cut after its first complete action, so that results
which a model makes up are not read back; names persist between turns; errors come back in words.
The paper's comparison, the same loop with calls as JSON, is the same policy in a space of calls:
several may be made in one turn there too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.digital import CodeSpace, UnionSpace
from enactive.actions.spaces import ActionSpace
from enactive.actions.stubs import program_names, stubs
from enactive.actions.tokens import ActionToken, Kind
from enactive.actions.tools import ToolSpace
from enactive.configuration import to_dict
from enactive.models.language_models.language_model import LanguageModel, Request
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.prompts import (
    Turn,
    answer_call,
    answer_tool,
    compact,
    conversation,
    cost_of,
    describe_tools,
    fit,
    read_json,
    shorten,
)
from enactive.seeding import child_seed

NOTHING = "(no output)"
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)


class Form(Protocol):
    """How actions are written."""

    kind: Kind
    """Of the action's token."""

    def instructions(self) -> str:
        """What a model is told of the form and the tools."""
        ...

    def read(self, reply: str) -> tuple[Any, str]:
        """The action in a reply, or why there is none."""
        ...

    def answer(self, text: str) -> Any:
        """The action that ends the episode with ``text``; ``None`` where no tool does."""
        ...

    def without_errors(self, text: str) -> str:
        """What the world said, errors left out."""
        ...


class Programs:
    """Actions as programs."""

    kind: Kind = "code"

    def __init__(self, space: CodeSpace, answer: str) -> None:
        self.space = space
        self.ending = answer_tool(space.tools, answer)
        self._names = {tool.name: name for name, tool in program_names(space.tools).items()}

    def instructions(self) -> str:
        """The tools as Python functions."""
        return (
            "You do tasks by writing Python programs. Every reply is a thought and one program "
            "between ``` fences. What it prints and its last expression's value are shown to you; "
            "names that it binds are there in the next program. It may call these functions, and "
            "each with '_async' at the end of its name for asyncio.gather:\n\n"
            + stubs(self.space.tools, awaitable=False, documented=True)
        )

    def read(self, reply: str) -> tuple[Any, str]:
        """What is between the fences, whether it parses or not: what is wrong with a program is
        told to its author by whoever runs it."""
        code = fenced(reply)
        if not code.strip():
            return None, "there is no program between ``` fences in the reply"
        if len(code) > self.space.max_characters:
            return None, f"the program is longer than {self.space.max_characters} characters"
        return code, ""

    def answer(self, text: str) -> Any:
        """A program of one call."""
        if self.ending is None:
            return None
        call = answer_call(self.ending, text)
        given = ", ".join(f"{name}={value!r}" for name, value in call["arguments"].items())
        return f"{self._names[self.ending.name]}({given})"

    def without_errors(self, text: str) -> str:
        """Output alone."""
        return re.split(r"^(?:Error|Refused|Stopped): ", text, maxsplit=1, flags=re.MULTILINE)[0]


class Calls:
    """Actions as JSON, one call or several."""

    kind: Kind = "raw"

    def __init__(self, space: ToolSpace, answer: str) -> None:
        self.space = space
        self.ending = answer_tool(space.tools, answer)

    def instructions(self) -> str:
        """The tools on a line each."""
        several = (
            ' or {"calls": [{"id": ..., "tool": ..., "arguments": {...}, "after": [ids]}, ...]} '
            f"with at most {self.space.parallel} calls"
            if self.space.parallel > 1
            else ""
        )
        return (
            "You do tasks by calling tools. Every reply is a thought and one JSON object between "
            f'``` fences, {{"tool": ..., "arguments": {{...}}}}{several}. The results are shown to '
            f"you.\n\nTools:\n{describe_tools(self.space.tools)}"
        )

    def read(self, reply: str) -> tuple[Any, str]:
        """The JSON between the fences, if it is an action whose every call is valid."""
        text = fenced(reply)
        if not text.strip():
            return None, "there is no JSON between ``` fences in the reply"
        try:
            action = read_json(text)
        except ValueError as error:
            return None, str(error)
        problem = self.space.problem(action)
        return (None, problem) if problem else (action, "")

    def answer(self, text: str) -> Any:
        """One call."""
        return None if self.ending is None else answer_call(self.ending, text)

    def without_errors(self, text: str) -> str:
        """Results with nothing in the place of failures."""
        try:
            said = json.loads(text)
        except ValueError:
            return text
        if not isinstance(said, dict):
            return text
        if "results" in said:
            return compact(
                {"results": [{} if "failure" in one else one for one in said["results"]]}
            )
        return compact({}) if "failure" in said else text


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeActMemory:
    """What is kept of an episode between turns."""

    task: str
    seed: int
    turns: tuple[Turn, ...] = ()
    waiting: bool = False
    """Whether the last turn has no result yet."""
    made: int = 0
    """Turns so far."""


class CodeAct:
    """The policy; made with ``CodeAct.Config(...).build(model, accepts)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """How it asks."""

        turns: int = 10
        """Most turns; a reply that could not be executed is one too. After the last one the episode
        is ended with words that say so, where a tool ends it."""
        max_tokens: int = 512
        """Of one reply."""
        temperature: float = 0.0
        """0 takes the likeliest token."""
        errors_told: bool = True
        """Whether tracebacks and failures are shown to the model. Off, for experiments: it sees
        that nothing came back."""
        answer_tool: str = ""
        """The tool that ends the episode; by default the one called answer, finish, submit or
        done."""
        characters: int = 12_000
        """Of the transcript; beyond it the oldest results are left out."""
        result_characters: int = 3000
        """Of one result; the middle of longer ones is left out."""

        def build(self, model: LanguageModel, accepts: ActionSpace) -> CodeAct:
            """The policy for a world that accepts ``accepts``: programs where it takes them, calls
            as JSON where it does not.

            Raises:
                ValueError: it takes neither, or has no tool called ``answer_tool``.
            """
            return CodeAct(self, model, accepts)

    def __init__(self, config: CodeAct.Config, model: LanguageModel, accepts: ActionSpace) -> None:
        self.config = config
        self._model = model
        self._accepts = accepts
        self._member, self._form = form_of(accepts, config.answer_tool)
        self._system = self._form.instructions()

    @property
    def name(self) -> str:
        return "codeact"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self._accepts

    def describe(self) -> Mapping[str, Any]:
        return {"config": to_dict(self.config), "model": dict(self._model.describe())}

    def begin(self, task: Task, seed: int) -> CodeActMemory:
        return CodeActMemory(task=task.instruction, seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[CodeActMemory]
    ) -> list[Decision]:
        return [self._decide(o, m) for o, m in zip(observations, memories, strict=True)]

    def _decide(self, observation: Observation, memory: CodeActMemory) -> Decision:
        memory = self._heard(observation, memory)
        tokens: list[ActionToken] = []
        cost = Cost()
        while memory.made < self.config.turns:
            messages = conversation(self._system, [], memory.task, memory.turns)
            request = Request(
                messages=messages,
                max_tokens=self.config.max_tokens,
                temperature=self.config.temperature,
                seed=child_seed(memory.seed, "codeact", memory.made) % 2**31,
            )
            completion = self._model.complete(request)
            cost += cost_of(completion.usage)
            said = cut(completion.text)
            action, wrong = self._form.read(said)
            if wrong and said and not _FENCE.search(said):
                # Words and no action are the answer, as in the paper.
                action = self._form.answer(said)
                wrong = wrong if action is None else ""
            if not wrong:
                return self._decision(memory, tokens, cost, said, action)
            id = f"refused{len(tokens)}"
            tokens.append(
                ActionToken(id=id, kind="language", content=said, source="codeact", chosen=False)
            )
            told = f"Refused: {wrong}" if self.config.errors_told else NOTHING
            turns = fit((*memory.turns, Turn(said=said, result=told)), self.config.characters)
            memory = replace(memory, turns=turns, made=memory.made + 1)
        return self._gave_up(memory, tokens, cost)

    def _heard(self, observation: Observation, memory: CodeActMemory) -> CodeActMemory:
        text = observation.text or ""
        if not memory.waiting:
            return replace(memory, task=memory.task or observation.instruction)
        if not self.config.errors_told:
            text = self._form.without_errors(text)
        text = shorten(text, self.config.result_characters).strip() or NOTHING
        heard = replace(memory.turns[-1], result=text)
        turns = fit((*memory.turns[:-1], heard), self.config.characters)
        return replace(memory, turns=turns, waiting=False)

    def _decision(
        self, memory: CodeActMemory, tokens: list[ActionToken], cost: Cost, said: str, action: Any
    ) -> Decision:
        thought = _FENCE.split(said)[0].strip()
        parents: tuple[str, ...] = ()
        if thought:
            tokens.append(
                ActionToken(id="thought", kind="reasoning", content=thought, source="codeact")
            )
            parents = ("thought",)
        whole = {"space": self._member, "action": action} if self._member else action
        if self._form.kind == "code":
            tokens.append(
                ActionToken(
                    id="code", kind="code", content=action, source="codeact", parents=parents
                )
            )
            parents = ("code",)
        if self._member or self._form.kind == "raw":
            tokens.append(
                ActionToken(id="raw", kind="raw", content=whole, source="codeact", parents=parents)
            )
        turns = (*memory.turns, Turn(said=said))
        after = replace(memory, turns=turns, waiting=True, made=memory.made + 1)
        return Decision(action=whole, chain=Chain(tuple(tokens)), cost=cost, memory=after)

    def _gave_up(self, memory: CodeActMemory, tokens: list[ActionToken], cost: Cost) -> Decision:
        words = f"There was no answer in {memory.made} turns."
        action = self._form.answer(words)
        if action is None:  # nothing ends the episode but its own limit
            action = "pass" if self._form.kind == "code" else {"tool": "none", "arguments": {}}
        return self._decision(memory, tokens, cost, words, action)


def form_of(accepts: ActionSpace, answer: str = "") -> tuple[str, Form]:
    """The union's member that is acted in, empty where ``accepts`` is no union, and its form:
    programs before calls.

    Raises:
        ValueError: there are neither programs nor calls.
    """
    members: Mapping[str, Any] = (
        accepts.spaces if isinstance(accepts, UnionSpace) else {"": accepts}
    )
    for name, member in members.items():
        if isinstance(member, CodeSpace):
            return name, Programs(member, answer)
    for name, member in members.items():
        if isinstance(member, ToolSpace):
            return name, Calls(member, answer)
    raise ValueError(
        f"accepts: CodeAct needs programs or calls of tools, not {type(accepts).__name__}; wrap "
        "the world in WithCode"
    )


def fenced(reply: str) -> str:
    """What is between the first fence and the next, or the end; empty without a fence. Fences count
    at the beginning of a line only, so that back-quotes within a program do not end it."""
    lines = reply.split("\n")
    fences = [i for i, line in enumerate(lines) if line.lstrip().startswith("```")]
    if not fences:
        return ""
    closing = next((i for i in fences[1:] if lines[i].strip() == "```"), len(lines))
    return "\n".join(lines[fences[0] + 1 : closing]).strip("\n")


def cut(reply: str) -> str:
    """A reply up to the end of its first complete action: what a model writes after it are results
    that it made up."""
    lines = reply.split("\n")
    fences = [i for i, line in enumerate(lines) if line.lstrip().startswith("```")]
    closing = next((i for i in fences[1:] if lines[i].strip() == "```"), None)
    return reply.strip() if closing is None else "\n".join(lines[: closing + 1]).strip()
