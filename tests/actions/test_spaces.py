"""Vector spaces: validation that names the field, bounds, samples, serialisation."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from enactive.actions.groups import ROTATIONS, UNIT_LENGTH, Group
from enactive.actions.spaces import ActionSpace, VectorSpace, space_from_dict

ARM = Group(name="arm", quantity="position", representation="xyz", reference="delta", frame="base",
            unit="m", low=-0.01, high=0.01)  # fmt: skip
TURN = Group(name="turn", quantity="orientation", representation="quaternion_wxyz",
             reference="delta", frame="tool", unit="1", low=-1, high=1)  # fmt: skip
GRIPPER = Group(name="gripper", quantity="gripper", representation="scalar", reference="absolute",
                frame="none", unit="effort", low=-1, high=1, positive="closes")  # fmt: skip
SPACE = VectorSpace(groups=(ARM, TURN, GRIPPER), rate_hz=20)


@st.composite
def groups(draw, name):
    quantity = draw(st.sampled_from(["position", "orientation", "joint", "gripper", "other"]))
    reference = draw(st.sampled_from(["absolute", "delta", "chunk_start", "velocity"]))
    representation, unit, size = "scalar", "px", draw(st.integers(1, 4))
    if quantity == "orientation":
        representation = draw(st.sampled_from(ROTATIONS))
        if reference == "velocity":
            representation = "axis_angle"
        unit = "1" if representation in UNIT_LENGTH else "rad"
    elif quantity == "position":
        representation, unit = "xyz", draw(st.sampled_from(["m", "mm"]))
    elif quantity == "gripper":
        unit = draw(st.sampled_from(["effort", "fraction"]))
    if unit in ("m", "mm", "rad") and reference == "velocity":
        unit += "/s"
    low, high = -1.0, 1.0
    if representation not in UNIT_LENGTH:
        low = draw(st.floats(-10, 9, width=32))
        high = low + draw(st.floats(0.125, 10, width=32))
    frames = ["base"] if reference == "absolute" else ["base", "tool"]
    return Group(name=name, quantity=quantity, representation=representation, reference=reference,
                 frame=draw(st.sampled_from(frames)), unit=unit, low=low, high=high,
                 size=size if representation == "scalar" else 1,
                 positive="closes" if quantity == "gripper" else "")  # fmt: skip


@st.composite
def spaces(draw):
    count = draw(st.integers(1, 4))
    parts = tuple(draw(groups(f"g{i}")) for i in range(count))
    return VectorSpace(groups=parts, rate_hz=draw(st.floats(0.5, 200)))


def test_names_slices_and_bounds_follow_the_groups():
    assert SPACE.size == 8
    assert SPACE.names == ("arm.x", "arm.y", "arm.z", "turn.qw", "turn.qx", "turn.qy", "turn.qz",
                           "gripper")  # fmt: skip
    assert SPACE.slices == {"arm": slice(0, 3), "turn": slice(3, 7), "gripper": slice(7, 8)}
    assert SPACE.low.dtype == SPACE.high.dtype == np.float32
    assert_array_equal(SPACE.high, np.float32([0.01, 0.01, 0.01, 1, 1, 1, 1, 1]))
    assert isinstance(SPACE, ActionSpace)
    with pytest.raises(KeyError, match="did you mean 'gripper'"):
        SPACE.group("griper")


@given(spaces())
def test_a_space_survives_json(space):
    again = space_from_dict(json.loads(json.dumps(space.to_dict(), allow_nan=False)))
    assert again == space
    assert hash(again) == hash(space)


def test_infinite_bounds_survive_json():
    joint = Group(name="j", quantity="joint", representation="scalar", reference="absolute",
                  frame="none", unit="rad", low=(-np.inf, -1), high=np.inf, size=2)  # fmt: skip
    space = VectorSpace(groups=(joint,), rate_hz=1)
    assert space_from_dict(json.loads(json.dumps(space.to_dict(), allow_nan=False))) == space
    assert space.contains([-1e9, 1e9])
    with pytest.raises(ValueError, match=r"Group 'j': cannot sample"):
        space.sample(np.random.default_rng(0))


@given(spaces(), st.integers(0, 2**32 - 1))
def test_samples_are_contained_and_clipping_them_changes_nothing(space, seed):
    action = space.sample(np.random.default_rng(seed))
    assert action.dtype == np.float32 and action.shape == (space.size,)
    assert space.contains(action)
    assert_array_equal(action, space.sample(np.random.default_rng(seed)))
    np.testing.assert_allclose(space.clip(action), action, atol=1e-6)


@given(spaces(), st.integers(0, 2**32 - 1), st.floats(0.1, 100))
def test_clipped_actions_are_contained(space, seed, scale):
    wild = np.random.default_rng(seed).normal(scale=scale, size=(2, 3, space.size))
    clipped = space.clip(wild)
    assert clipped.shape == wild.shape
    assert all(space.contains(action) for action in clipped.reshape(-1, space.size))


def test_clip_keeps_actions_in_bounds_and_cuts_the_rest():
    action = np.float32([0.02, -0.005, 0, 2, 0, 0, 0, -3])
    assert_array_equal(SPACE.clip(action), np.float32([0.01, -0.005, 0, 1, 0, 0, 0, -1]))
    with pytest.raises(ValueError, match=r"NaN \(in arm.y\)"):
        SPACE.clip(np.array([0, np.nan, 0, 1, 0, 0, 0, 0]))
    with pytest.raises(ValueError, match="8 entries"):
        SPACE.clip(np.zeros(7))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(7), r"shape \(8,\)"),
        ([0, 0, 0.011, 1, 0, 0, 0, 0], r"arm.z is 0.011, outside \[-0.01, 0.01\]"),
        ([0, np.nan, 0, 1, 0, 0, 0, 0], "arm.y is nan"),
        ([0, 0, 0, 0.5, 0, 0, 0, 0], "turn is no rotation in quaternion_wxyz"),
        ("left", "vector of 8 numbers"),
        (None, "shape"),
    ],
)
def test_check_names_the_entry(action, message):
    assert not SPACE.contains(action)
    with pytest.raises(ValueError, match=message):
        SPACE.check(action)


def test_bounds_are_float32_so_a_float64_bound_is_inside():
    assert SPACE.contains([0.01, -0.01, 0.01, 1, 0, 0, 0, 1])


def test_a_reflection_is_no_rotation_matrix():
    group = replace(TURN, representation="matrix", size=1)
    space = VectorSpace(groups=(group,), rate_hz=1)
    assert space.contains(np.eye(3).ravel())
    assert not space.contains(np.diag([1, 1, -1]).ravel())


class TestHold:
    def test_deltas_hold_at_no_change(self):
        held = SPACE.hold()
        assert held is not None
        assert_array_equal(held, np.float32([0, 0, 0, 1, 0, 0, 0, 0]))

    def test_with_a_previous_action_absolute_groups_stay(self):
        previous = np.float32([0.01, 0, 0, 0, 1, 0, 0, 1])
        held = SPACE.hold(previous)
        assert held is not None
        assert_array_equal(held, np.float32([0, 0, 0, 1, 0, 0, 0, 1]))

    def test_absolute_groups_define_none_without_one(self):
        space = VectorSpace(groups=(replace(ARM, reference="absolute"),), rate_hz=1)
        assert space.hold() is None
        held = space.hold(np.float32([0.01, 0, 0]))
        assert held is not None
        assert_array_equal(held, np.float32([0.01, 0, 0]))

    def test_none_where_stillness_is_out_of_bounds(self):
        space = VectorSpace(groups=(replace(ARM, low=0.001),), rate_hz=1)
        assert space.hold() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "a.b"}, "no dot"),
        ({"quantity": "positon"}, "quantity is 'positon'; did you mean 'position'"),
        ({"representation": "quaternion"}, "did you mean 'quaternion_"),
        ({"reference": "relative"}, "reference"),
        ({"representation": "axis_angle"}, "is a rotation; use 'orientation'"),
        ({"frame": "tool", "reference": "absolute"}, "frame is 'tool'"),
        ({"frame": ""}, "frame is empty"),
        ({"unit": ""}, "unit is empty"),
        ({"unit": "m/s"}, "unit is 'm/s' with reference 'delta'"),
        ({"reference": "velocity"}, "unit is 'm' with reference 'velocity'"),
        ({"low": 0.01}, "low 0.01 must be below high 0.01"),
        ({"low": float("nan")}, "must be below"),
        ({"low": (0, 0)}, "low has 2 entries, the group has 3"),
        ({"size": 4}, "size is 4, but xyz has 3"),
    ],
)
def test_a_wrong_group_is_refused_by_field(change, message):
    with pytest.raises(ValueError, match=message):
        replace(ARM, **{"size": 1, **change})


@pytest.mark.parametrize(
    ("group", "change", "message"),
    [
        (TURN, {"low": 0}, "must reach from -1 to 1"),
        (TURN, {"unit": "rad"}, "unit is 'rad', but quaternion_wxyz has none"),
        (TURN, {"reference": "velocity"}, "must be 'axis_angle'"),
        (TURN, {"representation": "xyz", "size": 1}, "no rotation"),
        (GRIPPER, {"positive": ""}, "'opens' or 'closes'"),
        (GRIPPER, {"representation": "xyz", "size": 1}, "a gripper is 'scalar'"),
        (GRIPPER, {"size": 0}, "at least 1"),
    ],
)
def test_a_contradiction_is_refused_by_field(group, change, message):
    with pytest.raises(ValueError, match=message):
        replace(group, **change)


def test_a_wrong_space_is_refused_by_field():
    with pytest.raises(ValueError, match="groups is empty"):
        VectorSpace(groups=(), rate_hz=1)
    with pytest.raises(ValueError, match=r"\['arm'\] more than once"):
        VectorSpace(groups=(ARM, ARM), rate_hz=1)
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="rate_hz"):
            VectorSpace(groups=(ARM,), rate_hz=rate)


def test_a_wrong_description_is_refused_by_field():
    data = SPACE.to_dict()
    with pytest.raises(ValueError, match="did you mean 'rate_hz'"):
        space_from_dict({**data, "rate": 20})
    with pytest.raises(ValueError, match="missing rate_hz"):
        space_from_dict({key: value for key, value in data.items() if key != "rate_hz"})
    with pytest.raises(ValueError, match="did you mean 'vector'"):
        space_from_dict({**data, "space": "vectors"})
    with pytest.raises(ValueError, match="no action space"):
        space_from_dict({})


def test_it_prints_its_conventions():
    text = str(SPACE)
    assert "arm (3): position xyz, delta in base, m [-0.01, 0.01]" in text
    assert "positive closes" in text and "20 Hz" in text


def test_what_follows_from_the_fields_is_computed_once_and_no_field():
    one, other = (VectorSpace(groups=(ARM, TURN, GRIPPER), rate_hz=20) for _ in range(2))
    assert one.low is one.low and one.slices is one.slices
    assert not one.low.flags.writeable and not one.high.flags.writeable
    assert one == other and hash(one) == hash(other) and repr(one) == repr(other)
    slower = replace(one, rate_hz=1.0)
    assert slower.low is not one.low and slower.low.tolist() == one.low.tolist()
    sent = pickle.loads(pickle.dumps(one))  # workers are given worlds that declare it
    assert sent == one and sent.low.tolist() == one.low.tolist()
    assert VectorSpace.from_dict(one.to_dict()) == other
    assert set(one.to_dict()) == set(other.to_dict()) == {"space", "rate_hz", "groups"}
