"""A client of vla-eval's model servers: drives one of theirs, or ours, from an evaluation.

A model server keeps one episode per connection, so every episode under way has a connection. A
policy is not told when an episode is over; once :attr:`VlaEvalLine.connections` are open, a new
episode takes over the one that was used least recently.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

import enactive
from enactive.serving import vla_eval_codec
from enactive.serving.arrays import Limits, Malformed
from enactive.serving.mapping import vla_eval_map
from enactive.serving.openpi_client import dial, receive
from enactive.serving.remote import Call, Reaching, RemoteError, RemotePolicy, connected
from enactive.serving.vla_eval_codec import PROTOCOL_VERSION, Message
from enactive.worlds.world import WorldSpec


@dataclass(slots=True, kw_only=True)
class VlaEvalLine:
    """Connections to one model server."""

    url: str
    token: str = field(default="", repr=False)
    timeout: float
    limits: Limits
    connections: int
    """Connections at a time."""
    benchmark: str
    """What the server is told it is evaluated on."""
    server: Mapping[str, Any] = field(init=False)
    _open: OrderedDict[str, ClientConnection] = field(
        default_factory=OrderedDict[str, ClientConnection]
    )
    _spare: list[ClientConnection] = field(default_factory=list[ClientConnection])
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        connection = self._dial()
        self._spare.append(connection)

    @property
    def protocol(self) -> str:
        return "vla-eval"

    def ask(self, call: Call) -> tuple[NDArray[Any], str]:
        episode = call.episode or self._begin(call)
        connection = self._open.get(episode)
        if connection is None:
            raise RemoteError(
                f"{self.url}: more than {self.connections} episodes are under way, and this one's "
                "connection was given to another. Fix: raise --remote.connections"
            )
        self._open.move_to_end(episode)
        number = next(self._numbers)
        self._send(connection, "observation", call.message, number)
        answer = self._receive(connection)
        while answer.type == "hello" or (answer.seq < number and answer.type == "action"):
            answer = self._receive(connection)  # a late answer to an observation before
        if answer.type != "action":
            raise RemoteError(f"{self.url}: the server says: {dict(answer.payload)!r:.2000}")
        actions = answer.payload.get("actions")
        if not isinstance(actions, np.ndarray):
            raise RemoteError(f"{self.url}: the answer holds no array called 'actions'")
        return (actions[None] if actions.ndim == 1 else actions), episode

    def close(self) -> None:
        for connection in (*self._open.values(), *self._spare):
            connection.close()
        self._open.clear()
        self._spare.clear()

    def _begin(self, call: Call) -> str:
        episode = str(next(self._numbers))
        if self._spare:
            connection = self._spare.pop()
        elif len(self._open) >= self.connections:
            _, connection = self._open.popitem(last=False)
            self._send(connection, "episode_end", {}, next(self._numbers))
        else:
            connection = self._dial()
        self._open[episode] = connection
        task: dict[str, Any] = {"name": call.task.name, "suite": self.benchmark}
        ours = self.server.get("enactive")
        if isinstance(ours, Mapping):
            task[ours["seed_key"]] = call.seed
        self._send(connection, "episode_start", {"task": task}, next(self._numbers))
        return episode

    def _dial(self) -> ClientConnection:
        """A connection on which both sides have said HELLO."""
        connection = dial(self.url, self.token, self.timeout, self.limits)
        hello = {
            "harness_version": f"enactive {enactive.__version__}",
            "protocol_version": PROTOCOL_VERSION,
            "benchmark": self.benchmark,
        }
        self._send(connection, "hello", hello, next(self._numbers))
        answer = self._receive(connection)
        if answer.type != "hello" or answer.payload.get("protocol_version") != PROTOCOL_VERSION:
            raise RemoteError(
                f"{self.url}: the server does not speak version {PROTOCOL_VERSION} of vla-eval's "
                f"protocol: {dict(answer.payload)!r:.500}"
            )
        self.server = answer.payload
        return connection

    def _send(
        self, connection: ClientConnection, kind: str, payload: Mapping[str, Any], seq: int
    ) -> None:
        try:
            connection.send(vla_eval_codec.encode(Message(type=kind, payload=payload, seq=seq)))
        except ConnectionClosed as error:
            raise RemoteError(f"{self.url}: the server hung up: {error}") from error

    def _receive(self, connection: ClientConnection) -> Message:
        data = receive(connection, self.url, self.timeout)
        try:
            if isinstance(data, str):
                raise Malformed("messages are binary")
            return vla_eval_codec.decode(data, self.limits)
        except Malformed as error:
            raise RemoteError(f"{self.url}: the answer cannot be read: {error}") from error


class VlaEvalRemote:
    """vla-eval's protocol; made with ``VlaEvalRemote.Config(...).build(world)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(Reaching):
        connections: int = 64
        """Connections at a time; at least as many as episodes run at once."""

        def build(self, world: WorldSpec) -> RemotePolicy:
            """Connect, and wire the model server's policy to ``world``.

            Raises:
                ValueError: a field is wrong, or the map does not fit.
                RemoteError: there is no such server.
            """
            self.checked()
            if self.connections < 1:
                raise ValueError(f"connections must be at least 1, got {self.connections}")
            line = VlaEvalLine(
                url=self.url, token=self.token(), timeout=self.timeout, limits=Limits(),
                connections=self.connections, benchmark=world.name,
            )  # fmt: skip
            try:
                return connected(
                    line, world, url=self.url, map=self.read_map(),
                    default=vla_eval_map(world.observations), execute=self.execute,
                )  # fmt: skip
            except BaseException:
                line.close()
                raise
