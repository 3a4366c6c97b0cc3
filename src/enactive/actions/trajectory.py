"""Chunks as absolute trajectories: what conversion and resampling share.

A group's chunk ``(H, D)`` is read into the values that each action begins from and leads to, in
SI units and one fixed frame, and written from them under another convention. With p the position,
R the orientation, F the pose of the group's frame, and "begin" the value an action begins from:

============  ==============================  =====================================
reference     fixed frame                     frame "tool"
============  ==============================  =====================================
absolute      p = F v;  R = F V               (refused by Group)
delta         p = begin + F v;                p = begin + R_begin v;
              R = (F V F^-1) R_begin          R = R_begin V
chunk_start   the same from the first begin   the same from the first begin
velocity      delta of v / rate               delta of v / rate
============  ==============================  =====================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.actions import rotations
from enactive.actions.groups import TOOL, Group
from enactive.actions.poses import ConversionRefused
from enactive.actions.units import measure

T = TypeVar("T", "NDArray[np.float64]", Rotation)


@dataclass(frozen=True, slots=True, eq=False)
class Path(Generic[T]):
    """H values that actions begin from, and H that they lead to."""

    begin: T
    end: T


def to_si(values: NDArray[np.float64], group: Group, rate_hz: float) -> NDArray[np.float64]:
    """``values`` in m and rad, velocities as the change over one action."""
    scale = measure(group.unit)[1]
    return values * (scale / rate_hz if group.reference == "velocity" else scale)


def from_si(values: NDArray[np.float64], group: Group, rate_hz: float) -> NDArray[np.float64]:
    """The inverse of :func:`to_si`."""
    scale = measure(group.unit)[1]
    return values * (rate_hz / scale if group.reference == "velocity" else 1.0 / scale)


def read_rotations(values: NDArray[np.float64], group: Group, rate_hz: float) -> Rotation:
    """A group's H rotations as they stand, velocities as the rotation over one action.

    Raises:
        ConversionRefused: the entries are no rotation, or an angular velocity exceeds half a turn
            per action, which no rotation can express.
    """
    if group.representation in ("quaternion_wxyz", "quaternion_xyzw"):
        off = np.abs(np.linalg.norm(values, axis=1) - 1.0)
        if (off > 1e-3).any():
            raise ConversionRefused(
                f"{group.name}: step {int(np.argmax(off))} is no unit "
                "quaternion; normalise it first (VectorSpace.clip does)"
            )
    si = values if group.unit == "1" else to_si(values, group, rate_hz)
    if group.reference == "velocity" and (np.linalg.norm(si, axis=1) > np.pi + 1e-9).any():
        raise ConversionRefused(
            f"{group.name}: it turns more than half a turn per action at "
            f"{rate_hz:g} Hz, which is no rotation; use a higher rate"
        )
    try:
        return rotations.read(si, group.representation)
    except ValueError as error:
        raise ConversionRefused(f"{group.name}: {error}") from error


def write_rotations(turns: Rotation, group: Group, rate_hz: float) -> NDArray[np.float64]:
    """The inverse of :func:`read_rotations`."""
    written = rotations.write(turns, group.representation)
    return written if group.unit == "1" else from_si(written, group, rate_hz)


def orientation_path(
    turns: Rotation, group: Group, frame: Rotation, start: Rotation, steps: int
) -> Path[Rotation]:
    """The absolute orientations behind a group's rotations.

    Args:
        turns: H rotations in the group's own convention.
        group: that convention.
        frame: orientation of the group's frame.
        start: the orientation when the chunk begins (one), or when each action begins (H).
        steps: H.
    """
    if group.reference == "absolute":
        end = cast(Rotation, frame * turns)  # scipy's types allow NotImplemented here
        return Path(_begins(start, end, steps), end)
    # A turn about the axes of a fixed frame multiplies from the left, about the body's own axes
    # from the right.
    local = turns if group.frame == TOOL else frame * turns * frame.inv()

    def turn(begin: Rotation, by: Rotation) -> Rotation:
        return begin * by if group.frame == TOOL else by * begin

    if group.reference == "chunk_start":
        end = turn(start[0], local)
        return Path(_begins(start, end, steps), end)
    if len(start) > 1 or steps == 1:
        return Path(start, turn(start, local))
    at, ends = start[0], list[Rotation]()
    for i in range(steps):
        at = turn(at, local[i])
        ends.append(at)
    end = Rotation.concatenate(ends)
    return Path(_begins(start, end, steps), end)


def orientation_turns(path: Path[Rotation], group: Group, frame: Rotation) -> Rotation:
    """The inverse of :func:`orientation_path`."""
    if group.reference == "absolute":
        return frame.inv() * path.end
    origin = path.begin[0] if group.reference == "chunk_start" else path.begin
    if group.frame == TOOL:
        return origin.inv() * path.end
    return frame.inv() * (path.end * origin.inv()) * frame


def position_path(
    moves: NDArray[np.float64],
    group: Group,
    frame: tuple[Rotation, NDArray[np.float64]],
    start: NDArray[np.float64],
    attitude: Callable[[], Rotation],
) -> Path[NDArray[np.float64]]:
    """The absolute positions ``(H, 3)`` behind a group's moves ``(H, 3)``, all in SI units.

    Args:
        moves: the group's values in its own convention.
        group: that convention.
        frame: orientation and origin of the group's frame.
        start: the position when the chunk begins ``(1, 3)``, or when each action begins ``(H, 3)``.
        attitude: gives the H orientations that the actions begin with; asked for "tool" only.
    """
    turn, origin = frame
    if group.reference == "absolute":
        end = turn.apply(moves) + origin
        return Path(_begin_points(start, end), end)
    if group.frame == TOOL:
        turned = attitude()
        turn = turned[0] if group.reference == "chunk_start" else turned
    vectors = np.asarray(turn.apply(moves), dtype=np.float64)
    if group.reference == "chunk_start":
        end = start[0] + vectors
    elif len(start) > 1:
        end = start + vectors
    else:
        end = start + np.cumsum(vectors, axis=0)
    return Path(_begin_points(start, end), end)


def position_moves(
    path: Path[NDArray[np.float64]],
    group: Group,
    frame: tuple[Rotation, NDArray[np.float64]],
    attitude: Callable[[], Rotation],
) -> NDArray[np.float64]:
    """The inverse of :func:`position_path`."""
    turn, origin = frame
    if group.reference == "absolute":
        return np.asarray(turn.inv().apply(path.end - origin), dtype=np.float64)
    if group.frame == TOOL:
        turned = attitude()
        turn = turned[0] if group.reference == "chunk_start" else turned
    base = path.begin[0] if group.reference == "chunk_start" else path.begin
    return np.asarray(turn.inv().apply(path.end - base), dtype=np.float64)


def scalar_path(
    values: NDArray[np.float64], group: Group, start: NDArray[np.float64]
) -> Path[NDArray[np.float64]]:
    """The absolute values ``(H, D)`` behind a scalar group's, velocities given as changes."""
    if group.reference == "absolute":
        end = values
    elif group.reference == "chunk_start":
        end = start[0] + values
    elif len(start) > 1:
        end = start + values
    else:
        end = start + np.cumsum(values, axis=0)
    return Path(_begin_points(start, end), end)


def scalar_values(path: Path[NDArray[np.float64]], group: Group) -> NDArray[np.float64]:
    """The inverse of :func:`scalar_path`."""
    if group.reference == "absolute":
        return path.end
    return path.end - (path.begin[0] if group.reference == "chunk_start" else path.begin)


def _begin_points(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(start) == len(end):
        return start
    return np.concatenate([start[:1], end[:-1]])


def _begins(start: Rotation, end: Rotation, steps: int) -> Rotation:
    if len(start) == steps:
        return start
    return Rotation.concatenate([start[:1], end[:-1]])
