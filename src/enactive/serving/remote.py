"""A policy that lives in another process: every chunk of actions is asked of a server.

How the server is asked is a :class:`Line`: :mod:`enactive.serving.openpi_client` or
:mod:`enactive.serving.vla_eval_client`. A server of ours publishes its conventions, its map and the
names of its entries, so that wiring is checked as strictly as for a policy of this process, and an
episode's random streams get the seed of the plan: results are those of the policy called directly.
Of any other server nothing is known but what the user declares: a map, and that its actions are the
world's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import VectorSpace, space_from_dict
from enactive.configuration import from_dict, load_yaml, to_dict
from enactive.observations import Observation, ObservationSpec, Task
from enactive.serving.mapping import ObservationMap, Wired
from enactive.worlds.world import WorldSpec


class RemoteError(RuntimeError):
    """The server cannot be reached, refused a message, or answered something else than actions."""


class Line(Protocol):
    """A connection to a server."""

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        ...

    @property
    def server(self) -> Mapping[str, Any]:
        """What the server said of itself when it was reached."""
        ...

    def ask(self, call: Call) -> tuple[NDArray[Any], str]:
        """The actions for an observation, ``(k, A)``, and the episode's name on this line.

        Raises:
            RemoteError: no actions came back.
        """
        ...

    def close(self) -> None:
        """Hang up. May be called twice."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One question to a server."""

    message: Mapping[str, Any]
    """The observation, as the map says."""
    episode: str
    """The episode's name on this line; empty for one that begins."""
    request: int
    """Requests of the episode that were answered."""
    task: Task
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteMemory:
    """What is remembered of an episode here; the rest is on the server."""

    task: Task
    seed: int
    episode: str = ""
    """Its name on the line, once it has one."""
    requests: int = 0
    chunk: NDArray[np.float32] | None = None
    """``float32 (k, A)``, the latest answer."""
    used: int = 0
    """Actions of it that were executed."""
    instruction: str = ""
    """What it was an answer to; another instruction asks anew."""


@dataclass(frozen=True, slots=True)
class RemotePolicy:
    """The policy behind ``line``. Close it, or leave that to the process' end."""

    line: Line
    wired: Wired
    space: VectorSpace
    execute: int | None = None
    """Actions of an answer that are executed before the next question; None for all of them."""
    url: str = ""
    ours: Mapping[str, Any] | None = None
    """What a server of ours published."""

    @property
    def name(self) -> str:
        known = self.ours.get("policy") if self.ours else None
        return f"remote {known or self.url}"

    @property
    def consumes(self) -> ObservationSpec:
        return self.wired.spec

    @property
    def produces(self) -> VectorSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        # Neither address nor versions decide what it does; of others' servers they are all there is
        server = dict(self.ours.get("describe", {})) if self.ours else dict(self.line.server)
        return {
            "policy": "remote",
            "protocol": self.line.protocol,
            "execute": self.execute,
            "map": to_dict(self.wired.map),
            "server": _jsonable(server),
            **({} if self.ours else {"url": self.url}),
        }

    def begin(self, task: Task, seed: int) -> RemoteMemory:
        return RemoteMemory(task=task, seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[RemoteMemory]
    ) -> list[Decision]:
        return [
            self._act(seen, memory) for seen, memory in zip(observations, memories, strict=True)
        ]

    def close(self) -> None:
        """Hang up."""
        self.line.close()

    def _act(self, seen: Observation, memory: RemoteMemory) -> Decision:
        chain, cost = None, Cost()
        if (
            memory.chunk is None
            or memory.used >= min(len(memory.chunk), self.execute or len(memory.chunk))
            or memory.instruction != seen.instruction
        ):
            memory = self._ask(seen, memory)
            assert memory.chunk is not None
            chain = Chain.raw(memory.chunk, source="remote")
        assert memory.chunk is not None
        action = self.space.clip(memory.chunk[memory.used])
        following = replace(memory, used=memory.used + 1)
        return Decision(action=action, chain=chain, cost=cost, memory=following)

    def _ask(self, seen: Observation, memory: RemoteMemory) -> RemoteMemory:
        call = Call(
            message=self.wired.write(seen),
            episode=memory.episode,
            request=memory.requests,
            task=memory.task,
            seed=memory.seed,
        )
        actions, episode = self.line.ask(call)
        if (
            actions.ndim != 2
            or len(actions) < 1
            or actions.shape[1] != self.space.size
            or actions.dtype.kind not in "iuf"
            or not np.isfinite(actions).all()
        ):
            raise RemoteError(
                f"{self.url}: expected finite actions (k, {self.space.size}) "
                f"[{', '.join(self.space.names)}], got {actions.dtype} {actions.shape}"
            )
        return replace(
            memory,
            episode=episode,
            requests=memory.requests + 1,
            chunk=actions.astype(np.float32),
            used=0,
            instruction=seen.instruction,
        )


def connected(
    line: Line,
    world: WorldSpec,
    *,
    url: str,
    map: ObservationMap | None,
    default: ObservationMap,
    execute: int | None,
) -> RemotePolicy:
    """The policy at the end of ``line``, for a world.

    Args:
        line: the connection.
        world: where it shall act.
        url: for messages.
        map: where observations are in messages; None takes the one that a server of ours publishes.
        default: the map for other servers where there is none.
        execute: see :class:`RemotePolicy`.

    Raises:
        ValueError: the world's actions are no vectors, ``execute`` is out of range, or the map
            names what the world does not show.
        RemoteError: a server of ours published something that cannot be read.
    """
    if execute is not None and execute < 1:
        raise ValueError(f"execute must be at least 1, got {execute}")
    ours = line.server.get("enactive")
    if isinstance(ours, Mapping):
        try:
            spec = from_dict(ObservationSpec, ours["observes"])
            space = space_from_dict(ours["action_space"])
            wired = Wired(map or from_dict(ObservationMap, ours["map"]), spec)
        except (KeyError, TypeError, ValueError) as error:
            raise RemoteError(
                f"{url}: what the server publishes cannot be read: {error}"
            ) from error
        wired.require_all()
        assert isinstance(space, VectorSpace)
        return RemotePolicy(line, wired, space, execute, url, ours)
    if not isinstance(world.accepts, VectorSpace):
        raise ValueError(f"{world.name} does not accept vector actions")
    chosen = map or default
    wired = Wired(chosen, Wired(chosen, world.observations).narrowed())
    return RemotePolicy(line, wired, world.accepts, execute, url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reaching:
    """How a server is reached; what the protocols' clients have in common."""

    url: str = "ws://127.0.0.1:8000"
    """Where the server is, ``ws://`` or ``wss://``."""
    map: Path | None = None
    """YAML file of an :class:`~enactive.serving.mapping.ObservationMap`; by default the one that a
    server of ours publishes, and the protocol's habits for any other."""
    token_file: Path | None = None
    """File whose only line is the token that the server asks for."""
    execute: int | None = None
    """Actions of an answer that are executed before the next question; by default all."""
    timeout: float = 300.0
    """Seconds that an answer may take; a model's first can be slow."""

    def checked(self) -> None:
        """Refuse a URL that is none.

        Raises:
            ValueError: with what to do.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"url {self.url!r} is not like ws://HOST:PORT or wss://HOST:PORT")
        if parts.username or parts.password:
            raise ValueError(
                "url holds a user or a password; give the token in --remote.token-file"
            )
        if not self.timeout > 0:
            raise ValueError(f"timeout must be positive, got {self.timeout}")

    def token(self) -> str:
        """The token, or nothing."""
        return self.token_file.read_text(encoding="utf-8").strip() if self.token_file else ""

    def read_map(self) -> ObservationMap | None:
        """The map of the file, or None."""
        return load_yaml(ObservationMap, self.map) if self.map else None


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
