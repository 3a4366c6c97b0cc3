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

import contextlib
import json
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

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
from enactive.worlds.code.sandbox.seccomp import ARCHITECTURES
from enactive.worlds.code.sandbox.values import json_problem, shown
from enactive.worlds.world import NotSupported

SANDBOX = Path(__file__).parent / "sandbox"
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
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _reply: int = field(init=False, default=-1)
    """Where its frames are read."""
    _inbox: bytes = field(init=False, default=b"")
    _printed: bytes = field(init=False, default=b"")
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
        self._printed = b""
        if self._process is not None and not self._listens():
            self._kill()
            self._printed = b"(The sandbox was restarted: names of earlier programs are gone.)\n"
        try:
            if self._process is None:
                self._spawn()
                self._left = START_SECONDS
                self._talk(b"")
        except _Broken as broken:
            return self._stopped(broken.kind, f"the sandbox did not start: {broken}")
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

    def _listens(self) -> bool:
        """Whether the process waits for a program, and not for something that an earlier one has
        left under way."""
        nonce = os.urandom(8).hex()
        self._left = 1.0
        try:
            return self._talk(json.dumps({"ping": nonce}).encode() + b"\n") == {"pong": nonce}
        except _Broken:
            return False

    # ------------------------------------------------------------------------------- the process

    def _spawn(self) -> None:
        config = self.executor.config
        reply, into = os.pipe()
        limits = {
            "into": into,
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
        command = (*self.executor.command, *_FLAGS, "/sandbox/driver.py", json.dumps(limits))
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(into,),
                env={},
                start_new_session=True,
            )
        except BaseException:
            os.close(reply)
            raise
        finally:
            os.close(into)
        self._reply, self._inbox = reply, b""
        assert self._process.stdin is not None and self._process.stdout is not None
        for descriptor in (reply, self._process.stdin.fileno(), self._process.stdout.fileno()):
            os.set_blocking(descriptor, False)

    def _kill(self) -> str:
        """End the process and everything in its namespaces; how it had ended, if it had."""
        process, self._process = self._process, None
        self._nonce, self._pending, self._answers = "", [], []
        if process is None:
            return ""
        code = process.poll()
        # The first process of the namespace goes first: once it has ended, the kernel has ended all
        # others there, and then bubblewrap itself ends.
        with contextlib.suppress(OSError):
            for child in (
                Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            ):
                os.kill(int(child), signal.SIGKILL)
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(self._reply)
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        if code is None:
            return ""
        number = -code if code < 0 else code - 128
        names = {one.value: one.name for one in signal.Signals}
        return f"signal {names[number]}" if number in names else f"exit status {code}"

    # ------------------------------------------------------------------------------- the exchange

    def _exchange(self, frame: Mapping[str, Any]) -> State:
        """Send a frame and act on what comes back, until the program waits or has ended."""
        while True:
            try:
                reply = self._talk(json.dumps(frame).encode() + b"\n")
                answers = self._taken(reply)
            except _Broken as broken:
                return self._stopped(broken.kind, str(broken))
            if isinstance(answers, Ended):
                return answers
            if self._pending:
                return Pending(calls=tuple(self._pending))
            frame = {"results": answers}

    def _talk(self, message: bytes) -> dict[str, Any]:
        """Write a message and read one frame, within the time that is left."""
        process, config = self._process, self.executor.config
        assert process is not None and process.stdin is not None and process.stdout is not None
        outbox = memoryview(message)
        deadline = time.monotonic() + self._left
        with selectors.DefaultSelector() as selector:
            selector.register(self._reply, selectors.EVENT_READ)
            selector.register(process.stdout, selectors.EVENT_READ)
            if outbox:
                selector.register(process.stdin, selectors.EVENT_WRITE)
            while b"\n" not in self._inbox:
                self._left = deadline - time.monotonic()
                if self._left <= 0:
                    raise _Broken("timeout", f"the program ran longer than {config.seconds:g} s")
                for key, _ in selector.select(self._left):
                    if key.fd == self._reply:
                        self._inbox += self._read(self._reply)
                    elif key.fileobj is process.stdout:
                        if not self._print():
                            selector.unregister(process.stdout)
                    else:
                        try:
                            outbox = outbox[os.write(key.fd, outbox[:65536]) :]
                        except BrokenPipeError as error:
                            raise _Broken("error", "the interpreter died") from error
                        if not outbox:
                            selector.unregister(process.stdin)
                if len(self._inbox) > config.frame_mb * 1_000_000:
                    raise _Broken("budget", f"a message has more than {config.frame_mb} MB")
        self._left = deadline - time.monotonic()
        self._print()
        line, _, rest = self._inbox.partition(b"\n")
        self._inbox = b""
        if rest:
            raise _Broken("error", "the program wrote to the pipe of its calls")
        return _parsed(line)

    def _read(self, descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        if not data:
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert self._process is not None
                self._process.wait(1.0)
            raise _Broken("error", "the interpreter died")
        return data

    def _print(self) -> bool:
        """Take what was printed; whether there may be more."""
        assert self._process is not None and self._process.stdout is not None
        most = self.executor.config.output
        while True:
            try:
                data = os.read(self._process.stdout.fileno(), 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._printed += data
            if len(self._printed) > 4 * most or len(self._output()) > most:
                self._printed = self._printed[: 4 * most]
                raise _Broken("budget", f"the program printed more than {most} characters")

    def _taken(self, frame: Mapping[str, Any]) -> list[dict[str, Any]] | Ended:
        """What a frame says: that the program has ended, or calls, which become pending or are
        answered at once where they are none."""
        if frame.get("nonce") != self._nonce:
            raise _Broken("error", "the program wrote to the pipe of its calls")
        if "calls" not in frame:
            self._nonce = ""
            output, most = self._output(), self.executor.config.output
            if isinstance(frame.get("error"), str):
                kind: FailureKind = "invalid" if frame.get("invalid") is True else "error"
                message = shortened(frame["error"].strip(), 4000)
                return Ended(output=output, failure=Failure(kind=kind, message=message))
            return Ended(value=shown(frame.get("value"), most), output=output)
        listed = frame["calls"]
        if not isinstance(listed, list) or not listed:
            raise _Broken("error", "the program wrote to the pipe of its calls")
        calls = cast("list[Any]", listed)
        self._made += len(calls)
        if self._made > self.executor.config.calls:
            most = self.executor.config.calls
            raise _Broken("budget", f"the program made more than {most} calls")
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
            raise _Broken("error", "the program wrote to the pipe of its calls")
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

    def _output(self) -> str:
        return self._printed.decode("utf-8", "replace")

    def _stopped(self, kind: FailureKind, message: str) -> Ended:
        output = shortened(self._output(), self.executor.config.output, line=2000)
        ended = self._kill()
        note = f"{message}{f' ({ended})' if ended else ''}; the names of earlier programs are gone"
        return Ended(output=output, failure=Failure(kind=kind, message=note))


class _Broken(Exception):
    """The program cannot go on and its process must be killed."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


# Environment variables are read (hashes must not differ from run to run); nobody's packages are.
_FLAGS = ("-s", "-S", "-B", "-X", "utf8")


def interpreter() -> str:
    """The Python that this one was made from, without its virtual environment."""
    return os.path.realpath(sys.executable)


def sandbox_command(files_mb: int) -> tuple[str, ...]:
    """The command before the interpreter.

    Raises:
        RuntimeError: there is no bubblewrap, it makes no namespaces, or the machine's system calls
            are not known.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise RuntimeError(
            "programs in CPython need bubblewrap, and there is no 'bwrap' on the path; install it "
            "(Debian, Ubuntu, Fedora: the package 'bubblewrap'), or use the Monty executor"
        )
    if platform.machine() not in ARCHITECTURES:
        raise RuntimeError(
            f"the sandbox's filter knows the system calls of {', '.join(ARCHITECTURES)}, not of "
            f"{platform.machine()}; use the Monty executor"
        )
    command = [
        found, "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534",
        "--gid", "65534", "--hostname", "sandbox", "--die-with-parent", "--new-session",
        "--cap-drop", "ALL", "--clearenv", "--setenv", "PYTHONHASHSEED", "0",
    ]  # fmt: skip
    prefix = os.path.realpath(sys.base_prefix)
    for path in (f"{prefix}/bin", f"{prefix}/lib", "/usr/lib", "/usr/lib64"):
        if os.path.isdir(path):
            command += ["--ro-bind", path, path]
    for path in ("/lib", "/lib64"):
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            command += ["--ro-bind", path, path]
    for path in ("/dev/null", "/dev/urandom"):
        command += ["--dev-bind", path, path]
    command += ["--ro-bind", str(SANDBOX), "/sandbox"]
    command += ["--size", str(files_mb * 1_000_000), "--tmpfs", "/tmp"]
    command += ["--remount-ro", "/", "--chdir", "/tmp", "--"]
    probe = subprocess.run(
        [*command, interpreter(), *_FLAGS, "-c", ""], capture_output=True, text=True, check=False
    )
    if probe.returncode != 0:
        raise RuntimeError(
            f"bubblewrap makes no sandbox here: {probe.stderr.strip()[:500]}. It needs user "
            "namespaces (sysctl kernel.unprivileged_userns_clone, or AppArmor's "
            "apparmor_restrict_unprivileged_userns); or use the Monty executor"
        )
    return tuple(command)


def _answer(result: CallResult) -> dict[str, Any]:
    if isinstance(result, Returned):
        return {"value": result.value}
    name, message = exception_of(result)
    return {"error": name, "message": message}


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        frame: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Broken("error", "the program wrote to the pipe of its calls") from error
    if not isinstance(frame, dict):
        raise _Broken("error", "the program wrote to the pipe of its calls")
    return cast("dict[str, Any]", frame)
