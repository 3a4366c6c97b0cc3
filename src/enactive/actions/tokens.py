"""Action tokens: the typed steps of the chain behind a decision.

The eight kinds are the taxonomy of Zhong et al. 2025, "A Survey on Vision-Language-Action Models:
An Action Tokenization Perspective" (§3). A token is a value: frozen, comparable, hashable, and the
same bytes wherever it is written.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast, get_args

import msgpack
import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest

Kind = Literal["reasoning", "language", "code", "affordance", "trajectory", "goal", "latent", "raw"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_WORDS = ("reasoning", "language", "code")
_ARRAYS = ("trajectory", "latent")

Content: TypeAlias = Any
"""``str``, a numeric array, or a JSON value (frozen: tuples for lists, read-only mappings)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class ActionToken:
    """One typed step of the chain.

    Arrays are copied, made contiguous and read-only; JSON lists become tuples and JSON objects
    read-only mappings. Two tokens are equal when their bytes are.

    Raises:
        ValueError: a field is wrong, or the content cannot be written; the message names the field.
    """

    id: str
    """Name of the token, unique in its chain."""
    kind: Kind
    """What the content is."""
    content: Content
    """``str`` for reasoning, language and code; an array for trajectory and latent; either, or a
    JSON value, for the others. A raw vector chunk is ``float32 (H, A)``."""
    parents: tuple[str, ...] = ()
    """Ids of the tokens that this one was made from."""
    source: str
    """What made it: a part's or a policy's name, e.g. ``"flow_matching"``."""
    imagined: bool = False
    """Whether a model predicted the content (a goal image, a future) instead of observing it."""
    score: float | None = None
    """A verifier's or the model's own score, where candidates compete; larger is better."""
    chosen: bool = True
    """False for a candidate that lost."""

    def __post_init__(self) -> None:
        for key in ("id", "source"):
            if not isinstance(getattr(self, key), str) or not getattr(self, key):
                self._refuse(key, "must be a non-empty string")
            _utf8(getattr(self, key), key)
        if self.kind not in KINDS:
            self._refuse("kind", f"is {self.kind!r}; {suggest(str(self.kind), KINDS)}")
        if isinstance(self.parents, str):
            self._refuse("parents", "is a string; give a tuple of ids")
        object.__setattr__(self, "parents", tuple(self.parents))
        object.__setattr__(self, "imagined", bool(self.imagined))
        object.__setattr__(self, "chosen", bool(self.chosen))
        if self.score is not None:
            object.__setattr__(self, "score", float(self.score))
            if not math.isfinite(self.score):
                self._refuse("score", f"is {self.score}; it must be finite, or None for no score")
        try:
            object.__setattr__(self, "content", _freeze(self.content))
        except ValueError as error:
            raise ValueError(f"ActionToken {self.id!r}: {error}") from error
        if self.kind in _WORDS and not isinstance(self.content, str):
            self._refuse("content", f"of a {self.kind} token must be a string")
        if self.kind in _ARRAYS and not isinstance(self.content, np.ndarray):
            self._refuse("content", f"of a {self.kind} token must be an array")

    def _refuse(self, key: str, why: str) -> None:
        raise ValueError(f"ActionToken {self.id!r}: {key} {why}")

    @property
    def array(self) -> NDArray[Any]:
        """The content, where it is an array; raises ``TypeError`` otherwise."""
        if not isinstance(self.content, np.ndarray):
            raise TypeError(f"token {self.id!r} holds {type(self.content).__name__}, no array")
        return cast("NDArray[Any]", self.content)

    @property
    def content_hash(self) -> str:
        """128-bit blake2b of kind and content, hex: equal for equal contents under any id."""
        packed = cast(bytes, msgpack.packb([self.kind, _content(self.content, text=False)]))
        return hashlib.blake2b(packed, digest_size=16).hexdigest()

    @property
    def hash(self) -> str:
        """128-bit blake2b of the whole token, hex."""
        return hashlib.blake2b(self.to_bytes(), digest_size=16).hexdigest()

    def to_dict(self, *, text: bool) -> dict[str, Any]:
        """The fields in a fixed order; arrays as bytes, or as base64 where ``text``."""
        return {
            "id": self.id,
            "kind": self.kind,
            "content": _content(self.content, text=text),
            "parents": list(self.parents),
            "source": self.source,
            "imagined": self.imagined,
            "score": self.score,
            "chosen": self.chosen,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ActionToken:
        """The token that :meth:`to_dict` described, with or without ``text``.

        Raises:
            ValueError: a field is unknown, missing or wrong.
        """
        unknown = sorted(set(data) - _FIELDS)
        missing = sorted(_FIELDS - set(data))
        if unknown or missing:
            raise ValueError(f"ActionToken: unknown fields {unknown}, missing fields {missing}")
        given = dict(data)
        given["content"] = _thaw(data["content"])
        return cls(**given)

    def to_bytes(self) -> bytes:
        """Canonical msgpack: equal tokens give equal bytes."""
        return cast(bytes, msgpack.packb(self.to_dict(text=False)))

    @classmethod
    def from_bytes(cls, data: bytes) -> ActionToken:
        """The token that :meth:`to_bytes` wrote; raises ``ValueError`` on anything else."""
        return cls.from_dict(unpack(data))

    def to_json(self) -> str:
        """Canonical JSON, arrays in base64."""
        return json.dumps(self.to_dict(text=True), allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ActionToken:
        """The token that :meth:`to_json` wrote; raises ``ValueError`` on anything else."""
        return cls.from_dict(json.loads(text))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActionToken):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __reduce__(self) -> tuple[Any, ...]:
        # Read-only mappings do not pickle; queues between processes get the canonical bytes.
        return ActionToken.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        marks = [f"score={self.score:g}"] if self.score is not None else []
        marks += ["imagined"] if self.imagined else []
        marks += [] if self.chosen else ["not chosen"]
        made = f" <- {', '.join(self.parents)}" if self.parents else ""
        note = f" ({', '.join(marks)})" if marks else ""
        return f"{self.id}: {self.kind} {_short(self.content)} by {self.source}{made}{note}"


_FIELDS = {"id", "kind", "content", "parents", "source", "imagined", "score", "chosen"}


def unpack(data: bytes) -> dict[str, Any]:
    """The msgpack mapping in ``data``; raises ``ValueError`` where it is something else."""
    try:
        value: Any = msgpack.unpackb(data, strict_map_key=True)
    except (msgpack.exceptions.UnpackException, msgpack.exceptions.ExtraData, ValueError) as error:
        raise ValueError(f"no msgpack record: {error or type(error).__name__}") from error
    if not isinstance(value, dict):
        raise ValueError(f"a record is a mapping, got {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _utf8(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} is not valid Unicode: {error.reason}") from error
    return text


def _freeze(value: Any, where: str = "content") -> Any:
    """``value`` made immutable, or ``ValueError`` where it cannot be written and read back."""
    if isinstance(value, np.generic) and where != "content":
        value = value.item()
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        # long double is not the same on every machine
        if array.dtype.kind not in "biufc" or array.dtype.char in "gG":
            raise ValueError(f"{where} has dtype {array.dtype}; arrays must be numeric or boolean")
        if where != "content":
            raise ValueError(
                f"{where} is an array inside a JSON value; use a list there, or make "
                "the array a token of its own"
            )
        array = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")
        array.setflags(write=False)
        return array
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{where} is {value}, beyond 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}; JSON has no such number")
        return float(value)
    if isinstance(value, str):
        return str(_utf8(value, where))
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        return tuple(_freeze(item, f"{where}[{i}]") for i, item in enumerate(items))
    if isinstance(value, Mapping):
        mapping = cast("Mapping[Any, Any]", value)
        for key in mapping:
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}; JSON keys are strings")
            _utf8(key, f"a key of {where}")
        # Sorted keys make the bytes canonical.
        return MappingProxyType({k: _freeze(mapping[k], f"{where}.{k}") for k in sorted(mapping)})
    raise ValueError(f"{where} is a {type(value).__name__}; use a string, a numeric array or JSON")


def _content(value: Any, *, text: bool) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        data = array.tobytes()
        return {
            "array": base64.b64encode(data).decode() if text else data,
            "dtype": array.dtype.str,
            "shape": list(array.shape),
        }
    return {"json": _plain(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[Any, ...]", value)]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, Any]", value).items()}
    return value


def _thaw(data: Mapping[str, Any]) -> Any:
    if set(data) == {"json"}:
        return data["json"]
    if set(data) != {"array", "dtype", "shape"}:
        raise ValueError(f"ActionToken: content has the fields {sorted(data)}")
    raw: Any = data["array"]
    packed = base64.b64decode(raw, validate=True) if isinstance(raw, str) else raw
    dtype = np.dtype(data["dtype"])
    if dtype.kind not in "biufc":
        raise ValueError(f"ActionToken: content has dtype {dtype}; arrays must be numeric")
    return np.frombuffer(packed, dtype=dtype).reshape(data["shape"])


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        return f"{array.dtype.name} {array.shape}"
    text = json.dumps(_plain(value), ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
