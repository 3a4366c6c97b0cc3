"""MiniWoB++ in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("playwright")
pytest.importorskip("miniwob")
if not Path("/usr/bin/chromium").exists():
    pytest.skip("no /usr/bin/chromium", allow_module_level=True)

from enactive.actions.screen import ScreenSpace
from enactive.evaluation.suites import load_suite
from enactive.worlds.checks import check_world
from enactive.worlds.miniwob import MiniWoB
from enactive.worlds.miniwob_experts import expert_action, expert_tasks
from enactive.worlds.miniwob_page import decode, encode
from enactive.worlds.with_tools import WithTools


@pytest.fixture(scope="module")
def world() -> Iterator[MiniWoB]:
    world = MiniWoB.Config(cameras=("screen", "marks"), max_steps=8).build()
    yield world
    world.close()


def begin(world: Any, task: str, seed: int = 0) -> Any:
    return world.reset(world.spec.task(task).task(), seed)


def test_the_contract_is_kept(world: MiniWoB) -> None:
    report = check_world(world, tasks=["enter-text"], steps=8)
    assert report.ok, str(report)


@pytest.mark.parametrize(
    "task", ["click-button", "choose-list", "login-user", "use-autocomplete", "drag-box"]
)
def test_the_expert_does_tasks(world: MiniWoB, task: str) -> None:
    observation = begin(world, task, 3)
    while True:
        step = world.step(expert_action(task, observation.privileged["miniwob"]))
        observation = step.observation
        if step.terminated or step.truncated:
            break
    assert step.success and step.reward == 1.0 and "success" in step.events


def test_there_are_experts_for_tasks_that_exist(world: MiniWoB) -> None:
    assert len(expert_tasks()) >= 40
    assert set(expert_tasks()) <= {task.name for task in world.spec.tasks}


@pytest.mark.parametrize(("name", "tasks"), [("miniwob", 130), ("miniwob-experts", 67)])
def test_its_suites_fit(world: MiniWoB, name: str, tasks: int) -> None:
    suite = load_suite(name)
    plan = suite.plan(world.spec)
    assert suite.name == name and len(suite.tasks) == tasks and len(plan) == 20 * tasks


def test_a_wrong_answer_is_a_failure(world: MiniWoB) -> None:
    begin(world, "enter-text")
    submit = next(node for node in world.nodes if node.name == "Submit")
    x, y = submit.centre
    step = world.step({"do": "click", "x": x, "y": y})
    assert step.terminated and not step.success
    assert step.reward == -1.0 and step.events == ("failure",)


def test_a_tap_that_changes_nothing_is_said_to(world: MiniWoB) -> None:
    begin(world, "enter-text")
    step = world.step({"do": "click", "x": 150, "y": 200})
    assert "no_effect" in step.events and not step.success and step.reward == 0.0


def test_a_tap_beyond_the_screen_is_refused_and_takes_no_step(world: MiniWoB) -> None:
    before = begin(world, "enter-text")
    with pytest.raises(ValueError, match=r"x: 160 is outside the screen"):
        world.step({"do": "click", "x": 160, "y": 20})
    step = world.step({"do": "wait"})
    assert step.observation.time == pytest.approx(0.5)
    assert step.observation.text == before.text


def test_the_sentence_and_the_page_are_the_seeds(world: MiniWoB) -> None:
    sentences = {begin(world, "enter-text", seed).instruction for seed in range(3)}
    assert len(sentences) == 3
    first = begin(world, "enter-text", 1)
    assert first.text is not None and "query" not in first.text
    assert not np.array_equal(first.images["screen"], first.images["marks"])


def test_tools_beside_the_screen_are_counted_both_ways() -> None:
    config = WithTools.Config(
        world=MiniWoB.Config(privileged=False), tools="elements", idle={"do": "wait"}
    )
    world = config.build()
    seen = begin(world, "enter-text")
    word = seen.instruction.split('"')[1]
    field, button = (
        next(node.id for node in world.inside.nodes if node.role == role)  # type: ignore[attr-defined]
        for role in ("textbox", "button")
    )

    def call(tool: str, **arguments: Any) -> Any:
        return world.step({"space": "calls", "action": {"tool": tool, "arguments": arguments}})

    snapshot = world.snapshot()
    step = call("write", id=field, text=word)
    assert step.observation.state["spent"].tolist() == [1, 1, 3]
    failed = call("press", id=99)
    assert "tool_failed" in failed.events and "there is no element 99" in failed.observation.text
    assert not failed.success and failed.observation.state["spent"].tolist() == [2, 2, 4]
    again = world.restore(snapshot)
    assert again.state["spent"].tolist() == [0, 0, 0]
    call("write", id=field, text=word)
    x, y = next(node.centre for node in world.inside.nodes if node.id == button)  # type: ignore[attr-defined]
    step = world.step({"space": "screen", "action": {"do": "click", "x": x, "y": y}})
    assert step.success and step.observation.state["spent"].tolist() == [2, 1, 4]
    with pytest.raises(RuntimeError, match="has ended"):
        call("press", id=button)
    world.close()


SPACE = ScreenSpace(width=160, height=210)


@given(seed=st.integers(0, 2**32))
def test_advice_survives_its_vector(seed: int) -> None:
    action = SPACE.sample(np.random.default_rng(seed))
    assert decode(encode(action)) == action


def test_no_advice_survives_too() -> None:
    assert decode(encode(None)) is None
    assert decode(encode({"do": "keys", "keys": ["Control", "a"]})) == {
        "do": "keys", "keys": ["Control", "a"]
    }  # fmt: skip
