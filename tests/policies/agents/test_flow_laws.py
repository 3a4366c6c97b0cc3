"""The laws of flows, on generated flows that change state, call tools, branch, fail and recover.

Two flows are equal if they come to the same result *and* make the same calls, ids included.
"""

from __future__ import annotations

from typing import Any

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.policies.agents.made_flows import (
    FLOWS,
    FUNCTIONS,
    HANDLERS,
    MERGE,
    PLAIN,
    STATE,
    VALUES,
    drive,
    perform,
)

from enactive.actions.tools import Call, CallResult
from enactive.policies.agents.flow import (
    Failed,
    Flow,
    Ok,
    fail,
    gather,
    get,
    modify,
    pure,
    put,
    traverse,
)
from enactive.policies.agents.flow_run import run
from enactive.policies.agents.flow_steps import Suspended, replay, start
from enactive.policies.agents.record import Record

often = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def same(one: Flow[Any, Any], other: Flow[Any, Any]) -> None:
    first, second = drive(one), drive(other)
    assert first == second
    assert drive(one) == first, "a flow is run again as it ran before"


def composed(f: Any, g: Any) -> Any:
    return lambda value: g(f(value))


class TestFunctor:
    @often
    @given(FLOWS)
    def test_identity(self, flow: Flow[Any, Any]) -> None:
        same(flow.map(lambda value: value), flow)

    @often
    @given(FLOWS, PLAIN, PLAIN)
    def test_composition(self, flow: Flow[Any, Any], f: Any, g: Any) -> None:
        same(flow.map(f).map(g), flow.map(composed(f, g)))


class TestMonad:
    @often
    @given(VALUES, FUNCTIONS)
    def test_left_identity(self, value: Any, f: Any) -> None:
        same(pure(value).then(f), f(value))

    @often
    @given(FLOWS)
    def test_right_identity(self, flow: Flow[Any, Any]) -> None:
        same(flow.then(pure), flow)

    @often
    @given(FLOWS, FUNCTIONS, FUNCTIONS)
    def test_associativity(self, flow: Flow[Any, Any], f: Any, g: Any) -> None:
        same(flow.then(f).then(g), flow.then(lambda value: f(value).then(g)))

    @often
    @given(FLOWS, PLAIN)
    def test_map_is_then_pure(self, flow: Flow[Any, Any], f: Any) -> None:
        def made(value: Any) -> Flow[Any, Any]:
            return pure(f(value))

        same(flow.map(f), flow.then(made))


class TestApplicative:
    @often
    @given(FLOWS)
    def test_identity(self, flow: Flow[Any, Any]) -> None:
        same(pure(lambda value: value).apply(flow), flow)

    @often
    @given(VALUES, PLAIN)
    def test_homomorphism(self, value: Any, f: Any) -> None:
        same(pure(f).apply(pure(value)), pure(value).map(f))

    @often
    @given(FLOWS, PLAIN, VALUES)
    def test_interchange(self, flow: Flow[Any, Any], f: Any, value: Any) -> None:
        function = flow.map(lambda _: f)
        same(function.apply(pure(value)), pure(lambda g: g(value)).apply(function))

    @often
    @given(FLOWS, FLOWS, FLOWS, PLAIN, PLAIN)
    def test_composition(
        self, one: Flow[Any, Any], two: Flow[Any, Any], w: Flow[Any, Any], f: Any, g: Any
    ) -> None:
        u, v = one.map(lambda _: f), two.map(lambda _: g)
        compose = pure(lambda f: lambda g: lambda value: f(g(value)))
        same(compose.apply(u).apply(v).apply(w), u.apply(v.apply(w)))


class TestFailures:
    """Either's half: after a failure nothing runs until something recovers."""

    @often
    @given(FUNCTIONS, PLAIN, FLOWS)
    def test_zero(self, f: Any, g: Any, flow: Flow[Any, Any]) -> None:
        broken = fail("broken")
        for after in (broken.then(f), broken.map(g), broken.before(flow), broken.apply(flow)):
            same(after, broken)

    @often
    @given(VALUES, HANDLERS)
    def test_a_value_needs_no_recovery(self, value: Any, handler: Any) -> None:
        same(pure(value).recover(handler), pure(value))

    @often
    @given(FLOWS)
    def test_failing_on_is_no_recovery(self, flow: Flow[Any, Any]) -> None:
        same(flow.recover(fail), flow)

    @often
    @given(FLOWS, HANDLERS, HANDLERS)
    def test_recovery_associates(self, flow: Flow[Any, Any], f: Any, g: Any) -> None:
        same(flow.recover(f).recover(g), flow.recover(lambda failed: f(failed).recover(g)))

    @often
    @given(FLOWS, FLOWS)
    def test_a_failure_keeps_the_state_before_its_step(
        self, flow: Flow[Any, Any], broken: Flow[Any, Any]
    ) -> None:
        done, _ = drive(flow)
        result, _ = drive(flow.before(fail("here")))
        assert isinstance(result, Failed) and result.state == done.state


class TestState:
    @often
    @given(st.integers(), st.integers())
    def test_laws(self, n: int, m: int) -> None:
        one, two = Record({"n": n, "log": ()}), Record({"n": m, "log": ()})
        same(put(one).before(put(two)), put(two))
        same(put(one).before(get()), put(one).before(pure(one)))
        same(get().then(put), pure(None))
        same(get().then(lambda a: get().map(lambda b: (a, b))), get().map(lambda a: (a, a)))
        same(modify(lambda s: s | {"n": n}), get().then(lambda s: put(s | {"n": n})))


class TestGather:
    def test_of_nothing(self) -> None:
        same(gather([], merge=MERGE), pure(()))

    @often
    @given(FLOWS)
    def test_of_one(self, flow: Flow[Any, Any]) -> None:
        alone, many = drive(flow)[0], drive(gather([flow], merge=MERGE))[0]
        if isinstance(alone, Ok):
            assert many == Ok(state=alone.state, value=(alone.value,))
        else:
            assert many.state == STATE and many.failure == alone.failure
            assert many.causes == (alone,)

    @often
    @given(st.lists(FLOWS, min_size=1, max_size=4), st.integers(0, 4))
    def test_associativity(self, flows: list[Flow[Any, Any]], cut: int) -> None:
        together = gather(flows, merge=MERGE)
        halves = [gather(flows[:cut], merge=MERGE), gather(flows[cut:], merge=MERGE)]
        split = gather(halves, merge=MERGE).map(lambda both: (*both[0], *both[1]))
        one, other = drive(together)[0], drive(split)[0]
        assert one.state == other.state and isinstance(one, Ok) == isinstance(other, Ok)
        if isinstance(one, Ok):
            assert one == other

    @often
    @given(st.lists(st.integers(0, 2), max_size=4), FUNCTIONS)
    def test_traverse(self, items: list[int], f: Any) -> None:
        same(traverse(items, f, merge=MERGE), gather([f(i) for i in items], merge=MERGE))


class TestWaysToRun:
    @often
    @given(FLOWS)
    def test_a_loop_and_steps_come_to_the_same(self, flow: Flow[Any, Any]) -> None:
        async def performed(call: Call) -> CallResult:
            return perform(call)

        async def main() -> tuple[Any, Any]:
            first = await run(flow, STATE, performed)
            return first, await run(flow, STATE, performed)

        first, second = anyio.run(main)
        assert first == second == drive(flow)[0]

    @often
    @given(FLOWS, st.lists(st.integers(0, 3), max_size=30))
    def test_a_recorded_order_gives_the_recorded_result(
        self, flow: Flow[Any, Any], delays: list[int]
    ) -> None:
        """Calls take their turns in a random order, so that siblings are cancelled at random."""
        waits = iter(delays)
        deliveries: list[Any] = []

        async def performed(call: Call) -> CallResult:
            for _ in range(next(waits, 0)):
                await anyio.lowlevel.checkpoint()
            return perform(call)

        async def main() -> Any:
            return await run(flow, STATE, performed, record=deliveries.append)

        result = anyio.run(main)
        assert replay(flow, STATE, deliveries) == result

    @often
    @given(FLOWS, st.randoms(use_true_random=False))
    def test_a_suspended_run_goes_on_any_number_of_times(
        self, flow: Flow[Any, Any], chance: Any
    ) -> None:
        """Every stop is resumed twice, the first time by a fork that goes elsewhere."""
        reached = start(flow, STATE)
        while isinstance(reached, Suspended):
            fork: Any = reached
            for _ in range(chance.randrange(3)):
                if isinstance(fork, Suspended):
                    fork = fork.resume(
                        {c.id: perform(Call(tool="tool", arguments={"x": 3 + chance.randrange(2)}))
                         for c in fork.calls}
                    )  # fmt: skip
            reached = reached.resume({call.id: perform(call) for call in reached.calls})
        assert reached == drive(flow)[0]
