"""Worlds as tools: skills run policies until something happens, and say what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reach_world import ReachWorld

from enactive.actions.tools import ToolSpace
from enactive.evaluation.worlds import config_record, load_config
from enactive.models.action_model import ActionModel
from enactive.observations import Observation, Task
from enactive.policies.agents.skill_sets import Repeat, babyai, checkpoint_skill
from enactive.policies.agents.skills import Skill, SkilledWorld
from enactive.worlds.babyai import ACTIONS, BabyAI
from enactive.worlds.checks import check_world
from enactive.worlds.pusht import PushT
from enactive.worlds.tabletop.world import Tabletop
from enactive.worlds.tool_world import ToolWorld

BARE = BabyAI.Config(cameras=())
TABLE = SkilledWorld.Config(world=Tabletop.Config(cameras=()), skills="tabletop")


def said(seen: Observation) -> Any:
    assert seen.text is not None
    return json.loads(seen.text)


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


def test_babyai_as_tools_keeps_the_contract() -> None:
    config = SkilledWorld.Config(world=BARE)
    world = config.build()
    assert isinstance(world, ToolWorld) and isinstance(world.spec.accepts, ToolSpace)
    report = check_world(world, tasks=["GoToRedBall"])
    assert report.ok, str(report)
    assert load_config(config_record(config)) == config
    world.close()


def test_calling_the_bot_solves_babyai_and_the_episode_ends() -> None:
    world = SkilledWorld.Config(world=BARE).build()
    solved = 0
    for seed in range(5):
        world.reset(Task(name="GoToLocal", instruction=""), seed)
        step = world.step(call("turn_left"))
        assert said(step.observation)["value"]["steps"] == 1
        while not (step.terminated or step.truncated):
            step = world.step(call("follow_instruction"))
        solved += step.success
        assert said(step.observation)["value"]["ended"] == "success"
    assert solved == 5
    world.close()


def test_a_robot_s_skills_stop_at_their_events() -> None:
    world = TABLE.build()
    name = next(task.name for task in world.spec.tasks if task.name.startswith("put-"))
    world.reset(Task(name=name, instruction=""), 0)
    ends: list[str] = []
    for tool in ("approach", "grasp", "finish"):
        step = world.step(call(tool))
        ends.append(said(step.observation)["value"]["ended"])
    assert ends == ["approached_target", "grasped", "success"]
    assert step.success and step.terminated and "placed" in step.events
    world.close()


def test_a_skill_that_does_not_finish_says_so_and_changes_what_comes_next() -> None:
    world = TABLE.build()
    task = Task(name=world.spec.tasks[0].name, instruction="")
    seen = world.reset(task, 0)
    before = seen.state["proprio"].copy()
    grasp = world.toolbox.find("grasp").tool
    assert grasp.resources == ("body",) and not grasp.effects.repeatable
    step = world.step(call("approach"))
    assert (step.observation.state["proprio"] != before).any()
    kept = world.snapshot()
    first = world.step(call("grasp"))
    world.restore(kept)
    again = world.step(call("grasp"))
    assert first.events == again.events and first.observation.text == again.observation.text
    assert (first.observation.state["proprio"] == again.observation.state["proprio"]).all()
    world.close()


def test_a_policy_that_does_not_fit_is_a_failed_call() -> None:
    inner = PushT.Config(cameras=()).build()
    wrong = Skill(
        name="walk", description="", policy=lambda arguments: Repeat(ACTIONS, 0), max_steps=1
    )
    world = SkilledWorld(inner, (wrong,))
    world.reset(Task(name="push-t", instruction=""), 0)
    step = world.step(call("walk"))
    assert step.events == ("call_failed",)
    assert "does not fit" in said(step.observation)["failure"]["message"]
    world.close()


def test_a_trained_checkpoint_is_a_skill_that_is_told_in_words(
    tmp_path: Path, model: ActionModel
) -> None:
    model.save(tmp_path / "checkpoint")
    skill = checkpoint_skill(
        tmp_path / "checkpoint", name="go", description="Go somewhere.", execute=3, max_steps=5
    )
    inner = ReachWorld.Config().build()
    world = SkilledWorld(inner, (skill,))
    task = Task(name=inner.spec.tasks[0].name, instruction=inner.spec.tasks[0].instructions[0])
    ends: list[bytes] = []
    for words in ("go to the left", "go to the right", "go to the left"):
        world.reset(task, 0)
        step = world.step(call("go", instruction=words))
        assert said(step.observation)["value"]["steps"] <= 5
        assert step.observation.instruction == task.instruction  # the planner's, not the skill's
        ends.append(step.observation.state["proprio"].tobytes())
    assert ends[0] == ends[2] != ends[1]
    world.close()


def test_an_event_that_the_world_lacks_is_refused() -> None:
    inner = BARE.build()
    skills = babyai(inner.spec)
    bad = Skill(name="x", description="", policy=skills[0].policy, until=("flew",))
    with pytest.raises(ValueError, match="flew"):
        SkilledWorld(inner, (bad,))
    inner.close()
