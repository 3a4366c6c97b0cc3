"""Worlds with tools, acted on by programs."""

from __future__ import annotations

from typing import Any

import pytest

from enactive.actions.digital import CodeSpace, UnionSpace
from enactive.actions.tools import Failure, Returned
from enactive.configuration import from_dict, to_dict
from enactive.observations import Task
from enactive.worlds.checks import check_world
from enactive.worlds.code.bubblewrap import BubblewrapExecutor
from enactive.worlds.code.monty import MontyExecutor
from enactive.worlds.code_world import WithCode
from enactive.worlds.pusht import PushT
from enactive.worlds.tool_world import ToolWorld
from enactive.worlds.workspace.world import Workspace
from enactive.worlds.world import NotSupported

pytest.importorskip("pydantic_monty")

UNITS = Task(name="units-1", instruction="")
INNER = Workspace.Config(domains=("units", "files"))


@pytest.fixture(scope="module")
def world() -> Any:
    made = WithCode.Config(world=INNER).build()
    yield made
    made.close()


def test_it_is_the_world_inside_with_programs_for_actions(world: WithCode) -> None:
    inner = INNER.build()
    assert isinstance(world, ToolWorld)
    assert isinstance(world.spec.accepts, CodeSpace)
    assert world.spec.tasks == inner.spec.tasks and world.spec.name == inner.spec.name
    assert [t.name for t in world.spec.accepts.tools] == [t.name for t in inner.toolbox.tools]
    assert world.reset(UNITS, 3).instruction == inner.reset(UNITS, 3).instruction


def test_one_program_is_one_step_whatever_it_calls(world: WithCode) -> None:
    world.reset(Task(name="files-1", instruction=""), 1)
    first = world.step(
        "found = [list_files() for _ in range(3)]\nprint(len(found))\nfound[0] == found[2]"
    )
    assert first.observation.text == "3\nvalue: true"
    second = world.step("answer(str(len(found)))")
    assert second.terminated and not second.truncated


def test_failures_are_what_is_seen_next(world: WithCode) -> None:
    world.reset(UNITS, 0)
    for source, words in [
        ("1 +", "Refused: line 1:"),
        ("answer(3)", "Expected `str`"),
        ("print('so far')\n[][1]", "so far\nError: Traceback"),
        ("while True:\n    pass", "Stopped: the program ran longer than"),
        ("pass", "(no output)"),
    ]:
        step = world.step(source)
        assert words in (step.observation.text or "") and not step.terminated


def test_what_is_no_text_is_refused(world: WithCode) -> None:
    world.reset(UNITS, 0)
    for action in (None, 3, "", {"tool": "answer", "arguments": {"text": "1"}}, "#" * 200_000):
        with pytest.raises(ValueError, match="no action of the world"):
            world.step(action)


def test_names_go_with_the_episode_and_snapshots_hold_them(world: WithCode) -> None:
    assert world.spec.snapshots
    world.reset(UNITS, 5)
    world.step("x = [1]")
    snapshot = world.snapshot()
    seen = [world.step("x.append(2)\nx").observation.text for _ in range(2)]
    assert world.restore(snapshot).text == "(no output)"
    assert [world.step("x.append(2)\nx").observation.text for _ in range(2)] == seen
    assert seen[-1] == "value: [1, 2, 2]"
    world.reset(UNITS, 5)
    assert "`x` used when not defined" in (world.step("x").observation.text or "")


def test_calls_and_programs_in_one_world() -> None:
    world = WithCode.Config(world=INNER, calls=True).build()
    assert isinstance(world.spec.accepts, UnionSpace)
    world.reset(UNITS, 0)
    step = world.step({"space": "code", "action": "x = 4\nx"})
    assert step.observation.text == "value: 4"
    with pytest.raises(ValueError):
        world.step({"space": "calls", "action": {"tool": "unknown", "arguments": {}}})
    with pytest.raises(ValueError):
        world.step({"space": "words", "action": "x"})
    call = {"tool": "answer", "arguments": {"text": "4"}}
    assert world.step({"space": "calls", "action": call}).terminated
    world.close()


def test_an_activity_that_is_dropped_leaves_the_world_usable(world: WithCode) -> None:
    world.reset(Task(name="files-1", instruction=""), 0)
    activity = world.activity("y = 1\nlist_files()\ny = 2")
    (call,) = next(activity)
    assert call.tool == "list_files"
    activity.close()
    assert "not defined" in (world.step("y").observation.text or "")
    activity = world.activity("try:\n    list_files()\nexcept TimeoutError:\n    print('late')")
    next(activity)
    with pytest.raises(StopIteration) as ended:
        activity.send((Failure(kind="timeout", message="too late"),))
    assert ended.value.value.observation.text == "late"
    activity = world.activity("list_files()")
    next(activity)
    with pytest.raises(StopIteration):
        activity.send((Returned(value=["a"]),))


def test_another_executor_and_no_snapshots() -> None:
    config = WithCode.Config(world=INNER, executor=BubblewrapExecutor.Config())
    assert from_dict(WithCode.Config, to_dict(config)) == config
    world = config.build()
    world.reset(UNITS, 0)
    assert world.step("class Sub(int): pass\nSub(3) + 1").observation.text == "value: 4"
    assert not world.spec.snapshots and world.spec.provenance["code"]["executor"] == "bubblewrap"
    with pytest.raises(NotSupported):
        world.snapshot()
    world.close()
    world.close()


def test_a_world_without_tools_is_refused() -> None:
    with pytest.raises(ValueError, match="has no tools"):
        WithCode.Config(world=PushT.Config(), executor=MontyExecutor.Config()).build()


def test_it_keeps_the_contract_of_a_world() -> None:
    world = WithCode.Config(world=Workspace.Config(domains=("units",))).build()
    report = check_world(world, tasks=["units-1"])
    assert not report.failures and len(report.findings) > 10
    world.close()
