"""The tools of MCP servers as a world: ``enactive agent "..." --world mcp --world.command ...``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from enactive.actions.toolbox import BoundTool, Toolbox
from enactive.serving.mcp_client import McpClient, connected
from enactive.worlds.tools_world import ToolsWorld


class McpWorld:
    """Made with ``McpWorld.Config(command=...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Which server, and what of it."""

        command: tuple[str, ...] = ()
        """What runs the server, and its arguments."""
        environment: Mapping[str, str] = field(default_factory=dict[str, str])
        """Added to the few variables that such a process inherits. They are recorded with the
        episode: name secrets with ``keys``."""
        keys: tuple[str, ...] = ()
        """Names of variables of this process that the server gets; their values are not
        recorded."""
        url: str = ""
        """Or where the server is reached."""
        token_variable: str = ""
        """With a URL: the environment variable that holds the bearer token."""
        tools: tuple[str, ...] = ()
        """The tools that are taken; by default all."""
        trusted: bool = True
        """Whether the server's word is taken for what its tools do."""
        parallel: int = 4
        """Most calls that one action may make."""
        max_steps: int = 40
        """Actions of an episode."""

        def build(self) -> ToolsWorld:
            """Connect, and make the world of the server's tools.

            Whatever the server says, its state is not the world's: its tools count as reaching
            outside, so that a replay takes their recorded results.

            Raises:
                McpError: the server does not start or answer.
                ValueError: there is neither a command nor a URL, or a variable is not set.
            """
            client = McpClient.Config(
                command=self.command, environment={**self.environment, **_values(self.keys)},
                url=self.url, token="".join(_values(_one(self.token_variable)).values()),
                tools=self.tools, trusted=self.trusted,
            )  # fmt: skip
            stack = contextlib.ExitStack()
            toolbox = stack.enter_context(connected(client))
            return ToolsWorld(
                Toolbox(tuple(_outside(bound) for bound in toolbox)), name="mcp", version="1",
                parallel=self.parallel, max_steps=self.max_steps, closing=stack.close,
            )  # fmt: skip


def _outside(bound: BoundTool) -> BoundTool:
    effects = replace(bound.tool.effects, open_world=True)
    return replace(bound, tool=replace(bound.tool, effects=effects))


def _one(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _values(names: tuple[str, ...]) -> dict[str, str]:
    import os

    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(f"the environment variables {', '.join(missing)} are not set")
    return {name: os.environ[name] for name in names}
