"""``enactive trace``: what an agent saw, thought, called and got, in order."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from enactive.cli.arguments import parse
from enactive.cli.loading import action_log_path
from enactive.cli.mistakes import UserError, wiring


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Read an agent's episode as a timeline.

    Without EPISODE the episodes of the run are listed, and the only one is shown.

    Examples:
      enactive trace runs/agent
      enactive trace runs/agent EPISODE --full
      enactive trace runs/agent EPISODE --html trace.html
    """

    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORDING")]
    """Directory of an agent's run, or its action log."""
    episode: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EPISODE")] = ""
    """Id of the episode."""
    full: bool = False
    """Show long values whole."""
    html: Path | None = None
    """Write the timeline to this file as a page instead."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse(Arguments, argv, "trace")


def run(arguments: Arguments) -> int:
    """Read the log and print, or write the page."""
    from rich.console import Console

    from enactive.episodes.action_log import ActionLog
    from enactive.evaluation.files import write_atomically
    from enactive.runtime.timeline import timeline
    from enactive.runtime.trace_html import trace_html
    from enactive.runtime.trace_text import trace_tree

    path = action_log_path(arguments.recording)
    if path is None:
        raise UserError(f"{arguments.recording} holds no agent's run; `enactive agent` makes one")
    # A file or another program gets whole lines; a terminal wraps them.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100_000)
    with wiring(), ActionLog(path) as log:
        episodes = log.episodes()
        id = arguments.episode or (episodes[0].id if len(episodes) == 1 else "")
        if not id:
            for episode in episodes:
                ending = "was cut off" if episode.outcome is None else episode.outcome["reason"]
                success = episode.outcome is not None and episode.outcome["success"]
                print(f"{episode.id}  {'success' if success else ending}")
            return 0
        made = timeline(log.entries(id))
        header = dict(log.episode(id).header)
        if arguments.html is not None:
            write_atomically(arguments.html, trace_html(id, made, header))
            print(arguments.html)
            return 0
        console.print(trace_tree(id, made, width=0 if arguments.full else 160))
    return 0
