"""ViZDoom: keys and mouse, decided by the seed, success by the scenario's own reward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enactive.worlds.checks import check_world
from enactive.worlds.vizdoom import ACTION_SPACE, SCENARIOS, ViZDoom
from enactive.worlds.vizdoom_maze import RADIUS, maze
from enactive.worlds.vizdoom_missiles import BEND, ROCKET_SPEED, STRIDE, aim_ahead, best_strafe
from enactive.worlds.vizdoom_players import act, expert_action
from enactive.worlds.vizdoom_scene import (
    MEDKIT,
    TRUTH,
    in_sight,
    objects,
    things,
    truth_of,
    walls,
)
from enactive.worlds.world import Step

BLIND = ViZDoom.Config(cameras=())


@pytest.fixture(scope="module")
def world() -> Any:
    built = BLIND.build()
    yield built
    built.close()


def play(world: ViZDoom, task: str, seed: int) -> list[Step]:
    """The scripted player's episode, to its success or its end."""
    seen, steps = world.reset(world.spec.task(task).task(), seed), []
    while True:
        steps.append(world.step(expert_action(task, seen.privileged["vizdoom"])))
        seen = steps[-1].observation
        if steps[-1].success or steps[-1].terminated or steps[-1].truncated:
            return steps


def test_the_contract_is_kept() -> None:
    config = ViZDoom.Config()
    shown = config.build()
    report = check_world(shown, tasks=["basic", "defend_the_center"], config=config)
    assert report.ok, str(report)
    shown.close()
    shown.close()


@pytest.mark.parametrize("task", list(SCENARIOS))
def test_the_players_reach_the_goal(world: ViZDoom, task: str) -> None:
    for seed in (0, 1):
        steps = play(world, task, seed)
        assert steps[-1].success and "success" in steps[-1].events
        assert sum(step.reward for step in steps) >= SCENARIOS[task].goal
        before = sum(step.reward for step in steps[:-1])
        assert before < SCENARIOS[task].goal


def test_the_mouse_turns_and_looks(world: ViZDoom) -> None:
    world.reset(world.spec.task("my_way_home").task(), 0)
    still = {"keys": [], "pointer": [0.0, 0.0]}
    before = world.step(still).observation.privileged["vizdoom"][2]
    after = world.step({"keys": [], "pointer": [20.0, 0.0]}).observation.privileged["vizdoom"][2]
    assert (before - after) % 360 == pytest.approx(
        10.0, abs=0.1
    )  # to the right, half a degree a px
    world.reset(world.spec.task("basic").task(), 0)  # which offers no turning
    turned = world.step({"keys": ["w", "left"], "pointer": [20.0, 20.0]}).observation
    assert turned.privileged["vizdoom"][:3].tolist() == [-384.0, 32.0, 0.0]


def test_the_last_picture_stays_when_the_game_is_over() -> None:
    shown = ViZDoom.Config().build()
    steps = play(shown, "basic", 0)
    assert steps[-1].terminated and steps[-1].events == ("success", "killed")
    last, before = (step.observation.images["screen"] for step in (steps[-1], steps[-2]))
    assert last.shape == (120, 160, 3) and np.array_equal(last, before)
    with pytest.raises(RuntimeError, match="the episode has ended"):
        shown.step({"keys": [], "pointer": [0.0, 0.0]})
    shown.close()


def test_nothing_is_left_in_the_working_directory(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    one = BLIND.build()
    one.reset(one.spec.task("take_cover").task(), 0)
    one.close()
    assert not [*tmp_path.iterdir()]


def test_players_see_ahead_and_left() -> None:
    own = [10.0, 0.0, 90.0, *[0.0] * 5]  # looking along y
    kits = [[MEDKIT, 10.0, 5.0, 0, 0, 0], [MEDKIT, 7.0, 0.0, 0, 0, 0]]
    truth = truth_of(own, kits, [])
    assert np.allclose(things(truth, MEDKIT), [[5, 0], [0, 3]])
    assert act("w", turn=90.0) == {"keys": ["w"], "pointer": [-40.0, 0.0]}
    assert ACTION_SPACE.contains(act(turn=-1e9))


def test_the_truth_tells_monsters_that_walk_from_fireballs_that_fly(world: ViZDoom) -> None:
    """The engine knows no speed of what walks; both have one here, in map units a tic."""
    seen = world.reset(world.spec.task("predict_position").task(), 3)
    places = []
    for _ in range(4):
        seen = world.step(act()).observation
        places.append(objects(seen.privileged["vizdoom"])[0])
    assert places[-1][2] - places[-2][2] == pytest.approx(4 * places[-1][5])
    assert abs(places[-1][5]) in (5.0, 10.0)  # a stride of 20 units, or two, in four tics
    world.reset(world.spec.task("take_cover").task(), 0)
    balls = np.zeros((0, 6))
    while not len(balls):
        listed = objects(world.step(act()).observation.privileged["vizdoom"])
        balls = listed[listed[:, 0] == 4]
    assert np.hypot(*balls[0, 4:]) == pytest.approx(10.0, abs=0.1)


def test_what_bars_the_way_may_be_seen_through(world: ViZDoom) -> None:
    """The guards of the corridor stand behind lines that nobody crosses and everybody shoots
    over; from along one wall, only the one across is in sight."""
    seen = world.reset(world.spec.task("deadly_corridor").task(), 0)
    truth = seen.privileged["vizdoom"].copy()
    assert {0.0, 1.0} == set(walls(truth)[:, 4].tolist())
    guards = np.array([[608.0, 64.0], [608.0, -64.0]])
    assert in_sight(truth, guards).tolist() == [False, False]
    for x, visible in ((280.0, [True, False]), (400.0, [True, True])):
        truth[:2] = x, -14.0
        assert in_sight(truth, guards).tolist() == visible


def test_ways_through_a_maze_keep_off_its_walls() -> None:
    """Two rooms with a door between them."""
    lines = [(0, 0, 400, 0), (400, 0, 400, 200), (400, 200, 0, 200), (0, 200, 0, 0),
             (200, 0, 200, 120), (200, 184, 200, 200)]  # fmt: skip
    ways = maze(np.array(lines, np.float64).tobytes(), (360.0, 40.0))
    at, passed = np.array([40.0, 40.0]), []
    for _ in range(200):
        ahead = ways.ahead(at)
        gap = ahead - at
        if np.linalg.norm(gap) < 1:
            break
        at = at + gap / np.linalg.norm(gap) * min(8.0, float(np.linalg.norm(gap)))
        passed.append(at)
    assert np.allclose(at, (360, 40), atol=8)
    through = [y for x, y in passed if abs(x - 200) < 8]
    assert through and all(120 + RADIUS - 8 <= y <= 184 - RADIUS + 8 for y in through)


@pytest.mark.parametrize("y", [-300.0, 0.0, 250.0])
@pytest.mark.parametrize("along", [-1.0, 1.0])
def test_rockets_meet_what_walks_straight(y: float, along: float) -> None:
    monster = np.array([1, 60.0, y, 90.0 * along, 0.0, 5.0 * along])
    marks = np.array([[5, 60.0, side * 608.0, 0, 0, 0] for side in (-1, 1)])
    aim = aim_ahead(np.array([-544.0, 0.0]), monster, marks)
    walked = abs(aim.at[1] - y) / STRIDE
    flown = 9.0 + (np.hypot(aim.at[0] + 544, aim.at[1]) - 30) / ROCKET_SPEED
    assert walked == pytest.approx(flown)
    assert aim.sure == (abs(aim.at[1]) < 608 - BEND)  # beyond, it may have turned round
    assert not aim_ahead(np.array([-544.0, 0.0]), monster * [1, 1, 1, 1, 1, 0], marks).sure


def test_strafing_goes_round_what_comes() -> None:
    def chosen(*balls: tuple[float, float]) -> int:
        listed = np.array([[4, x, y, 180, -10.0, 0] for x, y in balls]).reshape(-1, 6)
        place = np.array([-416.0, 384.0])
        return best_strafe(place=place, speed=0.0, balls=listed, room=(0.0, 768.0))

    assert chosen() == 0  # in the middle of the room, with nothing in the air
    assert chosen((0.0, 384.0)) != 0
    assert chosen((0.0, 400.0)) < 0 < chosen((0.0, 368.0))  # away from where each will pass
    assert chosen((0.0, 600.0)) == 0


def test_random_input_is_in_the_space() -> None:
    generator = np.random.default_rng(0)
    drawn = [ACTION_SPACE.sample(generator) for _ in range(50)]
    assert all(ACTION_SPACE.contains(action) for action in drawn)
    assert {key for action in drawn for key in action["keys"]} == set(ACTION_SPACE.keys)


@pytest.mark.parametrize(("fields", "message"), [
    ({"cameras": ("front",)}, "only 'screen'"),
    ({"states": ("health",)}, "there is no 'health'"),
])  # fmt: skip
def test_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ViZDoom.Config(**fields).build()
    with pytest.raises(KeyError, match="defend_the_center"):
        expert_action("defend_the_centre", np.zeros(TRUTH.size))
