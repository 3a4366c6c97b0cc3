"""Our tools for others: a toolbox served by the Model Context Protocol.

Over standard input and output, for hosts that start their servers themselves, or over streamable
HTTP. A declared effect becomes an annotation, an output schema is kept, and a failure is a result
marked as an error, which the model on the other side reads.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import json
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import anyio.to_thread

from enactive.actions.json_schema import portable
from enactive.actions.toolbox import BoundTool, CallContext, Toolbox, failed, returned
from enactive.actions.tools import Call, CallResult, Failure, Tool

RESULT = "result"
"""The property that holds a result which is no object: structured results must be objects."""


def mcp_server(toolbox: Toolbox, *, name: str = "enactive", instructions: str = "") -> Any:
    """An ``mcp.server.lowlevel.Server`` with the tools of ``toolbox``.

    Every call is checked against its tool's schemas. A blocking tool runs in a thread. The
    idempotency key of a call is drawn here: the protocol has none.

    Raises:
        ImportError: the package ``mcp`` is not installed.
        ValueError: a schema cannot be shown to others; see
            :func:`enactive.actions.json_schema.portable`.
    """
    try:
        import mcp_types as types
        from mcp.server.lowlevel import Server
    except ImportError as error:
        raise ImportError("MCP needs the package: pip install 'enactive[agents]'") from error
    listed = [_listed(bound.tool, types) for bound in toolbox]

    async def on_list_tools(context: Any, parameters: Any) -> Any:
        return types.ListToolsResult(tools=listed)

    async def on_call_tool(context: Any, parameters: Any) -> Any:
        result = await call_tool(toolbox, parameters.name, parameters.arguments or {})
        if isinstance(result, Failure):
            words = types.TextContent(type="text", text=result.message)
            return types.CallToolResult(content=[words], is_error=True)
        value = result.value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        structured = value if isinstance(value, dict) else {RESULT: value}
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], structured_content=structured
        )

    return Server(
        name,
        instructions=instructions or None,
        on_list_tools=on_list_tools,
        on_call_tool=on_call_tool,
    )


async def call_tool(toolbox: Toolbox, name: str, arguments: dict[str, Any]) -> CallResult:
    """Make one call, of a coroutine or of a function; nothing is raised."""
    call = Call(tool=name, arguments=arguments)
    key = uuid.uuid4().hex
    context = CallContext(path=f"mcp.{key[:8]}", key=key)
    try:
        bound: BoundTool = toolbox.find(name)
    except KeyError as error:
        return Failure(kind="invalid", message=str(error.args[0]), where=context.path)
    if problem := bound.tool.check_arguments(arguments):
        return Failure(kind="invalid", message=f"{name}: {problem}", where=context.path)
    try:
        with anyio.fail_after(bound.timeout_s):
            if bound.blocking:
                value = await anyio.to_thread.run_sync(
                    bound.start, call, context, abandon_on_cancel=True
                )
            else:
                value = bound.start(call, context)
            if hasattr(value, "__await__"):
                value = await value
    except Exception as error:  # a tool's failure is the caller's to read
        return failed(error, call, context)
    return returned(value, bound.tool, context)


async def serve_stdio(toolbox: Toolbox, *, name: str = "enactive", instructions: str = "") -> None:
    """Serve on this process's standard input and output until the other side closes them."""
    from mcp.server.stdio import stdio_server

    server = mcp_server(toolbox, name=name, instructions=instructions)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


@contextlib.asynccontextmanager
async def serving_http(
    toolbox: Toolbox,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    name: str = "enactive",
    instructions: str = "",
) -> AsyncGenerator[str]:
    """Serve over HTTP while the context lasts; the URL.

    Args:
        toolbox: what is served.
        host: an address of this machine; one that others can reach needs a token.
        port: 0 takes a free one.
        token: what callers must send as a bearer token; empty for no check.
        name: what the server calls itself.
        instructions: what a host may tell its model of these tools.

    Raises:
        ValueError: others could reach it, and there is no token.
        OSError: the port is taken.
    """
    import socket

    import uvicorn

    if not token and not _loopback(host):
        raise ValueError(f"serving_http: {host} can be reached by others; give a token")
    server = mcp_server(toolbox, name=name, instructions=instructions)
    app: Any = server.streamable_http_app(host=host)
    with socket.create_server((host, port), family=_family(host)) as listener:
        config = uvicorn.Config(
            _with_token(app, token) if token else app, log_level="warning", lifespan="on"
        )
        served = quiet_server(config)
        async with anyio.create_task_group() as group:
            group.start_soon(served.serve, [listener])
            while not served.started:
                await anyio.sleep(0.01)
            shown = f"[{host}]" if ":" in host else host
            try:
                yield f"http://{shown}:{listener.getsockname()[1]}/mcp"
            finally:
                served.should_exit = served.force_exit = True


def quiet_server(config: Any) -> Any:
    """A ``uvicorn.Server`` that leaves the process's signals alone."""
    import uvicorn

    class Quiet(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            yield

    return Quiet(config)


def _listed(tool: Tool, types: Any) -> Any:
    output = dict(tool.output_schema)
    if output.get("type") != "object":
        inner = output or {}
        output = {"type": "object", "properties": {RESULT: inner}, "required": [RESULT]}
    try:
        schema = portable(tool.input_schema)
    except ValueError as error:
        raise ValueError(f"tool {tool.name!r}: {error}") from error
    effects = tool.effects
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=schema,
        output_schema=output,
        annotations=types.ToolAnnotations(
            read_only_hint=effects.read_only,
            destructive_hint=effects.destructive,
            idempotent_hint=effects.idempotent,
            open_world_hint=effects.open_world,
        ),
    )


def _with_token(app: Any, token: str) -> Any:
    expected = f"Bearer {token}".encode()

    async def checked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, expected):
                headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    return checked


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _family(host: str) -> Any:
    import socket

    return socket.AF_INET6 if ":" in host else socket.AF_INET
