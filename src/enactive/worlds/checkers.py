"""Checkers: composable tests of a world's true state.

A task that is written evaluator-first begins with its checker; the sentence is made from it. So the
sentence cannot ask for something that is not tested, and :func:`false_verdicts` tests the tester:
states that solve the task in other ways must pass, and states that just miss it must not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Checker(Protocol):
    """Says whether a state is as wanted."""

    def holds(self, state: Mapping[str, Any]) -> bool:
        """Whether it is; a state that lacks what is asked about is not."""
        ...

    def atoms(self) -> tuple[Checker, ...]:
        """The checkers that it is made of, which are made of no others."""
        ...


@dataclass(frozen=True, slots=True)
class Is:
    """An entry has a value."""

    name: str
    value: Any

    def holds(self, state: Mapping[str, Any]) -> bool:
        return self.name in state and state[self.name] == self.value

    def atoms(self) -> tuple[Checker, ...]:
        return (self,)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """An entry is no smaller than a value."""

    name: str
    value: float

    def holds(self, state: Mapping[str, Any]) -> bool:
        return self.name in state and bool(state[self.name] >= self.value)

    def atoms(self) -> tuple[Checker, ...]:
        return (self,)


@dataclass(frozen=True, slots=True)
class Holds:
    """An entry is a collection that has a member."""

    name: str
    member: Any

    def holds(self, state: Mapping[str, Any]) -> bool:
        return self.name in state and self.member in state[self.name]

    def atoms(self) -> tuple[Checker, ...]:
        return (self,)


@dataclass(frozen=True, slots=True)
class Not:
    """The other does not hold."""

    other: Checker

    def holds(self, state: Mapping[str, Any]) -> bool:
        return not self.other.holds(state)

    def atoms(self) -> tuple[Checker, ...]:
        return self.other.atoms()


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; true of no parts."""

    parts: tuple[Checker, ...]

    def holds(self, state: Mapping[str, Any]) -> bool:
        return all(part.holds(state) for part in self.parts)

    def atoms(self) -> tuple[Checker, ...]:
        return tuple(atom for part in self.parts for atom in part.atoms())


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part holds; false of no parts."""

    parts: tuple[Checker, ...]

    def holds(self, state: Mapping[str, Any]) -> bool:
        return any(part.holds(state) for part in self.parts)

    def atoms(self) -> tuple[Checker, ...]:
        return tuple(atom for part in self.parts for atom in part.atoms())


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """How often a checker was wrong about states whose truth is known from elsewhere."""

    false_negatives: int
    solved: int
    """States that solve the task."""
    false_positives: int
    missed: int
    """States that do not."""


def false_verdicts(
    checker: Checker, solved: Iterable[Mapping[str, Any]], missed: Iterable[Mapping[str, Any]]
) -> Verdicts:
    """Try a checker on states that were made without it."""
    right, wrong = list(solved), list(missed)
    return Verdicts(
        false_negatives=sum(not checker.holds(state) for state in right),
        solved=len(right),
        false_positives=sum(checker.holds(state) for state in wrong),
        missed=len(wrong),
    )
