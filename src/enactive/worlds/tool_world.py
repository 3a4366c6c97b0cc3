"""Worlds whose actions call tools.

An action of such a world is an *activity*: it asks for calls, gets their results, asks for more,
and ends as a step. A tool action asks once; a program asks at every call in it. Whoever drives the
activity decides how calls are made: :func:`drive` makes them directly, in order, as an evaluation
of a sealed world does; the runtime checks, journals and makes them side by side.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from enactive.actions.toolbox import CallContext, Toolbox
from enactive.actions.tools import Call, CallResult, Failure, ToolSpace, in_order
from enactive.worlds.world import Step, World

Activity: TypeAlias = Generator[tuple[Call, ...], tuple[CallResult, ...], Step]
"""Yields calls that may be made together; is sent their results in the same order; returns the
step."""


@runtime_checkable
class ToolWorld(World, Protocol):
    """A world that acts through tools."""

    @property
    def toolbox(self) -> Toolbox:
        """The tools, bound to the running episode."""
        ...

    def activity(self, action: Any) -> Activity:
        """Begin an action of ``spec.accepts``.

        Raises:
            ValueError: it is no action of the space; nothing was done.
        """
        ...


@runtime_checkable
class SettledWorld(ToolWorld, Protocol):
    """A world with tools whose calls may come about in another way than it knows: from programs."""

    def settle(self, results: Sequence[CallResult]) -> Step:
        """The step of an action whose calls have all been made, with these results in the order in
        which they were asked for. Whoever wraps the world, so that its calls come about otherwise,
        ends an action with it."""
        ...


def call_activity(space: ToolSpace, action: Any, settle: Settle) -> Activity:
    """The activity of a tool action: its calls, together, and then the world's step."""
    results = yield space.calls(action)
    return settle(results)


class Settle(Protocol):
    """Makes the step of an action whose calls have been made."""

    def __call__(self, results: Sequence[CallResult]) -> Step: ...


def drive(toolbox: Toolbox, activity: Activity, step: int = 0) -> Step:
    """Run an activity by making its calls directly, one after the other.

    A call that comes after a failed one is skipped. Use it where nothing that is called reaches
    outside the world.

    Args:
        toolbox: what is called.
        activity: as :meth:`ToolWorld.activity` made it.
        step: number of the action in its episode; it enters the calls' idempotency keys.
    """
    batch = 0
    try:
        calls = next(activity)
        while True:
            results = call_in_order(toolbox, calls, f"{step}.{batch}")
            batch += 1
            calls = activity.send(results)
    except StopIteration as ended:
        return ended.value


def call_in_order(toolbox: Toolbox, calls: Sequence[Call], prefix: str) -> tuple[CallResult, ...]:
    """Make calls one after the other, each after those that it comes after; results in the order
    of ``calls``."""
    results: dict[str, CallResult] = {}
    for call in in_order(calls):
        path = f"{prefix}.{call.id}"
        broken = [id for id in call.after if isinstance(results[id], Failure)]
        if broken:
            message = f"{call.tool} comes after {', '.join(broken)}, which failed"
            results[call.id] = Failure(kind="skipped", message=message, where=path)
        else:
            results[call.id] = toolbox.call(call, CallContext(path=path, key=path))
    return tuple(results[call.id] for call in calls)
