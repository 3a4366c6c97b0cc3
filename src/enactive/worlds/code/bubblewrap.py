"""Programs in CPython inside a bubblewrap sandbox: the whole language, and nothing of the machine.

Each session is one process in namespaces of its own (no network, no other processes, no users),
with a read-only system that holds the interpreter and its libraries, a small writable ``/tmp`` in
memory, limits on memory, time and files, and a filter that refuses new processes and sockets
(:mod:`enactive.worlds.code.sandbox.seccomp`). Calls of tools go through a pipe. The process is
killed, with whatever it may have started, when a program breaks a limit; the names of the session
are gone then.

The clock is the machine's, so a program that looks at it may differ when it is run again.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn, cast

from enactive.actions.stubs import AWAITABLE, bind_arguments, program_names
from enactive.actions.tools import Call, CallResult, Failure, FailureKind, Returned, Tool
from enactive.worlds.code.bubblewrap_process import (
    FORGED,
    Broken,
    SandboxProcess,
    interpreter,
    sandbox_command,
)
from enactive.worlds.code.executor import (
    Ended,
    Pending,
    State,
    check_results,
    exception_of,
    is_unicode,
    shortened,
)
from enactive.worlds.code.sandbox.values import json_problem, shown
from enactive.worlds.world import NotSupported

START_SECONDS = 60.0
"""Longest that a sandbox may take to start; some 20 ms on an idle machine."""


class BubblewrapExecutor:
    """Make it with ``BubblewrapExecutor.Config().build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`BubblewrapExecutor`."""

        seconds: float = 5.0
        """Longest that one program may run, waiting for calls not counted; wall time."""
        session_seconds: int = 600
        """Most processor time of a session, s."""
        memory_mb: int = 512
        """Largest address space of the process, 10⁶ bytes."""
        files_mb: int = 16
        """Size of ``/tmp``, which is memory, 10⁶ bytes."""
        recursion: int = 500
        """Deepest call stack."""
        calls: int = 500
        """Most calls of one program."""
        output: int = 20_000
        """Most characters that one program may print, and of the text of its value."""
        source: int = 50_000
        """Longest program, characters."""
        frame_mb: int = 4
        """Largest message from the sandbox, 10⁶ bytes: the arguments of calls, a value."""

        def build(self) -> BubblewrapExecutor:
            """The executor; sessions start their process with their first program.

            Raises:
                RuntimeError: there is no bubblewrap here, or it makes no namespaces.
                ValueError: a limit is not positive.
            """
            return BubblewrapExecutor(self)

    restorable = False

    def __init__(self, config: BubblewrapExecutor.Config) -> None:
        for name, value in asdict(config).items():
            if value <= 0:
                raise ValueError(f"BubblewrapExecutor: {name} is {value}; give more")
        self.config = config
        self.command = (*sandbox_command(config.files_mb), interpreter())
        self._sessions: list[BubblewrapSession] = []

    def describe(self) -> Mapping[str, Any]:
        """Kind, version and limits."""
        version = platform.python_version()
        return {"executor": "bubblewrap", "version": version, **asdict(self.config)}

    def open(self, tools: Sequence[Tool], seed: int) -> BubblewrapSession:
        """A session with names of its own.

        Raises:
            ValueError: two tools have one name in programs.
        """
        session = BubblewrapSession(self, tools, seed)
        self._sessions = [one for one in self._sessions if not one.closed] + [session]
        return session

    def restore(self, tools: Sequence[Tool], data: bytes) -> NoReturn:
        """CPython cannot be suspended and written down.

        Raises:
            NotSupported: always.
        """
        raise NotSupported("a CPython process cannot be restored; use the Monty executor")

    def close(self) -> None:
        """End all sessions. May be called twice."""
        for session in self._sessions:
            session.close()
        self._sessions = []


@dataclass(slots=True)
class BubblewrapSession:
    """The programs of one episode, in one process."""

    executor: BubblewrapExecutor
    tools: Sequence[Tool]
    seed: int
    closed: bool = field(init=False, default=False)
    _named: dict[str, Tool] = field(init=False)
    _process: SandboxProcess | None = field(init=False, default=None)
    _nonce: str = field(init=False, default="")
    """Of the program that is under way; empty if none is."""
    _left: float = field(init=False, default=0.0)
    """Seconds that it may still run."""
    _made: int = field(init=False, default=0)
    """Calls that it has made."""
    _pending: list[Call] = field(init=False, default_factory=list[Call])
    _answers: list[dict[str, Any] | None] = field(
        init=False, default_factory=list[dict[str, Any] | None]
    )
    """What is known of the answers to the calls it waits for; ``None`` for pending ones."""

    def __post_init__(self) -> None:
        self._named = program_names(self.tools)

    def start(self, source: str) -> State:
        """Run a program up to its first calls, or to its end."""
        if self.closed or self._nonce:
            why = "the session is closed" if self.closed else "a program is under way"
            raise RuntimeError(f"{why}; resume or cancel it first, or open another session")
        config = self.executor.config
        if len(source) > config.source:
            message = f"the program has {len(source)} characters; {config.source} may be"
            return Ended(failure=Failure(kind="invalid", message=message))
        if "\0" in source or not is_unicode(source):
            message = "the program holds a null character or half of a surrogate pair"
            return Ended(failure=Failure(kind="invalid", message=message))
        printed = b""
        if self._process is not None and not self._process.listens():
            self._kill()
            printed = b"(The sandbox was restarted: names of earlier programs are gone.)\n"
        try:
            if self._process is None:
                self._process = self._spawn()
                self._process.talk(b"", START_SECONDS)
        except Broken as broken:
            return self._stopped(broken.kind, f"the sandbox did not start: {broken}")
        self._process.printed = printed
        self._left, self._made = config.seconds, 0
        self._nonce = os.urandom(8).hex()
        return self._exchange({"source": source, "nonce": self._nonce})

    def resume(self, results: Sequence[CallResult]) -> State:
        """Give the pending calls their results and go on."""
        check_results(self._pending, results)
        given = iter(results)
        answers = [_answer(next(given)) if one is None else one for one in self._answers]
        self._pending, self._answers = [], []
        return self._exchange({"results": answers})

    def cancel(self) -> None:
        """Drop the program that is under way, and with it the process and all names."""
        if self._nonce:
            self._kill()

    def dump(self) -> NoReturn:
        """CPython cannot be suspended and written down.

        Raises:
            NotSupported: always.
        """
        raise NotSupported("a CPython process cannot be written down; use the Monty executor")

    def close(self) -> None:
        """End the process. May be called twice."""
        self.closed = True
        self._kill()

    @property
    def pid(self) -> int | None:
        """The process on this side of the sandbox, if it runs."""
        return None if self._process is None else self._process.pid

    def _spawn(self) -> SandboxProcess:
        config = self.executor.config
        settings = {
            "seed": self.seed,
            "recursion": config.recursion,
            "shown": config.output,
            "tools": list(self._named),
            "awaitable": AWAITABLE,
            "resources": {
                "RLIMIT_AS": config.memory_mb * 1_000_000,
                "RLIMIT_CPU": config.session_seconds,
                "RLIMIT_FSIZE": config.files_mb * 1_000_000,
                "RLIMIT_NOFILE": 64,
                "RLIMIT_NPROC": 0,
                "RLIMIT_CORE": 0,
            },
        }
        return SandboxProcess(self.executor.command, settings, config.output, config.frame_mb)

    def _kill(self) -> str:
        process, self._process = self._process, None
        self._nonce, self._pending, self._answers = "", [], []
        return "" if process is None else process.kill()

    # ------------------------------------------------------------------------------- the exchange

    def _exchange(self, frame: Mapping[str, Any]) -> State:
        """Send a frame and act on what comes back, until the program waits or has ended."""
        while True:
            try:
                assert self._process is not None
                message = json.dumps(frame).encode() + b"\n"
                reply, self._left = self._process.talk(message, self._left)
                answers = self._taken(reply)
            except Broken as broken:
                seconds = self.executor.config.seconds
                late = f"the program ran longer than {seconds:g} s"
                return self._stopped(broken.kind, late if broken.kind == "timeout" else str(broken))
            if isinstance(answers, Ended):
                return answers
            if self._pending:
                return Pending(calls=tuple(self._pending))
            frame = {"results": answers}

    def _taken(self, frame: Mapping[str, Any]) -> list[dict[str, Any]] | Ended:
        """What a frame says: that the program has ended, or calls, which become pending or are
        answered at once where they are none."""
        if frame.get("nonce") != self._nonce:
            raise Broken("error", FORGED)
        if "calls" not in frame:
            self._nonce = ""
            most = self.executor.config.output
            output = "" if self._process is None else self._process.text()
            if isinstance(frame.get("error"), str):
                kind: FailureKind = "invalid" if frame.get("invalid") is True else "error"
                message = shortened(frame["error"].strip(), 4000)
                return Ended(output=output, failure=Failure(kind=kind, message=message))
            return Ended(value=shown(frame.get("value"), most), output=output)
        listed = frame["calls"]
        if not isinstance(listed, list) or not listed:
            raise Broken("error", FORGED)
        calls = cast("list[Any]", listed)
        self._made += len(calls)
        if self._made > self.executor.config.calls:
            most = self.executor.config.calls
            raise Broken("budget", f"the program made more than {most} calls")
        self._answers = []
        for one in calls:
            made = self._call(one, str(len(self._pending)))
            if isinstance(made, Call):
                self._pending.append(made)
                self._answers.append(None)
            else:
                self._answers.append({"error": "TypeError", "message": made})
        return [one for one in self._answers if one is not None]

    def _call(self, data: Any, id: str) -> Call | str:
        """The call that a frame asks for, or why it is none."""
        if not isinstance(data, dict):
            raise Broken("error", FORGED)
        given = cast("dict[str, Any]", data)
        name, args, kwargs = (given.get(key) for key in ("name", "args", "kwargs"))
        tool = self._named.get(name) if isinstance(name, str) else None
        if tool is None or not isinstance(args, list) or not isinstance(kwargs, dict):
            return f"there is no tool {name!r:.100}"
        try:
            arguments = bind_arguments(
                tool, cast("list[Any]", args), cast("dict[str, Any]", kwargs)
            )
        except TypeError as error:
            return str(error)
        problem = json_problem(arguments)
        return f"{name}(): an argument is {problem}" if problem else Call(
            tool=tool.name, arguments=arguments, id=id
        )  # fmt: skip

    def _stopped(self, kind: FailureKind, message: str) -> Ended:
        printed = "" if self._process is None else self._process.text()
        output = shortened(printed, self.executor.config.output, line=2000)
        ended = self._kill()
        note = f"{message}{f' ({ended})' if ended else ''}; the names of earlier programs are gone"
        return Ended(output=output, failure=Failure(kind=kind, message=note))


def _answer(result: CallResult) -> dict[str, Any]:
    if isinstance(result, Returned):
        return {"value": result.value}
    name, message = exception_of(result)
    return {"error": name, "message": message}
