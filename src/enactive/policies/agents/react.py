"""ReAct: a thought, one call of a tool, its result, and so on until the answer.

Yao et al. 2023, "ReAct: Synergizing Reasoning and Acting in Language Models" (arXiv 2210.03629),
section 2. Each reply is one JSON object that a schema constrains, ``{"thought": ..., "action":
{"tool": ..., "arguments": {...}}}``; the answer is a call too, of the tool that ends the episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from enactive.actions.chain import Chain
from enactive.actions.decision import Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.tokens import ActionToken
from enactive.actions.tools import Tool
from enactive.configuration import to_dict
from enactive.models.language_models.language_model import LanguageModel, Message, Request
from enactive.models.language_models.schemas import call_schema
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.attempts import Attempts
from enactive.policies.agents.calls import ToolPart, copied, copied_answer
from enactive.policies.agents.demonstrations import Demonstrations, most_like
from enactive.policies.agents.prompts import (
    Turn,
    answer_call,
    answer_tool,
    compact,
    conversation,
    describe_tools,
    fit,
    plain_result,
    read_json,
    shorten,
    tool_examples,
)
from enactive.policies.agents.retrieval import relevant_tools
from enactive.seeding import child_seed

RULES = (
    "You do tasks by calling tools, one call at a time. Every reply is one JSON object with the "
    "next call. Copy names, paths and numbers exactly as they were said."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReActMemory:
    """What is kept of an episode between decisions."""

    task: str
    seed: int
    seen: str = ""
    """What the world said before the first decision."""
    turns: tuple[Turn, ...] = ()
    waiting: bool = False
    """Whether the last turn has no result yet."""
    decided: int = 0


SMALL: Mapping[str, Any] = {
    "thoughts": False,
    "examples": False,
    "opening": False,
    "copy_arguments": True,
    "calls_before_answer": 1,
    "tools_shown": 7,
    "demonstrations_shown": 3,
    "max_tokens": 200,
}
"""Fields of :class:`ReAct.Config` for models of a few hundred million parameters, which need solved
tasks to go by (``demonstrations``) and as little as possible to get wrong."""


class ReAct:
    """The policy; made with ``ReAct.Config(...).build(model, accepts)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """How it asks."""

        thoughts: bool = True
        """Whether a thought comes before each action. Small models act better without."""
        thought_characters: int = 300
        """Longest thought."""
        max_tokens: int = 400
        """Of one reply."""
        temperature: float = 0.0
        """0 takes the likeliest token."""
        tools_shown: int = 0
        """Most tools that are shown and can be called, those whose descriptions share most words
        with the task; 0 shows all."""
        examples: bool = True
        """Show one generated example a tool."""
        demonstrations: Demonstrations = Demonstrations()
        """Solved tasks to show the most similar of."""
        demonstrations_shown: int = 2
        """How many of them."""
        copy_arguments: bool = False
        """Restrict short arguments to what the task and the results say. It keeps a small model
        from misspelling, and any model from making up."""
        opening: bool = True
        """Tell the model what the world says before the first action; it helps to choose the tools
        that are shown in any case."""
        calls_before_answer: int = 0
        """Calls before which the answer cannot be given. Small models answer at once."""
        answer_tool: str = ""
        """The tool that ends the episode; by default the one called answer, finish, submit or
        done."""
        repairs: int = 2
        """Times that a reply which is no valid action is answered with what is wrong, within one
        decision."""
        characters: int = 6000
        """Of the transcript; beyond it the oldest results are left out."""
        result_characters: int = 1500
        """Of one result; the middle of longer ones is left out."""

        def build(self, model: LanguageModel, accepts: ActionSpace) -> ReAct:
            """The policy for a world that accepts ``accepts``.

            Raises:
                ValueError: there are no tools in it, or no tool called ``answer_tool``.
            """
            return ReAct(self, model, accepts)

    def __init__(self, config: ReAct.Config, model: LanguageModel, accepts: ActionSpace) -> None:
        self.config = config
        self._model = model
        self._accepts = accepts
        self._part = ToolPart.of(accepts)
        self._demonstrations = config.demonstrations.build()
        self._answer = answer_tool(self._part.space.tools, config.answer_tool)

    @property
    def name(self) -> str:
        return "react"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self._accepts

    def describe(self) -> Mapping[str, Any]:
        return {"config": to_dict(self.config), "model": dict(self._model.describe())}

    def begin(self, task: Task, seed: int) -> ReActMemory:
        return ReActMemory(task=task.instruction, seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[ReActMemory]
    ) -> list[Decision]:
        return [self._decide(o, m) for o, m in zip(observations, memories, strict=True)]

    def _decide(self, observation: Observation, memory: ReActMemory) -> Decision:
        memory = self._heard(observation, memory)
        tools = self.tools(f"{memory.task}\n{memory.seen}")
        messages = self._messages(memory, tools)
        offered = self._offered(tools, memory)
        attempts = Attempts(self._model, "react")
        for attempt in range(self.config.repairs + 1):
            request = Request(
                messages=(*messages, *attempts.messages),
                schema=self._schema(offered),
                max_tokens=self.config.max_tokens,
                temperature=self.config.temperature,
                seed=child_seed(memory.seed, "react", memory.decided, attempt) % 2**31,
            )
            value = attempts.ask(request)
            action = _action(value)
            problem = attempts.problem or self._part.space.problem(action)
            if not problem:
                thought = str(value.get("thought", ""))
                said = compact(value)
                return self._decision(memory, attempts, thought, said, action)
            attempts.refused(problem)
        return self._gave_up(memory, attempts)

    def _heard(self, observation: Observation, memory: ReActMemory) -> ReActMemory:
        text = shorten(plain_result(observation.text or ""), self.config.result_characters)
        if memory.waiting:
            heard = replace(memory.turns[-1], result=text or "(nothing was said)")
            turns = fit((*memory.turns[:-1], heard), self.config.characters)
            return replace(memory, turns=turns, waiting=False)
        task = memory.task or observation.instruction
        return replace(memory, task=task, seen=text)

    def tools(self, task: str) -> tuple[Tool, ...]:
        """The tools that are shown for a task."""
        known, count = self._part.space.tools, self.config.tools_shown
        if not count:
            return known
        always = [self._answer.name] if self._answer is not None else []
        return relevant_tools(known, task, count, always)

    def _offered(self, tools: Sequence[Tool], memory: ReActMemory) -> tuple[Tool, ...]:
        """The tools as the schema of the next reply has them."""
        answer = self._answer.name if self._answer is not None else ""
        if memory.decided < self.config.calls_before_answer and len(tools) > 1:
            tools = [tool for tool in tools if tool.name != answer]
        if not self.config.copy_arguments:
            return tuple(tools)
        results = [turn.result for turn in memory.turns]
        restricted = copied(tools, [memory.task, *results])
        return tuple(
            copied_answer(tool, results) if tool.name == answer else tool for tool in restricted
        )

    def _messages(self, memory: ReActMemory, tools: Sequence[Tool]) -> tuple[Message, ...]:
        system = f"{RULES}\n\nTools:\n{describe_tools(tools)}"
        shown: list[tuple[str, Sequence[Turn]]] = []
        if self.config.examples:
            shown += [
                (words, [Turn(said=self._said(words, call))])
                for words, call in tool_examples(tools)
            ]
        solved = most_like(self._demonstrations, memory.task, self.config.demonstrations_shown)
        for one in solved:
            turns = [replace(t, said=self._said(one.task, read_json(t.said))) for t in one.turns]
            shown.append((one.task, turns))
        words = memory.task
        if memory.seen and self.config.opening:
            words = f"{words}\n{memory.seen}"
        return conversation(system, shown, words, memory.turns)

    def _said(self, words: str, call: Any) -> str:
        thought = {"thought": f"Use {call['tool']}."} if self.config.thoughts else {}
        return compact({**thought, "action": call})

    def _schema(self, tools: Sequence[Tool]) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        if self.config.thoughts:
            limit = self.config.thought_characters
            properties["thought"] = {"type": "string", "maxLength": limit}
        properties["action"] = call_schema(tools)
        return {
            "type": "object",
            "properties": properties,
            "required": [*properties],
            "additionalProperties": False,
        }

    def _decision(
        self, memory: ReActMemory, attempts: Attempts, thought: str, said: str, action: Any
    ) -> Decision:
        tokens = [*attempts.tokens]
        if thought:
            tokens.append(
                ActionToken(id="thought", kind="reasoning", content=thought, source="react")
            )
        whole = self._part.action(action)
        parents = ("thought",) if thought else ()
        tokens.append(
            ActionToken(id="raw", kind="raw", content=whole, source="react", parents=parents)
        )
        after = replace(
            memory,
            turns=(*memory.turns, Turn(said=said)),
            waiting=True,
            decided=memory.decided + 1,
        )
        return Decision(action=whole, chain=Chain(tuple(tokens)), cost=attempts.cost, memory=after)

    def _gave_up(self, memory: ReActMemory, attempts: Attempts) -> Decision:
        """End the episode with words where there is a tool for it; otherwise hand out the last
        reply's call, which whoever executes refuses, so that the policy reads why."""
        if self._answer is not None:
            words = f"No valid action was found: {attempts.problem}"
            action = answer_call(self._answer, words)
        else:
            action = _action(attempts.last)
        return self._decision(memory, attempts, "", compact({"action": action}), action)


def _action(value: Mapping[str, Any]) -> Any:
    return value.get("action", value if "tool" in value else {})
