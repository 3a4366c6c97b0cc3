"""A flow in the journaled runtime, in the tool workspace: run, replayed, forked, and cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from enactive.actions.tools import ToolSpace
from enactive.episodes.action_log import ActionLog
from enactive.models.language_models.language_model import (
    Completion,
    Listener,
    Message,
    ModelError,
    Request,
)
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Task
from enactive.policies.agents.flow import Failed, ask, call, do, gather, get, modify, traverse
from enactive.policies.agents.flow_policy import FlowPolicy
from enactive.policies.agents.merges import append, by_key
from enactive.policies.agents.record import Record
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.fork import fork
from enactive.runtime.replay import replay
from enactive.runtime.run import resume, run
from enactive.worlds.workspace.world import Workspace

TASK = Task(name="files-1", instruction="")
MERGE = by_key(notes=append)


@do
async def _note(model: Any, path: str) -> int:
    text = (await call("read_file", path=path))["text"]
    completion = await ask(model, Request(messages=(Message(role="user", content=text),)))
    await modify(lambda state: state | {"notes": (*state["notes"], (path, completion.text))})
    return len(text)


@do
async def _look_around(model: Any) -> str:
    paths = await call("list_files", folder="")
    missing = call("read_file", path="not/there.txt").recover(lambda failed: get().map(len))
    sizes = traverse(paths["files"][:3], lambda path: _note(model, path), merge=MERGE)
    found = await gather([sizes, missing], merge=MERGE)
    await call("write_file", path="notes.txt", text=json.dumps(found[0]))
    return f"{sum(found[0])}"


def agent(model: Any) -> AgentRun:
    world = Workspace.Config(domains=("files",), parallel=2).build()
    space = world.spec.accepts
    assert isinstance(space, ToolSpace)

    def finish(end: Any) -> Any:
        text = end.failure.message if isinstance(end, Failed) else end.value
        return {"tool": "answer", "arguments": {"text": text}}

    def policy(taped: Any) -> FlowPolicy:
        return FlowPolicy(
            label="look around", flow=lambda observation, seed: _look_around(taped),
            finish=finish, space=space, state=Record({"notes": ()}),
        )  # fmt: skip

    return AgentRun(world=world, policy=policy, task=TASK, seed=3, model=model)


MODEL = Scripted(name="counts", answer=lambda request: str(len(request.messages[0].content)))


def entries(log: ActionLog, id: str) -> list[Any]:
    return [(one.kind, one.path, one.body) for one in log.entries(id)]


def test_a_flow_runs_replays_and_forks_at_every_decision(tmp_path: Path) -> None:
    with ActionLog(tmp_path / "log.sqlite") as log:
        result = anyio.run(run, agent(MODEL), log, "e")
        assert result.reason == "terminated" and result.spent.usage.completion_tokens > 0
        replayed = anyio.run(replay, agent(None), log, "e")
        assert replayed.equal, str(replayed)
        decisions = sum(kind == "decision" for kind, _, _ in entries(log, "e"))
        # one to list, two of two reads, one to write, one to answer
        assert decisions == 5
        for step in range(1, decisions):

            async def forked(step: int = step) -> Any:
                return await fork(agent(MODEL), log, "e", str(step), into=f"f{step}", decide=True)

            again = anyio.run(forked)
            assert (again.reason, again.reward) == (result.reason, result.reward)
            assert entries(log, f"f{step}")[-1] == entries(log, "e")[-1]


class Failing:
    """Answers some requests, and then there is no model for a while."""

    name = "failing"

    def __init__(self, answers: int) -> None:
        self.answers = answers

    def describe(self) -> Any:
        return MODEL.describe()

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        if self.answers == 0:
            raise ModelError("no answer; try again later")
        self.answers -= 1
        return MODEL.complete(request, listener)


@pytest.mark.parametrize("answers", range(3))
def test_a_model_that_does_not_answer_stops_the_run_and_not_the_flow(
    tmp_path: Path, answers: int
) -> None:
    """What it raises is no failure of a step, which the flow might recover from: the episode stops,
    and goes on to the same end once there is a model again."""
    with ActionLog(tmp_path / "log.sqlite") as log:
        anyio.run(run, agent(MODEL), log, "whole")
        with pytest.raises(ModelError, match="try again later"):
            anyio.run(run, agent(Failing(answers)), log, "cut")
        anyio.run(resume, agent(MODEL), log, "cut")
        assert entries(log, "cut") == entries(log, "whole")
