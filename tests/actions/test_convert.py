"""Conversions, against homogeneous matrices multiplied out here, and against their own laws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from enactive.actions import rotations
from enactive.actions.convert import ConversionRefused, Poses, convert
from enactive.actions.groups import ROTATIONS, UNIT_LENGTH, Group
from enactive.actions.spaces import VectorSpace

RATE = 20.0
CAMERA = np.eye(4)
CAMERA[:3, :3] = Rotation.from_euler("xyz", [0.3, -0.7, 2.0]).as_matrix()
CAMERA[:3, 3] = [0.4, -0.2, 1.1]
FRAMES = {"base": np.eye(4), "camera": CAMERA}

conventions = st.tuples(
    st.sampled_from(["absolute", "delta", "chunk_start", "velocity"]),
    st.sampled_from(["base", "camera", "tool"]),
    st.sampled_from(ROTATIONS),
    st.sampled_from(["m", "mm"]),
    st.sampled_from(["rad", "deg"]),
).filter(lambda c: not (c[0] == "absolute" and c[1] == "tool"))


def pose_space(reference, frame, representation="rot6d", length="m", angle="rad"):
    """A pose in six to twelve numbers under one convention, without bounds that matter."""
    per_s = "/s" if reference == "velocity" else ""
    representation = "axis_angle" if per_s else representation
    unit = "1" if representation in UNIT_LENGTH else angle + per_s
    common = {"reference": reference, "frame": frame, "low": -1e6, "high": 1e6}
    return VectorSpace(
        groups=(
            Group(name="arm", quantity="position", representation="xyz", unit=length + per_s,
                  **common),
            Group(name="turn", quantity="orientation", representation=representation, unit=unit,
                  **common),
        ),
        rate_hz=RATE,
    )  # fmt: skip


@st.composite
def trajectories(draw):
    """``(H+1, 4, 4)``: the pose before the chunk, then the pose that each action reaches."""
    steps = draw(st.integers(1, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    poses = np.tile(np.eye(4), (steps + 1, 1, 1))
    turns = [Rotation.random(rng=generator)]
    for _ in range(steps):
        # At most 2.9 rad an action: no rotation is near its half turn, where signs jump.
        axis = generator.normal(size=3)
        turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * generator.uniform(0, 2.9))
        turns.append(turns[-1] * turn)
    poses[:, :3, :3] = Rotation.concatenate(turns).as_matrix()
    poses[:, :3, 3] = generator.uniform(-1, 1, (steps + 1, 3))
    return poses


def said(poses, space, begins=None):
    """The trajectory as a chunk of ``space``, written out with matrices: positions, rotations."""
    arm = space.group("arm")
    begins = poses[:-1] if begins is None else begins
    frame = FRAMES.get(arm.frame, np.eye(4))[:3, :3]
    rows = []
    for k in range(len(poses) - 1):
        end = poses[k + 1]
        begin = begins[0] if arm.reference == "chunk_start" else begins[k]
        if arm.reference == "absolute":
            seen = np.linalg.inv(FRAMES[arm.frame]) @ end
            move, turn = seen[:3, 3], seen[:3, :3]
        elif arm.frame == "tool":
            move = begin[:3, :3].T @ (end[:3, 3] - begin[:3, 3])
            turn = begin[:3, :3].T @ end[:3, :3]
        else:
            move = frame.T @ (end[:3, 3] - begin[:3, 3])
            turn = frame.T @ end[:3, :3] @ begin[:3, :3].T @ frame
        group = space.group("turn")
        written = rotations.convert_rotation(turn.reshape(1, 9), "matrix", group.representation)[0]
        per_s = RATE if arm.reference == "velocity" else 1.0
        move = move * per_s * (1000 if arm.unit.startswith("mm") else 1)
        written = written * (1 if group.unit == "1" else per_s)
        written = np.degrees(written) if group.unit.startswith("deg") else written
        rows.append(np.concatenate([move, written]))
    return np.array(rows)


def start(poses):
    quaternion = rotations.convert_rotation(
        poses[:, :3, :3].reshape(-1, 9), "matrix", "quaternion_wxyz"
    )
    return Poses(values={"arm": poses[:, :3, 3].squeeze(), "turn": quaternion.squeeze()},
                 frames={"camera": CAMERA})  # fmt: skip


def assert_same(chunk, expected, space):
    """Equal positions, and equal rotations however they are signed at half a turn."""
    where, group = space.slices["turn"], space.group("turn")

    def matrices(values):
        turns = values[:, where] * (1 / RATE if group.reference == "velocity" else 1)
        turns = np.radians(turns) if group.unit.startswith("deg") else turns
        return rotations.convert_rotation(turns, group.representation, "matrix")

    scale = 1000.0 if space.group("arm").unit.startswith("mm") else 1.0
    assert_allclose(chunk[:, :3], expected[:, :3], atol=1e-8 * scale * RATE)
    assert_allclose(matrices(chunk), matrices(expected), atol=1e-6)


@settings(max_examples=150)
@given(trajectories(), conventions, conventions)
def test_every_convention_becomes_every_other(poses, first, second):
    source, target = pose_space(*first), pose_space(*second)
    converted = convert(said(poses, source), source, target, start(poses[:1]))
    assert_same(converted, said(poses, target), target)


@settings(max_examples=60)
@given(trajectories(), conventions, conventions)
def test_deltas_count_from_measured_poses_where_these_are_given(poses, first, second):
    # The body lags: each action begins somewhere other than the target before.
    lag = np.eye(4)
    lag[:3, :3] = Rotation.from_rotvec([0.05, -0.1, 0.02]).as_matrix()
    lag[:3, 3] = [0.01, 0.02, -0.03]
    begins = poses[:-1] @ lag
    source, target = pose_space(*first), pose_space(*second)
    converted = convert(said(poses, source, begins), source, target, start(begins))
    assert_same(converted, said(poses, target, begins), target)


@given(trajectories(), conventions, conventions)
def test_a_round_trip_changes_nothing(poses, first, second):
    source, target = pose_space(*first), pose_space(*second)
    chunk = said(poses, source)
    there = convert(chunk, source, target, start(poses[:1]))
    assert_same(convert(there, target, source, start(poses[:1])), chunk, source)


@settings(max_examples=60)
@given(trajectories(), conventions, conventions, conventions)
def test_conversions_compose(poses, first, second, third):
    spaces = [pose_space(*c) for c in (first, second, third)]
    at = start(poses[:1])
    chunk = said(poses, spaces[0])
    step = convert(convert(chunk, spaces[0], spaces[1], at), spaces[1], spaces[2], at)
    assert_same(step, convert(chunk, spaces[0], spaces[2], at), spaces[2])


@settings(max_examples=60)
@given(trajectories(), conventions)
def test_converting_to_the_same_space_changes_nothing(poses, convention):
    space = pose_space(*convention)
    chunk = said(poses, space)
    assert_same(convert(chunk, space, space), chunk, space)


@settings(max_examples=25)
@given(trajectories(), st.sampled_from(["base", "camera", "tool", "unknown"]), conventions)
def test_relative_references_need_no_start_within_a_frame(poses, frame, convention):
    relative = ["delta", "chunk_start", "velocity"]
    chunks = [pose_space(r, frame, convention[2]) for r in relative]
    for source in chunks:
        chunk = said(poses, source)
        for target in chunks:
            assert_same(convert(chunk, source, target), said(poses, target), target)


@settings(max_examples=60)
@given(trajectories(), conventions, st.sampled_from(["quaternion_wxyz", "quaternion_xyzw"]))
def test_the_sign_of_a_quaternion_does_not_matter(poses, convention, quaternion):
    reference, frame = convention[:2]
    if reference == "velocity":
        reference = "delta"
    source, target = pose_space(reference, frame, quaternion), pose_space(*convention)
    chunk = said(poses, source)
    flipped = chunk.copy()
    flipped[::2, 3:] *= -1
    at = start(poses[:1])
    one, other = (convert(c, source, target, at) for c in (chunk, flipped))
    assert_allclose(one, other, atol=1e-9 * 1000)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-11), (np.float32, 2e-4)])
@pytest.mark.parametrize("frame", ["base", "tool"])
def test_deltas_do_not_drift(dtype, bound, frame):
    generator = np.random.default_rng(1)
    steps = 500
    turns = [Rotation.identity()]
    for _ in range(steps):
        turns.append(turns[-1] * Rotation.from_rotvec(generator.normal(scale=0.05, size=3)))
    poses = np.tile(np.eye(4), (steps + 1, 1, 1))
    poses[:, :3, :3] = Rotation.concatenate(turns).as_matrix()
    poses[1:, :3, 3] = np.cumsum(generator.normal(scale=0.005, size=(steps, 3)), axis=0)
    absolute = pose_space("absolute", "base", "quaternion_wxyz")
    delta = pose_space("delta", frame, "axis_angle")
    chunk = said(poses, absolute).astype(dtype)
    deltas = convert(chunk, absolute, delta, start(poses[:1]))
    back = convert(deltas, delta, absolute, start(poses[:1]))
    assert deltas.dtype == back.dtype == dtype
    assert np.abs(back[-1, :3] - chunk[-1, :3]).max() < bound
    error = rotations.read(back[:, 3:], "quaternion_wxyz").inv() * rotations.read(
        chunk[:, 3:], "quaternion_wxyz")  # fmt: skip
    assert error.magnitude().max() < bound


def test_a_delta_along_the_tool_s_axes_turns_with_the_tool():
    # A quarter turn about z and 1 m forward, four times: a square, back where it began.
    source, target = pose_space("delta", "tool", "axis_angle"), pose_space("absolute", "base")
    chunk = np.tile([1.0, 0, 0, 0, 0, np.pi / 2], (4, 1))
    at = Poses(values={"arm": np.zeros(3), "turn": np.array([1.0, 0, 0, 0])})
    corners = convert(chunk, source, target, at)[:, :3]
    assert_allclose(corners, [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], atol=1e-12)


def test_a_tool_that_no_group_turns_keeps_its_attitude():
    arm = Group(name="arm", quantity="position", representation="xyz", reference="delta",
                frame="tool", unit="m", low=-1, high=1)  # fmt: skip
    tool = VectorSpace(groups=(arm,), rate_hz=RATE)
    base = VectorSpace(groups=(replace(arm, frame="base"),), rate_hz=RATE)
    chunk = np.array([[0.1, 0, 0], [0, 0.2, 0]])
    with pytest.raises(ConversionRefused, match="'arm' moves along the tool's axes"):
        convert(chunk, tool, base)
    quarter = Poses(values={"tool": np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)])})
    converted = convert(chunk, tool, base, quarter)
    assert_allclose(converted, [[0, 0.1, 0], [-0.2, 0, 0]], atol=1e-12)
    assert_allclose(convert(converted, base, tool, quarter), chunk, atol=1e-12)


def test_two_arms_say_which_orientation_turns_which():
    space = pose_space("delta", "tool", "axis_angle")
    left = tuple(replace(group, name="left_" + group.name) for group in space.groups)
    source = VectorSpace(groups=(*left, *space.groups), rate_hz=RATE)
    target = VectorSpace(
        groups=tuple(replace(g, reference="absolute", frame="base") for g in source.groups),
        rate_hz=RATE)  # fmt: skip
    values = {"arm": np.zeros(3), "left_arm": np.zeros(3), "turn": np.array([1.0, 0, 0, 0]),
              "left_turn": np.array([0.0, 0, 0, 1])}  # fmt: skip
    chunk = np.tile([1.0, 0, 0, 0, 0, 0], (1, 2))
    with pytest.raises(ConversionRefused, match="which of left_turn, turn turns its frame"):
        convert(chunk, source, target, Poses(values=values))
    pairs = {"arm": "turn", "left_arm": "left_turn"}
    out = convert(chunk, source, target, Poses(values=values, attitudes=pairs))
    assert_allclose(out[0, target.slices["arm"]], [1, 0, 0], atol=1e-12)
    assert_allclose(out[0, target.slices["left_arm"]], [-1, 0, 0], atol=1e-12)


def test_groups_are_matched_by_name_not_place():
    source = pose_space("delta", "base")
    target = VectorSpace(groups=source.groups[::-1], rate_hz=RATE)
    chunk = np.arange(9.0)[None] * 0 + [1, 2, 3, 1, 0, 0, 0, 1, 0]
    assert_allclose(convert(chunk, source, target), [[1, 0, 0, 0, 1, 0, 1, 2, 3]])


class TestRefusals:
    source = pose_space("delta", "base")

    def refused(self, message, target, chunk=None, source=None, poses=None):
        source = source or self.source
        if chunk is None:
            chunk = np.stack([np.concatenate([g.identity() for g in source.groups])])
        with pytest.raises(ConversionRefused, match=message):
            convert(chunk, source, target, poses)

    def test_another_rate(self):
        self.refused(r"resample\(chunk, source, 10\)", replace(self.source, rate_hz=10))

    def test_other_groups(self):
        arm, turn = self.source.groups
        self.refused(
            "did you mean 'arm'",
            VectorSpace(groups=(replace(arm, name="arms"), turn), rate_hz=RATE),
        )
        self.refused("leaving it out would lose it", VectorSpace(groups=(arm,), rate_hz=RATE))
        other = replace(arm, quantity="base")
        self.refused("a position is no base", VectorSpace(groups=(other, turn), rate_hz=RATE))

    def test_no_start(self):
        self.refused(
            r"arm: delta to absolute needs .* Poses\(values={'arm'", pose_space("absolute", "base")
        )
        self.refused(
            r"turn: from frame 'base' to 'tool' needs the tool's orientation",
            pose_space("delta", "tool"),
            poses=Poses(values={"tool": np.array([1.0, 0, 0, 0])}, attitudes={"arm": "tool"}),
        )
        self.refused(
            r"arm: its value has shape \(2,\)",
            pose_space("absolute", "base"),
            poses=Poses(values={"arm": np.zeros(2)}),
        )
        zero = Poses(values={"arm": np.zeros(3), "turn": np.zeros(4)})
        self.refused(
            "turn: its value: a quaternion of length 0", pose_space("absolute", "base"), poses=zero
        )

    def test_a_tool_that_turns_about_fixed_axes_from_an_unknown_attitude(self):
        def moves(reference):
            arm, turn = pose_space(reference, "tool").groups
            return VectorSpace(groups=(arm, replace(turn, frame="base")), rate_hz=RATE)

        self.refused(
            "turn: group 'arm' moves along the tool's axes, so its orientation is needed",
            moves("chunk_start"),
            source=moves("delta"),
        )

    def test_an_unknown_frame(self):
        self.refused("pose of frame 'camera' is not known", pose_space("delta", "camera"))
        with pytest.raises(ValueError, match="no rigid transform"):
            Poses(frames={"camera": np.diag([2.0, 1, 1, 1])})

    def test_a_chunk_that_is_none(self):
        self.refused(r"shape \(H, 9\)", self.source, np.zeros((2, 8)))
        self.refused(r"shape \(H, 9\)", self.source, np.zeros(9))
        self.refused(r"shape \(H, 9\)", self.source, np.zeros((0, 9)))
        self.refused("not finite", self.source, np.full((1, 9), np.nan))
        self.refused("turn: rot6d: the first vector", self.source, np.zeros((1, 9)))
        quaternion = pose_space("delta", "base", "quaternion_wxyz")
        self.refused(
            "step 1 is no unit quaternion",
            self.source,
            np.array([[0, 0, 0, 1.0, 0, 0, 0], [0, 0, 0, 2.0, 0, 0, 0]]),
            quaternion,
        )

    def test_half_a_turn_per_action(self):
        source = pose_space("velocity", "base")
        chunk = np.array([[0, 0, 0, 0, 0, 3.2 * RATE]])
        self.refused("more than half a turn per action", self.source, chunk, source)

    def test_units_of_different_things(self):
        arm, turn = self.source.groups
        target = VectorSpace(groups=(replace(arm, unit="px"), turn), rate_hz=RATE)
        self.refused("unit 'm' cannot become 'px'", target)

    def test_results_out_of_bounds(self):
        arm, turn = self.source.groups
        target = VectorSpace(groups=(replace(arm, low=-0.01, high=0.01), turn), rate_hz=RATE)
        chunk = np.array([[0.01, 0, 0, 1, 0, 0, 0, 1, 0], [0, 0.02, 0, 1, 0, 0, 0, 1, 0]])
        self.refused(
            r"arm.y becomes 0.02 at step 1, outside the target's \[-0.01, 0.01\]", target, chunk
        )
        # Rounding is not leaving the bounds.
        chunk[1, 1] = 0.01 + 1e-9
        converted = convert(chunk.astype(np.float32), self.source, target)
        assert all(target.contains(action) for action in converted)
        assert_array_equal(convert(chunk, self.source, target)[1, 1], 0.01)
