"""``enactive demo``: the whole loop in one command."""

from __future__ import annotations

from collections.abc import Sequence

from enactive.cli.arguments import parse
from enactive.cli.mistakes import wiring


def main(argv: Sequence[str]) -> int:
    """Read the words, then run the recipe."""
    from enactive.systems.demo import DemoConfig, run

    arguments = parse(DemoConfig, argv, "demo")
    with wiring():
        arguments.out.mkdir(parents=True, exist_ok=True)
    run(arguments)
    return 0
