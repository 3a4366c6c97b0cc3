"""Chunks at another rate, without losing any of the motion.

Action k of a chunk at f Hz acts during [k/f, (k+1)/f] and reaches its target at the end of it. In
between, positions and joints move in a straight line and orientations along the shortest arc at
constant speed. The resampled chunk's actions reach what that motion reaches at the ends of their
own periods, hence:

- deltas add up: four deltas of 1 cm at 80 Hz are one of 4 cm at 20 Hz. Taking every fourth action,
  the usual mistake, would move a quarter of the way;
- velocities average;
- absolute values and those from the chunk's start are interpolated;
- absolute grippers, efforts and other scalars are commands, not motions: the one in force at the
  end of the period holds.

Where the chunk's duration is no multiple of the new period, the last action ends in rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from enactive.actions import rotations
from enactive.actions.convert import check_chunk, kind
from enactive.actions.groups import TOOL, UNIT_LENGTH, Group
from enactive.actions.poses import ConversionRefused, Poses, as_rotation
from enactive.actions.spaces import VectorSpace
from enactive.actions.trajectory import (
    Path,
    from_si,
    orientation_path,
    orientation_turns,
    position_moves,
    position_path,
    read_rotations,
    scalar_path,
    scalar_values,
    to_si,
    write_rotations,
)


def resampled(space: VectorSpace, rate_hz: float) -> VectorSpace:
    """``space`` at another rate: the bounds of deltas grow as their periods do.

    Quaternions, rot6d, matrices and everything that is not per action keep their bounds.
    """
    ratio = space.rate_hz / rate_hz

    def scaled(group: Group) -> Group:
        if group.reference != "delta" or group.representation in UNIT_LENGTH:
            return group
        low, high = (group.lows * ratio).tolist(), (group.highs * ratio).tolist()
        if not isinstance(group.low, tuple) and not isinstance(group.high, tuple):
            return replace(group, low=low[0], high=high[0])
        return replace(group, low=tuple(low), high=tuple(high))

    return VectorSpace(groups=tuple(scaled(group) for group in space.groups), rate_hz=rate_hz)


def resample(
    chunk: NDArray[Any], space: VectorSpace, rate_hz: float, poses: Poses | None = None
) -> NDArray[Any]:
    """A chunk at another rate, an action of ``resampled(space, rate_hz)``.

    Args:
        chunk: ``(H, A)`` of ``space``, H >= 1.
        space: the convention of ``chunk``.
        rate_hz: actions per second wanted.
        poses: where the body is when the chunk begins. With it, absolute groups are interpolated
            from there; without it, the first target counts as in force from the start. Needed only
            where a group moves along the tool's axes while the tool turns about fixed ones.

    Returns:
        ``(ceil(H * rate_hz / space.rate_hz), A)``: float64 where ``chunk`` is, float32 otherwise.
        Summed deltas lie within the bounds of ``resampled(space, rate_hz)``; check them against
        those of a world that accepts that rate.

    Raises:
        ConversionRefused: the chunk is no chunk of the space, a pose is needed, or a rotation of
            the slower rate cannot be expressed.
        ValueError: the rate is not positive.
    """
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise ValueError(f"rate_hz is {rate_hz}; it must be positive, in Hz")
    values = check_chunk(chunk, space)
    result = values if rate_hz == space.rate_hz else _Resampling.of(values, space, poses, rate_hz)
    return result.copy() if chunk.dtype == np.float64 else result.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Resampling:
    """One chunk being resampled."""

    values: NDArray[np.float64]
    space: VectorSpace
    poses: Poses
    rate_hz: float
    times: NDArray[np.float64]
    """When the new actions end, in periods of the old rate, ``(H',)``, ascending in (0, H]."""

    @classmethod
    def of(
        cls, values: NDArray[np.float64], space: VectorSpace, poses: Poses | None, rate_hz: float
    ) -> NDArray[np.float64]:
        ratio = space.rate_hz / rate_hz
        times = np.arange(1, math.ceil(len(values) / ratio - 1e-9) + 1) * ratio
        times = np.where(np.abs(times - np.round(times)) < 1e-9, np.round(times), times)
        times = np.minimum(times, float(len(values)))
        work = cls(values, space, poses or Poses(), rate_hz, times)
        arithmetic = {"rotation": work._rotation, "xyz": work._position, "scalar": work._scalar}
        return np.concatenate([arithmetic[kind(group)](group) for group in space.groups], axis=1)

    def _columns(self, group: Group) -> NDArray[np.float64]:
        return self.values[:, self.space.slices[group.name]]

    def _rotation(self, group: Group) -> NDArray[np.float64]:
        _, new, frame = self._orientations(group)
        return write_rotations(orientation_turns(new, group, frame), group, self.rate_hz)

    def _orientations(
        self, group: Group, needed: str = ""
    ) -> tuple[Path[Rotation], Path[Rotation], Rotation]:
        """A group's path at the old and the new rate, and the orientation of its frame.

        Turns say the same from any start and in any frame, so without a start both are set to 0.
        """
        wanted = bool(needed) or group.reference == "absolute"
        value = self.poses.start(group.name, 4, 1, needed=needed) if wanted else None
        start = rotations.identity(1) if value is None else as_rotation(value, group.name)
        frame = Rotation.identity() if value is None else self.poses.placed(group)[0]
        turns = read_rotations(self._columns(group), group, self.space.rate_hz)
        if group.reference == "velocity":
            self._refuse_half_turns(group, turns)
        old = orientation_path(turns, group, frame, start, len(self.values))
        if value is None and group.reference == "absolute":
            start = old.end[:1]
        knots = Rotation.concatenate([start[:1], old.end])
        end = Slerp(np.arange(len(self.values) + 1), knots)(self.times)
        begin = start if len(end) == 1 else Rotation.concatenate([start, end[:-1]])
        return old, Path(begin, end), frame

    def _refuse_half_turns(self, group: Group, turns: Rotation) -> None:
        turned = np.concatenate([[0.0], np.cumsum(turns.magnitude())])
        per_action = np.diff(np.interp(self.times, np.arange(len(turned)), turned), prepend=0.0)
        if (per_action > np.pi + 1e-9).any():
            raise ConversionRefused(
                f"{group.name}: it turns more than half a turn per action at {self.rate_hz:g} Hz, "
                "which no one angular velocity says; use a higher rate"
            )

    def _position(self, group: Group) -> NDArray[np.float64]:
        absolute = group.reference == "absolute"  # others say the same from any start
        value = self.poses.start(group.name, 3, 1, needed="") if absolute else None
        nowhere = Rotation.identity(), np.zeros(3)
        place = nowhere if value is None else self.poses.placed(group)
        start = np.zeros((1, 3)) if value is None else value
        attitudes = [rotations.identity(len(n)) for n in (self.values, self.times)]
        if group.frame == TOOL:
            attitudes = self._attitudes(group, attitudes)
        moves = to_si(self._columns(group), group, self.space.rate_hz)
        old = position_path(moves, group, place, start, lambda: attitudes[0])
        new = self._interpolate(old, start if value is not None else None, group)
        written = position_moves(new, group, place, lambda: attitudes[1])
        return from_si(written, group, self.rate_hz)

    def _attitudes(self, group: Group, constant: list[Rotation]) -> list[Rotation]:
        """The tool's orientations when the old and the new actions begin."""
        turning = [g.name for g in self.space.groups if kind(g) == "rotation"]
        key = self.poses.attitude_key(group.name, turning)
        if key not in turning:  # it never turns, so how it is turned cancels out
            return constant
        orientation = self.space.group(key)
        why = f"group {group.name!r} moves along the tool's axes while it turns about fixed ones"
        needed = "" if orientation.frame == TOOL else why
        old, new, _ = self._orientations(orientation, needed)
        return [old.begin, new.begin]

    def _scalar(self, group: Group) -> NDArray[np.float64]:
        columns = self._columns(group)
        commands = group.quantity in ("gripper", "other") or group.unit == "effort"
        if commands and group.reference == "absolute":
            return columns[np.ceil(self.times).astype(int) - 1]
        velocity = group.reference == "velocity"
        value = self.poses.start(group.name, group.size, 1, needed="")
        start = np.zeros((1, group.size)) if value is None else value
        old = scalar_path(columns / self.space.rate_hz if velocity else columns, group, start)
        changes = scalar_values(self._interpolate(old, value, group), group)
        return changes * self.rate_hz if velocity else changes

    def _interpolate(
        self, old: Path[NDArray[np.float64]], start: NDArray[np.float64] | None, group: Group
    ) -> Path[NDArray[np.float64]]:
        """``old`` at the new rate, on straight lines."""
        first = old.begin[:1]
        if start is None and group.reference == "absolute":
            first = old.end[:1]
        knots = np.concatenate([first, old.end])  # (H+1, D)
        at = np.arange(len(knots))
        end = np.stack([np.interp(self.times, at, column) for column in knots.T], axis=1)
        return Path(np.concatenate([first, end[:-1]]), end)
