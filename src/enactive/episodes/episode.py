"""What an episode is: its header, what was seen and done at every step, and how it ended."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost
from enactive.observations import Observation, Task
from enactive.worlds.world import WorldSpec

HASH_BYTES = 16


def array_hash(array: NDArray[Any]) -> bytes:
    """128-bit blake2b of an array's dtype, shape and values."""
    values = np.ascontiguousarray(array)
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    digest.update(f"{values.dtype.str}{values.shape}".encode())
    digest.update(values.data if values.size else b"")
    return digest.digest()


def observation_hashes(observation: Observation) -> dict[str, bytes]:
    """Hash of every picture and state vector: ``"images.<camera>"`` and ``"state.<name>"``."""
    hashes = {f"images.{name}": array_hash(image) for name, image in observation.images.items()}
    for name, vector in observation.state.items():
        hashes[f"state.{name}"] = array_hash(np.asarray(vector, np.float32))
    return hashes


def action_value(action: Any) -> Any:
    """An action as it is recorded: ``float32 (A,)``, ``int64 (1,)`` or a JSON value."""
    if isinstance(action, np.ndarray | np.number | int | float) and not isinstance(action, bool):
        values = np.atleast_1d(np.asarray(action))
        return values.astype(np.int64 if values.dtype.kind in "iu" else np.float32)
    return action


def action_hash(action: Any) -> bytes:
    """128-bit blake2b of an action, as :func:`action_value` gives it."""
    value = action_value(action)
    if isinstance(value, np.ndarray):
        return array_hash(cast("NDArray[Any]", value))
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeHeader:
    """What is known of an episode before its first step."""

    id: str
    """Name of the episode, unique in its journal and dataset. Chosen by the caller and the same
    when a killed run is resumed, e.g. ``"expert/faucet-open/17"``."""
    index: int
    """Place among the episodes of its run; compaction keeps this order."""
    task: Task
    seed: int
    """Seed of the world's reset and, through named streams, of the policy."""
    world: Mapping[str, Any]
    """JSON values, see :func:`world_record`."""
    policy: str
    """Name of what decided."""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values, see :mod:`enactive.episodes.provenance`."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "id": self.id,
            "index": self.index,
            "task": dataclasses.asdict(self.task),
            "seed": self.seed,
            "world": dict(self.world),
            "policy": self.policy,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EpisodeHeader:
        """The header that :meth:`to_dict` described."""
        fields: dict[str, Any] = dict(data)
        task = dict(fields["task"])
        task["perturbations"] = tuple(task.get("perturbations", ()))
        fields["task"] = Task(**task)
        return cls(**fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How an episode ended."""

    success: bool
    """The world's success test held at some step (or at the end, as the runner counts it)."""
    steps: int
    """T, steps executed."""
    terminated: bool
    truncated: bool
    events: Mapping[str, int] = field(default_factory=dict[str, int])
    """Event name to the step at which it first happened."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self) | {"events": dict(self.events)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """The outcome that :meth:`to_dict` described."""
        return cls(**data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A named fact of an episode, see :class:`enactive.worlds.world.EventSpec`."""

    step: int
    """The step (0 .. T-1) during which it happened."""
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliberation:
    """One decision: its chain, and what it cost."""

    step: int
    """The step (0 .. T-1) at which it was made."""
    chain: Chain
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Episode:
    """One attempt. Row ``t`` of every array is what was seen before action ``t``, action ``t``,
    and what that action gave."""

    header: EpisodeHeader
    images: Mapping[str, NDArray[np.uint8]]
    """Camera name to ``uint8 (T, H, W, 3)``, RGB."""
    state: Mapping[str, NDArray[np.float32]]
    """State vector name to ``float32 (T, D)``."""
    actions: NDArray[Any]
    """``float32 (T, A)``, or ``int64 (T, 1)`` where an action is one of N."""
    rewards: NDArray[np.float32]
    """``(T,)``."""
    successes: NDArray[np.bool_]
    """``(T,)``: the success test after action ``t``."""
    outcome: Outcome
    expert_actions: NDArray[np.float32] | None = None
    """``(T, A)``: what the expert would have done, where the executed action was perturbed."""
    events: tuple[Event, ...] = ()
    deliberations: tuple[Deliberation, ...] = ()
    """Decisions in the order of their steps; other steps executed part of one."""
    hashes: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict[str, NDArray[np.uint8]])
    """``"images.<camera>"`` and ``"state.<name>"`` to ``uint8 (T or T+1, 16)`` (with the final
    observation, if it was recorded), ``"action"`` to ``(T, 16)``: :func:`array_hash` of the raw
    arrays, as they were before any encoding."""
    final: Observation | None = None
    """What was seen after the last action, without privileged state."""

    @property
    def length(self) -> int:
        """T, steps."""
        return len(self.actions)

    @property
    def instruction(self) -> str:
        """What the policy was told: the task's wording or, where it has none, the sentence that
        the world wrote."""
        own = "" if self.final is None else self.final.instruction
        return self.header.task.instruction or own

    @property
    def chains(self) -> dict[int, Chain]:
        """Step to chain."""
        return {made.step: made.chain for made in self.deliberations}


def episode_hashes(
    images: Mapping[str, NDArray[np.uint8]],
    state: Mapping[str, NDArray[np.float32]],
    actions: NDArray[Any],
    final: Observation | None = None,
) -> dict[str, NDArray[np.uint8]]:
    """The ``hashes`` of an episode from its raw arrays."""
    rows = {f"images.{name}": [array_hash(a) for a in values] for name, values in images.items()}
    rows |= {f"state.{name}": [array_hash(a) for a in values] for name, values in state.items()}
    for name, digest in (observation_hashes(final) if final else {}).items():
        rows.setdefault(name, []).append(digest)
    rows["action"] = [action_hash(action) for action in actions]
    return {name: hash_rows(digests) for name, digests in rows.items()}


def hash_rows(digests: list[bytes] | bytes) -> NDArray[np.uint8]:
    """Digests as ``uint8 (N, 16)``."""
    joined = digests if isinstance(digests, bytes) else b"".join(digests)
    return np.frombuffer(joined, np.uint8).reshape(-1, HASH_BYTES)


def world_record(spec: WorldSpec) -> dict[str, Any]:
    """What an episode keeps of the world it happened in, as JSON values."""
    return {
        "name": spec.name,
        "version": spec.version,
        "rate_hz": spec.rate_hz,
        "accepts": spec.accepts.to_dict(),
        "observations": {
            "cameras": [dataclasses.asdict(camera) for camera in spec.observations.cameras],
            "states": [
                dataclasses.asdict(state) | {"names": list(state.names)}
                for state in spec.observations.states
            ],
        },
        "events": [event.name for event in spec.events],
        "snapshots": spec.snapshots,
        "provenance": dict(spec.provenance),
    }
