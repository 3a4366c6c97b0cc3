"""BabyAI: sentences of the seed, its own verifier, and a bot that never blocks."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import evaluation_plan
from enactive.policies.expert import ExpertPolicy
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.babyai import ACTIONS, BabyAI, level_ids, longest, make
from enactive.worlds.babyai_bot import DONE, PATIENCE, Bot, expert_action
from enactive.worlds.checks import check_world
from enactive.worlds.pool import WorldPool

STATES = BabyAI.Config(cameras=())


def episode(world: BabyAI, level: str, seed: int) -> tuple[list[Any], str]:
    """Every step of the bot's episode, and what it was told."""
    seen = world.reset(world.spec.task(level).task(), seed)
    told, steps = seen.instruction, []
    while True:
        steps.append(world.step(expert_action(level, seen.privileged["babyai"])))
        seen = steps[-1].observation
        if steps[-1].terminated or steps[-1].truncated:
            return steps, told


def test_the_contract_is_kept() -> None:
    config = BabyAI.Config(cameras=("view", "top"), tile_size=4)
    for given, tasks in ((config, ["PutNextLocal"]), (STATES, None)):
        world = given.build()
        report = check_world(world, tasks=tasks)
        assert report.ok, str(report)
        world.close()


def test_the_seed_writes_the_sentence_and_another_wording_leaves_the_scene() -> None:
    world = STATES.build()
    declared = world.spec.task("GoToLocal")
    assert declared.instructions == () and declared.task().instruction == ""
    own = [world.reset(declared.task(), seed) for seed in range(12)]
    assert len({seen.instruction for seen in own}) > 6
    assert all(seen.instruction.startswith("go to") for seen in own)
    other = world.reset(declared.task("fetch it"), 3)
    assert other.instruction == "fetch it"
    assert np.array_equal(other.state["symbols"], own[3].state["symbols"])
    assert world.restore(world.snapshot()).instruction == "fetch it"
    world.close()


def test_limits_are_those_of_the_levels() -> None:
    world = STATES.build()
    for level, env_id in level_ids().items():
        env = make(env_id)
        with contextlib.redirect_stdout(io.StringIO()):
            env.reset(seed=1)
        assert env.max_steps <= longest(env) == world.spec.task(level).max_steps
    world.close()


@pytest.mark.parametrize("level", ["GoToLocal", "PutNextLocal", "PickupLoc", "OpenRedDoor"])
def test_the_bot_solves_levels(level: str) -> None:
    world = STATES.build()
    for seed in range(5):
        steps, _ = episode(world, level, seed)
        assert steps[-1].success and steps[-1].terminated and steps[-1].reward > 0
        assert steps[-1].events == ("success",)
    world.close()


def test_a_bot_that_runs_in_circles_is_a_failed_episode() -> None:
    """The package's bot replans this seed without end."""
    world = STATES.build()
    steps, told = episode(world, "UnlockToUnlock", 1)
    gave_up = [i for i, step in enumerate(steps) if "expert_gave_up" in step.events]
    assert told == "pick up the ball" and len(gave_up) == 1
    assert len(steps) == 1080 and steps[-1].truncated and not steps[-1].success
    assert expert_action("", steps[-1].observation.privileged["babyai"]) == DONE
    world.close()


def test_patience_ends_a_replanning_that_would_not() -> None:
    class Circle:
        """Replans as the bot does, with a subgoal that puts itself in its own place."""

        def __init__(self) -> None:
            self.stack: list[str] = ["there"]
            self.looks = 0

        def replan(self, action: int | None) -> int:
            while self.stack:
                self.looks += 1
                self.stack.append(self.stack.pop())
            return 0

    circle = Circle()
    bot = Bot(circle)
    assert bot.advice is None and circle.looks <= PATIENCE
    bot.follow(0)
    assert circle.looks <= PATIENCE  # it is not asked again


def test_failures_are_told_from_running_out_of_time() -> None:
    world = STATES.build()
    steps, told = episode(world, "OpenDoorsOrderN2Debug", 0)
    assert "then" in told or "after" in told
    assert steps[-1].events == ("failure",) and steps[-1].terminated and not steps[-1].success
    world.close()


def test_evaluations_record_that_the_bot_gave_up() -> None:
    with WorldPool(STATES, workers=0) as pool:
        plan = evaluation_plan(pool.spec, ["GoToLocal", "UnlockToUnlock"], 1, first_seed=1)
        results = evaluate(pool, ExpertPolicy.Config().build(pool.spec), plan).episodes
    assert [result.success for result in results] == [True, False]
    assert "expert_gave_up" in results[1].events


def test_experts_and_random_policies_act_in_any_space() -> None:
    with WorldPool(STATES, workers=0) as pool:
        plan = evaluation_plan(pool.spec, ["GoToObjS4"], 2, first_seed=0)
        results = evaluate(pool, RandomPolicy(ACTIONS), plan).episodes
        assert all(result.steps <= 16 for result in results)
        with pytest.raises(ValueError, match="noise: actions of babyai are no vectors"):
            ExpertPolicy.Config(noise=0.1).build(pool.spec)


def test_datasets_hold_the_sentence_of_each_seed(tmp_path: Path) -> None:
    from enactive.cli import main
    from enactive.episodes.dataset import Dataset

    out = tmp_path / "demos"
    words = "collect --world babyai --world.cameras --tasks GoToLocal --episodes 3 --workers 0"
    assert main([*words.split(), "--out", str(out)]) == 0
    dataset = Dataset.open(out / "dataset")
    world = STATES.build()
    sentences = [
        world.reset(world.spec.task("GoToLocal").task(), record.header.seed).instruction
        for record in dataset.records
    ]
    assert [entry.instructions for entry in dataset.episodes] == [(one,) for one in sentences]
    world.close()


@pytest.mark.parametrize(("fields", "message"), [
    ({"cameras": ("views",)}, "did you mean 'view'"),
    ({"states": ("symbol",)}, "did you mean 'symbols'"),
    ({"tile_size": 0}, "tile_size"),
])  # fmt: skip
def test_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BabyAI.Config(**fields).build()


def test_unknown_levels_and_moves_are_refused() -> None:
    world = STATES.build()
    with pytest.raises(RuntimeError, match="reset"):
        world.step(0)
    with pytest.raises(KeyError, match="GoToLocal"):
        world.spec.task("GoToLocla")
    world.reset(world.spec.task("GoToObjS4").task(), 0)
    for bad in (7, -1, 0.5, None):
        with pytest.raises(ValueError, match="outside the space of babyai"):
            world.step(bad)
    world.close()
