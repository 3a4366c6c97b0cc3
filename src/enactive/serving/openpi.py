"""openpi's policy protocol, served: what PyPI's ``openpi-client`` (0.1.2) speaks.

On connecting the client gets one message of metadata. Every binary message of the client is an
observation and is answered with ``{"actions": float32 (k, A), "server_timing": {...}}``. What goes
wrong is said in a text message, after which the connection is closed. ``GET /healthz`` says OK.

The protocol has no notion of an episode. Here a connection is one, unless the client begins another
by adding the key ``enactive/episode`` to an observation, see :data:`EPISODE`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode

from enactive.observations import Observation, Task
from enactive.policies.policy import Policy
from enactive.seeding import child_seed
from enactive.serving import openpi_codec
from enactive.serving.arrays import Limits, Malformed
from enactive.serving.mapping import MappingError, ObservationMap, openpi_map
from enactive.serving.server import Think
from enactive.serving.session import Episodes, Served, open_loop_steps

EPISODE = "enactive/episode"
"""Key of an optional map in an observation: ``id`` (text; which of the connection's episodes, by
default ``""``), ``request`` (whole number; 0 begins the episode, n is its n-th request after that),
and with request 0 ``task`` (text, name of the task) and ``seed`` (of the policy's random
streams)."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenPI:
    """The dialogue with openpi's clients."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        chunk: int | None = None
        """Actions per answer; by default as many as the policy gives without looking again."""
        seed: int = 0
        """Names the random streams of episodes whose client gives no seed."""
        episodes: int = 256
        """Episodes of one connection that are kept; a new one ends the one used least recently."""

        def build(self, policy: Policy, map: ObservationMap | None = None) -> OpenPI:
            """The dialogue; ``map`` says where observations are, by default :func:`openpi_map`.

            Raises:
                ValueError: the policy's actions are no vectors, or a number is out of range.
                MappingError: the map does not fit what the policy sees.
            """
            return OpenPI(self, policy, map)

    config: Config
    policy: Policy
    map: ObservationMap | None = None
    served: Served = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        if config.episodes < 1 or config.seed < 0:
            raise ValueError(
                f"episodes must be positive and seed not negative, got {config.episodes} and "
                f"{config.seed}"
            )
        chunk = open_loop_steps(self.policy) if config.chunk is None else config.chunk
        served = Served(self.policy, self.map or openpi_map(self.policy.consumes), chunk)
        if any(path[0] == EPISODE for path in served.map.paths):
            raise MappingError(f"the key {EPISODE!r} is the protocol's own; use another")
        object.__setattr__(self, "served", served)

    @property
    def pages(self) -> Mapping[str, tuple[str, str]]:
        return {"/healthz": ("text/plain; charset=utf-8", "OK\n")}

    def metadata(self) -> dict[str, Any]:
        """The first message of every connection."""
        return {
            "action_horizon": self.served.chunk,
            "enactive": {**self.served.published, "episode_key": EPISODE},
        }

    async def converse(
        self, connection: ServerConnection, think: Think[Any], limits: Limits
    ) -> None:
        episodes = Episodes(self.served, self.config.episodes)
        before: float | None = None
        await connection.send(openpi_codec.encode(self.metadata()))
        async for message in connection:
            started = time.monotonic()
            try:
                if isinstance(message, str):
                    raise Malformed("observations come as binary messages")
                answer = await think(lambda data=message: self._answer(episodes, data, limits))
            except Malformed as error:
                await connection.send(str(error))
                await connection.close(CloseCode.INVALID_DATA, "Refused; see the previous frame.")
                return
            except Exception as error:
                logger.exception("the policy failed")
                await connection.send(f"the policy failed: {type(error).__name__}: {error}")
                await connection.close(
                    CloseCode.INTERNAL_ERROR, "Internal server error; see the previous frame."
                )
                return
            if before is not None:
                answer["server_timing"]["prev_total_ms"] = before * 1000
            await connection.send(openpi_codec.encode(answer))
            before = time.monotonic() - started

    def _answer(self, episodes: Episodes, data: bytes, limits: Limits) -> dict[str, Any]:
        message = openpi_codec.decode(data, limits)
        seen = self.served.wired.read(message)
        name, request = self._episode(episodes, message.get(EPISODE), seen)
        started = time.monotonic()
        actions = episodes.decide(name, seen, request)
        spent = (time.monotonic() - started) * 1000
        return {"actions": actions, "server_timing": {"infer_ms": spent}}

    def _episode(self, episodes: Episodes, told: Any, seen: Observation) -> tuple[str, int | None]:
        """Which episode a message is about; begins it where that is due."""
        if told is None:
            if "" not in episodes:
                task = Task(name="", instruction=seen.instruction)
                episodes.begin("", task, child_seed(self.config.seed, "served", ""))
            return "", None
        if not isinstance(told, Mapping):
            raise Malformed(f"{EPISODE!r} is a map of id, request, task and seed")
        name, request = told.get("id", ""), told.get("request", 0)
        task = told.get("task", "")
        seed = told.get("seed", child_seed(self.config.seed, "served", str(name)))
        if not isinstance(name, str) or not isinstance(task, str):
            raise Malformed(f"{EPISODE!r}: id and task are texts")
        if not all(isinstance(n, int) and n >= 0 for n in (request, seed)):
            raise Malformed(f"{EPISODE!r}: request and seed are whole numbers, at least 0")
        if request == 0:
            episodes.begin(name, Task(name=task, instruction=seen.instruction), seed)
        return name, request
