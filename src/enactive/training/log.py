"""What a run says while it trains: lines of JSON, TensorBoard, and a bar on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class RunLog:
    """``log.jsonl``, ``tensorboard/`` and the progress bar of a run.

    Every line of ``log.jsonl`` is a JSON object with ``step``. A run that resumes at step n cuts
    off the lines after n, which it is about to write again.
    """

    def __init__(self, run: Path, *, step: int, steps: int, active: bool = True) -> None:
        """
        Args:
            run: the run's directory.
            step: steps done before.
            steps: steps in all.
            active: False in processes other than the main one: nothing is written then.
        """
        self.active = active
        self._path = run / "log.jsonl"
        self._bar: Progress | None = None
        self._board: Any = None
        if not active:
            return
        run.mkdir(parents=True, exist_ok=True)
        _truncate(self._path, step)
        self._file = self._path.open("a", encoding="utf-8")
        from torch.utils.tensorboard.writer import SummaryWriter

        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)
        console = Console(stderr=True)
        if console.is_terminal:
            self._bar = _progress(console)
            self._task = self._bar.add_task("training", total=steps, completed=step, note="")
            self._bar.start()

    def write(self, record: Mapping[str, Any]) -> None:
        """One line, and its numbers as TensorBoard scalars."""
        if not self.active:
            return
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in record.items():
            if name != "step" and isinstance(value, (int, float)):
                self._board.add_scalar(name, value, record["step"])

    def advance(self, step: int, note: str = "") -> None:
        """Move the bar to ``step``."""
        if self._bar is not None:
            fields = {"note": note} if note else {}
            self._bar.update(self._task, completed=step, **fields)

    def close(self) -> None:
        """Flush and close; may be called twice."""
        if self._bar is not None:
            self._bar.stop()
        if self.active:
            self._file.close()
            self._board.close()
            self.active = False


@contextlib.contextmanager
def bar(what: str, *, active: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar for something that reports (done, total); None where nobody would see it."""
    console = Console(stderr=True)
    if not active or not console.is_terminal:
        yield None
        return
    with _progress(console) as shown:
        task = shown.add_task(what, total=None, note="")
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line that was cut off by a kill is left out."""
    path = run / "log.jsonl"
    if not path.is_file():
        return []
    records: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _truncate(path: Path, step: int) -> None:
    if not path.is_file():
        return
    kept = [record for record in read_log(path.parent) if record["step"] <= step]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    os.replace(temporary, path)
