"""Processes killed at random moments, with effects on a real HTTP server: none lost, none twice."""

from __future__ import annotations

import collections
import dataclasses
import os
import signal
import subprocess
import sys
import time
import traceback

import anyio
import httpx
import numpy as np
from tests.runtime.ledger_world import NAME, LedgerWorld, Script, call, schema, together

from enactive.actions.toolbox import BoundTool, CallContext
from enactive.actions.tools import EXTERNAL, Call, Effects, Tool
from enactive.episodes.action_log import ActionLog
from enactive.observations import Task
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.replay import replay
from enactive.runtime.run import resume, run

KILLS = 200
POSTS = [f"letter {i}" for i in range(24)]
BARE = [f"bare {i}" for i in range(6)]


def actions():
    yield call("pay", name="ann", amount=7)
    for i in range(0, 24, 4):
        yield together(*[call("post", letter=text) for text in POSTS[i : i + 3]],
                       call("pay", name="bob", amount=i))  # fmt: skip
        yield call("post", letter=POSTS[i + 3])
        yield call("put", slot=f"slot{i}", letter=POSTS[i])
        yield call("bare", letter=BARE[i // 4])
    yield call("answer", text="done")


class Remote:
    """The server's client, as tools."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=10)

    def post(self, letter: str, context: CallContext) -> int:
        headers = {"Idempotency-Key": context.key}
        return self.client.post("/effects", content=letter, headers=headers).json()["receipt"]

    def put(self, slot: str, letter: str) -> bool:
        return self.client.put(f"/slots/{slot}", content=letter).json()["ok"]

    def bare(self, letter: str) -> int:
        return self.client.post("/effects", content=letter).json()["receipt"]

    async def happened(self, call: Call, path: str) -> bool:
        return call.arguments["letter"] in self.client.get("/effects").json()["done"]


def agent(url: str) -> AgentRun:
    remote, world = Remote(url), LedgerWorld()
    letter, slot = schema(letter=NAME), schema(slot=NAME, letter=NAME)
    world._toolbox = world.toolbox.with_tools(
        BoundTool(tool=Tool(name="post", description="", input_schema=letter, effects=EXTERNAL,
                            resources=("letter:{letter}",)),
                  function=remote.post, context="context", keyed=True, blocking=True),
        BoundTool(tool=Tool(name="put", description="", input_schema=slot,
                            effects=Effects(idempotent=True)), function=remote.put),
        BoundTool(tool=Tool(name="bare", description="", input_schema=letter, effects=EXTERNAL),
                  function=remote.bare),
    )  # fmt: skip
    world._spec = dataclasses.replace(world.spec, accepts=world.toolbox.space(parallel=8))
    script = Script(list(actions()))
    return AgentRun(world=world, policy=lambda model: script, doubt=remote, seed=1,
                    task=Task(name="pay", instruction="pay"))  # fmt: skip


def attempt(url: str, path, id: str) -> None:
    with ActionLog(path) as log:
        begun = id in [episode.id for episode in log.episodes()]
        if begun and log.episode(id).outcome is not None:
            return  # it was killed after all was done
        anyio.run(resume if begun else run, agent(url), log, id)


def in_a_process(url: str, path, id: str, seconds: float | None) -> bool:
    """Run or resume the episode in a process that is killed after some time; whether it ended."""
    child = os.fork()
    if child == 0:
        try:
            attempt(url, path, id)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return not os.WIFSIGNALED(status)


def test_killed_at_two_hundred_moments_no_effect_is_lost_or_repeated(tmp_path):
    generator = np.random.default_rng(7)
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        path = tmp_path / f"{runs}.sqlite"
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.effects_server"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            while not in_a_process(url, path, "e", 0.01 + 0.25 * generator.random()):
                kills += 1
            done = httpx.get(f"{url}/effects").json()
        assert collections.Counter(done["done"]) == collections.Counter(POSTS + BARE)
        assert done["slots"] == {f"/slots/slot{i}": POSTS[i] for i in range(0, 24, 4)}
        with ActionLog(path) as log:
            assert log.episode("e").outcome["success"]
            posted = [entry.value for entry in log.entries("e")
                      if entry.kind == "result" and entry.path.split(".")[1] == "0"]  # fmt: skip
            assert len(posted) == 1 + 6 * 7 + 1
            assert anyio.run(replay, agent("http://127.0.0.1:9"), log, "e").equal
    assert runs > 1
