"""Solved tasks that a planner shows its model as examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from enactive.observations import Task
from enactive.policies.agents.prompts import Turn, compact, plain_result, shorten
from enactive.policies.agents.retrieval import nearest
from enactive.registry import Registry
from enactive.worlds.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstration:
    """A task and how it was done."""

    task: str
    """As it was told."""
    turns: tuple[Turn, ...]
    """Actions as JSON, and what the world said of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstrations:
    """Where demonstrations come from: a world's scripted expert on seeds of training."""

    world: str = "workspace"
    """Registered name of a world with an expert."""
    tasks: tuple[str, ...] = ()
    """Names of its tasks; none for no demonstrations."""
    each: int = 8
    """Episodes of each task."""
    first_seed: int = 100
    """Of each task's first episode; the others follow it. Evaluations begin at 1000000."""
    longest_result: int = 800
    """Characters to which results are shortened."""

    def build(self) -> tuple[Demonstration, ...]:
        """Run the expert; the same demonstrations every time.

        Raises:
            UnknownPart: there is no such world, or none with an expert.
            KeyError: the world has no such task.
        """
        if not self.tasks:
            return ()
        world = Registry("worlds").load(self.world)().build()
        try:
            expert = Registry("experts").load(self.world)
            seeds = range(self.first_seed, self.first_seed + self.each)
            return demonstrate(world, expert, self.tasks, seeds, self.longest_result)
        finally:
            world.close()


def demonstrate(
    world: World,
    expert: Callable[..., Any],
    tasks: Sequence[str],
    seeds: Sequence[int],
    longest_result: int = 800,
) -> tuple[Demonstration, ...]:
    """Let a scripted expert do tasks of a world; what it did, where it succeeded.

    Args:
        world: its experts read one privileged vector, which is called like the world.
        expert: ``(task, privileged) -> action``, as registered in ``enactive.experts``.
        tasks: names.
        seeds: of the episodes, those of training.
        longest_result: results are shortened to as many characters.
    """
    found: list[Demonstration] = []
    for name in tasks:
        for seed in seeds:
            observation = world.reset(Task(name=name, instruction=""), seed)
            told, turns = observation.instruction, list[Turn]()
            for _ in range(world.spec.task(name).max_steps):
                action = expert(name, observation.privileged[world.spec.name])
                step = world.step(action)
                observation = step.observation
                result = shorten(plain_result(observation.text or ""), longest_result)
                turns.append(Turn(said=compact(action), result=result))
                if step.terminated or step.truncated:
                    if step.success:
                        turns[-1] = Turn(said=turns[-1].said)
                        found.append(Demonstration(task=told, turns=tuple(turns)))
                    break
    return tuple(found)


def most_like(
    demonstrations: Sequence[Demonstration], task: str, count: int
) -> tuple[Demonstration, ...]:
    """The ``count`` demonstrations whose task and first action share most words with ``task``; the
    most alike comes last, next to the task itself."""
    # Little words are kept: they tell how a task is worded ("how many ... are ..."), and a small
    # model follows the wording of its examples.
    texts = [f"{one.task} {one.turns[0].said}" for one in demonstrations]
    best = nearest(task, texts, count, frozenset())
    return tuple(demonstrations[i] for i in reversed(best))
