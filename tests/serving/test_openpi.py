"""openpi's protocol: PyPI's unmodified client drives our server, our client drives servers."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from served_world import WORLD, actions_of, evaluated
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

from enactive.configuration import save_yaml
from enactive.evaluation.plan import evaluation_plan
from enactive.evaluation.rollouts import rollout
from enactive.observations import Observation
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.policy import Policy, WiringError
from enactive.policies.random_policy import RandomPolicy
from enactive.seeding import child_seed
from enactive.serving import openpi_codec
from enactive.serving.arrays import Limits
from enactive.serving.mapping import MappingError, ObservationMap, Vector
from enactive.serving.openpi import EPISODE, OpenPI
from enactive.serving.openpi_client import OpenPIRemote
from enactive.serving.remote import RemoteError
from enactive.serving.server import Listening, PolicyServer
from enactive.worlds.pool import WorldPool
from enactive.worlds.pusht import PushT

TOKEN = "a-token-of-some-length"


@contextmanager
def served(policy: Policy, **listening: Any) -> Iterator[PolicyServer]:
    dialogue = OpenPI.Config().build(policy)
    with PolicyServer(Listening(port=0, **listening), dialogue) as server:
        yield server


@contextmanager
def client(openpi_client: SimpleNamespace, server: PolicyServer, key: str = "") -> Iterator[Any]:
    made = openpi_client.Client(*server.address, api_key=key or None)
    try:
        yield made
    finally:
        made._ws.close()


def told(seen: Observation) -> dict[str, Any]:
    """What somebody who read the metadata sends."""
    return {
        "observation/proprio": seen.state["proprio"],
        "observation/block": seen.state["block"],
        "prompt": seen.instruction,
    }


def test_openpi_client_acts_like_the_policy_called_directly(
    openpi_client: SimpleNamespace, policy: ChunkedPolicy
) -> None:
    world = WORLD.build()
    seen = [world.reset(world.spec.tasks[0].task(), 3)]
    actions: list[np.ndarray] = []
    with served(policy) as server, client(openpi_client, server) as remote:
        metadata = remote.get_server_metadata()
        assert metadata["action_horizon"] == 4
        assert metadata["enactive"]["observes"]["states"][0]["names"] == ["pusher.x", "pusher.y"]
        broker = openpi_client.Broker(remote, metadata["action_horizon"])
        timings = []
        for _ in range(10):
            answer = broker.infer(told(seen[-1]))
            timings.append(answer["server_timing"])
            actions.append(answer["actions"])
            seen.append(world.step(answer["actions"]).observation)
    seed = child_seed(0, "served", "")
    assert np.stack(actions).tobytes() == np.stack(actions_of(policy, seen[:-1], seed)).tobytes()
    assert actions[0].dtype == np.float32 and len({a.tobytes() for a in actions}) == 10
    assert set(timings[0]) == {"infer_ms"} and set(timings[4]) == {"infer_ms", "prev_total_ms"}


def test_an_episode_begins_with_a_connection_or_on_request(
    openpi_client: SimpleNamespace, policy: ChunkedPolicy
) -> None:
    world = WORLD.build()
    seen = world.reset(world.spec.tasks[0].task(), 3)
    with served(policy) as server:
        with client(openpi_client, server) as remote:
            first = remote.infer(told(seen))["actions"]
            second = remote.infer(told(seen))["actions"]
            again = remote.infer({**told(seen), EPISODE: {}})["actions"]
            other = remote.infer({**told(seen), EPISODE: {"seed": 5}})["actions"]
            third = remote.infer({**told(seen), EPISODE: {"request": 1}})["actions"]
        with client(openpi_client, server) as remote:
            assert remote.infer(told(seen))["actions"].tobytes() == first.tobytes()
    assert again.tobytes() == first.tobytes()
    assert len({chunk.tobytes() for chunk in (first, second, other, third)}) == 4
    wanted = actions_of(policy, [seen] * 8, 5)
    assert np.concatenate([other, third]).tobytes() == np.stack(wanted).tobytes()


def test_clients_at_once_have_episodes_of_their_own(
    openpi_client: SimpleNamespace, policy: ChunkedPolicy
) -> None:
    world = WORLD.build()
    task = world.spec.tasks[0].task()
    seen = {seed: world.reset(task, seed) for seed in (1, 2)}
    found: dict[int, list[np.ndarray]] = {1: [], 2: []}
    meet = threading.Barrier(2)

    def drive(seed: int, server: PolicyServer) -> None:
        with client(openpi_client, server) as remote:
            for request in range(6):
                meet.wait(60)
                episode = {"request": request, **({} if request else {"seed": seed})}
                answer = remote.infer({**told(seen[seed]), EPISODE: episode})
                found[seed].extend(answer["actions"])

    with served(policy) as server:
        threads = [threading.Thread(target=drive, args=(seed, server)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for seed in (1, 2):
        wanted = actions_of(policy, [seen[seed]] * 24, seed)
        assert np.stack(found[seed]).tobytes() == np.stack(wanted).tobytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"observation/block": np.zeros(3)}, r"'observation/block' must be numbers \(4,\)"),
        ({"observation/block": np.full(4, np.nan)}, "not finite"),
        ({"observation/proprio": "text"}, "must be numbers"),
        ({"prompt": 3}, "'prompt' must be text"),
        ({EPISODE: {"request": 4}}, "has not begun"),
        ({EPISODE: {"seed": -1}}, "at least 0"),
        ({EPISODE: "reset"}, "is a map"),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_clients(
    openpi_client: SimpleNamespace, policy: ChunkedPolicy, change: dict[str, Any], reason: str
) -> None:
    seen = WORLD.build().reset(WORLD.build().spec.tasks[0].task(), 3)
    with served(policy) as server:
        with client(openpi_client, server) as remote:
            with pytest.raises(RuntimeError, match=reason):
                remote.infer({**told(seen), **change})
            with pytest.raises(ConnectionClosed):  # as openpi's own server does after an error
                remote.infer(told(seen))
        with client(openpi_client, server) as remote:
            assert remote.infer(told(seen))["actions"].shape == (4, 2)


@pytest.mark.parametrize("data", [b"\xc1", b"\x93", b"\x01", "text"])
def test_malformed_messages_are_refused_and_the_next_client_is_served(
    openpi_client: SimpleNamespace, policy: ChunkedPolicy, data: bytes | str
) -> None:
    seen = WORLD.build().reset(WORLD.build().spec.tasks[0].task(), 3)
    with served(policy) as server:
        with connect(server.url) as raw:
            raw.recv()
            raw.send(data)
            assert isinstance(raw.recv(), str)
            with pytest.raises(ConnectionClosed) as closed:
                raw.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1007
        with client(openpi_client, server) as remote:
            assert remote.infer(told(seen))["actions"].shape == (4, 2)


def test_frames_over_the_limit_are_not_even_read(policy: ChunkedPolicy) -> None:
    with (
        served(policy, limits=Limits(message_bytes=1000)) as server,
        connect(server.url) as raw,
    ):
        raw.recv()
        raw.send(bytes(1001))
        with pytest.raises(ConnectionClosed) as closed:
            raw.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_a_client_that_vanishes_leaves_room(
    openpi_client: SimpleNamespace, policy: ChunkedPolicy
) -> None:
    seen = WORLD.build().reset(WORLD.build().spec.tasks[0].task(), 3)
    with served(policy, connections=1) as server:
        gone = openpi_client.Client(*server.address)
        with pytest.raises(InvalidStatus, match="503"):
            openpi_client.Client(*server.address)
        gone._ws.send(openpi_client.codec.packb(told(seen)))
        gone._ws.socket.shutdown(2)  # no goodbye, and an answer under way
        for _ in range(200):
            try:
                with client(openpi_client, server) as remote:
                    assert remote.infer(told(seen))["actions"].shape == (4, 2)
                break
            except InvalidStatus:
                time.sleep(0.05)
        else:
            pytest.fail("the server still counts a client that is gone")


def test_the_token_is_asked_for_and_health_is_not(
    openpi_client: SimpleNamespace, policy: ChunkedPolicy
) -> None:
    with served(policy, token=TOKEN) as server:
        with client(openpi_client, server, TOKEN) as remote:
            assert remote.get_server_metadata()["action_horizon"] == 4
        host, port = server.address
        with connect(f"ws://anybody:{TOKEN}@{host}:{port}") as raw:
            assert isinstance(raw.recv(), bytes)
        for key in ("", "another-token-of-length", TOKEN[:-1]):
            with pytest.raises(InvalidStatus, match="401"):
                openpi_client.Client(host, port, api_key=key or None)
        with urllib.request.urlopen(f"http://{host}:{port}/healthz") as page:
            assert (page.status, page.read()) == (200, b"OK\n")


def test_pages_in_a_browser_are_turned_away(policy: ChunkedPolicy) -> None:
    with served(policy) as server, pytest.raises(InvalidStatus, match="403"):
        connect(server.url, origin="http://somewhere.example")  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.org"])
def test_other_interfaces_than_loopback_need_a_token(host: str) -> None:
    with pytest.raises(ValueError, match="not this machine's loopback"):
        Listening(host=host)
    assert Listening(host=host, token=TOKEN).host == host
    with pytest.raises(ValueError, match="at least 16 characters"):
        Listening(host=host, token="short")
    assert TOKEN not in repr(Listening(host=host, token=TOKEN))


def test_a_chunk_is_no_longer_than_the_policy_acts_without_looking(
    policy: ChunkedPolicy,
) -> None:
    assert OpenPI.Config().build(policy).served.chunk == 4
    assert OpenPI.Config(chunk=2).build(policy).served.chunk == 2
    with pytest.raises(ValueError, match="looks again after 4 steps"):
        OpenPI.Config(chunk=5).build(policy)
    assert OpenPI.Config(chunk=9).build(RandomPolicy(policy.produces)).served.chunk == 9
    with pytest.raises(MappingError, match="the protocol's own"):
        OpenPI.Config().build(
            RandomPolicy(policy.produces), ObservationMap(instruction=(EPISODE, "prompt"))
        )


@pytest.mark.parametrize("lanes", [1, 2])
def test_an_evaluation_of_a_server_of_ours_is_that_of_the_policy(
    policy: ChunkedPolicy, lanes: int
) -> None:
    with served(policy) as server:
        remote = OpenPIRemote.Config(url=server.url).build(WORLD.build().spec)
        try:
            assert remote.name == "remote chunked" and remote.produces == policy.produces
            found = evaluated(remote, lanes)
        finally:
            remote.close()
    assert found == evaluated(policy)


def test_wiring_is_checked_across_the_network(policy: ChunkedPolicy) -> None:
    with served(policy) as server:
        remote = OpenPIRemote.Config(url=server.url).build(WORLD.build().spec)
        with (
            WorldPool(PushT.Config(cameras=(), states=("proprio",)), 0) as pool,
            pytest.raises(WiringError, match="state vector 'block' is not shown"),
        ):
            rollout(pool, remote, evaluation_plan(pool.spec, [pool.spec.tasks[0].name], 1))
        remote.close()


@dataclass
class Foreign:
    """A server as openpi's own: it keeps nothing and says nothing of itself. Each answer is a
    chunk of three targets between the pusher and the block."""

    codec: Any
    answer: Any = None

    def chunk(self, message: dict[str, Any]) -> np.ndarray:
        state = np.asarray(message["observation/state"], dtype=np.float64)
        steps = np.array([[0.25], [0.5], [0.75]])
        return state[:2] + steps * (state[2:4] - state[:2])

    def __call__(self, connection: Any) -> None:
        connection.send(self.codec.packb({"robot": "pusher"}))
        for data in connection:
            actions = self.chunk(self.codec.unpackb(data)) if self.answer is None else self.answer
            connection.send(
                actions if isinstance(actions, str) else self.codec.packb({"actions": actions})
            )


@contextmanager
def listening(handler: Any) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0, compression=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_foreign_server_is_evaluated_with_a_map(
    openpi_client: SimpleNamespace, tmp_path: Path
) -> None:
    file = tmp_path / "map.yaml"
    state = Vector(states=("proprio", "block"), path=("observation/state",))
    save_yaml(ObservationMap(vectors=(state,)), file)
    foreign = Foreign(openpi_client.codec)
    world = WORLD.build()
    seen = world.reset(world.spec.tasks[0].task(), 1)
    with listening(foreign) as url:
        remote = OpenPIRemote.Config(url=url, map=file, execute=2).build(world.spec)
        results = evaluated(remote)
        assert [(r.steps, r.decisions) for r in results] == [(14, 7)] * 3
        memory, actions = remote.begin(world.spec.tasks[0].task(), 0), []
        for _ in range(3):
            decision = remote.act([seen], [memory])[0]
            memory = decision.memory
            actions.append(decision.action)
        remote.close()
    sent = np.concatenate([seen.state["proprio"], seen.state["block"]])
    wanted = foreign.chunk({"observation/state": sent})[[0, 1, 0]].astype(np.float32)
    assert np.stack(actions).tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Traceback: out of memory", "the server says: Traceback"),
        (np.zeros((3, 7), np.float32), r"expected finite actions \(k, 2\)"),
        (np.zeros(2, np.float32), "expected finite actions"),
        (np.full((1, 2), np.inf), "expected finite actions"),
        (np.zeros((0, 2)), "expected finite actions"),
        (3, "no array called 'actions'"),
    ],
)
def test_answers_that_are_no_actions_are_said_to_be_none(
    openpi_client: SimpleNamespace, answer: Any, reason: str
) -> None:
    spec = WORLD.build().spec
    with listening(Foreign(openpi_client.codec, answer)) as url:
        remote = OpenPIRemote.Config(url=url).build(spec)
        seen = WORLD.build().reset(spec.tasks[0].task(), 1)
        with pytest.raises(RemoteError, match=reason):
            remote.act([seen], [remote.begin(spec.tasks[0].task(), 0)])
        remote.close()


def test_servers_that_are_not_there_and_urls_that_are_none() -> None:
    spec = WORLD.build().spec
    with pytest.raises(RemoteError, match="no server answers there"):
        OpenPIRemote.Config(url="ws://127.0.0.1:1").build(spec)
    with pytest.raises(ValueError, match="is not like ws://"):
        OpenPIRemote.Config(url="http://127.0.0.1:8000").build(spec)

    def other(connection: Any) -> None:
        connection.send(openpi_codec.encode([1, 2]))

    with listening(other) as url, pytest.raises(RemoteError, match="not openpi's metadata"):
        OpenPIRemote.Config(url=url).build(spec)
