"""What an evaluation found: one record per episode, and the whole as a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enactive.actions.decision import Cost
from enactive.configuration import from_dict, to_dict
from enactive.evaluation.files import write_atomically
from enactive.evaluation.plan import EvaluationProtocol, Key
from enactive.evaluation.statistics import Interval, clustered_wilson, wilson

FORMAT = 1
"""Version of the file; a reader refuses others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeResult:
    """How one episode went."""

    id: str
    """Identifier of the episode in its journal."""
    index: int
    task: str
    instruction: str
    seed: int
    repeat: int = 0
    group: str = "main"
    instructed: str = ""
    perturbations: tuple[str, ...] = ()
    """What was different about the scene."""
    stop_on: tuple[str, ...] = ()
    """Events that ended the episode, besides success."""
    success: bool
    """By the protocol's rule."""
    steps: int
    """Control steps that were executed."""
    success_step: int | None = None
    """Steps executed when the world's success test first held; None if never."""
    terminated: bool = False
    """The world ended it by its own rules."""
    truncated: bool = False
    """A limit ended it."""
    reward: float = 0.0
    """Sum of rewards."""
    best_reward: float = 0.0
    """Largest reward of a step, e.g. PushT's best coverage of the mark."""
    events: Mapping[str, int] = field(default_factory=dict[str, int])
    """Event name to the step at which it first happened."""
    decisions: int = 0
    """Steps at which the policy planned anew (those that recorded a chain)."""
    cost: Cost = field(default_factory=Cost)
    """Sum over all decisions; its milliseconds are a measurement and differ between runs."""

    @property
    def key(self) -> Key:
        """As :attr:`enactive.evaluation.plan.EpisodePlan.key`."""
        return (self.group, self.task, self.instruction, self.seed, self.repeat,
                *self.perturbations)  # fmt: skip

    @property
    def milliseconds_per_decision(self) -> float:
        """Mean wall time of a planning step, ms."""
        return self.cost.milliseconds / max(1, self.decisions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """One policy, one protocol, and what came out."""

    policy: str
    protocol: EvaluationProtocol
    episodes: tuple[EpisodeResult, ...]
    """In plan order."""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values: policy, checkpoint, versions, machine."""

    def group(self, name: str = "main") -> tuple[EpisodeResult, ...]:
        """The episodes of one group; ``"main"`` is the headline's."""
        return tuple(episode for episode in self.episodes if episode.group == name)

    def save(self, path: Path) -> None:
        """Write everything as JSON, whole or not at all."""
        data = {"format": FORMAT, "protocol_hash": self.protocol.hash, **to_dict(self)}
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(path, text + "\n")

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: another format version, a malformed record, or a protocol whose hash does
                not fit, i.e. a file that was edited.
        """
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = data.pop("format", None)
        if version != FORMAT:
            raise ValueError(f"{path}: format {version!r}, this code reads {FORMAT}")
        expected = data.pop("protocol_hash", None)
        evaluation = from_dict(cls, data)
        if evaluation.protocol.hash != expected:
            raise ValueError(
                f"{path}: the protocol's hash is {evaluation.protocol.hash}, the file says "
                f"{expected}; it was changed after the evaluation"
            )
        return evaluation


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Successes of some episodes, with the interval for the same tasks again."""

    successes: int
    episodes: int
    interval: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The numbers of a report's first page."""

    tasks: Mapping[str, Rate]
    """Task name to its rate; order of the plan."""
    overall: Rate
    """All episodes; Wilson: these tasks again."""
    clustered: Interval | None
    """All episodes, tasks as clusters: tasks like these. None with a single task."""


def summarise(episodes: Sequence[EpisodeResult], confidence: float = 0.95) -> Summary:
    """Rates per task and overall.

    Raises:
        ValueError: there are no episodes.
    """
    if not episodes:
        raise ValueError("there are no episodes to summarise")
    by_task: dict[str, list[bool]] = {}
    for episode in episodes:
        by_task.setdefault(episode.task, []).append(episode.success)
    clustered = None
    if len(by_task) > 1:
        outcomes = [episode.success for episode in episodes]
        clustered = clustered_wilson(outcomes, [e.task for e in episodes], confidence)
    return Summary(
        tasks={name: rate(found, confidence) for name, found in by_task.items()},
        overall=rate((episode.success for episode in episodes), confidence),
        clustered=clustered,
    )


def rate(outcomes: Iterable[bool], confidence: float = 0.95) -> Rate:
    """Successes among ``outcomes`` with Wilson's interval."""
    listed = list(outcomes)
    return Rate(
        successes=sum(listed),
        episodes=len(listed),
        interval=wilson(sum(listed), len(listed), confidence),
    )
