"""Whether what one part produces is what another accepts, and if not, what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from enactive.actions.digital import (
    ChoiceSpace,
    CodeSpace,
    KeyboardMouseSpace,
    ScreenSpace,
    UnionSpace,
)
from enactive.actions.groups import FRAMELESS, Group
from enactive.actions.spaces import ActionSpace, VectorSpace
from enactive.actions.tools import Tool, ToolSpace
from enactive.registry import suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """One disagreement between two action spaces."""

    code: str
    """What disagrees, a stable word: ``space, rate, missing_group, extra_group, order, quantity,
    representation, size, reference, frame, unit, sign, bounds`` for vectors; ``choices, keys,
    motion, screen, tool, parallel, language, length, member`` for the others."""
    where: str
    """The group or entry, e.g. ``"arm"``, ``"arm.x"``, or the field of the space, ``"rate_hz"``."""
    message: str
    """Both sides of it."""
    fix: str
    """What to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}. {self.fix}"


def compare(produces: ActionSpace, accepts: ActionSpace) -> list[Mismatch]:
    """Every way in which actions of ``produces`` are not actions of ``accepts``, with its fix.

    An empty list means that they can be wired together as they are: every action of ``produces``
    is one of ``accepts`` and means the same there.
    """
    return list(_compare(produces, accepts))


def _compare(produces: ActionSpace, accepts: ActionSpace) -> Iterator[Mismatch]:
    if isinstance(accepts, UnionSpace) and not isinstance(produces, UnionSpace):
        fix = f"Wrap it: {{'space': name, 'action': ...}} with a name of {list(accepts.spaces)}."
        yield _space(produces, accepts, fix)
    elif type(produces) is not type(accepts):
        yield _space(produces, accepts, "Use a policy made for this kind of action.")
    elif isinstance(produces, VectorSpace):
        yield from _vectors(produces, cast(VectorSpace, accepts))
    elif isinstance(produces, UnionSpace):
        yield from _unions(produces, cast(UnionSpace, accepts))
    elif isinstance(produces, ChoiceSpace):
        theirs = cast(ChoiceSpace, accepts)
        if produces.names != theirs.names:
            fix = "Map the indices by name: accepts.index(produces.names[i])."
            yield _plain(
                "choices",
                "names",
                f"it chooses among {produces.names}, accepted are {theirs.names}",
                fix,
            )
    elif isinstance(produces, KeyboardMouseSpace):
        theirs = cast(KeyboardMouseSpace, accepts)
        for key in sorted(set(produces.keys) - set(theirs.keys)):
            yield _plain(
                "keys", "keys", f"key {key!r} does not exist there", suggest(key, theirs.keys)
            )
        if produces.max_motion > theirs.max_motion:
            yield _plain(
                "motion",
                "max_motion",
                f"the pointer moves up to {produces.max_motion:g} px, accepted "
                f"are {theirs.max_motion:g} px",
                "Clip the motion, or split it over steps.",
            )
    elif isinstance(produces, ScreenSpace):
        theirs = cast(ScreenSpace, accepts)
        if (produces.width, produces.height) != (theirs.width, theirs.height):
            yield _plain(
                "screen",
                "width",
                f"it points at {produces.width} x {produces.height} px, the "
                f"screen has {theirs.width} x {theirs.height}",
                "Scale x and y by the ratio of the sizes.",
            )
    elif isinstance(produces, ToolSpace):
        calls = cast(ToolSpace, accepts)
        if produces.parallel > calls.parallel:
            yield _plain(
                "parallel",
                "parallel",
                f"an action makes up to {produces.parallel} calls, accepted are {calls.parallel}",
                "Lower parallel.",
            )
        yield from _tools(produces.tools, calls.tools)
    elif isinstance(produces, CodeSpace):
        theirs = cast(CodeSpace, accepts)
        if produces.language != theirs.language:
            yield _plain(
                "language",
                "language",
                f"it writes {produces.language}, {theirs.language} is run",
                f"Ask it for {theirs.language}.",
            )
        if produces.max_characters > theirs.max_characters:
            yield _plain(
                "length",
                "max_characters",
                f"programs may have {produces.max_characters} characters, "
                f"accepted are {theirs.max_characters}",
                "Lower max_characters.",
            )
        yield from _tools(produces.tools, theirs.tools)
    elif produces.to_dict() != accepts.to_dict():
        yield _space(produces, accepts, "Make their to_dict() equal.")


def _space(produces: ActionSpace, accepts: ActionSpace, fix: str) -> Mismatch:
    names = type(produces).__name__, type(accepts).__name__
    return _plain("space", "space", f"it produces {names[0]}, accepted is {names[1]}", fix)


def _plain(code: str, where: str, message: str, fix: str) -> Mismatch:
    return Mismatch(code=code, where=where, message=message, fix=fix)


def _unions(produces: UnionSpace, accepts: UnionSpace) -> Iterator[Mismatch]:
    for name, space in produces.spaces.items():
        if name not in accepts.spaces:
            yield Mismatch(
                code="member",
                where=name,
                message="this member is not accepted",
                fix=suggest(name, accepts.spaces),
            )
            continue
        for found in _compare(space, accepts.spaces[name]):
            where = f"{name}.{found.where}"
            yield Mismatch(code=found.code, where=where, message=found.message, fix=found.fix)


def _tools(produces: tuple[Tool, ...], accepts: tuple[Tool, ...]) -> Iterator[Mismatch]:
    known = {tool.name: tool for tool in accepts}
    for tool in produces:
        if tool.name not in known:
            yield Mismatch(
                code="tool",
                where=tool.name,
                message="this tool does not exist there",
                fix=suggest(tool.name, known),
            )
        elif tool.to_dict() != known[tool.name].to_dict():
            theirs = known[tool.name].to_dict()
            differ = [key for key, value in tool.to_dict().items() if value != theirs[key]]
            yield Mismatch(
                code="tool",
                where=tool.name,
                message=f"{', '.join(differ)} differ",
                fix="Take the tool's definition from the world.",
            )


def _vectors(produces: VectorSpace, accepts: VectorSpace) -> Iterator[Mismatch]:
    if produces.rate_hz != accepts.rate_hz:
        yield Mismatch(
            code="rate",
            where="rate_hz",
            message=f"it acts at {produces.rate_hz:g} Hz, accepted are {accepts.rate_hz:g} Hz",
            fix=f"resample(chunk, produces, {accepts.rate_hz:g}), or train on data at that rate.",
        )
    ours, theirs = produces.slices, accepts.slices
    for name in theirs:
        if name not in ours:
            yield Mismatch(
                code="missing_group",
                where=name,
                message="this group is not produced",
                fix=f"Produce it, or rename the group that is meant; it has {', '.join(ours)}.",
            )
    for name in ours:
        if name not in theirs:
            yield Mismatch(
                code="extra_group",
                where=name,
                message="this group is not accepted",
                fix=f"Drop it, or rename it; {suggest(name, theirs)}.",
            )
    shared = [name for name in ours if name in theirs]
    if shared != [name for name in theirs if name in ours]:
        yield Mismatch(
            code="order",
            where="groups",
            message=f"its groups come as {', '.join(ours)}, accepted is {', '.join(theirs)}",
            fix="convert(chunk, produces, accepts) reorders them.",
        )
    for name in shared:
        yield from _groups(produces.group(name), accepts.group(name))


_FIXES = {
    "quantity": "These are different things; no conversion exists.",
    "representation": "convert(chunk, produces, accepts) changes it.",
    "reference": "convert(chunk, produces, accepts, Poses(values=...)) changes it, knowing where "
    "the body is.",
    "frame": "convert(chunk, produces, accepts, Poses(frames=..., values=...)) changes it, knowing "
    "where the frames are.",
    "unit": "convert(chunk, produces, accepts) changes it if both measure the same thing.",
}


def _groups(ours: Group, theirs: Group) -> Iterator[Mismatch]:
    same = True
    for code, fix in _FIXES.items():
        mine, other = getattr(ours, code), getattr(theirs, code)
        if code == "frame" and ours.quantity == theirs.quantity and ours.quantity in FRAMELESS:
            continue
        if mine != other:
            same = False
            yield Mismatch(
                code=code,
                where=ours.name,
                message=f"its {code} is {mine!r}, accepted is {other!r}",
                fix=fix,
            )
    if ours.representation == theirs.representation and ours.size != theirs.size:
        same = False
        yield Mismatch(
            code="size",
            where=ours.name,
            message=f"it has {ours.size} entries, accepted are {theirs.size}",
            fix="Produce exactly the entries that are accepted.",
        )
    if ours.positive != theirs.positive:
        same = False
        yield Mismatch(
            code="sign",
            where=ours.name,
            message=f"a positive value {ours.positive or 'unsaid'!r} "
            f"in what it produces, {theirs.positive or 'unsaid'!r} in what is accepted",
            fix="convert(chunk, produces, accepts) turns a gripper's sign over; for anything else, "
            "say the same in both.",
        )
    if not same:
        return  # bounds of different things cannot be compared
    # In float32, as actions are: 0.01 declared on both sides is the same bound.
    low, high = ours.lows.astype(np.float32), ours.highs.astype(np.float32)
    beyond = (low < theirs.lows.astype(np.float32)) | (high > theirs.highs.astype(np.float32))
    for i in np.flatnonzero(beyond).tolist():
        yield Mismatch(
            code="bounds",
            where=ours.entries[i],
            message=f"it reaches from {low[i]:g} to "
            f"{high[i]:g} {ours.unit}, accepted is {theirs.lows[i]:g} to {theirs.highs[i]:g}",
            fix="Narrow the declared bounds, and clip to them (produces.clip).",
        )
