"""Generated cases of the laws, for any implementation of the algebra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np

from enactive.actions.tools import Call, CallResult, Returned
from enactive.policies.agents import flow as fl
from enactive.policies.agents.flow_run import run
from enactive.systems.mce_reference import Steps

STATE = ("begun",)
Outcome: TypeAlias = tuple[Any, ...]
"""``("ok", state, value)``, ``("failed", state, message)`` or ``("escaped", message)``."""
Program: TypeAlias = Any
Kleisli: TypeAlias = Callable[[Any], Program]


class Algebra(Protocol):
    """How programs are put together and run."""

    def pure(self, value: Any) -> Program: ...
    def fail(self, message: str) -> Program: ...
    def note(self, entry: Any) -> Program:
        """Add an entry to the state; the entry is the value."""
        ...

    def broken(self) -> Program:
        """A step that raises."""
        ...

    def map(self, program: Program, function: Callable[[Any], Any]) -> Program: ...
    def then(self, program: Program, function: Kleisli) -> Program: ...
    def apply(self, function: Program, argument: Program) -> Program: ...
    async def run(self, program: Program) -> Outcome: ...


def _zero() -> Any:
    raise ZeroDivisionError("broken step")


class Flows:
    """:mod:`enactive.policies.agents.flow`."""

    def pure(self, value: Any) -> Program:
        return fl.pure(value)

    def fail(self, message: str) -> Program:
        return fl.fail(message)

    def note(self, entry: Any) -> Program:
        return fl.modify(lambda state: (*state, entry)).map(lambda _: entry)

    def broken(self) -> Program:
        return fl.lift(_zero)

    def map(self, program: Program, function: Callable[[Any], Any]) -> Program:
        return program.map(function)

    def then(self, program: Program, function: Kleisli) -> Program:
        return program.then(function)

    def apply(self, function: Program, argument: Program) -> Program:
        return function.apply(argument)

    async def run(self, program: Program) -> Outcome:
        async def nothing(call: Call) -> CallResult:
            return Returned(value=None)

        try:
            end = await run(program, STATE, nothing)
        except Exception as error:
            return ("escaped", str(error))
        if isinstance(end, fl.Failed):
            return ("failed", end.state, end.failure.message.rpartition(": ")[2])
        return ("ok", end.state, end.value)


class Published:
    """:mod:`enactive.systems.mce_reference`; a program is a function of the state."""

    def pure(self, value: Any) -> Program:
        return lambda state: Steps.start(state, value)

    def fail(self, message: str) -> Program:
        return lambda state: Steps.failure(state, ValueError(message))

    def note(self, entry: Any) -> Program:
        return lambda state: Steps.start((*state, entry), entry)

    def broken(self) -> Program:
        return lambda state: Steps.start(state, 0).then(lambda _, value: _zero())

    def map(self, program: Program, function: Callable[[Any], Any]) -> Program:
        return lambda state: program(state).map(function)

    def then(self, program: Program, function: Kleisli) -> Program:
        return lambda state: program(state).then(lambda later, value: function(value)(later))

    def apply(self, function: Program, argument: Program) -> Program:
        return lambda state: argument(state).apply(function(state))

    async def run(self, program: Program) -> Outcome:
        try:
            end = await program(STATE).run()
        except Exception as error:
            return ("escaped", str(error))
        if end.error is not None:
            return ("failed", end.state, str(end.error))
        return ("ok", end.state, end.value)


class Cases:
    """Draws programs and functions.

    Args:
        algebra: what they are made of.
        generator: decides them; the same for every algebra.
        none: whether ``None`` is among the values.
    """

    def __init__(self, algebra: Algebra, generator: np.random.Generator, none: bool) -> None:
        self.algebra, self.generator = algebra, generator
        self.values: list[Any] = [0, 1, "", "text", (1, 2), *([None] if none else [])]

    def _one_of(self, some: list[Any]) -> Any:
        return some[int(self.generator.integers(len(some)))]

    def value(self) -> Any:
        return self._one_of(self.values)

    def plain(self) -> Callable[[Any], Any]:
        """A function of a value; one in five raises."""
        return self._one_of(_PLAIN)

    def kleisli(self, depth: int = 2) -> Kleisli:
        """A function of a value to a program."""
        algebra, inner = self.algebra, self.program(depth - 1)
        return self._one_of(
            [
                algebra.note,
                lambda value: algebra.map(inner, lambda own: (value, own)),
                lambda value: inner,
                lambda value: algebra.fail("odd") if value in (0, "") else algebra.pure(value),
            ]
        )

    def program(self, depth: int = 2) -> Program:
        """A program; one leaf in five fails or raises."""
        algebra = self.algebra
        if depth <= 0 or self.generator.random() < 0.3:
            draw = self.generator.random()
            if draw < 0.1:
                return algebra.fail("failed")
            if draw < 0.2:
                return algebra.broken()
            return algebra.pure(self.value()) if draw < 0.5 else algebra.note(self.value())
        kind = int(self.generator.integers(3))
        if kind == 0:
            return algebra.map(self.program(depth - 1), self.plain())
        if kind == 1:
            return algebra.then(self.program(depth - 1), self.kleisli(depth))
        return algebra.apply(self.function(depth - 1), self.program(depth - 1))

    def function(self, depth: int = 1) -> Program:
        """A program whose value is a function, after a note in the state."""
        function = self.plain()
        return self.algebra.map(self.algebra.note("function"), lambda _: function)


def _raise(value: Any) -> Any:
    raise ZeroDivisionError("broken function")


_PLAIN: list[Callable[[Any], Any]] = [
    lambda value: (value, value),
    str,
    lambda value: value,
    lambda value: ("x", value),
    _raise,
]

Law: TypeAlias = Callable[[Cases], tuple[Program, Program]]


def _left_identity(c: Cases) -> tuple[Program, Program]:
    value, f = c.value(), c.kleisli()
    return c.algebra.then(c.algebra.pure(value), f), f(value)


def _right_identity(c: Cases) -> tuple[Program, Program]:
    m = c.program()
    return c.algebra.then(m, c.algebra.pure), m


def _associativity(c: Cases) -> tuple[Program, Program]:
    a, m, f, g = c.algebra, c.program(), c.kleisli(), c.kleisli()
    return a.then(a.then(m, f), g), a.then(m, lambda value: a.then(f(value), g))


def _functor_identity(c: Cases) -> tuple[Program, Program]:
    m = c.program()
    return c.algebra.map(m, lambda value: value), m


def _functor_composition(c: Cases) -> tuple[Program, Program]:
    m, f, g = c.program(), c.plain(), c.plain()
    return c.algebra.map(c.algebra.map(m, f), g), c.algebra.map(m, lambda value: g(f(value)))


def _applicative_identity(c: Cases) -> tuple[Program, Program]:
    m = c.program()
    return c.algebra.apply(c.algebra.pure(lambda value: value), m), m


def _homomorphism(c: Cases) -> tuple[Program, Program]:
    a, value, f = c.algebra, c.value(), c.plain()
    return a.apply(a.pure(f), a.pure(value)), a.map(a.pure(value), f)


def _interchange(c: Cases) -> tuple[Program, Program]:
    a, u, value = c.algebra, c.function(), c.value()
    return a.apply(u, a.pure(value)), a.apply(a.pure(lambda f: f(value)), u)


def _applicative_composition(c: Cases) -> tuple[Program, Program]:
    a, u, v, w = c.algebra, c.function(), c.function(), c.program()
    composed = a.pure(lambda f: lambda g: lambda value: f(g(value)))
    return a.apply(a.apply(a.apply(composed, u), v), w), a.apply(u, a.apply(v, w))


def _apply_is_then(c: Cases) -> tuple[Program, Program]:
    a, u, m = c.algebra, c.function(), c.program()
    return a.apply(u, m), a.then(u, lambda f: a.map(m, f))


def _map_is_then(c: Cases) -> tuple[Program, Program]:
    a, m, f = c.algebra, c.program(), c.plain()
    return a.map(m, f), a.then(m, lambda value: a.pure(f(value)))


def _failure_is_zero(c: Cases) -> tuple[Program, Program]:
    a, m, f = c.algebra, c.program(), c.kleisli()
    return a.then(a.then(m, lambda _: a.fail("stop")), f), a.then(m, lambda _: a.fail("stop"))


LAWS: Mapping[str, Law] = {
    "left identity": _left_identity,
    "right identity": _right_identity,
    "associativity": _associativity,
    "functor identity": _functor_identity,
    "functor composition": _functor_composition,
    "applicative identity": _applicative_identity,
    "homomorphism": _homomorphism,
    "interchange": _interchange,
    "applicative composition": _applicative_composition,
    "apply is then": _apply_is_then,
    "map is then": _map_is_then,
    "failure is zero": _failure_is_zero,
}


async def broken_laws(
    algebra: Algebra, seed_of: Callable[[str], np.random.Generator], cases: int, none: bool
) -> tuple[dict[str, float], float]:
    """Share of cases that break each law, and of those from which an exception escapes.

    Args:
        algebra: what is tested.
        seed_of: the generator for a law.
        cases: of each law.
        none: whether ``None`` is among the values.
    """
    broken: dict[str, float] = {}
    escaped = 0
    for name, law in LAWS.items():
        drawn = Cases(algebra, seed_of(name), none)
        wrong = 0
        for _ in range(cases):
            one, other = [await algebra.run(side) for side in law(drawn)]
            wrong += one != other
            escaped += "escaped" in (one[0], other[0])
        broken[name] = wrong / cases
    return broken, escaped / (cases * len(LAWS))
