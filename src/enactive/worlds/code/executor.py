"""The contract of an executor: a program is a suspended stream of calls.

A session holds the names that an episode's programs bind. ``start`` runs a program up to the first
calls that it makes; ``resume`` gives it their results and runs it up to the next; until it ends.
Nothing that a program does is done in this process: whatever executes it is behind a pipe, and what
comes over the pipe is checked and bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from enactive.actions.tools import Call, CallResult, Failure, FailureKind, Tool


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A program that waits for calls."""

    calls: tuple[Call, ...]
    """Made together; their ids differ. Their arguments are JSON values and not yet checked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A program that has ended."""

    value: Any = None
    """Of its last expression: a JSON value; what JSON has no word for is shown as text."""
    output: str = ""
    """What it printed."""
    failure: Failure | None = None
    """Why it stopped before its end: ``invalid`` (it does not parse, or its types are wrong, and
    nothing ran), ``error`` (an exception; the message is the traceback), ``timeout``, ``budget``
    (memory, output or calls)."""


State: TypeAlias = Pending | Ended


@runtime_checkable
class CodeSession(Protocol):
    """The programs of one episode, one after the other."""

    def start(self, source: str) -> State:
        """Run a program up to its first calls, or to its end.

        Raises:
            RuntimeError: a program is under way, or the session is closed.
        """
        ...

    def resume(self, results: Sequence[CallResult]) -> State:
        """Go on with the results of the pending calls, in their order. A failure is an exception in
        the program (:data:`EXCEPTIONS`).

        Raises:
            RuntimeError: no calls are pending.
            ValueError: there are more or fewer results than calls.
        """
        ...

    def cancel(self) -> None:
        """Drop the program that is under way, if one is."""
        ...

    def dump(self) -> bytes:
        """Everything, a suspended program included, for the executor's ``restore``.

        Raises:
            NotSupported: the executor is not ``restorable``.
        """
        ...

    def close(self) -> None:
        """End the session. May be called twice."""
        ...


@runtime_checkable
class CodeExecutor(Protocol):
    """What runs programs."""

    @property
    def restorable(self) -> bool:
        """Whether sessions can be written down and restored."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """JSON values that decide what programs can do: kind, version, limits."""
        ...

    def open(self, tools: Sequence[Tool], seed: int) -> CodeSession:
        """A session whose programs may call ``tools``; ``seed`` seeds Python's ``random``."""
        ...

    def restore(self, tools: Sequence[Tool], data: bytes) -> tuple[CodeSession, Pending | None]:
        """The session that ``dump`` wrote, and the calls that its program waits for.

        Give it nothing but what :meth:`CodeSession.dump` returned: it is not checked.
        """
        ...

    def close(self) -> None:
        """End all sessions. May be called twice."""
        ...


EXCEPTIONS: Mapping[FailureKind, str] = {
    "invalid": "TypeError",
    "timeout": "TimeoutError",
}
"""The exception that a program sees for a failed call; ``RuntimeError`` for all other kinds."""


def exception_of(failure: Failure) -> tuple[str, str]:
    """Name and message of the exception for a failed call."""
    return EXCEPTIONS.get(failure.kind, "RuntimeError"), failure.message


def shortened(text: str, limit: int, line: int = 300) -> str:
    """``text`` with long lines cut and its middle left out, at most about ``limit`` characters."""
    cut = "\n".join(
        one if len(one) <= line else f"{one[:line]}... ({len(one)} characters)"
        for one in text.split("\n")
    )
    if len(cut) <= limit:
        return cut
    head, tail = cut[: limit // 3], cut[-(limit - limit // 3) :]
    return f"{head}\n... ({len(cut) - limit} characters left out) ...\n{tail}"


def is_unicode(text: str) -> bool:
    """Whether a text can be written at all: JSON can carry halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_results(pending: Sequence[Any], results: Sequence[CallResult]) -> None:
    """Refuse results where none are due, or not one for each call."""
    if not pending:
        raise RuntimeError("no calls are pending; start a program first")
    if len(results) != len(pending):
        raise ValueError(f"results: {len(results)} for {len(pending)} pending calls")
