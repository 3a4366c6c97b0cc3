"""vla-eval's model-server protocol, served: what PyPI's ``vla-eval`` (0.8.0) speaks.

A client says HELLO and is told the conventions of the actions; EPISODE_START begins an episode,
every OBSERVATION is answered by an ACTION ``{"actions": float32 (A,)}`` with the same ``seq``,
EPISODE_END ends it. What goes wrong is said in an ERROR; the connection stays open unless the
message could not be read at all. ``GET /health`` says that it is ready.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode

import enactive
from enactive.observations import Task
from enactive.policies.policy import Policy
from enactive.seeding import child_seed
from enactive.serving import vla_eval_codec
from enactive.serving.arrays import Limits, Malformed
from enactive.serving.dimensions import action_dimensions, observation_dimensions
from enactive.serving.mapping import ObservationMap, vla_eval_map
from enactive.serving.server import Think
from enactive.serving.session import Episodes, Served
from enactive.serving.vla_eval_codec import PROTOCOL_VERSION, Message

POLICY_SEED = "policy_seed"
"""Optional key of the task in EPISODE_START: the seed of the policy's random streams. Without it
they are named by the task's ``name`` and ``episode_idx``."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VlaEval:
    """The dialogue with vla-eval's harness. One episode at a time per connection."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        seed: int = 0
        """Names the random streams, together with the episode's task and number."""

        def build(self, policy: Policy, map: ObservationMap | None = None) -> VlaEval:
            """The dialogue; ``map`` says where observations are, by default :func:`vla_eval_map`.

            Raises:
                ValueError: the policy's actions are no vectors, or a number is out of range.
                MappingError: the map does not fit what the policy sees.
            """
            return VlaEval(self, policy, map)

    config: Config
    policy: Policy
    map: ObservationMap | None = None
    served: Served = field(init=False)

    def __post_init__(self) -> None:
        if self.config.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.config.seed}")
        served = Served(self.policy, self.map or vla_eval_map(self.policy.consumes), 1)
        object.__setattr__(self, "served", served)

    @property
    def pages(self) -> Mapping[str, tuple[str, str]]:
        return {
            "/health": ("application/json", '{"status": "ok"}\n'),
            "/config": ("application/json", '{"applied": {}, "config": {}}\n'),
        }

    def hello(self) -> dict[str, Any]:
        """The payload that answers HELLO."""
        return {
            "harness_version": f"enactive {enactive.__version__}",
            "protocol_version": PROTOCOL_VERSION,
            "model_server": f"enactive: {self.policy.name}",
            "capabilities": {},
            "action_spec": action_dimensions(self.served.space),
            "observation_spec": observation_dimensions(self.served.wired),
            "enactive": {**self.served.published, "seed_key": POLICY_SEED},
        }

    async def converse(
        self, connection: ServerConnection, think: Think[Any], limits: Limits
    ) -> None:
        episodes = Episodes(self.served, 1)
        async for data in connection:
            try:
                if isinstance(data, str):
                    raise Malformed("messages are binary")
                message = await think(lambda held=data: vla_eval_codec.decode(held, limits))
            except Malformed as error:
                await _send(connection, "error", {"error": str(error)}, 0)
                await connection.close(CloseCode.INVALID_DATA, "Refused; see the previous frame.")
                return
            answer: tuple[str, dict[str, Any]] | None
            try:
                answer = await think(lambda held=message: self._answer(episodes, held))
            except Malformed as error:
                answer = ("error", {"error": str(error)})
            except Exception as error:
                logger.exception("the policy failed")
                answer = ("error", {"error": f"the policy failed: {type(error).__name__}: {error}"})
            if answer is not None:
                kind, payload = answer
                await _send(connection, kind, payload, message.seq)

    def _answer(self, episodes: Episodes, message: Message) -> tuple[str, dict[str, Any]] | None:
        """Type and payload of what is sent back; None where nothing is."""
        if message.type == "hello":
            return "hello", self.hello()
        if message.type == "observation":
            if "" not in episodes:
                raise Malformed("no episode has begun on this connection; send EPISODE_START first")
            actions = episodes.decide("", self.served.wired.read(message.payload))
            return "action", {"actions": actions[0]}
        if message.type == "episode_start":
            episodes.end("")  # what follows must not be taken for the episode before
            self._begin(episodes, message.payload.get("task", {}))
        elif message.type == "episode_end":
            episodes.end("")
        elif message.type == "error":
            logger.warning("the client says: %s", message.payload)
        else:
            raise Malformed(f"a server is not sent {message.type!r}")
        return None

    def _begin(self, episodes: Episodes, task: Any) -> None:
        if not isinstance(task, Mapping):
            raise Malformed("EPISODE_START: task is a map")
        name, number = str(task.get("name", "")), task.get("episode_idx", 0)
        if not isinstance(number, int):
            raise Malformed("EPISODE_START: episode_idx is a whole number")
        seed = task.get(POLICY_SEED, child_seed(self.config.seed, "served", name, number))
        if not isinstance(seed, int) or seed < 0:
            raise Malformed(f"EPISODE_START: {POLICY_SEED} is a whole number, at least 0")
        episodes.begin("", Task(name=name, instruction=""), seed)


async def _send(
    connection: ServerConnection, kind: str, payload: Mapping[str, Any], seq: int
) -> None:
    await connection.send(vla_eval_codec.encode(Message(type=kind, payload=payload, seq=seq)))
