"""Running flows in an event loop: cancellation, errors, depth, journals.

Each defect that was measured in the published implementation of this algebra (None as a failure,
exceptions out of ``map``, states of branches that are lost, branches that are waited for though
another has failed, errors that hide one another, effects that are repeated, recursion) has its test
here.
"""

from __future__ import annotations

import gc
import time
from typing import Any

import anyio
import pytest

from enactive.actions.toolbox import ToolError
from enactive.actions.tools import Call, CallResult, Failure, Returned
from enactive.models.language_models.language_model import ModelError, Request
from enactive.models.language_models.scripted import Scripted
from enactive.policies.agents.flow import (
    Failed,
    Flow,
    Ok,
    StepFailed,
    ask,
    call,
    defer,
    do,
    fail,
    gather,
    get,
    lift,
    modify,
    pure,
    put,
    traverse,
)
from enactive.policies.agents.flow_run import Perform, run
from enactive.policies.agents.flow_steps import Suspended, replay, start
from enactive.policies.agents.merges import append, by_key, one_writer
from enactive.policies.agents.record import Record

SOON, LONG = 0.01, 60.0


class Tools:
    """``sleep`` for some seconds and give a value, or fail; knows what was done."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, made: Call) -> CallResult:
        self.begun.append(made.id)
        try:
            await anyio.sleep(made.arguments.get("seconds", 0))
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(made.id)
            raise
        self.done.append(made.id)
        if "error" in made.arguments:
            return Failure(kind="error", message=made.arguments["error"])
        return Returned(value=made.arguments.get("value"))


def done(flow: Flow[Any, Any], state: Any = (), perform: Perform | None = None) -> Any:
    tools = perform or Tools()

    async def main() -> Any:
        with anyio.fail_after(LONG / 2):  # whoever waits for LONG fails
            return await run(flow, state, tools)

    return anyio.run(main)


def sleep(seconds: float = 0, **result: Any) -> Flow[Any, Any]:
    return call("sleep", seconds=seconds, **result)


class TestValues:
    def test_none_is_a_value(self) -> None:
        seen: list[Any] = []
        flow = pure(None).then(lambda value: pure(seen.append(value))).map(lambda value: (value,))
        assert done(flow, None) == Ok(state=None, value=(None,)) and seen == [None]
        assert done(sleep(value=None).then(pure)) == Ok(state=(), value=None)
        assert done(put(None).before(get()), 1) == Ok(state=None, value=None)
        none_first = pure(None).then(lambda value: pure(value is None))
        assert done(none_first, "state").value is True, "the state is not passed for a value"

    def test_apply_keeps_what_both_sides_wrote(self) -> None:
        function = put(Record({"f": 1})).map(lambda _: lambda x: x + 1)
        argument = modify(lambda s: s | {"x": 2}).map(lambda _: 41)
        assert done(function.apply(argument)) == Ok(state=Record({"f": 1, "x": 2}), value=42)

    def test_gather_keeps_what_every_branch_wrote(self) -> None:
        branches = [modify(lambda s, k=key: s | {k: 1, "log": (*s["log"], k)}) for key in "abc"]
        result = done(gather(branches, merge=by_key(log=append)), Record({"log": ()}))
        assert result.state == Record({"a": 1, "b": 1, "c": 1, "log": ("a", "b", "c")})

    def test_gather_has_no_merge_that_is_taken_for_granted(self) -> None:
        with pytest.raises(TypeError, match="merge"):
            gather([pure(1)])  # type: ignore[call-arg]

    def test_branches_that_write_the_same_are_refused(self) -> None:
        branches = [modify(lambda s, n=n: s | {"x": n}) for n in (1, 2)]
        result = done(gather(branches, merge=by_key()), Record({"x": 0}))
        assert isinstance(result, Failed) and result.failure.kind == "invalid"
        assert "'x': branches changed 0 to 1 and to 2" in result.failure.message
        assert result.state == Record({"x": 0})


class TestFailures:
    @pytest.mark.parametrize(
        "broken",
        [
            pure(0).map(lambda x: 1 // x),
            pure(0).then(lambda x: pure(1 // x)),
            pure(0).then(lambda x: pure(lambda y: y // x)).apply(pure(1)),
            fail("other").recover(lambda _: pure(1 // 0)),
            modify(lambda s: 1 // 0),
            lift(lambda: 1 // 0),
            defer(lambda: 1 // 0),
            sleep().map(lambda _: 1 // 0),
            gather([pure(1)], merge=lambda base, states: 1 // 0),
        ],
    )
    def test_exceptions_are_failures_wherever_they_come_from(self, broken: Flow[Any, Any]) -> None:
        result = done(put("before").before(broken), "state")
        assert isinstance(result, Failed)
        assert result.failure.kind == "error" and result.state == "before"
        assert result.failure.message.startswith("ZeroDivisionError: integer division")
        assert "1 // " in result.traceback or "y // x" in result.traceback
        assert result.where

    def test_a_tool_error_speaks_for_itself(self) -> None:
        def refuse() -> None:
            raise ToolError("the shop is closed")

        assert done(lift(refuse)).failure.message == "the shop is closed"
        own = Failure(kind="budget", message="too dear")

        def stop(_: Any) -> Any:
            raise StepFailed(own)

        stopped = done(pure(1).map(stop).named("step"))
        assert stopped.failure is own and stopped.where == "step/map stop"

    def test_where_names_the_step(self) -> None:
        flow = gather([pure(1), sleep(error="no").named("look up")], merge=one_writer).named(
            "compare"
        )
        assert done(flow.named("plan")).where == "plan/compare/branch 1/look up/call sleep (0.1.0)"

    def test_nothing_runs_after_a_failure(self) -> None:
        tools = Tools()
        flow = sleep().before(sleep(error="broken")).before(sleep()).map(print).before(sleep())
        result = done(put(1).before(flow.before(put(2))), 0, tools)
        assert tools.begun == ["0", "1"] and result.state == 1

    @pytest.mark.parametrize("given", [3, None, (1,)])
    def test_then_wants_a_flow(self, given: Any) -> None:
        result = done(pure(1).then(lambda _: given))
        assert result.failure.kind == "invalid" and "use map" in result.failure.message

    @pytest.mark.parametrize("state", [{}, [], set()])
    def test_states_that_can_change_are_refused(self, state: Any) -> None:
        with pytest.raises(TypeError, match="use a Record"):
            done(pure(1), state)
        assert done(put(state)).failure.kind == "invalid"
        assert done(modify(lambda _: state)).failure.kind == "invalid"

    def test_what_perform_raises_is_raised(self) -> None:
        """A call's failure is a value; a journal that cannot write is not a call's failure."""

        async def broken(made: Call) -> CallResult:
            if made.id.endswith("2.0"):
                raise OSError("disk full")
            await anyio.sleep(LONG)
            return Returned(value=1)

        flow = gather([sleep()] * 3, merge=one_writer).otherwise(pure(1))
        with pytest.raises(OSError, match="disk full"):
            done(flow, (), broken)

    @pytest.mark.parametrize("branches", [1, 2])
    def test_what_a_model_raises_is_raised(self, branches: int) -> None:
        def answer(request: Request) -> str:
            raise ModelError("the endpoint is down")

        asked = ask(Scripted(name="none", answer=answer), Request(messages=()))
        late = sleep().before(asked).otherwise(pure(1))
        flow = gather([late] * branches, merge=one_writer).otherwise(pure(1))
        with pytest.raises(ModelError, match="the endpoint is down"):
            done(flow)


class TestCancellation:
    def test_a_failing_branch_cancels_its_siblings_at_once(self) -> None:
        tools = Tools()
        flow = gather(
            [sleep(LONG), sleep(SOON, error="first"), sleep().before(sleep(LONG))],
            merge=one_writer,
        )
        begun = time.monotonic()
        result = done(flow.recover(lambda failed: pure(failed)), (), tools)
        assert time.monotonic() - begun < LONG / 4
        assert [cause.failure.message for cause in result.value.causes] == ["first"]
        assert sorted(tools.cancelled) == ["0.0.0", "0.2.1"]

    def test_siblings_clean_up_before_the_run_goes_on(self) -> None:
        order: list[str] = []

        async def perform(made: Call) -> CallResult:
            order.append(f"begin {made.tool}")
            if made.tool == "slow":
                try:
                    await anyio.sleep(LONG)
                finally:
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(SOON)
                    order.append("slow is cleaned up")
            return (
                Failure(kind="error", message="broken") if made.tool == "bad" else Returned(value=1)
            )

        flow = gather([call("slow"), call("bad")], merge=one_writer).otherwise(call("after"))
        assert done(flow, (), perform).value == 1
        assert order == ["begin slow", "begin bad", "slow is cleaned up", "begin after"]

    def test_all_failures_are_collected(self) -> None:
        """Those that have happened by the time that the first is taken in hide none another."""
        result = done(
            gather([sleep(error="a"), sleep(value=1), sleep(error="c")], merge=one_writer)
        )
        assert [cause.failure.message for cause in result.causes] == ["a", "c"]
        assert "2 of 3 branches failed" in result.failure.message
        assert "a" in result.failure.message and "c" in result.failure.message

    def test_nested_branches_are_cancelled(self) -> None:
        tools = Tools()
        inner = gather([sleep(LONG), sleep(LONG).before(sleep())], merge=one_writer)
        flow = gather([inner, inner.otherwise(sleep()), sleep(SOON, error="x")], merge=one_writer)
        assert isinstance(done(flow, (), tools), Failed)
        assert len(tools.cancelled) == 4 and tools.done == ["0.2.0"]

    @pytest.mark.parametrize("branches", [1, 3])
    def test_cancellation_from_outside_goes_through(self, branches: int) -> None:
        tools = Tools()
        recovered: list[Any] = []
        flow = gather([sleep(LONG) for _ in range(branches)], merge=one_writer)
        flow = flow.recover(lambda failed: pure(recovered.append(failed)))

        async def main() -> Any:
            with anyio.move_on_after(SOON) as scope:
                await run(flow, (), tools)
            return scope.cancelled_caught

        assert anyio.run(main) is True
        assert len(tools.cancelled) == branches and not recovered

    def test_a_call_that_was_cancelled_is_not_recovered_from(self) -> None:
        async def perform(made: Call) -> CallResult:
            return Failure(kind="cancelled", message="stopped by the operator")

        @do
        async def stubborn() -> int:
            try:
                await call("tool")
            except StepFailed:
                return 1
            return 2

        for flow in (call("tool").otherwise(pure(1)), stubborn(), stubborn().otherwise(pure(3))):
            assert done(flow, (), perform).failure.kind == "cancelled"
            both = gather([flow, pure(1)], merge=one_writer).otherwise(pure(2))
            assert done(both, (), perform).failure.kind == "cancelled"

    def test_a_call_that_vanishes_is_no_endless_wait(self) -> None:
        async def perform(made: Call) -> CallResult:
            raise anyio.get_cancelled_exc_class()

        with pytest.raises(RuntimeError, match="gave no result"):
            done(gather([sleep(), sleep()], merge=one_writer), (), perform)


class TestDepth:
    STEPS = 100_000

    def test_left_nested(self) -> None:
        flow: Flow[Any, int] = pure(0)
        for _ in range(self.STEPS):
            flow = flow.then(lambda n: pure(n + 1))
        assert done(flow).value == self.STEPS
        assert repr(flow).startswith("<ThenFlow")
        del flow
        gc.collect()

    def test_right_nested(self) -> None:
        def count(n: int) -> Flow[Any, int]:
            return pure(n + 1).then(lambda m: pure(m) if m == self.STEPS else count(m))

        assert done(count(0)).value == self.STEPS

    def test_right_nested_with_something_to_do_afterwards(self) -> None:
        def count(n: int) -> Flow[Any, int]:
            return pure(n) if n == self.STEPS else defer(count, n + 1).map(lambda m: m)

        assert done(count(0)).value == self.STEPS

    def test_failures_through_deep_nesting(self) -> None:
        flow: Flow[Any, Any] = fail("deep")
        for _ in range(self.STEPS):
            flow = flow.map(lambda x: x).recover(fail)
        assert done(flow).failure.message == "deep"

    def test_a_long_function(self) -> None:
        @do
        async def count() -> int:
            n = 0
            while n < self.STEPS:
                n = await pure(n + 1)
            return n

        assert done(count()).value == self.STEPS

    def test_calls_step_by_step(self) -> None:
        flow: Flow[Any, Any] = pure(0)
        for _ in range(5_000):
            flow = flow.then(lambda n: call("next", n=n))
        reached = start(flow, ())
        while isinstance(reached, Suspended):
            (one,) = reached.calls
            reached = reached.resume({one.id: Returned(value=one.arguments["n"] + 1)})
        assert reached.value == 5_000

    def test_gathers_in_gathers(self) -> None:
        def nest(n: int) -> Flow[Any, Any]:
            return pure(1) if n == 0 else gather([defer(nest, n - 1)], merge=one_writer).map(len)

        assert done(nest(2_000)).value == 1

    def test_many_branches(self) -> None:
        flow = traverse(range(2_000), lambda n: call("sleep", value=n), merge=one_writer)
        assert done(flow).value == tuple(range(2_000))


class TestDo:
    def test_a_function_is_run_anew_by_every_run(self) -> None:
        @do
        async def buy(item: str) -> int:
            before = await get()
            price = await sleep(value=len(item))
            await put(before | {item: price})
            return price * 2

        flow = buy("tea")
        for _ in range(2):
            assert done(flow, Record()) == Ok(state=Record({"tea": 3}), value=6)
        both = gather([flow, buy("jam roll")], merge=by_key()).map(sum)
        assert done(both, Record()) == Ok(state=Record({"tea": 3, "jam roll": 8}), value=22)

    def test_failures_are_raised_where_they_are_awaited(self) -> None:
        @do
        async def careful() -> Any:
            try:
                await put(1).before(fail("broken"))
            except StepFailed as error:
                return error.failed.failure.message, await get()

        assert done(careful(), 0).value == ("broken", 1)

    def test_what_is_not_caught_fails_the_function(self) -> None:
        @do
        async def careless() -> None:
            await sleep(error="broken")
            raise AssertionError("not reached")

        result = done(careless().named("step"))
        assert result.failure.message == "broken" and result.where == "step/call sleep (0)"

    def test_only_flows_are_awaited(self) -> None:
        @do
        async def impatient() -> None:
            await anyio.sleep(0)

        assert done(impatient()).failure.kind == "invalid"
        with pytest.raises(TypeError, match="async def"):
            do(lambda: None)  # type: ignore[arg-type,return-value]

    def test_forks_go_their_own_ways(self) -> None:
        @do
        async def collect() -> list[Any]:
            found = []
            for n in range(3):
                found.append(await call("ask", n=n))
            return found

        first = start(collect(), ())
        ends: list[Any] = []
        for choice in "ab":
            reached: Any = first
            while isinstance(reached, Suspended):
                again = reached
                reached = reached.resume({reached.calls[0].id: Returned(value=choice)})
                other: Any = again.resume({again.calls[0].id: Returned(value="x")})
                while isinstance(other, Suspended):
                    other = other.resume({other.calls[0].id: Returned(value="y")})
                ends.append("".join(other.value))
            ends.append("".join(reached.value))
        assert ends == ["xyy", "axy", "aax", "aaa", "xyy", "bxy", "bbx", "bbb"]

    def test_functions_that_are_cancelled_clean_up(self) -> None:
        order: list[str] = []

        @do
        async def tidy() -> None:
            try:
                await sleep(LONG)
            finally:
                order.append("tidied")

        both = gather([tidy(), sleep(SOON, error="broken")], merge=one_writer)
        flow = both.recover(lambda failed: pure(order.append("recovered")))
        done(flow)
        assert order == ["tidied", "recovered"]
        stopped = start(flow, ())
        assert isinstance(stopped, Suspended)
        broken = stopped.resume({"0.1.0": Failure(kind="error", message="broken")})
        assert isinstance(broken, Ok) and order[2:] == ["tidied", "recovered"]
        other = stopped.resume({"0.0.0": Returned(value=1), "0.1.0": Returned(value=2)})
        assert isinstance(other, Ok) and other.value == (None, 2), "a fork starts it anew"

    def test_a_function_that_looks_elsewhere_is_found_out(self) -> None:
        times: list[int] = []

        @do
        async def fickle() -> None:
            times.append(1)
            await call("a" if len(times) == 1 else "b")
            await call("c")

        stop = start(fickle(), ())
        assert isinstance(stop, Suspended)
        assert isinstance(stop.resume({"0": Returned(value=1)}), Suspended)
        second = stop.resume({"0": Returned(value=1)})  # the function is started anew
        assert isinstance(second, Failed) and "another way" in second.failure.message


class TestAgain:
    def test_nothing_is_done_twice_under_a_journal(self) -> None:
        tools, journal = Tools(), {}

        async def journaled(made: Call) -> CallResult:
            if made.id not in journal:
                journal[made.id] = await tools(made)
            return journal[made.id]

        branch = sleep(value=1).then(lambda n: sleep(value=n + 1))
        flow = gather([branch, branch], merge=one_writer).then(lambda both: sleep(value=both[0]))
        first = done(flow, (), journaled)
        assert done(flow, (), journaled) == first and first.value == 2
        assert sorted(tools.done) == sorted(["0.0.0", "0.1.0", "0.0.1", "0.1.1", "1"])

    def test_runs_at_the_same_time_share_nothing(self) -> None:
        @do
        async def remember(n: int) -> Any:
            for _ in range(5):
                await sleep()
                await modify(lambda s: s | {"seen": (*s["seen"], n)})
            return await get()

        flow = defer(lambda: get().then(lambda s: remember(s["me"])))

        async def main() -> None:
            results: dict[int, Any] = {}

            async def one(n: int) -> None:
                results[n] = await run(flow, Record({"me": n, "seen": ()}), Tools())

            async with anyio.create_task_group() as group:
                for n in range(20):
                    group.start_soon(one, n)
            assert all(results[n].state["seen"] == (n,) * 5 for n in range(20))

        anyio.run(main)

    def test_the_order_in_which_branches_end_changes_nothing(self) -> None:
        """Replay does not depend on timing: ids of calls, values and states are the same."""

        def runs(delays: list[float]) -> tuple[Any, list[str]]:
            tools = Tools()
            branches = [
                sleep(delay).before(modify(lambda s, n=n: (*s, n))).before(sleep(value=n))
                for n, delay in enumerate(delays)
            ]
            return done(gather(branches, merge=append), (), tools), sorted(tools.done)

        assert runs([0.02, 0.01, 0.0]) == runs([0.0, 0.01, 0.02])

    def test_arguments_are_copies(self) -> None:
        given = {"list": [1]}

        async def greedy(made: Call) -> CallResult:
            made.arguments["x"]["list"].append(2)
            return Returned(value=len(made.arguments["x"]["list"]))

        flow = call("tool", x=given)
        given["list"].append(9)
        assert [done(flow, (), greedy).value for _ in range(2)] == [2, 2]

    def test_replay_wants_the_flow_that_was_recorded(self) -> None:
        deliveries: list[Any] = []

        async def main() -> Any:
            return await run(sleep(value=1).before(sleep(value=2)), (), Tools(),
                             record=deliveries.append)  # fmt: skip

        anyio.run(main)
        assert isinstance(
            replay(sleep().before(sleep()).before(sleep()), (), deliveries), Suspended
        )
        with pytest.raises(ValueError, match="ended before delivery 1"):
            replay(sleep(), (), deliveries)
        with pytest.raises(KeyError, match="waits for no call '0'"):
            replay(gather([sleep()], merge=one_writer), (), deliveries)


class TestLift:
    def test_async_functions_run_in_a_loop_only(self) -> None:
        async def slowly(x: int) -> int:
            await anyio.sleep(SOON)
            return x + 1

        flow = gather([lift(slowly, 1), lift(slowly, 2)], merge=one_writer)
        assert done(flow).value == (2, 3)
        stopped = start(flow, ())
        assert isinstance(stopped, Failed) and stopped.failure.kind == "invalid"
        hidden = done(lift(lambda: slowly(1)))  # looks like a plain function
        assert hidden.failure.kind == "invalid" and "an async function" in hidden.failure.message

    def test_threads(self) -> None:
        assert done(lift(anyio.to_thread.run_sync, lambda: 3)).value == 3

    def test_exceptions_of_async_functions(self) -> None:
        async def broken() -> None:
            raise LookupError("nothing")

        assert done(lift(broken)).failure.message == "LookupError: nothing"


def test_suspended_runs_say_what_they_wait_for() -> None:
    reached = start(gather([sleep(), sleep()], merge=one_writer), ())
    assert isinstance(reached, Suspended)
    with pytest.raises(KeyError, match=r"waits for no call '0.0.1'"):
        reached.resume({"0.0.1": Returned(value=1)})
    with pytest.raises(ValueError, match="one call at least"):
        reached.resume({})
    half: Any = reached.resume({"0.1.0": Returned(value="b")})
    assert [one.id for one in half.calls] == ["0.0.0"]
    assert half.resume({"0.0.0": Returned(value="a")}).value == ("a", "b")
