"""``enactive collect``: demonstrations of a world's expert as a dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enactive.cli.arguments import parse_with_parts
from enactive.cli.loading import DATASET, JOURNAL, cores, known_tasks
from enactive.cli.mistakes import UserError, wiring
from enactive.evaluation.collect import DEMONSTRATION
from enactive.evaluation.plan import Rules
from enactive.policies.expert import ExpertPolicy

PARTS = {"world": ("worlds", "metaworld")}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Record demonstrations of a world's expert into a LeRobot v3 dataset.

    The expert plays every task until it has succeeded often enough. Each step goes to a journal
    first, so a run that was killed goes on where it stopped, and the dataset is the same.

    Examples:
      enactive collect --tasks drawer-open button-press --out runs/demos
      enactive collect --tasks all --episodes 10 --out runs/all --workers 8
      enactive collect --tasks drawer-open --expert.noise 0.3 --out runs/noisy
      enactive collect --world metaworld --world.image-size 128 --tasks reach --out runs/large
      enactive collect --world pusht --tasks push-t --episodes 100 --out runs/pusht
    """

    tasks: tuple[str, ...]
    """Names of the tasks, or "all"."""
    out: Path
    """Directory; it gets journal.sqlite and dataset/."""
    episodes: int = 20
    """Successful episodes to keep of each task."""
    first_seed: int = 0
    """Seed of each task's first attempt; the others follow it."""
    workers: int = dataclasses.field(default_factory=cores)
    """Worlds at a time, one process each; what is recorded does not depend on it."""
    expert: ExpertPolicy.Config = ExpertPolicy.Config()
    """The expert and how it is disturbed while it demonstrates."""
    rules: Rules = DEMONSTRATION
    """When an episode ends."""
    world: Any = None
    """The world."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse_with_parts(Arguments, argv, "collect", PARTS)


def run(arguments: Arguments) -> int:
    """The command after its words were read."""
    from enactive.episodes.compaction import compact
    from enactive.episodes.journal import Journal
    from enactive.episodes.provenance import provenance
    from enactive.evaluation.collect import CollectionFailed, collect
    from enactive.evaluation.progress import progress_bar
    from enactive.worlds.pool import WorldPool

    if arguments.episodes < 1:
        raise UserError(f"--episodes must be at least 1, got {arguments.episodes}")
    with wiring():
        pool = WorldPool(arguments.world, arguments.workers)
    with pool:
        tasks = known_tasks(pool.spec, arguments.tasks)
        with wiring():
            policy = arguments.expert.build(pool.spec)
            arguments.out.mkdir(parents=True, exist_ok=True)
            journal = Journal.open(arguments.out / JOURNAL)
        with journal:
            wanted = arguments.episodes * len(tasks)
            with progress_bar("demonstrations", wanted) as listener:
                try:
                    collected = collect(
                        pool, policy, tasks, arguments.episodes, journal,
                        first_seed=arguments.first_seed, rules=arguments.rules, listener=listener,
                        provenance=provenance(
                            seeds={"first": arguments.first_seed}, worlds=[pool.spec]
                        ).to_dict(),
                    )  # fmt: skip
                except CollectionFailed as error:
                    raise UserError(str(error)) from error
            ids = {result.id for result in collected.kept}
            dataset = compact(journal, arguments.out / DATASET, ids=ids)
    print(
        f"{arguments.out / DATASET}: {dataset.num_episodes} episodes, {dataset.num_frames} frames, "
        f"{len(tasks)} tasks ({len(collected.dropped)} failed attempts left out)"
    )
    return 0
