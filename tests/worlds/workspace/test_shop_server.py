"""The shop over real HTTP: durable idempotency, and the same answers as the sealed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from enactive.actions.toolbox import CallContext
from enactive.actions.tools import Call, Returned
from enactive.observations import Task
from enactive.worlds.workspace.shop_server import ShopServer
from enactive.worlds.workspace.world import Workspace, expert_action, problem_of
from enactive.worlds.world import NotSupported

STATE = problem_of("shop-1", 0).state


def request(url: str, operation: str, arguments: Any, key: str = "") -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    with httpx.Client(trust_env=False) as client:
        return client.post(f"{url}/sessions/s/{operation}", json=arguments, headers=headers)


def test_the_served_shop_and_the_sealed_one_say_the_same(tmp_path: Path) -> None:
    sealed = Workspace.Config(domains=("shop",)).build()
    with ShopServer.Config(database=tmp_path / "shop.sqlite").build() as server:
        served = Workspace.Config(domains=("shop",), shop_url=server.url).build()
        assert all(b.tool.effects.open_world for b in list(served.toolbox)[:-1])
        for number in range(1, 5):
            task = Task(name=f"shop-{number}", instruction="")
            seen = [world.reset(task, 5) for world in (sealed, served)]
            assert seen[0].instruction == seen[1].instruction
            ended = False
            while not ended:
                action = expert_action(task.name, seen[0].privileged["workspace"])
                steps = [world.step(action) for world in (sealed, served)]
                assert steps[0].observation.text == steps[1].observation.text
                assert steps[0].success == steps[1].success
                seen, ended = [step.observation for step in steps], steps[0].terminated
            assert steps[1].success
        with pytest.raises(NotSupported):
            served.snapshot()
        served.close()


def test_a_repeated_key_does_the_work_once(tmp_path: Path) -> None:
    with ShopServer.Config(database=tmp_path / "shop.sqlite").build() as server:
        httpx.put(f"{server.url}/sessions/s", json=STATE, trust_env=False)
        add = {"sku": "mug1", "quantity": 1}
        first = request(server.url, "add_to_cart", add, "k1")
        again = request(server.url, "add_to_cart", add, "k1")
        assert first.json() == again.json() and first.status_code == 200
        assert first.json()["value"]["cart"][0]["quantity"] == 1
        # Careless: the same key with another request must not hide it.
        other = request(server.url, "add_to_cart", {"sku": "mug2", "quantity": 1}, "k1")
        assert other.status_code == 409 and "another request" in other.json()["error"]
        # A refusal is a reply as well.
        refused = [request(server.url, "refund_order", {"order": "o9"}, "k2") for _ in range(2)]
        assert refused[0].json() == refused[1].json() and refused[0].status_code == 409
        kept = httpx.get(f"{server.url}/sessions/s", trust_env=False).json()
        assert kept["effects"] == [["add_to_cart", "k1"]]


def test_a_killed_server_remembers_its_keys(tmp_path: Path) -> None:
    def serve() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "enactive.worlds.workspace.shop_server",
                   str(tmp_path / "shop.sqlite")]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    add = {"sku": "rug1", "quantity": 1}
    replies: list[Any] = []
    for _ in range(2):
        process, url = serve()
        try:
            httpx.put(f"{url}/sessions/s", json=STATE, trust_env=False)
            replies.append(request(url, "add_to_cart", add, "k").json())
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    assert replies[0] == replies[1]
    with ShopServer.Config(database=tmp_path / "shop.sqlite").build() as server:
        kept = httpx.get(f"{server.url}/sessions/s", trust_env=False).json()
    assert kept["cart"] == {"rug1": 1} and kept["effects"] == [["add_to_cart", "k"]]


def test_the_same_call_made_again_after_a_crash_buys_once(tmp_path: Path) -> None:
    """Re-execution of effects on resume is the commonest complaint about agent frameworks."""
    with ShopServer.Config(database=tmp_path / "shop.sqlite").build() as server:
        results: list[Any] = []
        for _ in range(2):  # two lives of one run
            world = Workspace.Config(domains=("shop",), shop_url=server.url).build()
            world.reset(Task(name="shop-1", instruction=""), 0)
            call = Call(tool="add_to_cart", arguments={"sku": "mug1", "quantity": 1})
            context = CallContext(path="0.0.0", key="made-by-the-runtime")
            results.append(world.toolbox.call(call, context))
            world.close()
        assert isinstance(results[0], Returned) and results[0] == results[1]


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    with ShopServer.Config(database=tmp_path / "shop.sqlite").build() as server:
        assert request(server.url, "view_cart", {}).status_code == 404
        httpx.put(f"{server.url}/sessions/s", json=STATE, trust_env=False)
        assert request(server.url, "steal", {}).status_code == 404
        assert request(server.url, "add_to_cart", {"sku": "mug1"}).status_code == 400
        assert httpx.get(f"{server.url}/etc/passwd", trust_env=False).status_code == 404
