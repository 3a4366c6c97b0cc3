"""Slots: one action vector that holds the vectors of several embodiments, each entry in its place.

A policy for many bodies needs outputs of one size. Padding every body's vector on the right puts a
joint angle where another body has a height, so the unified vector has *slots* instead: one for
every meaning that occurs (arXiv 2602.09722, the unified action space: end effector, joints,
gripper, hand and rest, each at a fixed place, with a binary mask per embodiment). What decides the
slot is a group's quantity, representation, reference and frame. Values are copied, never converted:
two embodiments that share a slot must agree on unit, size and sign, and where they do not,
:meth:`Slots.of` says which conversion makes them agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.groups import FRAMELESS, Group
from enactive.actions.spaces import VectorSpace
from enactive.registry import suggest


class SlotConflict(ValueError):
    """Two groups of one slot do not mean the same; the message names both and the fix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """A unified action vector ``(U,)`` and where each embodiment's entries lie in it."""

    unified: VectorSpace
    """The slots, in order of first appearance. Nothing executes it: it describes the vector."""
    spaces: Mapping[str, VectorSpace]
    """Embodiment name to its own action space."""
    places: Mapping[str, tuple[int, ...]]
    """Embodiment name to the unified index of each of its A entries."""

    def __post_init__(self) -> None:
        if self.spaces.keys() != self.places.keys():
            raise ValueError("Slots: spaces and places must name the same embodiments")
        for name, space in self.spaces.items():
            taken = self.places[name]
            inside = all(0 <= place < self.unified.size for place in taken)
            if len(taken) != space.size or len(set(taken)) != len(taken) or not inside:
                raise ValueError(
                    f"Slots: places[{name!r}] must be {space.size} different indices below "
                    f"{self.unified.size}, got {taken}"
                )

    @classmethod
    def of(cls, spaces: Mapping[str, VectorSpace]) -> Slots:
        """Slots by meaning.

        Groups share a slot if quantity, representation, reference and frame are equal (joints and
        grippers have no frame). Where an embodiment has two groups of one meaning (two arms), and
        for the quantity ``"other"``, which says nothing, the group's name must be equal too. A
        slot's bounds are the widest of its groups.

        Args:
            spaces: embodiment name to action space, at least one.

        Raises:
            SlotConflict: groups of one slot differ in unit, size or sign, or rates differ.
        """
        first = _check_rates(spaces)
        named = _told_apart_by_name(spaces)
        slots: dict[str, Group] = {}
        owner: dict[str, str] = {}
        own: dict[str, list[str]] = {}
        for embodiment, space in spaces.items():
            own[embodiment] = []
            for group in space.groups:
                slot = _slot(group, named)
                own[embodiment].append(slot)
                if slot in slots:
                    mine = f"{embodiment}.{group.name}"
                    slots[slot] = _merged(slots[slot], group, slot, owner[slot], mine)
                else:
                    slots[slot] = _renamed(group, slot)
                    owner[slot] = f"{embodiment}.{group.name}"
        unified = VectorSpace(groups=tuple(slots.values()), rate_hz=first.rate_hz)
        at = unified.slices
        places = {
            name: tuple(i for slot in used for i in range(at[slot].start, at[slot].stop))
            for name, used in own.items()
        }
        return cls(unified=unified, spaces=dict(spaces), places=places)

    @classmethod
    def by_position(cls, spaces: Mapping[str, VectorSpace]) -> Slots:
        """Every vector from index 0 on, whatever its entries mean: the naive control of
        :meth:`of`.

        Raises:
            SlotConflict: rates differ.
        """
        first = _check_rates(spaces)
        size = max(space.size for space in spaces.values())
        lows = np.full(size, np.inf)
        highs = np.full(size, -np.inf)
        for space in spaces.values():
            lows[: space.size] = np.minimum(lows[: space.size], space.low)
            highs[: space.size] = np.maximum(highs[: space.size], space.high)
        group = Group(
            name="entries", quantity="other", representation="scalar", reference="absolute",
            frame="mixed", unit="mixed", low=tuple(lows.tolist()), high=tuple(highs.tolist()),
            size=size,
        )  # fmt: skip
        return cls(
            unified=VectorSpace(groups=(group,), rate_hz=first.rate_hz),
            spaces=dict(spaces),
            places={name: tuple(range(space.size)) for name, space in spaces.items()},
        )

    @property
    def size(self) -> int:
        """U, entries of the unified vector."""
        return self.unified.size

    @property
    def names(self) -> tuple[str, ...]:
        """The embodiments; a batch names them by their index here."""
        return tuple(self.spaces)

    def index(self, embodiment: str) -> int:
        """Number of an embodiment; raises ``KeyError`` with suggestions."""
        self._known(embodiment)
        return self.names.index(embodiment)

    def mask(self, embodiment: str) -> NDArray[np.bool_]:
        """``bool (U,)``: which unified entries the embodiment has."""
        self._known(embodiment)
        mask = np.zeros(self.size, np.bool_)
        mask[list(self.places[embodiment])] = True
        return mask

    def masks(self) -> NDArray[np.bool_]:
        """``bool (E, U)``: :meth:`mask` of every embodiment, in the order of :attr:`names`."""
        return np.stack([self.mask(name) for name in self.names])

    def embed(self, embodiment: str, actions: NDArray[Any]) -> NDArray[Any]:
        """Actions ``(..., A)`` of one embodiment as ``(..., U)``, 0 where it has no entry.

        Raises:
            KeyError: there is no such embodiment.
            ValueError: the last axis is not A.
        """
        self._known(embodiment)
        values = np.asarray(actions)
        size = self.spaces[embodiment].size
        if values.shape[-1:] != (size,):
            raise ValueError(
                f"actions of {embodiment!r} have {size} entries, got shape {values.shape}"
            )
        unified = np.zeros((*values.shape[:-1], self.size), values.dtype)
        unified[..., list(self.places[embodiment])] = values
        return unified

    def extract(self, embodiment: str, unified: NDArray[Any]) -> NDArray[Any]:
        """The inverse of :meth:`embed`: ``(..., U)`` to the embodiment's ``(..., A)``."""
        self._known(embodiment)
        values = np.asarray(unified)
        if values.shape[-1:] != (self.size,):
            raise ValueError(f"unified actions have {self.size} entries, got shape {values.shape}")
        return values[..., list(self.places[embodiment])]

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` makes equal slots of them."""
        return {
            "unified": self.unified.to_dict(),
            "embodiments": {
                name: {"space": space.to_dict(), "places": list(self.places[name])}
                for name, space in self.spaces.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Slots:
        """The inverse of :meth:`to_dict`."""
        embodiments: Mapping[str, Mapping[str, Any]] = data["embodiments"]
        return cls(
            unified=VectorSpace.from_dict(data["unified"]),
            spaces={name: VectorSpace.from_dict(e["space"]) for name, e in embodiments.items()},
            places={name: tuple(e["places"]) for name, e in embodiments.items()},
        )

    def _known(self, embodiment: str) -> None:
        if embodiment not in self.spaces:
            raise KeyError(
                f"no embodiment is called {embodiment!r}; {suggest(embodiment, self.spaces)}"
            )

    def __str__(self) -> str:
        lines = [f"Slots: {self.size} entries for {len(self.spaces)} embodiments"]
        for name, where in self.unified.slices.items():
            users = [e for e, taken in self.places.items() if where.start in taken]
            lines.append(f"  {where.start}-{where.stop - 1} {name}: {', '.join(users)}")
        return "\n".join(lines)


def _check_rates(spaces: Mapping[str, VectorSpace]) -> VectorSpace:
    if not spaces:
        raise ValueError("Slots: give at least one embodiment")
    name, first = next(iter(spaces.items()))
    for other, space in spaces.items():
        if space.rate_hz != first.rate_hz:
            raise SlotConflict(
                f"{other!r} acts at {space.rate_hz:g} Hz and {name!r} at {first.rate_hz:g} Hz; "
                f"resample(chunk, space, {first.rate_hz:g}) the actions of {other!r} first"
            )
    return first


def _meaning(group: Group) -> tuple[str, ...]:
    frame = "" if group.quantity in FRAMELESS else group.frame
    return (group.quantity, group.representation, group.reference, frame)


def _told_apart_by_name(spaces: Mapping[str, VectorSpace]) -> set[tuple[str, ...]]:
    named: set[tuple[str, ...]] = set()
    for space in spaces.values():
        counts = Counter(_meaning(group) for group in space.groups)
        named |= {key for key, count in counts.items() if count > 1 or key[0] == "other"}
    return named


def _slot(group: Group, named: set[tuple[str, ...]]) -> str:
    key = _meaning(group)
    words = (*key, group.name) if key in named else key
    return " ".join(word for word in words if word).replace(".", "_")


def _renamed(group: Group, name: str) -> Group:
    return replace(group, name=name, size=group.size if group.representation == "scalar" else 1)


def _merged(slot: Group, group: Group, name: str, first: str, second: str) -> Group:
    for key in ("size", "unit", "positive"):
        mine, theirs = getattr(group, key), getattr(slot, key)
        if mine != theirs:
            raise SlotConflict(
                f"slot {name!r}: {key} is {mine!r} in {second} and {theirs!r} in {first}; "
                + _fix(key, second.partition(".")[0])
            )
    widest = replace(
        _renamed(slot, name),
        low=tuple(np.minimum(slot.lows, group.lows).tolist()),
        high=tuple(np.maximum(slot.highs, group.highs).tolist()),
    )
    return widest


def _fix(key: str, embodiment: str) -> str:
    if key == "size":
        return (
            "give the groups different frames or quantities if they are different parts, or make "
            "them equally long"
        )
    return (
        f"convert the actions of {embodiment!r} with enactive.actions.convert, or give the groups "
        "different frames if they are not meant to share a slot"
    )
