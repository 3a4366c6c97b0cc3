"""Adding files to a dataset so that it is whole at every moment, whoever looks and whoever dies.

New content is first written under ``enactive/staging``. Then one file, ``enactive/commit.json``,
is put in place atomically: from that moment the change has happened. Each staged file is then
moved over its final name, ``meta/info.json`` last, and the list is removed. A process that finds
the list finishes the moving; a process that holds the lock and finds staged files without a list
throws them away. A reader that knows nothing of this (LeRobot) sees the old counts in
``info.json`` until the end, and files that only ever grew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Generator
from pathlib import Path

from enactive.episodes import layout


@contextlib.contextmanager
def locked(root: Path) -> Generator[None]:
    """Hold the dataset's write lock; other writers wait. Held by the process, freed if it dies."""
    path = root / layout.LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(root: Path, staged: list[str]) -> None:
    """Make the staged files (paths relative to the dataset) part of the dataset.

    Args:
        root: the dataset's directory, locked by the caller.
        staged: what lies under ``enactive/staging``, in the order to move; ``meta/info.json``
            belongs last.
    """
    staging = root / layout.STAGING
    for name in staged:
        layout.sync(staging / name)
    layout.write_json({"move": staged}, root / layout.COMMIT)
    finish(root)


def finish(root: Path) -> None:
    """Finish the commit that was decided, if there is one; the caller holds the lock."""
    commit = root / layout.COMMIT
    if not commit.exists():
        return
    names: list[str] = layout.read_json(commit)["move"]
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # moved before the process died
            os.replace(root / layout.STAGING / name, target)
    for directory in {(root / name).parent for name in names}:
        layout.sync(directory)
    commit.unlink()
    discard_staging(root)


def settle(root: Path) -> None:
    """What a reader does first: finish the commit of a process that died, if there is one.

    While a living process is moving files, wait until it has; that takes milliseconds. Without
    the right to write, the dataset is read as it was before the commit.
    """
    patience = 500
    while (root / layout.COMMIT).exists() and patience:
        try:
            with (root / layout.LOCK).open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                finish(root)
                return
        except BlockingIOError:
            time.sleep(0.01)
            patience -= 1
        except OSError:
            return


def discard_staging(root: Path) -> None:
    """Throw away what a dead process had prepared; the caller holds the lock."""
    shutil.rmtree(root / layout.STAGING, ignore_errors=True)
