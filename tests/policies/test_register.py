"""A register is a value whose text and size follow from what is known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.policies.agents.register import (
    EMPTY,
    Change,
    Did,
    Doubted,
    DropGoal,
    Found,
    Noted,
    Register,
    SetGoal,
)

IDS = st.sampled_from(["q1", "q2", "q3"])
WORDS = st.text(alphabet="abc xyz", min_size=1, max_size=12)
CHANGES = st.one_of(
    st.builds(SetGoal, id=IDS, text=WORDS),
    st.builds(DropGoal, id=IDS),
    st.builds(Found, id=IDS, answer=st.sampled_from(["A", "B"]), evidence=st.just("d1")),
    st.builds(Doubted, id=IDS, reason=WORDS),
    st.builds(Noted, text=WORDS),
    st.builds(Did, action=WORDS, result=st.text(max_size=200)),
)


def after(changes: list[Any]) -> Register:
    register = EMPTY
    for change in changes:
        try:
            register = register.apply(change)
        except KeyError:
            assert not isinstance(change, SetGoal | Noted | Did)
    return register


@given(st.lists(CHANGES, max_size=20))
def test_a_record_of_the_changes_is_a_record_of_the_register(changes: list[Change]) -> None:
    register = after(changes)
    assert after(changes) == register and Register() == EMPTY
    again = Register.from_dict(json.loads(json.dumps(register.to_dict())))
    assert again == register and again.serialise() == register.serialise()


@given(st.lists(CHANGES, max_size=20), st.integers(0, 400))
def test_what_is_shortened_is_the_last_result_and_notes_and_never_a_goal(
    changes: list[Change], limit: int
) -> None:
    register = after(changes)
    said = register.serialise(limit)
    for goal in register.goals:
        assert f"- {goal}" in said
    fixed = len(after([c for c in changes if not isinstance(c, Noted)]).serialise(0))
    assert len(said) <= max(limit, fixed)


@given(st.lists(st.builds(Did, action=WORDS, result=st.text(max_size=99)), max_size=30))
def test_turns_do_not_make_it_longer(done: list[Did]) -> None:
    plan = [SetGoal(id="q1", text="the tutor of X")]
    assert after([*plan, *done]).size == after(plan).size
    assert len(after([*plan, *done]).serialise(200)) <= 200


def test_two_readings_that_differ_are_no_answer_until_one_is_ahead() -> None:
    found = [Found(id="q1", answer=answer, evidence="d1") for answer in ("A", "B", "A")]
    plan: list[Change] = [SetGoal(id="q1", text="x"), found[0]]
    one = after(plan).goal("q1").answer
    assert one is not None and one.answer == "A"
    doubt = Doubted(id="q1", reason="d1 says B")
    two = after([*plan, doubt, found[1]]).goal("q1")
    assert two.answer is None and two.doubt
    three = after([*plan, doubt, *found[1:]]).goal("q1")
    assert three.answer is not None and three.answer.times == 2 and not three.doubt


def test_a_goal_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"'q9'; there are: q1"):
        EMPTY.apply(SetGoal(id="q1", text="x")).apply(DropGoal(id="q9"))
