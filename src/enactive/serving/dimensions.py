"""Conventions in vla-eval's words: its ``DimSpec`` of 0.8.0, written as the maps it sends.

vla-eval compares a server's ``action_spec`` with the benchmark's when they first meet, by the key
and by the word ``format``, and warns where they differ. Conventions that it has a word for get that
word; the others get a word that says ours, so that a difference is never hidden.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from enactive.actions.spaces import Group, VectorSpace
from enactive.serving.mapping import Wired

_KEYS = {"position": "position", "orientation": "rotation", "gripper": "gripper"}
_FORMATS = {
    ("position", "xyz", "delta"): "delta_xyz",
    ("position", "xyz", "absolute"): "absolute_xyz",
    ("orientation", "axis_angle", "delta"): "axis_angle",
    ("orientation", "euler_xyz", "delta"): "euler_xyz",
    ("orientation", "quaternion_xyzw", "absolute"): "quaternion_xyzw",
}


def action_dimensions(space: VectorSpace) -> dict[str, dict[str, Any]]:
    """``action_spec`` of a space: a component per group, under vla-eval's key where only one group
    has that quantity, else under the group's name."""
    quantities = [group.quantity for group in space.groups]
    return {
        _KEYS[group.quantity]
        if group.quantity in _KEYS and quantities.count(group.quantity) == 1
        else group.name: _component(group)
        for group in space.groups
    }


def _component(group: Group) -> dict[str, Any]:
    convention = (group.quantity, group.representation, group.reference)
    word = _FORMATS.get(convention) or "_".join(convention[1:])
    if group.quantity == "gripper":
        word = f"gripper_{group.unit}_positive_{group.positive}"
    component: dict[str, Any] = {
        "name": group.name,
        "dims": group.size,
        "format": word,
        "description": f"{group.quantity} {group.representation}, {group.reference} in "
        f"{group.frame}, {group.unit}",
    }
    bounds = (float(np.min(group.lows)), float(np.max(group.highs)))
    if np.isfinite(bounds).all():
        component["range"] = list(bounds)
    return component


def observation_dimensions(wired: Wired) -> dict[str, dict[str, Any]]:
    """``observation_spec``: the picture, the state and the language that the policy needs."""
    needed: dict[str, dict[str, Any]] = {}
    if wired.map.pictures:
        needed["image"] = {"name": "image", "dims": 0, "format": "rgb_hwc_uint8"}
    names = [name for vector in wired.map.vectors for name in vector.states]
    if names:
        entries = [entry for name in names for entry in wired.spec.state(name).names]
        needed["state"] = {
            "name": "state",
            "dims": len(entries),
            "format": "+".join(names),
            "description": ", ".join(entries),
        }
    if wired.map.instruction:
        needed["language"] = {"name": "language", "dims": 0, "format": "language"}
    return needed
