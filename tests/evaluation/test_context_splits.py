"""Splits of motions and contexts: complementary, balanced, without a leak, for worlds too."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.evaluation.context_splits import Cell, context_split, side_of

GRID = {
    (motion, thing, table): Cell(motion=motion, context=(thing, table))
    for motion in ("left", "right")
    for thing in ("cube", "ball", "brick", "puck")
    for table in ("wood", "slate")
}


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_full_grid(seed: int) -> None:
    split = context_split(GRID, seed=seed)
    assert not split.left_out
    assert len(split.first) == len(split.second) == 4 and len(split.mixed) == 8
    assert {*split.first} | {*split.second} | {*split.mixed} == {*GRID}
    for factor in (0, 1):
        levels = [{GRID[item].context[factor] for item in side} for side in split.directions[0]]
        assert not levels[0] & levels[1]
        assert levels[0] | levels[1] == {cell.context[factor] for cell in GRID.values()}
    for item, cell in GRID.items():
        sides = side_of(cell, split)
        where = split.first if set(sides) == {0} else split.second if set(sides) == {1} else None
        assert item in (split.mixed if where is None else where)
    assert split.directions[1] == split.directions[0][::-1]
    assert split == context_split(GRID, seed=seed)


@given(
    st.sets(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=6).filter(
        lambda cells: len({c for _, c in cells}) > 1
    ),
    st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_holes_in_the_grid(cells: set[tuple[int, int]], seed: int) -> None:
    grid = {cell: Cell(motion=cell[0], context=(cell[1],)) for cell in sorted(cells)}
    alone = Counter(motion for motion, _ in cells)
    try:
        split = context_split(grid, seed=seed)
    except ValueError as error:
        assert "every motion in both sets" in str(error)
        return
    assert min(alone.values()) > 1
    counts = [Counter(motion for motion, _ in side) for side in (split.first, split.second)]
    assert counts[0] == counts[1] and set(counts[0]) == set(alone)
    assert not {c for _, c in split.first} & {c for _, c in split.second}
    assert {*split.first, *split.second, *split.left_out} == cells and not split.mixed


def test_a_motion_with_one_context_is_named() -> None:
    grid = {**GRID, "odd": Cell(motion="orbit", context=("cube", "wood"))}
    with pytest.raises(ValueError, match=r"'orbit' has 1 context\(s\)"):
        context_split(grid)


def test_what_would_leak_is_refused() -> None:
    same = {item: Cell(motion=c.motion, context=(c.context[0], "wood")) for item, c in GRID.items()}
    with pytest.raises(ValueError, match="factor 1 has one level, 'wood'"):
        context_split(same)
    uneven = {**GRID, "odd": Cell(motion="left", context=("cube",))}
    with pytest.raises(ValueError, match="same factors"):
        context_split(uneven)


def test_skills_and_objects_of_the_tabletop() -> None:
    """For policies: train on some objects' tasks, test the same skills on the others'."""
    pytest.importorskip("mujoco")
    from enactive.worlds.tabletop.tasks import TASKS, Family

    families = (Family.TOUCH, Family.PICK, Family.PUT_IN, Family.PUSH)
    cells = {
        name: Cell(motion=task.family, context=(task.named.phrase,))
        for name, task in TASKS.items()
        if task.family in families
    }
    split = context_split(cells, seed=1)
    skills = [Counter(TASKS[name].family for name in side) for side in split.directions[0]]
    assert skills[0] == skills[1] and set(skills[0]) == set(families)
    objects = [{TASKS[name].named for name in side} for side in split.directions[0]]
    assert not objects[0] & objects[1] and len(objects[0] | objects[1]) == 6
    assert not split.left_out  # six touched, six picked, twelve put, four pushed: all are used
