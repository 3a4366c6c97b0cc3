"""The stream of the MetaAgent claim: errands in a catalogue, and the scripted models that run them.

An errand asks for one fact about one article. The article's code stands on a page that only a call
to the outside finds; a tool tells the fact by code. Half of the tools mislead: what they say is in
another unit, or counted in another way, than their description lets one expect, always in the same
way. Nothing in an episode tells; only the score does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.actions.tools import Effects
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.policies.agents.experience import LESSONS_ROLE
from enactive.policies.agents.metaagent import REASONER, REFLECTOR, ROUTER
from enactive.policies.agents.store import RECALL
from enactive.seeding import numpy_generator
from enactive.worlds.workspace.answers import judge_number
from enactive.worlds.workspace.problem import (
    Apply,
    Domain,
    Level,
    Operation,
    Problem,
    State,
    Wordings,
    call,
    pick,
    reads,
    text,
)

SLIP = 0.05
"""Share of the answers that are miscalculated."""
CAUGHT = 0.8
"""Share of the miscalculations that reflection catches."""
ALARM = 0.03
"""Share of the right calculations that reflection refuses."""
MISROUTED = 0.05
"""Share of the router's replies that are no route."""
UNDERSTOOD = 0.6
"""Share of the wrong answers from which the right lesson can be drawn, once the truth is told."""
MISUNDERSTOOD = 0.1
"""Share of the drawn lessons that say the wrong thing."""
FORGOTTEN = 0.02
"""Chance at each rewriting that one lesson is lost."""
GOSSIP = 0.2
"""Chance at each rewriting that something about the task itself is written down."""

RULES: Mapping[str, Callable[[float], float]] = {
    "divide what it says by 100": lambda value: value / 100,
    "divide what it says by 1000": lambda value: value / 1000,
    "add 1 to what it says": lambda value: value + 1,
    "multiply what it says by 12": lambda value: value * 12,
    "take what it says from 100": lambda value: 100 - value,
}
"""What can be done to what a tool says, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A kind of errand."""

    tool: str
    description: str
    question: str
    rule: str = ""
    """What must be done to what the tool says, one of :data:`RULES`; empty for nothing."""

    def right(self, value: float) -> float:
        """The right answer where the tool says ``value``."""
        return RULES[self.rule](value) if self.rule else value


FAMILIES = (
    Family(tool="price_of", description="The price of an article.",
           question="How many euros does the '{item}' cost?", rule="divide what it says by 100"),
    Family(tool="weight_of", description="The weight of an article.",
           question="How many kilograms does the '{item}' weigh?",
           rule="divide what it says by 1000"),
    Family(tool="wait_for", description="The days until an article arrives.",
           question="In how many days does the '{item}' arrive?", rule="add 1 to what it says"),
    Family(tool="stock_of", description="How much of an article is left.",
           question="How many pieces of the '{item}' are left?",
           rule="multiply what it says by 12"),
    Family(tool="height_of", description="The height of an article in centimetres.",
           question="How many centimetres high is the '{item}'?"),
    Family(tool="year_of", description="The year of an article's design.",
           question="In which year was the '{item}' designed?"),
    Family(tool="sales_of", description="How many of an article were sold.",
           question="How many of the '{item}' were sold?"),
    Family(tool="parts_of", description="How many parts an article has.",
           question="Of how many parts is the '{item}' made?"),
)  # fmt: skip
"""Four with a pitfall, four without."""

ITEMS = tuple(
    f"{kind} {noun}"
    for noun in ("chair", "lamp", "desk", "bench", "shelf", "stool", "clock", "vase")
    for kind in ("tall", "small", "heavy", "round", "plain")
)
"""Articles, the one that is asked for most first."""


def _catalogue() -> dict[str, dict[str, Any]]:
    """Article to its code and what each tool says of it: the same in every episode."""
    generator = numpy_generator(0, "errands")
    codes: list[int] = generator.permutation(np.arange(100, 1000))[: len(ITEMS)].tolist()
    return {
        item: {
            "code": f"K{code}",
            **{family.tool: int(generator.integers(120, 9000)) for family in FAMILIES},
        }
        for item, code in zip(ITEMS, codes, strict=True)
    }


CATALOGUE = _catalogue()


def _search(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    wanted = set(re.findall(r"[a-z]+", arguments["query"]))
    best = max(ITEMS, key=lambda item: len(wanted & set(item.split())))
    if not wanted & set(best.split()):
        raise ToolError("no page has any of these words")
    code = CATALOGUE[best]["code"]
    return {"title": best, "text": f"The article '{best}' has the code {code}."}


def _tells(family: Family) -> Apply:
    by_code = {one["code"]: one[family.tool] for one in CATALOGUE.values()}

    def apply(state: State, arguments: Mapping[str, Any], key: str) -> Any:
        if arguments["code"] not in by_code:
            raise ToolError(f"there is no article with the code {arguments['code']!r}")
        return by_code[arguments["code"]]

    return apply


_PAGES = reads(
    "search_pages", "The page that says most about a query, from the outside.",
    {"query": text("words", examples=["tall lamp"])}, _search,
)  # fmt: skip
_OUTSIDE = Operation(
    tool=replace(_PAGES.tool, effects=Effects(read_only=True, open_world=True)), apply=_PAGES.apply
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """An errand; articles are asked for as often as one over their rank."""
    family = pick(generator, FAMILIES)
    weights = 1 / np.arange(1, len(ITEMS) + 1)
    item = ITEMS[int(generator.choice(len(ITEMS), p=weights / weights.sum()))]
    one = CATALOGUE[item]
    right = family.right(one[family.tool])
    question = (family.question,)
    return Problem(
        wordings=Wordings(training=question, held_out=question),
        fields={"item": item},
        state={},
        solution=(
            call("search_pages", query=item),
            call(family.tool, code=one["code"]),
            call("answer", text=f"{right:g}"),
        ),
        judge=lambda state, answer: judge_number(answer, right, tolerance=1e-6, units={}, unit=""),
    )


ERRANDS = Domain(
    name="errands",
    operations=(
        _OUTSIDE,
        *(
            reads(
                family.tool, family.description,
                {"code": text("the article's code", 8, examples=["K123"])}, _tells(family),
            )
            for family in FAMILIES
        ),
    ),
    levels=(Level(max_steps=40, description="one fact about one article"),),
    generate=generate,
)  # fmt: skip


# ------------------------------------------------------------------------------ scripted models


def model(seed: int) -> Scripted:
    """The model in all its roles. It knows nothing but what its prompt says."""

    def answer(request: Request) -> str:
        system, user = (message.content for message in request.messages)
        digest = hashlib.blake2b(f"{seed}\n{system}\n{user}".encode(), digest_size=8).digest()
        generator = np.random.default_rng(int.from_bytes(digest))
        for role, speak in _ROLES.items():
            if system.startswith(role):
                return speak(user, generator)
        raise ValueError(f"no role begins {system[:40]!r}")

    rates = {"slip": SLIP, "caught": CAUGHT, "alarm": ALARM, "misrouted": MISROUTED,
             "understood": UNDERSTOOD, "misunderstood": MISUNDERSTOOD, "forgotten": FORGOTTEN,
             "gossip": GOSSIP, "seed": seed}  # fmt: skip
    return Scripted(name="scripted errands", answer=answer, settings=rates)


def _asked(text: str) -> tuple[Family, str]:
    task = re.findall(r"^Task: (.*)$", text, re.MULTILINE)[0]
    item = re.findall(r"'([a-z ]+)'", task)[0]
    family = next(one for one in FAMILIES if one.question.format(item=item) == task)
    return family, item


def _lesson(text: str, tool: str) -> str:
    """The rule that lessons in a text give for a tool; empty for none."""
    found = re.findall(rf"^{tool}: (.+)\.$", text, re.MULTILINE)
    return found[-1] if found and found[-1] in RULES else ""


def _value(text: str, tool: str) -> float | None:
    found = re.findall(
        rf'<evidence for="What does {tool} say for K\d+\?">\n\{{"value": (-?\d+)\}}', text
    )
    return float(found[-1]) if found else None


def _reason(text: str, generator: np.random.Generator) -> str:
    family, item = _asked(text)
    codes = re.findall(rf"The article '{item}' has the code (K\d+)\.", text)
    if not codes:
        return f"I need the code of the article first. <help>Which code has the article '{item}'?"
    value = _value(text, family.tool)
    if value is None:
        return (f"The code is {codes[-1]}, and {family.tool} should know. "
                f"<help>What does {family.tool} say for {codes[-1]}?")  # fmt: skip
    rule = _lesson(text, family.tool)
    result = RULES[rule](value) if rule else value
    said = result * 10 if generator.random() < SLIP else result
    how = f"A lesson says: {rule}. " if rule else ""
    return f"{family.tool} says {value:g}. {how}So it is {said!r}. <answer>{said!r}"


def _route(text: str, generator: np.random.Generator) -> str:
    request = text.rpartition("Request: ")[2]
    if generator.random() < MISROUTED:
        return "__import__('os').abort()"  # what a router's reply must never be passed to eval for
    if found := re.match(r"What does (\w+) say for (K\d+)\?", request):
        return json.dumps({"tool": found[1], "inputs": [{"code": found[2]}]})
    item = re.findall(r"'([a-z ]+)'", request)[0]
    tried = re.search(rf"'{item}'\? -> {RECALL} ", text) is not None
    has_store = re.search(rf"^{RECALL}\(", text, re.MULTILINE) is not None
    tool = RECALL if has_store and not tried else "search_pages"
    return json.dumps({"tool": tool, "inputs": [{"query": item}]})


def _reflect(text: str, generator: np.random.Generator) -> str:
    answer = text.rpartition("Answer: ")[2]
    said = re.findall(r"says ([\d.e+-]+)\. (?:A lesson says: ([^.]+)\. )?So it is", text)[-1]
    result = RULES[said[1]](float(said[0])) if said[1] else float(said[0])
    slipped = abs(float(answer) - result) > 1e-9 * abs(result)
    refused = generator.random() < (CAUGHT if slipped else ALARM)
    return json.dumps({
        "verdict": "incorrect" if refused else "correct",
        "answer": answer,
        "critique": "calculate it again" if refused else "",
    })  # fmt: skip


def _rewrite(text: str, generator: np.random.Generator) -> str:
    head, _, rest = text.partition("\nTask: ")
    lessons = [line for line in head.splitlines()[1:] if line != "(none)"]
    family, item = _asked(f"Task: {rest}")
    value = _value(rest, family.tool)
    truth = re.findall(r"^Right answer: (.+)$", rest, re.MULTILINE)
    wrong = "It was wrong." in rest
    if wrong and truth and value is not None and generator.random() < UNDERSTOOD:
        fits = [rule for rule, do in RULES.items() if abs(do(value) - float(truth[0])) < 1e-6]
        if fits and generator.random() < MISUNDERSTOOD:
            fits = [rule for rule in RULES if rule not in fits]
        lessons = [line for line in lessons if not line.startswith(f"{family.tool}:")]
        lessons += [f"{family.tool}: {pick(generator, fits)}."] if fits else []
    if lessons and generator.random() < FORGOTTEN:
        lessons.pop(int(generator.integers(len(lessons))))
    if generator.random() < GOSSIP:
        lessons.append(f"The '{item}' was asked for.")
    return "\n".join(lessons)


_ROLES: Mapping[str, Callable[[str, np.random.Generator], str]] = {
    REASONER: _reason,
    ROUTER: _route,
    REFLECTOR: _reflect,
    LESSONS_ROLE: _rewrite,
}
