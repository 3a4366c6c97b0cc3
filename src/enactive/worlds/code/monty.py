"""Programs in Monty, a Python interpreter that has no access to anything but what it is given.

Each session has a worker process of its own. Before a program runs, its types are checked against
the signatures of the tools: a program that is refused has done nothing. It is suspended at each
call, and at that moment it can be written down and restored elsewhere; calls that it gathers come
out together. Time stands still for a program and its random numbers come from the episode's seed,
so the same results give the same program run.

A program that breaks a limit leaves the names of the session as they were before it.
"""

from __future__ import annotations

import datetime
import resource
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import msgpack

from enactive.actions.tools import Tool
from enactive.worlds.code.executor import Pending
from enactive.worlds.code.monty_session import MontySession


class MontyExecutor:
    """Make it with ``MontyExecutor.Config().build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`MontyExecutor`."""

        seconds: float = 2.0
        """Longest that one program may execute, waiting for calls not counted."""
        memory_mb: int = 64
        """Largest heap of a session, 10⁶ bytes."""
        recursion: int = 500
        """Deepest call stack."""
        calls: int = 500
        """Most calls and other requests of one program."""
        output: int = 20_000
        """Most characters that one program may print, and of the text of its value."""
        source: int = 50_000
        """Longest program, characters."""
        check_types: bool = True
        """Whether types are checked before a program runs."""
        clock: str = "2000-01-01T00:00:00+00:00"
        """What every clock shows, ISO 8601 with an offset."""

        def build(self) -> MontyExecutor:
            """The executor; the workers start with the first session.

            Raises:
                ImportError: pydantic-monty is not installed.
                RuntimeError: the interpreter's program is not there.
                ValueError: a limit is not positive.
            """
            return MontyExecutor(self)

    restorable = True

    def __init__(self, config: MontyExecutor.Config) -> None:
        for name in ("seconds", "memory_mb", "recursion", "calls", "output", "source"):
            if getattr(config, name) <= 0:
                raise ValueError(f"MontyExecutor: {name} is {getattr(config, name)}; give more")
        try:
            import pydantic_monty
        except ImportError as error:
            raise ImportError(
                "code actions in Monty need pydantic-monty: pip install 'enactive[agents]'"
            ) from error
        self.config = config
        self.monty: Any = pydantic_monty
        self._program = interpreter(Path(pydantic_monty.__file__))
        self._pool: Any = None

    def describe(self) -> Mapping[str, Any]:
        """Kind, version and limits."""
        return {"executor": "monty", "version": self.monty.__version__, **asdict(self.config)}

    def open(self, tools: Sequence[Tool], seed: int) -> MontySession:
        """A session with names of its own.

        Raises:
            ValueError: two tools have one name in programs.
        """
        session = MontySession(self, tools, seed)
        session.begin()
        return session

    def restore(self, tools: Sequence[Tool], data: bytes) -> tuple[MontySession, Pending | None]:
        """The session that ``dump`` wrote. Do not give it what comes from elsewhere: the format is
        no pickle and executes nothing in this process, but it is not authenticated either."""
        written = cast("dict[str, Any]", msgpack.unpackb(data))
        session = MontySession(self, tools, written["seed"])
        return session, session.load(written)

    def close(self) -> None:
        """End all workers. May be called twice."""
        if self._pool is not None:
            self._pool.__exit__(None, None, None)
            self._pool = None

    def worker(self, *, seed: int = 0, stubs: str | None = None) -> Any:
        """A session of the interpreter; with ``stubs``, one that checks types."""
        config = self.config
        if self._pool is None:
            pool = self.monty.Monty(
                binary_path=self._program,
                max_processes=64,
                request_timeout=config.seconds + 20,  # and the type checker's time
                feed_duration_limit_grace=0.5,
            )
            pool.__enter__()
            self._pool = pool
        limits = {
            "max_feed_duration_secs": config.seconds,
            "max_memory": config.memory_mb * 1_000_000,
            "max_recursion_depth": config.recursion,
            "max_suspensions": 10**9,  # of the whole session; one program's are counted here
        }
        policy = {
            "datetime": datetime.datetime.fromisoformat(config.clock),
            "sleep": "zero",
            "random_start": {"seed": seed},
        }
        session = self._pool.checkout(
            limits=limits,
            os_policy=policy,
            type_check=stubs is not None,
            type_check_stubs=stubs,
            type_check_format="concise",
        )
        session.__enter__()
        # The heap's limit is the interpreter's own; this one holds for parser and type checker.
        most = (config.memory_mb + 1_000) * 1_000_000
        resource.prlimit(session.worker_pid, resource.RLIMIT_AS, (most, most))
        return session


def interpreter(package: Path) -> Path:
    """The program that workers run: in this environment's scripts, in those of the environment that
    ``package`` is installed in, where that is another one, or on the path.

    Raises:
        RuntimeError: it is in none of them.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    there = package.parents[4] / scripts.name  # .../lib/python3.11/site-packages/package/file
    for folder in (scripts, there):
        if (folder / "monty").is_file():
            return folder / "monty"
    found = shutil.which("monty")
    if found is None:
        raise RuntimeError(
            f"Monty's program 'monty' is neither in {scripts} nor on the path; it comes with the "
            "package pydantic-monty-runtime: pip install --force-reinstall pydantic-monty-runtime"
        )
    return Path(found)
