"""The process of one unit: ``python -m enactive.evaluation.claims.unit REQUEST.json``.

Its standard input is a pipe that whoever started it holds open. When that process is gone, however
it went, the pipe ends and this one does too, with everything that it has started.
"""

from __future__ import annotations

import datetime
import os
import platform
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import enactive
from enactive.episodes.provenance import provenance
from enactive.evaluation.claims.claim import ClaimError, Measurement
from enactive.evaluation.claims.units import Record, Request, load_claim


def main(path: Path) -> int:
    """Measure what the request at ``path`` asks for, and leave a record beside it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    request = Request.read(path)
    begin = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    measurement, error = None, ""
    try:
        measurement = _measure(request)
    except Exception:
        error = traceback.format_exc()
        print(error, file=sys.stderr)
    made = provenance()
    Record(
        arm=request.arm or "",
        seed=request.seed,
        attempt=request.attempt,
        measurement=measurement,
        error=error,
        seconds=round(time.monotonic() - begin, 3),
        peak_mb=round(_peak_mb(), 1),
        digest=request.digest,
        commit=made.git_commit,
        dirty=made.git_dirty,
        version=enactive.__version__,
        started=started,
        machine=f"{made.processor or 'unknown processor'}, {made.platform}",
    ).write(request.directory / "unit.json")
    return 1 if error else 0


def _measure(request: Request) -> Measurement:
    claim = load_claim(request.reference, request.quick)
    if request.arm is None:
        if claim.prepare is not None:
            claim.prepare(request.shared)
        return Measurement()
    if request.arm not in claim.arms:
        raise ClaimError(f"the claim has no arm {request.arm!r} any more: {', '.join(claim.arms)}")
    files = request.directory / "files"
    files.mkdir(parents=True, exist_ok=True)
    measure: Any = claim.measure
    found: Any = measure(request.arm, request.seed, files, request.shared)
    if not isinstance(found, Measurement):
        raise ClaimError(f"measure returned {type(found).__name__}; it must return a Measurement")
    return found


def _peak_mb() -> float:
    """Largest resident memory so far; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    # The process leads a group of its own: whatever it started goes too.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
