"""Comparisons of two policies under protocols that give something up, from real episodes.

Each seed runs a bank of episodes once (every start, at every level of wear, with several random
streams), and comparisons are put together from it: by the real schedule, with a simulated rater and
operator. :mod:`enactive.systems.grouped_blind_ensemble` makes a claim of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.evaluation.blind_schedule import aliases, turns
from enactive.evaluation.statistics import mcnemar_exact

TASK = "touch-red-cube"
STEPS = 18
"""Steps of an episode: as many as the undisturbed expert needs, and a few more."""
SAME, BETTER = 0.18, 0.1
"""Noise of the policy that is compared with itself, and of one that is better than it."""
WEAR = 0.18
"""Disturbance at the end of a session, in the same unit: half-ranges of each command."""
UPLIFT = 0.3
"""Share of the failures of what he takes for the candidate that the rater calls successes."""
AGAIN = 0.5
"""Share of the candidate's failures that the operator runs again, once."""
LOOKS_FROM = 6
"""Rounds before the operator looks for the first time."""
LEVEL = 0.05
FIRST_SEED = 20_000_000
PROTECTED = "grouped blind"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much of everything."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    starts: int = 32
    """In a bank."""
    levels: int = 8
    """Of wear."""
    rounds: int = 24
    """Of a comparison: starts that both policies play."""
    comparisons: int = 500
    """Of each kind that a unit puts together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """Who knows and does what."""

    shuffled: bool = True
    """Rounds in the blind schedule's order; otherwise the baseline plays everything first."""
    believes: str = "anew"
    """Which trials the rater takes for the candidate's: half of them, ``"anew"`` for each trial;
    those of the alias that he picked at the begin (``"alias"``); the right ones (``"known"``);
    those in which the gripper trembles (``"tremble"``)."""
    again: bool = False
    """The operator runs failures of the candidate again."""
    stops: bool = False
    """The operator looks after every round and stops at the first difference below the level."""


PROTOCOLS: Mapping[str, Protocol] = {
    PROTECTED: Protocol(),
    "policy by policy": Protocol(shuffled=False),
    "rater knows": Protocol(believes="known"),
    "failures run again": Protocol(again=True),
    "stops when it shows": Protocol(stops=True),
    "holds on to a guess": Protocol(believes="alias"),
    "gives itself away": Protocol(believes="tremble"),
}


STREAMS = {"same": (0, 1, 2), "better": (3,), "trembling": (4,)}
"""Random streams of each policy at every start and level."""


def bank_path(shared: Path, seed: int, scale: Scale) -> Path:
    """Where the bank of a seed lies."""
    size = f"{scale.starts}x{scale.levels}"
    return shared / f"blind-{TASK}-{SAME}-{BETTER}-{WEAR}-{STEPS}-{size}-{seed}.npz"


def fill_bank(path: Path, seed: int, scale: Scale) -> None:
    """Run the episodes of one seed, unless they are there.

    The file holds, by policy, successes ``bool (starts, levels, streams)``, and under
    ``<policy>_motion`` the mean absolute second difference of the gripper's commands. The policy
    ``trembling`` is ``same`` with noise on the gripper as well, which touching does not need.
    """
    from enactive.worlds.pool import WorldPool
    from enactive.worlds.tabletop.world import Tabletop

    if path.is_file():
        return
    found: dict[str, NDArray[Any]] = {}
    with (
        WorldPool(Tabletop.Config(cameras=(), states=("proprio",)), 0) as pool,
        tempfile.TemporaryDirectory() as directory,
    ):
        for name, streams in STREAMS.items():
            levels = [
                _episodes(pool, name, level, seed, scale, Path(directory) / f"{name}-{level}")
                for level in range(scale.levels)
            ]
            shape = (scale.starts, scale.levels, len(streams))
            for key, place in ((name, 0), (f"{name}_motion", 1)):
                rows = [np.reshape(level[place], (shape[0], shape[2])) for level in levels]
                found[key] = np.stack(rows, axis=1)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **found)  # type: ignore[arg-type]
    temporary.replace(path)


def _episodes(
    pool: Any, name: str, level: int, seed: int, scale: Scale, path: Path
) -> tuple[list[bool], list[float]]:
    """Success and motion of every start and stream of one policy at one level of wear."""
    from enactive.episodes.journal import Journal
    from enactive.evaluation.plan import EpisodePlan, Rules
    from enactive.evaluation.rollouts import rollout
    from enactive.observations import Task
    from enactive.policies.expert import ExpertPolicy

    groups = pool.spec.accepts.groups
    wear = WEAR * level / max(1, scale.levels - 1)
    policy = ExpertPolicy.Config(
        noise=float(np.hypot(BETTER if name == "better" else SAME, wear)),
        noise_groups=tuple(group.name for group in groups) if name == "trembling" else None,
    ).build(pool.spec)
    task = Task(name=TASK, instruction=pool.spec.task(TASK).instructions[0])
    runs = [(start, stream) for start in range(scale.starts) for stream in STREAMS[name]]
    plan = [
        EpisodePlan(
            task=task, seed=FIRST_SEED + 1000 * seed + start, index=index,
            repeat=10 * level + stream,
        )
        for index, (start, stream) in enumerate(runs)
    ]  # fmt: skip
    gripper = next(group.name for group in groups if group.quantity == "gripper")
    entry = pool.spec.accepts.slices[gripper]
    rules = Rules(max_steps=STEPS, success_hold=0)
    with Journal.open(path) as journal:
        results = rollout(pool, policy, plan, rules=rules, journal=journal)
        actions = [journal.read(one.id).actions[:, entry] for one in results]
    motion = [float(np.abs(np.diff(rows, n=2, axis=0)).mean()) for rows in actions]
    return [one.success for one in results], motion


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What comparisons of one kind came to."""

    differences: NDArray[np.float64]
    """Candidate minus baseline, as rated, of each comparison."""
    true_differences: NDArray[np.float64]
    """As the world's own test says."""
    p_values: NDArray[np.float64]

    @property
    def found(self) -> float:
        """Share of comparisons that find a difference."""
        return float((self.p_values <= LEVEL).mean())

    @property
    def found_better(self) -> float:
        """Share that find the candidate better."""
        return float(((self.p_values <= LEVEL) & (self.differences > 0)).mean())

    @property
    def bias(self) -> float:
        """Mean of what rating added to the difference."""
        return float((self.differences - self.true_differences).mean())


def compare_often(
    bank: Mapping[str, NDArray[Any]],
    protocol: Protocol,
    candidate: str,
    scale: Scale,
    generator: np.random.Generator,
    *,
    worn: bool = True,
) -> Found:
    """Put comparisons of ``candidate`` with the policy ``same`` together.

    Args:
        bank: of one seed.
        worn: whether wear grows while a comparison lasts.
    """
    rows = [
        _comparison(bank, protocol, candidate, scale, generator, worn)
        for _ in range(scale.comparisons)
    ]
    differences, truths, p_values = (np.array(column) for column in zip(*rows, strict=True))
    return Found(differences=differences, true_differences=truths, p_values=p_values)


def _comparison(
    bank: Mapping[str, NDArray[Any]],
    protocol: Protocol,
    candidate: str,
    scale: Scale,
    generator: np.random.Generator,
    worn: bool,
) -> tuple[float, float, float]:
    """Rated difference, true difference, p-value of one comparison."""
    order = _order(protocol, scale, generator)
    starts = generator.permutation(scale.starts)[: scale.rounds]
    # Which stream the baseline plays, and which the candidate where it is the same policy.
    streams = np.stack([generator.permutation(3) for _ in range(scale.rounds)])
    guess = bool(generator.random() < 0.5)
    rated = np.zeros((scale.rounds, 2), dtype=bool)
    true = np.zeros((scale.rounds, 2), dtype=bool)
    for place, (turn, second) in enumerate(order):
        level = place * scale.levels // len(order) if worn else 0
        name = candidate if second else "same"
        own = STREAMS[name]
        stream = int(streams[turn, int(second)]) if name == "same" else 0
        where = (int(starts[turn]), level, stream)
        success = bool(bank[name][where])
        if protocol.again and second and not success and generator.random() < AGAIN:
            another = (*where[:2], int(streams[turn, 2])) if len(own) > 1 else where
            success = bool(bank[name][another])
        true[turn, int(second)] = bank[name][where]
        if protocol.believes == "known":
            mine = second
        elif protocol.believes == "alias":
            mine = second == guess
        elif protocol.believes == "tremble":
            mine = bool(bank[f"{name}_motion"][where] > 0.1)
        else:
            mine = bool(generator.random() < 0.5)
        if not success and mine:
            success = bool(generator.random() < UPLIFT)
        rated[turn, int(second)] = success
    for rounds in range(LOOKS_FROM if protocol.stops else scale.rounds, scale.rounds + 1):
        less, more = (
            int((rated[:rounds, a] & ~rated[:rounds, b]).sum()) for a, b in ((0, 1), (1, 0))
        )
        p = mcnemar_exact(less, more)
        if p <= LEVEL or rounds == scale.rounds:
            break
    difference = (more - less) / rounds
    truth = float(true[:rounds, 1].mean() - true[:rounds, 0].mean())
    return difference, truth, p


def _order(
    protocol: Protocol, scale: Scale, generator: np.random.Generator
) -> list[tuple[int, bool]]:
    """Round, and whether it is the candidate's turn, of every trial."""
    if not protocol.shuffled:
        return [(turn, second) for second in (False, True) for turn in range(scale.rounds)]
    salt = generator.bytes(32).hex()
    members = aliases(2)
    mine = members[int(generator.integers(2))]
    return [(one.round, one.alias == mine) for one in turns(scale.rounds, members, salt)]
