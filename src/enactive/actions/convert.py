"""Chunks from one convention into another: exact, or a refusal that says why and what to give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from enactive.actions import rotations
from enactive.actions.groups import ROTATIONS, TOOL, Group
from enactive.actions.poses import ConversionRefused, Poses, as_rotation
from enactive.actions.scalars import convert_scalars
from enactive.actions.spaces import VectorSpace
from enactive.actions.trajectory import (
    from_si,
    orientation_path,
    orientation_turns,
    position_moves,
    position_path,
    read_rotations,
    to_si,
    write_rotations,
)
from enactive.actions.units import factor, same_dimension
from enactive.registry import suggest

__all__ = ["ConversionRefused", "Poses", "convert"]

ROUNDING = 1e-5
"""A converted entry may pass its bound by this part of the bound before that is an error; it is
then set to the bound. float32 chunks carry rounding errors of about 1e-7 a step."""


def convert(
    chunk: NDArray[Any], source: VectorSpace, target: VectorSpace, poses: Poses | None = None
) -> NDArray[Any]:
    """A chunk of one vector space, said in the convention of another.

    Groups are matched by name. Representation, unit, sign, reference and frame are converted; the
    rate is not (:func:`enactive.actions.resample.resample` does that), nor is a quantity. Where the
    new convention counts from where the body is, or in frames that move with it, ``poses`` says
    where that is. Computed in float64; rotations come out in the canonical form of
    :mod:`enactive.actions.rotations`.

    Args:
        chunk: ``(H, A)`` of ``source``, H >= 1.
        source: the convention of ``chunk``.
        target: the convention wanted.
        poses: start values and frames; may be left out where nothing depends on them.

    Returns:
        ``(H, A')``: float64 where ``chunk`` is, float32 otherwise.

    Raises:
        ConversionRefused: the conversion is not defined, needs something that ``poses`` does not
            give, or leads out of the target's bounds. The message names the group and the fix.
    """
    values = check_chunk(chunk, source)
    if source.rate_hz != target.rate_hz:
        raise ConversionRefused(
            f"the chunk is at {source.rate_hz:g} Hz, the target at {target.rate_hz:g} Hz; "
            f"resample(chunk, source, {target.rate_hz:g}) first"
        )
    have, want = list(source.slices), list(target.slices)
    for name in want:
        if name not in have:
            raise ConversionRefused(f"{name}: the chunk has no such group; {suggest(name, have)}")
    for name in have:
        if name not in want:
            raise ConversionRefused(
                f"{name}: the target has no such group, and leaving it out "
                f"would lose it; {suggest(name, want)}"
            )
    work = _Work(values, source, poses or Poses())
    parts = [work.convert(source.group(group.name), group) for group in target.groups]
    return _bounded(np.concatenate(parts, axis=1), target, float64=chunk.dtype == np.float64)


def check_chunk(chunk: NDArray[Any], space: VectorSpace) -> NDArray[np.float64]:
    """``chunk`` as finite float64 ``(H, A)``, or ``ConversionRefused``."""
    values = np.asarray(chunk, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != space.size or not len(values):
        raise ConversionRefused(f"a chunk has shape (H, {space.size}) here, got {values.shape}")
    if not np.isfinite(values).all():
        raise ConversionRefused("the chunk has entries that are not finite")
    return values


def same_reference(source: Group, target: Group) -> bool:
    """Whether both count from the same thing, so that only numbers change, not meanings."""
    per_action = ("delta", "velocity")
    alike = source.reference == target.reference
    return alike or (source.reference in per_action and target.reference in per_action)


@dataclass(frozen=True, slots=True)
class _Work:
    """One chunk being converted."""

    values: NDArray[np.float64]
    source: VectorSpace
    poses: Poses

    def convert(self, source: Group, target: Group) -> NDArray[np.float64]:
        """The columns of one group in the convention ``target``."""
        if source.quantity != target.quantity:
            raise ConversionRefused(f"{source.name}: a {source.quantity} is no {target.quantity}")
        columns = self.values[:, self.source.slices[source.name]]
        kinds = [kind(group) for group in (source, target)]
        if kinds[0] != kinds[1] or (kinds[0] == "scalar" and source.size != target.size):
            raise ConversionRefused(
                f"{source.name}: {source.representation} ({source.size}) has no equivalent in "
                f"{target.representation} ({target.size})"
            )
        if kinds[0] == "rotation":
            return self._rotation(columns, source, target)
        if kinds[0] == "xyz":
            return self._position(columns, source, target)
        start = self.poses.start(
            source.name, source.size, len(columns), needed=_why(source, target)
        )
        return convert_scalars(columns, source, target, start, self.source.rate_hz)

    def _rotation(self, columns: NDArray[np.float64], s: Group, t: Group) -> NDArray[np.float64]:
        rate = self.source.rate_hz
        turns = read_rotations(columns, s, rate)
        if s.frame == t.frame and same_reference(s, t):
            return write_rotations(turns, t, rate)
        start = self._start(s.name, needed=_why(s, t) or _why_frames(s, t))
        if s.frame == t.frame and start is None:  # a relative turn within one frame, wherever it is
            places = Rotation.identity(), Rotation.identity()
        else:
            places = self.poses.placed(s)[0], self.poses.placed(t)[0]
        start = rotations.identity(1) if start is None else start
        path = orientation_path(turns, s, places[0], start, len(columns))
        return write_rotations(orientation_turns(path, t, places[1]), t, rate)

    def _position(self, columns: NDArray[np.float64], s: Group, t: Group) -> NDArray[np.float64]:
        rate = self.source.rate_hz
        if not same_dimension(s.unit, t.unit):
            raise ConversionRefused(f"{s.name}: unit {s.unit!r} cannot become {t.unit!r}")
        if s.frame == t.frame and same_reference(s, t):
            if s.reference == t.reference:
                return columns * factor(s.unit, t.unit)  # not through SI: the same bits stay
            return from_si(to_si(columns, s, rate), t, rate)
        steps = len(columns)
        start = self.poses.start(s.name, 3, steps, needed=_why(s, t))
        if s.frame == t.frame and start is None:
            nowhere = Rotation.identity(), np.zeros(3)
            places = nowhere, nowhere
        else:
            places = self.poses.placed(s), self.poses.placed(t)
        both = s.frame == TOOL and t.frame == TOOL

        def attitude() -> Rotation:
            return self.attitude(s.name, steps, relative=both)

        start = np.zeros((1, 3)) if start is None else start
        path = position_path(to_si(columns, s, rate), s, places[0], start, attitude)
        return from_si(position_moves(path, t, places[1], attitude), t, rate)

    def attitude(self, name: str, steps: int, *, relative: bool) -> Rotation:
        """The tool's H orientations when the actions begin.

        Args:
            name: the position group that moves along the tool's axes.
            steps: H.
            relative: whether turns since the start are enough, as between two tool frames.
        """
        turning = [group.name for group in self.source.groups if kind(group) == "rotation"]
        key = self.poses.attitude_key(name, turning)
        why = f"group {name!r} moves along the tool's axes, so its orientation is needed"
        if key in turning:
            group = self.source.group(key)
            start = self._start(key, needed="" if relative and group.frame == TOOL else why)
            turns = read_rotations(
                self.values[:, self.source.slices[key]], group, self.source.rate_hz
            )
            start = rotations.identity(1) if start is None else start
            return orientation_path(turns, group, self.poses.placed(group)[0], start, steps).begin
        start = self._start(key, needed="" if relative else why)
        if start is None:  # no orientation is controlled, so the tool never turns
            return rotations.identity(steps)
        return start if len(start) == steps else Rotation.concatenate([start] * steps)

    def _start(self, key: str, *, needed: str) -> Rotation | None:
        value = self.poses.start(key, 4, len(self.values), needed=needed)
        return None if value is None else as_rotation(value, key)


def kind(group: Group) -> str:
    """``"rotation"``, ``"xyz"`` or ``"scalar"``: which arithmetic the group's entries obey."""
    return "rotation" if group.representation in ROTATIONS else group.representation


def _why(source: Group, target: Group) -> str:
    """Why the start value is needed; empty where it is not."""
    if (source.reference == "absolute") == (target.reference == "absolute"):
        return ""
    return f"{source.reference} to {target.reference} needs the value that it counts from"


def _why_frames(source: Group, target: Group) -> str:
    if (source.frame == TOOL) == (target.frame == TOOL):
        return ""
    return f"from frame {source.frame!r} to {target.frame!r} needs the tool's orientation"


def _bounded(values: NDArray[np.float64], space: VectorSpace, *, float64: bool) -> NDArray[Any]:
    low = np.concatenate([group.lows for group in space.groups])
    high = np.concatenate([group.highs for group in space.groups])
    slack = [np.where(np.isfinite(b), np.maximum(np.abs(b), 1e-3), 0) for b in (low, high)]
    outside = (values < low - ROUNDING * slack[0]) | (values > high + ROUNDING * slack[1])
    if outside.any():
        step, i = np.argwhere(outside)[0].tolist()
        raise ConversionRefused(
            f"{space.names[i]} becomes {values[step, i]:g} at step {step}, outside the target's "
            f"[{low[i]:g}, {high[i]:g}]; widen the target's bounds, then clip knowingly"
        )
    if float64:
        return np.clip(values, low, high)
    return np.clip(values.astype(np.float32), space.low, space.high)
