"""When one thing stands in a relation to another, by positions alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from enactive.worlds.tabletop.vocabulary import DIRECTIONS, Look, Relation

NEAREST, FARTHEST = 0.05, 0.17
"""Distances along its direction between which a directional relation holds, m."""
SLANT = 0.7
"""Largest share of that distance that the place may be off to the side: 35 degrees."""

_WALLS = 0.008


def holds(
    relation: Relation, subject: Sequence[float], half: Sequence[float],
    other: Sequence[float], look: Look,
) -> bool:  # fmt: skip
    """Whether something stands in ``relation`` to something else.

    Args:
        relation: the relation, as seen from the front.
        subject: centre of the one, x, y, z in m.
        half: its half extents, m.
        other: centre of the other, m.
        look: looks of the other.
    """
    dx, dy, dz = (float(a - b) for a, b in zip(subject, other, strict=True))
    if relation in DIRECTIONS:
        across, ahead = DIRECTIONS[relation]
        along, aside = dx * across + dy * ahead, dx * ahead - dy * across
        return NEAREST <= along <= FARTHEST and abs(aside) <= SLANT * along
    if relation is Relation.IN:
        return _inside(dx, dy, dz, half, look)
    reach = min(look.half[:2])
    return dz >= look.half[2] + 0.6 * min(half) and math.hypot(dx, dy) <= reach + 0.005 and (
        dz <= look.half[2] + 1.2 * max(half)
    )  # fmt: skip


def _inside(dx: float, dy: float, dz: float, half: Sequence[float], look: Look) -> bool:
    """The centre is between the walls, and the bottom below the rim."""
    if look.shape not in ("bowl", "tray", "box"):
        return False
    reach = look.half[0] - _WALLS
    between = math.hypot(dx, dy) < reach if look.shape == "bowl" else max(abs(dx), abs(dy)) < reach
    return between and -look.half[2] < dz < look.half[2] + 0.9 * max(half)


def on_mark(subject: Sequence[float], mark: Sequence[float], look: Look) -> bool:
    """Whether a centre is over a mark."""
    dx, dy = float(subject[0] - mark[0]), float(subject[1] - mark[1])
    reach = look.half[0] - 0.005
    return math.hypot(dx, dy) < reach if look.shape == "circle" else max(abs(dx), abs(dy)) < reach
