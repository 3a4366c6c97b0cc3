"""Starting, watching and ending the process of a unit."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from enactive.evaluation.claims.units import Record, Request

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Environment of a unit: PyTorch, NumPy and tokenizers read it when they load."""

GRACE = 5.0
"""Seconds between asking a process to end and ending it."""


class UnitProcess:
    """One unit while it runs."""

    def __init__(self, request: Request) -> None:
        """Empty the unit's directory and start its process."""
        self.request = request
        # What an interrupted attempt left is not gone on with: every unit starts alike.
        shutil.rmtree(request.directory, ignore_errors=True)
        request.directory.mkdir(parents=True)
        paths = [path for path in sys.path if path]  # so that what we can import, it can
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)}
        with (request.directory / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "enactive.evaluation.claims.unit", str(request.write())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C goes to us alone, and we end it
            )

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.process.poll() is None

    def record(self) -> Record:
        """What it left; a record of how it ended, if it left none."""
        code = self.process.wait()
        self._close()
        path = self.request.directory / "unit.json"
        record = Record.read(path)
        if record is None:
            request = self.request
            record = Record(
                arm=request.arm or "",
                seed=request.seed,
                attempt=request.attempt,
                measurement=None,
                error=f"{how_it_ended(code)}; the end of its log:\n"
                f"{tail(request.directory / 'log.txt')}",
                digest=request.digest,
            )
            record.write(path)
        return record

    def stop(self) -> None:
        """End the process and all that it started; its record, if any, stays."""
        if self.running:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + GRACE
            while self.running and time.monotonic() < deadline:
                time.sleep(0.02)
            self._signal(signal.SIGKILL)
            self.process.wait()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()


def run_to_end(request: Request) -> Record:
    """Run one unit and wait for it."""
    unit = UnitProcess(request)
    try:
        return unit.record()
    except BaseException:
        unit.stop()
        raise


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", often the system's answer to too little memory" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{hint}"
    return f"the process ended with exit code {code} and left no record"


def tail(path: Path, size: int = 4000) -> str:
    """The last ``size`` bytes of a text file."""
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    return data[-size:].decode("utf-8", errors="replace").strip()
