"""Conversion of scalar groups: joints, grippers, anything that is a number per entry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from enactive.actions.groups import FRAMELESS, Group
from enactive.actions.poses import ConversionRefused
from enactive.actions.trajectory import scalar_path, scalar_values
from enactive.actions.units import factor, same_dimension


def convert_scalars(
    columns: NDArray[np.float64],
    source: Group,
    target: Group,
    start: NDArray[np.float64] | None,
    rate_hz: float,
) -> NDArray[np.float64]:
    """The columns ``(H, D)`` of a scalar group in another convention.

    Args:
        columns: values in the convention ``source``.
        source: that convention.
        target: the convention wanted.
        start: absolute value ``(1, D)`` or ``(H, D)`` in the source's unit and sign, where known.
        rate_hz: actions per second.

    Raises:
        ConversionRefused: frames, units or signs have no defined relation.
    """
    if source.frame != target.frame and source.quantity not in FRAMELESS:
        raise ConversionRefused(
            f"{source.name}: scalars cannot go from frame {source.frame!r} to "
            f"{target.frame!r}; use representation 'xyz' for a position"
        )
    scale, offset = affine(source, target)
    changes = columns / rate_hz if source.reference == "velocity" else columns
    if source.reference != target.reference:
        if start is None:
            start = np.zeros((1, source.size))
        changes = scalar_values(scalar_path(changes, source, start), target)
    if target.reference == "velocity":
        changes = changes * rate_hz
    if source.reference == target.reference == "velocity":
        changes = columns  # not divided and multiplied again: the same bits stay
    return changes * scale + (offset if target.reference == "absolute" else 0.0)


def affine(source: Group, target: Group) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(scale, offset)``, each ``(D,)``, with absolute target = scale * absolute source + offset.

    Raises:
        ConversionRefused: see :func:`convert_scalars`.
    """
    flip = source.positive != target.positive
    if source.quantity != "gripper":
        if flip and source.positive and target.positive:
            raise ConversionRefused(
                f"{source.name}: a positive value {source.positive!r} in one "
                f"space and {target.positive!r} in the other"
            )
        flip = False
    absolutes = [group for group in (source, target) if group.reference == "absolute"]
    fraction = "fraction" in (source.unit, target.unit)
    if source.unit != target.unit and "effort" in (source.unit, target.unit):
        raise ConversionRefused(
            f"{source.name}: an effort is no {target.unit} or {source.unit}; "
            "if the gripper is binary, declare one unit in both spaces"
        )
    if len(absolutes) == 2 and (fraction or (flip and source.unit != "effort")):
        return _between_bounds(source, target, flip=flip, stretch=fraction)
    if fraction and any(np.any(g.lows != 0) or np.any(g.highs != 1) for g in absolutes):
        raise ConversionRefused(
            f"{source.name}: a change in 'fraction' is of the whole range, so "
            "the absolute space must reach from 0 to 1"
        )
    if not same_dimension(source.unit, target.unit):
        raise ConversionRefused(
            f"{source.name}: unit {source.unit!r} cannot become "
            f"{target.unit!r}; the range of travel is known only from the "
            "bounds of two absolute spaces"
        )
    if flip and target.reference == "absolute" and source.unit != "effort":
        raise ConversionRefused(f"{source.name}: change the sign between two absolute spaces first")
    scale = np.full(source.size, factor(source.unit, target.unit))
    return (-scale if flip else scale), np.zeros(source.size)


def _between_bounds(
    source: Group, target: Group, *, flip: bool, stretch: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The map that takes the source's bounds to the target's, reversed where ``flip``."""
    ends = np.stack([source.lows, source.highs, target.lows, target.highs])
    if not np.isfinite(ends).all():
        raise ConversionRefused(
            f"{source.name}: the ends of travel must be known; declare finite bounds in both spaces"
        )
    if not stretch and not same_dimension(source.unit, target.unit):
        raise ConversionRefused(
            f"{source.name}: unit {source.unit!r} cannot become {target.unit!r}"
        )
    scale = (ends[3] - ends[2]) / (ends[1] - ends[0])
    if not stretch and not np.allclose(scale, factor(source.unit, target.unit), rtol=1e-6):
        raise ConversionRefused(
            f"{source.name}: the ends of travel differ ({source.low} to "
            f"{source.high} {source.unit}, {target.low} to {target.high} "
            f"{target.unit}), so the sign cannot be turned over"
        )
    if flip:
        scale = -scale
    return scale, (ends[3] if flip else ends[2]) - scale * ends[0]
