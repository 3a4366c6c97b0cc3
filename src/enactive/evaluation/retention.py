"""What remains of a policy's success when the scene is changed: out-of- over in-distribution.

Every probe episode is paired with the unperturbed episode of the same task, seed and repeat, so the
ratio compares the same starts. A ratio of 0.6 can mean a policy that breaks or a probe that is
merely harder: the expert, who sees the simulator's truth, is run on the same probes and has rows of
its own. Stages of an episode (events of the world) are measured like success: INT-ACT (2025) finds
that a policy keeps reaching for the right object long after it has stopped getting it done.
"""

from __future__ import annotations

import re
import statistics as averages
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from enactive.evaluation.plan import EpisodePlan
from enactive.evaluation.results import EpisodeResult, Evaluation, Rate, rate
from enactive.evaluation.statistics import Interval, clustered_ratio, paired_ratio
from enactive.observations import Task
from enactive.registry import Registry

PREFIX = "probe/"
"""Groups of probe episodes begin with it."""
SUCCESS = "success"
"""The measure that is not an event."""
POOLED = "all probes"

ProbeWording = Callable[[Task, int], str | None]
"""``(task with the unperturbed instruction and the perturbations, seed) -> instruction`` under the
perturbations; None where one of them changes nothing about the task."""

Start = tuple[str, int, int]
"""Task, seed, repeat: what a probe shares with its baseline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """One measure under one probe, one axis of probes, or all of them."""

    policy: str
    measure: str
    """:data:`SUCCESS` or the name of an event."""
    axis: str
    """What the probe changes; :data:`POOLED` over all."""
    probe: str
    """Name of the probe; empty for the whole axis."""
    before: Rate
    """Unperturbed, the starts of these probes counted once each."""
    after: Rate
    """Perturbed."""
    ratio: Interval
    """After over before: these tasks again. Infinite high ends and estimates that are not numbers
    mean that there was nothing to retain."""
    clustered: Interval | None
    """After over before, tasks as clusters: tasks like these. None for one task."""


def probe_plan(
    plan: Sequence[EpisodePlan],
    perturbations: Iterable[str | tuple[str, ...]],
    *,
    told: ProbeWording | None = None,
    first_index: int = 0,
) -> list[EpisodePlan]:
    """The episodes of ``plan``'s main group again, once under each perturbation.

    Args:
        perturbations: names of the world's perturbations; a tuple applies several at once.
        told: what the policy is told under them, and which tasks they change, see
            :func:`probe_wording_of`; by default all tasks, and the unperturbed words.
        first_index: index of the first episode, for appending to another plan.

    Raises:
        ValueError: the plan has no unperturbed main episodes, a perturbation is named twice, or one
            changes nothing about any task.
    """
    main = [one for one in plan if one.group == "main" and not one.task.perturbations]
    if not main:
        raise ValueError("the plan has no unperturbed episodes in group 'main' to make probes of")
    wanted = [(one,) if isinstance(one, str) else tuple(one) for one in perturbations]
    names = ["+".join(one) for one in wanted]
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"every probe needs a name of its own, got {names}")
    probes: list[EpisodePlan] = []
    for applied, name in zip(wanted, names, strict=True):
        before = len(probes)
        for one in main:
            task = replace(one.task, perturbations=applied)
            words = task.instruction if told is None else told(task, one.seed)
            if words is not None:
                task = replace(task, instruction=words)
                probes.append(replace(one, task=task, group=PREFIX + name))
        if len(probes) == before:
            raise ValueError(f"the perturbation {name!r} changes nothing about any of the tasks")
    return [replace(one, index=first_index + number) for number, one in enumerate(probes)]


def probe_wording_of(world: str) -> ProbeWording | None:
    """What is registered as ``world`` in the entry-point group ``enactive.probes``, if anything.

    A world whose perturbations change words, or apply to some of its tasks only, has one.
    """
    probes = Registry("probes")
    return probes.load(world) if world in probes.names() else None


def has_probes(evaluation: Evaluation) -> bool:
    """Whether there is anything to tabulate."""
    return any(episode.group.startswith(PREFIX) for episode in evaluation.episodes)


def measures_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Success and every event that happened, events in the order in which they usually happen."""
    steps: dict[str, list[int]] = {}
    for episode in evaluation.episodes:
        if episode.group == "main" or episode.group.startswith(PREFIX):
            for event, step in episode.events.items():
                steps.setdefault(event, []).append(step)
    steps.pop(SUCCESS, None)  # a world's event of that name says the same
    return (*sorted(steps, key=lambda event: (averages.median(steps[event]), event)), SUCCESS)


def axis_of(probe: str, axes: Mapping[str, str]) -> str:
    """The axis of a probe: as the world declares it, or its name without a number at the end."""
    found = [axes.get(name) or re.sub(r"[-_]\d+$", "", name) for name in probe.split("+")]
    return "+".join(dict.fromkeys(found))


def retention(
    evaluation: Evaluation,
    *,
    axes: Mapping[str, str] | None = None,
    measures: Sequence[str] = (SUCCESS,),
    confidence: float = 0.95,
) -> list[Retention]:
    """The rows of one policy: per measure every probe, every axis of several, and all together.

    Args:
        axes: perturbation to its axis, see :class:`enactive.worlds.world.PerturbationSpec`.
        measures: see :func:`measures_of`.

    Raises:
        ValueError: there are no probes, or one has no unperturbed partner.
    """
    pairs = _pairs(evaluation)
    by_axis: dict[str, list[str]] = {}
    for probe in pairs:
        by_axis.setdefault(axis_of(probe, axes or {}), []).append(probe)
    rows: list[Retention] = []
    for measure in measures:
        for axis, probes in by_axis.items():
            wanted = [(probe, [probe]) for probe in probes]
            if len(probes) > 1:
                wanted.append(("", probes))
            for name, members in wanted:
                chosen = [pair for member in members for pair in pairs[member]]
                rows.append(_row(evaluation.policy, measure, axis, name, chosen, confidence))
        if len(by_axis) > 1:
            everything = [pair for found in pairs.values() for pair in found]
            rows.append(_row(evaluation.policy, measure, POOLED, "", everything, confidence))
    return rows


def stage_rates(evaluation: Evaluation, confidence: float = 0.95) -> dict[str, dict[str, Rate]]:
    """Condition (``"main"`` and each probe) to measure to its rate, with Wilson's interval."""
    measures = measures_of(evaluation)
    groups = dict.fromkeys(
        episode.group
        for episode in evaluation.episodes
        if episode.group == "main" or episode.group.startswith(PREFIX)
    )
    return {
        group.removeprefix(PREFIX): {
            measure: rate((happened(e, measure) for e in evaluation.group(group)), confidence)
            for measure in measures
        }
        for group in groups
    }


def happened(episode: EpisodeResult, measure: str) -> bool:
    """Whether the episode succeeded, or the event took place in it."""
    return episode.success if measure == SUCCESS else measure in episode.events


def as_text(rows: Sequence[Retention]) -> str:
    """The rows as a table for a terminal."""
    head = ("policy", "measure", "axis", "probe", "before", "after", "retention", "95 %", "tasks")
    cells = [
        (
            row.policy,
            row.measure,
            row.axis,
            row.probe or "(all)",
            f"{row.before.successes}/{row.before.episodes}",
            f"{row.after.successes}/{row.after.episodes}",
            number(row.ratio.estimate),
            span(row.ratio),
            "" if row.clustered is None else span(row.clustered),
        )
        for row in rows
    ]
    widths = [max(len(line[place]) for line in (head, *cells)) for place in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *cells)
    )


def number(value: float) -> str:
    """A ratio in words: ``0.62``, ``inf``, or ``n/a`` where nothing succeeded before."""
    return "n/a" if value != value else f"{value:.2f}"


def span(interval: Interval) -> str:
    """``0.41 to 0.83``."""
    return f"{number(interval.low)} to {number(interval.high)}"


_Pair = tuple[EpisodeResult, EpisodeResult]


def _pairs(evaluation: Evaluation) -> dict[str, list[_Pair]]:
    """Probe to its episodes, each with its unperturbed partner first."""
    main = {_start(episode): episode for episode in evaluation.group()}
    found: dict[str, list[_Pair]] = {}
    lonely: list[str] = []
    for episode in evaluation.episodes:
        if not episode.group.startswith(PREFIX):
            continue
        partner = main.get(_start(episode))
        if partner is None:
            lonely.append(episode.id)
        else:
            found.setdefault(episode.group.removeprefix(PREFIX), []).append((partner, episode))
    if lonely:
        raise ValueError(
            f"{len(lonely)} probe episodes have no unperturbed partner in group 'main' with their "
            f"task, seed and repeat: {lonely[:3]}. Fix: make the probes with probe_plan"
        )
    if not found:
        raise ValueError(
            f"the evaluation has no probes: no group begins with {PREFIX!r}. Fix: append "
            "probe_plan(plan, perturbations) to the plan"
        )
    return found


def _start(episode: EpisodeResult) -> Start:
    return (episode.task, episode.seed, episode.repeat)


def _row(
    policy: str, measure: str, axis: str, probe: str, pairs: Sequence[_Pair], confidence: float
) -> Retention:
    before = [happened(one, measure) for one, _ in pairs]
    after = [happened(other, measure) for _, other in pairs]
    starts = [_start(one) for one, _ in pairs]
    tasks: list[Hashable] = [one.task for one, _ in pairs]
    if len(set(starts)) == len(starts):
        ratio = paired_ratio(
            sum(a and b for a, b in zip(after, before, strict=True)),
            sum(a and not b for a, b in zip(after, before, strict=True)),
            sum(b and not a for a, b in zip(after, before, strict=True)),
            len(pairs),
            confidence,
        )
    else:  # several probes of one start share its baseline: starts are the sample, not pairs
        ratio = clustered_ratio(after, before, starts, confidence)
    single = dict(zip(starts, before, strict=True))
    return Retention(
        policy=policy,
        measure=measure,
        axis=axis,
        probe=probe,
        before=rate(single.values(), confidence),
        after=rate(after, confidence),
        ratio=ratio,
        clustered=clustered_ratio(after, before, tasks, confidence)
        if len(set(tasks)) > 1
        else None,
    )
