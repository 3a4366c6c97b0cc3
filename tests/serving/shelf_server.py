"""A server of our own tools, run as a process by the tests: ``python shelf_server.py FOLDER``."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import anyio
from pydantic import Field

from enactive.actions.signature import tool, toolbox
from enactive.actions.toolbox import CallContext, Toolbox, ToolError
from enactive.actions.tools import READS, Effects
from enactive.serving.mcp_server import serve_stdio


@dataclass
class Place:
    shelf: int
    side: Literal["left", "right"] = "left"


class Shelf:
    """Things with places, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @tool(effects=READS, resources=("thing:{name}",))
    def where(self, name: Annotated[str, Field(max_length=5000)]) -> Place:
        """Where a thing is.

        Args:
            name: of the thing.
        """
        path = self.folder / name
        if not path.exists():
            raise ToolError(f"there is no {name!r}; there are {sorted(os.listdir(self.folder))}")
        return Place(*[int(path.read_text())])

    @tool(effects=Effects(destructive=False, idempotent=True, open_world=False))
    def put(self, name: str, place: Place) -> str:
        """Put a thing somewhere."""
        (self.folder / name).write_text(str(place.shelf))
        return f"{name} is on {place.shelf}, {place.side}"

    @tool(effects=READS)
    def names(self) -> list[str]:
        """The names of all things."""
        return sorted(os.listdir(self.folder))

    @tool(effects=READS, blocking=True)
    def think(self, seconds: float) -> float:
        """Wait in a thread."""
        time.sleep(seconds)
        return seconds

    @tool()
    async def wait(self, seconds: float, context: CallContext) -> str:
        """Wait without one; the call's key."""
        await asyncio.sleep(seconds)
        return context.key

    @tool()
    def shout(self, times: int) -> str:
        """Say a lot."""
        return "x" * times

    @tool()
    def crash(self) -> None:
        """End the server at once."""
        print("the server gives up", file=sys.stderr, flush=True)
        os._exit(3)


def made(folder: Path) -> Toolbox:
    return toolbox(Shelf(folder))


if __name__ == "__main__":
    anyio.run(serve_stdio, made(Path(sys.argv[1])))
