"""Resampling: no motion is lost, at any rate."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from enactive.actions import rotations
from enactive.actions.convert import ConversionRefused, Poses, convert
from enactive.actions.groups import UNIT_LENGTH, Group
from enactive.actions.resample import resample, resampled
from enactive.actions.spaces import VectorSpace

GRIPPER = Group(name="gripper", quantity="gripper", representation="scalar", reference="absolute",
                frame="none", unit="effort", low=-1, high=1, positive="closes")  # fmt: skip
rates = st.sampled_from([2.0, 5.0, 7.5, 10.0, 20.0, 30.0, 33.3, 40.0, 80.0])


def pose_space(reference, frame="base", representation="axis_angle", rate=20.0, turn_frame=None):
    per_s = "/s" if reference == "velocity" else ""
    unit = "1" if representation in UNIT_LENGTH else "rad" + per_s
    common = {"reference": reference, "low": -1e6, "high": 1e6}
    return VectorSpace(
        groups=(
            Group(name="arm", quantity="position", representation="xyz", unit="m" + per_s,
                  frame=frame, **common),
            Group(name="turn", quantity="orientation", representation=representation, unit=unit,
                  frame=turn_frame or frame, **common),
            GRIPPER,
        ),
        rate_hz=rate,
    )  # fmt: skip


@st.composite
def chunks(draw, max_steps=9):
    """Moves, small turns (axis-angle) and gripper commands, ``(H, 7)``."""
    steps = draw(st.integers(1, max_steps))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    moves = generator.uniform(-0.05, 0.05, (steps, 3))
    turns = generator.uniform(-0.15, 0.15, (steps, 3))
    return np.hstack([moves, turns, generator.choice([-1.0, 1.0], (steps, 1))])


START = Poses(
    values={"arm": np.array([0.3, 0.1, 0.2]), "turn": np.array([0.5, 0.5, 0.5, 0.5])},
)


def end_pose(chunk, space):
    """Where a chunk leads to from START, as position and rotation matrix."""
    absolute = pose_space("absolute", "base", "matrix", space.rate_hz)
    last = convert(chunk, space, absolute, START)[-1]
    return np.concatenate([last[:3], last[3:12]])


@given(chunks(), rates, rates, st.sampled_from(["base", "tool"]),
       st.sampled_from(["delta", "velocity", "chunk_start"]))  # fmt: skip
def test_total_motion_is_conserved(chunk, old, new, frame, reference):
    source = pose_space(reference, frame, rate=old)
    if reference == "velocity":
        chunk = chunk * np.array([old] * 6 + [1])
        if (chunk.shape[0] > 1) and old / new > 6:
            return  # more than half a turn in one action, which velocities refuse; tested below
    after = resampled(source, new)
    out = resample(chunk, source, new)
    assert len(out) == math.ceil(len(chunk) * new / old - 1e-9)
    assert_allclose(end_pose(out, after), end_pose(chunk, source), atol=1e-9)


@given(chunks(), st.integers(1, 5))
def test_deltas_add_up_and_velocities_average(chunk, factor):
    chunk = np.repeat(chunk[:, :3], factor, axis=0) + np.arange(len(chunk) * factor)[:, None] * 0.01
    group = pose_space("delta").group("arm")
    delta = VectorSpace(groups=(group,), rate_hz=60.0)
    velocity = VectorSpace(groups=(replace(group, reference="velocity", unit="m/s"),), rate_hz=60.0)
    blocks = chunk.reshape(-1, factor, 3)
    assert_allclose(resample(chunk, delta, 60.0 / factor), blocks.sum(axis=1), atol=1e-12)
    assert_allclose(resample(chunk, velocity, 60.0 / factor), blocks.mean(axis=1), atol=1e-12)
    # Striding, the usual mistake, would have lost motion.
    if factor > 1:
        assert abs(chunk[::factor].sum() - chunk.sum()) > 1e-6


@given(chunks(), st.integers(1, 5))
def test_absolute_targets_are_kept_where_the_times_meet(chunk, factor):
    absolute = pose_space("absolute", "base", "quaternion_wxyz")
    relative = pose_space("delta", "tool")
    targets = convert(chunk, relative, absolute, START)
    up = resample(targets, absolute, 20.0 * factor, START)
    assert_allclose(up[factor - 1 :: factor], targets, atol=1e-9)
    down = resample(up, resampled(absolute, 20.0 * factor), 20.0, START)
    assert_allclose(down, targets, atol=1e-9)


@given(chunks(), st.integers(2, 5), st.sampled_from(["delta", "chunk_start", "velocity"]))
def test_refining_and_coarsening_gives_the_chunk_back(chunk, factor, reference):
    source = pose_space(reference, "tool")
    up = resample(chunk, source, 20.0 * factor)
    assert_allclose(resample(up, resampled(source, 20.0 * factor), 20.0), chunk, atol=1e-9)


@given(chunks(), rates, st.sampled_from(["delta", "chunk_start", "velocity"]),
       st.sampled_from(["base", "tool"]))  # fmt: skip
def test_resampling_and_converting_commute(chunk, rate, reference, frame):
    # The same motion, resampled as deltas or as absolute values.
    source, absolute = pose_space("delta", frame), pose_space("absolute", "base", "rot6d")
    one = convert(
        resample(chunk, source, rate), resampled(source, rate), resampled(absolute, rate), START
    )
    other = resample(convert(chunk, source, absolute, START), absolute, rate, START)
    assert_allclose(one, other, atol=1e-9)


@given(chunks(), rates)
def test_the_same_rate_changes_no_bit(chunk, rate):
    for reference in ("delta", "velocity", "chunk_start", "absolute"):
        space = pose_space(reference, rate=rate)
        assert_array_equal(resample(chunk, space, rate), chunk)
        assert resample(chunk.astype(np.float32), space, rate).dtype == np.float32
    assert resample(chunk, space, rate) is not chunk


@given(chunks(), rates, rates)
def test_grippers_hold_the_command_in_force(chunk, old, new):
    space = pose_space("delta", rate=old)
    out = resample(chunk, space, new)[:, -1]
    for k, command in enumerate(out):
        end = min((k + 1) * old / new, len(chunk))
        assert command == chunk[math.ceil(end - 1e-9) - 1, -1]


@given(
    st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 2), elements=st.floats(-1, 1))),
    rates,
    rates,
    st.sampled_from(["delta", "velocity", "chunk_start"]),
)
def test_joints_conserve_their_travel(chunk, old, new, reference):
    unit = "rad/s" if reference == "velocity" else "rad"
    group = Group(name="j", quantity="joint", representation="scalar", reference=reference,
                  frame="none", unit=unit, low=-1, high=1, size=2)  # fmt: skip
    source = VectorSpace(groups=(group,), rate_hz=old)
    out = resample(chunk, source, new)

    def travel(values, rate):
        if reference == "chunk_start":
            return values[-1]
        return values.sum(axis=0) / (rate if reference == "velocity" else 1)

    assert_allclose(travel(out, new), travel(chunk, old), atol=1e-12)
    # What was in the space is in the resampled one, whose deltas may be as much larger.
    inside = resampled(source, new)
    assert all(inside.contains(inside.clip(a)) for a in out)
    assert (out <= inside.high + 1e-5).all() and (out >= inside.low - 1e-5).all()


def test_absolute_values_come_from_the_start_where_it_is_known():
    space = pose_space("absolute", "base", "axis_angle")
    chunk = np.array([[1.0, 0, 0, 0, 0, 1.0, -1], [2.0, 0, 0, 0, 0, 2.0, 1]])
    at = Poses(values={"arm": np.zeros(3), "turn": np.array([1.0, 0, 0, 0])})
    known = resample(chunk, space, 40.0, at)
    assert_allclose(known[:, 0], [0.5, 1, 1.5, 2])
    assert_allclose(known[:, 5], [0.5, 1, 1.5, 2])
    assert_array_equal(known[:, 6], [-1, -1, 1, 1])
    unknown = resample(chunk, space, 40.0)  # the first target counts as in force from the start
    assert_allclose(unknown[:, 0], [1, 1, 1.5, 2])
    assert_allclose(unknown[:, 5], [1, 1, 1.5, 2])


def test_orientations_take_the_shortest_arc_at_constant_speed():
    space = pose_space("absolute", "base", "quaternion_xyzw")
    end = Rotation.from_rotvec([0, 0, 2.0])
    chunk = np.concatenate([[0, 0, 0], -end.as_quat(), [1]])[None]  # the other sign: no detour
    at = Poses(values={"arm": np.zeros(3), "turn": np.array([1.0, 0, 0, 0])})
    turns = rotations.read(resample(chunk, space, 80.0, at)[:, 3:7], "quaternion_xyzw")
    assert_allclose(turns.as_rotvec()[:, 2], [0.5, 1, 1.5, 2], atol=1e-12)


def test_a_chunk_that_ends_within_a_period_ends_in_rest():
    group = pose_space("delta").group("arm")
    space = VectorSpace(groups=(group,), rate_hz=20.0)
    out = resample(np.ones((3, 3)), space, 10.0)
    assert_allclose(out[:, 0], [2, 1])


def test_moves_along_the_tool_s_axes_with_turns_about_fixed_ones_need_the_pose():
    space = pose_space("delta", "tool", turn_frame="base")
    chunk = np.tile([0.1, 0, 0, 0, 0, 0.3, 1], (4, 1))
    with pytest.raises(ConversionRefused, match="turn: group 'arm' moves along the tool's axes"):
        resample(chunk, space, 10.0)
    out = resample(chunk, space, 10.0, START)
    assert_allclose(end_pose(out, resampled(space, 10.0)), end_pose(chunk, space), atol=1e-9)


def test_more_than_half_a_turn_is_no_angular_velocity():
    space = pose_space("velocity")
    chunk = np.zeros((10, 7))
    chunk[:, 5] = 20.0  # one rad an action
    with pytest.raises(ConversionRefused, match="more than half a turn per action at 5 Hz"):
        resample(chunk, space, 5.0)
    assert_allclose(resample(chunk, space, 10.0)[:, 5], 20.0)


def test_bounds_of_deltas_grow_with_the_period():
    space = pose_space("delta", representation="quaternion_wxyz")
    arm, turn, gripper = resampled(space, 5.0).groups
    assert (arm.low, arm.high) == (-4e6, 4e6)
    assert turn == space.group("turn") and gripper == GRIPPER
    tall = replace(space.group("arm"), low=(-1, -2, -3))
    assert resampled(VectorSpace(groups=(tall,), rate_hz=20), 10).groups[0].low == (-2, -4, -6)
    assert resampled(space, 20.0) == space


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_must_be_positive(rate):
    with pytest.raises(ValueError, match="rate_hz"):
        resample(np.zeros((1, 7)), pose_space("delta"), rate)


def test_a_wrong_chunk_or_start_is_refused():
    with pytest.raises(ConversionRefused, match=r"shape \(H, 7\)"):
        resample(np.zeros((1, 6)), pose_space("delta"), 5.0)
    with pytest.raises(ConversionRefused, match="arm: its value has shape"):
        resample(np.zeros((2, 7)), pose_space("absolute"), 5.0,
                 Poses(values={"arm": np.zeros((2, 3))}))  # fmt: skip
