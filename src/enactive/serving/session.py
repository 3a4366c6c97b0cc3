"""The policy behind a server: what it tells clients, and the episodes of one connection.

A policy keeps an episode's memory in a value of its own, see
:class:`~enactive.policies.policy.Policy`, so a server only has to keep those values apart: per
connection, and within one by episode.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import enactive
from enactive.actions.spaces import VectorSpace
from enactive.configuration import to_dict
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.policy import Policy
from enactive.serving.arrays import Malformed
from enactive.serving.mapping import ObservationMap, Wired


def open_loop_steps(policy: Policy) -> int:
    """How many actions the policy gives to one observation, without looking again.

    A policy says so with a property ``open_loop``; one that does not looks at every step.
    """
    return int(getattr(policy, "open_loop", 1))


@dataclass(frozen=True, slots=True)
class Served:
    """A policy, where its observations are in messages, and the actions of one answer.

    Raises:
        ValueError: the actions are no vectors, or ``chunk`` is out of range.
        MappingError: the map does not fit what the policy sees.
    """

    policy: Policy
    map: ObservationMap
    chunk: int
    """k: actions per answer. The policy is asked k times with the same observation, which gives
    exactly the actions that it would have executed, provided that it does not look in between."""
    wired: Wired = field(init=False)
    space: VectorSpace = field(init=False)
    published: dict[str, Any] = field(init=False)
    """What clients are told: JSON values from which ours wires itself and others' authors write
    their map."""

    def __post_init__(self) -> None:
        space, limit = self.policy.produces, open_loop_steps(self.policy)
        if not isinstance(space, VectorSpace):
            raise ValueError(
                f"policy {self.policy.name!r} acts in a {type(space).__name__}; the protocols "
                "carry vector actions only"
            )
        blind = self.policy.consumes == ObservationSpec()
        if self.chunk < 1 or (self.chunk > limit and not blind):
            raise ValueError(
                f"chunk must lie in [1, {limit}], got {self.chunk}: policy {self.policy.name!r} "
                f"looks again after {limit} steps. Fix: a smaller chunk, or a larger --execute"
            )
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "wired", Wired(self.map, self.policy.consumes))
        self.wired.require_all()
        object.__setattr__(self, "published", self._published())

    def _published(self) -> dict[str, Any]:
        return {
            "version": enactive.__version__,
            "policy": self.policy.name,
            "describe": _plain(self.policy.describe()),
            "observes": to_dict(self.wired.spec),
            "map": to_dict(self.map),
            "action_space": _plain(self.space.to_dict()),
            "chunk": self.chunk,
        }


@dataclass(slots=True)
class Episodes:
    """The episodes of one connection, by the name that the client gives them.

    At most ``limit`` are kept; a new one ends the one that was used least recently.
    """

    served: Served
    limit: int = 256
    _memories: OrderedDict[str, tuple[Any, int]] = field(
        default_factory=OrderedDict[str, tuple[Any, int]]
    )
    """Name to the policy's memory and the number of requests answered."""

    def begin(self, name: str, task: Task, seed: int) -> None:
        """Begin the episode ``name``, again if there is one."""
        self._memories[name] = (self.served.policy.begin(task, seed), 0)
        self._memories.move_to_end(name)
        while len(self._memories) > self.limit:
            self._memories.popitem(last=False)

    def end(self, name: str) -> None:
        """Forget the episode; nothing happens if there is none."""
        self._memories.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._memories

    def decide(
        self, name: str, seen: Observation, request: int | None = None
    ) -> NDArray[np.float32]:
        """The next actions of an episode, ``float32 (k, A)``.

        Args:
            name: of the episode.
            seen: what its world shows now.
            request: how many requests the client believes were answered; None to believe ours.

        Raises:
            Malformed: there is no such episode, or it is at another request.
        """
        if name not in self._memories:
            raise Malformed(
                f"episode {name!r:.40} has not begun, or was ended to make room for others "
                f"({self.limit} are kept for each connection)"
            )
        memory, answered = self._memories[name]
        if request is not None and request != answered:
            raise Malformed(
                f"episode {name!r:.40} has had {answered} requests and this is number {request}: "
                "an answer was lost, or another client uses the name. Fix: begin it again"
            )
        actions: list[NDArray[np.float32]] = []
        for _ in range(self.served.chunk):
            decision = self.served.policy.act([seen], [memory])[0]
            memory = decision.memory
            actions.append(np.asarray(decision.action, dtype=np.float32))
        self._memories[name] = (memory, answered + 1)
        self._memories.move_to_end(name)
        return np.stack(actions)


def _plain(value: Any) -> Any:
    """JSON-like values as msgpack takes them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str | None) else str(value)
