"""One sequence of a flow's steps as an immutable machine that stops where it must ask.

The continuation is a linked list of frames, so that a hundred thousand steps nest without nesting
Python's stack, and a machine that has stopped can be continued any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

from enactive.policies.agents.flow import (
    CallFlow,
    DoFlow,
    Failed,
    FailFlow,
    Flow,
    GatherFlow,
    LiftFlow,
    MapFlow,
    ModifyFlow,
    NamedFlow,
    Ok,
    PureFlow,
    RecoverFlow,
    StepFailed,
    ThenFlow,
    caught,
    invalid,
    is_async,
    label,
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """What to do with the value of the flow that is running, and then."""

    step: Flow[Any, Any] | _Awaiting
    rest: Frame | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Awaiting:
    """An async function that awaits the flow that is running.

    A coroutine can be continued once. Whoever continues the machine a second time makes another
    one, and gives it the same answers.
    """

    flow: DoFlow[Any]
    answers: _Answers | None = None
    """What it has been given so far, the last first; the first of all is the ``None`` that starts
    it."""
    coroutine: list[Coroutine[Any, Any, Any]] = field(default_factory=list[Any])
    """At most one, until it is taken."""

    def take(self) -> Coroutine[Any, Any, Any]:
        """A coroutine that has been given :attr:`answers`."""
        try:
            return self.coroutine.pop()
        except IndexError:
            pass
        links: list[_Answers] = []
        link = self.answers
        while link is not None:
            links.append(link)
            link = link.before
        made = self.flow.start()
        for link in reversed(links):
            try:
                awaited = _give(made, link.answer)
            except StopIteration as ended:
                raise RuntimeError(_ANOTHER_WAY) from ended
            if not _alike(awaited, link.awaited):
                made.close()
                raise RuntimeError(_ANOTHER_WAY)
        return made

    def close(self) -> None:
        """End the coroutine without an answer; its ``finally`` blocks run."""
        while self.coroutine:
            try:
                self.coroutine.pop().close()
            except RuntimeError:  # it awaits something while it is being closed
                continue


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Answers:
    answer: Any
    """A value, or a :class:`Failed`."""
    awaited: Flow[Any, Any]
    """What the function awaited then."""
    before: _Answers | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Asking:
    """A machine that has stopped at a call, an async function, or flows to run side by side."""

    step: CallFlow | LiftFlow[Any] | GatherFlow[Any, Any]
    state: Any
    frames: Frame | None
    asked: int
    """Steps of these kinds before this one."""

    def answer(self, value: Any, state: Any) -> Machine:
        """Go on with the value of the step, and a state."""
        return advance(PureFlow(value), state, self.frames, self.asked + 1)

    def fail(self, failed: Failed[Any]) -> Machine:
        """Go on with the failure of the step."""
        return advance(FailFlow(failed), self.state, self.frames, self.asked + 1)

    def cancel(self) -> None:
        """End the async functions that wait; whoever continues the machine makes them anew."""
        frame = self.frames
        while frame is not None:
            if isinstance(frame.step, _Awaiting):
                frame.step.close()
            frame = frame.rest


Machine: TypeAlias = Asking | Ok[Any, Any] | Failed[Any]
"""Where a sequence of steps is: it asks, or it has ended."""


def begin(flow: Flow[Any, Any], state: Any) -> Machine:
    """Run ``flow`` until it asks or ends.

    Raises:
        TypeError: it is no flow, or the state can be changed in place.
    """
    given: Any = flow
    if not isinstance(given, Flow):
        raise TypeError(f"only a Flow can be run, got {type(given).__name__}")
    problem = _state_problem(state)
    if problem:
        raise TypeError(problem)
    return advance(flow, state, None, 0)


def advance(flow: Flow[Any, Any], state: Any, frames: Frame | None, asked: int) -> Machine:
    """Run steps until one asks, or there are none left."""
    todo: Flow[Any, Any] | _Value | Failed[Any] = flow
    while True:
        if isinstance(todo, ThenFlow | MapFlow | RecoverFlow | NamedFlow):
            frames = Frame(todo, frames)
            todo = todo.source
        elif isinstance(todo, Flow):
            if isinstance(todo, CallFlow | GatherFlow) or (
                isinstance(todo, LiftFlow) and is_async(todo.function)
            ):
                return Asking(todo, state, frames, asked)
            if isinstance(todo, DoFlow):
                frames = Frame(_Awaiting(todo), frames)
                todo = _Value(None)
            else:
                todo, state = _do(todo, state)
        elif frames is None:
            if isinstance(todo, Failed):
                return replace(todo, state=state)
            return Ok(state=state, value=todo.value)
        else:
            step, frames = frames.step, frames.rest
            if isinstance(step, _Awaiting):
                todo, awaiting = _resume(step, todo, state)
                if awaiting is not None:
                    frames = Frame(awaiting, frames)
            elif isinstance(todo, Failed):
                todo = _pass_failure(step, todo, state)
            else:
                todo = _pass_value(step, todo)


@dataclass(frozen=True, slots=True, eq=False)
class _Value:
    value: Any


_Next: TypeAlias = Flow[Any, Any] | _Value | Failed[Any]


def _do(flow: Flow[Any, Any], state: Any) -> tuple[_Value | Failed[Any], Any]:
    """Run a step that neither asks nor consists of others; what came of it, and the state."""
    if isinstance(flow, PureFlow):
        return _Value(flow.value), state
    if isinstance(flow, FailFlow):
        return flow.failed, state
    if isinstance(flow, ModifyFlow):
        try:
            changed, value = flow.function(state)
        except Exception as error:
            return caught(error, flow.label), state
        problem = "" if changed is state else _state_problem(changed)
        if problem:
            return invalid(problem, flow.label), state
        return _Value(value), changed
    if isinstance(flow, LiftFlow):
        where = f"lift {label(flow.function)}"
        try:
            value = flow.function(*flow.arguments)
        except Exception as error:
            if flow.through:
                raise
            return caught(error, where), state
        if isinstance(value, Coroutine):
            value.close()
            return invalid("it gave a coroutine; give lift an async function", where), state
        return _Value(value), state
    return invalid(f"{type(flow).__name__} is no Flow that this module knows", "flow"), state


def _pass_value(step: Flow[Any, Any], done: _Value) -> _Next:
    """Give a value to the step that waits for it."""
    if isinstance(step, MapFlow):
        try:
            return _Value(step.function(done.value))
        except Exception as error:
            return caught(error, f"map {label(step.function)}")
    if isinstance(step, ThenFlow):
        return _made(step.function, done.value, "then")
    return done


def _pass_failure(step: Flow[Any, Any], failed: Failed[Any], state: Any) -> _Next:
    """Let a failure pass a step that waits for a value."""
    if isinstance(step, NamedFlow):
        return replace(failed, where=f"{step.name}/{failed.where}")
    if isinstance(step, RecoverFlow) and failed.failure.kind != "cancelled":
        return _made(step.handler, replace(failed, state=state), "recover")
    return failed


def _made(function: Callable[[Any], Any], argument: Any, where: str) -> _Next:
    try:
        flow = function(argument)
    except Exception as error:
        return caught(error, f"{where} {label(function)}")
    if isinstance(flow, Flow):
        return cast("Flow[Any, Any]", flow)
    if isinstance(flow, Coroutine):
        cast("Coroutine[Any, Any, Any]", flow).close()
    given = type(cast("object", flow)).__name__
    return invalid(f"it gave a {given}; give a Flow, or use map", f"{where} {label(function)}")


def _resume(
    step: _Awaiting, answer: _Value | Failed[Any], state: Any
) -> tuple[_Next, _Awaiting | None]:
    """Give an async function what it awaited; what it does next, and its own next frame."""
    if isinstance(answer, Failed):
        if answer.failure.kind == "cancelled":
            step.close()
            return answer, None
        answer = replace(answer, state=state)
    given = answer.value if isinstance(answer, _Value) else answer
    try:
        coroutine = step.take()
        flow = _give(coroutine, given)
    except StopIteration as ended:
        return _Value(ended.value), None
    except Exception as error:
        return caught(error, step.flow.label), None
    if not isinstance(flow, Flow):
        coroutine.close()
        return invalid(
            f"it awaited something that is no Flow ({type(flow).__name__}); await flows, and let "
            "a tool or lift do the rest",
            step.flow.label,
        ), None
    following = _Awaiting(step.flow, _Answers(given, flow, step.answers), [coroutine])
    return cast("Flow[Any, Any]", flow), following


def _alike(one: Flow[Any, Any], other: Flow[Any, Any]) -> bool:
    """Whether two flows may be the same; calls must be."""
    if isinstance(one, CallFlow) and isinstance(other, CallFlow):
        return one.tool == other.tool and one.arguments == other.arguments
    return type(one) is type(other)


def _give(coroutine: Coroutine[Any, Any, Any], answer: Any) -> Any:
    """What a coroutine awaits after ``answer``; raises ``StopIteration`` at its end."""
    if isinstance(answer, Failed):
        return coroutine.throw(StepFailed(cast("Failed[Any]", answer)))
    return coroutine.send(answer)


_ANOTHER_WAY = (
    "started anew with the same answers it took another way; it must decide by its arguments and "
    "by what it awaits alone"
)
_MUTABLE = (dict, list, set, bytearray)


def _state_problem(state: Any) -> str:
    if isinstance(state, _MUTABLE):
        return (
            f"a state is immutable, got a {type(cast('object', state)).__name__}, which branches "
            "and runs could change for one another; use a Record, a tuple or a frozen dataclass"
        )
    return ""
