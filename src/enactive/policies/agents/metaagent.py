"""MetaAgent: reason or ask for help, route the request to a tool, reflect, learn.

MetaAgent (qhjqhj00/MetaAgent at c90d6dd). The reasoner writes until it asks for help in words or
gives an answer. A router, which may be a smaller model, turns a request into a tool and a list of
inputs; its reply is JSON that is checked against the tools' schemas and never evaluated. What tools
return comes back as evidence, condensed where it is long. An answer is reflected on: accepted, or
the work begins again with the critique. What is carried to the next task is
:mod:`~enactive.policies.agents.experience`, which a planner is given and does not change.

Differences from the paper's code: the router's reply is not passed to ``eval``; lessons come after
the score; a local store answers in the planner, without a server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.tokens import ActionToken
from enactive.actions.tools import Call, Tool, ToolSpace
from enactive.models.language_models.language_model import LanguageModel, Message, Request
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.experience import Experience
from enactive.policies.agents.prompts import (
    answer_call,
    answer_tool,
    cost_of,
    describe_tools,
    read_json,
    shorten,
)
from enactive.policies.agents.store import RECALL, recall_tool
from enactive.seeding import numpy_generator

REASONER = "You solve tasks by reasoning and by asking for help."
ROUTER = "You choose the tool that answers a request for help."
CONDENSER = "You take from a result what a request needs."
REFLECTOR = "You judge whether an answer follows from what was found."
"""Beginnings of the system messages, one a role."""

_SOURCES = {REASONER: "reasoner", ROUTER: "router", CONDENSER: "condenser", REFLECTOR: "reflector"}
"""Role to the source of its tokens: not the model's name, so that a replay makes the same ones."""

_REASON = """Write your reasoning. Where you lack something, ask for it in words and stop:
<help>what you need</help>
When you know the answer, give it and nothing else: <answer>...</answer>"""
_ROUTE = """Reply with JSON: {"tool": name, "inputs": [arguments, ...]}, at most %d inputs."""
_CONDENSE = """Repeat only what matters, or reply: nothing was found."""
_REFLECT = """Reply with JSON: {"verdict": "correct" or "incorrect", "answer": the answer in its
shortest form, "critique": what is wrong}."""
NOTHING = "nothing was found"


class NoRoute(ValueError):
    """A router's reply calls nothing that exists; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A request for help whose calls are under way."""

    request: str
    tool: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaAgentMemory:
    """What is remembered of an episode."""

    task: str
    seed: int
    trace: tuple[str, ...] = ()
    """What was thought, asked and found since the last restart."""
    statuses: int = 0
    """Turns of the reasoner so far."""
    used: tuple[str, ...] = ()
    """What the router was asked and did, oldest first."""
    pending: Pending | None = None
    answers: tuple[str, ...] = ()
    """Answers that reflection refused."""
    retrieved: tuple[str, ...] = ()
    """What tools that reach outside have returned: for the store."""
    external: int = 0
    """Calls of such tools."""
    unrouted: int = 0
    """Replies of the router that called nothing."""
    given: str = ""
    """The answer that was given."""


@dataclass(frozen=True, slots=True)
class MetaAgent:
    """The planner; made with ``MetaAgent.Config(...).build(model, space)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`MetaAgent`."""

        max_statuses: int = 15
        """Turns of the reasoner in an episode; then the last answer or none is given."""
        max_characters: int = 120_000
        """Of the trace; what is longer ends the episode in the same way."""
        max_inputs: int = 3
        """Calls that one request may become."""
        max_rounds: int = 3
        """Answers that reflection may refuse; then one of them is given, drawn at random."""
        condense_above: int = 1500
        """Characters of a result above which the model condenses it."""
        use_store: bool = True
        """Whether the router may ask the store, and the first request asks it with the task."""
        max_tokens: int = 512
        """Longest completion."""
        answer_tool: str = ""
        """Name of the tool that ends an episode; by default the one that is called so."""

        def build(
            self,
            model: LanguageModel,
            accepts: ActionSpace,
            *,
            router: LanguageModel | None = None,
            experience: Experience | None = None,
        ) -> MetaAgent:
            """The planner for worlds that accept ``accepts``.

            Args:
                model: reasons, condenses and reflects.
                accepts: the world's actions.
                router: chooses tools; by default ``model``.
                experience: from earlier tasks; by default none.

            Raises:
                ValueError: the actions are no calls of tools, none of which answers, or one is
                    called as the store's is.
            """
            if not isinstance(accepts, ToolSpace):
                raise ValueError(
                    f"metaagent calls tools; it cannot act in {type(accepts).__name__}"
                )
            if answer_tool(accepts.tools, self.answer_tool) is None:
                raise ValueError("answer_tool: no tool ends an episode; name one")
            if any(tool.name == RECALL for tool in accepts.tools):
                raise ValueError(f"a tool of the world is called {RECALL!r}, as the store's is")
            return MetaAgent(self, model, router or model, accepts, experience or Experience())

    config: Config
    model: LanguageModel
    router: LanguageModel
    space: ToolSpace
    experience: Experience

    @property
    def name(self) -> str:
        return f"metaagent ({self.model.name})"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        known = {"lessons": self.experience.lessons, "store": list(self.experience.store.texts)}
        models = {"model": dict(self.model.describe()), "router": dict(self.router.describe())}
        return {"policy": "metaagent", **asdict(self.config), **models, "experience": known}

    def begin(self, task: Task, seed: int) -> MetaAgentMemory:
        return MetaAgentMemory(task=task.instruction, seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[MetaAgentMemory]
    ) -> list[Decision]:
        return [
            _Turn(self, seen, memory).decide()
            for seen, memory in zip(observations, memories, strict=True)
        ]

    def tools(self) -> tuple[Tool, ...]:
        """What the router may choose from."""
        ending = answer_tool(self.space.tools, self.config.answer_tool)
        tools = [tool for tool in self.space.tools if tool is not ending]
        return (recall_tool(), *tools) if self.config.use_store else tuple(tools)


def route(reply: str, tools: Sequence[Tool], most: int) -> tuple[Call, ...]:
    """The calls that a router's reply makes. It is read as JSON and checked, never evaluated.

    Raises:
        NoRoute: it is none, names no tool, or gives inputs that the tool does not take.
    """
    try:
        said = read_json(reply)
    except ValueError as error:
        raise NoRoute(str(error)) from error
    if not isinstance(said, dict) or set(cast("dict[str, Any]", said)) != {"tool", "inputs"}:
        raise NoRoute("a route is a JSON object with 'tool' and 'inputs'")
    given = cast("dict[str, Any]", said)
    inputs = given["inputs"]
    if not isinstance(inputs, list) or not 1 <= len(cast("list[Any]", inputs)) <= most:
        raise NoRoute(f"'inputs' is a list of 1 to {most} objects of arguments")
    tool = next((tool for tool in tools if tool.name == given["tool"]), None)
    if tool is None:
        raise NoRoute(f"no tool is called {given['tool']!r}")
    calls: list[Call] = []
    for place, arguments in enumerate(cast("list[Any]", inputs)):
        if not isinstance(arguments, dict):
            raise NoRoute(f"inputs[{place}] is no object of arguments")
        if problem := tool.check_arguments(arguments):
            raise NoRoute(f"inputs[{place}]: {problem}")
        calls.append(Call(tool=tool.name, arguments=cast("dict[str, Any]", arguments),
                          id=str(place)))  # fmt: skip
    return tuple(calls)


def _within(said: str, mark: str) -> str:
    """What stands behind a mark, to its end mark where a model went on past it."""
    return said.rpartition(mark)[2].partition("</")[0].strip()


class _Turn:
    """One decision."""

    def __init__(self, agent: MetaAgent, seen: Observation, memory: MetaAgentMemory) -> None:
        self.agent, self.config = agent, agent.config
        self.memory = memory if memory.task else replace(memory, task=seen.instruction)
        self.seen = seen
        self.tokens: list[ActionToken] = []
        self.cost = Cost()

    def decide(self) -> Decision:
        if self.memory.pending is not None:
            self._take(self.memory.pending)
        while True:
            memory = self.memory
            long = sum(map(len, memory.trace)) > self.config.max_characters
            if memory.statuses >= self.config.max_statuses or long:
                return self._answer(memory.answers[-1] if memory.answers else "unknown")
            said = self._reason()
            if "<answer>" in said:
                accepted = self._reflect(_within(said, "<answer>"))
                if accepted is not None:
                    return self._answer(accepted)
            elif "<help>" in said:
                calls = self._route(_within(said, "<help>"))
                if calls:
                    return self._call(calls)
            else:
                self._note("(Neither a request for help nor an answer: give one of them.)")

    def _ask(self, model: LanguageModel, role: str, rules: str, text: str,
             stop: tuple[str, ...] = ()) -> str:  # fmt: skip
        request = Request(
            messages=(
                Message(role="system", content=f"{role}\n{rules}"),
                Message(role="user", content=text),
            ),
            max_tokens=self.config.max_tokens,
            stop=stop,
        )
        reply = model.complete(request)
        self.cost += cost_of(reply.usage)
        parents = (self.tokens[-1].id,) if self.tokens else ()
        kind = "reasoning" if role == REASONER else "language"
        self.tokens.append(
            ActionToken(
                id=f"t{len(self.tokens)}", kind=kind, content=reply.text, parents=parents,
                source=_SOURCES[role],
            )
        )  # fmt: skip
        return reply.text

    def _note(self, *blocks: str) -> None:
        self.memory = replace(self.memory, trace=(*self.memory.trace, *blocks))

    def _reason(self) -> str:
        memory = self.memory
        lessons = self.agent.experience.lessons
        parts = [f"Lessons from earlier tasks:\n{lessons}"] if lessons else []
        parts += [f"Task: {memory.task}", *memory.trace]
        parts += [f"(Help was asked for {memory.statuses} times; "
                  f"{self.config.max_statuses - memory.statuses} turns are left.)"]  # fmt: skip
        said = self._ask(
            self.agent.model, REASONER, _REASON, "\n".join(parts), ("</help>", "</answer>")
        )
        self.memory = replace(memory, statuses=memory.statuses + 1)
        self._note(said)
        return said

    def _route(self, request: str) -> tuple[Call, ...]:
        """The calls of a request that go to the world; the store answers by itself."""
        agent, memory = self.agent, self.memory
        store = agent.experience.store
        if self.config.use_store and store.texts and not memory.used:
            self._evidence("the store, asked with the task", "\n".join(store.search(memory.task)))
        tools = agent.tools()
        lessons = agent.experience.lessons
        parts = [f"Tools:\n{describe_tools(tools)}", f"Lessons:\n{lessons}" if lessons else "",
                 "Before:\n" + ("\n".join(self.memory.used) or "(nothing)"),
                 f"Request: {request}"]  # fmt: skip
        reply = self._ask(agent.router, ROUTER, _ROUTE % self.config.max_inputs, "\n".join(parts))
        try:
            calls = route(reply, tools, self.config.max_inputs)
        except NoRoute as problem:
            self._evidence(request, f"the request could not be routed: {problem}")
            # Said, so that the next prompt is another one and the router may do better.
            used = (*self.memory.used, f"{request} -> (not routed: {problem})")
            self.memory = replace(self.memory, used=used, unrouted=self.memory.unrouted + 1)
            return ()
        shown = json.dumps([dict(call.arguments) for call in calls], ensure_ascii=False)
        self.memory = replace(
            self.memory, used=(*self.memory.used, f"{request} -> {calls[0].tool} {shown}")
        )
        if calls[0].tool == RECALL:
            found = [text for call in calls for text in store.search(str(call.arguments["query"]))]
            self._evidence(request, "\n".join(dict.fromkeys(found)))
            return ()
        self.memory = replace(
            self.memory,
            pending=Pending(request=request, tool=calls[0].tool, count=len(calls)),
        )
        return calls

    def _take(self, pending: Pending) -> None:
        """What calls returned, as evidence."""
        text = self.seen.text or ""
        memory = replace(self.memory, pending=None)
        effects = self.agent.space.tool(pending.tool).effects
        if effects.open_world:
            memory = replace(memory, external=memory.external + pending.count)
        if effects.open_world and effects.read_only:
            memory = replace(memory, retrieved=(*memory.retrieved, text))
        self.memory = memory
        if len(text) > self.config.condense_above:
            asked = f"Request: {pending.request}\nResult:\n{shorten(text, 30_000)}"
            text = self._ask(self.agent.model, CONDENSER, _CONDENSE, asked)
        self._evidence(pending.request, text)

    def _evidence(self, request: str, text: str) -> None:
        self._note(f"<evidence for={json.dumps(request, ensure_ascii=False)}>\n"
                   f"{text.strip() or NOTHING}\n</evidence>")  # fmt: skip

    def _reflect(self, answer: str) -> str | None:
        """The answer to give; None where the work begins again."""
        memory = self.memory
        text = "\n".join([f"Task: {memory.task}", *memory.trace, f"Answer: {answer}"])
        reply = self._ask(self.agent.model, REFLECTOR, _REFLECT, text)
        try:
            said = read_json(reply)
        except ValueError:
            return answer  # a judgement that cannot be read is none
        judged = cast("dict[str, Any]", said if isinstance(said, dict) else {})
        if judged.get("verdict") != "incorrect":
            short = judged.get("answer")
            return short if isinstance(short, str) and short.strip() else answer
        answers = (*memory.answers, answer)
        if len(answers) > self.config.max_rounds:
            generator = numpy_generator(memory.seed, "metaagent", "earlier answer")
            return answers[int(generator.integers(len(answers)))]
        critique = f"(An earlier attempt answered {answer!r}. Critique: {judged.get('critique')})"
        self.memory = replace(memory, answers=answers, trace=(critique,), used=())
        return None

    def _call(self, calls: tuple[Call, ...]) -> Decision:
        kept = calls[: self.agent.space.parallel]
        if self.memory.pending is not None:
            self.memory = replace(
                self.memory, pending=replace(self.memory.pending, count=len(kept))
            )
        if len(kept) == 1:
            return self._done({"tool": kept[0].tool, "arguments": dict(kept[0].arguments)})
        return self._done({"calls": [call.to_dict() for call in kept]})

    def _answer(self, text: str) -> Decision:
        ending = answer_tool(self.agent.space.tools, self.config.answer_tool)
        assert ending is not None  # build() has refused spaces without one
        self.memory = replace(self.memory, given=text)
        return self._done(answer_call(ending, text))

    def _done(self, action: Any) -> Decision:
        parents = (self.tokens[-1].id,) if self.tokens else ()
        raw = ActionToken(id="action", kind="raw", content=action, parents=parents,
                          source="metaagent")  # fmt: skip
        chain = Chain((*self.tokens, raw))
        return Decision(action=action, chain=chain, cost=self.cost, memory=self.memory)
