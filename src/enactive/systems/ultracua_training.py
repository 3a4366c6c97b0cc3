"""How the policy of the claim ``ultracua`` is taught and tested: demonstrations, then rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from enactive.observations import Observation
from enactive.policies.agents.hybrid_options import Memory, Option, read, remember, wishes
from enactive.policies.agents.ultracua import Choice, HybridMemory, UltraCUA
from enactive.seeding import child_seed, numpy_generator
from enactive.training.grpo import (
    Ascent,
    Rollout,
    imitation_gradient,
    in_band,
    policy_gradient,
)
from enactive.worlds.checkers import Verdicts, false_verdicts
from enactive.worlds.desktop import Desktop
from enactive.worlds.desktop_settings import LARGEST, SETTINGS, goal


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What every arm gets."""

    demonstrations: int = 60
    """Tasks that the teacher tries; what succeeds is imitated."""
    imitation: int = 60
    """Full-batch steps of imitation."""
    pool: int = 120
    """Tasks that the arm's own rollouts may be drawn from, before any filter."""
    group: int = 8
    """Rollouts of a task."""
    tasks: int = 6
    """Groups in an update."""
    updates: int = 40
    rate: float = 0.1
    test: int = 200
    """Test tasks of each kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One way of acting and of learning."""

    clicks: bool = True
    calls: bool = True
    memory: bool = True
    bonus: float = 0.3
    band: bool = True
    """Whether rollouts are of tasks in the band of success, or of all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What became of one episode."""

    rollout: Rollout
    decisions: int
    calls: int
    actions: int
    """Clicks, with those that calls saved."""
    budget: int
    wished: tuple[str, ...]
    """Settings that the sentence asks for."""
    called: tuple[str, ...]
    """Settings whose tool was called."""


def attempt(world: Desktop, policy: UltraCUA, task: str, seed: int, draw: int) -> Attempt:
    """One episode; ``draw`` names the policy's random stream."""
    observation = world.reset(world.spec.task(task).task(), seed)
    memory = HybridMemory(seed=draw)
    choices: list[Choice] = []
    called: list[str] = []
    wished = tuple(wish.setting for wish in wishes(observation.instruction))
    while True:
        option, choice, memory = policy.decide(observation, memory)
        choices.append(choice)
        called += [option.called[0]] if option.called else []
        step = world.step(option.action)
        observation = step.observation
        if step.terminated or step.truncated:
            spent = [int(count) for count in observation.state["spent"].tolist()]
            rollout = Rollout(success=step.success, choices=tuple(choices))
            return Attempt(
                rollout=rollout, decisions=spent[0], calls=spent[1], actions=spent[2],
                budget=spent[3], wished=wished, called=tuple(called),
            )  # fmt: skip


def demonstration(
    world: Desktop, policy: UltraCUA, seed: int, run: int
) -> tuple[bool, list[Choice]]:
    """The teacher's attempt: for each wish in turn a tool or clicks, by the toss of a coin where
    there are both; now and then something at random. It knows where values are only as the policy
    does, and does not know which tools are good."""
    generator = numpy_generator(run, "ultracua-teacher", seed)
    observation = world.reset(world.spec.task("settings").task(), seed)
    memory = HybridMemory(seed=0)
    known: Memory = ()  # the teacher remembers, whether the pupil can or not
    choices: list[Choice] = []
    by_tool: dict[str, bool] = {}
    while True:
        options, memory = policy.look(observation, memory)
        known = remember(known, read(observation.text or ""), memory.called)
        chosen = _teach(options, observation, known, by_tool, generator)
        option = options[chosen]
        choices.append(Choice(
            features=np.stack([one.features for one in options]), chosen=chosen,
            call=option.called is not None,
        ))  # fmt: skip
        memory = replace(memory, step=memory.step + 1, called=option.called)
        step = world.step(option.action)
        observation = step.observation
        if step.terminated or step.truncated:
            return step.success, choices


def _teach(
    options: Sequence[Option],
    observation: Observation,
    believed: Memory,
    by_tool: dict[str, bool],
    generator: np.random.Generator,
) -> int:
    if generator.random() < 0.05:
        return int(generator.integers(len(options)))
    shown = read(observation.text or "")
    known = {name: value for name, value, _ in believed}
    words = {option.what: i for i, option in enumerate(options)}
    calls = {option.called[0]: i for i, option in enumerate(options) if option.called}
    for wish in wishes(observation.instruction):
        if known.get(wish.setting) == wish.value:
            continue
        manual = any(option.called is None and option.what != "done" for option in options)
        if wish.setting not in by_tool:
            coin = bool(generator.random() < 0.5)
            by_tool[wish.setting] = wish.setting in calls and (coin or not manual)
        if by_tool[wish.setting]:
            by_tool[wish.setting] = False  # once; then by hand, where there is a hand
            return calls[wish.setting]
        if not manual:
            continue
        if shown.app not in ("", wish.app):
            return words["back"]
        if not shown.app:
            return words[f"open {wish.app}"]
        word = "more" if shown.values[wish.setting] < wish.value else "less"
        return words[f"{word} {wish.setting}"]
    return words.get("done", words.get("back", 0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """A trained policy and how it came about."""

    policy: UltraCUA
    imitated: float
    """Share of the teacher's attempts that succeeded."""
    curve: tuple[float, ...]
    """Success of the rollouts of each update."""
    kept: int
    """Tasks that rollouts were drawn from."""
    middle: NDArray[np.float64]
    """Weights after half of the updates."""
    episodes: int
    """Rollouts, those of the filter included."""


def teach(world: Desktop, arm: Arm, seed: int, budget: Budget) -> Taught:
    """Imitate the teacher's successes, then improve by rollouts."""
    named = tuple(f"set_{one.name}" for one in SETTINGS["settings"] if one.kind != "none")
    config = UltraCUA.Config(
        clicks=arm.clicks, calls=arm.calls, memory=arm.memory, named=named, greedy=False
    )
    policy = config.build(world.spec.accepts)
    tried = [
        demonstration(world, policy, _seed(seed, "teacher", i), seed)
        for i in range(budget.demonstrations)
    ]
    choices = [choice for success, made in tried if success for choice in made]
    weights = policy.weights
    ascent = Ascent(rate=budget.rate, size=policy.options.size)
    for _ in range(budget.imitation):
        weights = ascent.step(weights, imitation_gradient(choices, weights))
    pool = [_seed(seed, "pool", i) for i in range(budget.pool)]
    episodes = 0
    if arm.band:
        policy = replace(policy, weights=weights)
        kept = [
            one
            for one in pool
            if in_band([
                attempt(world, policy, "settings", one, _draw(seed, "filter", one, k))
                .rollout.success
                for k in range(budget.group)
            ])
        ]  # fmt: skip
        episodes = len(pool) * budget.group
        pool = kept or pool
    generator = numpy_generator(seed, "ultracua-order")
    ascent = Ascent(rate=budget.rate, size=policy.options.size)
    curve: list[float] = []
    middle = weights
    for update in range(budget.updates):
        policy = replace(policy, weights=weights)
        drawn = generator.choice(len(pool), budget.tasks, replace=len(pool) < budget.tasks)
        groups = [
            [
                attempt(
                    world, policy, "settings", pool[i], _draw(seed, "rollout", update, i, k)
                ).rollout
                for k in range(budget.group)
            ]
            for i in drawn.tolist()
        ]
        curve.append(float(np.mean([one.success for group in groups for one in group])))
        weights = ascent.step(weights, policy_gradient(groups, weights, arm.bonus))
        episodes += budget.tasks * budget.group
        if update + 1 == budget.updates // 2:
            middle = weights
    return Taught(
        policy=replace(policy, weights=weights),
        imitated=float(np.mean([success for success, _ in tried])),
        curve=tuple(curve), kept=len(pool), middle=middle, episodes=episodes,
    )  # fmt: skip


def examine(world: Desktop, policy: UltraCUA, task: str, count: int) -> list[Attempt]:
    """The policy's attempts at tasks that no training has seen; the same for all arms and seeds."""
    return [attempt(world, policy, task, _seed(0, "test", i), i) for i in range(count)]


def verify_checkers(world: Desktop, task: str, count: int) -> Verdicts:
    """Solve tasks in two ways that know nothing of checkers, and miss them narrowly in two others.

    By hand: the clicks that the sentence asks for, in its order. By tools that do what they say,
    and by hand where there is none, in the opposite order. Missed: the last wish left undone, and
    the first overshot by one.
    """
    solved: list[Mapping[str, int]] = []
    missed: list[Mapping[str, int]] = []
    verdicts = [0, 0, 0, 0]
    for i in range(count):
        seed = _seed(0, "verify", i)
        for way in ("by hand", "by tools", "unfinished", "overshot"):
            state = _carry_out(world, task, seed, way)
            (solved if way.startswith("by") else missed).append(state)
        found = false_verdicts(goal(task, seed).checker, solved[-2:], missed[-2:])
        for place, value in enumerate(
            (found.false_negatives, found.solved, found.false_positives, found.missed)
        ):
            verdicts[place] += value
    return Verdicts(
        false_negatives=verdicts[0], solved=verdicts[1], false_positives=verdicts[2],
        missed=verdicts[3],
    )  # fmt: skip


def _carry_out(world: Desktop, task: str, seed: int, way: str) -> Mapping[str, int]:
    seen = world.reset(world.spec.task(task).task(), seed)
    asked = list(wishes(seen.instruction))
    if way == "unfinished":
        asked = asked[:-1]
    if way == "by tools":
        asked.reverse()
    kinds = {one.name: one.kind for one in SETTINGS[task]}
    for place, wish in enumerate(asked):
        value = wish.value
        if way == "overshot" and place == 0:
            value = value + 1 if value < LARGEST else value - 1
        if way == "by tools" and kinds[wish.setting] in ("right", "slow"):
            arguments = {"value": value}
            action = {"tool": f"set_{wish.setting}", "arguments": arguments}
            world.step({"space": "calls", "action": action})
            continue
        shown = read(world.step(_press(0, 1 + _rows(world, seen).index(wish.app))).observation.text
                     or "")  # fmt: skip
        row = 1 + shown.rows.index(wish.setting)
        for _ in range(abs(value - shown.values[wish.setting])):
            world.step(_press(2 if value > shown.values[wish.setting] else 1, row))
        world.step(_press(0, 0))
    return world.values


def _rows(world: Desktop, seen: Observation) -> list[str]:
    return list(read(seen.text or "").rows)


def _press(column: int, row: int) -> dict[str, object]:
    return {"space": "screen", "action": {"do": "click", "x": column, "y": row}}


def _seed(run: int, *names: str | int) -> int:
    return child_seed(run, "ultracua", *names) % 2**31


def _draw(run: int, *names: str | int) -> int:
    return child_seed(run, "ultracua-draw", *names) % 2**31
