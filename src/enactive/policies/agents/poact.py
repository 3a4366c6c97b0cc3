"""PoAct: one controller chooses how to reason at each step, another which tools there are.

After "PoAct: Policy and Action Dual-Control Agent for Generalized Applications" (arXiv 2501.07054;
no code was published). The *policy controller* goes between three stages: a plan, a thought, a
program. The *action controller* retrieves the tools that fit what is to be done next and rewrites
the list that the model is shown, and reviews the path: it may roll back the last steps, which takes
them out of what the model reads, or ask for another plan. Everything is bounded and counted: what
the reviewer reads and writes is part of a decision's cost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.digital import CodeSpace
from enactive.actions.spaces import ActionSpace
from enactive.actions.stubs import stubs
from enactive.actions.tokens import ActionToken
from enactive.actions.tools import Tool
from enactive.configuration import to_dict
from enactive.models.language_models.language_model import LanguageModel, Message, Request
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.calls import ToolPart
from enactive.policies.agents.prompts import (
    Turn,
    answer_call,
    answer_tool,
    compact,
    conversation,
    cost_of,
    describe_tools,
    fit,
    plain_result,
    read_code,
    read_json,
    shorten,
)
from enactive.policies.agents.retrieval import relevant_tools
from enactive.seeding import child_seed

Stage = Literal["plan", "think", "act", "review"]
ASKS: Mapping[Stage, str] = {
    "plan": "Stage: plan. Write the steps that are left, one a line and in order, each beginning "
    "with its number. No calls yet.",
    "think": "Stage: think. The last step did not do what it should. Say in two sentences why, and "
    "what to do instead.",
    "act": "Stage: act. ",
    "review": "Stage: review. Is the work on its way to what was asked? Reply with one line: "
    "'continue', 'rollback K' to forget the last K steps, or 'replan', and why.",
}
CODE = (
    "Write one Python program between ``` fences that does as much of what is left as is clear; it "
    "may call the functions above."
)
CALL = 'Write one call as JSON: {"tool": ..., "arguments": {...}}.'
NEED = "If no tool that is shown will do, write 'NEED:' and what it should do instead."


@dataclass(frozen=True, kw_only=True, slots=True)
class PoActMemory:
    """What is kept of an episode between decisions."""

    task: str
    seed: int
    plan: str = ""
    turns: tuple[Turn, ...] = ()
    waiting: bool = False
    failures: int = 0
    """Steps that failed in a row, up to the last one."""
    decided: int = 0
    plans: int = 0
    planned_at: int = 0
    """Decisions before the plan was made, and those that were taken back since."""
    rollbacks: int = 0
    notes: tuple[str, ...] = ()
    """Thoughts and reviews since the last step."""
    shown: int = 0
    """Tools shown so far, all decisions together."""


class PoAct:
    """The policy; made with ``PoAct.Config(...).build(model, accepts)``. Where programs are
    accepted it acts by programs, otherwise by calls."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Which controllers there are, and their bounds."""

        policy_controller: bool = True
        """Plan first, think after a failure; otherwise every stage is ``act``."""
        retrieval: bool = True
        """Show only the tools that fit; otherwise all."""
        review: bool = True
        """Review the path."""
        shown_each: int = 6
        """Tools that are retrieved for each step that is looked ahead."""
        look_ahead: int = 4
        """Steps of the plan for which tools are retrieved, where programs are written; for calls it
        is one."""
        opening: bool = False
        """Tell the model what the world says before the first step."""
        searches: int = 2
        """Times within one decision that the model may ask for other tools."""
        plans: int = 3
        """Most plans of an episode."""
        rollbacks: int = 3
        """Most rollbacks of an episode."""
        repairs: int = 2
        """Times that a reply which is no action is answered with what is wrong."""
        max_tokens: int = 500
        """Of one reply."""
        temperature: float = 0.0
        """0 takes the likeliest token."""
        characters: int = 6000
        """Of the transcript."""
        result_characters: int = 1500
        """Of one result."""
        answer_tool: str = ""
        """The tool that ends the episode; by default the one called answer, finish, submit or
        done."""

        def build(self, model: LanguageModel, accepts: ActionSpace) -> PoAct:
            """The policy for a world that accepts ``accepts``.

            Raises:
                ValueError: there are no tools in it.
            """
            return PoAct(self, model, accepts)

    def __init__(self, config: PoAct.Config, model: LanguageModel, accepts: ActionSpace) -> None:
        self.config = config
        self._model = model
        self._accepts = accepts
        self._code = isinstance(accepts, CodeSpace)
        self._part = None if isinstance(accepts, CodeSpace) else ToolPart.of(accepts)
        self._tools = accepts.tools if isinstance(accepts, CodeSpace) else self._space_tools()
        self._answer = answer_tool(self._tools, config.answer_tool)

    def _space_tools(self) -> tuple[Tool, ...]:
        assert self._part is not None
        return self._part.space.tools

    @property
    def name(self) -> str:
        return "poact"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self._accepts

    def describe(self) -> Mapping[str, Any]:
        return {"config": to_dict(self.config), "model": dict(self._model.describe())}

    def begin(self, task: Task, seed: int) -> PoActMemory:
        return PoActMemory(task=task.instruction, seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[PoActMemory]
    ) -> list[Decision]:
        return [self._decide(o, m) for o, m in zip(observations, memories, strict=True)]

    def _decide(self, observation: Observation, memory: PoActMemory) -> Decision:
        memory = self._heard(observation, memory)
        asking = _Asking(self._model, self.config, memory)
        if self.config.review and memory.turns:
            memory = self._reviewed(memory, asking)
        for stage in self.stages(memory):
            tools = self.tools(memory)
            text = asking.ask(stage, ASKS[stage], self._messages(memory, tools))
            if stage == "plan":
                memory = replace(
                    memory,
                    plan=text,
                    plans=memory.plans + 1,
                    planned_at=memory.decided,
                    failures=0,
                )
            else:
                memory = replace(memory, notes=(*memory.notes, text))
        return self._acted(memory, asking)

    # ---------------------------------------------------------------------- policy controller

    def stages(self, memory: PoActMemory) -> tuple[Stage, ...]:
        """The stages that come before the action: a plan where there is none, a thought after a
        failure, another plan after two in a row."""
        if not self.config.policy_controller:
            return ()
        if (not memory.plan or memory.failures > 1) and memory.plans < self.config.plans:
            return ("plan",)
        return ("think",) if memory.failures else ()

    # ---------------------------------------------------------------------- action controller

    def tools(self, memory: PoActMemory, need: str = "") -> tuple[Tool, ...]:
        """The list of tools as it is rewritten for the next step.

        Args:
            memory: its plan says what comes next; without a plan the task and the last result do.
            need: what the model said that it misses.
        """
        if not self.config.retrieval:
            return self._tools
        always = [self._answer.name] if self._answer is not None else []
        queries = [need] if need else self._queries(memory)
        found: set[str] = set(always)
        for query in queries:
            chosen = relevant_tools(
                self._tools, query, self.config.shown_each + len(always), always
            )
            found |= {tool.name for tool in chosen}
        return tuple(tool for tool in self._tools if tool.name in found)

    def _queries(self, memory: PoActMemory) -> list[str]:
        last = memory.turns[-1].result if memory.turns else ""
        steps = [line for line in memory.plan.splitlines() if re.match(r"\s*\d", line)]
        if not steps:
            return [f"{memory.task}\n{last}"]
        ahead = self.config.look_ahead if self._code else 1
        begin = min(max(memory.decided - memory.planned_at, 0), len(steps) - 1)
        return [*steps[begin : begin + ahead], *([last] if last else [])]

    def _reviewed(self, memory: PoActMemory, asking: _Asking) -> PoActMemory:
        """Ask for a review after a failure and after every other step; do what it says."""
        if not memory.failures and memory.decided % 2:
            return memory
        text = asking.ask("review", ASKS["review"], self._messages(memory, ()))
        word, _, rest = text.strip().partition(" ")
        verdict = word.strip("'\".,:").casefold()
        if verdict == "rollback" and memory.rollbacks < self.config.rollbacks:
            count = re.match(r"\d+", rest)
            back = min(max(1, int(count.group()) if count else 1), len(memory.turns))
            return replace(
                memory,
                turns=memory.turns[: len(memory.turns) - back],
                planned_at=memory.planned_at + back,
                rollbacks=memory.rollbacks + 1,
                notes=(f"The last steps were taken back: {shorten(rest, 300)}",),
            )
        if verdict == "replan" and memory.plans < self.config.plans:
            return replace(memory, plan="", notes=(f"The plan was dropped: {shorten(rest, 300)}",))
        return memory

    # ------------------------------------------------------------------------------- actions

    def _acted(self, memory: PoActMemory, asking: _Asking) -> Decision:
        tools, problem = self.tools(memory), ""
        searches = repairs = 0
        shown = memory.shown
        form = f"{CODE if self._code else CALL} {NEED if self.config.retrieval else ''}"
        while True:
            shown += len(tools)
            stage = f"{ASKS['act']}{form}" + (f"\nNot executed: {problem}" if problem else "")
            text = asking.ask("act", stage, self._messages(memory, tools))
            need = re.match(r"\s*NEED:(.*)", text, re.DOTALL)
            if need and self.config.retrieval and searches < self.config.searches:
                searches, problem = searches + 1, ""
                tools = self.tools(memory, need.group(1).strip() or memory.task)
                continue
            action, problem = self._read(text, tools)
            if not problem or repairs >= self.config.repairs:
                break
            repairs += 1
        if problem:
            action = self._give_up(problem)
        said = action if isinstance(action, str) else compact(action)
        after = replace(
            memory,
            turns=(*memory.turns, Turn(said=said)),
            waiting=True,
            decided=memory.decided + 1,
            notes=(),
            shown=shown,
        )
        return Decision(action=self._whole(action), chain=asking.chain(self._whole(action)),
                        cost=asking.cost, memory=after)  # fmt: skip

    def _read(self, text: str, tools: Sequence[Tool]) -> tuple[Any, str]:
        """The action in a reply and what is wrong with it. Calls are of tools that are shown."""
        if self._code:
            code = read_code(text)
            return code, "" if code else "there is no program"
        assert self._part is not None
        try:
            action = read_json(text)
        except ValueError as error:
            return {}, str(error)
        return action, replace(self._part.space, tools=tuple(tools)).problem(action)

    def _give_up(self, problem: str) -> Any:
        if self._answer is None:
            return "pass" if self._code else {}
        call = answer_call(self._answer, f"No valid action was found: {problem}")
        if not self._code:
            return call
        given = ", ".join(f"{name}={value!r}" for name, value in call["arguments"].items())
        return f"{self._answer.name.replace('-', '_')}({given})"

    def _whole(self, action: Any) -> Any:
        return action if self._part is None else self._part.action(action)

    def _heard(self, observation: Observation, memory: PoActMemory) -> PoActMemory:
        text = shorten(plain_result(observation.text or ""), self.config.result_characters)
        if not memory.waiting:
            task = memory.task or observation.instruction
            if self.config.opening and text and not memory.decided:
                task = f"{task}\n{text}"
            return replace(memory, task=task)
        heard = replace(memory.turns[-1], result=text or "(nothing was said)")
        turns = fit((*memory.turns[:-1], heard), self.config.characters)
        bad = ("failed:", "invalid action", "rejected", "Error:", "Refused:", "Stopped:")
        failed = any(line.startswith(bad) for line in text.splitlines())
        failures = memory.failures + 1 if failed else 0
        return replace(memory, turns=turns, waiting=False, failures=failures)

    def _messages(self, memory: PoActMemory, tools: Sequence[Tool]) -> tuple[Message, ...]:
        system = "You do tasks with tools. You are told at each stage what to write."
        if tools:
            listed = stubs(tools, awaitable=False, documented=True) if self._code else ""
            system += f"\n\nTools:\n{listed or describe_tools(tools)}"
        messages = conversation(system, (), memory.task, memory.turns)
        said = [f"Plan:\n{memory.plan}"] if memory.plan else []
        said += memory.notes
        return (*messages, *([Message(role="user", content="\n".join(said))] if said else []))


class _Asking:
    """The model's replies on the way to one decision, and what they cost."""

    def __init__(self, model: LanguageModel, config: PoAct.Config, memory: PoActMemory) -> None:
        self.cost = Cost()
        self._model, self._config, self._memory = model, config, memory
        self._tokens: list[ActionToken] = []

    def ask(self, stage: Stage, words: str, messages: tuple[Message, ...]) -> str:
        number = len(self._tokens)
        seed = child_seed(self._memory.seed, "poact", self._memory.decided, number)
        request = Request(
            messages=(*messages, Message(role="user", content=words)),
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            seed=seed % 2**31,
        )
        completion = self._model.complete(request)
        self.cost += cost_of(completion.usage)
        self._tokens.append(
            ActionToken(id=f"{stage}{number}", kind="reasoning", content=completion.text,
                        source=f"poact {stage}", parents=tuple(t.id for t in self._tokens[-1:]))
        )  # fmt: skip
        return completion.text

    def chain(self, action: Any) -> Chain:
        kind = "code" if isinstance(action, str) else "raw"
        final = ActionToken(id="action", kind=kind, content=action, source="poact",
                            parents=tuple(t.id for t in self._tokens[-1:]))  # fmt: skip
        return Chain((*self._tokens, final))
