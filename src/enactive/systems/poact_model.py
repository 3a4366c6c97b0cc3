"""The scripted model of the PoAct claim: it knows the tools, and errs at rates that are declared.

It reads its prompt and nothing else: the task, the plan, the results and the tools that it is
shown. Which tool it takes follows from what it sees: each shown tool looks as fit as it is, plus
noise, and the fittest looking is taken, so that longer lists and more like tools mislead more
often. Every draw follows from the seed and the prompt.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass, field

import numpy as np

from enactive.models.language_models.language_model import Request
from enactive.seeding import numpy_generator
from enactive.systems.poact_tools import Catalogue, Maker

NOISE = 0.3
"""Standard deviation of how fit a tool looks; one that does what is needed is 1."""
HALF = 0.4
"""How fit a tool is that takes the right kind or gives it, but not both."""
DOUBT = 0.6
"""Below it no tool is taken: the model asks for others, or stops its program there."""
PLAN_WRONG = 0.1
"""Chance that a step of a plan is wrong."""
WANDER = 0.15
"""Chance, for each step after the next, that without a plan the next one leads astray."""
REPEAT = 0.5
"""Chance that a choice which went wrong is made again; a thought in between makes it less."""
REPEAT_THOUGHT = 0.1
CAUGHT = 0.8
"""Chance that the reviewer sees that the path has left the way, or a plan that is wrong."""
ALARM = 0.05
"""Chance that it sees it where it is not so."""

_THING = re.compile(r"\b([a-z]+:\d+)\b")
_TOOL = re.compile(r"^(?:def )?([a-z]+_\d{3})\(", re.MULTILINE)
_STEP = re.compile(r"^\d+\. Turn the (\w+) into a (\w+)", re.MULTILINE)


@dataclass(slots=True)
class Proposer:
    """Answers the stages of :class:`enactive.policies.agents.poact.PoAct` for one task."""

    made: Catalogue
    seed: int
    asked: int = 0
    """Times that a first list of tools was shown."""
    there: int = 0
    """Times that the tool for the next step was in it."""
    reviews: int = 0
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    """Tokens by stage, read and written."""
    counted: set[str] = field(default_factory=set[str])
    """Decisions whose first list was looked at."""

    def __call__(self, request: Request) -> str:
        """The reply."""
        words = request.messages[-1].content
        seen = _Seen.of(request)
        stage = words.partition("Stage: ")[2].split(".")[0]
        text = "\n".join(message.content for message in request.messages)
        draw = numpy_generator(self.seed, "poact", stage, _digest(text))
        reply = {
            "plan": self._plan, "think": self._think, "review": self._review, "act": self._act,
        }[stage](seen, draw)  # fmt: skip
        self.tokens[stage] = self.tokens.get(stage, 0) + (len(text) + len(reply)) // 4
        return reply

    def _plan(self, seen: _Seen, draw: np.random.Generator) -> str:
        way = self.made.route(seen.kind, seen.goal) or [seen.kind, seen.goal]
        kinds = sorted({one.takes for one in self.made.makers.values()})
        for i in range(1, len(way) - 1):
            if draw.random() < PLAN_WRONG:
                way[i] = kinds[int(draw.integers(len(kinds)))]
        steps = itertools.pairwise(way)
        return "\n".join(f"{i}. Turn the {a} into a {b}." for i, (a, b) in enumerate(steps, 1))

    def _think(self, seen: _Seen, draw: np.random.Generator) -> str:
        return (f"The last tool does not do what is needed. There is {seen.thing} now, and a "
                f"{seen.goal} is wanted: look for another tool.")  # fmt: skip

    def _review(self, seen: _Seen, draw: np.random.Generator) -> str:
        self.reviews += 1
        wrong_plan = any(self.made.between(a, b) is None for a, b in seen.plan)
        first = self.made.route(seen.start, seen.goal) or []
        left = self.made.route(seen.kind, seen.goal)
        far = left is None or len(left) > len(first)
        if wrong_plan and draw.random() < CAUGHT:
            return "replan: a step of the plan cannot be done"
        if far and draw.random() < CAUGHT:
            return f"rollback 1: {seen.thing} leads away from a {seen.goal}"
        return "rollback 1: something is odd" if draw.random() < ALARM else "continue"

    def _act(self, seen: _Seen, draw: np.random.Generator) -> str:
        if seen.kind == seen.goal:
            return self._written(seen, [], seen.thing)
        steps = self._steps(seen, draw)
        gold = self.made.between(*steps[0])
        decision = f"{seen.tries} {seen.notes}"
        if gold is not None and decision not in self.counted:
            self.counted.add(decision)
            self.asked += 1
            self.there += gold.name in seen.tools
        last = draw.random() < (REPEAT_THOUGHT if seen.thought else REPEAT)
        key = f"{max(seen.tries - last, 0)} {_digest(seen.notes) if seen.taken_back else ''}"
        chosen: list[Maker] = []
        for takes, gives in steps if seen.code else steps[:1]:
            maker = self._choose(seen.tools, takes, gives, key)
            if maker is None:
                break
            chosen.append(maker)
        if not chosen and seen.may_ask:
            return f"NEED: Makes a {steps[0][1]} out of a {steps[0][0]}."
        if not chosen:  # nothing looks fit, and there is nobody to ask
            names = sorted(seen.tools) or [*self.made.makers]
            chosen = [self.made.makers[names[int(draw.integers(len(names)))]]]
        return self._written(seen, chosen, "")

    def _steps(self, seen: _Seen, draw: np.random.Generator) -> list[tuple[str, str]]:
        """What is to be done, as it seems: along the plan where there is one that fits."""
        here = [i for i, (a, _) in enumerate(seen.plan) if a == seen.kind]
        if here:
            return seen.plan[here[0] :]
        way = self.made.route(seen.kind, seen.goal) or [seen.kind, seen.goal]
        for i in range(1, len(way) - 1):
            if draw.random() < WANDER * (len(way) - 1 - i):
                onward = self.made.onward(way[i - 1])
                astray = onward[int(draw.integers(len(onward)))].gives
                rest = self.made.route(astray, seen.goal) or [astray, seen.goal]
                way = [*way[:i], *rest]
                break
        return [*itertools.pairwise(way)]

    def _choose(self, tools: frozenset[str], takes: str, gives: str, key: str) -> Maker | None:
        best, fitness = None, DOUBT
        for name in sorted(tools):
            maker = self.made.makers[name]
            alike = (maker.takes == takes) + (maker.gives == gives)
            draw = numpy_generator(self.seed, "fit", takes, gives, name, key)
            looks = (0.0, HALF, 1.0)[alike] + NOISE * float(draw.standard_normal())
            if looks > fitness:
                best, fitness = maker, looks
        return best

    def _written(self, seen: _Seen, chosen: list[Maker], answer: str) -> str:
        if not seen.code:
            call = (
                {"tool": chosen[0].name, "arguments": {"thing": seen.thing}}
                if chosen
                else {"tool": "answer", "arguments": {"text": answer}}
            )
            return json.dumps(call)
        if not chosen:
            return f'```\nanswer("{answer}")\n```'
        lines = [f'a = "{seen.thing}"']
        for maker in chosen:
            lines += [f"a = {maker.name}(a)", "print(a)"]
        lines += [f'if a.startswith("{seen.goal}:"):', "    answer(a)"]
        return "```\n" + "\n".join(lines) + "\n```"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What a prompt says."""

    start: str
    goal: str
    thing: str
    """The last thing that was made."""
    plan: list[tuple[str, str]]
    tools: frozenset[str]
    tries: int
    notes: str
    thought: bool
    taken_back: bool
    code: bool
    may_ask: bool

    @property
    def kind(self) -> str:
        return self.thing.partition(":")[0]

    @classmethod
    def of(cls, request: Request) -> _Seen:
        system, task, *rest = request.messages
        found = re.search(r"Turn (\w+):(\d+) into a (\w+)", task.content)
        assert found is not None, task.content
        thing = f"{found[1]}:{found[2]}"
        for message in rest:
            if message.role == "tool" and (things := _THING.findall(message.content)):
                thing = things[-1]
        notes = rest[-2].content if len(rest) > 1 and rest[-2].role == "user" else ""
        words = rest[-1].content
        return cls(
            start=found[1],
            goal=found[3],
            thing=thing,
            plan=_STEP.findall(notes),
            tools=frozenset(_TOOL.findall(system.content)),
            tries=sum(message.role == "assistant" for message in rest),
            notes=notes,
            thought="look for another tool" in notes,
            taken_back="taken back" in notes or "was dropped" in notes,
            code="Python" in words,
            may_ask="NEED:" in words,
        )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
