"""Declarations of what can be seen: lookups that explain themselves, tasks and their wordings."""

from __future__ import annotations

import dataclasses

import pytest

from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec

SPEC = ObservationSpec(
    cameras=(Camera(name="front", height=96, width=128), Camera(name="wrist", height=64, width=64)),
    states=(StateVector(name="proprio", names=("x", "y", "z"), unit="m"),),
    privileged=(StateVector(name="truth", names=("a", "b"), unit="m"),),
)


def test_cameras_and_states_are_found_by_name() -> None:
    assert SPEC.camera("wrist").height == 64
    assert SPEC.state("proprio").size == 3


def test_an_unknown_camera_names_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no camera is called 'rear'; there are: front, wrist"):
        SPEC.camera("rear")


def test_privileged_vectors_are_not_states() -> None:
    with pytest.raises(KeyError, match="no state vector is called 'truth'; there are: proprio"):
        SPEC.state("truth")


def test_a_spec_without_cameras_says_so() -> None:
    with pytest.raises(KeyError, match="there are: none"):
        ObservationSpec().camera("front")


def test_specs_are_values() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPEC.cameras = ()  # type: ignore[misc]
    assert hash(SPEC) == hash(dataclasses.replace(SPEC))


def test_a_task_speaks_its_canonical_wording_unless_told_otherwise() -> None:
    spec = TaskSpec(name="push", instructions=("push it", "shove it"), max_steps=10)
    assert spec.task().instruction == "push it"
    assert spec.task("pull it").instruction == "pull it"
    assert spec.task("pull it").name == "push"
