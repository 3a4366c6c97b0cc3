"""Arrays on the wire: round trips, agreement with the packages of others, refusals."""

from __future__ import annotations

import io
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from enactive.serving import openpi_codec, vla_eval_codec
from enactive.serving.arrays import DTYPES, Limits, Malformed
from enactive.serving.vla_eval_codec import Message

DTYPE = st.sampled_from(sorted(DTYPES))
ARRAYS = DTYPE.flatmap(
    lambda name: hnp.arrays(
        np.dtype(name), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    )
)
TREES = st.recursive(
    ARRAYS | st.text(max_size=8) | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none(),
    lambda inner: (
        st.dictionaries(st.text(max_size=6), inner, max_size=3) | st.lists(inner, max_size=3)
    ),
    max_leaves=6,
)
REFUSED = [
    np.array([None]), np.array([1j]), np.array(["a"]), np.array([b"a"]), np.zeros(1, "f4,i2"),
    np.array(["2020-01-01"], dtype="M8[D]"),
]  # fmt: skip


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype.str, a.shape, a.tobytes()) == (
            b.dtype.str,
            b.shape,
            b.tobytes(),
        )
    if isinstance(a, dict):
        return isinstance(b, dict) and [*a] == [*b] and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def message(payload: dict[str, Any]) -> Message:
    return Message(type="observation", payload=payload, seq=7)


@given(TREES)
def test_both_codecs_return_what_was_sent(tree: Any) -> None:
    assert same(openpi_codec.decode(openpi_codec.encode(tree)), tree)
    sent = vla_eval_codec.decode(vla_eval_codec.encode(message({"held": tree})))
    assert (sent.type, sent.seq) == ("observation", 7)
    assert same(sent.payload["held"], tree)


@given(tree=TREES)
def test_openpi_clients_codec_reads_ours_and_the_other_way(
    openpi_client: SimpleNamespace, tree: Any
) -> None:
    theirs = openpi_client.codec
    assert openpi_codec.encode(tree) == theirs.packb(tree)
    assert same(theirs.unpackb(openpi_codec.encode(tree)), tree)
    assert same(openpi_codec.decode(theirs.packb(tree)), tree)


@given(tree=TREES)
def test_vla_evals_codec_reads_ours_and_the_other_way(tree: Any) -> None:
    theirs = pytest.importorskip("vla_eval.protocol.messages")
    read = theirs.unpack_message(vla_eval_codec.encode(message({"held": tree})))
    assert same(read.payload["held"], tree) and read.seq == 7
    sent = theirs.pack_message(
        theirs.Message(type=theirs.MessageType.OBSERVATION, payload={"held": tree}, seq=7)
    )
    assert same(vla_eval_codec.decode(sent).payload["held"], tree)


@given(hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * 2, st.sampled_from([1, 3, 4]))))
def test_vla_evals_png_pictures_arrive_bit_by_bit(picture: np.ndarray) -> None:
    codec = pytest.importorskip("vla_eval.protocol.image_codec")
    if picture.shape[2] == 1:  # their encoder cannot write one channel; the raw form can
        sent = codec.encode_image(picture, "raw")
    else:
        sent = codec.encode_image(picture, "png")
    data = msgpack.packb({"type": "observation", "payload": {"p": sent}, "seq": 1, "timestamp": 0})
    assert same(vla_eval_codec.decode(data).payload["p"], picture)


@given(st.sampled_from([np.float32(2.5), np.int8(-3), np.bool_(True), np.uint64(2**63)]))
def test_numpy_scalars_keep_their_dtype_in_openpis_form(value: np.generic) -> None:
    found = openpi_codec.decode(openpi_codec.encode({"x": value}))["x"]
    assert found == value and found.dtype == value.dtype


def test_arrays_that_arrive_cannot_be_written_to() -> None:
    found = openpi_codec.decode(openpi_codec.encode(np.zeros(3)))
    with pytest.raises(ValueError):
        found[0] = 1


@pytest.mark.parametrize("array", REFUSED, ids=lambda array: array.dtype.str)
def test_what_is_no_number_is_not_sent(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        openpi_codec.encode({"x": array})
    with pytest.raises(ValueError, match="cannot be sent"):
        vla_eval_codec.encode(message({"x": array}))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dtype": "|O"}, "does not travel"),
        ({"dtype": "O"}, "does not travel"),
        ({"dtype": "f4,f4"}, "does not travel"),
        ({"dtype": "(1000000,1000000)f8"}, "does not travel"),
        ({"dtype": "<U4"}, "does not travel"),
        ({"dtype": ["f4"]}, "does not travel"),
        ({"shape": [3]}, "needs 12 bytes"),
        ({"shape": [2**40, 0]}, "more than"),
        ({"shape": [2**31, 2**31]}, "more than"),
        ({"shape": [-2]}, "sizes"),
        ({"shape": [2.0]}, "sizes"),
        ({"shape": [True, 2]}, "sizes"),
        ({"shape": [1] * 6 + [2]}, "7 axes"),
        ({"shape": None}, "sizes"),
        ({"data": "text"}, "bytes"),
    ],
)
def test_arrays_that_lie_are_refused(fields: dict[str, Any], reason: str) -> None:
    array = {"dtype": "<f4", "shape": [2], "data": bytes(8), **fields}
    openpi = {b"__ndarray__": True, **{key.encode(): value for key, value in array.items()}}
    with pytest.raises(Malformed, match=reason):
        openpi_codec.decode(msgpack.packb({"x": openpi}))
    sent = {"x": {"__ndarray__": True, **array}}
    with pytest.raises(Malformed, match=reason):
        vla_eval_codec.decode(
            msgpack.packb({"type": "action", "payload": sent, "seq": 0, "timestamp": 0})
        )


@settings(max_examples=300)
@given(st.binary(max_size=64))
def test_no_bytes_do_anything_but_be_refused_or_read(data: bytes) -> None:
    for decode in (openpi_codec.decode, vla_eval_codec.decode):
        with suppress(Malformed):
            decode(data)


@settings(max_examples=100)
@given(ARRAYS, st.data())
def test_a_damaged_message_is_refused_or_another_one(array: np.ndarray, data: Any) -> None:
    sent = bytearray(openpi_codec.encode({"a": array, "b": "text"}))
    place = data.draw(st.integers(0, len(sent) - 1))
    sent[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(sent), bytes(sent[:place])):
        with suppress(Malformed):
            openpi_codec.decode(damaged)


@pytest.mark.parametrize(
    "data",
    [
        b"\x90" * 3,  # three values
        msgpack.packb([[]] * 20_000),  # a byte each, an object each
        msgpack.packb({str(i): i for i in range(20_000)}),
        msgpack.packb("x" * 70_000),
        b"\x91" * 5_000 + b"\x90",  # deeper than anybody can go
        msgpack.packb(msgpack.ExtType(5, b"code")),
        msgpack.packb(msgpack.Timestamp(0)),
        msgpack.packb({1: "key that is no text"}),
        b"",
    ],
    ids=["more", "lists", "map", "text", "deep", "extension", "date", "key", "nothing"],
)
def test_messages_that_would_cost_too_much_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        openpi_codec.decode(data)


def test_a_message_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(Malformed, match="at most 100"):
        openpi_codec.decode(bytes(101), Limits(message_bytes=100))


@pytest.mark.parametrize(
    ("picture", "shape", "reason"),
    [
        ((3000, 3000), [2, 2, 3], "declared"),
        ((3000, 3000), [3000, 3000, 3], "over"),
        ((4, 4), [4, 4, 2], "shape"),
        (None, [4, 4, 3], "no png"),
    ],
)
def test_pictures_that_lie_are_refused_before_they_are_unpacked(
    picture: tuple[int, int] | None, shape: list[int], reason: str
) -> None:
    held = io.BytesIO()
    if picture is not None:
        Image.new("RGB", picture).save(held, format="PNG")
    sent = {"__image__": True, "format": "png", "data": held.getvalue(), "shape": shape}
    data = msgpack.packb({"type": "observation", "payload": {"p": sent}, "seq": 1, "timestamp": 0})
    with pytest.raises(Malformed, match=reason):
        vla_eval_codec.decode(data, Limits(array_elements=2**20))
