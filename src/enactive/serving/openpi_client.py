"""A client of openpi's policy protocol: drives a server of openpi's, or ours, from an evaluation.

One connection carries all episodes: openpi's servers keep nothing of an episode, and ours are told
which episode each observation belongs to (:data:`enactive.serving.openpi.EPISODE`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from enactive.serving import openpi_codec
from enactive.serving.arrays import Limits, Malformed
from enactive.serving.mapping import openpi_map
from enactive.serving.remote import Call, Reaching, RemoteError, RemotePolicy, connected
from enactive.worlds.world import WorldSpec


def dial(url: str, token: str, timeout: float, limits: Limits) -> ClientConnection:
    """A connection to ``url``.

    Raises:
        RemoteError: nobody answers, or the token is refused.
    """
    try:
        # Entered by hand, and closed by close(): it lives as long as the policy.
        return connect(
            url,
            compression=None,
            max_size=limits.message_bytes,
            additional_headers={"Authorization": f"Api-Key {token}"} if token else None,
            open_timeout=timeout,
            ping_interval=None,  # servers may hold their event loop while a model runs
            proxy=None,
        ).__enter__()
    except InvalidStatus as error:
        why = (error.response.body or b"").decode(errors="replace").strip()
        raise RemoteError(
            f"{url}: refused with status {error.response.status_code}: {why:.200}"
        ) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise RemoteError(f"{url}: no server answers there: {error}") from error


def receive(connection: ClientConnection, url: str, timeout: float) -> bytes | str:
    """The next message.

    Raises:
        RemoteError: none came, or the connection was closed.
    """
    try:
        return connection.recv(timeout)
    except TimeoutError as error:
        raise RemoteError(f"{url}: no answer within {timeout:g} s") from error
    except ConnectionClosed as error:
        raise RemoteError(
            f"{url}: the server hung up: {error}. Run the same command again to go on"
        ) from error


@dataclass(frozen=True, slots=True)
class OpenPILine:
    """A connection to a server that speaks openpi's protocol."""

    connection: ClientConnection
    url: str
    timeout: float
    limits: Limits
    server: Mapping[str, Any]
    names: Iterator[int]
    """Numbers for the episodes of this connection."""

    @property
    def protocol(self) -> str:
        return "openpi"

    @classmethod
    def open(cls, url: str, token: str, timeout: float, limits: Limits) -> OpenPILine:
        """Connect and take the metadata.

        Raises:
            RemoteError: there is no such server.
        """
        connection = dial(url, token, timeout, limits)
        first = receive(connection, url, timeout)
        try:
            server = openpi_codec.decode(first, limits) if isinstance(first, bytes) else None
        except Malformed as error:
            raise RemoteError(f"{url}: the metadata cannot be read: {error}") from error
        if not isinstance(server, Mapping):
            raise RemoteError(f"{url}: the first message is not openpi's metadata")
        return cls(connection, url, timeout, limits, server, itertools.count(1))

    def ask(self, call: Call) -> tuple[NDArray[Any], str]:
        episode, message = call.episode or str(next(self.names)), dict(call.message)
        ours = self.server.get("enactive")
        if isinstance(ours, Mapping):
            message[ours["episode_key"]] = {
                "id": episode,
                "request": call.request,
                **({"task": call.task.name, "seed": call.seed} if call.request == 0 else {}),
            }
        try:
            self.connection.send(openpi_codec.encode(message))
        except ConnectionClosed as error:
            raise RemoteError(f"{self.url}: the server hung up: {error}") from error
        data = receive(self.connection, self.url, self.timeout)
        if isinstance(data, str):  # the protocol's way of saying what went wrong
            raise RemoteError(f"{self.url}: the server says: {data}")
        try:
            answer = openpi_codec.decode(data, self.limits)
        except Malformed as error:
            raise RemoteError(f"{self.url}: the answer cannot be read: {error}") from error
        actions = answer.get("actions") if isinstance(answer, Mapping) else None
        if not isinstance(actions, np.ndarray):
            raise RemoteError(f"{self.url}: the answer holds no array called 'actions'")
        return actions, episode

    def close(self) -> None:
        self.connection.close()


class OpenPIRemote:
    """openpi's protocol; made with ``OpenPIRemote.Config(...).build(world)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(Reaching):
        def build(self, world: WorldSpec) -> RemotePolicy:
            """Connect, and wire the server's policy to ``world``.

            Raises:
                ValueError: a field is wrong, or the map does not fit.
                RemoteError: there is no such server.
            """
            self.checked()
            line = OpenPILine.open(self.url, self.token(), self.timeout, Limits())
            try:
                return connected(
                    line, world, url=self.url, map=self.read_map(),
                    default=openpi_map(world.observations), execute=self.execute,
                )  # fmt: skip
            except BaseException:
                line.close()
                raise
