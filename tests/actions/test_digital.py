"""Spaces of digital agents."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.digital import (
    ChoiceSpace,
    CodeSpace,
    KeyboardMouseSpace,
    ScreenSpace,
    UnionSpace,
)
from enactive.actions.spaces import ActionSpace, space_from_dict
from enactive.actions.tools import READS, Tool, ToolSpace

CHOICE = ChoiceSpace(names=("left", "right", "stay"))
KEYS = KeyboardMouseSpace(keys=("w", "a", "mouse_left"), max_motion=50)
SCREEN = ScreenSpace(width=640, height=480)
SEARCH = Tool(name="search", description="Find files", effects=READS, input_schema={
    "type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["query"], "additionalProperties": False})  # fmt: skip
TOOLS = ToolSpace(tools=(SEARCH, Tool(name="now", description="The time", effects=READS)))
CODE = CodeSpace(tools=(SEARCH,), max_characters=1000)
UNION = UnionSpace(spaces={"choose": CHOICE, "call": TOOLS})
ALL = [CHOICE, KEYS, SCREEN, TOOLS, CODE, UNION]


@pytest.mark.parametrize("space", ALL, ids=lambda space: type(space).__name__)
def test_every_space_survives_json(space):
    assert isinstance(space, ActionSpace)
    again = space_from_dict(json.loads(json.dumps(space.to_dict(), allow_nan=False)))
    assert type(again) is type(space)
    assert again == space


CONTAINED = [
    (CHOICE, [0, 2, np.int64(1)], [3, -1, 0.0, True, "left", None]),
    (
        KEYS,
        [{"keys": [], "pointer": [0, 0]}, {"keys": ["w", "a"], "pointer": [-50, 50.0]}],
        [{"keys": ["x"], "pointer": [0, 0]}, {"keys": ["w", "w"], "pointer": [0, 0]},
         {"keys": [], "pointer": [51, 0]}, {"keys": [], "pointer": [0]}, {"keys": []},
         {"keys": "w", "pointer": [0, 0]}, 3],
    ),
    (
        SCREEN,
        [{"do": "click", "x": 0, "y": 479}, {"do": "type", "text": ""}, {"do": "wait"},
         {"do": "scroll", "dx": 0, "dy": -30}, {"do": "keys", "keys": ["Control", "c"]}],
        [{"do": "click", "x": 640, "y": 0}, {"do": "click", "x": -1, "y": 0}, {"do": "click"},
         {"do": "tap", "x": 1, "y": 1}, {"do": "type"}, {"do": "wait", "x": 1}, "click",
         {"do": "keys", "keys": []}, {"do": "click", "x": float("nan"), "y": 0}],
    ),
    (
        TOOLS,
        [{"tool": "search", "arguments": {"query": "a"}}, {"tool": "now", "arguments": {}}],
        [{"tool": "search", "arguments": {}},
         {"tool": "search", "arguments": {"query": "", "x": 1}},
         {"tool": "serach", "arguments": {"query": "a"}}, {"tool": "now"},
         {"tool": "now", "arguments": []}],
    ),
    (CODE, ["x = 1", "def f():\n    return search('a')"], ["", "x =", "\0", "#" * 1001, 3]),
    (
        UNION,
        [{"space": "choose", "action": 1},
         {"space": "call", "action": {"tool": "now", "arguments": {}}}],
        [{"space": "choose", "action": 9}, {"space": "other", "action": 1}, 1, {"space": "choose"}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("space", "inside", "outside"), CONTAINED,
                         ids=[type(c[0]).__name__ for c in CONTAINED])  # fmt: skip
def test_spaces_contain_their_actions_and_no_others(space, inside, outside):
    for action in inside:
        assert space.contains(action), action
    for action in outside:
        assert not space.contains(action), action


def test_code_of_another_language_is_only_text():
    assert CodeSpace(language="bash").contains("ls | wc -l")


@given(st.integers(0, 2**32 - 1))
def test_choices_are_sampled_from_the_generator(seed):
    drawn = CHOICE.sample(np.random.default_rng(seed))
    assert CHOICE.contains(drawn)
    assert drawn == CHOICE.sample(np.random.default_rng(seed))


def test_choices_are_found_by_name():
    assert CHOICE.index("right") == 1
    with pytest.raises(KeyError, match="did you mean 'right'"):
        CHOICE.index("rihgt")


def test_wrong_fields_are_refused_by_name():
    with pytest.raises(ValueError, match="ChoiceSpace: names"):
        ChoiceSpace(names=())
    with pytest.raises(ValueError, match=r"names has \['a'\] more than once"):
        ChoiceSpace(names=("a", "a"))
    with pytest.raises(ValueError, match="max_motion"):
        KeyboardMouseSpace(keys=("w",), max_motion=-1)
    with pytest.raises(ValueError, match="height"):
        ScreenSpace(width=1, height=0)
    with pytest.raises(ValueError, match="letters, digits"):
        Tool(name="a tool", description="")
    with pytest.raises(ValueError, match="did you mean 'path'"):
        Tool(name="t", description="", resources=("file:{paths}",), input_schema={
            "type": "object", "properties": {"path": {"type": "string"}}})  # fmt: skip
    with pytest.raises(ValueError, match="tools"):
        ToolSpace(tools=(SEARCH, SEARCH))
    with pytest.raises(ValueError, match="spaces"):
        UnionSpace(spaces={})


def test_a_union_draws_from_its_members():
    generator = np.random.default_rng(0)
    union = UnionSpace(spaces={"choose": CHOICE, "point": SCREEN, "write": CODE})
    drawn = [union.sample(generator) for _ in range(50)]
    assert all(union.contains(action) for action in drawn)
    assert {action["space"] for action in drawn} == {"choose", "point", "write"}


def test_a_union_says_what_is_wrong():
    assert "did you mean 'call'" in UNION.problem({"space": "cal", "action": 1})
    assert "'action', and nothing else" in UNION.problem({"space": "call"})
    assert "4 is none of 'choose'" in UNION.problem({"space": "choose", "action": 4})
    assert UNION.problem({"space": "choose", "action": 1}) == ""


def test_programs_can_be_drawn():
    generator = np.random.default_rng(0)
    drawn = [CODE.sample(generator) for _ in range(20)]
    assert all(CODE.contains(one) and one.startswith("search(**{'query': ") for one in drawn)
    assert len(set(drawn)) > 10
    assert CodeSpace().sample(generator) == "pass"
    with pytest.raises(NotImplementedError, match="'bash'"):
        CodeSpace(language="bash").sample(generator)
