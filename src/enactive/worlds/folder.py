"""A folder of this machine as a world: what is in it is listed, read, searched, written and moved.

Nothing outside the folder can be reached: paths are relative, and one that leads out of it, also
through a link, is refused. As the folder is no part of the world, its tools are declared to reach
outside: a replay takes their recorded results, and a run that was killed makes no change twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from enactive.actions.toolbox import BoundTool, Toolbox, ToolError
from enactive.actions.tools import Effects, Tool
from enactive.worlds.tools_world import ToolsWorld
from enactive.worlds.workspace.problem import Operation
from enactive.worlds.workspace.units import OPERATIONS as UNITS

MOST_FILES = 200
MOST_LINES = 40
READS = Effects(read_only=True)
WRITES = Effects(destructive=True, idempotent=True)
MOVES = Effects(destructive=True)


class Folder:
    """The tools of a folder; ``Folder.Config(path=...).build()`` makes a world of them."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Which folder, and what may be done in it."""

        path: Path = Path(".")
        """The folder."""
        write: bool = True
        """Whether there are tools that change it."""
        parallel: int = 4
        """Most calls that one action may make."""
        max_text: int = 4000
        """Most characters of one file or result that are shown."""
        max_steps: int = 40
        """Actions of an episode."""

        def build(self) -> ToolsWorld:
            """The world.

            Raises:
                ValueError: the path is no folder.
            """
            return ToolsWorld(
                Folder(self).toolbox, name="folder", version="1", parallel=self.parallel,
                max_steps=self.max_steps,
            )  # fmt: skip

    def __init__(self, config: Folder.Config) -> None:
        if not config.path.is_dir():
            raise ValueError(f"path: {config.path} is no folder")
        self._config = config
        self._root = config.path.resolve()
        bound = [
            _tool("list_files", "Paths of all files in a folder and below it.", self._list, READS,
                  folder=_text("a folder; '' for everything", default="")),
            _tool("read_file", "The text of a file.", self._read, READS, ("file:{path}",),
                  path=_path("path of the file")),
            _tool("search_files", "The lines that contain a text, with the paths of their files.",
                  self._search, READS,
                  text=_text("what to look for; capitals do not matter", minLength=1)),
        ]  # fmt: skip
        if config.write:
            bound += [
                _tool("write_file", "Write a file; what was in it is lost.", self._write, WRITES,
                      ("file:{path}",), path=_path("path of the file"),
                      text=_text("everything that shall be in it", 1900)),
                _tool("move_file", "Move or rename a file.", self._move, MOVES,
                      ("file:{path}", "file:{to}"), path=_path("path of the file"),
                      to=_path("path that it shall have")),
            ]  # fmt: skip
        bound += [BoundTool(tool=one.tool, function=_bare(one)) for one in UNITS]
        self.toolbox = Toolbox(tuple(bound))

    # -------------------------------------------------------------------------------- tools

    def _inside(self, path: str) -> Path:
        """The file that ``path`` means; refuses what leads out of the folder."""
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\0" in path:
            raise ToolError(f"{path!r}: give a path below the folder, without '..'")
        if path and str(pure) != path.rstrip("/"):
            raise ToolError(f"{path!r}: write it as {str(pure)!r}")  # one name for each file
        found = self._root / pure
        if not found.resolve().is_relative_to(self._root):
            raise ToolError(f"{path!r} leads out of the folder")
        return found

    def _files(self, folder: Path) -> list[str]:
        found: list[str] = []
        for where, folders, names in os.walk(folder):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            found += [
                (Path(where) / name).relative_to(self._root).as_posix()
                for name in sorted(names)
                if not name.startswith(".")
            ]
            if len(found) > MOST_FILES:
                break
        return found

    def _list(self, folder: str = "") -> Any:
        found = self._inside(folder)
        if not found.is_dir():
            raise ToolError(f"there is no folder {folder!r}; '' lists everything")
        files = self._files(found)
        return {"files": files[:MOST_FILES], "more": len(files) > MOST_FILES}

    def _read(self, path: str) -> Any:
        found = self._inside(path)
        if not found.is_file():
            raise ToolError(f"there is no file {path!r}")
        with found.open("rb") as file:
            content = file.read(self._config.max_text * 4 + 4)
        if b"\0" in content:
            raise ToolError(f"{path!r} is no text")
        text = content.decode("utf-8", "replace")
        limit = self._config.max_text
        return {"text": text[:limit], **({"truncated": True} if len(text) > limit else {})}

    def _search(self, text: str) -> Any:
        wanted, lines = text.casefold(), list[dict[str, str]]()
        for path in self._files(self._root)[:MOST_FILES]:
            found = self._root / path
            if found.is_symlink() or found.stat().st_size > 1_000_000:
                continue
            content = found.read_bytes()
            if b"\0" in content:
                continue
            lines += [
                {"path": path, "line": line[:200]}
                for line in content.decode("utf-8", "replace").splitlines()
                if wanted in line.casefold()
            ]
        return {"lines": lines[:MOST_LINES], "found": len(lines)}

    def _write(self, path: str, text: str) -> Any:
        found = self._inside(path)
        if found.is_dir():
            raise ToolError(f"{path!r} is a folder")
        found.parent.mkdir(parents=True, exist_ok=True)
        partial = found.with_name(f".{found.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(found)
        return {"path": path, "characters": len(text)}

    def _move(self, path: str, to: str) -> Any:
        source, target = self._inside(path), self._inside(to)
        if not source.is_file():
            raise ToolError(f"there is no file {path!r}")
        if target.exists():
            raise ToolError(f"there is a file {to!r} already; give another path")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        return {"path": to}


def _tool(
    name: str,
    description: str,
    function: Any,
    effects: Effects,
    resources: tuple[str, ...] | None = None,
    **properties: Any,
) -> BoundTool:
    schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name, one in properties.items() if "default" not in one],
        "additionalProperties": False,
    }
    tool = Tool(
        name=name, description=description, input_schema=schema, effects=effects,
        resources=resources,
    )  # fmt: skip
    return BoundTool(tool=tool, function=function)


def _bare(operation: Operation) -> Callable[..., Any]:
    """An operation that needs no state."""

    def function(**arguments: Any) -> Any:
        return operation({}, arguments)

    return function


def _text(description: str, longest: int = 200, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest, "description": description, **more}


def _path(description: str) -> dict[str, Any]:
    return _text(description, pattern=r"^[^/\s].*$", examples=["notes/a.txt"])
