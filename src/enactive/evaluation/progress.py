"""A progress bar with the success rate so far."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from enactive.evaluation.results import EpisodeResult
from enactive.evaluation.rollouts import Listener


@contextmanager
def progress_bar(title: str, episodes: int, console: Console | None = None) -> Generator[Listener]:
    """Show a bar while the block runs; what it yields is the listener to hand to a rollout."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console or Console(stderr=True)) as bar:
        shown = bar.add_task(title, total=episodes, rate="")
        done = successes = 0

        def listener(result: EpisodeResult) -> None:
            nonlocal done, successes
            done += 1
            successes += result.success
            bar.update(shown, completed=done, rate=f"success {successes / done:.0%}")

        yield listener
