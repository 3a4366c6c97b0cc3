"""PushT's planner: it succeeds, it can be repeated, and it goes round the T both ways."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.seeding import numpy_generator
from enactive.worlds.pusht import PushT
from enactive.worlds.pusht_geometry import (
    CENTRE,
    GOAL,
    OUTLINE,
    PUSHER_RADIUS,
    contacts,
    distance,
    pose_error,
    to_block,
    to_board,
    turned,
    way_points,
    ways,
)
from enactive.worlds.pusht_planner import PlannerMemory, PushTPlanner

WORLD = PushT.Config(cameras=(), states=("proprio",))
POSES = st.tuples(
    st.floats(100, 400), st.floats(100, 400), st.floats(-np.pi, np.pi, allow_nan=False)
).map(np.array)


def play(seed: int, memory: PlannerMemory) -> tuple[bool, float, np.ndarray]:
    """An episode from the initial state ``seed``: success, angle swept before the block moved,
    actions."""
    world, planner = WORLD.build(), PushTPlanner()
    truth = world.reset(world.spec.tasks[0].task(), seed).privileged["pusht"]
    actions, pushers, success = [], [truth[:2]], False
    pose = truth[2:]
    while True:
        action, memory = planner.act(truth, memory)
        step = world.step(action)
        truth = step.observation.privileged["pusht"]
        actions.append(action)
        if np.allclose(truth[2:], pose, atol=0.5):
            pushers.append(truth[:2])
        if step.terminated or step.truncated:
            break
    success = step.success
    world.close()
    return success, turned(np.array(pushers), pose), np.array(actions)


def with_turn(turn: int) -> PlannerMemory:
    """A memory whose seed chose that way round."""
    memories = (PushTPlanner().begin("push-t", seed) for seed in range(100))
    return next(memory for memory in memories if memory.turn == turn)


@pytest.mark.parametrize("seed", [1, 3])
def test_the_same_start_is_solved_either_way_round(seed: int) -> None:
    swept = {}
    for turn in (1, -1):
        success, swept[turn], _ = play(seed, with_turn(turn))
        assert success
    assert swept[1] > 0.5 > -0.5 > swept[-1]


def test_most_starts_are_solved_quickly_and_the_same_seed_repeats() -> None:
    planner = PushTPlanner()
    played = [play(seed, planner.begin("push-t", seed)) for seed in range(100, 106)]
    assert sum(success for success, _, _ in played) >= 5
    assert np.median([len(actions) for _, _, actions in played]) < 200
    again = play(100, planner.begin("push-t", 100))
    assert np.array_equal(played[0][2], again[2])


def test_a_wall_that_closes_one_way_round_is_no_dead_end() -> None:
    """The T lies at the lower wall; what turn -1 can reach there moves nothing nearer."""
    truth = np.array([295.0, 150.0, 349.2, 445.7, -2.0])
    planner, memory = PushTPlanner(), with_turn(-1)
    path = planner.plan(truth, memory)
    simulated = WORLD.build()
    simulated.reset(simulated.spec.tasks[0].task(), 0)
    env = simulated._env.unwrapped
    env.reset(options={"reset_to_state": truth})
    before = pose_error(truth[2:], np.array(GOAL))
    for _ in range(len(path) + 4):
        truth = np.array([*env.agent.position, *env.block.position, env.block.angle])
        action, memory = planner.act(truth, memory)
        env.step(action)
    assert pose_error(np.array([*env.block.position, env.block.angle]), np.array(GOAL)) < before - 5
    simulated.close()


def test_half_of_the_seeds_go_each_way() -> None:
    turns = [PushTPlanner().begin("push-t", seed).turn for seed in range(400)]
    assert set(turns) == {1, -1}
    assert abs(np.mean(turns)) < 0.15


@settings(max_examples=30, deadline=None)
@given(POSES, st.integers(0, 2**32))
def test_points_go_to_the_board_and_back(pose: np.ndarray, seed: int) -> None:
    points = np.random.default_rng(seed).normal(0, 100, (5, 2))
    assert np.allclose(to_block(to_board(points, pose), pose), points)


def test_the_outline_is_the_simulators() -> None:
    """The T as we describe it and the T that is pushed are one."""
    world = PushT.Config(cameras=(), states=("keypoints", "block")).build()
    observation = world.reset(world.spec.tasks[0].task(), 3)
    corners = observation.state["keypoints"].reshape(8, 2)
    pose = observation.privileged["pusht"][2:]
    assert np.abs(distance(to_block(corners, pose))).max() < 1e-3
    ours = to_board(OUTLINE, pose)
    nearest = np.linalg.norm(ours[:, None] - corners, axis=2).min(1)
    assert nearest.max() < 1e-3
    assert np.allclose(world._env.unwrapped.goal_pose, GOAL)
    world.close()


@given(POSES)
def test_the_error_is_the_corners_distance(pose: np.ndarray) -> None:
    corners = to_board(OUTLINE, pose) - to_board(OUTLINE, np.array(GOAL))
    expected = np.sqrt(np.mean(np.sum(corners**2, 1)))
    assert np.isclose(pose_error(pose, np.array(GOAL)), expected, atol=1e-6)


@given(st.integers(0, 2**32), st.sampled_from([1, -1]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_ways_keep_clear_of_the_block_and_turn_as_told(seed: int, turn: int, strict: bool) -> None:
    generator = numpy_generator(seed, "ways")
    start = CENTRE + generator.uniform(-250, 250, 2)
    if distance(start) < PUSHER_RADIUS + 3:
        return
    found = ways(start, np.ones(48, bool), turn, strict=strict)
    reachable = np.flatnonzero(np.isfinite(found.length))
    assert len(reachable) > len(found.length) * (0.9 if strict else 0.999)
    contact = int(generator.choice(reachable))
    corners = way_points(start, contact, found, turn)
    assert np.allclose(corners[0], start)
    assert np.allclose(corners[-1], contacts().begin[contact])
    for a, b in pairwise(corners):
        assert distance(np.linspace(a, b, 60)).min() > PUSHER_RADIUS - 0.5
    swept = np.diff(np.unwrap(np.arctan2(*(corners - CENTRE).T[::-1])))
    if strict:
        assert (turn * swept > -1e-6).all()
