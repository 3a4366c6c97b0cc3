"""``enactive check``: a world against its contract, a dataset against its format."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from enactive.cli.arguments import choose_parts, documentation, parse
from enactive.cli.loading import dataset_path, known_tasks
from enactive.cli.mistakes import UserError, wiring

KINDS = ("world", "dataset")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Check a world against its contract, or a dataset against its format.

    A world: the same seed gives the same bits, snapshots restore, spaces are honoured, events are
    declared, pictures are neither black nor frozen. Any world can be checked, also one that is not
    installed: name its configuration class by module or file.

    A dataset: any LeRobotDataset v3, ours or another's. Everything that is wrong is listed with
    its fix; every video is decoded.

    Exit code 0 means that nothing is wrong, 1 that something is.

    Examples:
      enactive check world metaworld --tasks faucet-open faucet-close
      enactive check world my_world.py:MyWorld.Config --world.image-size 64
      enactive check dataset runs/demos
    """

    kind: Annotated[
        tyro.conf.Positional[Literal["world", "dataset"]], tyro.conf.arg(metavar="KIND")
    ]
    """world or dataset."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Name of the world, or directory of the dataset."""
    tasks: tuple[str, ...] = ()
    """Tasks of the world to check; by default a few."""
    steps: int = 16
    """Steps of each trial."""
    seed: int = 0
    """Of the trials."""
    world: Any = None
    """The world's configuration."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell; the world's options are those of its class."""
    words = list(argv)
    world = None
    if len(words) > 1 and words[0] == "world" and not words[1].startswith("-"):
        choices, _ = choose_parts(["--world", words[1]], {"world": ("worlds", words[1])})
        world = choices["world"].config
    elif words and words[0] not in (*KINDS, "-h", "--help"):
        from enactive.registry import suggest

        raise UserError(f"cannot check a {words[0]!r}; {suggest(words[0], KINDS)}")
    return parse(
        Arguments, words, "check", defaults={"world": world}, description=documentation(Arguments)
    )


def run(arguments: Arguments) -> int:
    """Check; 1 if something is wrong."""
    return check_dataset(arguments) if arguments.kind == "dataset" else check_world(arguments)


def check_world(arguments: Arguments) -> int:
    """Run the world through the conformance checker."""
    from enactive.worlds.checks import check_world as check

    with wiring():
        world = arguments.world.build()
    try:
        tasks = known_tasks(world.spec, arguments.tasks) or None
        report = check(
            world, tasks=tasks, steps=arguments.steps, seed=arguments.seed, config=arguments.world
        )
    finally:
        world.close()
    print(report)
    return 0 if report.ok else 1


def check_dataset(arguments: Arguments) -> int:
    """List everything that is wrong with a dataset."""
    from enactive.episodes.dataset import Dataset

    path = dataset_path(Path(arguments.name))
    with wiring():
        dataset = Dataset.open(path, check=False)
    problems = dataset.validate()
    for problem in problems:
        print(problem)
    print(
        f"{path}: {dataset.num_episodes} episodes, {dataset.num_frames} frames, "
        f"{len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}"
    )
    return 1 if problems else 0
