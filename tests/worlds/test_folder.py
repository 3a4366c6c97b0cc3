"""A folder as a world: what its tools do, and that nothing outside is reached."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.observations import Task
from enactive.worlds.folder import Folder
from enactive.worlds.tool_world import ToolWorld

TASK = Task(name="work", instruction="do it")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "folder"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "a.txt").write_text("To Alder\nReference K-307\n")
    (folder / "bytes.bin").write_bytes(b"\0\1")
    (folder / ".hidden").write_text("hidden K-307")
    (folder / "out").symlink_to(tmp_path)
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


def do(world: Folder, tool: str, **arguments: Any) -> Any:
    step = world.step({"tool": tool, "arguments": arguments})
    said = json.loads(step.observation.text or "")
    return said["value"] if "value" in said else said["failure"]["message"]


def test_files_are_listed_read_searched_written_and_moved(place: Path) -> None:
    world = Folder.Config(path=place).build()
    assert isinstance(world, ToolWorld)
    first = world.reset(TASK, 0)
    assert first.instruction == "do it" and "read_file" in (first.text or "")
    assert do(world, "list_files")["files"] == ["bytes.bin", "link.txt", "notes/a.txt"]
    assert do(world, "read_file", path="notes/a.txt")["text"].startswith("To Alder")
    found = do(world, "search_files", text="k-307")
    assert found == {"lines": [{"path": "notes/a.txt", "line": "Reference K-307"}], "found": 1}
    assert do(world, "write_file", path="new/b.txt", text="b")["characters"] == 1
    assert do(world, "move_file", path="notes/a.txt", to="done/a.txt") == {"path": "done/a.txt"}
    assert (place / "done" / "a.txt").is_file() and not (place / "notes" / "a.txt").exists()
    assert do(world, "calculate", expression="2 * 3") == {"value": 6.0}
    step = world.step({"tool": "answer", "arguments": {"text": "done"}})
    assert step.terminated and step.success and step.events == ("answered",)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "out/secret.txt",
        "link.txt",
        "notes/../../secret.txt",
        "/etc/passwd",
        "a\0b",
    ],
)
@pytest.mark.parametrize("tool", ["read_file", "write_file", "move_file"])
def test_nothing_outside_is_reached(place: Path, tool: str, path: str) -> None:
    world = Folder.Config(path=place).build()
    world.reset(TASK, 0)
    more = {"write_file": {"text": "x"}, "move_file": {"to": "taken.txt"}}.get(tool, {})
    try:
        step = world.step({"tool": tool, "arguments": {"path": path, **more}})
    except ValueError as error:  # the tool's schema knows it already
        assert "does not match" in str(error)
    else:
        assert step.events == ("call_failed",) and '"text": "secret"' not in str(
            step.observation.text
        )
    assert (place.parent / "secret.txt").read_text() == "secret"
    assert not (place / "taken.txt").exists()


@given(path=st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_path_is_inside_or_refused(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    folder = tmp_path_factory.mktemp("any") / "inner"
    folder.mkdir()
    world = Folder.Config(path=folder).build()
    world.reset(TASK, 0)
    with contextlib.suppress(ValueError):
        world.step({"tool": "write_file", "arguments": {"path": path, "text": "x"}})
    assert [one.name for one in folder.parent.iterdir()] == ["inner"]


def test_texts_only_whole_names_only_and_no_surprises(place: Path) -> None:
    world = Folder.Config(path=place, max_text=5).build()
    world.reset(TASK, 0)
    assert "is no text" in do(world, "read_file", path="bytes.bin")
    assert do(world, "read_file", path="notes/a.txt") == {"text": "To Al", "truncated": True}
    assert "write it as 'notes/a.txt'" in do(world, "read_file", path="./notes/a.txt")
    assert "already" in do(world, "move_file", path="notes/a.txt", to="bytes.bin")
    assert "is a folder" in do(world, "write_file", path="notes", text="x")


def test_it_can_be_kept_from_writing(place: Path) -> None:
    world = Folder.Config(path=place, write=False).build()
    names = [tool.name for tool in world.toolbox.tools]
    assert "write_file" not in names and "move_file" not in names
    with pytest.raises(ValueError, match="is no folder"):
        Folder.Config(path=place / "nowhere").build()


def test_what_changes_files_is_declared_to_reach_outside(place: Path) -> None:
    tools = {tool.name: tool for tool in Folder.Config(path=place).build().toolbox.tools}
    for name in ("write_file", "move_file"):
        assert tools[name].effects.open_world and tools[name].effects.destructive
    assert tools["write_file"].effects.idempotent and not tools["move_file"].effects.idempotent
    assert tools["read_file"].effects.read_only and tools["read_file"].effects.open_world
