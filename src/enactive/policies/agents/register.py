"""A register: what an agent knows, in named slots, instead of everything that was said.

After Laser (arXiv 2512.20458), whose agent carries a plan, the answers to its sub-questions with
their evidence, what is in doubt, and notes, and not its transcript. The slots here are that; how
they are used belongs to the planner. A register is a value: every change gives a new one, equal
registers read the same, and its size depends on what is known and not on how long that took.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MARK = "..."


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One answer to a question, and how often it was found."""

    answer: str
    evidence: str
    """Where it was found first."""
    times: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """One sub-question of the plan."""

    id: str
    text: str
    readings: tuple[Reading, ...] = ()
    """In the order in which they were found first."""
    doubt: str = ""
    """Why the answer is in doubt; empty where it is not."""

    @property
    def answer(self) -> Reading | None:
        """The reading that was found most often; None where there is none, or two as often."""
        if not self.readings:
            return None
        best = max(self.readings, key=lambda reading: reading.times)
        level = [one for one in self.readings if one.times == best.times]
        return best if len(level) == 1 else None

    def read(self, answer: str, evidence: str) -> Goal:
        """With one more reading; doubt ends when one is ahead of the others."""
        readings = list(self.readings)
        for place, one in enumerate(readings):
            if one.answer == answer:
                readings[place] = replace(one, times=one.times + 1)
                break
        else:
            readings.append(Reading(answer=answer, evidence=evidence))
        after = replace(self, readings=tuple(readings))
        return replace(after, doubt="") if after.answer is not None else after

    def __str__(self) -> str:
        said = [
            f"{one.answer} ({one.evidence}{f', {one.times} times' if one.times > 1 else ''})"
            for one in self.readings
        ]
        ends = [" or ".join(said)] if said else ["open"]
        ends += [f"in doubt: {self.doubt}"] if self.doubt else []
        return f"{self.id} = {self.text} -> {'; '.join(ends)}"


# What can be done to a register: values too, so that a record of them is a record of it.


@dataclass(frozen=True, kw_only=True, slots=True)
class SetGoal:
    """Add a sub-question, or word one anew, which forgets its answers."""

    id: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DropGoal:
    """Forget a sub-question."""

    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A sub-question's answer was read somewhere."""

    id: str
    answer: str
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubted:
    """A sub-question's answer is in doubt."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """Something to remember that answers nothing."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Did:
    """The last thing that was done, and what came of it: it replaces the one before."""

    action: str
    result: str


Change = SetGoal | DropGoal | Found | Doubted | Noted | Did


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """Everything that an agent carries from one turn to the next."""

    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()
    """Oldest first."""
    last: Did | None = None
    most_notes: int = 4
    """Notes that are kept: the newest."""

    def goal(self, id: str) -> Goal:
        """The sub-question called ``id``; raises ``KeyError`` naming those that exist."""
        for goal in self.goals:
            if goal.id == id:
                return goal
        known = ", ".join(goal.id for goal in self.goals) or "none"
        raise KeyError(f"there is no sub-question {id!r}; there are: {known}")

    def apply(self, change: Change) -> Register:
        """The register after ``change``.

        Raises:
            KeyError: it is about a sub-question that is not there.
        """
        if isinstance(change, SetGoal):
            goal = Goal(id=change.id, text=change.text)
            if any(one.id == change.id for one in self.goals):
                return self._with(goal)
            return replace(self, goals=(*self.goals, goal))
        if isinstance(change, DropGoal):
            gone = self.goal(change.id)
            return replace(self, goals=tuple(one for one in self.goals if one is not gone))
        if isinstance(change, Found):
            return self._with(self.goal(change.id).read(change.answer, change.evidence))
        if isinstance(change, Doubted):
            return self._with(replace(self.goal(change.id), doubt=change.reason))
        if isinstance(change, Noted):
            kept = (*self.notes, change.text)[-self.most_notes :] if self.most_notes else ()
            return replace(self, notes=kept)
        return replace(self, last=change)

    def serialise(self, limit: int | None = None) -> str:
        """The register as text, equal for equal registers.

        Args:
            limit: most characters. What was last returned is shortened first, at its end; then
                notes are left out, oldest first; sub-questions and their answers stay.
        """
        notes = list(self.notes)
        while True:
            lines = ["Plan and findings:", *(f"- {goal}" for goal in self.goals)]
            lines += ["Notes:", *(f"- {note}" for note in notes)] if notes else []
            head = "\n".join(lines)
            if self.last is None:
                tail, result = "", ""
            else:
                tail, result = f"\nLast: {self.last.action}\nResult: ", self.last.result
            room = None if limit is None else limit - len(head) - len(tail)
            if room is None or len(result) <= room:
                return head + tail + result
            if room >= len(MARK) or not notes:
                return head + tail + result[: max(room - len(MARK), 0)] + MARK
            notes.pop(0)

    @property
    def size(self) -> int:
        """Characters of what is carried on, the last result aside."""
        return len(replace(self, last=None).serialise())

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "goals": [
                {
                    "id": goal.id,
                    "text": goal.text,
                    "readings": [[one.answer, one.evidence, one.times] for one in goal.readings],
                    "doubt": goal.doubt,
                }
                for goal in self.goals
            ],
            "notes": list(self.notes),
            "last": None if self.last is None else [self.last.action, self.last.result],
            "most_notes": self.most_notes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Register:
        """The register that :meth:`to_dict` described."""
        goals = tuple(
            Goal(
                id=goal["id"],
                text=goal["text"],
                readings=tuple(
                    Reading(answer=answer, evidence=evidence, times=times)
                    for answer, evidence, times in goal["readings"]
                ),
                doubt=goal["doubt"],
            )
            for goal in data["goals"]
        )
        last = None if data["last"] is None else Did(action=data["last"][0], result=data["last"][1])
        return cls(
            goals=goals, notes=tuple(data["notes"]), last=last, most_notes=data["most_notes"]
        )

    def _with(self, goal: Goal) -> Register:
        return replace(self, goals=tuple(goal if one.id == goal.id else one for one in self.goals))


EMPTY = Register()
"""Nothing known yet."""
