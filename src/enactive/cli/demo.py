"""``enactive demo``: the whole loop in one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from enactive.cli.arguments import parse
from enactive.cli.mistakes import wiring

if TYPE_CHECKING:
    from enactive.systems.demo import DemoConfig


def read(argv: Sequence[str]) -> DemoConfig:
    """The recipe that the words describe."""
    from enactive.systems.demo import DemoConfig

    return parse(DemoConfig, argv, "demo")


def run(arguments: DemoConfig) -> int:
    """Run the recipe, as far as it is not done yet."""
    from enactive.systems.demo import run as run_demo

    with wiring():
        arguments.out.mkdir(parents=True, exist_ok=True)
    run_demo(arguments)
    return 0
