"""The Model Context Protocol: a server that is not ours, and our tools for a client that is not."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.serving.shelf_server import made

from enactive.actions.json_schema import CHARACTERS
from enactive.actions.signature import toolbox
from enactive.actions.toolbox import CallContext, ToolError
from enactive.actions.tools import EXTERNAL, READS, Call, Effects, Failure, Returned
from enactive.serving.mcp_client import McpClient, McpError, connected
from enactive.serving.mcp_server import serving_http
from enactive.worlds.tool_world import call_in_order

mcp = pytest.importorskip("mcp")


TIME = McpClient.Config(
    command=(sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC"), seconds=20.0
)
SHELF = str(Path(__file__).with_name("shelf_server.py"))
TOKYO = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}


def shelf(folder: Path, **options: Any) -> McpClient.Config:
    return McpClient.Config(command=(sys.executable, SHELF, str(folder)), **options)


# ------------------------------------------------------------------- a server that is not ours


@pytest.fixture(scope="module")
def time_tools() -> Any:
    with connected(TIME) as tools:
        yield tools


def test_anothers_tools_are_typed_tools(time_tools: Any) -> None:
    one = time_tools.find("convert_time").tool
    assert one.effects == Effects(read_only=True, open_world=False)
    assert one.input_schema["required"] == ["source_timezone", "time", "target_timezone"]
    assert one.output_schema["properties"]["time_difference"] == {"type": "string"}
    assert "$" not in json.dumps([one.input_schema, one.output_schema])


def test_anothers_tools_are_called(time_tools: Any) -> None:
    calls = (
        Call(tool="convert_time", arguments=TOKYO, id="a"),
        Call(tool="convert_time", arguments={**TOKYO, "time": "noon"}, id="b"),
        Call(tool="convert_time", arguments={"time": "12:00"}, id="c"),
        Call(tool="get_current_time", arguments={"timezone": "Europe/Nowhere"}, id="d"),
    )
    good, bad, incomplete, unknown = call_in_order(time_tools, calls, "0.0")
    assert isinstance(good, Returned) and good.value["time_difference"] == "+9.0h"
    assert isinstance(bad, Failure) and "HH:MM" in bad.message
    assert isinstance(incomplete, Failure) and incomplete.kind == "invalid"
    assert isinstance(unknown, Failure) and "Europe/Nowhere" in unknown.message


def test_an_untrusted_servers_annotations_are_not_believed() -> None:
    with connected(McpClient.Config(command=TIME.command, trusted=False, prefix="clock_",
                                    tools=("convert_time",))) as tools:  # fmt: skip
        assert [one.tool.name for one in tools] == ["clock_convert_time"]
        assert tools[0].tool.effects == EXTERNAL


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (McpClient.Config(command=("no-such-command",)), "no-such-command"),
        (McpClient.Config(command=("sh", "-c", "echo this is broken >&2; exit 3")),
         "it said:\nthis is broken"),
        (McpClient.Config(command=("sleep", "9"), start_seconds=0.3), "no answer within 0.3 s"),
        (McpClient.Config(url="http://127.0.0.1:9/mcp", start_seconds=5.0), "127.0.0.1:9"),
        (McpClient.Config(command=TIME.command, tools=("convert",)), r"no tools \['convert'\]"),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_used_says_why(config: McpClient.Config, message: str) -> None:
    with pytest.raises(McpError, match=message), connected(config):
        pass


def test_the_configuration_is_checked() -> None:
    with pytest.raises(ValueError, match="either command or url"):
        McpClient.Config().build()
    with pytest.raises(ValueError, match="token goes with url"):
        McpClient.Config(command=("x",), token="t").build()
    with pytest.raises(RuntimeError, match="not connected"):
        _ = McpClient.Config(command=("x",)).build().toolbox


# --------------------------------------------------------------------- our tools, their client


async def over_stdio(folder: Path, use: Callable[[Any], Awaitable[None]]) -> None:
    parameters = mcp.StdioServerParameters(command=sys.executable, args=[SHELF, str(folder)])
    async with mcp.Client(parameters) as client:
        await use(client)


async def over_http(folder: Path, use: Callable[[Any], Awaitable[None]]) -> None:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async with serving_http(made(folder), token="secret") as url:
        headers = {"Authorization": "Bearer secret"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            mcp.Client(streamable_http_client(url, http_client=http)) as client,
        ):
            await use(client)


@pytest.mark.parametrize("transport", [over_stdio, over_http])
def test_our_tools_are_driven_by_the_protocols_own_client(transport: Any, tmp_path: Path) -> None:
    async def use(client: Any) -> None:
        listed = {one.name: one for one in (await client.list_tools()).tools}
        assert list(listed) == ["where", "put", "names", "think", "wait", "shout", "crash"]
        hints = listed["put"].annotations
        assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint,
                hints.open_world_hint) == (False, False, True, False)  # fmt: skip
        assert listed["where"].input_schema["properties"]["name"]["maxLength"] == CHARACTERS
        assert listed["where"].output_schema["properties"]["side"]["enum"] == ["left", "right"]
        assert listed["names"].input_schema["properties"] == {}

        put = await client.call_tool("put", {"name": "cup", "place": {"shelf": 3}})
        assert put.structured_content == {"result": "cup is on 3, left"} and not put.is_error
        where = await client.call_tool("where", {"name": "cup"})
        assert where.structured_content == {"shelf": 3, "side": "left"}
        assert json.loads(where.content[0].text) == {"shelf": 3, "side": "left"}
        assert (await client.call_tool("think", {"seconds": 0.01})).structured_content == {
            "result": 0.01
        }
        for name, arguments, words in [
            ("where", {"name": "plate"}, "there is no 'plate'; there are ['cup']"),
            ("put", {"name": "cup", "place": {"shelf": "top"}}, "arguments.place.shelf"),
            ("lift", {}, "no tool is called 'lift'"),
        ]:
            failed = await client.call_tool(name, arguments)
            assert failed.is_error and words in failed.content[0].text

    anyio.run(transport, tmp_path, use)
    assert (tmp_path / "cup").read_text() == "3"


def test_http_wants_the_token_and_refuses_addresses_that_others_reach(tmp_path: Path) -> None:
    async def main() -> None:
        import httpx

        async with serving_http(made(tmp_path), token="secret") as url, httpx.AsyncClient() as http:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
                answer = await http.post(url, json={}, headers=headers)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
            headers = {"Authorization": "Bearer secret"}
            assert (await http.post(url, json={}, headers=headers)).status_code != 401
            other = {**headers, "Host": "elsewhere.example"}  # a page that rebinds its name
            assert (await http.post(url, json={}, headers=other)).status_code in (403, 421)
        with pytest.raises(ValueError, match=r"0\.0\.0\.0 can be reached by others; give a token"):
            async with serving_http(made(tmp_path), host="0.0.0.0"):
                pass

    anyio.run(main)


# ------------------------------------------------------------------------- ours on both sides


def test_a_toolbox_comes_back_as_it_was(tmp_path: Path) -> None:
    ours = {one.tool.name: one.tool for one in made(tmp_path)}
    with connected(shelf(tmp_path)) as tools:
        for bound in tools:
            tool = ours[bound.tool.name]
            assert bound.tool.effects == tool.effects and bound.tool.description == tool.description
            assert bound.tool.output_schema == tool.output_schema
        context = CallContext(path="0", key="0")
        tools.find("put").function(name="cup", place={"shelf": 2})
        assert tools.call(Call(tool="names", arguments={}), context) == Returned(value=["cup"])
        place = tools.call(Call(tool="where", arguments={"name": "cup"}), context)
        assert place == Returned(value={"shelf": 2, "side": "left"})
        keys = {tools.find("wait").function(seconds=0.0) for _ in range(2)}
        assert len(keys) == 2


def test_results_and_time_are_bounded(tmp_path: Path) -> None:
    with connected(shelf(tmp_path, characters=100, seconds=0.5)) as tools:
        with pytest.raises(ToolError, match="the result has 1002 characters"):
            tools.find("shout").function(times=1000)
        assert tools.find("shout").function(times=90) == "x" * 90
        for name in ("think", "wait"):
            with pytest.raises(
                (TimeoutError, ToolError), match="no answer within 0.5 s|[Tt]imed out"
            ):
                tools.find(name).function(seconds=1.5)
        assert tools.find("shout").function(times=1) == "x"


def test_calls_run_side_by_side(tmp_path: Path) -> None:
    with connected(shelf(tmp_path)) as tools:
        tools.find("names").function()
        threads = [
            threading.Thread(target=tools.find("wait").function, kwargs={"seconds": 0.5})
            for _ in range(8)
        ]
        begin = time.monotonic()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert time.monotonic() - begin < 3.0  # one after the other they take 4


def test_a_server_that_dies_fails_its_call_and_is_started_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with shelf(tmp_path).build() as client:
            names, crash = (client.toolbox.find(one).function for one in ("names", "crash"))
            assert await names() == []
            for _ in range(2):
                with pytest.raises(ToolError, match="went away during the call.*is not known"):
                    await crash()
                assert await names() == []
            client.config = McpClient.Config(command=("sh", "-c", "echo worn out >&2; exit 1"))
            with pytest.raises(ToolError, match="went away"):
                await crash()
            for _ in range(2):
                with pytest.raises(ToolError, match="it said:\nworn out"):
                    await names()
            client.config = shelf(tmp_path)
            assert await names() == []

    anyio.run(main)


def test_a_tool_whose_schema_cannot_be_written_out_is_left_out() -> None:
    import mcp_types as types
    from mcp.server.lowlevel import Server

    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    plain = {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}},
             "$defs": {"X": {"type": "integer"}}}  # fmt: skip

    async def on_list_tools(context: Any, parameters: Any) -> Any:
        tools = [("tree", tree), ("a.b/c", plain)]
        return types.ListToolsResult(
            tools=[types.Tool(name=name, input_schema=schema) for name, schema in tools]
        )

    async def on_call_tool(context: Any, parameters: Any) -> Any:
        picture = types.ImageContent(type="image", data="aGk=", mime_type="image/png")
        words = types.TextContent(type="text", text=f"{parameters.name} {parameters.arguments}")
        return types.CallToolResult(content=[words, picture])

    async def main() -> None:
        import uvicorn

        from enactive.serving.mcp_server import quiet_server

        server = Server("odd", on_list_tools=on_list_tools, on_call_tool=on_call_tool)
        app = server.streamable_http_app()
        quiet = quiet_server(uvicorn.Config(app, port=0, log_level="warning"))
        async with anyio.create_task_group() as group:
            group.start_soon(quiet.serve)
            while not quiet.started:
                await anyio.sleep(0.01)
            port = quiet.servers[0].sockets[0].getsockname()[1]
            async with McpClient.Config(url=f"http://127.0.0.1:{port}/mcp").build() as client:
                assert "contains itself" in client.refused["tree"]
                (bound,) = client.toolbox
                assert bound.tool.name == "a_b_c" and bound.tool.effects == EXTERNAL
                assert bound.tool.input_schema["properties"] == {"x": {"type": "integer"}}
                words, picture = await bound.function(x=3)
                assert words == "a.b/c {'x': 3}" and picture["mimeType"] == "image/png"
            quiet.should_exit = quiet.force_exit = True

    anyio.run(main)


def test_served_functions_may_be_plain(tmp_path: Path) -> None:
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    async def main() -> None:
        async with (
            serving_http(toolbox(add)) as url,
            McpClient.Config(url=url).build() as client,
        ):
            assert await client.toolbox.find("add").function(a=2) == 3
            assert client.toolbox[0].tool.output_schema == {"type": "integer"}
            assert client.toolbox[0].tool.effects != READS

    anyio.run(main)
