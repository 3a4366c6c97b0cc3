"""Tools with the functions behind them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from enactive.actions.groups import check_names
from enactive.actions.tools import Call, CallResult, Failure, Returned, Tool, ToolSpace
from enactive.registry import suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class CallContext:
    """What a tool may know of the call that is being made."""

    path: str
    """Where in its episode the call is, e.g. ``"12.0.a"``: decision 12, its batch 0, call ``a``."""
    key: str
    """Idempotency key, made by whoever executes: the same when this very call is made again after
    a crash, and no other call's. A service that honours it does the work once."""


def copy_json(value: Any) -> Any:
    """A JSON value of its own: changing it changes nothing else. Tuples become lists, and keys are
    sorted, so that it looks as it does when it is read from a log.

    Raises:
        ValueError: it is no JSON value.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no JSON value")
        return float(value)
    if isinstance(value, Mapping):
        mapping = cast("Mapping[Any, Any]", value)
        for key in mapping:
            if not isinstance(key, str):
                raise ValueError(f"it has the key {key!r}; JSON's keys are strings")
        return {key: copy_json(mapping[key]) for key in sorted(mapping)}
    if isinstance(value, list | tuple):
        return [copy_json(item) for item in cast("Sequence[Any]", value)]
    raise ValueError(f"{type(value).__name__} is no JSON value")


class ToolError(Exception):
    """Raised by a tool whose call failed in a way that the caller should read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundTool:
    """A tool and the function that does it."""

    tool: Tool
    function: Callable[..., Any]
    """Takes the arguments by name; returns a JSON value, or a coroutine that does."""
    context: str = ""
    """Name of the parameter that takes the :class:`CallContext`; empty if it wants none."""
    keyed: bool = False
    """Whether what it reaches honours the context's key: a second call with the same key does
    nothing more. Such a call may be made again after a crash, idempotent tool or not."""
    blocking: bool = False
    """Whether it waits for something, so that it should run in a thread of its own."""
    timeout_s: float | None = None
    """Longest that a call may take, s; kept for coroutines and blocking functions."""

    def start(self, call: Call, context: CallContext) -> Any:
        """Call the function; what it returns, a coroutine perhaps.

        It gets a copy of the arguments: what a tool does to them changes no record.
        """
        arguments = {name: copy_json(value) for name, value in call.arguments.items()}
        if self.context:
            arguments[self.context] = context
        return self.function(**arguments)


@dataclass(frozen=True, slots=True)
class Toolbox(Sequence[BoundTool]):
    """Several tools, no two of one name."""

    bound: tuple[BoundTool, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", tuple(self.bound))
        check_names("Toolbox", "tools", tuple(one.tool.name for one in self.bound))

    def __getitem__(self, index: Any) -> Any:
        return self.bound[index]

    def __len__(self) -> int:
        return len(self.bound)

    def __iter__(self) -> Iterator[BoundTool]:
        return iter(self.bound)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What can be called."""
        return tuple(one.tool for one in self.bound)

    def space(self, parallel: int = 1) -> ToolSpace:
        """The space of calls of these tools."""
        return ToolSpace(tools=self.tools, parallel=parallel)

    def find(self, name: str) -> BoundTool:
        """The tool called ``name``; raises ``KeyError`` with suggestions."""
        for one in self.bound:
            if one.tool.name == name:
                return one
        known = [one.tool.name for one in self.bound]
        raise KeyError(f"no tool is called {name!r}; {suggest(name, known)}")

    def with_tools(self, *others: BoundTool) -> Toolbox:
        """These and ``others``."""
        return Toolbox((*self.bound, *others))

    def call(self, call: Call, context: CallContext) -> CallResult:
        """Validate and make one call of a tool that is no coroutine. Nothing is raised: whatever
        goes wrong is a :class:`~enactive.actions.tools.Failure`."""
        try:
            bound = self.find(call.tool)
        except KeyError as error:
            return Failure(kind="invalid", message=str(error.args[0]), where=context.path)
        problem = bound.tool.check_arguments(call.arguments)
        if problem:
            message = f"{call.tool}: {problem}"
            return Failure(kind="invalid", message=message, where=context.path)
        try:
            value = bound.start(call, context)
        except Exception as error:  # a tool's failure is the caller's to read
            return failed(error, call, context)
        if inspect.iscoroutine(value):
            value.close()
            message = (
                f"{call.tool} is a coroutine, and nothing here can wait for it; use the runtime"
            )
            return Failure(kind="error", message=message, where=context.path)
        return returned(value, bound.tool, context)


def returned(value: Any, tool: Tool, context: CallContext) -> CallResult:
    """A tool's value as a result: a copy, so that what the tool does to it later changes nothing,
    once it satisfies the tool's output schema."""
    try:
        copied = copy_json(value)
    except (ValueError, RecursionError) as error:
        message = f"{tool.name} returned what cannot be recorded: {error}"
        return Failure(kind="invalid", message=message, where=context.path)
    problem = tool.check_result(copied)
    if problem:
        message = f"{tool.name} returned {problem}"
        return Failure(kind="invalid", message=message, where=context.path)
    return Returned(value=copied)


def failed(error: BaseException, call: Call, context: CallContext) -> Failure:
    """An exception of a tool as a result."""
    name = "" if isinstance(error, ToolError) else f"{type(error).__name__}: "
    return Failure(kind="error", message=f"{call.tool}: {name}{error}", where=context.path)
