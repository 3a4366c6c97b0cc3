"""``enactive compare``: evaluations on the same episodes, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from enactive.cli.arguments import parse
from enactive.cli.loading import evaluation_path
from enactive.cli.mistakes import wiring


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Compare a policy with a baseline on the same episodes: is the difference real?

    Both evaluations must have followed the same protocol (world, tasks, wordings, seeds, rules);
    otherwise every difference between the protocols is listed. The p value is exact McNemar's, per
    task corrected by Holm's method.

    Examples:
      enactive compare runs/baseline runs/candidate
      enactive compare runs/baseline runs/candidate --confidence 0.99
    """

    baseline: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BASELINE")]
    """Directory of the first evaluation."""
    candidate: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CANDIDATE")]
    """Directory of the second evaluation."""
    group: str = "main"
    """Which episodes: main, or the name of a probe such as swap."""
    confidence: float = 0.95
    """Of the intervals."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse(Arguments, argv, "compare")


def run(arguments: Arguments) -> int:
    """The command after its words were read."""
    from enactive.evaluation.compare import compare
    from enactive.evaluation.results import Evaluation

    with wiring():
        first = Evaluation.load(evaluation_path(arguments.baseline))
        second = Evaluation.load(evaluation_path(arguments.candidate))
        # The directories are what the reader named; two checkpoints of one run share a label.
        first, second = (
            dataclasses.replace(evaluation, policy=str(path))
            for evaluation, path in ((first, arguments.baseline), (second, arguments.candidate))
        )
        comparison = compare(
            first, second, group=arguments.group, confidence=arguments.confidence,
        )  # fmt: skip
    _print(comparison)
    return 0


def _print(comparison: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    table.add_column("task")
    for title in ("baseline", "candidate", "only baseline", "only candidate", "p", "p (Holm)"):
        table.add_column(title, justify="right")
    for name, task in comparison.tasks.items():
        table.add_row(name, *_cells(task.pairs), f"{task.p_value:.3g}", f"{task.p_adjusted:.3g}")
    table.add_row("all", *_cells(comparison.pairs), f"{comparison.p_value:.3g}", "")
    console = Console()
    console.print(table)
    console.print(comparison.verdict, highlight=False, soft_wrap=True)
    if comparison.clustered is not None:
        low, high = comparison.clustered.low, comparison.clustered.high
        console.print(
            f"for tasks like these (tasks as clusters): [{low:+.1%}, {high:+.1%}]",
            highlight=False, markup=False,
        )  # fmt: skip


def _cells(pairs: Any) -> list[str]:
    return [
        f"{pairs.first_rate:.0%}",
        f"{pairs.second_rate:.0%}",
        str(pairs.only_first),
        str(pairs.only_second),
    ]
