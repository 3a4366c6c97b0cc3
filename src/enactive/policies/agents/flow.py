"""Agent steps as values that compose: functor, applicative and monad over state, failure, effects.

A :class:`Flow` describes work and does none. It can be run any number of times, on any state, by
:func:`enactive.policies.agents.flow_run.run` or step by step by
:func:`enactive.policies.agents.flow_steps.start`, and what it means is a function::

    S -> IO(Ok(S, T) | Failed(S, Failure))

that is, StateT S over EitherT Failure over IO ("Monadic Context Engineering", arXiv 2512.22431,
§3-4). Layer by layer:

- *StateT*: :func:`get`, :func:`put`, :func:`modify`. State goes from step to step. A failure holds
  the state before the step that failed, so what was done before it is not forgotten.
- *EitherT*: :func:`fail`, :meth:`Flow.recover`. After a failure nothing runs until something
  recovers. Exceptions of functions given to ``map``, ``then``, ``lift`` and the others become
  failures; cancellation does not, and cannot be recovered from.
- *IO*: :func:`call` and :func:`lift`. A call is *yielded*: whoever runs the flow makes it, and so
  can check, journal, refuse or replay it. What :func:`lift` runs is run again with the flow.

``None`` is a value like any other. External effects of calls are never rolled back.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, cast

from enactive.actions.toolbox import ToolError
from enactive.actions.tools import Failure
from enactive.models.language_models.language_model import (
    Completion,
    LanguageModel,
    Request,
    Usage,
)
from enactive.policies.agents.merges import Merge, MergeConflict

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
V = TypeVar("V")
P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ok(Generic[S, T]):
    """A flow came to its end."""

    state: S
    value: T


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(Generic[S]):
    """A step failed, and nothing recovered. Equal to another of equal state, failure and causes."""

    state: S
    """As it was before the step that failed."""
    failure: Failure
    where: str = field(default="", compare=False)
    """The step, inside the names around it: ``"compare/branch 1/call search"``."""
    causes: tuple[Failed[S], ...] = ()
    """Of a :func:`gather`: every branch that failed, in the branches' order."""
    traceback: str = field(default="", compare=False, repr=False)
    """Of an exception, for people."""


Result: TypeAlias = Ok[S, T] | Failed[S]


class StepFailed(Exception):
    """A failure on its way: raised where a :func:`do` function awaits a flow that failed, and may
    be raised by any function of a flow to fail in a particular way."""

    def __init__(self, failed: Failed[Any] | Failure) -> None:
        self.failed = failed if isinstance(failed, Failed) else Failed(state=None, failure=failed)
        super().__init__(self.failed.failure.message)


class Flow(Generic[S, T_co]):
    """Work over a state ``S`` that gives a ``T``, or fails. Immutable; made by the functions of
    this module, and run by others."""

    __slots__ = ()

    def map(self, function: Callable[[T_co], U]) -> Flow[S, U]:
        """Apply a plain function to the value."""
        return MapFlow(self, function)

    def then(self, function: Callable[[T_co], Flow[S, U]]) -> Flow[S, U]:
        """Go on with the flow that ``function`` makes of the value (monadic bind)."""
        return ThenFlow(self, function)

    def before(self, other: Flow[S, U]) -> Flow[S, U]:
        """Go on with ``other``, whatever the value."""
        return ThenFlow(self, lambda _: other)

    def apply(self: Flow[S, Callable[[U], V]], argument: Flow[S, U]) -> Flow[S, V]:
        """Apply the function that this flow gives to what ``argument`` gives. First this, then
        ``argument`` on the state that it left; :func:`gather` runs flows side by side."""
        return self.then(argument.map)

    def recover(self, handler: Callable[[Failed[S]], Flow[S, U]]) -> Flow[S, T_co | U]:
        """If this fails, go on with what ``handler`` makes of the failure, on the failure's state.
        A cancelled flow does not go on."""
        return cast("Flow[S, T_co | U]", RecoverFlow(self, handler))

    def otherwise(self, other: Flow[S, U]) -> Flow[S, T_co | U]:
        """If this fails, ``other``."""
        return self.recover(lambda _: other)

    def named(self, name: str) -> Flow[S, T_co]:
        """The same, with a name in what :attr:`Failed.where` says."""
        return NamedFlow(self, name)

    def __await__(self) -> Generator[Flow[Any, Any], Any, T_co]:
        """In a :func:`do` function: the value of this flow."""
        return (yield self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}>"  # flows nest deeper than Python's stack


def pure(value: T) -> Flow[Any, T]:
    """The flow that does nothing and gives ``value``, itself and not a copy: do not change it."""
    return PureFlow(value)


def fail(failure: Failure | Failed[Any] | str) -> Flow[Any, Any]:
    """The flow that fails: as another one did (``fail(failed)`` in a handler fails on), with a
    failure, or with a message of kind ``error``."""
    if isinstance(failure, str):
        failure = Failure(kind="error", message=failure)
    if isinstance(failure, Failure):
        failure = Failed(state=None, failure=failure, where="fail")
    return FailFlow(failure)


def get() -> Flow[S, S]:
    """The state as value."""
    return cast("Flow[S, S]", ModifyFlow(lambda state: (state, state), "get"))


def put(state: S) -> Flow[S, None]:
    """Replace the state.

    A ``dict``, ``list`` or ``set`` would let branches, and runs, change each other's state: it is
    refused as the failure ``invalid``. Use a :class:`~enactive.policies.agents.record.Record`, a
    tuple, a frozen dataclass.
    """
    return ModifyFlow(lambda _: (state, None), "put")


def modify(function: Callable[[S], S]) -> Flow[S, None]:
    """Replace the state by what ``function`` makes of it."""
    return ModifyFlow(lambda state: (function(state), None), f"modify {label(function)}")


def lift(
    function: Callable[..., Awaitable[T] | T], *arguments: Any, through: bool = False
) -> Flow[Any, T]:
    """Run a plain or async function when the flow runs, *every* time that it runs.

    Nobody journals it, so it must have no effect that must not be repeated; effects belong into
    tools, which :func:`call` asks for. Async functions need
    :func:`~enactive.policies.agents.flow_run.run`: step by step they are the failure ``invalid``.

    Args:
        function: what to run.
        arguments: what it is given.
        through: what it raises is no failure of the flow, but ends the run and is raised on: a
            sandbox that is not there, say.
    """
    return LiftFlow(function, arguments, through)


def ask(model: LanguageModel, request: Request) -> Flow[Any, Completion]:
    """Have a language model complete ``request``, in place.

    What the model raises is no failure of the flow: it ends the run and is raised on, so that
    whoever runs it can stop at a budget, go on later when the model answers again, or notice that a
    replay has gone another way.
    """
    return lift(_complete, model, request, through=True)


@contextmanager
def usage() -> Generator[list[Usage]]:
    """What completions that :func:`ask` gets in this context take, as they come."""
    found: list[Usage] = []
    token = _USAGE.set(found)
    try:
        yield found
    finally:
        _USAGE.reset(token)


def _complete(model: LanguageModel, request: Request) -> Completion:
    completion = model.complete(request)
    if (listening := _USAGE.get()) is not None:
        listening.append(completion.usage)
    return completion


_USAGE: ContextVar[list[Usage] | None] = ContextVar("usage", default=None)


def defer(function: Callable[..., Flow[S, T]], *arguments: Any) -> Flow[S, T]:
    """The flow that ``function`` makes, made when it runs: exceptions become failures, and a flow
    may mention itself."""
    return pure(None).then(lambda _: function(*arguments))


def call(tool: str, /, **arguments: Any) -> Flow[Any, Any]:
    """Ask whoever runs the flow to call ``tool``; its result is the value.

    Args:
        tool: a tool's name.
        arguments: JSON values, copied now.
    """
    return CallFlow(tool, cast("Mapping[str, Any]", plain(arguments)))


def gather(flows: Iterable[Flow[S, T]], *, merge: Merge[S]) -> Flow[S, tuple[T, ...]]:
    """Run flows side by side, each on the state as it is now; their values in order.

    The state afterwards is ``merge(state before, states of the branches)``; there is no default,
    as any would lose somebody's writes. The first branch to fail cancels the others at once. Then
    the whole step fails: :attr:`Failed.causes` holds every branch that failed before cancellation
    reached it, and the state is the one before the step. States that do not merge
    (:class:`~enactive.policies.agents.merges.MergeConflict`) are the failure ``invalid``.
    """
    return GatherFlow(tuple(flows), merge)


def traverse(
    items: Iterable[U], function: Callable[[U], Flow[S, T]], *, merge: Merge[S]
) -> Flow[S, tuple[T, ...]]:
    """:func:`gather` of the flow that ``function`` makes of each item."""
    return gather((defer(function, item) for item in items), merge=merge)


def do(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Flow[Any, T]]:
    """Write a flow as an async function that awaits flows::

        @do
        async def buy(item: str) -> int:
            price = await call("price", item=item)
            await modify(lambda state: state | {"spent": state["spent"] + price})
            return price

    ``buy("tea")`` is a flow and runs nothing. A flow that fails raises :class:`StepFailed` where it
    is awaited; what is not caught fails the function. Anything but flows that is awaited, such as a
    sleep or a socket, is the failure ``invalid``. Where the flow is cancelled, ``finally`` blocks
    run as far as they await nothing.

    Each run starts the function anew. Where a suspended run is resumed a second time, the function
    is started anew and given what it was given before, so it must decide by its arguments and by
    what it awaits, and by nothing else: no clock, no globals that change.
    """

    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"do: {label(function)} is no async function; write 'async def'")

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> Flow[Any, T]:
        return DoFlow(lambda: function(*args, **kwargs), label(function))

    return make


# ----------------------------------------------------------------- what those that run flows see


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PureFlow(Flow[Any, T_co]):
    value: T_co


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FailFlow(Flow[Any, Any]):
    failed: Failed[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModifyFlow(Flow[Any, T_co]):
    function: Callable[[Any], tuple[Any, T_co]]
    """State to new state and value."""
    label: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MapFlow(Flow[S, T_co]):
    source: Flow[S, Any]
    function: Callable[[Any], T_co]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ThenFlow(Flow[S, T_co]):
    source: Flow[S, Any]
    function: Callable[[Any], Flow[S, T_co]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RecoverFlow(Flow[S, T_co]):
    source: Flow[S, T_co]
    handler: Callable[[Failed[S]], Flow[S, T_co]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NamedFlow(Flow[S, T_co]):
    source: Flow[S, T_co]
    name: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LiftFlow(Flow[Any, T_co]):
    function: Callable[..., Awaitable[T_co] | T_co]
    arguments: tuple[Any, ...]
    through: bool = False
    """Whether what it raises is raised on instead of becoming a failure."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallFlow(Flow[Any, Any]):
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GatherFlow(Flow[S, T_co]):
    flows: tuple[Flow[S, Any], ...]
    merge: Merge[S]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DoFlow(Flow[Any, T_co]):
    start: Callable[[], Coroutine[Any, Any, T_co]]
    label: str


def caught(error: Exception, where: str) -> Failed[Any]:
    """An exception as a failure; its state is filled in by whoever caught it."""
    if isinstance(error, StepFailed):
        return error.failed if error.failed.where else replace(error.failed, where=where)
    if isinstance(error, MergeConflict):
        return Failed(state=None, failure=Failure(kind="invalid", message=str(error)), where=where)
    kind = "" if isinstance(error, ToolError) else f"{type(error).__name__}: "
    return Failed(
        state=None,
        failure=Failure(kind="error", message=f"{kind}{error}"),
        where=where,
        traceback="".join(traceback.format_exception(error)),
    )


def invalid(message: str, where: str) -> Failed[Any]:
    """A failure of a flow that is not put together right."""
    return Failed(state=None, failure=Failure(kind="invalid", message=message), where=where)


def label(function: Any) -> str:
    """A function's name for people."""
    name = getattr(function, "__qualname__", "") or type(function).__name__
    return name.rpartition("<locals>.")[2]


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling ``function`` starts a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose call is async
    )


def plain(value: Any) -> Any:
    """A copy in plain JSON containers of whatever mappings, lists and tuples are in ``value``."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in cast("list[Any]", value)]
    return value
