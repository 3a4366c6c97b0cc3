"""Plan first, then act: a whole plan of calls with dependencies, executed in parallel batches.

The baseline of planners that separate planning from execution: Wang et al. 2023, "Plan-and-Solve
Prompting" (arXiv 2305.04091), and the dependency graphs of Kim et al. 2024, "An LLM Compiler for
Parallel Function Calling" (arXiv 2312.04511), section 3. A call's arguments may refer to results of
calls that it comes after: ``"${a}"`` is the value of call ``a``, ``"${a.lines[0].path}"`` a part of
it. What fails, or is not there, makes the model plan again from what it knows by then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from enactive.actions.chain import Chain
from enactive.actions.decision import Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.tokens import ActionToken
from enactive.actions.tools import (
    Call,
    CallResult,
    Failure,
    Returned,
    check_order,
    result_from_dict,
)
from enactive.configuration import to_dict
from enactive.models.language_models.language_model import LanguageModel, Request
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.attempts import Attempts
from enactive.policies.agents.calls import ToolPart
from enactive.policies.agents.prompts import (
    Turn,
    answer_call,
    answer_tool,
    compact,
    conversation,
    describe_tools,
    fit,
    plain_result,
    shorten,
    tool_examples,
)
from enactive.policies.agents.references import fill, references
from enactive.seeding import child_seed

RULES = (
    'You do tasks by calling tools. Reply with a plan, one JSON object: {"calls": [{"id": "a", '
    '"tool": ..., "arguments": {...}, "after": []}, ...]}. "after" lists the ids of the calls that '
    'must be over before. "${a}" in an argument is the value of call a, "${a.lines[0].path}" a '
    "part of it. Calls that do not depend on each other are made together. If you must see a "
    "result before you can go on, end the plan there: you will be asked again."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanMemory:
    """What is kept of an episode between decisions."""

    task: str
    seed: int
    plan: tuple[Call, ...] = ()
    """Calls of the plan that have not been made."""
    values: tuple[tuple[str, str], ...] = ()
    """Id and value, as JSON, of the plan's calls that have been made."""
    making: tuple[str, ...] = ()
    """Ids of the calls whose results come with the next observation."""
    turns: tuple[Turn, ...] = ()
    plans: int = 0
    decided: int = 0


class PlanThenAct:
    """The policy; made with ``PlanThenAct.Config(...).build(model, accepts)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """How it plans."""

        longest_plan: int = 12
        """Most calls of one plan."""
        plans: int = 4
        """Most plans of an episode; then it gives up."""
        max_tokens: int = 800
        """Of one plan."""
        temperature: float = 0.0
        """0 takes the likeliest token."""
        answer_tool: str = ""
        """The tool that ends the episode; by default the one called answer, finish, submit or
        done."""
        repairs: int = 2
        """Times that a reply which is no plan is answered with what is wrong, within one
        decision."""
        characters: int = 6000
        """Of the transcript; beyond it the oldest results are left out."""
        result_characters: int = 1500
        """Of one batch's results."""

        def build(self, model: LanguageModel, accepts: ActionSpace) -> PlanThenAct:
            """The policy for a world that accepts ``accepts``.

            Raises:
                ValueError: there are no tools in it, or no tool called ``answer_tool``.
            """
            return PlanThenAct(self, model, accepts)

    def __init__(
        self, config: PlanThenAct.Config, model: LanguageModel, accepts: ActionSpace
    ) -> None:
        self.config = config
        self._model = model
        self._accepts = accepts
        self._part = ToolPart.of(accepts)
        self._answer = answer_tool(self._part.space.tools, config.answer_tool)

    @property
    def name(self) -> str:
        return "plan_then_act"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self._accepts

    def describe(self) -> Mapping[str, Any]:
        return {"config": to_dict(self.config), "model": dict(self._model.describe())}

    def begin(self, task: Task, seed: int) -> PlanMemory:
        return PlanMemory(task=task.instruction, seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[PlanMemory]
    ) -> list[Decision]:
        return [self._decide(o, m) for o, m in zip(observations, memories, strict=True)]

    def _decide(self, observation: Observation, memory: PlanMemory) -> Decision:
        memory = self._heard(observation, memory)
        attempts = Attempts(self._model, self.name)
        batch: tuple[Call, ...] = ()
        while not batch:
            if not memory.plan:
                if memory.plans >= self.config.plans:
                    break
                memory = self._planned(memory, attempts)
            batch, problem = self._batch(memory)
            if problem:
                turns = self._with_result(memory, [problem])
                memory = replace(memory, plan=(), turns=turns)
        tokens = [*attempts.tokens]
        if attempts.cost.prompt_tokens and memory.turns and batch:
            said = memory.turns[-1].said
            tokens.append(ActionToken(id="plan", kind="language", content=said, source=self.name))
        if batch:
            calls = [call.to_dict() for call in batch]
            single = {"tool": batch[0].tool, "arguments": dict(batch[0].arguments)}
            action = {"calls": calls} if len(batch) > 1 else single
        elif self._answer is not None:
            action = answer_call(self._answer, attempts.problem or "No plan led to an answer.")
        else:  # whoever executes refuses it, so that the policy reads why
            action = dict(attempts.last)
        whole = self._part.action(action)
        parents = ("plan",) if any(token.id == "plan" for token in tokens) else ()
        tokens.append(
            ActionToken(id="raw", kind="raw", content=whole, source=self.name, parents=parents)
        )
        ids = tuple(call.id for call in batch)
        after = replace(
            memory,
            plan=tuple(call for call in memory.plan if call.id not in ids),
            making=ids,
            decided=memory.decided + 1,
        )
        return Decision(action=whole, chain=Chain(tuple(tokens)), cost=attempts.cost, memory=after)

    # ------------------------------------------------------------------------------- results

    def _heard(self, observation: Observation, memory: PlanMemory) -> PlanMemory:
        text = observation.text or ""
        if not memory.decided:
            task = memory.task or observation.instruction
            return replace(memory, task=f"{task}\n{text}" if text else task)
        results = read_results(text, len(memory.making))
        values, failed = dict(memory.values), not memory.making
        said = list[str]()
        for id, result in zip(memory.making, results, strict=True):
            if isinstance(result, Returned):
                values[id] = compact(result.value)
                said.append(f"{id}: {plain_result(text) if len(results) == 1 else values[id]}")
            else:
                failed = True
                said.append(f"{id}: failed: {result.message}")
        if not memory.making:
            said.append(text)
        memory = replace(
            memory, values=tuple(values.items()), turns=self._with_result(memory, said), making=()
        )
        return replace(memory, plan=()) if failed else memory

    def _with_result(self, memory: PlanMemory, said: Sequence[str]) -> tuple[Turn, ...]:
        if not memory.turns:
            return ()
        last = memory.turns[-1]
        lines = "\n".join([*([last.result] if last.result else []), *said])
        heard = replace(last, result=shorten(lines, self.config.result_characters))
        return fit((*memory.turns[:-1], heard), self.config.characters)

    # --------------------------------------------------------------------------------- plans

    def _planned(self, memory: PlanMemory, attempts: Attempts) -> PlanMemory:
        tools = self._part.space.tools
        system = f"{RULES}\n\nTools:\n{describe_tools(tools)}"
        shown = [
            (words, [Turn(said=compact({"calls": [{"id": "a", **call, "after": []}]}))])
            for words, call in tool_examples(tools)
        ]
        messages = conversation(system, shown, memory.task, memory.turns)
        for attempt in range(self.config.repairs + 1):
            request = Request(
                messages=(*messages, *attempts.messages),
                schema=self._schema(),
                max_tokens=self.config.max_tokens,
                temperature=self.config.temperature,
                seed=child_seed(memory.seed, self.name, memory.decided, attempt) % 2**31,
            )
            value = attempts.ask(request)
            plan, problem = self._read(value)
            problem = attempts.problem or problem
            if not problem:
                turns = (*memory.turns, Turn(said=compact(value)))
                return replace(memory, plan=plan, values=(), turns=turns, plans=memory.plans + 1)
            attempts.refused(problem)
        return replace(memory, plans=memory.plans + 1)

    def _schema(self) -> dict[str, Any]:
        # Arguments may be references, so only the tools' names are constrained here.
        names = [tool.name for tool in self._part.space.tools]
        id = {"type": "string", "maxLength": 12}
        call = {
            "type": "object",
            "properties": {
                "id": id,
                "tool": {"enum": names},
                "arguments": {"type": "object", "additionalProperties": True},
                "after": {"type": "array", "items": id, "maxItems": 8},
            },
            "required": ["id", "tool", "arguments", "after"],
            "additionalProperties": False,
        }
        calls = {
            "type": "array", "items": call, "minItems": 1, "maxItems": self.config.longest_plan,
        }  # fmt: skip
        return {
            "type": "object",
            "properties": {"calls": calls},
            "required": ["calls"],
            "additionalProperties": False,
        }

    def _read(self, value: Mapping[str, Any]) -> tuple[tuple[Call, ...], str]:
        """The calls of a reply and what is wrong with them."""
        whole = replace(self._part.space, parallel=self.config.longest_plan)
        try:
            calls = whole.calls({"calls": value.get("calls")})
            for call in calls:
                tool = self._part.space.tool(call.tool)
                asked = references(call.arguments)
                unknown = sorted(asked - {other.id for other in calls})
                if unknown:
                    return (), f"call {call.id!r} refers to {unknown}, which the plan does not have"
                if not asked and (problem := tool.check_arguments(call.arguments)):
                    return (), f"call {call.id!r}, {call.tool}: {problem}"
            # A call comes after what it refers to, whether or not the plan says so.
            full = tuple(
                replace(
                    call,
                    after=(*dict.fromkeys((*call.after, *sorted(references(call.arguments)))),),
                )
                for call in calls
            )
            check_order(full)
        except (ValueError, KeyError) as error:
            return (), str(error.args[0])
        return full, ""

    def _batch(self, memory: PlanMemory) -> tuple[tuple[Call, ...], str]:
        """The calls of the plan that can be made now, references filled in, or why there are none:
        a reference leads nowhere, or to what the tool does not take."""
        values = {id: json.loads(text) for id, text in memory.values}
        ready = [call for call in memory.plan if all(id in values for id in call.after)]
        answer = self._answer.name if self._answer is not None else ""
        if len(ready) > 1:  # the answer ends the episode, so it goes alone
            ready = [call for call in ready if call.tool != answer] or ready[:1]
        filled = [self._filled(call, values) for call in ready[: self._part.space.parallel]]
        problems = [(call, self._part.space.check_call(call)) for call in filled]
        good = tuple(call for call, problem in problems if not problem)
        bad = [
            f"{call.id}: failed: {call.tool}: {problem}" for call, problem in problems if problem
        ]
        return good, "" if good or not bad else "\n".join(bad)

    def _filled(self, call: Call, values: Mapping[str, Any]) -> Call:
        """A call with its references replaced; what is put where a text is wanted becomes one."""
        schema = self._part.space.tool(call.tool).input_schema
        kinds = cast("Mapping[str, Mapping[str, Any]]", schema.get("properties", {}))
        given = cast("dict[str, Any]", fill(call.arguments, values))
        for name, value in given.items():
            if not isinstance(value, str) and kinds.get(name, {}).get("type") == "string":
                given[name] = compact(value)
        return Call(tool=call.tool, arguments=given, id=call.id)


def read_results(text: str, count: int) -> list[CallResult]:
    """What a world said of ``count`` calls, as JSON: ``{"value": ...}`` or ``{"failure": ...}`` of
    one, ``{"results": [...]}`` of several. Other words are the value of one call, or the failure of
    all of several."""
    try:
        said = json.loads(text)
        listed = [said] if count == 1 else said["results"]
        results = [result_from_dict(one) for one in listed]
        if len(results) == count:
            return results
    except (ValueError, KeyError, TypeError):
        pass
    if count == 1:
        refused = text.startswith(("invalid action", "rejected"))
        return [Failure(kind="invalid", message=text) if refused else Returned(value=text)]
    return [Failure(kind="invalid", message=shorten(text, 300))] * count
