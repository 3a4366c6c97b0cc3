"""msgpack with arrays, read from strangers: everything is bounded, nothing is ever unpickled.

The two wire formats, :mod:`~enactive.serving.openpi_codec` and
:mod:`~enactive.serving.vla_eval_codec`, share what is here: the bounds, the list of dtypes, and the
reading of one array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray


class Malformed(ValueError):
    """A message is not what the protocol says; the text may be shown to whoever sent it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one message may hold. Exceeding any of them refuses the message."""

    message_bytes: int = 32 * 2**20
    """Bytes of one message; one full-HD picture is 6 MiB."""
    array_elements: int = 8 * 2**20
    """Entries of one array."""
    rank: int = 6
    """Axes of one array."""
    entries: int = 10_000
    """Maps and lists and what they hold, arrays' contents aside, all together."""
    text_bytes: int = 64 * 1024
    """Bytes of one string."""


SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
"""dtype kind to the item sizes that are the same on every platform."""
DTYPES = {
    np.dtype(f"{order}{kind}{size}").str: np.dtype(f"{order}{kind}{size}")
    for kind, sizes in SIZES.items()
    for size in sizes
    for order in "<>"
}
"""The dtypes that travel, by numpy's name for them: ``"<f4"``, ``">i8"``, ``"|u1"``, ..."""


def dtype_of(name: Any) -> np.dtype[Any]:
    """The dtype called ``name``.

    Raises:
        Malformed: it is not in :data:`DTYPES`: objects, structures, strings, complex, dates.
    """
    found = DTYPES.get(name) if isinstance(name, str) else None
    if found is None:
        raise Malformed(f"dtype {name!r:.40} does not travel; use bool, int, uint or float arrays")
    return found


def array_of(dtype: Any, shape: Any, data: Any, limits: Limits) -> NDArray[Any]:
    """The array that a message describes, read-only, over the message's own bytes.

    Raises:
        Malformed: a field has the wrong type, is out of bounds, or disagrees with the others.
    """
    kind = dtype_of(dtype)
    if not isinstance(data, bytes):
        raise Malformed(f"an array's data must be bytes, got {type(data).__name__}")
    if not isinstance(shape, list | tuple) or not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape
    ):
        raise Malformed(f"an array's shape must be a list of sizes, got {shape!r:.60}")
    if len(shape) > limits.rank:
        raise Malformed(f"an array has {len(shape)} axes; at most {limits.rank} are accepted")
    count = prod(shape)
    if count > limits.array_elements or max(shape, default=0) > limits.array_elements:
        raise Malformed(
            f"an array of shape {tuple(shape)} has more than {limits.array_elements} entries"
        )
    if count * kind.itemsize != len(data):
        raise Malformed(
            f"an array of shape {tuple(shape)} and dtype {dtype} needs {count * kind.itemsize} "
            f"bytes, the message has {len(data)}"
        )
    return np.frombuffer(data, dtype=kind).reshape(tuple(shape))


def check_dtype(value: NDArray[Any] | np.generic) -> None:
    """Refuse what does not travel, before it is packed.

    Raises:
        ValueError: the dtype is not in :data:`DTYPES`.
    """
    if value.dtype.str not in DTYPES:
        raise ValueError(
            f"arrays of dtype {value.dtype} cannot be sent; use bool, int, uint or float"
        )


def pack(value: Any, default: Callable[[Any], Any]) -> bytes:
    """``value`` as msgpack; ``default`` says how an array is written."""
    packed: Any = msgpack.packb(value, default=default, use_bin_type=True)
    return packed


def unpack(
    data: bytes, array: Callable[[dict[Any, Any]], Any], limits: Limits | None = None
) -> Any:
    """The value of a msgpack message.

    Args:
        data: the message.
        array: given every map, returns the array it stands for, or the map itself.
        limits: bounds on the message; by default those of :class:`Limits`.

    Raises:
        Malformed: it is not msgpack, or leaves the bounds.
    """
    bounds = limits or Limits()
    if len(data) > bounds.message_bytes:
        raise Malformed(f"the message has {len(data)} bytes; at most {bounds.message_bytes}")
    count = 0

    def read(held: dict[Any, Any]) -> Any:
        return array(counted(held))

    def counted(held: Any) -> Any:
        # A byte of msgpack can be an object of many bytes, so objects are counted as they are made.
        nonlocal count
        count += 1 + len(held)
        if count > bounds.entries:
            raise Malformed(f"the message holds more than {bounds.entries} entries")
        return held

    try:
        return msgpack.unpackb(
            data,
            raw=False,
            object_hook=read,
            list_hook=counted,
            max_str_len=bounds.text_bytes,
            max_bin_len=bounds.message_bytes,
            max_array_len=bounds.entries,
            max_map_len=bounds.entries,
            max_ext_len=0,
        )
    except Malformed:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise Malformed(f"the message is not msgpack as agreed: {error or type(error)}") from None
