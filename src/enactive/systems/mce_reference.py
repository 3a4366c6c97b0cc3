"""Containers for agent steps as "Monadic Context Engineering" (arXiv 2512.22431) publishes them.

Written from the description of the paper and of its library's behaviour, as the control arm of the
claim ``mce``, with the behaviour that was found there: ``None`` as a value fails the next ``then``
and is replaced by the state in ``start``; ``map`` lets exceptions through; ``apply`` drops the
state of the function's side; ``gather`` waits for every branch, gives the first failure, and keeps
the last branch's state unless a merge is given; chains nest coroutines. Do not use it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Context:
    """State and value, or state and error."""

    state: Any
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """Async steps: holds a function that starts them."""

    run: Callable[[], Awaitable[Context]]

    @classmethod
    def start(cls, state: Any, value: Any = None) -> Steps:
        async def begin() -> Context:
            return Context(state, state if value is None else value)

        return cls(begin)

    @classmethod
    def failure(cls, state: Any, error: Exception) -> Steps:
        async def begin() -> Context:
            return Context(state, error=error)

        return cls(begin)

    def then(self, step: Callable[[Any, Any], Any]) -> Steps:
        """``step`` takes state and value, and gives steps, a context, or a coroutine of one."""

        async def run() -> Context:
            before = await self.run()
            if before.error is not None:
                return before
            if before.value is None:
                return Context(before.state, error=ValueError("there is no value"))
            try:
                made = step(before.state, before.value)
                if inspect.isawaitable(made):
                    made = await made
                return await made.run() if isinstance(made, Steps) else made
            except Exception as error:
                return Context(before.state, error=error)

        return Steps(run)

    def map(self, function: Callable[[Any], Any]) -> Steps:
        async def run() -> Context:
            before = await self.run()
            if before.error is not None:
                return before
            return Context(before.state, function(before.value))

        return Steps(run)

    def apply(self, function: Steps) -> Steps:
        async def run() -> Context:
            wrapped, before = await function.run(), await self.run()
            for one in (wrapped, before):
                if one.error is not None:
                    return one
            return Context(before.state, wrapped.value(before.value))

        return Steps(run)

    @staticmethod
    def gather(flows: Sequence[Steps], merge: Callable[[list[Any]], Any] | None = None) -> Steps:
        async def run() -> Context:
            ends = await asyncio.gather(*(flow.run() for flow in flows))
            for end in ends:
                if end.error is not None:
                    return end
            states = [end.state for end in ends]
            state = states[-1] if merge is None else merge(states)
            return Context(state, [end.value for end in ends])

        return Steps(run)
