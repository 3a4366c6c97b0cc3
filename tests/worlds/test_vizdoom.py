"""ViZDoom: keys and mouse, decided by the seed, success by the scenario's own reward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enactive.worlds.checks import check_world
from enactive.worlds.vizdoom import ACTION_SPACE, SCENARIOS, ViZDoom
from enactive.worlds.vizdoom_players import MEDKIT, act, expert_action, things
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


@pytest.mark.parametrize("task", ["basic", "defend_the_center", "health_gathering"])
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
    truth = np.zeros(198)
    truth[:3] = [10.0, 0.0, 90.0]  # looking along y
    truth[6:9] = [MEDKIT, 10.0, 5.0]
    truth[9:12] = [MEDKIT, 7.0, 0.0]
    assert np.allclose(things(truth, MEDKIT), [[5, 0], [0, 3]])
    assert act("w", turn=90.0) == {"keys": ["w"], "pointer": [-40.0, 0.0]}
    assert ACTION_SPACE.contains(act(turn=-1e9))


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
        expert_action("defend_the_centre", np.zeros(198))
