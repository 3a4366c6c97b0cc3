"""One planner, written three times and each time twice: for a world in which nothing fails, and
with all that failing takes.

It plans a trip: looks the traveller up, reads the budget, asks for a nickname (there may be none:
``None`` is an answer), gets three quotes side by side, adds them up, books, and confirms. With
errors handled, whatever goes wrong must give the state before the step that failed, the name of
that step and *all* that went wrong; no later step may run; a quote that fails cancels the other
two; and where booking fails, the waiting list is tried. What differs between the two versions of a
planner is what its errors take (:attr:`Versions.error_lines`).

In every version, tools are called by ``tool(name, **arguments)``.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import textwrap
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from enactive.policies.agents.flow import Flow, call, do, gather, modify, pure
from enactive.policies.agents.merges import append, by_key
from enactive.policies.agents.record import Record
from enactive.systems.mce_reference import Context, Steps

KINDS = ("flight", "hotel", "car")
"""What quotes are asked for."""


class Tool(Protocol):
    """Calls a tool; raises what it fails with."""

    def __call__(self, name: str, /, **arguments: Any) -> Awaitable[Any]: ...


def total_of(quotes: list[int], budget: int) -> int:
    """The sum of the quotes; raises ``ValueError`` above the budget."""
    if sum(quotes) > budget:
        raise ValueError(f"{sum(quotes)} is above the budget of {budget}")
    return sum(quotes)


# --------------------------------------------------------------------------------------- as flows


def noted(step: str, flow: Flow[Any, Any]) -> Flow[Any, Any]:
    """A named step that notes in the state that it was done."""
    note = modify(lambda state: state | {"done": (*state["done"], step)})
    return flow.then(lambda value: note.map(lambda _: value)).named(step)


@do
async def flow_happy() -> Any:
    profile = await noted("profile", call("profile"))
    budget = await noted("budget", pure(profile).map(lambda one: int(one["budget"])))
    nickname = await noted("nickname", call("nickname"))
    asked = [noted(kind, call("quote", kind=kind)) for kind in KINDS]
    quotes = await gather(asked, merge=by_key(done=append))
    total = await noted("total", pure(quotes).map(lambda some: total_of(some, budget)))
    booked = await noted("book", call("book", total=total))
    await noted("confirm", call("confirm", name=nickname))
    return {"booked": booked, "total": total}


@do
async def flow_full() -> Any:
    profile = await noted("profile", call("profile"))
    budget = await noted("budget", pure(profile).map(lambda one: int(one["budget"])))
    nickname = await noted("nickname", call("nickname"))
    asked = [noted(kind, call("quote", kind=kind)) for kind in KINDS]
    quotes = await gather(asked, merge=by_key(done=append))
    total = await noted("total", pure(quotes).map(lambda some: total_of(some, budget)))
    waiting = noted("waitlist", call("waitlist", total=total))
    booked = await noted("book", call("book", total=total)).otherwise(waiting)
    await noted("confirm", call("confirm", name=nickname))
    return {"booked": booked, "total": total}


# ------------------------------------------------------------------------------ as plain asyncio


async def plain_happy(tool: Tool) -> tuple[Any, Any]:
    state = Record({"done": ()})

    def done(state: Record, *steps: str) -> Record:
        return state | {"done": (*state["done"], *steps)}

    profile = await tool("profile")
    state = done(state, "profile")
    budget = int(profile["budget"])
    state = done(state, "budget")
    nickname = await tool("nickname")
    state = done(state, "nickname")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(tool("quote", kind=kind)) for kind in KINDS]
    quotes = [task.result() for task in tasks]
    state = done(state, *KINDS)
    total = total_of(quotes, budget)
    state = done(state, "total")
    booked = await tool("book", total=total)
    state = done(state, "book")
    await tool("confirm", name=nickname)
    state = done(state, "confirm")
    return state, {"booked": booked, "total": total}


async def plain_full(tool: Tool) -> tuple[Any, Any]:
    state = Record({"done": ()})

    @contextmanager
    def step(*names: str) -> Iterator[None]:
        nonlocal state
        try:
            yield
        except ExceptionGroup as several:
            raise StepError(names, several.exceptions) from several
        except Exception as error:
            raise StepError(names, [error]) from error
        state = state | {"done": (*state["done"], *names)}

    try:
        with step("profile"):
            profile = await tool("profile")
        with step("budget"):
            budget = int(profile["budget"])
        with step("nickname"):
            nickname = await tool("nickname")
        with step(*KINDS):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(tool("quote", kind=kind)) for kind in KINDS]
            quotes = [task.result() for task in tasks]
        with step("total"):
            total = total_of(quotes, budget)
        try:
            with step("book"):
                booked = await tool("book", total=total)
        except StepError:
            with step("waitlist"):
                booked = await tool("waitlist", total=total)
        with step("confirm"):
            await tool("confirm", name=nickname)
    except StepError as error:
        return state, error
    return state, {"booked": booked, "total": total}


class StepError(Exception):
    """What went wrong, and in which step."""

    def __init__(self, names: Sequence[str], errors: Sequence[Exception]) -> None:
        self.names, self.errors = names, errors


# --------------------------------------------------------------- as the published containers


def _did(state: Record, step: str) -> Record:
    return state | {"done": (*state["done"], step)}


def published_happy(tool: Tool) -> Steps:
    async def profile(state: Record, _: Any) -> Context:
        return Context(_did(state, "profile"), await tool("profile"))

    def budget(state: Record, value: Any) -> Context:
        return Context(_did(state, "budget") | {"budget": int(value["budget"])}, "read")

    async def nickname(state: Record, _: Any) -> Context:
        name = await tool("nickname")
        return Context(_did(state, "nickname") | {"name": name}, "asked")

    def quotes(state: Record, _: Any) -> Steps:
        def one(kind: str) -> Steps:
            async def ask(state: Record, _: Any) -> Context:
                return Context(_did(state, kind), await tool("quote", kind=kind))

            return Steps.start(state).then(ask)

        def merge(states: list[Record]) -> Record:
            return append_all(state, states)

        return Steps.gather([one(kind) for kind in KINDS], merge)

    def total(state: Record, value: Any) -> Context:
        return Context(_did(state, "total"), total_of(value, state["budget"]))

    async def book(state: Record, value: Any) -> Context:
        booked = await tool("book", total=value)
        return Context(_did(state, "book"), {"booked": booked, "total": value})

    async def confirm(state: Record, value: Any) -> Context:
        await tool("confirm", name=state["name"])
        return Context(_did(state, "confirm"), value)

    begun = Steps.start(Record({"done": ()}), "begin").then(profile).then(budget).then(nickname)
    return begun.then(quotes).then(total).then(book).then(confirm)


def published_full(tool: Tool) -> Steps:
    async def profile(state: Record, _: Any) -> Context:
        return Context(_did(state, "profile"), await tool("profile"))

    def budget(state: Record, value: Any) -> Context:
        return Context(_did(state, "budget") | {"budget": int(value["budget"])}, "read")

    async def nickname(state: Record, _: Any) -> Context:
        name = await tool("nickname")
        return Context(_did(state, "nickname") | {"name": name}, "asked")

    def quotes(state: Record, _: Any) -> Steps:
        def one(kind: str) -> Steps:
            async def ask(state: Record, _: Any) -> Context:
                return Context(_did(state, kind), await tool("quote", kind=kind))

            return Steps.start(state).then(named(kind, ask))

        def merge(states: list[Record]) -> Record:
            return append_all(state, states)

        return Steps.gather([one(kind) for kind in KINDS], merge)

    def total(state: Record, value: Any) -> Context:
        return Context(_did(state, "total"), total_of(value, state["budget"]))

    async def book(state: Record, value: Any) -> Context:
        booked = await tool("book", total=value)
        return Context(_did(state, "book"), {"booked": booked, "total": value})

    async def waitlist(state: Record, value: Any) -> Context:
        booked = await tool("waitlist", total=value)
        return Context(_did(state, "waitlist"), {"booked": booked, "total": value})

    async def book_or_wait(state: Record, value: Any) -> Context:
        try:
            return await book(state, value)
        except Exception:
            return await named("waitlist", waitlist)(state, value)

    async def confirm(state: Record, value: Any) -> Context:
        await tool("confirm", name=state["name"])
        return Context(_did(state, "confirm"), value)

    begun = Steps.start(Record({"done": ()}), "begin").then(named("profile", profile))
    begun = begun.then(named("budget", budget)).then(named("nickname", nickname)).then(quotes)
    begun = begun.then(named("total", total)).then(named("book", book_or_wait))
    return begun.then(named("confirm", confirm))


def append_all(base: Record, states: list[Record]) -> Record:
    """The merge that flows use, for containers that have none."""
    return by_key(done=append)(base, states)


def named(name: str, step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A step whose errors say which step it was."""

    async def run(state: Any, value: Any) -> Any:
        try:
            made = step(state, value)
            return await made if inspect.isawaitable(made) else made
        except Exception as error:
            return Context(state, error=StepError([name], [error]))

    return run


def lines(function: Any) -> int:
    """Lines of a function or class as Python itself would lay it out, docstrings and blank lines
    left out."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
            ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return sum(bool(line.strip()) for line in ast.unparse(tree).splitlines())


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """One planner without and with handling of errors, and what the latter needs beside itself."""

    happy: Callable[..., Any]
    full: Callable[..., Any]
    helpers: tuple[Any, ...] = ()

    @property
    def error_lines(self) -> int:
        """Lines that handling errors takes."""
        return sum(map(lines, (self.full, *self.helpers))) - lines(self.happy)


PLANNERS: Mapping[str, Versions] = {
    "flows": Versions(happy=flow_happy, full=flow_full),
    "published": Versions(happy=published_happy, full=published_full, helpers=(named, StepError)),
    "plain asyncio": Versions(happy=plain_happy, full=plain_full, helpers=(StepError,)),
}
"""By arm."""
