"""``enactive systems``: what each published system is made of, claims, and what came out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from enactive.cli.arguments import parse

STYLES = {"supported": "green", "not supported": "red", "inconclusive": "yellow"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """The table of all systems: mechanisms, claim, verdict, cost, and when it was run.

    A system is a published method put together from parts of this library; its claim is the
    experiment that tests the method's central statement here. Run one with `enactive claim NAME`.

    Examples:
      enactive systems
      enactive systems --claims runs/claims
      enactive systems --markdown
    """

    claims: Path = Path("claims")
    """Directory with the results that were kept."""
    markdown: bool = False
    """Print Markdown with links to the verdict pages."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse(Arguments, argv, "systems")


def run(arguments: Arguments) -> int:
    """The command after its words were read."""
    from enactive.evaluation.claims.table import as_markdown, rows

    found = rows(arguments.claims)
    if arguments.markdown:
        print(as_markdown(found, link=f"{arguments.claims}/{{system}}/verdict.md"), end="")
        return 0

    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # Two columns, so that claims stay readable on a narrow terminal.
    table = Table(box=box.HORIZONTALS, show_header=True, show_lines=True, pad_edge=False)
    table.add_column("system, verdict, cost", no_wrap=True)
    table.add_column("claim and parts", ratio=1)
    for row in found:
        style = STYLES.get(row.verdict, "dim")
        lines = [f"[bold]{row.name}[/]", f"[{style}]{row.verdict}[/]"]
        if row.changed:
            lines.append("[dim]declared differently then[/]")
        if row.minutes is not None:
            lines.append(f"{row.minutes:.1f} minutes, {row.date}")
        claim = escape(row.statement) or f"[red]cannot be loaded[/]: {escape(row.problem)}"
        parts = [f"{name} {module}" for name, module in row.parts.items()]
        about = [escape(row.title), claim, f"[dim]{', '.join(parts).replace('enactive.', '')}[/]"]
        table.add_row("\n".join(lines), "\n".join(line for line in about if line))
    console = Console()
    console.print(table)
    if not found:
        console.print("no system is registered in the entry-point group enactive.systems")
    return 0
