"""Two policies on the same episodes: who is better, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enactive.evaluation.plan import Key
from enactive.evaluation.results import EpisodeResult, Evaluation
from enactive.evaluation.statistics import (
    Interval,
    clustered_tango,
    holm,
    mcnemar_exact,
    tango,
)


class Incomparable(ValueError):
    """Two evaluations whose difference would mean nothing; the message lists every reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """Outcomes of the shared episodes."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def episodes(self) -> int:
        """All of them."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def first_rate(self) -> float:
        return (self.both + self.only_first) / self.episodes

    @property
    def second_rate(self) -> float:
        return (self.both + self.only_second) / self.episodes


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskComparison:
    """One task's part of a comparison."""

    pairs: Pairs
    p_value: float
    """Exact McNemar."""
    p_adjusted: float
    """The same after Holm's correction for looking at every task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The second policy minus the first, on the same episodes."""

    first: str
    second: str
    pairs: Pairs
    difference: Interval
    """Second minus first; Tango's score interval: these tasks again."""
    clustered: Interval | None
    """Second minus first, tasks as clusters: tasks like these. None for one task."""
    p_value: float
    """Exact McNemar, two-sided."""
    tasks: Mapping[str, TaskComparison]
    protocol: str
    """Hash of the shared protocol."""

    @property
    def verdict(self) -> str:
        """One sentence in words."""
        low, high = self.difference.low, self.difference.high
        spread = (
            f"{self.difference.estimate:+.1%} [{low:+.1%}, {high:+.1%}], p = {self.p_value:.3g}"
        )
        if low > 0:
            return f"{self.second} is better than {self.first}: {spread}"
        if high < 0:
            return f"{self.second} is worse than {self.first}: {spread}"
        return f"no difference between {self.first} and {self.second} is established: {spread}"


def compare(
    first: Evaluation,
    second: Evaluation,
    *,
    group: str = "main",
    confidence: float = 0.95,
) -> Comparison:
    """Pair the episodes of two evaluations by task, wording, seed and repeat.

    Args:
        group: which episodes, see :attr:`EpisodePlan.group`.

    Raises:
        Incomparable: the protocols differ, with every difference named, or no episode is shared.
    """
    reasons = first.protocol.differences(second.protocol)
    if reasons:
        raise Incomparable(
            "the two evaluations followed different protocols:\n"
            + "\n".join(f"  - {reason}" for reason in reasons)
            + "\nFix: run both policies on one plan, in one world, under the same rules"
        )
    pairs = _paired(first, second, group)
    by_task: dict[str, list[tuple[bool, bool]]] = {}
    for task, before, after in pairs:
        by_task.setdefault(task, []).append((before, after))
    tables = {task: _table(outcomes) for task, outcomes in by_task.items()}
    p_values = [mcnemar_exact(table.only_first, table.only_second) for table in tables.values()]
    tasks = {
        task: TaskComparison(pairs=table, p_value=p, p_adjusted=adjusted)
        for (task, table), p, adjusted in zip(tables.items(), p_values, holm(p_values), strict=True)
    }
    total = _table([(before, after) for _, before, after in pairs])
    clustered = None
    if len(tables) > 1:
        clustered = clustered_tango(
            [after for _, _, after in pairs],
            [before for _, before, _ in pairs],
            [task for task, _, _ in pairs],
            confidence,
        )
    return Comparison(
        first=first.policy,
        second=second.policy,
        pairs=total,
        difference=tango(total.only_second, total.only_first, total.episodes, confidence),
        clustered=clustered,
        p_value=mcnemar_exact(total.only_first, total.only_second),
        tasks=tasks,
        protocol=first.protocol.hash,
    )


def _paired(first: Evaluation, second: Evaluation, group: str) -> list[tuple[str, bool, bool]]:
    mine = _by_key(first.group(group))
    theirs = _by_key(second.group(group))
    unpaired = mine.keys() ^ theirs.keys()
    if unpaired or not mine:
        raise Incomparable(
            f"{len(unpaired)} episodes of group {group!r} have no partner and "
            f"{len(mine.keys() & theirs.keys())} have one; both evaluations must be complete"
        )
    return [(mine[key].task, mine[key].success, theirs[key].success) for key in mine]


def _by_key(
    episodes: tuple[EpisodeResult, ...],
) -> dict[Key, EpisodeResult]:
    return {episode.key: episode for episode in episodes}


def _table(outcomes: list[tuple[bool, bool]]) -> Pairs:
    return Pairs(
        both=outcomes.count((True, True)),
        only_first=outcomes.count((True, False)),
        only_second=outcomes.count((False, True)),
        neither=outcomes.count((False, False)),
    )
