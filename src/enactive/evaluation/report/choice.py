"""Which episodes a report shows: fixed rules, so that nobody picks the pretty ones."""

from __future__ import annotations

from collections.abc import Sequence

from enactive.evaluation.results import EpisodeResult

FAILURES = 12
"""Most failures shown as clips; all are listed in the table."""


def one_per_task(episodes: Sequence[EpisodeResult]) -> list[EpisodeResult]:
    """For every task its first episode, whatever came out."""
    found: dict[str, EpisodeResult] = {}
    for episode in episodes:
        found.setdefault(episode.task, episode)
    return list(found.values())


def failures(episodes: Sequence[EpisodeResult], limit: int = FAILURES) -> list[EpisodeResult]:
    """Failed episodes, the tasks taken in turn until there are ``limit``."""
    by_task: dict[str, list[EpisodeResult]] = {}
    for episode in episodes:
        if not episode.success:
            by_task.setdefault(episode.task, []).append(episode)
    chosen: list[EpisodeResult] = []
    while len(chosen) < limit and any(by_task.values()):
        for found in by_task.values():
            if found and len(chosen) < limit:
                chosen.append(found.pop(0))
    return sorted(chosen, key=lambda episode: episode.index)


def one_per_cell(episodes: Sequence[EpisodeResult]) -> list[EpisodeResult]:
    """For every scene and instruction of a swap its first episode."""
    found: dict[tuple[str, str], EpisodeResult] = {}
    for episode in episodes:
        found.setdefault((episode.task, episode.instructed), episode)
    return list(found.values())
