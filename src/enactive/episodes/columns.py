"""Arrow columns to NumPy arrays and back, and PNG images inside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

Table: TypeAlias = Any
"""A ``pyarrow.Table``; PyArrow ships no types."""
ArrowType: TypeAlias = Any
"""A ``pyarrow.DataType``."""
ArrowArray: TypeAlias = Any
"""A ``pyarrow.Array``."""

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How v3 stores a lossless image: Hugging Face's ``datasets.Image``."""


def to_numpy(column: Any) -> NDArray[Any]:
    """An Arrow column as an array ``(N, ...)``.

    Raises:
        ValueError: its rows do not all have one shape, or some value is missing.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps oversized arrays in chunks
        return np.concatenate([to_numpy(chunk) for chunk in array.chunks])
    rows = len(array)
    shape: list[int] = [rows]
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if array.null_count:
            raise ValueError(f"{array.null_count} values are missing")
        kind = array.type
        if not (
            pa.types.is_list(kind)
            or pa.types.is_large_list(kind)
            or pa.types.is_fixed_size_list(kind)
        ):
            break
        inner = array.flatten()
        length, rest = divmod(len(inner), max(len(array), 1))
        if not pa.types.is_fixed_size_list(kind) and len(array):
            lengths = np.diff(array.offsets.to_numpy())
            if (lengths != lengths[0]).any():
                raise ValueError("its rows have different lengths")
        assert rest == 0
        shape.append(length)
        array = inner
    values = array.to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values.reshape(shape))


def arrow_type(feature: dict[str, Any]) -> ArrowType:
    """The Arrow type of a v3 feature, as ``datasets`` declares it.

    Raises:
        ValueError: the feature's shape has more than one dimension, which we do not write.
    """
    if feature["dtype"] == "image":
        return IMAGE_TYPE
    scalar = pa.bool_() if feature["dtype"] == "bool" else pa.type_for_alias(feature["dtype"])
    shape = list(feature["shape"])
    if shape == [1]:
        return scalar
    if len(shape) != 1:
        raise ValueError(f"features of shape {shape} cannot be written, only vectors")
    return pa.list_(pa.field("element", scalar), shape[0])


def from_numpy(values: NDArray[Any], kind: ArrowType) -> ArrowArray:
    """An array ``(N,)`` or ``(N, D)`` as an Arrow column of type ``kind``."""
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return pa.array(values.reshape(len(values)), type=kind)


def encode_images(images: NDArray[np.uint8]) -> ArrowArray:
    """``uint8 (T, H, W, 3)`` as PNG bytes in a column of :data:`IMAGE_TYPE`."""
    rows = [{"bytes": to_png(image), "path": None} for image in images]
    return pa.array(rows, type=IMAGE_TYPE)


def to_png(image: NDArray[np.uint8]) -> bytes:
    """One ``uint8 (H, W, 3)`` image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def decode_images(rows: Sequence[dict[str, Any]], root: Any) -> NDArray[np.uint8]:
    """Rows of an image column as ``uint8 (T, H, W, 3)``; without bytes, read from its path."""
    images: list[NDArray[np.uint8]] = []
    for row in rows:
        source = io.BytesIO(row["bytes"]) if row.get("bytes") else root / row["path"]
        with Image.open(source) as image:
            images.append(np.asarray(image.convert("RGB")))
    return np.stack(images)
