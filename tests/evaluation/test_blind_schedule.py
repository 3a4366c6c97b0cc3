"""Laws of the schedule: groups of four to eight, places and followers balanced, from the salt."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.evaluation.blind_schedule import (
    aliases,
    balanced_orders,
    groups_of,
    turns,
    williams,
)

COUNTS = st.integers(2, 40)
SALTS = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")


@given(COUNTS)
def test_groups_hold_four_to_eight(count: int) -> None:
    members = aliases(count)
    groups = groups_of(members)
    assert [one for group in groups for one in group] == members
    sizes = [len(group) for group in groups]
    if count <= 8:
        assert sizes == [count]
    else:
        assert min(sizes) >= 4 and max(sizes) <= 8 and max(sizes) - min(sizes) <= 1
        assert len(sizes) == -(-count // 8)


@given(st.integers(2, 12))
def test_a_square_balances_places_and_followers(size: int) -> None:
    square = williams(size)
    block = len(square)
    assert block == (size if size % 2 == 0 else 2 * size)
    assert all(sorted(row) == list(range(size)) for row in square.tolist())
    for place in range(size):
        assert set(Counter(square[:, place].tolist()).values()) == {block // size}
    followers = Counter((a, b) for row in square.tolist() for a, b in itertools.pairwise(row))
    assert len(followers) == size * (size - 1)
    assert set(followers.values()) == {block // size}


@settings(max_examples=60)
@given(COUNTS, st.integers(1, 30), SALTS)
def test_everyone_plays_every_start_once_in_balanced_places(
    count: int, starts: int, salt: str
) -> None:
    members = aliases(count)
    made = turns(starts, members, salt)
    assert made == turns(starts, members, salt)
    assert sorted((turn.round, turn.alias) for turn in made) == sorted(
        (number, alias) for number in range(starts) for alias in members
    )
    groups = groups_of(members)
    rounds = [made[number * count : (number + 1) * count] for number in range(starts)]
    assert sorted(turns_[0].start for turns_ in rounds) == list(range(starts))
    places: dict[str, Counter[int]] = {alias: Counter() for alias in members}
    for number, one in enumerate(rounds):
        assert {turn.round for turn in one} == {number} and len({t.start for t in one}) == 1
        assert all(turn.alias in groups[turn.group] for turn in one)
        order = [turn.group for turn in one]
        assert sum(a != b for a, b in itertools.pairwise(order)) == len(groups) - 1
        for group in range(len(groups)):
            within = [turn.alias for turn in one if turn.group == group]
            for place, alias in enumerate(within):
                places[alias][place] += 1
    for group in groups:
        for alias in group:
            counts = [places[alias][place] for place in range(len(group))]
            assert max(counts) - min(counts) <= (1 if len(group) % 2 == 0 else 2)


def test_orders_differ_between_salts_and_rounds() -> None:
    first, other = (turns(8, aliases(4), f"{n:064x}") for n in (1, 2))
    assert first != other
    orders = {tuple(turn.alias for turn in first[n : n + 4]) for n in range(0, 32, 4)}
    assert len(orders) > 4


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_whose_turn_is_first_cannot_be_foreseen(size: int) -> None:
    generator = np.random.default_rng(0)
    first = Counter(balanced_orders(1, size, generator)[0][0] for _ in range(2000))
    assert max(first.values()) < 2000 / size + 5 * np.sqrt(2000 / size)
