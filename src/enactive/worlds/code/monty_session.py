"""The programs of one episode in Monty: suspended, resumed, written down, and taken back."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgpack

from enactive.actions.stubs import AWAITABLE, bind_arguments, program_names
from enactive.actions.tools import Call, CallResult, Failure, FailureKind, Returned, Tool
from enactive.worlds.code.executor import (
    Ended,
    Pending,
    State,
    check_results,
    exception_of,
    is_unicode,
    shortened,
)
from enactive.worlds.code.monty_types import TypeChecker
from enactive.worlds.code.sandbox.values import json_problem, jsonable, shown

if TYPE_CHECKING:
    from enactive.worlds.code.monty import MontyExecutor


@dataclass(slots=True)
class MontySession:
    """The programs of one episode."""

    executor: MontyExecutor
    tools: Sequence[Tool]
    seed: int
    _named: dict[str, Tool] = field(init=False)
    _types: TypeChecker = field(init=False)
    _session: Any = field(init=False, default=None)
    _closed: bool = field(init=False, default=False)
    _before: bytes = field(init=False, default=b"")
    """The session before the program that is under way."""
    _snapshot: Any = field(init=False, default=None)
    _pending: list[tuple[int, Call]] = field(init=False, default_factory=list[tuple[int, Call]])
    _gathered: dict[int, Call] = field(init=False, default_factory=dict[int, Call])
    _printed: Any = field(init=False, default=None)
    _said: str = field(init=False, default="")
    """What the program printed before it was restored."""
    _requests: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._named = program_names(self.tools)
        self._types = TypeChecker(self.executor, self._named)

    def begin(self) -> None:
        """Check a worker out."""
        self._session = self.executor.worker(seed=self.seed)

    def start(self, source: str) -> State:
        """Check a program's types and run it up to its first calls, or to its end."""
        if self._closed or self._snapshot is not None:
            why = "the session is closed" if self._closed else "a program is under way"
            raise RuntimeError(f"{why}; resume or cancel it first, or open another session")
        config = self.executor.config
        if len(source) > config.source:
            return _refused(f"the program has {len(source)} characters; {config.source} may be")
        if "\0" in source or not is_unicode(source):
            return _refused("the program holds a null character or half of a surrogate pair")
        self._said, self._requests, self._gathered = "", 0, {}
        if config.check_types and (problem := self._types.problem(source)):
            return _refused(problem)
        self._before = self._written()
        self._types.executed(source)
        return self._go_on(lambda: self._session.feed_start(source, print_callback=self._printer()))

    def resume(self, results: Sequence[CallResult]) -> State:
        """Give the pending calls their results and go on."""
        check_results(self._pending, results)
        pending, self._pending, snapshot = self._pending, [], self._snapshot
        answers = {id: _answer(r) for (id, _), r in zip(pending, results, strict=True)}
        if isinstance(snapshot, self.executor.monty.FutureSnapshot):
            return self._go_on(lambda: snapshot.resume(answers))
        return self._go_on(lambda: snapshot.resume(answers[pending[0][0]]))

    def cancel(self) -> None:
        """Drop the program that is under way; names are as they were before it."""
        if self._snapshot is not None:
            self._rewind()

    def dump(self) -> bytes:
        """The session, a suspended program included; a few kB and what the names hold."""
        if self._closed:
            raise RuntimeError("the session is closed; open another one")
        suspended = self._snapshot is not None
        written = {
            "seed": self.seed,
            "state": (self._snapshot if suspended else self._session).dump(),
            "suspended": suspended,
            "bound": self._types.bound,
            "before": self._before if suspended else b"",
            "pending": [[id, call.to_dict()] for id, call in self._pending],
            "gathered": [[id, call.to_dict()] for id, call in self._gathered.items()],
            "output": self._output() if suspended else "",
            "requests": self._requests,
        }
        return cast(bytes, msgpack.packb(written))

    def load(self, written: Mapping[str, Any]) -> Pending | None:
        """Become the session that :meth:`dump` wrote."""
        self._types.bound, self._before = dict(written["bound"]), written["before"]
        self._said, self._requests = written["output"], written["requests"]
        self._pending = [(id, _call(call)) for id, call in written["pending"]]
        self._gathered = {id: _call(call) for id, call in written["gathered"]}
        self.begin()
        if not written["suspended"]:
            self._session.load_session(written["state"])
            return None
        self._snapshot = self._session.load_snapshot(
            written["state"], print_callback=self._printer()
        )
        return Pending(calls=tuple(call for _, call in self._pending))

    def close(self) -> None:
        """Give the worker back. May be called twice."""
        self._closed = True
        self._snapshot, self._pending = None, []
        if self._session is not None:
            session, self._session = self._session, None
            session.__exit__(None, None, None)

    # ---------------------------------------------------------------------- one step after another

    def _go_on(self, go: Any) -> State:
        try:
            snapshot = go()
            while True:
                settled = self._answered(snapshot)
                if isinstance(settled, Pending | Ended):
                    return settled
                snapshot = settled
        except self.executor.monty.MontyError as error:
            return self._failed(error)

    def _answered(self, snapshot: Any) -> Any:
        """A state where the program waits or has ended, or else its next suspension."""
        monty = self.executor.monty
        if isinstance(snapshot, monty.MontyComplete):
            return self._ended(snapshot)
        self._requests += 1
        if self._requests > self.executor.config.calls:
            most = self.executor.config.calls
            return self._stopped("budget", f"the program made more than {most} calls")
        if isinstance(snapshot, monty.FutureSnapshot):
            # The interpreter lists them in no order; a program's own order is that of their ids.
            ids = sorted(id for id in snapshot.pending_call_ids if id in self._gathered)
            return self._waits(snapshot, [(id, self._gathered.pop(id)) for id in ids])
        if isinstance(snapshot, monty.NameLookupSnapshot):
            name = snapshot.variable_name
            known = name.removesuffix(AWAITABLE) in self._named
            return snapshot.resume(value=_function(name)) if known else snapshot.resume()
        if snapshot.is_os_function:
            return snapshot.resume_not_handled()
        name = str(snapshot.function_name)
        later = name not in self._named
        tool = self._named.get(name.removesuffix(AWAITABLE) if later else name)
        if tool is None or snapshot.object_id is not None:
            message = f"name {name!r} is not defined"
            return snapshot.resume({"exc_type": "NameError", "message": message})
        try:
            arguments = bind_arguments(tool, snapshot.args, snapshot.kwargs)
            for key, value in arguments.items():
                if problem := json_problem(value):
                    raise TypeError(f"{name}(): the argument {key!r} is {problem}")
        except TypeError as error:
            return snapshot.resume({"exc_type": "TypeError", "message": str(error)})
        call = Call(tool=tool.name, arguments=jsonable(arguments))
        if later:
            self._gathered[snapshot.call_id] = call
            return snapshot.resume({"future": ...})
        return self._waits(snapshot, [(snapshot.call_id, call)])

    def _waits(self, snapshot: Any, calls: list[tuple[int, Call]]) -> Pending:
        self._snapshot = snapshot
        self._pending = [
            (id, Call(tool=call.tool, arguments=call.arguments, id=str(i)))
            for i, (id, call) in enumerate(calls)
        ]
        return Pending(calls=tuple(call for _, call in self._pending))

    def _ended(self, complete: Any) -> Ended:
        self._snapshot = None
        most = self.executor.config.output
        try:
            value = shown(complete.output, most)
        except (self.executor.monty.MontyError, RecursionError, MemoryError) as error:
            value = f"<a value that cannot be shown: {type(error).__name__}>"
        return Ended(value=value, output=self._output())

    # ------------------------------------------------------------------------------ what goes wrong

    def _failed(self, error: Any) -> Ended:
        monty, text = self.executor.monty, str(error)
        inner = error.exception()
        if isinstance(error, monty.MontyCrashedError):
            kind: FailureKind = "timeout" if error.timed_out else "error"
            return self._stopped(kind, f"the interpreter died: {shortened(text, 500)}")
        if isinstance(inner, TimeoutError) and "time limit exceeded" in text:
            seconds = self.executor.config.seconds
            return self._stopped("timeout", f"the program ran longer than {seconds:g} s")
        if isinstance(inner, MemoryError) and "memory limit" in text:
            return self._stopped("budget", self._memory_message(text))
        self._snapshot, self._pending = None, []
        if isinstance(error, monty.MontySyntaxError):
            return Ended(failure=Failure(kind="invalid", message=shortened(error.display(), 2000)))
        shown_ = error.display() if hasattr(error, "display") else text
        message = shortened(re.sub(r"<python-input-\d+>", "program", shown_), 4000)
        return Ended(output=self._output(), failure=Failure(kind="error", message=message))

    def _memory_message(self, text: str) -> str:
        config = self.executor.config
        if f"> {_BYTES * config.output} bytes" in text:
            return f"the program printed more than {config.output} characters"
        return f"the session needs more than {config.memory_mb} MB of memory"

    def _stopped(self, kind: FailureKind, message: str) -> Ended:
        output = self._output()
        kept = self._rewind()
        names = "are as they were before it" if kept else "of earlier programs are gone"
        note = f"{message}; names {names}"
        return Ended(output=output, failure=Failure(kind=kind, message=note))

    def _written(self) -> bytes:
        """The session between two programs; empty where its names do not fit its memory twice."""
        try:
            return self._session.dump()
        except self.executor.monty.MontyError:
            return b""

    def _rewind(self) -> bool:
        """Go back to before the program that is under way; whether names could be kept."""
        self._snapshot, self._pending, self._gathered = None, [], {}
        for state in (self._before, b""):
            session, self._session = self._session, None
            with contextlib.suppress(self.executor.monty.MontyError):
                session.__exit__(None, None, None)
            self.begin()
            if not state:
                break
            with contextlib.suppress(self.executor.monty.MontyError):
                self._session.load_session(state)
                return True
        self._types.bound = {}
        return False

    def _printer(self) -> Any:
        self._printed = self.executor.monty.CollectString(_BYTES * self.executor.config.output)
        return self._printed

    def _output(self) -> str:
        printed = self._printed.output if self._printed is not None else ""
        return shortened(self._said + printed, self.executor.config.output, line=2000)


_BYTES = 4  # most that a character takes


def _refused(message: str) -> Ended:
    return Ended(failure=Failure(kind="invalid", message=f"{message}\nNothing was run."))


def _answer(result: CallResult) -> dict[str, Any]:
    if isinstance(result, Returned):
        return {"return_value": result.value}
    name, message = exception_of(result)
    return {"exc_type": name, "message": message}


def _function(name: str) -> Any:
    """A stand-in: the interpreter asks for what a name holds, and then announces its calls."""

    def stand_in() -> None:
        raise AssertionError("calls of tools are announced, never made here")

    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in


def _call(data: Mapping[str, Any]) -> Call:
    return Call(tool=data["tool"], arguments=data["arguments"], id=data["id"])
