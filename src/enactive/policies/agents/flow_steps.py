"""Running flows step by step: a run stops at its calls and is resumed with their results.

:func:`start` gives a :class:`Suspended` run, an immutable value: resumed twice, with different
results perhaps, it goes two ways. That is the form in which a policy keeps a flow in its memory.
:mod:`enactive.policies.agents.flow_run` drives the same :class:`Schedule` with calls side by side.

What a run comes to is decided by the flow, the state, and the results in the order in which they
were delivered; :func:`replay` takes a recorded order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from enactive.actions.tools import Call, CallResult, Failure, Returned
from enactive.policies.agents.flow import (
    CallFlow,
    Failed,
    Flow,
    GatherFlow,
    Ok,
    Result,
    caught,
    invalid,
    label,
    plain,
)
from enactive.policies.agents.flow_machine import Asking, Machine, advance, begin
from enactive.registry import suggest

Path: TypeAlias = tuple[int, ...]
"""Where a sequence of steps is: for every gather around it, which step of its sequence that was,
and which branch."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """A run that waits for calls. Resume it as often as you like."""

    _schedule: Schedule

    @property
    def calls(self) -> tuple[Call, ...]:
        """What it waits for, in the order of the branches. Ids say where a call is in the run
        (``"2.0.1"``: step 2 is a gather; of its branch 0 step 1) whatever the timing."""
        waiting = self._schedule.waiting
        return tuple(self._schedule.call(path) for path in sorted(waiting))

    def resume(self, results: Mapping[str, CallResult]) -> Suspended | Result[Any, Any]:
        """Go on with the results of some calls, by id.

        Raises:
            ValueError: there are no results.
            KeyError: it waits for no such call.
        """
        self._schedule.check(results)
        if not results:
            raise ValueError("results is empty; give the result of one call at least")
        return _stop(self._schedule.copy(), results)


def start(flow: Flow[Any, Any], state: Any) -> Suspended | Result[Any, Any]:
    """Run ``flow`` to its first calls, or to its end.

    Raises:
        TypeError: it is no flow, or the state can be changed in place.
    """
    schedule = Schedule()
    schedule.begin(flow, state)
    return _stop(schedule, {})


def replay(
    flow: Flow[Any, Any], state: Any, deliveries: Iterable[Mapping[str, CallResult]]
) -> Suspended | Result[Any, Any]:
    """Run ``flow`` on recorded results, in the recorded order.

    Args:
        flow: as it was when they were recorded.
        state: as it was then.
        deliveries: what :func:`~enactive.policies.agents.flow_run.run` gave to ``record``.

    Raises:
        KeyError: the run does not wait for a call whose result was recorded: it is another flow.
        ValueError: the run ended before the recorded one.
    """
    schedule = Schedule()
    schedule.begin(flow, state)
    for number, results in enumerate(deliveries):
        if schedule.result is not None:
            raise ValueError(f"the run ended before delivery {number}, for {sorted(results)}")
        schedule.check(results)
        schedule.deliver(results)
    return _stop(schedule, {})


def _stop(schedule: Schedule, results: Mapping[str, CallResult]) -> Suspended | Result[Any, Any]:
    """Deliver, and run on until every sequence waits for a call."""
    if results:
        schedule.deliver(results)
    while schedule.result is None:
        lifted = {
            schedule.id(path): invalid("an async function needs an event loop: run the flow with "
                                       "run(), or make a tool of it", schedule.where(path))
            for path, asking in schedule.waiting.items()
            if not isinstance(asking.step, CallFlow)
        }  # fmt: skip
        if not lifted:
            return Suspended(schedule)
        schedule.deliver(lifted)
    return schedule.result


@dataclass(frozen=True, slots=True, eq=False)
class _Fan:
    """Branches that run side by side."""

    asking: Asking
    running: int
    """Branches that have not ended."""


@dataclass(slots=True, eq=False, repr=False)
class Schedule:
    """Where every sequence of a run is; what :func:`start` and ``run`` drive. The one mutable thing
    of this module: whoever keeps one keeps it to himself."""

    waiting: dict[Path, Asking] = field(default_factory=dict[Path, Asking])
    """Sequences that wait for a call or an async function."""
    fans: dict[Path, _Fan] = field(default_factory=dict[Path, _Fan])
    ended: dict[Path, Ok[Any, Any] | Failed[Any]] = field(default_factory=dict[Path, Any])
    """Branches that have ended while others of their gather run."""
    result: Result[Any, Any] | None = None
    begun: list[Path] = field(default_factory=list[Path])
    """Sequences that have come to wait for something; whoever drives the schedule empties it."""
    dropped: list[Path] = field(default_factory=list[Path])
    """Sequences whose waiting was cancelled; likewise."""

    def copy(self) -> Schedule:
        return Schedule(dict(self.waiting), dict(self.fans), dict(self.ended), self.result)

    def begin(self, flow: Flow[Any, Any], state: Any) -> None:
        """Run to the first calls."""
        self._go([((), begin(flow, state))])

    def id(self, path: Path) -> str:
        """Of what the sequence at ``path`` waits for: unique in the run, whatever the timing."""
        return ".".join(map(str, (*path, self.waiting[path].asked)))

    def check(self, results: Iterable[str]) -> None:
        """Refuse results of what nobody waits for; raises ``KeyError`` with suggestions."""
        known = {self.id(path) for path in self.waiting}
        for id in results:
            if id not in known:
                raise KeyError(f"the run waits for no call {id!r}; {suggest(id, known)}")

    def call(self, path: Path) -> Call:
        """What the sequence at ``path`` waits for, with arguments of its own."""
        step = self.waiting[path].step
        assert isinstance(step, CallFlow)
        return Call(tool=step.tool, arguments=plain(step.arguments), id=self.id(path))

    def where(self, path: Path) -> str:
        """The step that waits at ``path``, for people."""
        step = self.waiting[path].step
        if isinstance(step, CallFlow):
            return f"call {step.tool} ({self.id(path)})"
        return f"lift {label(step.function)}" if not isinstance(step, GatherFlow) else "gather"

    def deliver(self, results: Mapping[str, CallResult | Failed[Any]]) -> None:
        """Go on with these results, by id; all at once, so that of several failures in one
        delivery none hides another."""
        todo: list[tuple[Path, Machine]] = []
        for id in sorted(results, key=_path):
            path = _path(id)[:-1]
            result, where = results[id], self.where(path)
            asking = self.waiting.pop(path)
            if isinstance(result, Returned):
                todo.append((path, asking.answer(result.value, asking.state)))
            elif isinstance(result, Failure):
                failed: Failed[Any] = Failed(state=None, failure=result, where=where)
                todo.append((path, asking.fail(failed)))
            else:
                todo.append((path, asking.fail(result)))
        self._go(todo)

    def _go(self, some: Iterable[tuple[Path, Machine]]) -> None:
        todo = deque(some)
        due: dict[Path, bool] = {}  # gathers to settle -> whether a branch failed
        while todo or due:
            while todo:
                path, machine = todo.popleft()
                if not isinstance(machine, Asking):
                    if not path:
                        self.result = machine
                        continue
                    self.ended[path] = machine
                    outer = path[:-2]
                    fan = self.fans[outer]
                    self.fans[outer] = replace(fan, running=fan.running - 1)
                    failed = due.get(outer, False) or isinstance(machine, Failed)
                    if failed or fan.running == 1:
                        due[outer] = failed
                elif isinstance(machine.step, GatherFlow):
                    flows = machine.step.flows
                    self.fans[path] = _Fan(machine, len(flows))
                    for branch, flow in zip(self._branches(path), flows, strict=True):
                        todo.append((branch, advance(flow, machine.state, None, 0)))
                    if not flows:
                        due[path] = False
                else:
                    self.waiting[path] = machine
                    self.begun.append(path)
            if due:  # the innermost first: what it comes to may settle those around it
                path = max(due, key=len)
                failed = due.pop(path)
                if path in self.fans:  # and was not cancelled by one around it
                    todo.append((path, self._settle(path, failed)))

    def _branches(self, path: Path) -> list[Path]:
        asking = self.fans[path].asking
        assert isinstance(asking.step, GatherFlow)
        return [(*path, asking.asked, branch) for branch in range(len(asking.step.flows))]

    def _settle(self, path: Path, failed: bool) -> Machine:
        """End a gather: cancel what still runs, merge states or collect failures, and go on."""
        branches = self._branches(path)
        ends = [self.ended.pop(branch, None) for branch in branches]
        asking = self.fans.pop(path).asking
        assert isinstance(asking.step, GatherFlow)
        if failed:
            self._cancel(branches)
            return asking.fail(_collected(ends))
        done = [end for end in ends if isinstance(end, Ok)]
        try:
            state = asking.step.merge(asking.state, [end.state for end in done])
        except Exception as error:
            return asking.fail(caught(error, "gather merge"))
        return asking.answer(tuple(end.value for end in done), state)

    def _cancel(self, paths: Iterable[Path]) -> None:
        """Forget all sequences at and below ``paths``."""
        gone = list(paths)
        while gone:
            path = gone.pop()
            self.ended.pop(path, None)
            waiting = self.waiting.pop(path, None)
            if waiting is not None:
                self.dropped.append(path)
                waiting.cancel()
            elif path in self.fans:
                gone.extend(self._branches(path))
                self.fans.pop(path).asking.cancel()


def _path(id: str) -> Path:
    return tuple(map(int, id.split(".")))


def _collected(ends: Iterable[Ok[Any, Any] | Failed[Any] | None]) -> Failed[Any]:
    """The failure of a gather, of all of its branches that failed."""
    ends = list(ends)
    causes = tuple(
        replace(end, where=f"branch {number}/{end.where}")
        for number, end in enumerate(ends)
        if isinstance(end, Failed)
    )
    if len(causes) == 1:
        return replace(causes[0], causes=causes)
    first = next((one for one in causes if one.failure.kind == "cancelled"), causes[0])
    told = "; ".join(f"{cause.where}: {cause.failure.message}" for cause in causes)
    failure = Failure(
        kind=first.failure.kind,
        message=f"{len(causes)} of {len(ends)} branches failed: {told}",
    )
    return Failed(state=None, failure=failure, where="gather", causes=causes)
