"""``enactive claim``: run the experiment that tests a system's central statement."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from enactive.cli.arguments import parse
from enactive.cli.mistakes import UserError, wiring

if TYPE_CHECKING:
    from enactive.evaluation.claims.results import Result
    from enactive.evaluation.claims.runner import Execute, Plan
    from enactive.evaluation.claims.units import Record

SELF_TEST = "self-test"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Run a claim: its arms with all its seeds, each in a process of its own, and the verdict.

    A claim is declared before it is run: statement, arms, controls, hypotheses with thresholds,
    seeds and budget. A hypothesis is supported when the 95 % interval over seeds lies beyond its
    threshold, the claim when every primary hypothesis is. What was measured is kept unit by unit:
    interrupted or failed, the same command goes on from there.

    NAME is a system (see --list), or where a claim of your own is declared. `self-test` runs the
    instrument on identical arms: how often does it see a difference that is not there?

    Examples:
      enactive claim --list
      enactive claim mint --quick
      enactive claim mint --workers 2 --keep claims
      enactive claim experiments/mine.py:claim --seeds 0 1 2
      enactive claim self-test
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")] = ""
    """A system, "module:function", "path/to/file.py:function", or self-test."""
    list: bool = False
    """Print the names that are registered, and stop."""
    quick: bool = False
    """The small variant, a minute or two: shows that everything runs. Its verdict means nothing,
    and it is never kept."""
    seeds: tuple[int, ...] = ()
    """Instead of those that the claim declares; the page says so."""
    workers: int = 1
    """Units that run at the same time, one thread each. Latencies are comparable only while there
    are fewer units than cores."""
    ray: bool = False
    """Run the units on Ray: on the cluster at --address, else on one started here."""
    address: str = ""
    """Of a running Ray cluster, e.g. auto. It must share the file system of --out."""
    out: Path = Path("runs/claims")
    """Everything that is made lies in <out>/<system>/."""
    keep: Path | None = None
    """Copy the pages to <keep>/<system>/, e.g. claims: for repositories and `enactive systems`."""
    reuse: bool = False
    """Keep units that were measured before the claim's file changed, e.g. only its wording; the
    page says so."""
    prune: bool = False
    """Remove trained weights when all is done; episodes are kept."""
    claims: int = 10_000
    """Simulated claims per shape of self-test."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse(Arguments, argv, "claim")


def run(arguments: Arguments) -> int:
    """The command after its words were read; 1 if a unit failed, whatever the verdict is."""
    if arguments.list:
        return _list()
    if not arguments.name:
        raise UserError(f"name a system or self-test; {_known()}")
    if arguments.name in (SELF_TEST, SELF_TEST.replace("-", "_")):
        return _self_test(arguments)
    if arguments.quick and arguments.keep is not None:
        raise UserError(
            "--quick shows that everything runs and is no result; --keep is for full runs"
        )

    from enactive.evaluation.claims.page import write_pages
    from enactive.evaluation.claims.prune import prune
    from enactive.evaluation.claims.results import result
    from enactive.evaluation.claims.runner import plan
    from enactive.evaluation.claims.units import load_claim

    with wiring():
        from enactive.evaluation.claims.table import registered

        reference = registered(arguments.name)
        declared = load_claim(reference, arguments.quick)
        claim = declared
        if arguments.seeds:
            claim = dataclasses.replace(declared, seeds=arguments.seeds)
        todo = plan(claim, reference, arguments.out, quick=arguments.quick, reuse=arguments.reuse)
        execute = _execute(arguments)
    records = _run(todo, execute, arguments.reuse)
    found = result(todo, records, declared)
    page = write_pages(found, todo.root)
    if arguments.keep is not None:
        kept = arguments.keep / claim.system
        shutil.rmtree(kept / "figures", ignore_errors=True)
        write_pages(found, kept)
    freed = prune(todo.root) if arguments.prune and not found.failures else 0
    _report(found, page, freed)
    return 1 if found.failures else 0


def _execute(arguments: Arguments) -> Execute:
    if arguments.address and not arguments.ray:
        raise UserError("--address is of a Ray cluster; add --ray")
    if arguments.ray:
        from enactive.evaluation.claims.on_ray import on_ray

        return on_ray(arguments.address or None, arguments.workers)
    from enactive.evaluation.claims.runner import locally

    return locally(arguments.workers)


def _run(todo: Plan, execute: Execute, reuse: bool) -> list[Record]:
    """Run what is missing, with a bar; refusals of the runner are messages."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from enactive.evaluation.claims.claim import ClaimError
    from enactive.evaluation.claims.runner import prepared
    from enactive.evaluation.claims.runner import run as run_plan

    console = Console(stderr=True)
    if todo.done:
        console.print(f"{len(todo.done)} units are there already, {len(todo.requests)} to run")
    if todo.stale and not reuse:
        console.print(
            f"{len(todo.stale)} units were measured before the claim's file changed and are run "
            "again (--reuse keeps them)"
        )
    if todo.requests and not prepared(todo):
        log = todo.root / "prepare" / "log.txt"
        console.print(f"first, what the units share is made; log: {log}", soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        shown = bar.add_task(todo.claim.system, total=len(todo.requests), last="")

        def listener(record: Record) -> None:
            said = f"{record.arm}, seed {record.seed}: {record.seconds:.0f} s"
            if record.measurement is None:
                said = f"{record.arm}, seed {record.seed} failed"
                console.print(f"{said}: {record.error.strip().splitlines()[-1]}", markup=False)
            bar.update(shown, advance=1, last=said)

        try:
            return run_plan(todo, execute, listener)
        except ClaimError as error:
            raise UserError(str(error)) from error


def _report(found: Result, page: Path, freed: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from enactive.evaluation.claims.contents import verdict_line

    table = Table(box=None)
    for title in ("hypothesis", "ruling", "evidence"):
        table.add_column(title)
    for one in found.verdict.hypotheses:
        name = one.hypothesis.name + ("" if one.hypothesis.primary else " (secondary)")
        table.add_row(name, str(one.ruling), one.reason)
    console = Console()
    console.print(found.claim.statement, highlight=False, markup=False)
    console.print(table)
    for caution in found.cautions:
        console.print(f"note: {caution}", highlight=False, markup=False)
    if not found.quick:
        console.print(f"{found.verdict.ruling}: {verdict_line(found)}", highlight=False)
    if freed:
        console.print(f"removed {freed / 2**20:.1f} MiB of weights", highlight=False)
    console.print(f"{page}", highlight=False, soft_wrap=True)


def _list() -> int:
    from rich.console import Console
    from rich.table import Table

    from enactive.evaluation.claims.table import rows

    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows(Path("claims")):
        table.add_row(row.name, row.statement or f"cannot be loaded: {row.problem}")
    table.add_row(SELF_TEST, "The instrument itself, on identical arms")
    Console().print(table)
    return 0


def _known() -> str:
    from enactive.registry import Registry

    return "known: " + ", ".join((*Registry("systems").names(), SELF_TEST))


def _self_test(arguments: Arguments) -> int:
    """Identical arms; 1 if they are called different more often than stated."""
    from rich.console import Console
    from rich.table import Table

    from enactive.evaluation.claims import self_test

    begin = time.monotonic()
    seed = arguments.seeds[0] if arguments.seeds else 0
    simulated = self_test.run(arguments.claims, seed)
    trained = self_test.real(max(20, arguments.claims // 40), 4, 40, seed)
    table: Any = Table(box=None)
    for title, justify in (
        ("identical arms", "left"),
        ("claims", "right"),
        ("called supported", "right"),
        ("95 %", "right"),
        ("if episodes were taken as independent", "right"),
    ):
        table.add_column(title, justify=justify)
    for row in (*simulated, trained):
        table.add_row(
            row.shape,
            f"{row.claims:,}",
            f"{row.rate.estimate:.2%}",
            f"[{row.rate.low:.2%}, {row.rate.high:.2%}]",
            f"{row.pooled_rate:.1%}",
        )
    console = Console()
    console.print(table)
    rate, _ = self_test.overall(simulated)
    passed = self_test.passed([*simulated, trained])
    count = sum(row.claims for row in simulated)
    pooled = max(row.pooled_rate for row in simulated)
    console.print(
        f"{'passed' if passed else 'failed'}: {rate.estimate:.2%} of {count:,} simulated claims "
        f"about identical arms are called supported, stated are {self_test.STATED:.1%}; with "
        f"episodes as independent it would be up to {pooled:.0%} "
        f"({time.monotonic() - begin:.0f} s)",
        highlight=False,
    )
    return 0 if passed else 1
