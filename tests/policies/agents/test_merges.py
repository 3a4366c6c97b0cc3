"""Merges are lawful, and refuse rather than lose a branch's writes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.policies.agents.merges import (
    Merge,
    MergeConflict,
    append,
    broken_law,
    by_field,
    by_key,
    largest,
    one_writer,
    same,
    total,
    union,
)
from enactive.policies.agents.record import Record, freeze


@dataclass(frozen=True)
class Notes:
    found: tuple[int, ...] = ()
    spent: int = 0
    best: str = ""


ATOMS = st.sampled_from([None, 0, 1, 1.0, True, "a", "b", (1,), float("nan")])
NUMBERS = st.one_of(st.integers(-3, 3), st.fractions(-1, 1, max_denominator=3).map(Fraction))
SETS = st.frozensets(st.integers(0, 4))
LOGS = st.lists(st.integers(0, 2), max_size=3).map(tuple)
RECORDS = st.fixed_dictionaries(
    {}, optional={"a": ATOMS, "b": ATOMS, "log": LOGS, "n": st.integers(-2, 2)}
).map(Record)
NOTES = st.builds(Notes, LOGS, st.integers(0, 2), st.sampled_from(["", "a", "b"]))


def cases(merge: Any, states: Any) -> Any:
    return st.tuples(st.just(merge), states, st.lists(states, max_size=4))


def extended(base: Any) -> Any:
    return st.tuples(st.just(append), st.just(base), st.lists(LOGS.map(lambda s: base + s)))


@settings(max_examples=600, deadline=None, database=None)
@given(
    st.one_of(
        cases(one_writer, ATOMS),
        cases(append, LOGS),
        LOGS.flatmap(extended),
        cases(union, SETS),
        cases(total, NUMBERS),
        cases(largest, st.one_of(NUMBERS, st.floats(), st.text(max_size=1))),
        cases(by_key(log=append, n=total), RECORDS),
        cases(by_field(found=append, spent=total, best=largest), NOTES),
        cases(by_key(a=by_key(log=append)), st.builds(lambda a: Record({"a": a}), RECORDS)),
    )
)
def test_laws(case: tuple[Merge[Any], Any, list[Any]]) -> None:
    assert broken_law(*case) == ""


@pytest.mark.parametrize(
    ("merge", "states"),
    [
        (lambda base, states: states[-1] if states else base, [1, 2, 3]),  # the last one wins
        (lambda base, states: sum(states), [1, 2]),
        (lambda base, states: sum(states) / len(states) if states else base, [1.0, 2.0, 6.0]),
    ],
)
def test_unlawful_merges_are_found(merge: Any, states: list[Any]) -> None:
    assert broken_law(merge, 1 if isinstance(states[0], int) else 1.0, states)


def test_every_branch_counts() -> None:
    base = Record({"log": ("begun",), "n": 10, "a": 0})
    one = base | {"log": ("begun", "one"), "n": 11, "a": 1}
    other = (base | {"log": ("begun", "other"), "n": 9, "b": None}).without("x")
    merged = by_key(log=append, n=total)(base, [one, other])
    assert merged == Record({"log": ("begun", "one", "other"), "n": 10, "a": 1, "b": None})
    assert union(frozenset({1, 2}), [frozenset({1}), frozenset({1, 2, 3})]) == {1, 3}
    assert total(Fraction(1, 2), [Fraction(3, 2), Fraction(1)]) == 2
    assert largest(3, [3, 7, 5]) == 7


@pytest.mark.parametrize(
    ("merge", "base", "states", "message"),
    [
        (by_key(), Record({"a": 0}), [{"a": 1}, {"a": 2}], "'a': .*1 and"),
        (by_key(), Record({"a": 0}), [{}, {"a": 2}], "'a': .*to nothing and to 2"),
        (by_key(), Record(), [{"a": 1}, {"a": True}], "let one of them write it"),
        (append, ("x",), [("y",)], "may only add at the end"),
        (append, (), [[1]], "tuples, got list"),
        (total, 0.0, [0.1], "floats depend on how they are grouped"),
        (total, 0, [True], "whole numbers"),
        (largest, 3, [2], "lowered 3 to 2"),
        (union, set(), [set()], "frozensets"),
        (by_key(n=total), Record(), [{"n": 1}], "was not there when the branches began"),
        (by_key(n=total), Record({"n": 1}), [{}], "a branch removed it"),
    ],
)
def test_what_would_lose_something_is_refused(
    merge: Any, base: Any, states: list[Any], message: str
) -> None:
    given = [Record(one) if isinstance(one, dict) else one for one in states]
    with pytest.raises(MergeConflict, match=message):
        merge(base, given)


def test_values_of_several_types_are_several_values() -> None:
    assert not same(1, True) and not same(1, 1.0) and not same((1,), (True,))
    assert same(float("nan"), float("nan")) and same(Record({"a": (1,)}), Record({"a": [1]}))


def test_a_record_is_immutable_all_the_way_down() -> None:
    inner = {"list": [1, {"deep": {2}}]}
    record = Record(inner)
    inner["list"].append(9)
    assert record == Record({"list": (1, {"deep": frozenset({2})})})
    with pytest.raises(TypeError):
        record["list"] = ()  # type: ignore[index]
    with pytest.raises(TypeError):
        record["list"][1]["deep"] = 0
    assert record | {"x": [1]} == Record({**inner, "list": record["list"], "x": (1,)})
    assert hash(Record({"a": 1, "b": 2})) == hash(Record({"b": 2, "a": 1}))
    assert freeze(record) is record and record.without("list", "none") == Record()
