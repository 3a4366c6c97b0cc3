"""What is carried from one task to the next: lessons in few words, and a store.

After MetaAgent (c90d6dd): one text that is rewritten after each task and must stay general and
short. Two guards are mechanisms here and not requests to the model: the length is cut, and lessons
that name things of the task they came from are dropped. Experience is a value that a planner is
given; it changes between tasks only, by :func:`learn`, after the task was scored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from enactive.actions.decision import Cost
from enactive.models.language_models.language_model import LanguageModel, Message, Request
from enactive.policies.agents.prompts import cost_of
from enactive.policies.agents.store import Store

LESSONS_ROLE = "You keep the lessons of an agent that uses tools."
"""Begins the system message of every request for lessons."""

_TASK = """Rewrite the lessons after this task: one line each, at most {words} words in all, useful
for other tasks, naming tools but nothing that only this task is about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experience:
    """What an agent knows from earlier tasks."""

    lessons: str = ""
    """One a line."""
    store: Store = field(default_factory=Store)
    tasks: int = 0
    """Tasks that it comes from."""

    @property
    def words(self) -> int:
        """Words of the lessons."""
        return len(self.lessons.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is known of a task once it was scored."""

    task: str
    trace: str
    """What was thought, asked and found."""
    given: str
    """The answer that was given."""
    success: bool
    truth: str = ""
    """The right answer; empty where nobody tells."""


def learn(
    experience: Experience,
    outcome: Outcome,
    model: LanguageModel,
    retrieved: Sequence[str] = (),
    *,
    most_words: int = 400,
) -> tuple[Experience, Cost]:
    """The experience after a task, and what it cost to write it down.

    Args:
        experience: before.
        outcome: of the task. It must have been scored: what is learnt from it may not count for it.
        model: rewrites the lessons.
        retrieved: texts for the store.
        most_words: of the lessons; what is beyond is cut, whole lines first.
    """
    told = [f"Lessons so far:\n{experience.lessons or '(none)'}", f"Task: {outcome.task}",
            outcome.trace, f"Answer given: {outcome.given}",
            f"It was {'right' if outcome.success else 'wrong'}."]  # fmt: skip
    told += [f"Right answer: {outcome.truth}"] if outcome.truth else []
    request = Request(
        messages=(
            Message(role="system", content=f"{LESSONS_ROLE} {_TASK.format(words=most_words)}"),
            Message(role="user", content="\n".join(told)),
        ),
        max_tokens=2 * most_words,
    )
    reply = model.complete(request)
    kept = bounded(general(reply.text, outcome.task), most_words)
    after = replace(
        experience, lessons=kept, store=experience.store.add(retrieved), tasks=experience.tasks + 1
    )
    return after, cost_of(reply.usage)


def general(lessons: str, task: str) -> str:
    """The lessons without the lines that say a name or a number of the task: words with a capital
    or a digit in them, the first word of a sentence aside."""
    specific = {
        word
        for sentence in re.split(r"(?<=[.?!])\s+", task)
        for place, word in enumerate(re.findall(r"[\w'-]+", sentence))
        if re.search(r"\d", word) or (place > 0 and word[0].isupper())
    }
    quoted = [one for one in re.findall(r"'([^']+)'|\"([^\"]+)\"", task) for one in one if one]
    kept = [
        line
        for line in lessons.splitlines()
        if line.strip()
        and not specific & set(re.findall(r"[\w'-]+", line))
        and not any(phrase in line for phrase in quoted)
    ]
    return "\n".join(kept)


def bounded(lessons: str, most_words: int) -> str:
    """The first lines that have at most ``most_words`` words together; of a first line that is
    longer by itself, its beginning."""
    kept: list[str] = []
    left = most_words
    for line in lessons.splitlines():
        count = len(line.split())
        if count > left:
            break
        kept.append(line)
        left -= count
    return "\n".join(kept) if kept else " ".join(lessons.split()[:most_words])
