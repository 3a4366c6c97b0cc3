"""Laser's language: one symbolic action a reply, in three families, parsed without guessing.

After Laser (arXiv 2512.20458): planning, task-solving and retrospection are families of one small
formal language, and whatever is not a sentence of it is refused with the reason. The paper's own
names of the actions were not available; these are ours::

    PLAN: q1 = the tutor of Arvo Lind | q2 = the baker of q1     planning
    REVISE q2: the editor of q1
    DROP q2: it is not asked for
    CALL q1: search_documents {"query": "Arvo Lind"}             task-solving
    CONCLUDE q1: Mira Thorn (d07)
    ANSWER: Mira Thorn
    CHECK q1: open_document {"id": "d07"}                        retrospection
    DOUBT q1: d07 now says Fenna Holt
    NOTE: the search ranks titles first
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enactive.actions.tools import Call, ToolSpace

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "planning": ("PLAN", "REVISE", "DROP"),
    "task-solving": ("CALL", "CONCLUDE", "ANSWER"),
    "retrospection": ("CHECK", "DOUBT", "NOTE"),
}
"""Family to verbs."""

VERBS: Mapping[str, str] = {verb: name for name, verbs in FAMILIES.items() for verb in verbs}
"""Verb to family."""

_ABOUT = ("REVISE", "DROP", "CALL", "CONCLUDE", "CHECK", "DOUBT")
"""Verbs that name a sub-question."""

_FORM = re.compile(r"([A-Z]+)(?: ([a-z][a-z0-9]{0,7}))?: (\S.*)")
_CONCLUSION = re.compile(r"(.+?) \(([^()]+)\)")

RULES = """Reply with exactly one line, one of:
PLAN: q1 = first sub-question | q2 = second, which may say q1
REVISE q1: better words
DROP q1: reason
CALL q1: tool {"argument": "value"}
CONCLUDE q1: answer (where it was found)
ANSWER: answer
CHECK q1: tool {"argument": "value"}
DOUBT q1: reason
NOTE: what to remember"""
"""The language, for a model that shall speak it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """One symbolic action."""

    verb: str
    """One of :data:`VERBS`."""
    about: str = ""
    """Id of the sub-question; empty for PLAN, ANSWER and NOTE."""
    text: str = ""
    """Words of REVISE, DROP, DOUBT and NOTE, and the answer of CONCLUDE and ANSWER."""
    evidence: str = ""
    """Of CONCLUDE."""
    goals: tuple[tuple[str, str], ...] = ()
    """Of PLAN: ids and texts."""
    call: Call | None = None
    """Of CALL and CHECK."""

    @property
    def family(self) -> str:
        """``"planning"``, ``"task-solving"`` or ``"retrospection"``."""
        return VERBS[self.verb]

    def __str__(self) -> str:
        head = f"{self.verb} {self.about}:" if self.about else f"{self.verb}:"
        if self.goals:
            return f"{head} {' | '.join(f'{id} = {text}' for id, text in self.goals)}"
        if self.call is not None:
            arguments = json.dumps(dict(self.call.arguments), ensure_ascii=False)
            return f"{head} {self.call.tool} {arguments}"
        return f"{head} {self.text}{f' ({self.evidence})' if self.evidence else ''}"


class NoAct(ValueError):
    """A reply is no sentence of the language; the message says what is wrong with it."""


def parse(reply: str, space: ToolSpace) -> Act:
    """The one action that a reply says.

    Raises:
        NoAct: it says none, more than one, or something that no tool takes.
    """
    lines = [line.strip() for line in reply.strip().splitlines() if line.strip()]
    if len(lines) != 1:
        raise NoAct(f"a reply is one line, this one has {len(lines)}")
    found = _FORM.fullmatch(lines[0])
    if found is None:
        raise NoAct("a line is VERB: text, or VERB id: text")
    verb, about, text = found.group(1), found.group(2) or "", found.group(3).strip()
    if verb not in VERBS:
        raise NoAct(f"there is no verb {verb!r}; there are: {', '.join(VERBS)}")
    if bool(about) != (verb in _ABOUT):
        raise NoAct(f"{verb} {'needs the id of' if verb in _ABOUT else 'is about no'} sub-question")
    if verb == "PLAN":
        return Act(verb=verb, goals=_goals(text))
    if verb in ("CALL", "CHECK"):
        return Act(verb=verb, about=about, call=_call(text, space))
    if verb == "CONCLUDE":
        conclusion = _CONCLUSION.fullmatch(text)
        if conclusion is None:
            raise NoAct("CONCLUDE is an answer, and in parentheses where it was found")
        answer, evidence = conclusion.groups()
        return Act(verb=verb, about=about, text=answer, evidence=evidence)
    return Act(verb=verb, about=about, text=text)


def _goals(text: str) -> tuple[tuple[str, str], ...]:
    goals: list[tuple[str, str]] = []
    for one in text.split(" | "):
        id, equals, words = one.strip().partition(" = ")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9]{0,7}", id) or not words.strip():
            raise NoAct(f"PLAN: {one.strip()!r} is not of the form id = sub-question")
        goals.append((id, words.strip()))
    if len({id for id, _ in goals}) < len(goals):
        raise NoAct("PLAN: an id occurs twice")
    return tuple(goals)


def _call(text: str, space: ToolSpace) -> Call:
    name, _, written = text.partition(" ")
    try:
        arguments: Any = json.loads(written or "{}")
    except ValueError as error:
        raise NoAct(f"the arguments of {name} are no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise NoAct(f"the arguments of {name} are no JSON object")
    call = Call(tool=name, arguments=arguments)
    if problem := space.check_call(call):
        raise NoAct(f"{name}: {problem}")
    return call
