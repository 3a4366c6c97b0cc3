"""What a report says beyond success: stages reached, whether the policy listens, what it costs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enactive.evaluation.results import EpisodeResult, Rate, rate

NOTHING = "nothing"
"""What happened when none of the awaited events did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """An event as a stage of a task."""

    event: str
    reached: int
    """Episodes in which it happened."""
    of: int
    """Episodes."""
    median_step: float
    """At which it first happened, where it did."""


def stages(episodes: Sequence[EpisodeResult]) -> list[Stage]:
    """The events of one task's episodes, in the order in which they usually happen."""
    steps: dict[str, list[int]] = {}
    for episode in episodes:
        for event, step in episode.events.items():
            steps.setdefault(event, []).append(step)
    found = [
        Stage(
            event=event,
            reached=len(first),
            of=len(episodes),
            median_step=statistics.median(first),
        )
        for event, first in steps.items()
    ]
    return sorted(found, key=lambda stage: (stage.median_step, stage.event))


def furthest(episode: EpisodeResult) -> str:
    """The last new event of an episode; :data:`NOTHING` where there was none."""
    if not episode.events:
        return NOTHING
    return max(episode.events, key=lambda event: (episode.events[event], event))


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapCell:
    """Episodes of one scene that were told one instruction."""

    scene: str
    told: str
    happened: Mapping[str, int]
    """Event (or :data:`NOTHING`) to the number of episodes in which it came first."""

    @property
    def episodes(self) -> int:
        """All of them."""
        return sum(self.happened.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Swap:
    """Instructions exchanged between scenes that look alike."""

    cells: tuple[SwapCell, ...]
    outcomes: tuple[str, ...]
    """Events that were awaited, then :data:`NOTHING`."""
    meant: Mapping[str, str]
    """Task to the event that its instruction asks for."""
    listened: Rate | None
    """Crossed episodes that did what they were told rather than what the scene's own task is."""


def swap(episodes: Sequence[EpisodeResult], others: Sequence[EpisodeResult] = ()) -> Swap | None:
    """What happened when instructions were exchanged; None where they were not.

    The event that an instruction asks for is the awaited one that comes first in most successful
    episodes of its own scene.

    Args:
        episodes: of the swap.
        others: more episodes that were told what their scene is about. A swap episode may end at
            its event, before the scene's success test holds, so the swap's own do not suffice.
    """
    if not episodes:
        return None
    awaited = tuple(dict.fromkeys(event for episode in episodes for event in episode.stop_on))
    counts: dict[tuple[str, str], Counter[str]] = {}
    for episode in episodes:
        cell = counts.setdefault((episode.task, episode.instructed), Counter())
        cell[first_of(episode, awaited)] += 1
    own: dict[str, Counter[str]] = {}
    for episode in (*episodes, *others):
        if episode.task == episode.instructed and episode.success:
            own.setdefault(episode.task, Counter())[first_of(episode, awaited)] += 1
    meant = {
        task: event
        for task, found in own.items()
        for event, _ in found.most_common(1)
        if event != NOTHING
    }
    crossed = [
        first_of(episode, awaited) == meant[episode.instructed]
        for episode in episodes
        if episode.task != episode.instructed and episode.instructed in meant
    ]
    return Swap(
        cells=tuple(
            SwapCell(scene=scene, told=told, happened=dict(found))
            for (scene, told), found in counts.items()
        ),
        outcomes=(*awaited, NOTHING),
        meant=meant,
        listened=rate(crossed) if crossed else None,
    )


def first_of(episode: EpisodeResult, awaited: Sequence[str]) -> str:
    """The awaited event that came first; :data:`NOTHING` if none did."""
    happened = [event for event in awaited if event in episode.events]
    return min(happened, key=lambda event: episode.events[event], default=NOTHING)


@dataclass(frozen=True, kw_only=True, slots=True)
class CostSummary:
    """What deciding cost, over all episodes."""

    decisions: int
    steps: int
    milliseconds: float
    """Per decision, mean; 0 where the policy does not measure it."""
    backbone_passes: float
    """Per decision."""
    head_passes: float
    """Per decision."""
    tokens: float
    """Per decision."""


def cost_summary(episodes: Sequence[EpisodeResult]) -> CostSummary:
    """Means per decision."""
    decisions = sum(episode.decisions for episode in episodes)
    over = max(1, decisions)
    return CostSummary(
        decisions=decisions,
        steps=sum(episode.steps for episode in episodes),
        milliseconds=sum(episode.cost.milliseconds for episode in episodes) / over,
        backbone_passes=sum(episode.cost.backbone_passes for episode in episodes) / over,
        head_passes=sum(episode.cost.head_passes for episode in episodes) / over,
        tokens=sum(episode.cost.tokens for episode in episodes) / over,
    )
