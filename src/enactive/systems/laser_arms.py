"""What the Laser claim exchanges: free text for symbols, a transcript for slots.

And the proposer: a scripted language model that knows nothing but the text that it is shown. It
reads names, documents and its own conclusions out of the prompt with patterns, does the next thing
that is missing, and makes mistakes at stated rates. What a memory has dropped it cannot know.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

import numpy as np

from enactive.actions.tools import Call, ToolSpace
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.policies.agents.laser_grammar import Act, NoAct
from enactive.policies.agents.prompts import Turn, fit, shorten
from enactive.systems.laser_search import NAME

MALFORMED = 0.05
"""Share of the replies that are no action, in either language."""
MISREAD = 0.01
"""Share of the conclusions that name somebody else of the same document."""

PROSE_RULES = """Think aloud, then say what you do. One reply does one thing:
say what you need to find, with short ids in parentheses;
say which tool you use, with which arguments as JSON, and for which id;
say what you learn, for which id, and from where;
or say your final answer."""

_PROSE = (
    ("CHECK", re.compile(r"sure about (?P<id>\w+), I will once more use (?P<tool>\w+) with "
                         r"(?P<json>\{.*\})")),
    ("CALL", re.compile(r"use (?P<tool>\w+) with (?P<json>\{.*?\}) to work on (?P<id>\w+)")),
    ("CONCLUDE", re.compile(r"From (?P<where>\w+) I learn that .* \((?P<id>\w+)\) is "
                            r"(?P<name>.+?)\.")),
    ("ANSWER", re.compile(r"my final answer is: (?P<answer>.+)\.")),
)  # fmt: skip
_GOAL = re.compile(r"I need to find the (.+?) \((\w+)\)")


@dataclass(frozen=True, slots=True)
class Prose:
    """Free text, from which the action is read by what its sentences are made of."""

    rules: str = PROSE_RULES

    def parse(self, reply: str, space: ToolSpace) -> Act:
        """The action that a reply says; raises :class:`NoAct`."""
        if goals := _GOAL.findall(reply):
            return Act(verb="PLAN", goals=tuple((id, words) for words, id in goals))
        for verb, form in _PROSE:
            if found := form.search(reply):
                said = found.groupdict()
                if verb == "ANSWER":
                    return Act(verb=verb, text=said["answer"])
                if verb == "CONCLUDE":
                    return Act(verb=verb, about=said["id"], text=said["name"],
                               evidence=said["where"])  # fmt: skip
                call = Call(tool=said["tool"], arguments=json.loads(said["json"]))
                if problem := space.check_call(call):
                    raise NoAct(problem)
                return Act(verb=verb, about=said["id"], call=call)
        raise NoAct("the reply does not say what to do")


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything that was said and returned, as much of it as fits.

    Where it does not fit, the oldest results are left out first and the oldest turns after them;
    the task is not part of it and always stays.
    """

    def begin(self) -> tuple[Turn, ...]:
        """Nothing yet."""
        return ()

    def add(self, state: tuple[Turn, ...], act: Act, said: str, result: str) -> tuple[Turn, ...]:
        """One more turn."""
        return (*state, Turn(said=said, result=result))

    def refuse(self, state: tuple[Turn, ...], said: str) -> tuple[Turn, ...]:
        """A turn like any other."""
        return (*state, Turn(said=said, result="(not understood)"))

    def render(self, state: tuple[Turn, ...], limit: int) -> str:
        """The turns as text."""
        around = 4  # characters that each turn takes besides its own
        kept = fit(state, limit - around * len(state))
        return shorten("\n".join(f"> {t.said}\n{t.result}" for t in kept), limit)


# ------------------------------------------------------------------------------- the proposer


def proposer(seed: int, *, checks: bool) -> Scripted:
    """The scripted model.

    Args:
        seed: of its mistakes.
        checks: read every conclusion's source again until two readings agree.
    """

    def answer(request: Request) -> str:
        said = "\n".join(message.content for message in request.messages)
        digest = hashlib.blake2b(f"{seed}\n{said}".encode(), digest_size=8).digest()
        generator = np.random.default_rng(int.from_bytes(digest))
        speaks = _InProse() if PROSE_RULES in said else _InSymbols()
        reply = _next(_View(request.messages[-1].content), speaks, checks, generator)
        return speaks.garbled(reply) if generator.random() < MALFORMED else reply

    rates = {"malformed": MALFORMED, "misread": MISREAD, "checks": checks, "seed": seed}
    return Scripted(name="scripted searcher", answer=answer, settings=rates)


_SAID = re.compile(rf"> (?:CONCLUDE |.*I learn that .* \()(\w+)(?:: |\) is )({NAME})")
"""A conclusion in a transcript, in either language."""


class _View:
    """What the text of a prompt says."""

    def __init__(self, text: str) -> None:
        task, _, self.text = text.partition("\n")
        chains = re.findall(rf"((?:the [a-z]+ of )+)({NAME})", task)
        self.chains = [
            (name, re.findall(r"the ([a-z]+) of", words)[::-1]) for words, name in chains
        ]
        turn = re.findall(r"Turn (\d+) of (\d+)\.", text)[-1]
        self.turn, self.turns = int(turn[0]), int(turn[1])
        found = re.findall(rf'"id": "(\w+)", "title": "({NAME})"', self.text)
        self.ids = {title: id for id, title in found}
        pages = re.findall(rf'"text": "([^"]*)", "title": "({NAME})"', self.text)
        self.pages = {title: page for page, title in pages}
        opened = re.findall(r'open_document (?:with )?\{"id": "(\w+)"\}', self.text)
        self.opened = opened[-1] if opened else "page"
        self.readings: dict[str, dict[str, int]] = {}
        self.sources: dict[str, str] = {}
        for line in self.text.splitlines():
            if found := re.match(r"- (\w+) = .*? -> (.*)", line):
                said = re.findall(rf"({NAME}) \((\w+)(?:, (\d+) times)?\)", found[2])
                for name, source, times in said:
                    self.readings.setdefault(found[1], {})[name] = int(times or 1)
                    self.sources[found[1]] = source
            elif found := _SAID.match(line):
                self.readings[found[1]] = {found[2]: 1}
        checks = re.findall(r"Last: CHECK (\w+):", self.text)
        self.checked = checks[-1] if checks else ""
        # A register without a plan: the one that was written was not understood.
        self.unplanned = self.text.startswith("Plan and findings:") and "\n- " not in self.text

    def page(self, name: str) -> str | None:
        """The text about somebody, where it is in view."""
        return self.pages.get(name)


def _related(page: str, name: str, relation: str) -> str | None:
    for form in (
        rf"The {relation} of {name} is ({NAME})", rf"({NAME}) is the {relation} of {name}",
        rf"As {relation}, {name} has ({NAME})",
    ):  # fmt: skip
        if found := re.search(form, page):
            return found[1]
    return None


def _next(
    view: _View, speaks: _InSymbols | _InProse, checks: bool, generator: np.random.Generator
) -> str:
    """The next thing that is missing, as far as the view shows it."""
    if view.turn == 1 or view.unplanned:
        goals: list[tuple[str, str]] = []
        for letter, (start, steps) in zip("abcd", view.chains, strict=False):
            for hop, relation in enumerate(steps, start=1):
                before = start if hop == 1 else f"{letter}{hop - 1}"
                goals.append((f"{letter}{hop}", f"{relation} of {before}"))
        return speaks.plan(goals)
    ends: list[str] = []
    for letter, (start, steps) in zip("abcd", view.chains, strict=False):
        at = start
        for hop, relation in enumerate(steps, start=1):
            id = f"{letter}{hop}"
            readings = view.readings.get(id, {})
            settled = [n for n, times in readings.items() if times >= (2 if checks else 1)]
            if settled:
                at = max(readings, key=lambda name: readings[name])
                continue
            if view.turn < view.turns:
                return _work(view, speaks, id, at, relation, bool(readings), generator)
            break
        else:
            ends.append(at)
    return speaks.answer(", ".join(ends) or "unknown")


def _work(
    view: _View,
    speaks: _InSymbols | _InProse,
    id: str,
    at: str,
    relation: str,
    again: bool,
    generator: np.random.Generator,
) -> str:
    page = view.page(at)
    if page is not None and (not again or view.checked == id):
        others = [name for name in dict.fromkeys(re.findall(NAME, page)) if name != at]
        found = _related(page, at, relation)
        if found is None or generator.random() < MISREAD:
            found = others[int(generator.integers(len(others)))]
        return speaks.conclude(id, f"{relation} of {at}", found, view.opened)
    if again:
        return speaks.call(id, "open_document", {"id": view.sources[id]}, again)
    if at in view.ids:
        return speaks.call(id, "open_document", {"id": view.ids[at]}, again)
    return speaks.call(id, "search_documents", {"query": at}, again)


class _InSymbols:
    """Laser's language."""

    def plan(self, goals: list[tuple[str, str]]) -> str:
        return "PLAN: " + " | ".join(f"{id} = {text}" for id, text in goals)

    def call(self, id: str, tool: str, arguments: dict[str, str], again: bool) -> str:
        return f"{'CHECK' if again else 'CALL'} {id}: {tool} {json.dumps(arguments)}"

    def conclude(self, id: str, what: str, name: str, where: str) -> str:
        return f"CONCLUDE {id}: {name} ({where})"

    def answer(self, text: str) -> str:
        return f"ANSWER: {text}"

    def garbled(self, reply: str) -> str:
        return reply.replace(":", "", 1)


class _InProse:
    """The same things said in sentences, as models do that think aloud."""

    def plan(self, goals: list[tuple[str, str]]) -> str:
        said = " ".join(f"I need to find the {text} ({id})." for id, text in goals)
        return f"Let me think about what is asked and take it apart step by step. {said}"

    def call(self, id: str, tool: str, arguments: dict[str, str], again: bool) -> str:
        if again:
            return (f"To be sure about {id}, I will once more use {tool} with "
                    f"{json.dumps(arguments)} and compare it with what I had.")  # fmt: skip
        return (f"I do not know this yet, so the next thing is to look it up. I will use {tool} "
                f"with {json.dumps(arguments)} to work on {id}.")  # fmt: skip

    def conclude(self, id: str, what: str, name: str, where: str) -> str:
        return (f"That is what I was looking for. From {where} I learn that the {what} ({id}) is "
                f"{name}. With this I can go on.")  # fmt: skip

    def answer(self, text: str) -> str:
        return f"I have found everything that was asked for, so my final answer is: {text}."

    def garbled(self, reply: str) -> str:
        return "Let me think about where this could be found, and then go on from there."
