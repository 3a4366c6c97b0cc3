"""The record of one step, as the journal holds it, and episodes put together from such records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.episodes.episode import (
    Deliberation,
    Episode,
    EpisodeHeader,
    Event,
    Outcome,
    action_hash,
    action_value,
    hash_rows,
    observation_hashes,
)
from enactive.observations import Observation
from enactive.worlds.world import Step

EXPERT = "expert"
"""Source of the raw token that lost to a perturbed action: the label kept as ``action.expert``."""


def observation_record(observation: Observation, compression: int) -> dict[str, Any]:
    """What is kept of an observation: everything but privileged state, and its hashes."""
    images = {name: pack_array(image, compression) for name, image in observation.images.items()}
    state = {
        name: pack_array(np.asarray(vector, np.float32))
        for name, vector in observation.state.items()
    }
    return {
        "images": images,
        "state": state,
        "hashes": observation_hashes(observation),
        "time": float(observation.time),
        "instruction": observation.instruction,
        "text": observation.text,
    }


def step_record(
    observation: Observation, decision: Decision, step: Step, compression: int
) -> dict[str, Any]:
    """What is kept of one step."""
    action = action_value(decision.action)
    record = observation_record(observation, compression)
    record["action"] = pack_array(action) if isinstance(action, np.ndarray) else {"json": action}
    record["hashes"]["action"] = action_hash(action)
    if decision.chain is not None:
        record["chain"] = decision.chain.to_bytes()
        record["cost"] = decision.cost.to_dict()
    record["reward"] = float(step.reward)
    record["success"] = bool(step.success)
    record["events"] = list(step.events)
    return record


def pack_array(array: NDArray[Any], compression: int = 0) -> dict[str, Any]:
    """An array as msgpack can hold it, compressed by zstd if a level is given."""
    data = np.ascontiguousarray(array).tobytes()
    if compression:
        data = pa.Codec("zstd", compression_level=compression).compress(data, asbytes=True)
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "zstd": compression > 0,
        "data": data,
    }


def unpack_array(packed: Mapping[str, Any]) -> NDArray[Any]:
    """The array that :func:`pack_array` packed, read-only."""
    data, dtype = packed["data"], np.dtype(packed["dtype"])
    if packed["zstd"]:
        size = math.prod(packed["shape"]) * dtype.itemsize
        data = pa.decompress(data, size, codec="zstd", asbytes=True)
    return np.frombuffer(data, dtype).reshape(packed["shape"])


def unpack(record: bytes) -> dict[str, Any]:
    """The record of one step."""
    return msgpack.unpackb(record)


def episode_from(
    header: EpisodeHeader,
    outcome: Outcome,
    records: list[dict[str, Any]],
    final: dict[str, Any] | None,
) -> Episode:
    """The episode that the records of its steps, and of the final observation, make up."""

    def stack(group: str) -> dict[str, NDArray[Any]]:
        names = records[0][group] if records else ()
        return {
            name: np.stack([unpack_array(row[group][name]) for row in records]) for name in names
        }

    values = [row["action"] for row in records]
    if all("data" in value for value in values):
        actions = (
            np.stack([unpack_array(value) for value in values]) if values else np.empty((0, 0))
        )
    else:
        actions = np.empty(len(values), object)
        actions[:] = [value.get("json") for value in values]
    deliberations = tuple(
        Deliberation(step=t, chain=Chain.from_bytes(row["chain"]), cost=Cost(**row["cost"]))
        for t, row in enumerate(records)
        if "chain" in row
    )
    digests: dict[str, list[bytes]] = {}
    for row in [*records, *([final] if final else [])]:
        for name, digest in row["hashes"].items():
            digests.setdefault(name, []).append(digest)
    return Episode(
        header=header,
        images=stack("images"),
        state=stack("state"),
        actions=actions,
        expert_actions=_expert_actions(actions, deliberations),
        rewards=np.array([row["reward"] for row in records], np.float32),
        successes=np.array([row["success"] for row in records], np.bool_),
        outcome=outcome,
        events=tuple(Event(step=t, name=n) for t, row in enumerate(records) for n in row["events"]),
        deliberations=deliberations,
        hashes={name: hash_rows(rows) for name, rows in digests.items()},
        final=final_observation(final) if final else None,
    )


def final_observation(record: Mapping[str, Any]) -> Observation:
    return Observation(
        images={name: unpack_array(packed) for name, packed in record["images"].items()},
        state={name: unpack_array(packed) for name, packed in record["state"].items()},
        instruction=record["instruction"],
        time=record["time"],
        text=record["text"],
    )


def _expert_actions(
    actions: NDArray[Any], deliberations: Iterable[Deliberation]
) -> NDArray[np.float32] | None:
    """The expert's labels, where some decision kept one; elsewhere what was executed."""
    labels: dict[int, NDArray[Any]] = {}
    for made in deliberations:
        for token in made.chain.of_kind("raw", chosen=False):
            if token.source == EXPERT:
                labels[made.step] = np.atleast_2d(token.array)[0]
    if not labels:
        return None
    expert = np.array(actions, np.float32)
    for step, label in labels.items():
        expert[step] = label
    return expert
