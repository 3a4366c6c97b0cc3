"""Units: what they measure and how they compare."""

from __future__ import annotations

import math

_KNOWN: dict[str, tuple[str, float]] = {
    "m": ("length", 1.0),
    "cm": ("length", 1e-2),
    "mm": ("length", 1e-3),
    "rad": ("angle", 1.0),
    "deg": ("angle", math.pi / 180.0),
}


def measure(unit: str) -> tuple[str, float]:
    """What ``unit`` measures and its size in SI units, ``"/s"`` set aside.

    A unit this module does not know (``"px"``, ``"effort"``) measures only itself, with size 1.
    """
    base = unit.removesuffix("/s")
    return _KNOWN.get(base, (base, 1.0))


def same_dimension(first: str, second: str) -> bool:
    """Whether the units measure the same thing, so that a factor turns one into the other."""
    return measure(first)[0] == measure(second)[0]


def factor(source: str, target: str) -> float:
    """How many of ``target`` one of ``source`` is; raises ``ValueError`` if they differ in kind."""
    if not same_dimension(source, target):
        raise ValueError(
            f"{source!r} measures {measure(source)[0]}, {target!r} measures {measure(target)[0]}"
        )
    return 1.0 if source == target else measure(source)[1] / measure(target)[1]
