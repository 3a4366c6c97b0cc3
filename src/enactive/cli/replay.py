"""``enactive replay``: does executing a recording again give the same bits?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from enactive.cli.arguments import parse
from enactive.cli.loading import (
    EVALUATION,
    REPLAY,
    action_log_path,
    check_recorded,
    cores,
    recording_path,
)
from enactive.cli.mistakes import wiring

if TYPE_CHECKING:
    from enactive.evaluation.replay import EpisodeReplay


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Execute recorded episodes again and compare every picture, state, reward and event.

    The world is made from what was recorded, the episode starts from its recorded seed, and the
    recorded actions are executed. Exit code 0 means that every bit was equal, 1 that one was not.
    Replaying a whole evaluation leaves replay.json beside it, which the report shows.

    Examples:
      enactive replay runs/evaluation
      enactive replay runs/demos --limit 10
      enactive replay runs/evaluation --episodes main/drawer-open/1000000-4be5c4f1
      enactive replay runs/agent

    Of an agent's run the decisions are made again, too, from the recorded answers of its language
    model. Calls that reach outside its world are not made: their results are recorded.
    """

    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORDING")]
    """An evaluation or collection directory, a journal, a dataset, or an agent's run."""
    episodes: tuple[str, ...] = ()
    """Ids of the episodes, as `enactive info RECORDING` lists them; by default all."""
    limit: int | None = None
    """Replay only the first so many."""
    workers: int = dataclasses.field(default_factory=cores)
    """Processes that share the work; 0 replays in this one."""
    decisions: Literal["made", "recorded"] = "made"
    """Of an agent: whether its planner decides again, or its recorded decisions are executed."""
    again: bool = False
    """Of an agent: make calls again that only read something outside, and compare."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse(Arguments, argv, "replay")


def run(arguments: Arguments) -> int:
    """Replay; 1 if any bit differs."""
    log = action_log_path(arguments.recording)
    if log is not None:
        from enactive.cli.agents_again import replay_agents

        return replay_agents(log, arguments)
    from rich.console import Console
    from rich.progress import Progress

    from enactive.evaluation.replay import replay, replay_all
    from enactive.evaluation.sources import headers

    with wiring():
        path = recording_path(arguments.recording)
        known = headers(path)
    check_recorded(arguments.episodes, known)
    ids = list(arguments.episodes or known)[: arguments.limit]
    saved = arguments.recording / REPLAY
    whole = (arguments.recording / EVALUATION).is_file() and ids == list(known)
    with Progress(transient=True, console=Console(stderr=True)) as bar:
        shown = bar.add_task("replaying", total=len(ids))

        def listener(episode: EpisodeReplay) -> None:
            bar.advance(shown)
            if not episode.equal:
                bar.console.print(_describe(episode), highlight=False, markup=False)

        if whole:
            _begin_anew_when_complete(saved, len(ids))
            report = replay_all(path, saved, arguments.workers, listener)
        else:
            report = replay(path, ids, workers=arguments.workers, listener=listener)
    print(
        f"{report.equal} of {len(report.episodes)} episodes are bit-equal "
        f"({report.compared} values compared)"
    )
    return 0 if report.passed else 1


def _begin_anew_when_complete(saved: Path, episodes: int) -> None:
    """Forget a complete report, so that the command executes everything again; keep a part of one,
    so that an interrupted command goes on."""
    from enactive.evaluation.replay import ReplayReport

    if saved.is_file() and ReplayReport.load(saved).equal == episodes:
        saved.unlink()


def _describe(episode: EpisodeReplay) -> str:
    if episode.error:
        return f"{episode.id}: {episode.error}"
    lines = [f"{episode.id}: {episode.differing} of {episode.compared} values differ"]
    lines += [
        f"  after {m.step} steps: {m.what} was {m.recorded}, is {m.replayed}"
        for m in episode.mismatches
    ]
    return "\n".join(lines)
