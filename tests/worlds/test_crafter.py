"""Crafter: its own achievements, decided by the seed, with or without pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enactive.worlds.checks import check_world
from enactive.worlds.crafter import ACTIONS, ITEMS, TRUTH, Crafter
from enactive.worlds.crafter_garden import hidden
from enactive.worlds.crafter_instructions import HELD_OUT, TRAINING
from enactive.worlds.crafter_player import expert_action
from enactive.worlds.crafter_scene import FREE, Scene, beside, id_of
from enactive.worlds.world import Step

STATES = Crafter.Config(cameras=(), states=("proprio", "nearby"))


def test_names_are_the_games_own() -> None:
    from crafter import constants

    assert list(ACTIONS.names) == constants.actions
    assert list(ITEMS) == list(constants.items)
    assert list(TRAINING) == list(HELD_OUT) == constants.achievements


def test_no_wording_is_used_twice() -> None:
    wordings = [one for table in (TRAINING, HELD_OUT) for row in table.values() for one in row]
    assert len(set(wordings)) == len(wordings) >= 4 * len(TRAINING)


def test_the_contract_is_kept() -> None:
    world = Crafter.Config(max_steps=30).build()
    report = check_world(world, tasks=["collect_wood"], steps=8)
    assert report.ok, str(report)
    world.close()


@pytest.mark.parametrize("task", ["collect_wood", "collect_drink", "place_table", "eat_cow"])
def test_the_player_solves_tasks(task: str) -> None:
    world = STATES.build()
    for seed in (0, 1):
        steps = play(world, task, seed)
        assert steps[-1].success and task in steps[-1].events
        assert steps[-1].reward > 0.5  # an achievement is worth 1, health a tenth a point
        assert len(steps) < 100
    world.close()


def test_the_player_works_back_from_an_iron_pickaxe() -> None:
    """Every stage is an event, in the order in which the game needs them."""
    world = STATES.build()
    steps = play(world, "make_iron_pickaxe", 0)
    unlocked = [event for step in steps for event in step.events]
    order = ("collect_wood", "place_table", "make_wood_pickaxe", "collect_stone",
             "make_stone_pickaxe", "collect_iron", "make_iron_pickaxe")  # fmt: skip
    assert [event for event in unlocked if event in order] == list(order)
    assert len(set(unlocked)) == len(unlocked)
    world.close()


def test_the_player_grows_a_plant_behind_stones() -> None:
    world = STATES.build()
    steps = play(world, "eat_plant", 19)
    assert steps[-1].success and "eat_plant" in steps[-1].events
    planted = next(i for i, step in enumerate(steps) if "place_plant" in step.events)
    scenes = [Scene.read(step.observation.privileged["crafter"]) for step in steps]
    ripe = next(i for i, scene in enumerate(scenes) if scene.ripe)
    assert ripe - planted == 301  # it was close enough to it all the time
    assert sum(hidden(scene) for scene in scenes[planted:ripe]) > 150
    sides = beside(scenes[planted].ahead)
    walled = [scene.at in sides or all(scene.kind(one) not in FREE for one in sides)
              for scene in scenes[planted + 30 : ripe]]  # fmt: skip
    assert all(walled)
    world.close()


def test_a_hole_with_a_way_in_is_no_hiding_place() -> None:
    truth = np.full((64, 64), id_of("stone"), np.float64)
    truth[30, 30:32], truth[30, 33] = id_of("path"), id_of("plant")
    own = np.zeros(TRUTH.size - truth.size)
    own[:4] = 30, 30, 0, 1

    def scene() -> Scene:
        truth[30, 30] = id_of("player")
        return Scene.read(np.concatenate([truth.ravel(), own]))

    assert hidden(scene())
    truth[29, 31] = id_of("zombie")
    assert not hidden(scene())
    truth[20:30, 31] = id_of("grass")
    assert not hidden(scene())
    truth[20:30, 31], truth[30, 33], truth[30, 60] = (
        id_of("stone"), id_of("stone"), id_of("plant")
    )  # fmt: skip
    assert not hidden(scene())  # nothing grows so far away


def test_drawing_changes_nothing_not_even_at_night() -> None:
    """The package draws the noise of the night from the generator that moves the creatures."""
    seen, blind = Crafter.Config(image_size=18).build(), Crafter.Config(cameras=()).build()
    task = seen.spec.task("eat_cow").task()
    for world in (seen, blind):
        world.reset(task, 4)
        world._game._step = 250  # dark: a day has 300 steps
    for _ in range(12):
        a, b = (world.step(0).observation for world in (seen, blind))
        assert np.array_equal(a.privileged["crafter"], b.privileged["crafter"])
    assert seen._game._world.daylight < 0.5
    assert (a.images["view"][:14].astype(int).std()) > 0
    seen.close()


def test_what_is_shown_is_what_is_there() -> None:
    world = STATES.build()
    seen = world.reset(world.spec.task("collect_wood").task(), 2)
    scene = Scene.read(seen.privileged["crafter"])
    nearby = seen.state["nearby"].reshape(9, 7)
    x, y = scene.at
    assert nearby[4, 3] == scene.map[x, y] == 13  # the player itself
    assert np.array_equal(nearby, scene.map[x - 4 : x + 5, y - 3 : y + 4])
    assert seen.state["proprio"][:4].tolist() == [9, 9, 9, 9]
    world.close()


@pytest.mark.parametrize(("fields", "message"), [
    ({"cameras": ("top",)}, "only 'view'"),
    ({"states": ("near",)}, "did you mean 'nearby'"),
    ({"image_size": 4}, "image_size"),
    ({"max_steps": 0}, "max_steps"),
])  # fmt: skip
def test_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Crafter.Config(**fields).build()
    with pytest.raises(KeyError, match="collect_wood"):
        expert_action("collect_would", np.zeros(TRUTH.size))


def play(world: Crafter, task: str, seed: int) -> list[Step]:
    """The scripted player's episode, to its success or its end."""
    seen, steps = world.reset(world.spec.task(task).task(), seed), []
    while True:
        steps.append(world.step(expert_action(task, seen.privileged["crafter"])))
        seen = steps[-1].observation
        if steps[-1].success or steps[-1].terminated or steps[-1].truncated:
            return steps
