"""The tabletop on the real simulator: contract, physics, events, expert, snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from enactive.configuration import from_dict, to_dict
from enactive.observations import Task
from enactive.policies.expert import ExpertPolicy
from enactive.worlds.checks import check_world
from enactive.worlds.tabletop.arms import ARMS
from enactive.worlds.tabletop.control import CONTROLS
from enactive.worlds.tabletop.expert import expert_action
from enactive.worlds.tabletop.tasks import TASKS, Family
from enactive.worlds.tabletop.vocabulary import Relation
from enactive.worlds.tabletop.world import Tabletop
from enactive.worlds.world import NotSupported, Step, World

pytest.importorskip("mujoco")

STATES = ("proprio", "joints", "objects", "furniture")
BLIND = Tabletop.Config(cameras=(), states=STATES)
ONE_OF_EACH = {task.family: task.name for task in TASKS.values()}


@pytest.fixture(scope="module")
def world() -> Iterator[Tabletop]:
    made = BLIND.build()
    yield made
    made.close()


def task(name: str, *perturbations: str) -> Task:
    return Task(name=name, instruction="", perturbations=perturbations)


def play(world: Tabletop, what: Task, seed: int, most: int = 250) -> tuple[list[str], Step]:
    """Events of the expert's episode, and its last step."""
    observation, events = world.reset(what, seed), []
    for _ in range(most):
        step = world.step(expert_action(what.name, observation.privileged["tabletop"]))
        observation = step.observation
        events += step.events
        if step.terminated or step.truncated:
            break
    return events, step


def test_it_is_a_world_that_keeps_the_contract() -> None:
    config = Tabletop.Config(cameras=(), states=STATES, max_steps=20)
    made = config.build()
    assert isinstance(made, World)
    report = check_world(made, tasks=("put-orange-ball-in-bowl", "open-drawer"), steps=10)
    made.close()
    assert report.ok, str(report)
    assert from_dict(Tabletop.Config, to_dict(config)) == config


@pytest.mark.parametrize("family", [*Family])
def test_the_expert_solves_every_family(world: Tabletop, family: Family) -> None:
    for seed in (0, 1):
        events, step = play(world, task(ONE_OF_EACH[family]), seed)
        assert step.success and step.terminated and step.reward == 1.0
        assert events[-1] == "success"
        assert "approached_target" in events and "approached_other" not in events
        assert "dropped" not in events and "grasped_other" not in events


@pytest.mark.parametrize("control", [*CONTROLS])
@pytest.mark.parametrize("arm", [*ARMS])
def test_every_arm_and_interface_can_do_it(arm: str, control: str) -> None:
    made = Tabletop.Config(cameras=(), arm=arm, control=control).build()
    assert made.spec.accepts.size == (6 if (arm, control) == ("jointed", "joint_delta") else 5)
    for name in ("stack-red-cube-on-blue-brick", "open-door"):
        assert play(made, task(name), 2)[1].success, name
    made.close()


def test_the_registered_expert_is_found(world: Tabletop) -> None:
    policy = ExpertPolicy.Config().build(world.spec)
    observation = world.reset(task("touch-red-cube"), 0)
    memory = policy.begin(task("touch-red-cube"), 0)
    (decision,) = policy.act([observation], [memory])
    assert world.spec.accepts.contains(decision.action)


def test_kinematics_are_inverse_to_one_another() -> None:
    generator = np.random.default_rng(0)
    for arm in ARMS.values():
        for pose in generator.uniform((-0.3, -0.25, 0.02, -1.5), (0.3, 0.25, 0.3, 1.5), (50, 4)):
            joints = arm.inverse(pose)
            assert np.allclose(arm.forward(joints), pose, atol=1e-9)
            for joint, value in zip(arm.joints, joints, strict=True):
                assert joint.low <= value <= joint.high, joint.name


def test_events_come_in_order(world: Tabletop) -> None:
    events, _ = play(world, task("put-red-cube-in-bowl"), 5)
    stages = ("approached_target", "grasped", "lifted", "transported", "placed", "success")
    assert [event for event in dict.fromkeys(events) if event in stages] == [*stages]
    assert "moved" in events and "moved_other" not in events


def test_going_for_another_thing_is_seen(world: Tabletop) -> None:
    """The expert of another task in the same scene goes for another thing."""
    observation, events = world.reset(task("pick-large-red-cube"), 3), []
    (names,) = (vector.names for vector in world.spec.observations.privileged)
    x, y = names.index("named.x"), names.index("named.y")
    for _ in range(60):
        truth = observation.privileged["tabletop"].copy()
        twin = world.truth().thing("twin")
        truth[x : y + 1] = twin.position[:2]
        truth[names.index("named.z")] = twin.position[2]
        truth[names.index("holding")] = float(twin.held)
        step = world.step(expert_action("pick-large-red-cube", truth))
        observation = step.observation
        events += step.events
    assert events[0] == "approached_other"
    assert "grasped_other" in events and "moved_other" in events
    assert not {"approached_target", "grasped", "lifted", "success"} & {*events}


def test_what_is_dropped_is_fetched_again(world: Tabletop) -> None:
    what = task("put-yellow-cube-in-box")
    observation, events, opened = world.reset(what, 4), [], 0
    for _ in range(250):
        action = expert_action(what.name, observation.privileged["tabletop"])
        if "lifted" in events and opened < 6:
            action[:] = 0.0
            action[-1], opened = -1.0, opened + 1  # lets go in the air
        step = world.step(action)
        observation = step.observation
        events += step.events
        if step.terminated:
            break
    assert step.success and "dropped" in events
    assert events.count("grasped") >= 2


def test_a_snapshot_in_the_middle_of_a_grasp_is_exact(world: Tabletop) -> None:
    what = task("stack-green-cylinder-on-orange-cube", "dynamics-1", "distractor-2")
    observation, events, actions = world.reset(what, 6), [], []
    while "lifted" not in events:
        step = world.step(expert_action(what.name, observation.privileged["tabletop"]))
        observation, events = step.observation, [*events, *step.events]
    snapshot = world.snapshot()
    first: list[Step] = []
    for _ in range(30):
        action = expert_action(what.name, observation.privileged["tabletop"])
        actions.append(action)
        first.append(world.step(action))
        observation = first[-1].observation
        if first[-1].terminated:
            break
    other = BLIND.build()  # in a world that never saw the episode
    for place in (world, other):
        place.restore(snapshot)
        assert place.snapshot().payload == snapshot.payload
        for action, before in zip(actions, first, strict=True):
            again = place.step(action)
            assert (again.events, again.success) == (before.events, before.success)
            for name, value in before.observation.state.items():
                assert again.observation.state[name].tobytes() == value.tobytes(), name
    other.close()


def test_perturbed_looks_leave_states_alone(world: Tabletop) -> None:
    base = world.reset(task("push-red-cube-to-square"), 8)
    for name in ("camera-2", "light-2", "texture-2", "wording-1", "dynamics-2"):
        seen = world.reset(task("push-red-cube-to-square", name), 8)
        for vector, value in base.state.items():
            assert seen.state[vector].tobytes() == value.tobytes(), (name, vector)


def test_dynamics_are_in_the_simulation(world: Tabletop) -> None:
    def read(*names: str) -> tuple[float, float, float]:
        world.reset(task("pick-blue-brick", *names), 0)
        model = world._running().engine.model
        body = model.body("thing-named")
        return (
            float(body.mass[0]), float(model.geom("thing-named").friction[0]),
            float(model.actuator("x").gainprm[0]),
        )  # fmt: skip

    mass, friction, gain = read()
    assert np.allclose(read("dynamics-1"), (3 * mass, friction, gain))
    assert np.allclose(read("dynamics-2"), (mass, friction / 3, gain))
    assert np.allclose(read("dynamics-3"), (mass, friction, 0.4 * gain))


def test_truth_is_json_and_says_what_holds(world: Tabletop) -> None:
    world.reset(task("pick-red-cube-on-top-of-blue-brick"), 1)
    truth = world.truth()
    assert json.loads(json.dumps(truth.to_dict()))["family"] == "pick-related"
    assert truth.related(Relation.ON, "named", "target")
    assert not truth.related(Relation.ON, "twin", "target")
    assert truth.thing("named").supported_by == "target" and truth.thing("named").stable
    play(world, task("put-red-cube-in-bowl"), 0)
    after = world.truth()
    named, bowl = after.thing("named"), after.thing("target")
    assert after.related(Relation.IN, "named", "target") and named.supported_by == "target"
    assert bowl.container and not bowl.movable and named.graspable and not named.held
    assert named.mass > 0 and named.friction >= 0.2
    play(world, task("pick-red-cube"), 0)
    assert world.truth().thing("named").held
    assert world.truth().thing("named").supported_by == "hand"
    play(world, task("open-drawer"), 0)
    joints = {joint.name: joint for joint in world.truth().joints}
    assert joints["drawer"].open and not joints["door"].open
    with pytest.raises(KeyError, match="twin"):
        world.truth().thing("twin")


def test_the_state_of_things_is_what_the_simulator_has(world: Tabletop) -> None:
    what = "put-green-cylinder-in-box"
    observation = world.reset(task(what), 2)
    table = observation.state["objects"].reshape(10, -1)
    truth = world.truth()
    assert {int(slot) for slot in np.flatnonzero(table[:, 0])} == {t.slot for t in truth.things}
    for thing in truth.things:
        assert np.allclose(table[thing.slot, 1:4], thing.position, atol=1e-6)
        assert np.allclose(table[thing.slot, -3:], thing.half, atol=1e-6)
        assert table[thing.slot, 8:-3].sum() == 2.0  # one colour, one kind
    slots = {world.reset(task(what), seed) and world.scene.named.slot for seed in range(12)}
    assert len(slots) > 3, "the slot must not tell what is named"


def test_wrong_configurations_are_refused() -> None:
    for config, words in (
        (Tabletop.Config(arm="gantri"), "did you mean 'gantry'"),
        (Tabletop.Config(control="ee"), "control"),
        (Tabletop.Config(cameras=("fron",)), "did you mean 'front'"),
        (Tabletop.Config(states=("object",)), "did you mean 'objects'"),
        (Tabletop.Config(states=("proprio", "proprio")), "twice"),
        (Tabletop.Config(max_steps=0), "max_steps"),
    ):
        with pytest.raises(ValueError, match=words):
            config.build()


def test_without_cameras_nothing_is_drawn(world: Tabletop) -> None:
    world.reset(task("touch-red-cube"), 0)
    assert world._drawing is None
    with pytest.raises(NotSupported, match="cameras"):
        world.render_static("front")


def test_a_snapshot_of_another_interface_is_refused(world: Tabletop) -> None:
    world.reset(task("touch-red-cube"), 0)
    snapshot = world.snapshot()
    for other, words in (
        (Tabletop.Config(cameras=(), arm="jointed"), "arm: the snapshot has 'gantry'"),
        (Tabletop.Config(cameras=(), control="ee_absolute"), "control: .* world 'ee_absolute'"),
    ):
        with pytest.raises(ValueError, match=words):
            other.build().restore(snapshot)


def test_pictures_of_the_whole_and_of_its_parts() -> None:
    config = Tabletop.Config(cameras=("front", "wrist", "side", "top"), image_size=64)
    made = config.build()
    what = task("pick-red-cube")
    base = made.reset(what, 0)
    assert [*base.images] == ["front", "wrist", "side", "top"]
    for image in base.images.values():
        assert image.shape == (64, 64, 3) and image.std() > 5
    whole, static = base.images["front"], made.render_static("front")
    agent, mask = made.render_agent("front")
    assert 0.002 < mask.mean() < 0.3
    assert (agent[~mask] == 127).all() and (agent[mask] != 127).any()
    # The whole differs from the scene without the arm where the arm is, and nowhere else.
    differs = (whole != static).any(-1)
    assert differs.any() and not (differs & ~mask).any()
    # The pictures leave nothing behind: the next one is as it would have been.
    snapshot = made.snapshot()
    again = made.restore(snapshot)
    assert again.images["front"].tobytes() == whole.tobytes()
    for name in ("camera-2", "light-1", "texture-1"):
        seen = made.reset(task("pick-red-cube", name), 0)
        assert (seen.images["front"] != whole).mean() > 0.1, name
    with pytest.raises(KeyError, match="front"):
        made.render_agent("back")
    made.close()
    made.close()
