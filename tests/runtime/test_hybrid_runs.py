"""Clicks and calls in the journaled runtime: recorded, replayed, and refused where they must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from tests.runtime.ledger_world import Script

from enactive.episodes.action_log import ActionLog
from enactive.policies.agents.ultracua import UltraCUA
from enactive.runtime.agent_run import AgentResult, AgentRun
from enactive.runtime.replay import replay
from enactive.runtime.run import run
from enactive.worlds.desktop import Desktop
from enactive.worlds.world import World


def scripted(world: World, task: str, actions: list[Any], seed: int = 3) -> AgentRun:
    script = Script(actions)
    return AgentRun(
        world=world, policy=lambda model: script, task=world.spec.task(task).task(), seed=seed
    )


def run_and_replay(path: Path, agent: AgentRun) -> AgentResult:
    with ActionLog(path / "actions.sqlite") as log:
        result = anyio.run(run, agent, log, "e")
        again = anyio.run(replay, agent, log, "e")
    assert again.equal, str(again)
    return result


def on_screen(**action: Any) -> Any:
    return {"space": "screen", "action": action}


def calling(tool: str, **arguments: Any) -> Any:
    return {"space": "calls", "action": {"tool": tool, "arguments": arguments}}


def test_the_hybrid_policys_episodes_are_recorded_and_happen_again(tmp_path: Path) -> None:
    world = Desktop.Config().build()
    weights = np.random.default_rng(1).normal(size=29)
    weights[0] = -4.0  # "done" rarely, so that something happens before
    policy = UltraCUA.Config(greedy=False).build(world.spec.accepts, weights)
    agent = AgentRun(world=world, policy=lambda model: policy,
                     task=world.spec.task("settings").task(), seed=5)  # fmt: skip
    result = run_and_replay(tmp_path, agent)
    assert result.spent.steps > 1


def test_a_tap_beyond_the_screen_is_recorded_as_refused_and_the_episode_goes_on(
    tmp_path: Path,
) -> None:
    """Elsewhere it halted the loop, or was recorded as a success."""
    world = Desktop.Config().build()
    actions = [on_screen(do="click", x=3, y=0), calling("set_volume", value=99),
               calling("set_volum", value=1), on_screen(do="click", x=0, y=0)]  # fmt: skip
    result = run_and_replay(tmp_path, scripted(world, "settings", actions))
    assert result.reason == "terminated" and not result.success
    with ActionLog(tmp_path / "actions.sqlite") as log:
        steps = [json.loads(one.body) for one in log.entries("e") if one.kind == "step"]
    assert ["refused" in step for step in steps] == [True, True, True, False]
    assert "x: 3 is outside the screen, [0, 3)" in steps[0]["refused"]
    assert "99 is greater than the maximum of 9" in steps[1]["refused"]
    assert "did you mean 'set_volume'" in steps[2]["refused"]


def test_clicks_and_calls_on_a_real_page_happen_again(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    pytest.importorskip("miniwob")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("no /usr/bin/chromium")
    from enactive.worlds.miniwob import MiniWoB
    from enactive.worlds.with_tools import WithTools

    world = WithTools.Config(world=MiniWoB.Config(privileged=False)).build()
    word = world.reset(world.spec.task("enter-text").task(), 3).instruction.split('"')[1]
    field, button = (next(node for node in world.inside.nodes if node.role == role)  # type: ignore[attr-defined]
                     for role in ("textbox", "button"))  # fmt: skip
    x, y = button.centre
    actions = [
        calling("press", id=99),
        on_screen(do="click", x=400, y=0),
        calling("write", id=field.id, text=word),
        on_screen(do="click", x=x, y=y),
    ]
    result = run_and_replay(tmp_path, scripted(world, "enter-text", actions))
    assert result.success and result.reward == 1.0 and "tool_failed" in result.events
    world.close()
