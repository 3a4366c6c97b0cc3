"""Action spaces and their conventions.

A convention says, for each named group of a vector action, what its numbers mean: quantity,
representation, reference, frame, unit, bounds, and the rate at which actions are executed. It is
data that travels with worlds, datasets and checkpoints, so that a disagreement is an error when
things are wired together (:mod:`enactive.actions.compare`) rather than a robot that goes the wrong
way. Spaces of digital agents are in :mod:`enactive.actions.digital`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from enactive.actions.groups import (
    UNIT_LENGTH,
    Group,
    Quantity,
    Reference,
    Representation,
    check_fields,
)
from enactive.registry import suggest

__all__ = [
    "ActionSpace",
    "Group",
    "Quantity",
    "Reference",
    "Representation",
    "VectorSpace",
    "space_from_dict",
]


@runtime_checkable
class ActionSpace(Protocol):
    """A typed set of executable actions."""

    def contains(self, action: Any) -> bool:
        """Whether ``action`` may be executed."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON values from which :func:`space_from_dict` makes an equal space."""
        ...


@dataclass(frozen=True, kw_only=True)  # no slots: what follows from the fields is computed once
class VectorSpace:
    """Vector actions ``float32 (A,)``: the groups' entries in order."""

    groups: tuple[Group, ...]
    """The parts of the vector, in order."""
    rate_hz: float
    """Actions executed per second."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(self.groups))
        object.__setattr__(self, "rate_hz", float(self.rate_hz))
        names = [group.name for group in self.groups]
        if not names:
            raise ValueError("VectorSpace: groups is empty; give at least one Group")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"VectorSpace: groups has {twice} more than once; names must differ")
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ValueError(f"VectorSpace: rate_hz is {self.rate_hz}; it must be positive, in Hz")

    @cached_property
    def size(self) -> int:
        """A, the number of entries."""
        return sum(group.size for group in self.groups)

    @cached_property
    def low(self) -> NDArray[np.float32]:
        """Smallest value of each entry, ``float32 (A,)``, read-only."""
        return _fixed([group.lows for group in self.groups])

    @cached_property
    def high(self) -> NDArray[np.float32]:
        """Largest value of each entry, ``float32 (A,)``, read-only."""
        return _fixed([group.highs for group in self.groups])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A entry names, ``"arm.x"``, ``"gripper"`` (a one-entry scalar group is just its name)."""
        return tuple(entry for group in self.groups for entry in group.entries)

    @cached_property
    def slices(self) -> Mapping[str, slice]:
        """Group name to its slice of the vector."""
        ends = np.cumsum([group.size for group in self.groups]).tolist()
        places = zip(self.groups, ends, strict=True)
        return {g.name: slice(end - g.size, end) for g, end in places}

    @cached_property
    def _rotations(self) -> tuple[tuple[Group, slice], ...]:
        """The groups whose entries must be a rotation, and where they are."""
        return tuple(
            (group, self.slices[group.name])
            for group in self.groups
            if group.representation in UNIT_LENGTH
        )

    def group(self, name: str) -> Group:
        """The group called ``name``; raises ``KeyError`` with suggestions."""
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(f"no group is called {name!r}; {suggest(name, list(self.slices))}")

    def check(self, action: Any) -> NDArray[np.float32]:
        """``action`` as ``float32 (A,)``.

        Raises:
            ValueError: it is not in the space; the message names the entry and its bounds.
        """
        try:
            vector = np.asarray(action, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(f"an action is a vector of {self.size} numbers: {error}") from error
        if vector.shape != (self.size,):
            raise ValueError(
                f"an action has shape ({self.size},) here, got {vector.shape}: "
                f"{', '.join(self.names)}"
            )
        inside = np.isfinite(vector) & (vector >= self.low) & (vector <= self.high)
        if not inside.all():
            i = int(np.argmin(inside))
            raise ValueError(
                f"{self.names[i]} is {vector[i]:g}, outside [{self.low[i]:g}, {self.high[i]:g}]"
            )
        for group, where in self._rotations:
            if not _is_rotation(vector[where], group):
                raise ValueError(
                    f"{group.name} is no rotation in {group.representation}: "
                    f"{vector[where].tolist()}; normalise it (clip does)"
                )
        return vector

    def contains(self, action: Any) -> bool:
        """Whether ``action`` is ``(A,)``, finite, within bounds, and its rotations are rotations
        (quaternions and matrix columns of unit length to 1e-3)."""
        try:
            self.check(action)
        except ValueError:
            return False
        return True

    def clip(self, action: NDArray[Any]) -> NDArray[np.float32]:
        """The nearest action of the space, for actions ``(..., A)``; NaN is refused.

        Entries are cut to their bounds; quaternions are normalised, rot6d and matrices
        orthonormalised.

        Raises:
            ValueError: the last axis is not A, or an entry is not a number.
        """
        vector = np.array(action, dtype=np.float32)
        if vector.shape[-1:] != (self.size,):
            raise ValueError(f"actions have {self.size} entries here, got shape {vector.shape}")
        if np.isnan(vector).any():
            raise ValueError(f"cannot clip NaN (in {_nan_entries(vector, self.names)})")
        for group, where in self._rotations:
            from enactive.actions.rotations import project

            vector[..., where] = project(vector[..., where], group.representation)
        return np.clip(vector, self.low, self.high)

    def sample(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """A uniform action, ``float32 (A,)``: rotations uniform over rotations where the bounds
        say nothing (quaternion, rot6d, matrix), every other entry uniform between its bounds.

        Raises:
            ValueError: an entry has no finite bounds.
        """
        parts: list[NDArray[np.float64]] = []
        for group in self.groups:
            if group.representation in UNIT_LENGTH:
                from enactive.actions.rotations import random

                parts.append(random(generator, group.representation))
            elif not (np.isfinite(group.lows).all() and np.isfinite(group.highs).all()):
                raise ValueError(
                    f"Group {group.name!r}: cannot sample between infinite bounds; "
                    "declare finite low and high"
                )
            else:
                parts.append(generator.uniform(group.lows, group.highs))
        vector = np.concatenate(parts).astype(np.float32)
        return np.clip(vector, self.low, self.high)  # float32 rounding may cross a bound

    def hold(self, previous: NDArray[Any] | None = None) -> NDArray[np.float32] | None:
        """The action that keeps still, ``float32 (A,)``, if the conventions define one.

        Deltas and velocities hold at no change, efforts at 0. Absolute and chunk-start groups hold
        at what was last commanded, so they need ``previous`` ``(A,)``; with it, a gripper keeps its
        effort too. ``None`` where nothing is defined or "no change" is out of bounds.
        """
        parts: list[NDArray[np.float64]] = []
        for group, where in zip(self.groups, self.slices.values(), strict=True):
            relative = group.reference in ("delta", "velocity")
            if previous is not None and not relative:
                parts.append(np.asarray(previous[where], dtype=np.float64))
            elif relative or group.unit == "effort":
                parts.append(group.identity())
            else:
                return None
        vector = np.concatenate(parts).astype(np.float32)
        return vector if self.contains(vector) else None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes an equal space of them."""
        groups = [group.to_dict() for group in self.groups]
        return {"space": "vector", "rate_hz": self.rate_hz, "groups": groups}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VectorSpace:
        """The space that :meth:`to_dict` described; raises ``ValueError`` on unknown fields."""
        checked = check_fields(cls, data)
        groups = tuple(Group.from_dict(group) for group in checked["groups"])
        return cls(groups=groups, rate_hz=checked["rate_hz"])

    def __str__(self) -> str:
        lines = [f"VectorSpace: {self.size} entries at {self.rate_hz:g} Hz"]
        for g in self.groups:
            sign = f", positive {g.positive}" if g.positive else ""
            lines.append(
                f"  {g.name} ({g.size}): {g.quantity} {g.representation}, {g.reference} "
                f"in {g.frame}, {g.unit} [{g.low}, {g.high}]{sign}"
            )
        return "\n".join(lines)


def space_from_dict(data: Mapping[str, Any]) -> ActionSpace:
    """The space that some space's ``to_dict`` described.

    Raises:
        ValueError: the kind of space is unknown, or a field of it is wrong.
    """
    from enactive.actions import digital

    kinds: dict[str, Any] = {"vector": VectorSpace, **digital.KINDS}
    kind = str(data.get("space", ""))
    if kind not in kinds:
        raise ValueError(f"no action space is called {kind!r}; {suggest(kind, kinds)}")
    return kinds[kind].from_dict(data)


def _fixed(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    whole = np.concatenate(parts).astype(np.float32)
    whole.setflags(write=False)  # it is handed out again and again
    return whole


def _is_rotation(entries: NDArray[np.float32], group: Group) -> bool:
    if group.size == 4:
        return abs(float(np.linalg.norm(entries)) - 1.0) < 1e-3
    rows = entries.reshape(-1, 3).astype(np.float64)
    straight = bool(np.allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-3))
    return straight and (len(rows) == 2 or float(np.linalg.det(rows)) > 0)


def _nan_entries(vector: NDArray[np.float32], names: tuple[str, ...]) -> str:
    bad = np.isnan(vector.reshape(-1, len(names))).any(axis=0)
    return ", ".join(names[i] for i in np.flatnonzero(bad).tolist())
