"""Comparison: every way to be wired wrongly is found, and its fix works."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.compare import Mismatch, compare
from enactive.actions.convert import convert
from enactive.actions.digital import (
    ChoiceSpace,
    CodeSpace,
    KeyboardMouseSpace,
    ScreenSpace,
    UnionSpace,
)
from enactive.actions.groups import Group
from enactive.actions.resample import resample, resampled
from enactive.actions.spaces import VectorSpace
from enactive.actions.tools import EXTERNAL, READS, Tool, ToolSpace

ARM = Group(name="arm", quantity="position", representation="xyz", reference="delta", frame="base",
            unit="m", low=-0.01, high=0.01)  # fmt: skip
TURN = Group(name="turn", quantity="orientation", representation="axis_angle", reference="delta",
             frame="base", unit="rad", low=-0.5, high=0.5)  # fmt: skip
GRIPPER = Group(name="gripper", quantity="gripper", representation="scalar", reference="absolute",
                frame="none", unit="effort", low=-1, high=1, positive="closes")  # fmt: skip
WORLD = VectorSpace(groups=(ARM, TURN, GRIPPER), rate_hz=20)


def changed(index, **fields):
    groups = list(WORLD.groups)
    groups[index] = replace(groups[index], **fields)
    return replace(WORLD, groups=tuple(groups))


def codes(produces, accepts=WORLD):
    return [(m.code, m.where) for m in compare(produces, accepts)]


def test_a_space_matches_itself_and_its_copy():
    assert compare(WORLD, WORLD) == []
    assert compare(VectorSpace.from_dict(WORLD.to_dict()), WORLD) == []


@pytest.mark.parametrize(
    ("produces", "found"),
    [
        (replace(WORLD, rate_hz=80), [("rate", "rate_hz")]),
        (replace(WORLD, groups=(ARM, TURN)), [("missing_group", "gripper")]),
        (
            replace(WORLD, groups=(*WORLD.groups, replace(ARM, name="lift"))),
            [("extra_group", "lift")],
        ),
        (
            changed(0, name="arms"),
            [("missing_group", "arm"), ("extra_group", "arms")],
        ),
        (replace(WORLD, groups=WORLD.groups[::-1]), [("order", "groups")]),
        (changed(0, quantity="base"), [("quantity", "arm")]),
        (changed(1, representation="euler_xyz"), [("representation", "turn")]),
        (changed(0, reference="absolute"), [("reference", "arm")]),
        (changed(0, reference="chunk_start"), [("reference", "arm")]),
        (changed(0, reference="velocity", unit="m/s"), [("reference", "arm"), ("unit", "arm")]),
        (changed(0, frame="tool"), [("frame", "arm")]),
        (changed(0, unit="mm"), [("unit", "arm")]),
        (changed(2, positive="opens"), [("sign", "gripper")]),
        (changed(2, size=2), [("size", "gripper")]),
        (changed(0, low=(-0.02, -0.01, -0.01)), [("bounds", "arm.x")]),
        (changed(0, high=0.02), [("bounds", "arm.x"), ("bounds", "arm.y"), ("bounds", "arm.z")]),
        (changed(0, high=np.inf, low=(-0.01,) * 3), [("bounds", f"arm.{a}") for a in "xyz"]),
        (changed(0, low=-0.005, high=0.005), []),
        (changed(2, frame="hand"), []),  # a gripper's frame is only a label
    ],
)
def test_every_disagreement_has_its_code(produces, found):
    assert codes(produces) == found
    assert all(m.message and m.fix for m in compare(produces, WORLD))


def test_quaternion_orders_differ():
    wxyz = changed(1, representation="quaternion_wxyz", unit="1", low=-1, high=1, size=1)
    xyzw = changed(1, representation="quaternion_xyzw", unit="1", low=-1, high=1, size=1)
    assert codes(wxyz, xyzw) == [("representation", "turn")]


@given(st.lists(st.sampled_from(["rate", "representation", "reference", "unit", "sign", "order"]),
                unique=True))  # fmt: skip
def test_everything_is_found_at_once_and_the_named_fix_works(differences):
    world = WORLD
    arm, turn, gripper = WORLD.groups
    # The world's deltas reach as far as they add up to at its rate.
    if "rate" in differences:
        world = resampled(world, 10)
    if "representation" in differences:
        turn = replace(turn, representation="quaternion_xyzw", unit="1", low=-1, high=1, size=1)
    if "reference" in differences:
        arm = replace(arm, reference="velocity", unit="m/s", low=-0.2, high=0.2)
    if "unit" in differences:
        arm = replace(arm, unit=arm.unit.replace("m", "mm", 1), low=-200.0, high=200.0)
    if "sign" in differences:
        gripper = replace(gripper, positive="opens")
    groups = (gripper, turn, arm) if "order" in differences else (arm, turn, gripper)
    produces = VectorSpace(groups=groups, rate_hz=20)
    found = {m.code for m in compare(produces, world)}
    expected = set(differences)
    if expected & {"reference"}:
        expected |= {"unit"}
    if "representation" in differences:
        expected |= {"unit"}
    assert found == expected
    chunk = np.tile(np.concatenate([g.identity() for g in groups]), (4, 1))
    chunk = resample(chunk, produces, world.rate_hz)
    out = convert(chunk, resampled(produces, world.rate_hz), world)
    assert all(world.contains(action) for action in out)


def test_a_mismatch_reads_as_a_sentence():
    (found,) = compare(replace(WORLD, rate_hz=80), WORLD)
    assert str(found) == (
        "rate_hz: it acts at 80 Hz, accepted are 20 Hz. "
        "resample(chunk, produces, 20), or train on data at that rate."
    )
    (found,) = compare(changed(2, positive="opens"), WORLD)
    assert str(found).startswith("gripper: a positive value 'opens' in what it produces, 'closes'")


def test_a_renamed_group_is_suggested():
    extra = compare(changed(0, name="arms"), WORLD)[1]
    assert "did you mean 'arm'" in extra.fix


READ = Tool(name="read", description="Read a file", effects=READS)
CHOICE = ChoiceSpace(names=("left", "right"))


@pytest.mark.parametrize(
    ("produces", "accepts", "found"),
    [
        (CHOICE, ChoiceSpace(names=("left", "right")), []),
        (CHOICE, ChoiceSpace(names=("right", "left")), [("choices", "names")]),
        (CHOICE, WORLD, [("space", "space")]),
        (WORLD, CHOICE, [("space", "space")]),
        (CHOICE, UnionSpace(spaces={"choose": CHOICE}), [("space", "space")]),
        (
            UnionSpace(spaces={"choose": CHOICE, "chose": CHOICE}),
            UnionSpace(spaces={"choose": CHOICE, "move": WORLD}),
            [("member", "chose")],
        ),
        (
            UnionSpace(spaces={"move": replace(WORLD, rate_hz=5)}),
            UnionSpace(spaces={"choose": CHOICE, "move": WORLD}),
            [("rate", "move.rate_hz")],
        ),
        (
            KeyboardMouseSpace(keys=("w", "x"), max_motion=9),
            KeyboardMouseSpace(keys=("w", "a"), max_motion=5),
            [("keys", "keys"), ("motion", "max_motion")],
        ),
        (KeyboardMouseSpace(keys=("w",)), KeyboardMouseSpace(keys=("w", "a"), max_motion=5), []),
        (ScreenSpace(width=9, height=9), ScreenSpace(width=9, height=10), [("screen", "width")]),
        (ToolSpace(tools=(READ,)), ToolSpace(tools=(READ, replace(READ, name="write"))), []),
        (
            ToolSpace(tools=(READ, replace(READ, name="raed"))),
            ToolSpace(tools=(replace(READ, effects=EXTERNAL),)),
            [("tool", "read"), ("tool", "raed")],
        ),
        (
            CodeSpace(language="bash", tools=(READ,), max_characters=10),
            CodeSpace(max_characters=5),
            [("language", "language"), ("length", "max_characters"), ("tool", "read")],
        ),
    ],
)
def test_other_spaces(produces, accepts, found):
    assert codes(produces, accepts) == found
    assert all(isinstance(m, Mismatch) and m.fix for m in compare(produces, accepts))
