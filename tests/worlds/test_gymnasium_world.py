"""Gymnasium environments as worlds."""

from __future__ import annotations

import numpy as np
import pytest

from enactive.actions.digital import ChoiceSpace
from enactive.actions.spaces import VectorSpace
from enactive.configuration import from_dict, to_dict
from enactive.worlds.gymnasium_world import GymnasiumWorld
from enactive.worlds.pusht import ACTION_SPACE, PushT
from enactive.worlds.world import NotSupported, Snapshot


def test_pusht_is_declared_and_moves_where_it_is_told() -> None:
    world = PushT.Config(image_size=64).build()
    spec = world.spec
    assert [camera.height for camera in spec.observations.cameras] == [64]
    assert spec.accepts == ACTION_SPACE
    assert len(spec.tasks[0].held_out_instructions) >= 3
    world.reset(spec.tasks[0].task("nudge the T"), 5)
    for _ in range(30):
        step = world.step(np.array([400.0, 60.0], np.float32))
    assert step.observation.instruction == "nudge the T"
    assert np.allclose(step.observation.state["proprio"], [400, 60], atol=5)
    # The pusher is the blue disc; x runs to the right and y down.
    image = step.observation.images["top"].astype(int)
    blue = np.argwhere(image[..., 2] - image[..., 0] > 80)
    assert np.allclose(blue.mean(0) * 8, [60, 400], atol=16)
    world.close()


def test_success_ends_the_episode_and_is_an_event() -> None:
    """The pusher is put aside and the block onto its mark."""
    world = PushT.Config(image_size=32).build()
    world.reset(world.spec.tasks[0].task(), 0)
    env = world._env.unwrapped
    env.agent.position = (40, 40)
    env.block.angle = float(env.goal_pose[2])
    env.block.position = tuple(env.goal_pose[:2])
    step = world.step(np.array([40.0, 40.0], np.float32))
    assert step.success
    assert step.terminated
    assert step.events == ("success",)
    with pytest.raises(RuntimeError, match="reset"):
        world.step(np.array([40.0, 40.0], np.float32))
    world.close()


def test_snapshots_are_the_episode_so_far() -> None:
    world = PushT.Config(image_size=32).build()
    world.reset(world.spec.tasks[0].task(), 9)
    generator = np.random.default_rng(0)
    actions = [ACTION_SPACE.sample(generator) for _ in range(12)]
    for action in actions[:6]:
        world.step(action)
    snapshot = world.snapshot()
    first = [world.step(action) for action in actions[6:]]
    world.reset(world.spec.tasks[0].task(), 10)
    world.restore(snapshot)
    again = [world.step(action) for action in actions[6:]]
    for a, b in zip(first, again, strict=True):
        assert a.reward == b.reward
        assert np.array_equal(a.observation.images["top"], b.observation.images["top"])
    with pytest.raises(ValueError, match="metaworld"):
        world.restore(Snapshot(world="metaworld", payload=b""))
    world.close()


def test_discrete_actions_and_rendered_pictures() -> None:
    config = GymnasiumWorld.Config(env_id="CartPole-v1", cameras={"side": "render()"}, max_steps=3)
    world = config.build()
    assert isinstance(world.spec.accepts, ChoiceSpace)
    seen = world.reset(world.spec.tasks[0].task(), 1)
    assert seen.images["side"].shape == (400, 600, 3)
    steps = [world.step(i % 2) for i in range(3)]
    assert [step.truncated for step in steps] == [False, False, True]
    for bad in (2, 0.5, None):
        world.reset(world.spec.tasks[0].task(), 1)
        with pytest.raises(ValueError, match="outside"):
            world.step(bad)
    world.close()


def test_unstated_conventions_are_called_so() -> None:
    world = GymnasiumWorld.Config(env_id="Pendulum-v1").build()
    space = world.spec.accepts
    assert isinstance(space, VectorSpace)
    assert (space.groups[0].unit, space.low[0], space.high[0]) == ("unstated", -2.0, 2.0)
    assert world.spec.rate_hz == 30
    world.close()


def test_configuration_survives_a_round_trip() -> None:
    config = GymnasiumWorld.Config(
        env_id="Pendulum-v1", arguments={"g": 9.0}, action=ACTION_SPACE, entries={"proprio": ("a",)}
    )
    assert from_dict(GymnasiumWorld.Config, to_dict(config)) == config


@pytest.mark.parametrize(("fields", "message"), [
    ({"cameras": {"top": "pixel"}}, "no key 'pixel'"),
    ({"cameras": {"top": "observation"}}, "expected a picture"),
    ({"entries": {"proprio": ("x",)}}, "1 names for 4"),
    ({"action": ACTION_SPACE}, "not a vector"),
    ({"env_id": "Pendulum-v1", "action": ACTION_SPACE}, "2 entries, the environment takes 1"),
    ({"env_id": "Taxi-v4", "states": {}, "rate_hz": -1.0}, "rate_hz"),
])  # fmt: skip
def test_a_mapping_that_does_not_fit_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GymnasiumWorld.Config(**fields).build()


def test_no_snapshot_without_an_episode() -> None:
    world = GymnasiumWorld.Config().build()
    with pytest.raises(RuntimeError, match="reset"):
        world.snapshot()
    assert issubclass(NotSupported, RuntimeError)
    world.close()
