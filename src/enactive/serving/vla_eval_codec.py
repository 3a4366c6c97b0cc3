"""Messages as the package ``vla-eval`` writes them (its ``protocol``, 0.8.0).

A message is a map of ``type``, ``payload``, ``seq`` and ``timestamp``. An array is a map with the
*text* keys ``__ndarray__``, ``data``, ``dtype`` and ``shape``; a picture may instead come as
``__image__`` with ``format`` ``"raw"``, ``"png"`` (vla-eval's default, lossless) or ``"jpeg"``.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.serving import arrays
from enactive.serving.arrays import Limits, Malformed

PROTOCOL_VERSION = 1
"""What both sides say in their HELLO."""
TYPES = ("hello", "observation", "action", "episode_start", "episode_end", "error")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message."""

    type: str
    """One of :data:`TYPES`."""
    payload: Mapping[str, Any]
    seq: int
    """Number that the answer to an observation repeats."""


def encode(message: Message) -> bytes:
    """The message's bytes.

    Raises:
        ValueError: an array's dtype does not travel.
        TypeError: a value that is neither map, list, text, number nor array.
    """
    fields = {
        "type": message.type,
        "payload": message.payload,
        "seq": message.seq,
        "timestamp": time.time(),
    }
    return arrays.pack(fields, _write)


def decode(data: bytes, limits: Limits | None = None) -> Message:
    """The message that the bytes are; arrays are read-only.

    Raises:
        Malformed: they are none, or leave ``limits``.
    """
    bounds = limits or Limits()

    def read(held: dict[Any, Any]) -> Any:
        if "__image__" in held:
            return _picture(held, bounds)
        if "__ndarray__" in held:
            return arrays.array_of(held.get("dtype"), held.get("shape"), held.get("data"), bounds)
        return held

    fields = arrays.unpack(data, read, bounds)
    if not isinstance(fields, dict) or not {"type", "payload", "seq", "timestamp"} <= fields.keys():
        raise Malformed("a message is a map of type, payload, seq and timestamp")
    kind, payload, seq = fields["type"], fields["payload"], fields["seq"]
    if kind not in TYPES:
        raise Malformed(f"no message has the type {kind!r:.40}; there are {', '.join(TYPES)}")
    if not isinstance(payload, dict) or not isinstance(seq, int):
        raise Malformed("a message's payload is a map and its seq a whole number")
    return Message(type=kind, payload=payload, seq=seq)


def _picture(held: Mapping[Any, Any], limits: Limits) -> NDArray[Any]:
    """A compressed picture ``uint8 (H, W, C)``; its size is checked before it is unpacked."""
    kind, data, shape = held.get("format"), held.get("data"), held.get("shape")
    if kind == "raw":
        return arrays.array_of(held.get("dtype"), shape, data, limits)
    if kind not in ("png", "jpeg") or not isinstance(data, bytes):
        raise Malformed("a picture's format is raw, png or jpeg and its data are bytes")
    if not isinstance(shape, list | tuple) or len(shape) != 3 or shape[2] not in _MODES:
        raise Malformed(f"a picture's shape is (height, width, 1, 3 or 4), got {shape!r:.60}")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=(kind.upper(),)) as picture:
            found = (picture.height, picture.width, len(picture.getbands()))
            if picture.mode not in _MODES.values() or found != tuple(shape):
                raise Malformed(f"a picture is declared as {tuple(shape)} and is {found}")
            if found[0] * found[1] * found[2] > limits.array_elements:
                raise Malformed(f"a picture of {found} is over {limits.array_elements} entries")
            pixels = np.asarray(picture, dtype=np.uint8).reshape(found)
    except Malformed:
        raise
    except (
        UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError,
    ) as error:  # fmt: skip
        raise Malformed(f"a picture is no {kind}: {error}") from None
    pixels.setflags(write=False)
    return pixels


def _write(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        arrays.check_dtype(value)
        return {
            "__ndarray__": True,
            "data": value.tobytes(),
            "dtype": value.dtype.str,
            "shape": list(value.shape),
        }
    if isinstance(value, np.generic):
        arrays.check_dtype(value)
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent")
