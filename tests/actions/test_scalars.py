"""Joints and grippers under other references, units and signs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from enactive.actions.convert import ConversionRefused, Poses, convert
from enactive.actions.groups import Group
from enactive.actions.spaces import VectorSpace

REFERENCES = ["absolute", "delta", "chunk_start", "velocity"]
EFFORT = Group(name="gripper", quantity="gripper", representation="scalar", reference="absolute",
               frame="none", unit="effort", low=-1, high=1, positive="closes")  # fmt: skip
WIDTH = replace(EFFORT, unit="m", low=0.0, high=0.08, positive="opens")


def space(group):
    return VectorSpace(groups=(group,), rate_hz=20)


def joints(reference, unit="rad", size=3):
    unit += "/s" if reference == "velocity" else ""
    return space(Group(name="joints", quantity="joint", representation="scalar", size=size,
                       reference=reference, frame="none", unit=unit, low=-1e9,
                       high=1e9))  # fmt: skip


joint_chunks = st.integers(1, 6).flatmap(
    lambda steps: arrays(np.float64, (steps, 3), elements=st.floats(-3, 3))
)
three = arrays(np.float64, (3,), elements=st.floats(-3, 3))
units = st.sampled_from(["rad", "deg"])
references = st.sampled_from(REFERENCES)


@given(joint_chunks, three, references, units, references, units)
def test_joints_round_trip(chunk, at, first, unit, second, other_unit):
    source, target = joints(first, unit), joints(second, other_unit)
    there = convert(chunk, source, target, Poses(values={"joints": at}))
    scaled = np.array(at)
    if unit != other_unit:
        scaled = np.degrees(at) if other_unit == "deg" else np.radians(at)
    back = convert(there, target, source, Poses(values={"joints": scaled}))
    assert_allclose(back, chunk, atol=1e-9)


@given(joint_chunks, three)
def test_references_mean_what_they_say(chunk, at):
    begin = np.vstack([at, chunk[:-1]])
    poses = Poses(values={"joints": at})
    absolute = joints("absolute")
    expected = {"delta": chunk - begin, "chunk_start": chunk - at, "velocity": (chunk - begin) * 20}
    for reference, values in expected.items():
        assert_allclose(convert(chunk, absolute, joints(reference), poses), values, atol=1e-12)
    degrees = convert(chunk, absolute, joints("delta", "deg"), poses)
    assert_allclose(degrees, np.degrees(chunk - begin), atol=1e-9)


@given(joint_chunks, references, references)
def test_measured_values_are_what_deltas_count_from(chunk, first, second):
    measured = chunk[::-1] * 0.5
    poses = Poses(values={"joints": measured})
    source, target = joints(first), joints(second)
    back = convert(convert(chunk, source, target, poses), target, source, poses)
    assert_allclose(back, chunk, atol=1e-12)
    if first == "absolute" and second == "delta":
        assert_allclose(convert(chunk, source, target, poses), chunk - measured)


@pytest.mark.parametrize(
    ("source", "target", "values", "expected"),
    [
        (EFFORT, replace(EFFORT, positive="opens"), [-1, 0.5], [1, -0.5]),
        (WIDTH, replace(WIDTH, unit="mm", high=80), [0.02, 0.08], [20, 80]),
        (WIDTH, replace(WIDTH, positive="closes"), [0.0, 0.06], [0.08, 0.02]),
        (WIDTH, replace(WIDTH, unit="fraction", high=1), [0.0, 0.06], [0, 0.75]),
        (WIDTH, replace(WIDTH, unit="fraction", high=1, positive="closes"), [0, 0.06], [1, 0.25]),
        (
            replace(WIDTH, unit="fraction", low=-1, high=1),
            replace(WIDTH, unit="fraction", high=1, positive="closes"),
            [-1, 0.5],
            [1, 0.25],
        ),
        (
            replace(WIDTH, reference="delta", low=-0.01, high=0.01),
            replace(WIDTH, reference="delta", low=-10, high=10, unit="mm", positive="closes"),
            [0.01, -0.002],
            [-10, 2],
        ),
    ],
)
def test_grippers(source, target, values, expected):
    chunk = np.array(values, dtype=float)[:, None]
    converted = convert(chunk, space(source), space(target))
    assert_allclose(converted[:, 0], expected, atol=1e-12)
    assert_allclose(convert(converted, space(target), space(source)), chunk, atol=1e-12)


def test_a_gripper_s_change_is_of_its_travel():
    chunk = np.array([[0.5], [0.25]])
    absolute = replace(EFFORT, unit="fraction", low=0.0)
    delta = replace(absolute, reference="delta", low=-1.0, positive="opens")
    out = convert(chunk, space(absolute), space(delta), Poses(values={"gripper": np.array([1.0])}))
    assert_allclose(out[:, 0], [0.5, 0.25])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (EFFORT, replace(EFFORT, unit="fraction"), "an effort is no fraction"),
        (WIDTH, EFFORT, "an effort is no"),
        (WIDTH, replace(WIDTH, unit="rad"), "unit 'm' cannot become 'rad'"),
        (WIDTH, replace(WIDTH, positive="closes", high=0.1), "ends of travel differ"),
        (
            replace(WIDTH, high=np.inf),
            replace(WIDTH, positive="closes", high=np.inf),
            "declare finite bounds",
        ),
        (
            replace(WIDTH, unit="fraction", low=-1, high=1),
            replace(WIDTH, unit="fraction", reference="delta", low=-1, high=1),
            "must reach from 0 to 1",
        ),
        (
            replace(WIDTH, reference="delta", low=-1, high=1),
            replace(WIDTH, positive="closes"),
            "change the sign between two absolute spaces",
        ),
        (
            replace(EFFORT, quantity="joint", unit="rad", positive="left"),
            replace(EFFORT, quantity="joint", unit="rad", positive="right"),
            "'left' in one space and 'right' in the other",
        ),
        (
            replace(EFFORT, quantity="position", unit="px", positive=""),
            replace(EFFORT, quantity="position", unit="px", positive="", frame="screen"),
            "frame 'none' to 'screen'",
        ),
        (
            replace(EFFORT, quantity="joint", unit="rad", positive="", size=2),
            replace(EFFORT, quantity="joint", unit="rad", positive="", size=3),
            r"scalar \(2\) has no equivalent in scalar \(3\)",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(source, target, message):
    poses = Poses(values={"gripper": np.zeros(source.size)})
    with pytest.raises(ConversionRefused, match=message):
        convert(np.zeros((2, source.size)), space(source), space(target), poses)
