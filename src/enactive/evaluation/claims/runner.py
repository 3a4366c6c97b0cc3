"""Running a claim: its units in processes of their own, interleaved, and resumable at any time.

``<out>/<system>/`` holds ``units/<arm>/seed-<n>/`` with everything that a unit made, and the pages.
A unit whose record is there and fits the claim's source is not run again.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from enactive.evaluation.claims.claim import Claim, ClaimError, Measurement
from enactive.evaluation.claims.process import UnitProcess
from enactive.evaluation.claims.units import Record, Request, order, source_digest, unit_directory
from enactive.evaluation.files import write_atomically

Listener = Callable[[Record], None]
"""Called with each record as it comes in."""
Execute = Callable[[Sequence[Request], Listener], None]
"""Runs units, each in a process of its own, and reports their records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is there already, and what has to be run."""

    claim: Claim
    reference: str
    quick: bool
    root: Path
    """``<out>/<system>`` (quick: ``<out>/quick/<system>``)."""
    shared: Path
    """What claims share; quick variants have their own."""
    done: Mapping[tuple[str, int], Record] = field(default_factory=dict[tuple[str, int], Record])
    """Measured before."""
    requests: tuple[Request, ...] = ()
    """Still to run, in order."""
    stale: tuple[tuple[str, int], ...] = ()
    """Measured before, but with other code of the claim's file."""


def plan(
    claim: Claim, reference: str, out: Path, *, quick: bool = False, reuse: bool = False
) -> Plan:
    """Compare what the claim needs with what lies under ``out``.

    Args:
        reference: how a unit's process finds the claim again.
        out: directory of all claims.
        quick: whether ``claim`` is the small variant; it never mixes with the full one.
        reuse: keep units that were measured before the claim's file changed. The page says so.
    """
    out = out.resolve()
    base = out / "quick" if quick else out
    root, shared = base / claim.system, base / "shared"
    digest = source_digest(claim)
    done: dict[tuple[str, int], Record] = {}
    requests: list[Request] = []
    stale: list[tuple[str, int]] = []
    for arm, seed in order(claim):
        directory = unit_directory(root, arm, seed)
        record = Record.read(directory / "unit.json")
        attempt = 1
        if record is not None and record.measurement is not None:
            changed = record.digest != digest
            if changed:
                stale.append((arm, seed))
            if not changed or reuse:
                done[arm, seed] = record
                continue
        elif record is not None:
            attempt = record.attempt + 1
        requests.append(
            Request(
                reference=absolute(reference),
                quick=quick,
                arm=arm,
                seed=seed,
                directory=directory,
                shared=shared,
                attempt=attempt,
                digest=digest,
            )
        )
    return Plan(
        claim=claim,
        reference=reference,
        quick=quick,
        root=root,
        shared=shared,
        done=done,
        requests=tuple(requests),
        stale=tuple(stale),
    )


def run(plan: Plan, execute: Execute, listener: Listener = lambda record: None) -> list[Record]:
    """Run what is missing; returns all records, failed ones included, in the order of the plan.

    Interrupted at any moment, the next :func:`plan` finds every unit that was finished.

    Raises:
        ClaimError: the claim's ``prepare`` failed; or another process runs the same claim.
    """
    with _alone(plan.root):
        found = dict(plan.done)

        def keep(record: Record) -> None:
            found[record.arm, record.seed] = record
            listener(record)

        if plan.requests:
            prepare(plan)
            execute(plan.requests, keep)
        return [found[unit] for unit in order(plan.claim) if unit in found]


def prepare(plan: Plan) -> None:
    """Make what the units share, unless this claim's source did so before."""
    plan.shared.mkdir(parents=True, exist_ok=True)
    if prepared(plan):
        return
    digest = source_digest(plan.claim)
    request = Request(
        reference=absolute(plan.reference),
        quick=plan.quick,
        arm=None,
        seed=0,
        directory=plan.root / "prepare",
        shared=plan.shared,
        digest=digest,
    )
    with _locked(plan.shared / ".lock", wait=True):  # claims share their datasets
        records: list[Record] = []
        locally(1)([request], records.append)
    if records[0].error:
        raise ClaimError(
            f"{plan.claim.system}: preparing what the units share failed; the log is "
            f"{request.directory / 'log.txt'}\n{records[0].error}"
        )
    text = json.dumps({"digest": digest, "seconds": records[0].seconds}) + "\n"
    write_atomically(_mark(plan), text)


def prepared(plan: Plan) -> bool:
    """Whether what the units share is there."""
    if plan.claim.prepare is None:
        return True
    mark = _mark(plan)
    if not mark.is_file():
        return False
    return json.loads(mark.read_text(encoding="utf-8"))["digest"] == source_digest(plan.claim)


def _mark(plan: Plan) -> Path:
    return plan.shared / f".prepared-{plan.claim.system}.json"


def locally(workers: int, poll: float = 0.02) -> Execute:
    """Runs ``workers`` units at a time on this machine.

    Args:
        poll: seconds between looks at the processes.
    """
    if workers < 1:
        raise ClaimError(f"workers must be at least 1, got {workers}")

    def execute(requests: Sequence[Request], listener: Listener) -> None:
        waiting = list(requests)
        running: list[UnitProcess] = []
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    running.append(UnitProcess(waiting.pop(0)))
                for unit in [unit for unit in running if not unit.running]:
                    running.remove(unit)
                    listener(unit.record())
                time.sleep(poll)
        finally:  # Ctrl-C, or a listener that failed: nothing is left running
            for unit in running:
                unit.stop()

    return execute


def measurements(records: Iterable[Record]) -> dict[tuple[str, int], Measurement]:
    """The measurements of the units that have one, by (arm, seed)."""
    return {
        (record.arm, record.seed): record.measurement
        for record in records
        if record.measurement is not None
    }


def absolute(reference: str) -> str:
    """``reference`` with the path of a file made absolute, for processes that start elsewhere."""
    where, colon, name = reference.rpartition(":")
    return f"{Path(where).resolve()}:{name}" if colon and where.endswith(".py") else reference


@contextmanager
def _alone(root: Path) -> Generator[None]:
    with _locked(root / ".lock", wait=False) as free:
        if not free:
            raise ClaimError(
                f"another process is running this claim in {root}; wait for it or use another --out"
            )
        yield


@contextmanager
def _locked(path: Path, *, wait: bool) -> Generator[bool]:
    """Hold a lock that the system releases when this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file: IO[str]
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
            return
        yield True
