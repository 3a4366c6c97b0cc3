"""Trials of the claim ``mce``: planners and plain chains with faults put in, the depth of chains,
and how long branches take side by side."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from enactive.actions.tools import Call, CallResult, Failure, Returned
from enactive.policies.agents.flow import Failed, Flow, call, gather, modify, pure
from enactive.policies.agents.flow_run import run
from enactive.policies.agents.merges import one_writer
from enactive.policies.agents.record import Record
from enactive.systems.mce_planners import KINDS, PLANNERS, StepError
from enactive.systems.mce_reference import Context, Steps

SHORT, LONG = 0.002, 0.6
"""Seconds that a tool takes, and a slow one."""


@dataclass(slots=True)
class Trip:
    """The tools of a trip; some fail, some are slow."""

    faults: Mapping[str, str] = field(default_factory=dict[str, str])
    """Call, e.g. ``"quote hotel"``, to the message that it fails with."""
    slow: str = ""
    """The call that takes long."""
    budget: str = "900"
    begun: list[str] = field(default_factory=list[str])
    done: list[str] = field(default_factory=list[str])

    async def __call__(self, name: str, /, **arguments: Any) -> Any:
        what = f"{name} {arguments['kind']}" if name == "quote" else name
        self.begun.append(what)
        await asyncio.sleep(LONG if what == self.slow else SHORT)
        self.done.append(what)
        if what in self.faults:
            raise RuntimeError(self.faults[what])
        values = {"profile": {"budget": self.budget}, "nickname": None, "quote": 100}
        return values.get(name, name if name != "confirm" else None)

    async def perform(self, made: Call) -> CallResult:
        """The same for flows: a failure is a value."""
        try:
            return Returned(value=await self(made.tool, **made.arguments))
        except RuntimeError as error:
            return Failure(kind="error", message=str(error))


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What goes wrong, and what must come of it."""

    done: tuple[str, ...]
    """Steps that the final state must name."""
    faults: Mapping[str, str] = field(default_factory=dict[str, str])
    slow: str = ""
    budget: str = "900"
    messages: tuple[str, ...] = ()
    """What must be told; empty where the planner must come to its end."""
    step: str = ""
    """The step that must be named."""


_QUOTES = ("profile", "budget", "nickname")
_BOOKED = (*_QUOTES, *KINDS, "total")
SCENARIOS: Mapping[str, Scenario] = {
    "nothing fails": Scenario(done=(*_BOOKED, "book", "confirm")),
    "profile": Scenario(
        done=(), faults={"profile": "no such user"}, messages=("no such user",), step="profile"
    ),
    "budget": Scenario(
        done=("profile",), budget="lots", messages=("invalid literal",), step="budget"
    ),
    "nickname": Scenario(
        done=_QUOTES[:2], faults={"nickname": "gone"}, messages=("gone",), step="nickname"
    ),
    "a quote": Scenario(
        done=_QUOTES, faults={"quote hotel": "full"}, messages=("full",), step="hotel"
    ),
    "two quotes": Scenario(
        done=_QUOTES, faults={"quote flight": "sold out", "quote car": "closed"},
        messages=("sold out", "closed"), step="flight",
    ),
    "a quote beside a slow one": Scenario(
        done=_QUOTES, faults={"quote hotel": "full"}, slow="quote car", messages=("full",),
        step="hotel",
    ),
    "total": Scenario(
        done=(*_QUOTES, *KINDS), budget="200", messages=("above the budget",), step="total"
    ),
    "book": Scenario(done=(*_BOOKED, "waitlist", "confirm"), faults={"book": "taken"}),
    "book and waiting list": Scenario(
        done=_BOOKED, faults={"book": "taken", "waitlist": "full too"}, messages=("full too",),
        step="waitlist",
    ),
    "confirm": Scenario(
        done=(*_BOOKED, "book"), faults={"confirm": "no mail"}, messages=("no mail",),
        step="confirm",
    ),
}  # fmt: skip

_LATER = {
    "profile": ("nickname", "quote", "book", "confirm"),
    "budget": ("nickname", "quote", "book", "confirm"),
    "nickname": ("quote", "book", "confirm"),
    "hotel": ("book", "confirm"),
    "flight": ("book", "confirm"),
    "total": ("book", "confirm"),
    "waitlist": ("confirm",),
    "confirm": (),
    "": (),
}
"""Step -> tools that must not be called once it has failed."""


@dataclass(kw_only=True, slots=True)
class Found:
    """What faults came to, summed over scenarios."""

    trials: int = 0
    later_steps: int = 0
    """Calls begun after the step that failed."""
    wrong_states: int = 0
    """Final states that are not the one before the step that failed."""
    escaped: int = 0
    """Exceptions that came out."""
    expected: int = 0
    """Errors that had to be told..."""
    told: int = 0
    """...and were."""
    named: int = 0
    """Failures that name the step that failed."""
    waited: float = 0.0
    """Share of the slow branch's time that was waited after another branch had failed."""


async def _planned(arm: str, trip: Trip) -> tuple[Any, Sequence[str], str]:
    """Run the full planner: final state's steps, messages of errors, name of the step."""
    full = PLANNERS[arm].full
    if arm == "flows":
        end = await run(full(), Record({"done": ()}), trip.perform)
        if isinstance(end, Failed):
            causes = end.causes or (end,)
            told = [one.failure.message for one in causes]
            return end.state["done"], told, " ".join(one.where for one in (end, *causes))
        return end.state["done"], (), ""
    if arm == "published":
        last = await full(trip).run()
        state, error = last.state, last.error
    else:
        state, error = await full(trip)
    if isinstance(error, StepError):
        return state["done"], [str(one) for one in error.errors], " ".join(error.names)
    return state["done"], ([str(error)] if isinstance(error, Exception) else ()), ""


async def faults_in_planner(arm: str) -> Found:
    """Every scenario once."""
    found = Found()
    for scenario in SCENARIOS.values():
        found.trials += 1
        trip = Trip(faults=scenario.faults, slow=scenario.slow, budget=scenario.budget)
        begun = time.perf_counter()
        try:
            done, told, name = await _planned(arm, trip)
        except Exception:
            found.escaped += 1
            continue
        if scenario.slow:
            found.waited = min(1.0, (time.perf_counter() - begun) / LONG)
            await asyncio.sleep(0)
        later = _LATER[scenario.step] if scenario.messages else ()
        found.later_steps += sum(one.split()[0] in later for one in trip.begun)
        found.wrong_states += tuple(done) != scenario.done
        found.expected += len(scenario.messages)
        found.told += sum(any(one in line for line in told) for one in scenario.messages)
        found.named += scenario.step in name
    return found


# ------------------------------------------------------------------------------------- chains


async def _chain_flow(tool: Trip, check: Callable[[int], Any], length: int) -> Any:
    flow: Flow[Any, Any] = pure(None)
    for i in range(length):
        flow = flow.before(call(f"step{i}").map(lambda _, i=i: check(i)))
        flow = flow.then(lambda _, i=i: modify(lambda s: (*s, i)))
    return (await run(flow, (), tool.perform)).state


async def _chain_published(tool: Trip, check: Callable[[int], Any], length: int) -> Any:
    flow = Steps.start((), "begin")
    for i in range(length):

        async def ask(state: Any, _: Any, i: int = i) -> Context:
            return Context(state, await tool(f"step{i}"))

        flow = flow.then(ask).map(lambda _, i=i: check(i))
        flow = flow.then(lambda state, value, i=i: Context((*state, i), value))
    return (await flow.run()).state


async def _chain_plain(tool: Trip, check: Callable[[int], Any], length: int) -> Any:
    state: tuple[int, ...] = ()
    try:
        for i in range(length):
            await tool(f"step{i}")
            check(i)
            state = (*state, i)
    except Exception:
        return state
    return state


_CHAINS = {"flows": _chain_flow, "published": _chain_published, "plain asyncio": _chain_plain}


async def faults_in_chains(arm: str, generator: np.random.Generator, chains: int) -> Found:
    """Chains in which the tool fails at a random step, the function after it raises, or it gives
    ``None``, which is no fault."""
    found = Found()
    for _ in range(chains):
        found.trials += 1
        length = int(generator.integers(2, 12))
        where = int(generator.integers(length))
        kind = ("tool", "function", "none")[int(generator.integers(3))]
        trip = Trip(faults={f"step{where}": "broken"} if kind == "tool" else {})

        def check(i: int, kind: str = kind, where: int = where) -> Any:
            if kind == "function" and i == where:
                raise ArithmeticError("broken")
            return None if kind == "none" and i == where else i

        expected = tuple(range(length if kind == "none" else where))
        try:
            state = await _CHAINS[arm](trip, check, length)
        except Exception:
            found.escaped += 1
            continue
        last = len(expected) + (kind != "none")
        found.later_steps += max(0, len(trip.begun) - last)
        found.wrong_states += state != expected
    return found


async def deepest(arm: str, depths: Sequence[int]) -> int:
    """The longest of these chains of async steps that runs."""
    reached = 0
    for depth in depths:
        try:
            if arm == "flows":
                flow: Flow[Any, int] = pure(0)
                for _ in range(depth):
                    flow = flow.then(lambda n: pure(n + 1))
                end = await run(flow, (), Trip().perform)
                value = 0 if isinstance(end, Failed) else end.value
            elif arm == "published":
                steps = Steps.start((), 1).map(lambda n: n - 1)
                for _ in range(depth):
                    steps = steps.then(lambda state, n: Context(state, n + 1))
                value = (await steps.run()).value
            else:
                value = 0
                for _ in range(depth):
                    value += 1
        except RecursionError:
            break
        if value != depth:
            break
        reached = depth
    return reached


# ------------------------------------------------------------------------------- side by side


async def side_by_side(arm: str, branches: int, seconds: float, repeats: int) -> dict[str, float]:
    """Wall-clock time of equal branches side by side, over that of one after the other; medians."""

    async def perform(made: Call) -> CallResult:
        await asyncio.sleep(seconds)
        return Returned(value=1)

    async def wait(state: Any, _: Any) -> Context:
        await asyncio.sleep(seconds)
        return Context(state, 1)

    async def plain_gather() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(branches):
                group.create_task(asyncio.sleep(seconds))

    async def plain_sequence() -> None:
        for _ in range(branches):
            await asyncio.sleep(seconds)

    def ways() -> tuple[Awaitable[Any], Awaitable[Any]]:
        if arm == "flows":
            one = call("wait")
            chain = one
            for _ in range(branches - 1):
                chain = chain.before(one)
            return run(gather([one] * branches, merge=one_writer), (), perform), run(
                chain, (), perform
            )
        if arm == "published":
            steps = Steps.start((), 1)
            for _ in range(branches):
                steps = steps.then(wait)
            flows = [Steps.start((), 1).then(wait) for _ in range(branches)]
            return Steps.gather(flows).run(), steps.run()
        return plain_gather(), plain_sequence()

    times: list[list[float]] = [[], []]
    for _ in range(repeats):
        for which, way in enumerate(ways()):
            begun = time.perf_counter()
            await way
            times[which].append(time.perf_counter() - begun)
    gathered, sequence = (statistics.median(some) for some in times)
    return {"gather_seconds": gathered, "sequence_seconds": sequence, "ratio": gathered / sequence}
