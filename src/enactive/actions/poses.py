"""What a conversion must know besides the chunk: where the body is, and where the frames are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.actions import rotations
from enactive.actions.groups import TOOL, Group, Representation
from enactive.registry import suggest


class ConversionRefused(ValueError):
    """A conversion is not defined, or something it needs was not given; the message says which."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Poses:
    """Where the body is when a chunk begins, and where frames are.

    Raises:
        ValueError: a frame is no rigid transform.
    """

    values: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    """Group name to its absolute value: positions ``(3,)`` in m (or the group's own unit where it
    is no length) and orientations ``(4,)`` as quaternion wxyz, both in :attr:`frame`; scalars
    ``(D,)`` in the source group's unit and sign. Given as ``(H, D)`` it is the value *measured*
    when each action begins, and deltas count from there; given as ``(D,)`` every action is taken to
    reach its target, and deltas count from the target before."""
    frame: str = "base"
    """The fixed frame in which :attr:`values` and :attr:`frames` are expressed."""
    frames: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    """Fixed frame name to its pose in :attr:`frame`, a homogeneous matrix ``(4, 4)``, m."""
    attitudes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Position group to the orientation group, or else the key of :attr:`values`, that says how
    the tool is turned. By default the only orientation group, or without one the value ``"tool"``;
    needed where an action's frame is ``"tool"`` and the space has several orientations."""

    def __post_init__(self) -> None:
        for name, pose in self.frames.items():
            matrix = np.asarray(pose, dtype=np.float64)
            rigid = matrix.shape == (4, 4) and np.allclose(matrix[3], [0, 0, 0, 1])
            rigid = rigid and np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-6)
            if not rigid or np.linalg.det(matrix[:3, :3]) < 0:
                raise ValueError(
                    f"Poses: frames[{name!r}] is no rigid transform; give (4, 4) with "
                    "a rotation, a translation in m and the last row 0 0 0 1"
                )

    def placed(self, group: Group) -> tuple[Rotation, NDArray[np.float64]]:
        """Rotation and origin ``(3,)`` of a group's fixed frame in :attr:`frame`.

        Raises:
            ConversionRefused: the frame's pose is not known.
        """
        if group.frame in (self.frame, TOOL):
            return Rotation.identity(), np.zeros(3)
        if group.frame not in self.frames:
            known = [self.frame, *self.frames]
            raise ConversionRefused(
                f"{group.name}: the pose of frame {group.frame!r} is not known; give "
                f"Poses(frames={{{group.frame!r}: ...}}); {suggest(group.frame, known)}"
            )
        matrix = np.asarray(self.frames[group.frame], dtype=np.float64)
        return Rotation.from_matrix(matrix[:3, :3]), matrix[:3, 3]

    def start(self, key: str, size: int, steps: int, *, needed: str) -> NDArray[np.float64] | None:
        """The value called ``key`` as ``(1, size)``, or ``(steps, size)`` where it was measured.

        Args:
            key: name in :attr:`values`.
            size: entries that it must have.
            steps: H.
            needed: why it is needed, for the message; empty where it may be missing.

        Raises:
            ConversionRefused: it is needed and missing, or has the wrong shape.
        """
        if key not in self.values:
            if needed:
                raise ConversionRefused(
                    f"{key}: {needed}; give Poses(values={{{key!r}: ...}}) with "
                    f"shape ({size},), or ({steps}, {size}) where measured"
                )
            return None
        value = np.atleast_2d(np.asarray(self.values[key], dtype=np.float64))
        if value.shape not in ((1, size), (steps, size)) or not np.isfinite(value).all():
            raise ConversionRefused(
                f"{key}: its value has shape {np.shape(self.values[key])}; it "
                f"must be finite, ({size},) or ({steps}, {size})"
            )
        return value

    def attitude_key(self, name: str, orientations: list[str]) -> str:
        """The orientation group, or key of :attr:`values`, that turns the position group ``name``.

        Raises:
            ConversionRefused: several groups could.
        """
        if name in self.attitudes:
            return self.attitudes[name]
        if len(orientations) > 1:
            raise ConversionRefused(
                f"{name}: which of {', '.join(orientations)} turns its frame? "
                f"give Poses(attitudes={{{name!r}: ...}})"
            )
        return orientations[0] if orientations else TOOL


QUATERNION: Representation = "quaternion_wxyz"


def as_rotation(value: NDArray[np.float64], key: str) -> Rotation:
    """A start value ``(N, 4)`` wxyz as rotations."""
    try:
        return rotations.read(value, QUATERNION)
    except ValueError as error:
        raise ConversionRefused(f"{key}: its value: {error}") from error
