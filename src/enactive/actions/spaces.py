"""Action spaces and their conventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Quantity = Literal["position", "orientation", "joint", "gripper", "base", "other"]
Representation = Literal[
    "scalar", "xyz", "axis_angle", "quaternion_wxyz", "quaternion_xyzw", "rot6d", "matrix", "euler_xyz"
]
Reference = Literal["absolute", "delta", "chunk_start", "velocity"]


class ActionSpace(Protocol):
    """A typed set of executable actions."""

    def contains(self, action: Any) -> bool: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One named part of a vector action and its convention."""

    name: str
    quantity: Quantity
    representation: Representation
    reference: Reference
    frame: str
    unit: str
    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    size: int = 1
    """Entries, for ``representation="scalar"`` only; the others have a size of their own."""
    positive: str = ""
    """What a positive value does where the sign is a convention: ``"closes"``, ``"opens"``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorSpace:
    """Vector actions ``float32 (A,)``: the groups' entries in order."""

    groups: tuple[Group, ...]
    rate_hz: float

    @property
    def size(self) -> int: ...

    @property
    def low(self) -> NDArray[np.float32]: ...

    @property
    def high(self) -> NDArray[np.float32]: ...

    @property
    def names(self) -> tuple[str, ...]:
        """A entry names, ``"arm.x"``, ``"gripper"`` (a one-entry scalar group is just its name)."""
        ...

    @property
    def slices(self) -> Mapping[str, slice]: ...

    def contains(self, action: Any) -> bool: ...

    def clip(self, action: NDArray[Any]) -> NDArray[np.float32]: ...

    def sample(self, generator: np.random.Generator) -> NDArray[np.float32]: ...

    def hold(self) -> NDArray[np.float32] | None:
        """The action that keeps still, if the conventions define one (deltas and velocities: 0)."""
        ...

    def to_dict(self) -> dict[str, Any]: ...
