"""Running claims: interleaved, resumable, and clean after failures, kills and Ctrl-C."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enactive.evaluation.claims import runner
from enactive.evaluation.claims.claim import ClaimError
from enactive.evaluation.claims.prune import prune
from enactive.evaluation.claims.results import result
from enactive.evaluation.claims.units import Record, load_claim, order, source_digest

TOY = Path(__file__).parent / "toy_claim.py"
UNITS = [(arm, seed) for seed in range(2) for arm in ("plain", "better", "same")]


@pytest.fixture
def toy(tmp_path: Path) -> str:
    """A copy of the toy claim that a test may steer."""
    shutil.copy(TOY, tmp_path / "toy.py")
    return f"{tmp_path / 'toy.py'}:claim"


def planned(reference: str, *, quick: bool = False, reuse: bool = False) -> runner.Plan:
    out = Path(reference.rpartition(":")[0]).parent / "out"
    return runner.plan(load_claim(reference, quick), reference, out, quick=quick, reuse=reuse)


def stamps(root: Path) -> dict[Path, int]:
    """When each unit's record was written."""
    return {path: path.stat().st_mtime_ns for path in root.rglob("unit.json")}


def wait_for(happened: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 120
    while not happened.exists():
        assert time.monotonic() < deadline, f"{happened} never came"
        assert process is None or process.poll() is None
        time.sleep(0.02)


def running_below(directory: Path) -> list[int]:
    """Processes whose command line names something below ``directory``."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
            state = (path.parent / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(directory) in words and int(path.parent.name) != os.getpid() and state != "Z":
            found.append(int(path.parent.name))
    return found


def test_arms_are_interleaved_in_an_order_drawn_from_the_seed(toy: str) -> None:
    claim = dataclasses.replace(load_claim(toy, False), seeds=tuple(range(8)))
    units = list(order(claim))
    assert [seed for _, seed in units] == [seed for seed in range(8) for _ in range(3)]
    assert len(set(units)) == 24 and units == list(order(claim))
    orders = {tuple(arm for arm, one in units if one == seed) for seed in range(8)}
    assert len(orders) > 1
    # More seeds are more units; those that were there keep their places.
    assert units[:6] == list(order(load_claim(toy, False)))


def test_failures_are_recorded_and_tried_again_and_nothing_else_is(
    toy: str, tmp_path: Path
) -> None:
    (tmp_path / "fail-better-1").touch()
    (tmp_path / "crash-same-0").touch()
    first = planned(toy, quick=False)
    records = runner.run(first, runner.locally(2))
    assert [(record.arm, record.seed) for record in records] == list(order(first.claim))
    failed = {(r.arm, r.seed): r for r in records if r.measurement is None}
    assert set(failed) == {("better", 1), ("same", 0)}
    assert "RuntimeError: better broke on purpose" in failed["better", 1].error
    assert "toy.py" in failed["better", 1].error, "a traceback"
    assert "ended by SIGKILL" in failed["same", 0].error
    found = result(first, records)
    assert "2 of 6 units" in found.verdict.reason

    before = stamps(first.root)
    (tmp_path / "fail-better-1").unlink()
    (tmp_path / "crash-same-0").unlink()
    second = planned(toy)
    assert {(r.arm, r.seed, r.attempt) for r in second.requests} == {
        ("better", 1, 2), ("same", 0, 2),
    }  # fmt: skip
    records = runner.run(second, runner.locally(2))
    assert all(record.measurement is not None for record in records) and len(records) == 6
    after = stamps(first.root)
    assert sum(before[path] != after[path] for path in before) == 2
    assert (tmp_path / "prepared").read_text() == "once\n"

    third = planned(toy)
    assert not third.requests
    assert runner.run(third, runner.locally(1)) == records, "read back as they were"
    assert prune(third.root) == 600
    left = sorted(path.name for path in third.root.rglob("files/*"))
    assert left == ["journal.sqlite"] * 6, "weights go, episodes stay"

    # Wording and comments change nothing, code does.
    path = tmp_path / "toy.py"
    text = path.read_text()
    digest = source_digest(load_claim(toy, False))
    path.write_text(text.replace('"""Three arms', '# a remark\n    """The three arms'))
    assert source_digest(load_claim(toy, False)) == digest
    (tmp_path / "helper.py").write_text("RATE = 1\n")
    path.write_text(text.replace("import time\n", "import time\n\nimport helper\n"))
    beside = source_digest(load_claim(toy, False))
    (tmp_path / "helper.py").write_text("RATE = 2\n")
    assert len({digest, beside, source_digest(load_claim(toy, False))}) == 3
    path.write_text(text.replace('"better": 0.8', '"better": 0.9'))
    changed = planned(toy)
    assert len(changed.requests) == len(changed.stale) == 6
    kept = planned(toy, reuse=True)
    assert not kept.requests
    notes = result(kept, runner.run(kept, runner.locally(1))).cautions
    assert any("6 units were measured before the claim's file changed" in note for note in notes)


START = """
import signal, sys
# A job that a shell put into the background inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from enactive.cli import main
sys.exit(main())
"""


@pytest.fixture
def command(toy: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``enactive claim`` with one unit done and the next ones waiting."""
    first = planned(toy)
    (request,) = first.requests[:1]
    (tmp_path / "wait").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", START, "claim", toy, "--out", str(tmp_path / "out"),
         "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(tmp_path / "waits", process)
    (tmp_path / "wait").unlink()
    wait_for(request.directory / "unit.json", process)
    (tmp_path / "wait").touch()
    (tmp_path / "waits").unlink(missing_ok=True)
    wait_for(tmp_path / "waits", process)
    yield process
    process.kill()
    process.communicate()


def finish(toy: str, tmp_path: Path) -> None:
    """What an interrupted run left is whole, and the next run adds the rest."""
    deadline = time.monotonic() + 30
    while running_below(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running_below(tmp_path) == [], "a unit outlived the command"
    (tmp_path / "wait").unlink()
    rest = planned(toy)
    assert 1 <= len(rest.done) < 6 and len(rest.requests) == 6 - len(rest.done)
    before = stamps(rest.root)
    records = runner.run(rest, runner.locally(2))
    assert sorted((r.arm, r.seed) for r in records) == sorted(UNITS)
    assert all(r.measurement is not None and r.attempt == 1 for r in records)
    after = stamps(rest.root)
    assert all(after[path] == before[path] for path in before)
    assert (tmp_path / "prepared").read_text() == "once\n"


def test_a_killed_run_goes_on_where_it_was(
    command: subprocess.Popen[bytes], toy: str, tmp_path: Path
) -> None:
    with pytest.raises(ClaimError, match="another process is running this claim"):
        runner.run(planned(toy), runner.locally(1))
    command.send_signal(signal.SIGKILL)
    command.wait()
    finish(toy, tmp_path)


def test_an_interrupted_run_ends_its_units_and_goes_on(
    command: subprocess.Popen[bytes], toy: str, tmp_path: Path
) -> None:
    command.send_signal(signal.SIGINT)
    _, error = command.communicate(timeout=60)
    assert command.returncode == 130
    assert b"the same command goes on from here" in error and b"Traceback" not in error
    finish(toy, tmp_path)


def test_a_failed_preparation_says_why(toy: str, tmp_path: Path) -> None:
    path = tmp_path / "toy.py"
    path.write_text(path.read_text().replace('.write_text("40")', ".write_text(40 / 0)"))
    with pytest.raises(ClaimError, match="(?s)preparing what the units share failed.*ZeroDivision"):
        runner.run(planned(toy, quick=True), runner.locally(1))


def test_quick_units_lie_apart(toy: str) -> None:
    quick, full = planned(toy, quick=True), planned(toy)
    assert len(quick.requests) == 3 and len(full.requests) == 6
    assert not {r.directory for r in quick.requests} & {r.directory for r in full.requests}
    assert quick.shared != full.shared


def test_what_is_no_claim_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("def number(quick): return 3\ndef bare(): return 3\nthing = 3\n")
    with pytest.raises(ClaimError, match="returned int; it must return a Claim"):
        load_claim(f"{path}:number", False)
    with pytest.raises(ClaimError, match="must take the argument quick"):
        load_claim(f"{path}:bare", False)
    with pytest.raises(ClaimError, match="declared by a function"):
        load_claim(f"{path}:thing", False)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
def test_a_ray_cluster_gives_the_same(toy: str, tmp_path: Path) -> None:
    from enactive.evaluation.claims.on_ray import on_ray

    seen: list[Record] = []
    (tmp_path / "fail-same-0").touch()
    first = planned(toy, quick=True)
    remote = runner.run(first, on_ray(cores=2), seen.append)
    assert len(seen) == 3
    claim = first.claim
    for record in remote:
        (tmp_path / record.arm).mkdir()
        if record.arm == "same":
            assert "broke on purpose" in record.error
        else:
            here = claim.measure(record.arm, 0, tmp_path / record.arm, first.shared)
            assert record.measurement == here
