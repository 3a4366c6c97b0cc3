"""Worlds of any tools: a folder of this machine, servers of the Model Context Protocol."""

import json
import sys

import anyio
import pytest
from tests.runtime.ledger_world import Script, call

from enactive.actions.toolbox import BoundTool, Toolbox
from enactive.actions.tools import WRITES, Tool
from enactive.episodes.action_log import ActionLog
from enactive.observations import Task
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.replay import replay
from enactive.runtime.run import run
from enactive.serving.mcp_world import McpWorld
from enactive.worlds.folder import Folder
from enactive.worlds.tools_world import ToolsWorld

TASK = Task(name="work", instruction="do it")


def said(world, tool, **arguments):
    return json.loads(world.step(call(tool, **arguments)).observation.text)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "notes").mkdir(parents=True)
    (root / "notes/a.txt").write_text("alpha\nBeta K-307\n")
    (root / "b.txt").write_text("beta\n")
    (root / ".hidden").write_text("secret")
    (tmp_path / "outside.txt").write_text("outside")
    (root / "link").symlink_to(tmp_path)
    world = Folder.Config(path=root).build()
    world.reset(TASK, 0)
    return world, root


def test_a_folder_is_listed_searched_read_written_and_moved(folder):
    world, root = folder
    assert said(world, "list_files", folder="")["value"]["files"] == ["b.txt", "notes/a.txt"]
    found = said(world, "search_files", text="k-307")["value"]
    assert found == {"lines": [{"path": "notes/a.txt", "line": "Beta K-307"}], "found": 1}
    assert said(world, "read_file", path="b.txt")["value"] == {"text": "beta\n"}
    said(world, "write_file", path="new/c.txt", text="c")
    assert (root / "new/c.txt").read_text() == "c"
    said(world, "move_file", path="new/c.txt", to="done/c.txt")
    assert (root / "done/c.txt").read_text() == "c" and not (root / "new/c.txt").exists()
    failure = said(world, "move_file", path="b.txt", to="done/c.txt")["failure"]
    assert "already" in failure["message"]


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/passwd", "link/outside.txt", "notes/../../outside.txt", "a\0b"]
)
def test_nothing_outside_the_folder_is_reached(folder, path):
    world, root = folder
    for tool, arguments in (
        ("read_file", {"path": path}),
        ("write_file", {"path": path, "text": "x"}),
        ("move_file", {"path": "b.txt", "to": path}),
    ):
        try:
            failure = said(world, tool, **arguments)["failure"]
        except ValueError as refused:  # no argument of the tool at all
            assert "path" in str(refused) or "to" in str(refused)
        else:
            assert failure["kind"] in ("error", "invalid")
    assert (root.parent / "outside.txt").read_text() == "outside"
    assert (root / "b.txt").exists()


def test_tools_that_claim_to_change_only_a_world_that_holds_nothing_are_refused():
    tool = BoundTool(tool=Tool(name="t", description="", effects=WRITES), function=lambda: None)
    with pytest.raises(ValueError, match="open_world"):
        ToolsWorld(Toolbox((tool,)), name="x", version="1")


def test_a_server_s_tools_go_through_the_loop_and_are_not_called_by_a_replay(tmp_path):
    actions = [
        call("convert_time", source_timezone="UTC", target_timezone="Asia/Tokyo", time="12:00"),
        call("convert_time", source_timezone="Nowhere", target_timezone="UTC", time="12:00"),
        call("get_current_time", timezone="UTC"),
        call("answer", text="21:00"),
    ]
    config = McpWorld.Config(command=(sys.executable, "-m", "mcp_server_time"))
    script = Script(actions)
    world = config.build()
    try:
        agent = AgentRun(world=world, policy=lambda model: script, task=TASK)
        with ActionLog(tmp_path / "actions.sqlite") as log:
            result = anyio.run(run, agent, log, "e")
            assert result.success
            values = [entry.value for entry in log.entries("e") if entry.kind == "result"]
            assert "T21:00:00+09:00" in json.dumps(values[0]["value"])
            assert values[1]["failure"]["kind"] == "error"
            assert anyio.run(replay, agent, log, "e").equal  # the time is another one by now
            found = anyio.run(lambda: replay(agent, log, "e", again=True))
    finally:
        world.close()
    # Its tools say that they only read, so they may be asked again; then the time shows.
    assert found.equal or (found.difference and found.difference.path == "2.0.0")
