"""``enactive libero``: does a policy listen? LIBERO-Object with controls, in one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from enactive.cli.arguments import parse
from enactive.cli.mistakes import wiring

if TYPE_CHECKING:
    from enactive.systems.libero_object import LiberoObjectConfig


def read(argv: Sequence[str]) -> LiberoObjectConfig:
    """The recipe that the words describe."""
    from enactive.systems.libero_object import LiberoObjectConfig

    return parse(LiberoObjectConfig, argv, "libero")


def run(arguments: LiberoObjectConfig) -> int:
    """Run the recipe, as far as it is not done yet, and print its table."""
    from enactive.systems.libero_object import run as run_recipe

    with wiring():
        directory = run_recipe(arguments)
    print((directory / "results.md").read_text(encoding="utf-8"), end="")
    print(f"{directory / 'results.json'}; next: enactive report {directory / 'evaluation'}")
    return 0
