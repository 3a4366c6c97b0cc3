"""Groups: the conventions of the parts of a vector action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest

Quantity = Literal["position", "orientation", "joint", "gripper", "base", "other"]
Representation = Literal[
    "scalar",
    "xyz",
    "axis_angle",
    "quaternion_wxyz",
    "quaternion_xyzw",
    "rot6d",
    "rot6d_rows",
    "matrix",
    "euler_xyz",
]
"""``rot6d``: the rotation matrix' first two columns, one after the other (Zhou et al. 2019, §4);
``rot6d_rows``: its first two rows (PyTorch3D). ``matrix``: nine entries, row by row. ``euler_xyz``:
roll, pitch, yaw about the fixed x, y, z axes in that order, R = Rz(yaw) Ry(pitch) Rx(roll)."""
Reference = Literal["absolute", "delta", "chunk_start", "velocity"]
"""``absolute``: the value itself. ``delta``: from the value when the action begins.
``chunk_start``: from the value when its chunk began. ``velocity``: per second, held for one period
of the rate."""

_ENTRIES: dict[str, tuple[str, ...]] = {
    "xyz": ("x", "y", "z"),
    "axis_angle": ("rx", "ry", "rz"),
    "quaternion_wxyz": ("qw", "qx", "qy", "qz"),
    "quaternion_xyzw": ("qx", "qy", "qz", "qw"),
    "rot6d": ("m00", "m10", "m20", "m01", "m11", "m21"),
    "rot6d_rows": ("m00", "m01", "m02", "m10", "m11", "m12"),
    "matrix": ("m00", "m01", "m02", "m10", "m11", "m12", "m20", "m21", "m22"),
    "euler_xyz": ("roll", "pitch", "yaw"),
}
ROTATIONS = tuple(name for name in _ENTRIES if name != "xyz")
"""The representations of a rotation."""
UNIT_LENGTH = ("quaternion_wxyz", "quaternion_xyzw", "rot6d", "rot6d_rows", "matrix")
"""The rotation representations whose entries are unitless and lie in [-1, 1]."""
TOOL = "tool"
"""Name of the one frame that moves with the controlled body; every other frame is fixed."""
FRAMELESS = ("joint", "gripper")
"""Quantities whose frame is only a label, which nothing compares."""

Bound: TypeAlias = float | tuple[float, ...]


@dataclass(frozen=True, kw_only=True)  # no slots: bounds are computed once
class Group:
    """One named part of a vector action and its convention.

    Raises:
        ValueError: fields contradict one another; the message names the group, the field, the fix.
    """

    name: str
    """Name of the group, unique in its space, e.g. ``"arm"``; no dots."""
    quantity: Quantity
    """What is controlled."""
    representation: Representation
    """How the numbers stand for it, see :data:`Representation`."""
    reference: Reference
    """What the numbers are measured from, see :data:`Reference`."""
    frame: str
    """Frame of the numbers, e.g. ``"base"``, or ``"tool"`` for the frame that moves with the body
    (a delta turns and moves along the body's own axes). For joints and grippers, the part's name
    or ``"none"``."""
    unit: str
    """``"m"``, ``"rad"``, ``"m/s"``, ...; ``"1"`` for unitless rotation representations;
    ``"effort"`` and ``"fraction"`` (of the range between the bounds) for grippers."""
    low: Bound
    """Smallest value, one for all entries or one each; ``-inf`` where there is none."""
    high: Bound
    """Largest value, likewise."""
    size: int = 1
    """Entries, for ``representation="scalar"`` only; the others have a size of their own."""
    positive: str = ""
    """What a positive value does where the sign is a convention: ``"closes"``, ``"opens"``."""

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            raise ValueError(f"Group: name {self.name!r} must be non-empty and hold no dot")
        for key, known in _LITERALS.items():
            if getattr(self, key) not in known:
                self._refuse(
                    key, f"is {getattr(self, key)!r}; {suggest(getattr(self, key), known)}"
                )
        natural = _ENTRIES.get(self.representation)
        if natural is not None:
            if self.size not in (1, len(natural)):
                self._refuse(
                    "size",
                    f"is {self.size}, but {self.representation} has {len(natural)}; leave size out "
                    "(or 1 in dataclasses.replace), it is for 'scalar'",
                )
            object.__setattr__(self, "size", len(natural))
        elif self.size < 1:
            self._refuse("size", f"is {self.size}; give the number of entries, at least 1")
        self._check_meaning()
        self._check_bounds()

    def _refuse(self, key: str, why: str) -> None:
        raise ValueError(f"Group {self.name!r}: {key} {why}")

    def _check_meaning(self) -> None:
        rotation = self.representation in ROTATIONS
        if rotation and self.quantity not in ("orientation", "other"):
            self._refuse(
                "quantity",
                f"is {self.quantity!r}, but {self.representation} is a rotation; use 'orientation'",
            )
        if self.quantity == "orientation" and not rotation and self.representation != "scalar":
            self._refuse("representation", f"is {self.representation!r}, which is no rotation")
        if self.quantity in ("joint", "gripper") and self.representation != "scalar":
            self._refuse(
                "representation", f"is {self.representation!r}; a {self.quantity} is 'scalar'"
            )
        if self.reference == "velocity" and rotation and self.representation != "axis_angle":
            self._refuse(
                "representation",
                "of an angular velocity must be 'axis_angle' (rad/s about the frame's axes)",
            )
        if self.frame == TOOL and self.reference == "absolute":
            self._refuse(
                "frame",
                "is 'tool', in which the tool itself never moves; an absolute "
                "value needs a fixed frame such as 'base'",
            )
        if self.quantity == "gripper" and self.positive not in ("opens", "closes"):
            self._refuse(
                "positive",
                f"is {self.positive!r}; a gripper must say whether a larger "
                "value 'opens' or 'closes' it",
            )
        if not self.unit or not self.frame:
            self._refuse("unit" if not self.unit else "frame", "is empty; say '1' or 'none'")
        if self.representation in UNIT_LENGTH and self.unit != "1":
            self._refuse("unit", f"is {self.unit!r}, but {self.representation} has none; use '1'")
        physical = self.unit.split("/")[0] in ("m", "cm", "mm", "rad", "deg")
        if physical and self.unit.endswith("/s") != (self.reference == "velocity"):
            self._refuse(
                "unit",
                f"is {self.unit!r} with reference {self.reference!r}; units per "
                "second go with 'velocity' and only with it",
            )

    def _check_bounds(self) -> None:
        for key in ("low", "high"):
            value: Bound = getattr(self, key)
            if isinstance(value, list | tuple | np.ndarray):
                entries = tuple(float(entry) for entry in value)
                if len(entries) != self.size:
                    self._refuse(key, f"has {len(entries)} entries, the group has {self.size}")
                object.__setattr__(self, key, entries)
            else:
                object.__setattr__(self, key, float(value))
        if not bool(np.all(self.lows < self.highs)):  # also false for NaN
            self._refuse("low", f"{self.low} must be below high {self.high} in every entry")
        unit = self.representation in UNIT_LENGTH
        if unit and not (np.all(self.lows <= -1) and np.all(self.highs >= 1)):
            self._refuse(
                "low",
                f"and high of {self.representation} must reach from -1 to 1, the "
                "range of a unit vector's entries",
            )

    @cached_property
    def lows(self) -> NDArray[np.float64]:
        """Smallest value of each entry, ``(size,)``, read-only."""
        return np.broadcast_to(np.asarray(self.low, dtype=np.float64), (self.size,))

    @cached_property
    def highs(self) -> NDArray[np.float64]:
        """Largest value of each entry, ``(size,)``, read-only."""
        return np.broadcast_to(np.asarray(self.high, dtype=np.float64), (self.size,))

    @property
    def entries(self) -> tuple[str, ...]:
        """Name of each entry: ``"arm.x"``; a one-entry scalar group is just its name."""
        natural = _ENTRIES.get(self.representation)
        if natural is None and self.size == 1:
            return (self.name,)
        return tuple(f"{self.name}.{entry}" for entry in natural or range(self.size))

    def identity(self) -> NDArray[np.float64]:
        """The value that stands for "no change" under ``delta`` or ``velocity``, ``(size,)``."""
        value = np.zeros(self.size)
        if self.representation in UNIT_LENGTH:
            diagonal = {"quaternion_wxyz": (0,), "quaternion_xyzw": (3,), "matrix": (0, 4, 8)}
            value[list(diagonal.get(self.representation, (0, 4)))] = 1.0
        return value

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values; an infinite bound is ``None``."""
        data = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {**data, "low": _finite(self.low), "high": _finite(self.high)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Group:
        """The group that :meth:`to_dict` described; raises ``ValueError`` on unknown fields."""
        given = check_fields(cls, data)
        given["low"] = _bound(data["low"], -np.inf)
        given["high"] = _bound(data["high"], np.inf)
        return cls(**given)


_LITERALS: dict[str, tuple[str, ...]] = {
    "quantity": get_args(Quantity),
    "representation": get_args(Representation),
    "reference": get_args(Reference),
}


def check_fields(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """``data`` without its ``"space"`` tag, once its keys are known to be fields of ``cls``.

    Raises:
        ValueError: a key is no field, or a field without a default is missing.
    """
    known = {entry.name: entry for entry in fields(cls)}
    given = {key: value for key, value in data.items() if key != "space"}
    for key in given:
        if key not in known:
            raise ValueError(f"{cls.__name__}: no field is called {key!r}; {suggest(key, known)}")
    needed = [n for n, e in known.items() if e.default is MISSING and e.default_factory is MISSING]
    missing = [name for name in needed if name not in given]
    if missing:
        raise ValueError(f"{cls.__name__}: missing {', '.join(missing)}")
    return given


def check_names(where: str, key: str, names: tuple[str, ...]) -> None:
    """Refuse an empty list of names, an empty name, or one that occurs twice.

    Raises:
        ValueError: the message says which, and calls the list ``where: key``.
    """
    if not names or not all(names):
        raise ValueError(f"{where}: {key} must hold at least one name, and none empty")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{where}: {key} has {twice} more than once; names must differ")


def _finite(bound: Bound) -> float | list[float | None] | None:
    if isinstance(bound, tuple):
        return [entry if np.isfinite(entry) else None for entry in bound]
    return bound if np.isfinite(bound) else None


def _bound(value: Any, unbounded: float) -> Bound:
    if isinstance(value, list | tuple):
        entries = cast("list[float | None]", list(value))  # pyright: ignore[reportUnknownArgumentType]
        return tuple(unbounded if entry is None else float(entry) for entry in entries)
    return unbounded if value is None else float(value)
