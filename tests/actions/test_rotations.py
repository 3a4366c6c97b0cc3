"""Rotation representations: one rotation however it is written."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from enactive.actions import rotations
from enactive.actions.groups import ROTATIONS, UNIT_LENGTH

representations = st.sampled_from(ROTATIONS)
wxyz = arrays(np.float64, (3, 4), elements=st.floats(-1, 1)).filter(
    lambda q: bool((np.linalg.norm(q, axis=1) > 0.05).all())
)


def matrix(values, representation):
    return np.asarray(rotations.convert_rotation(values, representation, "matrix"))


@given(wxyz, representations, representations)
def test_a_round_trip_through_any_representation_is_the_same_rotation(q, first, second):
    there = rotations.convert_rotation(q, "quaternion_wxyz", first)
    back = rotations.convert_rotation(there, first, second)
    assert_allclose(matrix(back, second), matrix(q, "quaternion_wxyz"), atol=1e-7)


@given(wxyz, representations)
def test_what_is_written_is_canonical(q, representation):
    # Reading and writing again changes nothing, so equal rotations are written equally.
    once = rotations.convert_rotation(q, "quaternion_wxyz", representation)
    if representation == "euler_xyz":
        assume(bool((np.abs(np.abs(once[:, 1]) - np.pi / 2) > 1e-3).all()))
        assume(bool((np.abs(np.abs(once) - np.pi) > 1e-6).all()))
    if representation == "axis_angle":
        assume(bool((np.pi - np.linalg.norm(once, axis=1) > 1e-6).all()))
    again = rotations.convert_rotation(once, representation, representation)
    assert_allclose(again, once, atol=1e-7)


@given(wxyz, representations)
def test_antipodal_quaternions_are_written_the_same(q, representation):
    one = rotations.convert_rotation(q, "quaternion_wxyz", representation)
    other = rotations.convert_rotation(-q, "quaternion_wxyz", representation)
    assert_allclose(one, other, atol=1e-12)


@given(wxyz)
def test_the_scalar_part_is_not_negative(q):
    written = rotations.convert_rotation(q, "quaternion_wxyz", "quaternion_wxyz")
    assert (written[:, 0] >= 0).all()
    assert_allclose(
        written[:, [1, 2, 3, 0]],
        rotations.convert_rotation(q, "quaternion_wxyz", "quaternion_xyzw"),
    )
    assert_allclose(np.linalg.norm(written, axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("half_turn", [[0, 1, 0, 0], [0, 0, -1, 0], [0, -0.6, 0.8, 0]])
def test_half_turns_have_one_sign(half_turn):
    q = np.array([half_turn], dtype=float)
    for representation in ("quaternion_wxyz", "axis_angle"):
        one = rotations.convert_rotation(q, "quaternion_wxyz", representation)[0]
        other = rotations.convert_rotation(-q, "quaternion_wxyz", representation)[0]
        assert_allclose(one, other, atol=1e-12)
        assert one[np.flatnonzero(np.abs(one) > 1e-9)[0]] > 0


@given(wxyz, wxyz, representations)
def test_composition_is_the_product_of_matrices(first, second, representation):
    a = rotations.read(
        rotations.convert_rotation(first, "quaternion_wxyz", representation), representation
    )
    b = rotations.read(second, "quaternion_wxyz")
    product = matrix(first, "quaternion_wxyz").reshape(-1, 3, 3) @ matrix(
        second, "quaternion_wxyz"
    ).reshape(-1, 3, 3)
    assert_allclose((a * b).as_matrix(), product, atol=1e-7)


def test_layouts_are_the_documented_ones():
    # A quarter turn about z takes x to y: R = [[0,-1,0],[1,0,0],[0,0,1]].
    quarter = np.array([[0, 0, np.pi / 2]])
    written = {r: rotations.convert_rotation(quarter, "axis_angle", r)[0] for r in ROTATIONS}
    half = np.sqrt(0.5)
    assert_allclose(written["matrix"], [0, -1, 0, 1, 0, 0, 0, 0, 1], atol=1e-12)
    assert_allclose(written["rot6d"], [0, 1, 0, -1, 0, 0], atol=1e-12)  # columns
    assert_allclose(written["rot6d_rows"], [0, -1, 0, 1, 0, 0], atol=1e-12)
    assert_allclose(written["quaternion_wxyz"], [half, 0, 0, half], atol=1e-12)
    assert_allclose(written["quaternion_xyzw"], [0, 0, half, half], atol=1e-12)
    assert_allclose(written["euler_xyz"], [0, 0, np.pi / 2], atol=1e-12)


@given(arrays(np.float64, 3, elements=st.floats(-1.5, 1.5)))
def test_euler_angles_turn_about_fixed_axes(angles):
    def about(axis, angle):
        c, s = np.cos(angle), np.sin(angle)
        m = np.eye(3)
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
        return m

    roll, pitch, yaw = angles
    expected = about(2, yaw) @ about(1, pitch) @ about(0, roll)
    assert_allclose(matrix(angles[None], "euler_xyz")[0].reshape(3, 3), expected, atol=1e-12)


@given(st.floats(-3, 3), st.floats(-3, 3), st.sampled_from([-1, 1]))
def test_gimbal_lock_keeps_the_rotation_and_sets_the_yaw_to_0(roll, yaw, sign):
    angles = np.array([[roll, sign * np.pi / 2, yaw]])
    again = rotations.convert_rotation(angles, "euler_xyz", "euler_xyz")
    assert_allclose(matrix(again, "euler_xyz"), matrix(angles, "euler_xyz"), atol=1e-6)
    assert abs(again[0, 2]) < 1e-6


@given(arrays(np.float64, 9, elements=st.floats(-2, 2)), st.sampled_from(UNIT_LENGTH))
def test_projection_gives_a_rotation_and_leaves_rotations_alone(values, representation):
    size = {"matrix": 9, "rot6d": 6, "rot6d_rows": 6}.get(representation, 4)
    try:
        projected = rotations.project(values[:size], representation)
    except ValueError:
        assume(False)  # zero quaternions and parallel vectors
    m = matrix(projected, representation).reshape(3, 3)
    assert_allclose(m @ m.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(m) == pytest.approx(1, abs=1e-6)
    assert_allclose(rotations.project(projected, representation), projected, atol=1e-6)


@given(st.integers(0, 1000), representations)
def test_random_rotations_are_rotations(seed, representation):
    drawn = rotations.random(np.random.default_rng(seed), representation)
    m = matrix(drawn, representation).reshape(3, 3)
    assert_allclose(m @ m.T, np.eye(3), atol=1e-9)


def test_random_rotations_are_uniform():
    # Uniform rotations have mean angle pi/2 + 2/pi (Haar measure), and a mean matrix of 0.
    generator = np.random.default_rng(0)
    drawn = np.stack([rotations.random(generator, "quaternion_wxyz") for _ in range(4000)])
    turns = rotations.read(drawn, "quaternion_wxyz")
    assert float(turns.magnitude().mean()) == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.04)
    assert np.abs(turns.as_matrix().mean(axis=0)).max() < 0.04


@pytest.mark.parametrize(
    ("values", "representation", "message"),
    [
        ([0, 0, 0, 0], "quaternion_wxyz", "length 0"),
        ([1, 0, 0, 2, 0, 0], "rot6d", "parallel"),
        ([1, 0, 0, 0, 1, 0, 0, 0, -1], "matrix", "determinant"),
        ([np.nan, 0, 0], "axis_angle", "finite"),
        ([0, 0, 0], "quaternoin", "quaternion"),
    ],
)
def test_what_is_no_rotation_is_refused(values, representation, message):
    with pytest.raises(ValueError, match=message):
        rotations.read(np.array([values], dtype=float), representation)


def test_unnormalised_rot6d_is_read_by_gram_schmidt():
    read = rotations.read(np.array([[0.0, 3.0, 0, -1.0, 5.0, 0]]), "rot6d")
    assert_allclose(read.as_rotvec(), [[0, 0, np.pi / 2]], atol=1e-12)
    assert isinstance(read, Rotation)
