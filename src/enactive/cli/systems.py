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

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_edge=False, pad_edge=False)
    for title, options in (
        ("system", {"no_wrap": True}),
        ("claim", {"ratio": 2}),
        ("mechanisms", {"ratio": 1}),
        ("verdict", {}),
        ("minutes", {"justify": "right"}),
        ("date", {"no_wrap": True}),
    ):
        table.add_column(title, **options)  # type: ignore[arg-type]
    for row in found:
        style = STYLES.get(row.verdict, "dim")
        verdict = f"[{style}]{row.verdict}[/]" + ("\n(declared differently)" * row.changed)
        parts = ", ".join(f"{name} {module}" for name, module in row.parts.items())
        table.add_row(
            row.name,
            row.statement or f"[red]cannot be loaded[/]: {row.problem}",
            parts.replace("enactive.", ""),
            verdict,
            "" if row.minutes is None else f"{row.minutes:.1f}",
            row.date,
        )
    console = Console()
    console.print(table)
    if not found:
        console.print("no system is registered in the entry-point group enactive.systems")
    return 0
