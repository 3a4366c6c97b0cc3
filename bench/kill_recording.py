"""Kill -9 a process that records and compacts, at random moments, and count what was lost.

    python bench/kill_recording.py --kills 20

After every kill the dataset must open and validate, every episode that was reported as recorded
must be in the journal or the dataset, and none twice. At the end the dataset must equal, frame by
frame and hash by hash, the one of a run that nobody killed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from enactive.episodes import layout
from enactive.episodes.dataset import Dataset
from enactive.episodes.journal import Journal

CHILD = Path(__file__).parent.parent / "tests" / "episodes" / "made_episodes.py"


def made_episodes() -> Any:
    """The module of the child process."""
    spec = importlib.util.spec_from_file_location("made_episodes", CHILD)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_child(work: Path, episodes: int, steps: int, kill_after: float | None) -> list[str]:
    """Run the child; kill it ``kill_after`` seconds after it said that it is ready.

    Returns:
        The lines it printed.
    """
    command = [sys.executable, str(CHILD), str(work), str(episodes), str(steps)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stderr is not None
    if kill_after is None:
        out, error = child.communicate(timeout=300)
        if child.returncode:
            raise RuntimeError(f"the child failed:\n{error}")
        return out.splitlines()
    first = child.stdout.readline()
    if not first:
        raise RuntimeError(f"the child failed:\n{child.stderr.read()}")
    time.sleep(kill_after)
    child.send_signal(signal.SIGKILL)
    out, error = child.communicate(timeout=60)
    if "Traceback" in error:
        raise RuntimeError(f"the child failed before it was killed:\n{error}")
    return [first.strip(), *out.splitlines()]


def survivors(work: Path) -> tuple[list[str], list[str]]:
    """Ids in the dataset (checked and validated), and finished ids in the journal."""
    stored: list[str] = []
    if (work / "dataset" / layout.INFO).exists():
        dataset = Dataset.open(work / "dataset")
        problems = dataset.validate()
        if problems:
            raise RuntimeError(f"the dataset is damaged: {problems}")
        stored = [record.header.id for record in dataset.records]
        if len(stored) != dataset.num_episodes:
            raise RuntimeError(f"{len(stored)} records of {dataset.num_episodes} episodes")
    with Journal.open(work / "journal.db") as journal:
        finished = [header.id for header in journal.readable()]
        for id in finished:
            journal.read(id)
    return stored, finished


def difference(one: Path, other: Path) -> list[str]:
    """What differs between two datasets: columns, decoded pictures, hashes, chains, statistics."""
    a, b = Dataset.open(one), Dataset.open(other)
    if a.num_frames != b.num_frames or a.tasks != b.tasks:
        return ["frames or tasks"]
    keys = [k for k, f in a.features.items() if f["dtype"] not in ("video", "image")]
    found = [key for key in keys if not np.array_equal(a.column(key), b.column(key))]
    for mine, theirs in zip(a.records, b.records, strict=True):
        index = mine.episode
        if mine.header != theirs.header or mine.outcome != theirs.outcome:
            found.append(f"record {index}")
        if any(not np.array_equal(mine.hashes[n], theirs.hashes[n]) for n in mine.hashes):
            found.append(f"hashes {index}")
        if a.deliberations(index) != b.deliberations(index) or a.events(index) != b.events(index):
            found.append(f"chains or events {index}")
        for camera in a.cameras:
            if not np.array_equal(a.video(camera, index), b.video(camera, index)):
                found.append(f"pictures {camera} {index}")
    for key, entry in a.stats.items():
        if any(not np.array_equal(entry[name], b.stats[key][name]) for name in entry):
            found.append(f"statistics {key}")
    return found


def trial(work: Path, kills: int, episodes: int, steps: int, seed: int) -> dict[str, int]:
    """Kill the child ``kills`` times, resuming each time; raises if anything was lost."""
    random = np.random.default_rng(seed)
    reference = work / "reference"
    reference.mkdir(parents=True)
    began = time.monotonic()
    run_child(reference, episodes, steps, None)
    length = time.monotonic() - began
    tally = {"kills": 0, "runs to the end": 0, "left a commit half moved": 0}
    tally |= {"left staged files": 0, "left an unfinished episode": 0, "lost": 0, "doubled": 0}
    attempt = 0
    known: set[str] = set()
    killed = work / "killed-0"
    killed.mkdir()
    while tally["kills"] < kills:
        lines = run_child(killed, episodes, steps, random.uniform(0, 0.6) * length)
        if lines[-1] == "done":  # it was faster: begin again in a new directory
            tally["runs to the end"] += 1
            attempt, known = attempt + 1, set()
            killed = work / f"killed-{attempt}"
            killed.mkdir()
            continue
        tally["kills"] += 1
        tally["left a commit half moved"] += (killed / "dataset" / layout.COMMIT).exists()
        tally["left staged files"] += (killed / "dataset" / layout.STAGING).exists()
        with Journal.open(killed / "journal.db") as journal:
            tally["left an unfinished episode"] += bool(journal.unfinished())
        known |= {f"made/{line.split()[1]}" for line in lines if line.startswith("recorded")}
        stored, finished = survivors(killed)
        tally["lost"] += len(known - set(stored) - set(finished))
        tally["doubled"] += len(stored) - len(set(stored))
        if len(stored) == episodes:  # nothing is left to interrupt: begin again beside it
            tally["runs to the end"] += 1
            attempt, known = attempt + 1, set()
            killed = work / f"killed-{attempt}"
            killed.mkdir()
    run_child(killed, episodes, steps, None)
    for place in [killed] if attempt == 0 else sorted(work.glob("killed-*")):
        differing = difference(reference / "dataset", place / "dataset")
        if differing:
            raise RuntimeError(f"{place.name} differs from the run nobody killed: {differing}")
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="kill-"))
    try:
        tally = trial(work, options.kills, options.episodes, options.steps, options.seed)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(tally, indent=1))
    print("every resumed dataset equals the one of the run that nobody killed")
    sys.exit(1 if tally["lost"] or tally["doubled"] else 0)


if __name__ == "__main__":
    main()
