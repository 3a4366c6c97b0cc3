"""What can be done on a screen: every refusal says which field is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.screen import VERBS, ScreenSpace

SPACE = ScreenSpace(width=160, height=210)


@given(seed=st.integers(0, 2**32), width=st.integers(1, 500), height=st.integers(1, 500))
def test_what_is_drawn_can_be_done(seed: int, width: int, height: int) -> None:
    space = ScreenSpace(width=width, height=height)
    assert space.problem(space.sample(np.random.default_rng(seed))) == ""


def test_every_verb_is_drawn() -> None:
    generator = np.random.default_rng(0)
    assert {SPACE.sample(generator)["do"] for _ in range(500)} == set(VERBS)


@given(x=st.floats(allow_nan=True) | st.integers(), y=st.floats() | st.integers())
def test_only_points_of_the_screen_can_be_clicked(x: float, y: float) -> None:
    inside = 0 <= x < 160 and 0 <= y < 210
    assert SPACE.contains({"do": "click", "x": x, "y": y}) == inside


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({"do": "click", "x": 160, "y": 0}, "x: 160 is outside the screen, [0, 160)"),
        ({"do": "drag", "x": 1, "y": 1, "to_x": 5, "to_y": 210}, "to_y: 210 is outside"),
        ({"do": "click", "x": True, "y": 0}, "x: True is no number of pixels"),
        ({"do": "clik", "x": 1, "y": 0}, "did you mean 'click'"),
        ({"do": "click", "x": 1}, "'click' has the fields ['do', 'x', 'y']"),
        ({"do": "type", "text": "a" * 2001}, "type at most 2000"),
        ({"do": "type", "text": "\ud800"}, "half a character"),
        ({"do": "keys", "keys": ["enter"]}, "did you mean 'Enter'"),
        ({"do": "keys", "keys": ["Shift", "Shift"]}, "a key occurs twice"),
        ({"do": "scroll", "dx": 0, "dy": float("inf")}, "dy: inf is no distance"),
        ("click", "an action is a mapping"),
    ],
)
def test_a_refusal_names_the_field_and_the_fix(action: Any, said: str) -> None:
    assert said in SPACE.problem(action)
    assert not SPACE.contains(action)
