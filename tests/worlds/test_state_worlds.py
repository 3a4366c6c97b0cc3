"""Worlds as state vectors, without pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from enactive.configuration import added, config_hash, from_dict, to_dict
from enactive.observations import ObservationSpec
from enactive.worlds.metaworld import OBJECTS, MetaWorld
from enactive.worlds.pusht import SUCCESS_COVERAGE, PushT
from enactive.worlds.pusht_geometry import GOAL, pose_error
from enactive.worlds.world import World

PUSHT = PushT.Config(cameras=(), states=("proprio", "velocity", "block", "keypoints"))
METAWORLD = MetaWorld.Config(cameras=(), states=("proprio", "objects"))


@pytest.mark.parametrize("config", [PUSHT, METAWORLD])
def test_observations_are_as_declared_and_snapshots_exact(config: object) -> None:
    world: World = config.build()  # type: ignore[attr-defined]
    spec = world.spec
    task = spec.tasks[0].task()
    assert spec.observations.cameras == ()
    observation = world.reset(task, 4)
    assert not observation.images
    for vectors, values, dtype in (
        (spec.observations.states, observation.state, np.float32),
        (spec.observations.privileged, observation.privileged, np.float64),
    ):
        assert [vector.name for vector in vectors] == [*values]
        for vector in vectors:
            assert values[vector.name].shape == (vector.size,)
            assert values[vector.name].dtype == dtype
    generator = np.random.default_rng(0)
    actions = [spec.accepts.sample(generator) for _ in range(8)]  # type: ignore[attr-defined]
    for action in actions[:4]:
        world.step(action)
    snapshot = world.snapshot()
    first = [world.step(action) for action in actions[4:]]
    world.reset(task, 5)
    world.restore(snapshot)
    for step, action in zip(first, actions[4:], strict=True):
        again = world.step(action)
        assert again.reward == step.reward
        for name, value in step.observation.state.items():
            assert again.observation.state[name].tobytes() == value.tobytes()
    world.close()


def test_pusht_with_and_without_pictures_is_one_world() -> None:
    shown, blind = PushT.Config(image_size=32).build(), PUSHT.build()
    generator = np.random.default_rng(1)
    task = shown.spec.tasks[0].task()
    shown.reset(task, 2), blind.reset(task, 2)
    for _ in range(20):
        action = shown.spec.accepts.sample(generator)
        a, b = shown.step(action), blind.step(action)
        assert a.reward == b.reward
        truth = a.observation.privileged["pusht"]
        assert np.array_equal(truth, b.observation.privileged["pusht"])
    state = b.observation.state
    assert np.array_equal(state["proprio"], truth[:2].astype(np.float32))
    angle = [np.cos(truth[4]), np.sin(truth[4])]
    assert np.allclose(state["block"], [*truth[2:4], *angle], atol=1e-4)
    info = blind._env.unwrapped._get_coverage()
    assert b.reward == pytest.approx(min(1.0, info / SUCCESS_COVERAGE))
    shown.close(), blind.close()


def test_the_block_may_begin_nearer_to_its_mark() -> None:
    far, near = PUSHT.build(), replace(PUSHT, start=0.3).build()
    task = far.spec.tasks[0].task()
    errors = []
    for seed in range(12):
        truths = [world.reset(task, seed).privileged["pusht"] for world in (far, near)]
        errors.append([pose_error(truth[2:], np.array(GOAL)) for truth in truths])
    assert np.median(np.array(errors)[:, 1] / np.array(errors)[:, 0]) < 0.5
    near.step(np.array([256.0, 256.0]))
    snapshot = near.snapshot()
    first = near.step(np.array([300.0, 200.0])).observation.privileged["pusht"]
    near.restore(snapshot)
    again = near.step(np.array([300.0, 200.0])).observation.privileged["pusht"]
    assert np.array_equal(first, again)
    far.close(), near.close()


def test_privileged_state_can_be_left_out() -> None:
    world = PushT.Config(cameras=(), privileged=False).build()
    assert world.spec.observations.privileged == ()
    assert not world.reset(world.spec.tasks[0].task(), 0).privileged
    world.close()


def test_metaworld_objects_are_what_its_expert_reads() -> None:
    world = METAWORLD.build()
    observation = world.reset(world.spec.task("pick-place").task(), 3)
    truth = observation.privileged["metaworld"].astype(np.float32)
    seen = observation.state["objects"]
    names = OBJECTS.names
    assert np.array_equal(seen[: names.index("object1.q0")], truth[4:7])
    assert np.array_equal(seen[names.index("goal.x") :], truth[36:39])
    assert np.linalg.norm(truth[36:39]) > 0.1, "the goal must not be hidden"
    # Everything but the hand and the step before, which a policy has from elsewhere.
    assert np.array_equal(seen, np.concatenate([truth[4:18], truth[36:]]))
    assert world._renderer is None, "nothing is drawn, so no graphics backend is needed"
    world.close()


@pytest.mark.parametrize(("config", "message"), [
    (PushT.Config(states=("proprio", "blok")), "did you mean 'block'"),
    (PushT.Config(cameras=("front",)), "top"),
    (PushT.Config(start=0.0), "start"),
    (MetaWorld.Config(cameras=(), states=("object",)), "did you mean 'objects'"),
])  # fmt: skip
def test_unknown_names_are_refused(config: PushT.Config | MetaWorld.Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config.build()


def test_options_that_came_later_leave_older_hashes_alone() -> None:
    assert to_dict(PushT.Config()) == {"image_size": 96, "max_steps": 300}
    assert "states" not in to_dict(MetaWorld.Config())
    assert config_hash(to_dict(PUSHT)) != config_hash(to_dict(PushT.Config(cameras=())))
    for config in (PUSHT, METAWORLD, PushT.Config(), MetaWorld.Config()):
        assert from_dict(type(config), to_dict(config)) == config
    assert added(3).default == 3  # type: ignore[attr-defined]


def test_a_world_that_is_only_privileged_names_its_vectors() -> None:
    world = PushT.Config(cameras=(), states=()).build()
    spec: ObservationSpec = world.spec.observations
    assert spec.states == ()
    assert [vector.name for vector in spec.privileged] == ["pusht"]
    world.close()


def test_the_provenance_says_which_pygame_draws() -> None:
    """Two packages install that module, and PushT's pictures differ between them."""
    import pygame

    world = PUSHT.build()
    packages = world.spec.provenance["packages"]
    world.close()
    name = "pygame-ce" if hasattr(pygame, "IS_CE") else "pygame"
    assert packages[name] == pygame.version.ver
    assert len({"pygame", "pygame-ce"} & set(packages)) == 1
