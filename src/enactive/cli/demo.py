"""``enactive demo``: the whole loop in one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from enactive.cli.arguments import parse
from enactive.cli.mistakes import wiring

if TYPE_CHECKING:
    from enactive.systems.demo import DemoConfig

DESCRIPTION = """Collect, train, evaluate and report on Meta-World, in a few minutes on two cores.

Experts demonstrate five tasks, one policy is trained from pixels and language, and it is evaluated
on seeds and wordings it has never seen. Two tasks share their scene: swapping their instructions
shows whether the robot listens. Every evaluated episode is replayed bit for bit.

Examples:
  enactive demo
  enactive demo --out runs/demo

Run the same command again to go on after an interruption; what is done is not done twice."""


def read(argv: Sequence[str]) -> DemoConfig:
    """The recipe that the words describe."""
    from enactive.systems.demo import DemoConfig

    return parse(DemoConfig, argv, "demo", description=DESCRIPTION)


def run(arguments: DemoConfig) -> int:
    """Run the recipe, as far as it is not done yet."""
    from enactive.systems.demo import run as run_demo

    with wiring():
        arguments.out.mkdir(parents=True, exist_ok=True)
    run_demo(arguments)
    return 0
