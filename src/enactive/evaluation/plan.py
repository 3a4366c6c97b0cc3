"""What is evaluated: the list of episodes, made before any of them runs, and its hash.

A plan names every episode's task, wording and seed, so that two policies can be compared on the
same episodes, and so that nothing about the run (workers, order, interruptions) can change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from enactive.configuration import config_hash
from enactive.observations import Task, TaskSpec
from enactive.registry import suggest
from enactive.seeding import child_seed
from enactive.worlds.world import WorldSpec

Wording = Literal["held_out", "training", "canonical"]
Key = tuple[str | int, ...]
"""Group, task, instruction, seed, repeat, and perturbations."""

FIRST_EVALUATION_SEED = 1_000_000
"""Evaluation seeds start here by default, collection seeds at 0, so that they do not meet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodePlan:
    """One episode that is to be run."""

    task: Task
    """The task that decides initial states and success, with the wording the policy is told."""
    seed: int
    """With the task's name it decides every bit of the initial state."""
    index: int
    """Place in the plan: results are in this order, however the episodes were run."""
    repeat: int = 0
    """Number among episodes with the same task and seed: another random stream of the policy."""
    group: str = "main"
    """``"main"`` counts for the headline; probes (``"swap"``) are reported by themselves."""
    instructed: str = ""
    """Name of the task whose wording is given; differs from ``task.name`` in a swap probe."""
    stop_on: tuple[str, ...] = ()
    """Events that end the episode, besides success."""

    @property
    def policy_seed(self) -> int:
        """The seed that the policy gets: its streams are apart from the world's."""
        return child_seed(self.seed, "policy", self.task.name, self.repeat)

    @property
    def key(self) -> Key:
        """What pairs this episode with one of another run: same start, same words."""
        task = self.task
        return (self.group, task.name, task.instruction, self.seed, self.repeat,
                *task.perturbations)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """When an episode ends and what counts as success."""

    success: Literal["ever", "end"] = "ever"
    """``"ever"``: the world's test held at some step. ``"end"``: it holds when the episode ends,
    which is harder where a policy can undo its success."""
    stop_on_success: bool = True
    """End the episode ``success_hold`` steps after the first success."""
    success_hold: int = 5
    """Steps played on after the first success, so that pictures show it and ``"end"`` means it."""
    max_steps: int | None = None
    """Steps after which an episode ends without success; by default each task's own limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationProtocol:
    """Everything that two evaluations must share before their numbers may be compared."""

    world: str
    """Name and version of the world."""
    world_config: Mapping[str, Any]
    """Its configuration: cameras, render quality, control."""
    rules: Rules
    plan: str
    """Hash of all episodes: tasks, wordings, seeds, repeats."""
    tasks: tuple[str, ...]
    episodes: int

    @property
    def hash(self) -> str:
        """16 hexadecimal digits, equal exactly for equal protocols."""
        return config_hash(self)

    def differences(self, other: EvaluationProtocol) -> list[str]:
        """Why results under the two must not be compared; empty if they may."""
        mine, theirs = _flatten(_plain(self)), _flatten(_plain(other))
        return [
            f"{name}: {mine.get(name, '(absent)')!r} against {theirs.get(name, '(absent)')!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name, _ABSENT) != theirs.get(name, _ABSENT)
        ]


def protocol_of(
    plan: Sequence[EpisodePlan], world: WorldSpec, world_config: Mapping[str, Any], rules: Rules
) -> EvaluationProtocol:
    """The protocol of running ``plan`` in the world with ``world_config`` under ``rules``."""
    return EvaluationProtocol(
        world=f"{world.name} {world.version}",
        world_config=world_config,
        rules=rules,
        plan=plan_hash(plan),
        tasks=tuple(dict.fromkeys(episode.task.name for episode in plan)),
        episodes=len(plan),
    )


def plan_hash(plan: Sequence[EpisodePlan]) -> str:
    """16 hexadecimal digits over every episode's task, wording, seed, repeat and stopping."""
    return config_hash({"plan": [[*episode.key, list(episode.stop_on)] for episode in plan]})


def evaluation_plan(
    world: WorldSpec,
    tasks: Iterable[str],
    episodes: int,
    *,
    first_seed: int = FIRST_EVALUATION_SEED,
    wording: Wording = "held_out",
) -> list[EpisodePlan]:
    """``episodes`` of each task, on consecutive seeds, the wordings taken in turn.

    Args:
        tasks: names of tasks of ``world``.
        episodes: per task.
        first_seed: every task gets the seeds ``first_seed, first_seed + 1, ...``.
        wording: which wordings the policy is told: those that no training data may use, those of
            the training data, or the task's first.

    Raises:
        KeyError: the world has no such task; the message suggests one.
        ValueError: a task has no wordings of that kind, or ``episodes`` is not positive.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1 per task, got {episodes}")
    plan: list[EpisodePlan] = []
    for name in dict.fromkeys(tasks):
        wordings = wordings_of(world.task(name), wording)
        for number in range(episodes):
            task = Task(name=name, instruction=wordings[number % len(wordings)])
            plan.append(
                EpisodePlan(task=task, seed=first_seed + number, index=len(plan), instructed=name)
            )
    return plan


def swap_plan(
    world: WorldSpec,
    pairs: Iterable[tuple[str, str]],
    episodes: int,
    *,
    first_seed: int = FIRST_EVALUATION_SEED,
    wording: Wording = "held_out",
    stop_on: tuple[str, ...] = (),
    first_index: int = 0,
) -> list[EpisodePlan]:
    """Episodes that start as one task and are told another: does the policy listen?

    For every pair (a, b) and seed there are four: scene a and b, each told a and b. What happened
    is read off the events, not off the scene's own success test.

    Args:
        pairs: tasks whose scenes look alike and whose instructions differ.
        episodes: seeds per scene and instruction.
        stop_on: events that end an episode, e.g. ``("faucet_opened", "faucet_closed")``.
        first_index: index of the first episode, for appending to another plan.
    """
    plan: list[EpisodePlan] = []
    for first, second in pairs:
        for scene in (first, second):
            for told in (first, second):
                wordings = wordings_of(world.task(told), wording)
                for number in range(episodes):
                    instruction = wordings[number % len(wordings)]
                    plan.append(
                        EpisodePlan(
                            task=Task(name=scene, instruction=instruction),
                            seed=first_seed + number,
                            index=first_index + len(plan),
                            group="swap",
                            instructed=told,
                            stop_on=stop_on,
                        )
                    )
    return plan


def join(*plans: Sequence[EpisodePlan]) -> list[EpisodePlan]:
    """The plans one after another, numbered anew."""
    return [
        replace(episode, index=index)
        for index, episode in enumerate(episode for plan in plans for episode in plan)
    ]


def wordings_of(task: TaskSpec, wording: Wording) -> tuple[str, ...]:
    """The wordings of one kind; raises ``ValueError`` where the task has none.

    A task that declares no wordings at all has one, the empty one, of every kind: its world writes
    a sentence for every seed.
    """
    if not task.instructions:
        return ("",)
    if wording == "canonical":
        return task.instructions[:1]
    found = task.instructions if wording == "training" else task.held_out_instructions
    if not found:
        raise ValueError(f"task {task.name!r} declares no {wording} wordings; {_wordings(task)}")
    return found


def _wordings(task: TaskSpec) -> str:
    kinds = [
        kind
        for kind, found in (
            ("training", task.instructions),
            ("held_out", task.held_out_instructions),
            ("canonical", task.instructions),
        )
        if found
    ]
    return suggest("", kinds)


class Overlap(ValueError):
    """Evaluation episodes that training has seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRecord:
    """What the training data holds: initial states and wordings."""

    seeds: Mapping[str, frozenset[int]]
    """Task name to the seeds of its recorded episodes."""
    instructions: frozenset[str]
    """Every wording that occurs."""


def check_unseen(
    plan: Sequence[EpisodePlan], training: TrainingRecord, *, held_out: bool = True
) -> None:
    """Refuse a plan that reuses an initial state or, with ``held_out``, a wording of training.

    Raises:
        Overlap: naming the tasks, seeds and wordings that were seen.
    """
    problems: list[str] = []
    by_task: dict[str, set[int]] = {}
    for episode in plan:
        by_task.setdefault(episode.task.name, set()).add(episode.seed)
    for name, seeds in by_task.items():
        shared = sorted(seeds & training.seeds.get(name, frozenset()))
        if shared:
            listed = ", ".join(map(str, shared[:5])) + (", ..." if len(shared) > 5 else "")
            problems.append(f"{name}: {len(shared)} seeds were trained on ({listed})")
    if held_out:
        told = {episode.task.instruction for episode in plan} - {""}
        seen = sorted(told & training.instructions)
        if seen:
            problems.append(f"wordings that were trained on: {seen}")
    if problems:
        raise Overlap(
            "the evaluation is not unseen:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + "\nFix: choose another first seed, or say that wordings need not be held out"
        )


_ABSENT = object()


def _plain(protocol: EvaluationProtocol) -> dict[str, Any]:
    from enactive.configuration import to_dict

    return to_dict(protocol)


def _flatten(value: Any, where: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        flat: dict[str, Any] = {}
        for key, inner in value.items():
            flat |= _flatten(inner, f"{where}.{key}" if where else str(key))
        return flat
    return {where: value}
