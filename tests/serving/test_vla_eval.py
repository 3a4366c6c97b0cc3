"""vla-eval's protocol: PyPI's unmodified harness evaluates our server, our client asks its servers.

The harness runs a world of ours as its benchmark, through its own extension mechanism.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served_world import WORLD, actions_of, evaluated
from websockets.sync.client import connect

pytest.importorskip("vla_eval")
import vla_eval.api
from vla_eval.connection import Connection
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.specs import DimSpec

from enactive.configuration import save_yaml, to_dict
from enactive.observations import Observation
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.policy import Policy
from enactive.serving import vla_eval_codec
from enactive.serving.mapping import ObservationMap, Vector
from enactive.serving.remote import RemoteError
from enactive.serving.server import Listening, PolicyServer
from enactive.serving.vla_eval import POLICY_SEED, VlaEval
from enactive.serving.vla_eval_benchmark import WorldBenchmark
from enactive.serving.vla_eval_client import VlaEvalRemote
from enactive.serving.vla_eval_codec import Message

TOKEN = "a-token-of-some-length"
BENCHMARK = {
    "benchmark": "enactive.serving.vla_eval_benchmark:WorldBenchmark",
    "params": {"world": "pusht", "options": to_dict(WORLD)},
    "episodes_per_task": 3,
}


@contextmanager
def served(policy: Policy, token: str = "") -> Iterator[PolicyServer]:
    dialogue = VlaEval.Config().build(policy)
    with PolicyServer(Listening(port=0, token=token), dialogue) as server:
        yield server


def told(seen: Observation) -> dict[str, Any]:
    states = np.concatenate([seen.state["proprio"], seen.state["block"]])
    return {"states": states, "task_description": seen.instruction}


def test_the_harness_measures_what_we_measure(policy: ChunkedPolicy, tmp_path: Path) -> None:
    """The command of the package, in a process of its own."""
    file = tmp_path / "config.yaml"
    with served(policy) as server:
        config = {
            "server": {"url": server.url},
            "output_dir": str(tmp_path / "results"),
            "benchmarks": [BENCHMARK],
        }
        file.write_text(json.dumps(config))  # which is YAML
        command = [str(Path(sys.executable).with_name("vla-eval")), "run", "--no-docker"]
        done = subprocess.run(
            [*command, "--config", str(file)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "Spec validation passed" in done.stderr + done.stdout
    found = [json.loads(p.read_text()) for p in (tmp_path / "results").rglob("*.json")]
    episodes = [e for held in found for task in held["tasks"] for e in task["episodes"]]
    ours = evaluated(policy)
    assert [episode["steps"] for episode in episodes] == [result.steps for result in ours]
    rewards = [episode["metrics"]["reward"] for episode in episodes]
    assert rewards == [result.reward for result in ours]
    assert [e["metrics"]["success"] for e in episodes] == [result.success for result in ours]
    assert len(set(rewards)) == 3  # three different episodes, so equality means something


def test_the_harness_in_this_process_sees_the_same(policy: ChunkedPolicy) -> None:
    with served(policy, TOKEN) as server:
        url = server.url.replace("ws://", f"ws://anybody:{TOKEN}@")
        config = {"benchmarks": [BENCHMARK]}
        (result,) = vla_eval.api.run(config, server_url=url, docker=False, no_save=True)
    (task,) = result["tasks"]
    assert [e["steps"] for e in task["episodes"]] == [r.steps for r in evaluated(policy)]
    assert result["server_info"]["enactive"]["policy"] == "chunked"


def test_every_action_is_the_policys(policy: ChunkedPolicy) -> None:
    world = WORLD.build()
    seen = [world.reset(world.spec.tasks[0].task(), seed) for seed in range(6)]

    async def drive(url: str) -> list[np.ndarray]:
        async with Connection(url) as one, Connection(url) as two:
            for connection, seed in ((one, 1), (two, 2)):
                await connection.start_episode({"task": {"name": "x", POLICY_SEED: seed}})
            found = []
            for observation in seen:  # two episodes in turn, each in its own connection
                found += [(await c.act(told(observation)))["actions"] for c in (one, two)]
            await one.end_episode({})
            return found

    with served(policy) as server:
        found = asyncio.run(drive(server.url))
    for seed in (1, 2):
        wanted = np.stack(actions_of(policy, seen, seed))
        assert np.stack(found[seed - 1 :: 2]).tobytes() == wanted.tobytes()


def test_seeds_follow_task_and_episode(policy: ChunkedPolicy) -> None:
    seen = told(WORLD.build().reset(WORLD.build().spec.tasks[0].task(), 1))

    async def drive(url: str) -> list[bytes]:
        found = []
        async with Connection(url) as connection:
            for task in ({"name": "a"}, {"name": "a"}, {"name": "b"},
                         {"name": "a", "episode_idx": 1}):  # fmt: skip
                await connection.start_episode({"task": task})
                found.append((await connection.act(seen))["actions"].tobytes())
        return found

    with served(policy) as server:
        found = asyncio.run(drive(server.url))
    assert found[0] == found[1] and len(set(found)) == 3


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"states": np.zeros(5, np.float32)}, r"'states' must be numbers \(6,\)"),
        ({"states": np.zeros((6, 1), np.float32)}, "must be numbers"),
        ({"task_description": 4}, "must be text"),
    ],
)
def test_what_does_not_fit_is_an_error_and_the_episode_goes_on(
    policy: ChunkedPolicy, payload: dict[str, Any], reason: str
) -> None:
    seen = told(WORLD.build().reset(WORLD.build().spec.tasks[0].task(), 1))

    async def drive(url: str) -> None:
        async with Connection(url) as connection:
            with pytest.raises(RuntimeError, match="no episode has begun"):
                await connection.act(seen)
            await connection.start_episode({"task": {"name": "x", "episode_idx": "first"}})
            assert (await connection.recv()).payload["error"].startswith("EPISODE_START")
            await connection.start_episode({"task": {"name": "x"}})
            with pytest.raises(RuntimeError, match=reason):
                await connection.act({**seen, **payload})
            assert (await connection.act(seen))["actions"].shape == (2,)

    with served(policy) as server:
        asyncio.run(drive(server.url))


@pytest.mark.parametrize("data", [b"\xc1", b"\x90", "text"])
def test_messages_that_cannot_be_read_end_the_connection(
    policy: ChunkedPolicy, data: bytes | str
) -> None:
    with served(policy) as server:
        with connect(server.url) as raw:
            raw.send(data)
            answer = raw.recv()
            assert isinstance(answer, bytes)
            assert vla_eval_codec.decode(answer).type == "error"
        host, port = server.address
        with urllib.request.urlopen(f"http://{host}:{port}/health") as page:
            assert json.loads(page.read()) == {"status": "ok"}
        with connect(server.url) as raw:
            raw.send(vla_eval_codec.encode(Message(type="hello", payload={}, seq=9)))
            answer = raw.recv()
            assert isinstance(answer, bytes)
            hello = vla_eval_codec.decode(answer)
    assert (hello.type, hello.seq, hello.payload["protocol_version"]) == ("hello", 9, 1)
    assert hello.payload["action_spec"]["position"]["dims"] == 2


@pytest.mark.parametrize("lanes", [1, 2])
def test_an_evaluation_of_a_server_of_ours_is_that_of_the_policy(
    policy: ChunkedPolicy, lanes: int
) -> None:
    with served(policy) as server:
        remote = VlaEvalRemote.Config(url=server.url, connections=lanes).build(WORLD.build().spec)
        found = evaluated(remote, lanes)
        remote.close()
    # A server for vla-eval answers step by step, so every step counts as a decision.
    assert found == [replace(r, decisions=r.steps) for r in evaluated(policy)]


class Pusher(PredictModelServer):
    """A model server as theirs are written: chunks of three targets from pusher to block."""

    def predict(self, obs: dict[str, Any], ctx: Any) -> dict[str, Any]:
        state = np.asarray(obs["state"], dtype=np.float64)
        steps = np.array([[0.25], [0.5], [0.75]])
        return {"actions": state[:2] + steps * (state[2:4] - state[:2])}

    def get_action_spec(self) -> dict[str, DimSpec]:
        return {"pusher": DimSpec("pusher", 2, "absolute_px")}

    def get_observation_spec(self) -> dict[str, DimSpec]:
        return {}


@pytest.mark.parametrize("chunk_size", [None, 3])
def test_a_model_server_of_theirs_is_evaluated_with_a_map(
    tmp_path: Path, chunk_size: int | None
) -> None:
    """It sends a chunk at a time, or buffers it and sends one action at a time: the same."""
    file = tmp_path / "map.yaml"
    state = Vector(states=("proprio", "block"), path=("state",))
    save_yaml(ObservationMap(vectors=(state,), instruction=("task_description",)), file)
    with vla_eval.api.serve_background(Pusher(chunk_size=chunk_size)) as server:
        remote = VlaEvalRemote.Config(url=server.url, map=file).build(WORLD.build().spec)
        results = evaluated(remote, 2)
        remote.close()
    spoken = 14 if chunk_size else 5
    assert [(r.steps, r.decisions) for r in results] == [(14, spoken)] * 3
    assert len({r.reward for r in results}) == 3


def test_an_episode_whose_connection_was_given_away_is_an_error(policy: ChunkedPolicy) -> None:
    world = WORLD.build()
    task = world.spec.tasks[0].task()
    seen = world.reset(task, 1)
    with served(policy) as server:
        remote = VlaEvalRemote.Config(url=server.url, connections=1).build(world.spec)
        (first,) = remote.act([seen], [remote.begin(task, 1)])
        remote.act([seen], [remote.begin(task, 2)])
        with pytest.raises(RemoteError, match="raise --remote.connections"):
            remote.act([seen], [first.memory])
        remote.close()


def test_the_benchmark_declares_its_world() -> None:
    benchmark = WorldBenchmark("pusht", to_dict(WORLD))
    assert benchmark.get_metadata() == {"max_steps": 14}
    assert [task["suite"] for task in benchmark.get_tasks()] == ["pusht"]
    assert benchmark.get_action_spec()["position"].range == (0.0, 512.0)
    with pytest.raises(LookupError, match="has no task 'pusht'"):
        WorldBenchmark("pusht", to_dict(WORLD), tasks=["pusht"])
    benchmark.cleanup()
