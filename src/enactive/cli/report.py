"""``enactive report``: an evaluation as one HTML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from enactive.cli.arguments import parse
from enactive.cli.loading import check_recorded, evaluation_path, recording_path
from enactive.cli.mistakes import UserError, wiring


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Write an evaluation as one HTML file: success with intervals, videos, curves, provenance.

    The page needs no network and no other file. The numbers are written beside it as JSON and
    Markdown. Replay the evaluation first to have the result in the report.

    Examples:
      enactive report runs/evaluation
      enactive report runs/evaluation --training runs/policy --out policy.html
      enactive report runs/evaluation --expert runs/expert
      enactive report runs/evaluation --rerun main/faucet-open/1000000-1d0b3a51
    """

    evaluation: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="EVALUATION")]
    """Directory of the evaluation."""
    out: Path | None = None
    """The HTML file; by default report.html in the directory."""
    training: Path | None = None
    """The training run whose curves are shown; by default the one that was evaluated."""
    expert: Path | None = None
    """Directory of the expert's evaluation on the same probes: its rows beside the policy's."""
    rerun: tuple[str, ...] = ()
    """Write these episodes for the rerun viewer instead, as .rrd files in the directory."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse(Arguments, argv, "report")


def run(arguments: Arguments) -> int:
    """Write the report and say where it is."""
    if arguments.rerun:
        return write_timelines(arguments)
    from enactive.evaluation.report.write import write_report
    from enactive.evaluation.results import Evaluation

    file = evaluation_path(arguments.evaluation)
    if arguments.out is not None and arguments.out.suffix != ".html":
        raise UserError(f"--out names an HTML file, e.g. {arguments.out.with_suffix('.html')}")
    if arguments.training is not None and not (arguments.training / "log.jsonl").is_file():
        raise UserError(f"--training: {arguments.training} is not the directory of a run")
    with wiring():
        Evaluation.load(file)  # a damaged file is told from an error in the report
    expert = arguments.expert
    path = write_report(
        file.parent, arguments.out, training=arguments.training,
        expert=None if expert is None else evaluation_path(expert).parent,
    )  # fmt: skip
    print(path)
    return 0


def write_timelines(arguments: Arguments) -> int:
    """Write episodes for the rerun viewer."""
    from enactive.evaluation.sources import headers, read_episode
    from enactive.evaluation.timeline import write_timeline

    with wiring():
        source = recording_path(arguments.evaluation)
        check_recorded(arguments.rerun, headers(source))
    directory = arguments.evaluation if arguments.evaluation.is_dir() else source.parent
    for name in arguments.rerun:
        episode = read_episode(source, name)
        print(write_timeline(episode, directory / f"{name.replace('/', '_')}.rrd"))
    return 0
