"""Tools of servers that speak the Model Context Protocol.

A server is a command that is run and spoken to over its standard input and output, or a URL
(streamable HTTP). Its tools become a :class:`~enactive.actions.toolbox.Toolbox`: input schemas with
their references written out, annotations as declared effects, structured results as values, and
whatever goes wrong as an error that a caller can read.

    async with McpClient.Config(command=("mcp-server-time",)).build() as client:
        tools = client.toolbox            # coroutines

    with connected(McpClient.Config(url="http://127.0.0.1:8000/mcp")) as tools:
        ...                               # plain functions, from any thread
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import anyio.abc
import anyio.from_thread

from enactive.actions.json_schema import inlined, inlined_value
from enactive.actions.toolbox import BoundTool, Toolbox, ToolError
from enactive.actions.tools import EXTERNAL, Effects, Tool

MOST_TOOLS = 1000
"""A server that lists more is refused."""
LONGEST_DESCRIPTION = 4000
RESULT = "result"
"""The one property of a structured result whose value is no object, as the protocol's Python
package writes them."""


class McpError(RuntimeError):
    """A server cannot be used; the message says why, with what it wrote to its standard error."""


class McpClient:
    """A connection; make it with ``McpClient.Config(...).build()`` and enter it."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`McpClient`."""

        command: tuple[str, ...] = ()
        """What runs the server, and its arguments."""
        environment: Mapping[str, str] = field(default_factory=dict[str, str])
        """Added to the few variables that such a process inherits (``PATH``, ``HOME``...)."""
        folder: str = ""
        """Where the command is run; by default here."""
        url: str = ""
        """Or where the server is reached."""
        token: str = ""
        """Sent to the URL as a bearer token."""
        tools: tuple[str, ...] = ()
        """The tools that are taken, by the server's names; by default all."""
        prefix: str = ""
        """Put before each tool's name, so that two servers' do not meet."""
        trusted: bool = True
        """Whether the server's annotations are believed. If not, each of its tools may do
        anything."""
        seconds: float = 60.0
        """Longest that a call may take."""
        start_seconds: float = 30.0
        """Longest that connecting and listing the tools may take."""
        characters: int = 200_000
        """Longest result, as JSON. A longer text is cut and says so; longer values are errors."""

        def build(self) -> McpClient:
            """The client, not yet connected.

            Raises:
                ImportError: the package ``mcp`` is not installed.
                ValueError: there is neither a command nor a URL, or both.
            """
            return McpClient(self)

    def __init__(self, config: McpClient.Config) -> None:
        if bool(config.command) == bool(config.url):
            raise ValueError("McpClient: give either command or url")
        if config.token and not config.url:
            raise ValueError("McpClient: token goes with url")
        try:
            import mcp
        except ImportError as error:
            raise ImportError("MCP servers need the package: pip install 'enactive[agents]'") from (
                error
            )
        self._mcp: Any = mcp
        self.config = config
        self.name = config.url or config.command[0]
        self._client: Any = None
        self._listed: list[Any] = []
        self._stack = contextlib.AsyncExitStack()
        self._lost = anyio.Event()
        self._wanted = anyio.Event()
        self._up = anyio.Event()
        self._why = ""
        self._toolbox: Toolbox | None = None
        self.refused: dict[str, str] = {}
        """Tools that were left out, and why."""

    @property
    def toolbox(self) -> Toolbox:
        """The server's tools; their functions are coroutines of the loop that entered.

        Raises:
            RuntimeError: it is not connected.
        """
        if self._toolbox is None:
            raise RuntimeError("the client is not connected; use it as 'async with'")
        return self._toolbox

    async def __aenter__(self) -> McpClient:
        """Connect and list the tools.

        Raises:
            McpError: the server does not start, does not answer in time, or has no tool of a name
                that was asked for.
        """
        group = anyio.create_task_group()
        await self._stack.enter_async_context(group)
        self._stack.callback(group.cancel_scope.cancel)
        try:
            await group.start(self._keep)
            self._take()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        """Disconnect; a command's process is ended with all that it started."""
        await self._stack.aclose()

    # ---------------------------------------------------------------------------- the connection

    async def _keep(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Hold the connection, and make another when one is lost and somebody calls. One task
        enters and leaves it, as its cancel scopes want."""
        first = True
        while True:
            self._lost, self._wanted = anyio.Event(), anyio.Event()
            with tempfile.TemporaryFile("w+", errors="replace") as said:
                why = ""
                deadline = anyio.current_time() + self.config.start_seconds
                with anyio.CancelScope(deadline=deadline) as scope:
                    try:
                        async with contextlib.AsyncExitStack() as stack:
                            transport = await self._transport(stack, said)
                            client = self._mcp.Client(transport, cache=None)
                            await stack.enter_async_context(client)
                            self._listed = await _all_tools(client)
                            scope.deadline = math.inf
                            self._client = client
                            if first:
                                task_status.started()
                                first = False
                            self._up.set()
                            await self._lost.wait()
                    except Exception as error:  # its own, of starting or of leaving what broke
                        why = _reason(error)
                if scope.cancelled_caught:
                    why = f"no answer within {self.config.start_seconds:g} s"
                said.seek(0)
                words = said.read()[-2000:].strip()
            self._client = None
            self._why = f"MCP server {self.name}: {why or 'it went away'}"
            self._why += f"; it said:\n{words}" if words else ""
            if first:
                raise McpError(self._why)
            self._up.set()  # whoever waits reads why
            await self._wanted.wait()
            self._up = anyio.Event()

    async def _transport(self, stack: contextlib.AsyncExitStack, said: Any) -> Any:
        config = self.config
        if config.command:
            from mcp.client.stdio import stdio_client

            command, *arguments = config.command
            parameters = self._mcp.StdioServerParameters(
                command=command,
                args=arguments,
                env=dict(config.environment),
                cwd=config.folder or None,
            )
            return stdio_client(parameters, errlog=said)
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
        timeout = httpx2.Timeout(config.seconds + 5, connect=config.start_seconds)
        http = httpx2.AsyncClient(headers=headers, timeout=timeout)
        await stack.enter_async_context(http)
        return streamable_http_client(config.url, http_client=http)

    async def _connected(self) -> Any:
        if self._client is None:
            self._wanted.set()
            while self._client is None and self._up.is_set() and self._wanted.is_set():
                await anyio.sleep(0.001)  # until the lost connection is left
            await self._up.wait()
        if self._client is None:
            raise ToolError(self._why or f"MCP server {self.name} cannot be reached")
        return self._client

    # ------------------------------------------------------------------------------------- tools

    def _take(self) -> None:
        config = self.config
        known = [one.name for one in self._listed]
        missing = sorted(set(config.tools) - set(known))
        if missing:
            raise McpError(f"MCP server {self.name} has no tools {missing}; it has {known}")
        taken: list[BoundTool] = []
        for one in self._listed:
            if config.tools and one.name not in config.tools:
                continue
            try:
                taken.append(self._bound(one))
            except ValueError as error:
                self.refused[one.name] = str(error)
        if not taken:
            raise McpError(f"MCP server {self.name} has no tool that can be used: {self.refused}")
        self._toolbox = Toolbox(tuple(taken))

    def _bound(self, listed: Any) -> BoundTool:
        output = cast("dict[str, Any]", listed.output_schema or {})
        wrapped = _wrapped(output)
        try:
            # A result is checked against its whole schema by the protocol's package.
            result = inlined_value(output["properties"][RESULT] if wrapped else output)
        except ValueError:
            result = {}
        name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{self.config.prefix}{listed.name}")[:64]
        made = Tool(
            name=name,
            description=(listed.description or "")[:LONGEST_DESCRIPTION],
            input_schema=inlined(listed.input_schema),
            output_schema=result,
            effects=_effects(listed.annotations) if self.config.trusted else EXTERNAL,
        )

        async def call(**arguments: Any) -> Any:
            return await self._call(listed.name, arguments, wrapped)

        return BoundTool(tool=made, function=call, timeout_s=self.config.seconds)

    async def _call(self, name: str, arguments: dict[str, Any], wrapped: bool) -> Any:
        client = await self._connected()
        try:
            answer = await client.call_tool(
                name, arguments, read_timeout_seconds=self.config.seconds + 1
            )
        except Exception as error:
            code = getattr(error, "code", None)
            if code is not None and code not in _GONE:
                if code == _TIMED_OUT:
                    raise TimeoutError(f"no answer within {self.config.seconds:g} s") from error
                raise ToolError(_reason(error)) from error
            self._client = None
            self._lost.set()
            raise ToolError(
                f"MCP server {self.name} went away during the call ({_reason(error)}); what the "
                "call did is not known"
            ) from error
        return self._value(answer, wrapped)

    def _value(self, answer: Any, wrapped: bool) -> Any:
        blocks = [_block(one) for one in answer.content]
        texts = [one for one in blocks if isinstance(one, str)]
        if answer.is_error:
            raise ToolError(self._cut("\n".join(texts)) or "the server said no more than 'error'")
        value = answer.structured_content
        if value is not None:
            value = value[RESULT] if wrapped and set(value) == {RESULT} else value
        elif len(texts) == len(blocks):
            return self._cut("\n".join(texts)) if blocks else None
        else:
            value = blocks
        size = len(json.dumps(value))
        if size > self.config.characters:
            raise ToolError(
                f"the result has {size} characters as JSON; {self.config.characters} may be. Ask "
                "for less"
            )
        return value

    def _cut(self, text: str) -> str:
        most = self.config.characters
        if len(text) <= most:
            return text
        return f"{text[:most]}\n... ({len(text) - most} more characters were left out)"


@contextlib.contextmanager
def connected(config: McpClient.Config) -> Generator[Toolbox]:
    """A server's tools as functions that wait for their results and may be called from any thread.

    Raises:
        McpError: as on entering :class:`McpClient`.
    """
    client = config.build()
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(client),
    ):

        def waiting(bound: BoundTool) -> BoundTool:
            def call(**arguments: Any) -> Any:
                return portal.call(lambda: bound.function(**arguments))

            return dataclasses.replace(bound, function=call, blocking=True)

        yield Toolbox(tuple(waiting(one) for one in client.toolbox))


_GONE = (-32000,)  # CONNECTION_CLOSED
_TIMED_OUT = -32001  # REQUEST_TIMEOUT


def _effects(annotations: Any) -> Effects:
    """Hints as effects; what is not said is what the protocol assumes, the most careful."""
    if annotations is None:
        return EXTERNAL

    def said(hint: bool | None, default: bool) -> bool:
        return default if hint is None else hint

    return Effects(
        read_only=said(annotations.read_only_hint, False),
        destructive=said(annotations.destructive_hint, True),
        idempotent=said(annotations.idempotent_hint, False),
        open_world=said(annotations.open_world_hint, True),
    )


def _wrapped(output: Mapping[str, Any]) -> bool:
    return set(output.get("properties", {})) == {RESULT} and output.get("required") == [RESULT]


async def _all_tools(client: Any) -> list[Any]:
    listed: list[Any] = []
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        listed += page.tools
        if len(listed) > MOST_TOOLS:
            raise ValueError(f"it lists more than {MOST_TOOLS} tools")
        cursor = page.next_cursor
        if cursor is None:
            return listed


def _block(content: Any) -> Any:
    if content.type == "text":
        return content.text
    return content.model_dump(mode="json", by_alias=True, exclude_none=True)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = cast("BaseException", error.exceptions[0])
    return str(error) or type(error).__name__
