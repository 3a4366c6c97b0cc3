"""How the states of branches that ran side by side become one.

A merge is a three-way one: it sees the state from which all branches began. For every such base, it
is a monoid whose unit is the base:

- *unit*: a branch that changed nothing changes nothing;
- *associative*: it does not matter how branches are grouped.

Where branches cannot be merged without losing something, it refuses: grouped otherwise, it refuses
too. :func:`broken_law` checks a merge of one's own. LangGraph's reducers obey the second law only
(``reducer(reducer(s, xs), ys) == reducer(s, xs + ys)``), as they see writes and not states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from fractions import Fraction
from functools import reduce
from typing import Any, Protocol, TypeVar, cast

from enactive.policies.agents.record import Record

S = TypeVar("S")


class MergeConflict(ValueError):
    """Branches changed the same thing in ways that exclude each other."""


class Merge(Protocol[S]):
    """Makes one state of several."""

    def __call__(self, base: S, states: Sequence[S], /) -> S:
        """The state after branches that began at ``base`` and ended at ``states``, in order.

        Raises:
            MergeConflict: they exclude each other.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pairwise:
    """A merge of two states, folded over any number of them."""

    combine: Callable[[Any, Any, Any], Any]
    """Base and two states to one."""
    name: str

    def __call__(self, base: S, states: Sequence[S], /) -> S:
        return reduce(lambda one, other: self.combine(base, one, other), states, base)

    def __repr__(self) -> str:
        return self.name


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type: 1, 1.0 and ``True`` are three values, and a
    NaN is itself."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other or (one != one and other != other)
    if isinstance(one, Mapping):
        mine, yours = cast("Mapping[Any, Any]", one), cast("Mapping[Any, Any]", other)
        return mine.keys() == yours.keys() and all(same(mine[key], yours[key]) for key in mine)
    if isinstance(one, list | tuple):
        mine, yours = cast("Sequence[Any]", one), cast("Sequence[Any]", other)
        return len(mine) == len(yours) and all(map(same, mine, yours))
    if is_dataclass(one) and not isinstance(one, type):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other)


def _one_writer(base: Any, one: Any, other: Any) -> Any:
    if same(one, base) or same(one, other):
        return other
    if same(other, base):
        return one
    raise MergeConflict(f"branches changed {_short(base)} to {_short(one)} and to {_short(other)}; "
                        "let one of them write it, or name a merge for it")  # fmt: skip


one_writer = Pairwise(_one_writer, "one_writer")
"""At most one branch changes the state, or all that do agree."""


def _append(base: Any, one: Any, other: Any) -> Any:
    for state in (one, other):
        if not isinstance(state, tuple):
            raise MergeConflict(f"append merges tuples, got {type(state).__name__}")
        if not same(cast("tuple[Any, ...]", state)[: len(base)], base):
            raise MergeConflict(f"a branch changed what was there before: {_short(base)} became "
                                f"{_short(state)}; branches may only add at the end")  # fmt: skip
    return one + other[len(base) :]


append = Pairwise(_append, "append")
"""Tuples: what each branch added at the end, in the branches' order."""


def _union(base: Any, one: Any, other: Any) -> Any:
    for state in (base, one, other):
        if not isinstance(state, frozenset):
            raise MergeConflict(f"union merges frozensets, got {type(state).__name__}")
    return (one & other) | (one - base) | (other - base)


union = Pairwise(_union, "union")
"""Frozensets: with what any branch added, without what any branch removed."""


def _total(base: Any, one: Any, other: Any) -> Any:
    for state in (base, one, other):
        if type(state) not in (int, Fraction) or type(state) is not type(base):
            raise MergeConflict(
                "total merges whole numbers, or Fractions, as sums of floats depend on how they "
                f"are grouped; got {_short(state)}"
            )
    return one + other - base


total = Pairwise(_total, "total")
"""Whole numbers and fractions: the sum of what the branches added."""


def _largest(base: Any, one: Any, other: Any) -> Any:
    for state in (base, one, other):
        if type(state) not in (int, float, str, Fraction) or type(state) is not type(base):
            raise MergeConflict(f"largest merges numbers or texts of one type, got {_short(state)}")
        if isinstance(state, float) and math.isnan(state):
            raise MergeConflict("largest: a NaN has no order")
        if state < base:
            raise MergeConflict(f"largest: a branch lowered {_short(base)} to {_short(state)}")
    return max(one, other)


largest = Pairwise(_largest, "largest")
"""Numbers or texts of one type: the largest of the branches' values, none of which may go down."""


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT: Any = _Absent()


@dataclass(frozen=True, slots=True)
class ByKey:
    """Records, entry by entry: :data:`one_writer` for those that have no merge of their own.

    An entry that branches write differently is refused, never decided by who came last.
    """

    merges: Mapping[str, Merge[Any]] = field(default_factory=dict[str, Merge[Any]])

    def __call__(self, base: Any, states: Sequence[Any], /) -> Any:
        for state in (base, *states):
            if not isinstance(state, Record):
                raise MergeConflict(f"ByKey merges Records, got {type(state).__name__}")
        keys = dict.fromkeys(key for state in (base, *states) for key in state)
        made = {
            key: _entry(key, self.merges, base.get(key, _ABSENT),
                        [state.get(key, _ABSENT) for state in states])
            for key in keys
        }  # fmt: skip
        return Record({key: value for key, value in made.items() if value is not _ABSENT})


def by_key(**merges: Merge[Any]) -> ByKey:
    """Merge records by key: ``by_key(log=append, spent=total)``."""
    return ByKey(merges)


@dataclass(frozen=True, slots=True)
class ByField:
    """Dataclasses of one type, field by field: :data:`one_writer` where no merge is given."""

    merges: Mapping[str, Merge[Any]] = field(default_factory=dict[str, Merge[Any]])

    def __call__(self, base: Any, states: Sequence[Any], /) -> Any:
        for state in (base, *states):
            if type(state) is not type(base) or not is_dataclass(state):
                names = f"{type(base).__name__} and {type(state).__name__}"
                raise MergeConflict(f"ByField merges dataclasses of one type, got {names}")
        made = {
            f.name: _entry(f.name, self.merges, getattr(base, f.name),
                           [getattr(state, f.name) for state in states])
            for f in fields(base) if f.init
        }  # fmt: skip
        return replace(base, **made)


def by_field(**merges: Merge[Any]) -> ByField:
    """Merge dataclasses by field."""
    return ByField(merges)


def _entry(name: str, merges: Mapping[str, Merge[Any]], base: Any, states: list[Any]) -> Any:
    merge = merges.get(name, one_writer)
    if all(same(state, base) for state in states):
        return base
    if base is _ABSENT and merge is not one_writer:
        raise MergeConflict(f"{name!r} was not there when the branches began: its merge needs a "
                            "value to begin with")  # fmt: skip
    if any(state is _ABSENT for state in states) and merge is not one_writer:
        raise MergeConflict(f"{name!r}: a branch removed it, which its merge cannot express")
    try:
        return merge(base, states)
    except MergeConflict as conflict:
        raise MergeConflict(f"{name!r}: {conflict}") from conflict


def broken_law(merge: Merge[S], base: S, states: Sequence[S]) -> str:
    """Which law ``merge`` breaks on these states; empty if none. For tests of one's own merges.

    A merge that refuses must refuse in every grouping.
    """

    def of(*some: Any) -> Any:
        try:
            return merge(base, some)
        except MergeConflict:
            return _ABSENT

    for state in (base, *states):
        alone = of(state)
        if alone is _ABSENT:
            continue  # a state that no branch may end in
        if not same(alone, state):
            return f"one branch that ended at {state!r} gives {alone!r}"
        for pair in ((base, state), (state, base)):
            if not same(of(*pair), state):
                return f"unit: a branch that changed nothing, beside {state!r}, gives {of(*pair)!r}"
    together = of(*states)
    for cut in range(1, len(states)):
        left, right = of(*states[:cut]), of(*states[cut:])
        split = _ABSENT if _ABSENT in (left, right) else of(left, right)
        if not same(together, split):
            return f"associativity: {together!r} at once, {split!r} cut at {cut}"
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
