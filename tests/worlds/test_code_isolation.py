"""No program gets out of a sandbox, and none takes the machine with it.

What happened is looked at from outside: the canary file and its folder, a listener that must see no
connection, this process's memory, the time that went by, and the session, which must still work.
"""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.worlds.code_tools import Shelf, run
from tests.worlds.escapes import FAMILIES, Attempt, filled

from enactive.worlds.code.bubblewrap import BubblewrapExecutor
from enactive.worlds.code.executor import CodeExecutor, CodeSession
from enactive.worlds.code.monty import MontyExecutor

pytest.importorskip("pydantic_monty")

SECRET = "7c1f-the-secret-of-this-machine"
ATTEMPTS = [one for family in FAMILIES.values() for one in family]
LONGEST = 20.0  # seconds for one attempt, on a machine that is busy with other things
LARGEST = 300_000  # kB that this process may grow by


@dataclass
class Outside:
    """What attempts are aimed at."""

    folder: Path
    canary: Path
    listener: socket.socket

    def untouched(self) -> bool:
        """Whether the files are as they were and nobody has connected or sent anything."""
        try:
            self.listener.accept()
        except BlockingIOError:
            return self.canary.read_text() == SECRET and os.listdir(self.folder) == ["canary"]
        return False


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("private")
    canary = folder / "canary"
    canary.write_text(SECRET)
    os.environ["ENACTIVE_SECRET"] = SECRET
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Outside(folder, canary, listener)
    del os.environ["ENACTIVE_SECRET"]


@pytest.fixture(scope="module", params=["monty", "monty, types unchecked", "bubblewrap"])
def executor(request: pytest.FixtureRequest) -> Iterator[CodeExecutor]:
    made: CodeExecutor
    if request.param.startswith("monty"):  # unchecked, as a type error stops most of them earlier
        made = MontyExecutor.Config(seconds=0.2, memory_mb=20, output=3000, calls=100,
                                    check_types=request.param == "monty").build()  # fmt: skip
    else:
        made = BubblewrapExecutor.Config(seconds=0.4, memory_mb=150, files_mb=4, output=3000,
                                         calls=100).build()  # fmt: skip
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(executor: CodeExecutor) -> Iterator[CodeSession]:
    made = executor.open(Shelf().box.tools, seed=0)
    yield made
    made.close()


def test_there_are_enough_attempts() -> None:
    assert len(ATTEMPTS) >= 160 and len({(one.kind, one.name) for one in ATTEMPTS}) == len(ATTEMPTS)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda one: f"{one.kind}: {one.name}")
def test_no_attempt_succeeds(session: CodeSession, outside: Outside, attempt: Attempt) -> None:
    source = filled(
        attempt.source, canary=outside.canary, folder=outside.folder, pid=os.getpid(),
        port=outside.listener.getsockname()[1],
    )  # fmt: skip
    shelf = Shelf()
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    ended, _ = run(session, shelf, source)
    assert time.monotonic() - started < LONGEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LARGEST
    assert outside.untouched()
    assert SECRET not in f"{ended}{shelf.called}"
    assert len(str(ended)) < 30_000
    if ended.failure is None:
        assert attempt.harmless, ended
    else:
        assert ended.failure.message.strip()
    afterwards = [run(session, Shelf(), "1 + 1")[0] for _ in range(3)]  # the limits are tight here
    assert any(one.value == 2 and one.failure is None for one in afterwards)
