"""Flows drawn at random, with everything in them that flows have, and a way to run them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from enactive.actions.tools import Call, CallResult, Failure, Returned
from enactive.policies.agents import flow as fl
from enactive.policies.agents.flow_steps import Suspended, start
from enactive.policies.agents.merges import append, by_key, total
from enactive.policies.agents.record import Record

STATE = Record({"log": (), "n": 1})
MERGE = by_key(log=append, n=total)
VALUES = st.sampled_from([None, 0, 1, 7, "", "text", True, (1, None)])


def perform(call: Call) -> CallResult:
    """A tool that is a function of its arguments; some calls of it fail."""
    x = call.arguments["x"]
    if isinstance(x, int) and x % 5 == 3:
        return Failure(kind="error", message=f"no {x}")
    return Returned(value=None if x == 4 else {"was": x})


def drive(flow: fl.Flow[Any, Any], state: Any = STATE) -> tuple[Any, list[Call]]:
    """Run step by step: the result, and the calls in the order in which they were made."""
    made: list[Call] = []
    reached = start(flow, state)
    while isinstance(reached, Suspended):
        made += reached.calls
        reached = reached.resume({call.id: perform(call) for call in reached.calls})
    return reached, made


def _log(entry: Any) -> fl.Flow[Any, None]:
    return fl.modify(lambda state: state | {"log": (*state["log"], entry)})


def _raise(value: Any) -> Any:
    raise ZeroDivisionError(f"of {value!r}")


LEAVES = st.one_of(
    st.builds(fl.pure, VALUES),
    st.builds(fl.fail, st.sampled_from(["first", "second"])),
    st.just(fl.get().map(lambda state: state["n"])),
    st.builds(_log, st.integers(0, 9)),
    st.builds(lambda n: fl.modify(lambda s: s | {"n": s["n"] + n}), st.integers(-3, 3)),
    st.builds(lambda x: fl.call("tool", x=x), st.integers(0, 9)),
    st.just(fl.pure(1).map(_raise)),
    st.just(fl.modify(_raise)),
    st.just(fl.lift(_raise, 2)),
)


@fl.do
async def _both(one: fl.Flow[Any, Any], other: fl.Flow[Any, Any]) -> Any:
    first = await one
    try:
        second = await other
    except fl.StepFailed as error:
        second = error.failed.failure.message
        await _log(second)
    return [first, second]


def _nodes(flows: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda one, f: one.then(f), flows, functions(flows)),
        st.builds(lambda one, f: one.map(f), flows, PLAIN),
        st.builds(lambda one, other: one.before(other), flows, flows),
        st.builds(lambda f, one: fl.pure(f).apply(one), PLAIN, flows),
        st.builds(lambda one, other: one.otherwise(other), flows, flows),
        st.builds(lambda one, h: one.recover(h), flows, handlers(flows)),
        st.builds(lambda one: one.named("name"), flows),
        st.builds(lambda some: fl.gather(some, merge=MERGE), st.lists(flows, max_size=3)),
        st.builds(_both, flows, flows),
    )


def functions(flows: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Functions of a value to a flow that depends on it."""
    return st.one_of(
        st.builds(lambda one: lambda value: one.map(lambda own: (value, own)), flows),
        st.just(lambda value: _log(value).map(lambda _: value)),
        st.just(lambda value: fl.call("tool", x=value if isinstance(value, int) else 1)),
        st.just(lambda value: fl.fail("odd") if isinstance(value, int) else fl.pure(value)),
    )


def handlers(flows: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Functions of a failure to a flow."""
    return st.one_of(
        st.just(fl.fail),
        st.builds(lambda one: lambda failed: one.map(lambda v: (failed.failure.message, v)), flows),
        st.just(lambda failed: fl.pure(failed.state["n"])),
    )


PLAIN = st.sampled_from([lambda v: (v, v), lambda v: None, str, _raise])
FLOWS = st.recursive(LEAVES, _nodes, max_leaves=8)
FUNCTIONS = functions(FLOWS)
HANDLERS = handlers(FLOWS)
