"""Arrays in messages as the package ``openpi-client`` writes them (its ``msgpack_numpy``, 0.1.2).

An array is a map with the *byte string* keys ``__ndarray__``, ``data``, ``dtype`` and ``shape``; a
NumPy scalar is one with ``__npgeneric__``, ``data`` and ``dtype``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from enactive.serving import arrays
from enactive.serving.arrays import Limits, Malformed


def encode(value: Any) -> bytes:
    """``value`` (maps, lists, strings, numbers, arrays) as one message.

    Raises:
        ValueError: an array's dtype does not travel.
        TypeError: a value of another type.
    """
    return arrays.pack(value, _write)


def decode(data: bytes, limits: Limits | None = None) -> Any:
    """The value of a message; arrays are read-only.

    Raises:
        Malformed: it is not such a message, or leaves ``limits``.
    """
    bounds = limits or Limits()

    def read(held: dict[Any, Any]) -> Any:
        if b"__ndarray__" in held:
            return arrays.array_of(
                held.get(b"dtype"), held.get(b"shape"), held.get(b"data"), bounds
            )
        if b"__npgeneric__" in held:
            return _scalar(held.get(b"dtype"), held.get(b"data"))
        return held

    return arrays.unpack(data, read, bounds)


def _scalar(dtype: Any, value: Any) -> Any:
    if not isinstance(value, bool | int | float):
        raise Malformed(f"a scalar's data must be a number, got {type(value).__name__}")
    return arrays.dtype_of(dtype).type(value)


def _write(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        arrays.check_dtype(value)
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    if isinstance(value, np.generic):
        arrays.check_dtype(value)
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent")
