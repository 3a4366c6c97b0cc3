"""Running flows in an event loop: calls of a gather are under way side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import anyio

from enactive.actions.tools import Call, CallResult, Returned
from enactive.policies.agents.flow import CallFlow, Failed, Flow, LiftFlow, Result, caught
from enactive.policies.agents.flow_steps import Path, Schedule

S = TypeVar("S")
T = TypeVar("T")

Perform: TypeAlias = Callable[[Call], Awaitable[CallResult]]
"""Makes a call, or gives the result that it had. ``call.id`` names the call in its run, the same in
every run of the flow that gets the same results: under a journal with that key nothing is done
twice."""
Record: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Told of results as the run takes them in: by call id, those that are taken in together."""


async def run(
    flow: Flow[S, T], state: S, perform: Perform, *, record: Record | None = None
) -> Result[S, T]:
    """Run a flow to its end.

    A branch that fails cancels its siblings, and no further call is begun before they have cleaned
    up. What has come in by then is taken in together, so that failures of the same moment are all
    collected. Cancellation from outside cancels every call that is under way and is raised on.

    Args:
        flow: what to run; it can be run again.
        state: the state that it begins with, immutable.
        perform: makes calls. What it raises, other than cancellation, ends the run and is raised
            on: a call's failure is a value.
        record: given every delivery, for :func:`~enactive.policies.agents.flow_steps.replay`.

    Raises:
        TypeError: ``flow`` is no flow, or the state can be changed in place.
    """
    schedule = Schedule()
    schedule.begin(flow, state)
    while schedule.result is None:
        schedule.begun.clear()
        schedule.dropped.clear()
        if len(schedule.waiting) > 1:
            await _side_by_side(schedule, perform, record)
            continue
        (path,) = schedule.waiting
        request = _Request(schedule, path)
        _deliver(schedule, {request.id: await request.settle(perform)}, record)
    return cast("Result[S, T]", schedule.result)


class _Request:
    """What one sequence waits for."""

    def __init__(self, schedule: Schedule, path: Path) -> None:
        self.path, self.id, self.where = path, schedule.id(path), schedule.where(path)
        self.step = schedule.waiting[path].step
        self.call = schedule.call(path) if isinstance(self.step, CallFlow) else None
        self.scope = anyio.CancelScope()

    async def settle(self, perform: Perform) -> CallResult | Failed[Any]:
        """Make the call, or run the async function."""
        if self.call is not None:
            return await perform(self.call)
        assert isinstance(self.step, LiftFlow)
        try:
            made = self.step.function(*self.step.arguments)
            return Returned(value=await cast("Awaitable[Any]", made))
        except Exception as error:
            if self.step.through:
                raise
            return caught(error, self.where)


def _deliver(schedule: Schedule, results: Mapping[str, Any], record: Record | None) -> None:
    if record is not None:
        record(results)
    schedule.deliver(results)


async def _side_by_side(schedule: Schedule, perform: Perform, record: Record | None) -> None:
    """Drive the schedule with a task for each call, until one call or none is left to make."""
    running: dict[Path, _Request] = {}
    finished: dict[str, CallResult | Failed[Any]] = {}
    crashed: list[Exception] = []
    lost: list[_Request] = []
    news = anyio.Event()

    async def settle(request: _Request) -> None:
        try:
            with request.scope:
                if not request.scope.cancel_called:
                    finished[request.id] = await request.settle(perform)
        except Exception as error:
            crashed.append(error)
            group.cancel_scope.cancel()
        finally:
            if request.id not in finished and not request.scope.cancel_called:
                lost.append(request)
            del running[request.path]
            news.set()

    async def wait() -> None:
        nonlocal news
        await news.wait()
        news = anyio.Event()

    async with anyio.create_task_group() as group:
        try:
            schedule.begun.extend(schedule.waiting)
            while schedule.result is None and (running or len(schedule.waiting) > 1):
                for path in sorted(set(schedule.begun)):
                    if path in schedule.waiting:
                        running[path] = _Request(schedule, path)
                        group.start_soon(settle, running[path])
                schedule.begun.clear()
                while not finished:
                    if lost:
                        raise RuntimeError(f"{lost[0].where}: it was cancelled by neither this run "
                                           "nor what is around it, and gave no result")  # fmt: skip
                    await wait()
                results = dict(finished)
                finished.clear()
                _deliver(schedule, results, record)
                cancelled = {path: running[path] for path in schedule.dropped if path in running}
                schedule.dropped.clear()
                for request in cancelled.values():
                    request.scope.cancel()
                while any(running.get(path) is one for path, one in cancelled.items()):
                    await wait()
                for request in cancelled.values():
                    finished.pop(request.id, None)
        except Exception as error:  # not in a group of exceptions: nobody catches those
            crashed.append(error)
            group.cancel_scope.cancel()
    if crashed:
        raise crashed[0]
