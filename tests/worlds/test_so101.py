"""SO-101: the package's environments, success tests and controllers in metres."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enactive.worlds.checks import check_world
from enactive.worlds.so101 import ACTION_SPACE, METRES_PER_UNIT, SO101, STATES, TASKS
from enactive.worlds.so101_experts import SO101Expert
from enactive.worlds.world import Step

BLIND = SO101.Config(cameras=(), states=("proprio", "block", "goal"))


def play(world: SO101, task: str, seed: int) -> list[Step]:
    """The scripted controller's episode, to its success or its end."""
    expert = SO101Expert()
    seen, memory, steps = world.reset(world.spec.task(task).task(), seed), expert.begin(task, 0), []
    while True:
        action, memory = expert.act(seen.privileged["so101"], memory)
        steps.append(world.step(action))
        seen = steps[-1].observation
        if steps[-1].success or steps[-1].terminated or steps[-1].truncated:
            return steps


def test_the_contract_is_kept() -> None:
    world = SO101.Config(image_size=48).build()
    report = check_world(world, tasks=["reach-close"], steps=8)
    assert report.ok, str(report)
    world.close()
    world.close()


@pytest.mark.parametrize(("task", "events"), [
    ("reach-close", ["reached", "success"]),
    ("pick-cube", ["reached", "lifted", "success"]),
    ("pick-place", ["reached", "lifted", "success"]),
])  # fmt: skip
def test_the_controllers_solve_tasks_in_stages(task: str, events: list[str]) -> None:
    world = BLIND.build()
    for seed in (0, 1):
        steps = play(world, task, seed)
        assert steps[-1].success
        assert [event for step in steps for event in step.events] == events
    world.close()


def test_actions_are_metres_of_the_hand_and_the_gripper_opens_upwards() -> None:
    world = BLIND.build()
    start = world.reset(world.spec.task("reach-close").task(), 3).state["proprio"]
    for _ in range(6):
        step = world.step(np.array([0.01, 0.0, 0.0, 1.0], np.float32))
    end = step.observation.state["proprio"]
    moved = end[11:14] - start[11:14]
    assert 0.03 < moved[0] < 0.075 and abs(moved[1]) < 0.01  # six times 1 cm, behind its target
    assert end[10] == pytest.approx(1.0)
    assert ACTION_SPACE.high[0] == np.float32(METRES_PER_UNIT)
    with pytest.raises(ValueError, match=r"arm.x is 0.03, outside"):
        world.step(np.array([0.03, 0.0, 0.0, 1.0], np.float32))
    world.close()


def test_only_placing_has_a_goal() -> None:
    world = BLIND.build()
    goals = {task: world.reset(world.spec.task(task).task(), 0).state["goal"] for task in TASKS}
    assert goals["pick-place"].all() and not goals["pick-cube"].any()
    assert [vector.size for vector in STATES.values()] == [14, 3, 3]
    world.close()


@pytest.mark.parametrize(("fields", "message"), [
    ({"states": ("blok",)}, "did you mean 'block'"),
    ({"image_size": 0}, "image_size"),
])  # fmt: skip
def test_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SO101.Config(**fields).build()
    with pytest.raises(KeyError, match="pick-cube"):
        SO101Expert().begin("pick-cubes", 0)
