"""What a decision and a step leave in the log."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from enactive.actions.decision import Decision
from enactive.episodes.action_log import canonical, digest
from enactive.episodes.episode import action_value, array_hash, observation_hashes
from enactive.observations import Observation
from enactive.runtime.tape import Tape
from enactive.worlds.world import Step


def action_record(action: Any) -> Any:
    """An action as a JSON value; an array as its bytes in base64, with dtype and shape."""
    value = action_value(action)
    if not isinstance(value, np.ndarray):
        return value
    array = cast("NDArray[Any]", np.ascontiguousarray(value))
    text = base64.b64encode(array.tobytes()).decode()
    return {"array": text, "dtype": array.dtype.str, "shape": list(array.shape)}


def decision_record(decision: Decision) -> tuple[dict[str, Any], bytes]:
    """Action, chain and cost; and the action as bytes. The milliseconds are left out, being
    different every time; the contents of tokens that are the action itself are not said twice.

    Raises:
        ValueError: the action is neither an array nor a JSON value.
    """
    action = action_record(decision.action)
    record: dict[str, Any] = {"action": action}
    same = canonical(action)
    if decision.chain is not None:
        tokens: list[dict[str, Any]] = []
        for token in decision.chain.tokens:
            data = token.to_dict(text=True)
            content = data["content"].get("json", data["content"])
            if canonical(content) == same:
                data["content"] = {"action": True}
            tokens.append({key: value for key, value in data.items() if _telling(key, value)})
        bare = {"id": "raw", "kind": "raw", "content": {"action": True}}
        if tokens == [{**bare, "source": tokens[0]["source"]}]:
            record["source"] = tokens[0]["source"]
        else:
            record["chain"] = tokens
    cost = {k: v for k, v in decision.cost.to_dict().items() if v and k != "milliseconds"}
    if cost:
        record["cost"] = cost
    return record, same


def _telling(key: str, value: Any) -> bool:
    """Whether a token's field is not what it is by default."""
    return value != {"parents": [], "imagined": False, "score": None, "chosen": True}.get(key)


def observation_hash(observation: Observation) -> str:
    """128-bit hash, hex, of everything that is seen: pictures, state, words and time."""
    hashes = {name: value.hex() for name, value in observation_hashes(observation).items()}
    said = [observation.instruction, observation.text, float(observation.time), hashes]
    return digest(canonical(said)).hex()


def step_record(step: Step, seen: Mapping[str, Any]) -> dict[str, Any]:
    """What the world gave; ``seen`` is made by :func:`observation_record` or
    :func:`observation_digest`. What is as usual is left out."""
    record: dict[str, Any] = dict(seen)
    for name, value in (
        ("reward", float(step.reward)),
        ("terminated", bool(step.terminated)),
        ("truncated", bool(step.truncated)),
        ("success", bool(step.success)),
        ("events", list(step.events)),
    ):
        if value:
            record[name] = value
    return record


def observation_digest(observation: Observation) -> dict[str, Any]:
    """An observation that follows from the calls' results, which are in the log: its hash."""
    return {"seen": observation_hash(observation)}


def observation_record(observation: Observation, before: str, tape: Tape) -> dict[str, Any]:
    """An observation that nothing else in the log tells of: its hash, what is new in its text, and
    its pictures and state vectors, stored once each.

    Args:
        observation: what was seen.
        before: the text seen before it.
        tape: where pictures go.
    """
    record: dict[str, Any] = {"seen": observation_hash(observation)}
    if observation.text is not None:
        record["text"] = text_delta(before, observation.text)
    arrays: dict[str, Any] = {}
    for group, values in (("images", observation.images), ("state", observation.state)):
        for name, value in values.items():
            array = np.ascontiguousarray(value)
            key = array_hash(array)
            tape.store(key, lambda array=array: _compressed(array))
            arrays[f"{group}.{name}"] = {
                "hash": key.hex(), "dtype": array.dtype.str, "shape": list(array.shape),
            }  # fmt: skip
    if arrays:
        record["arrays"] = arrays
    return record


def _compressed(array: NDArray[Any]) -> bytes:
    return pa.Codec("zstd", compression_level=1).compress(array.tobytes(), asbytes=True)


def text_delta(before: str, text: str) -> Any:
    """``text`` as what is new in it: ``[kept at the beginning, kept at the end, the middle]``, or
    itself where that is no shorter."""
    start = _common(before, text, 0)
    limit = min(len(before), len(text)) - start
    end = min(_common(before[::-1], text[::-1], 0), limit)
    if start + end < 64:
        return text
    return [start, end, text[start : len(text) - end]]


def text_from(before: str, delta: Any) -> str:
    """The text that :func:`text_delta` described."""
    if isinstance(delta, str):
        return delta
    start, end, middle = delta
    return before[:start] + middle + (before[len(before) - end :] if end else "")


def _common(first: str, second: str, low: int) -> int:
    """Length of the common beginning, by bisection: comparing slices is done in C."""
    high = min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
