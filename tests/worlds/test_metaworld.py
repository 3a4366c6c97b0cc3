"""The Meta-World adapter, on the real simulator."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import msgpack
import numpy as np
import pytest

from enactive.configuration import from_dict, to_dict
from enactive.observations import Observation, Task
from enactive.worlds import metaworld_state
from enactive.worlds.metaworld import ACTION_SPACE, CLOSE, CORNER2, MetaWorld
from enactive.worlds.metaworld_experts import expert_action
from enactive.worlds.mujoco_rendering import BlackFrame, View, assert_not_blank
from enactive.worlds.world import Snapshot, Step, World

BLIND = MetaWorld.Config(cameras=())
SMALL = MetaWorld.Config(image_size=48)


@pytest.fixture(scope="module")
def blind() -> Iterator[MetaWorld]:
    world = BLIND.build()
    yield world
    world.close()


@pytest.fixture(scope="module")
def seeing() -> Iterator[MetaWorld]:
    world = SMALL.build()
    yield world
    world.close()


def task(world: World, name: str) -> Task:
    return world.spec.task(name).task()


def truth(observation: Observation) -> np.ndarray:
    return observation.privileged["metaworld"]


def drive(world: World, name: str, seed: int, steps: int = 500) -> list[Step]:
    """The expert's steps, up to success."""
    observation = world.reset(task(world, name), seed)
    taken: list[Step] = []
    while len(taken) < steps and not (taken and taken[-1].success):
        taken.append(world.step(expert_action(name, truth(observation))))
        observation = taken[-1].observation
    return taken


def same(a: Observation, b: Observation) -> bool:
    pairs = [(a.images, b.images), (a.state, b.state), (a.privileged, b.privileged)]
    return a.time == b.time and all(
        [*x] == [*y] and all(x[k].tobytes() == y[k].tobytes() for k in x) for x, y in pairs
    )


def package_differs(world: MetaWorld, name: str, steps: int) -> str:
    """Where our episode leaves the package's own from the same task vector; empty if nowhere.

    The package's runs second, on the same environment, out of the state that ours ended in.
    """
    import mujoco

    observation = world.reset(task(world, name), 7)
    assert world._episode is not None
    slot = world._episode.slot
    env, size = slot.env, mujoco.mj_sizeModel(slot.env.model)
    initial = metaworld_state.mujoco_state(env).tobytes()
    actions: list[np.ndarray] = []
    ours: list[Step] = []
    for _ in range(steps):
        actions.append(expert_action(name, truth(observation)))
        ours.append(world.step(actions[-1]))
        observation = ours[-1].observation
    env.reset()  # its task vector is frozen
    if metaworld_state.mujoco_state(env).tobytes() != initial:
        return "initial state"
    for index, (action, step) in enumerate(zip(actions, ours, strict=True)):
        units = action.astype(np.float64)
        units[:3] /= 0.01
        seen, reward, _, _, info = env.step(np.clip(units, -1, 1).astype(np.float32))
        if (reward, bool(info["success"])) != (step.reward, step.success):
            return f"reward or success at step {index}"
        # At the first step the package's observation still holds what its reset left stale.
        if index > 0 and seen.tobytes() != truth(step.observation).tobytes():
            return f"observation at step {index}"
    models = []
    for again in (slot.pristine, slot.pristine):
        metaworld_state.put_back(env, again)
        models.append(np.empty(size, np.uint8))
        mujoco.mj_saveModel(env.model, None, models[-1])
        world.reset(task(world, name), 8)
    return "" if np.array_equal(*models) else "model fields that reset does not put back"


# Each stands for a trap: stale orientations at reset, goals that are views of the simulation, goals
# redrawn until they are far enough, bodies moved by the reset.
@pytest.mark.parametrize("name", ["lever-pull", "basketball", "push", "door-lock", "faucet-close"])
def test_episodes_are_the_packages_own(blind: MetaWorld, name: str) -> None:
    assert package_differs(blind, name, steps=25) == ""


@pytest.mark.slow
def test_every_tasks_episodes_are_the_packages_own() -> None:
    world = replace(BLIND, cached_tasks=1).build()
    differing = {spec.name: package_differs(world, spec.name, 5) for spec in world.spec.tasks}
    assert {name: where for name, where in differing.items() if where} == {}


def test_reset_depends_on_task_and_seed_only(seeing: MetaWorld) -> None:
    first = seeing.reset(task(seeing, "drawer-open"), 3)
    for action in (ACTION_SPACE.high, ACTION_SPACE.low):
        for _ in range(10):
            seeing.step(action)
    seeing.reset(task(seeing, "faucet-open"), 4)
    again = seeing.reset(task(seeing, "drawer-open"), 3)
    fresh = SMALL.build()
    elsewhere = fresh.reset(task(fresh, "drawer-open"), 3)
    fresh.close()
    assert same(first, again)
    assert same(first, elsewhere)
    assert not same(first, seeing.reset(task(seeing, "drawer-open"), 5))


def test_first_observation_is_not_stale(blind: MetaWorld) -> None:
    """The faucet's reset moves its body last; what is seen must be where it then is."""
    first = truth(blind.reset(task(blind, "faucet-open"), 1))
    later = truth(blind.step(np.zeros(4, np.float32)).observation)
    assert np.allclose(first[4:7], later[4:7], atol=1e-3)


@pytest.mark.parametrize("name", ["basketball", "drawer-open"])
def test_snapshots_are_exact(seeing: MetaWorld, name: str) -> None:
    observation = seeing.reset(task(seeing, name), 2)
    for _ in range(40):
        observation = seeing.step(expert_action(name, truth(observation))).observation
    snapshot = seeing.snapshot()
    actions = [ACTION_SPACE.sample(np.random.default_rng(i)) for i in range(8)]
    first = [seeing.step(action) for action in actions]
    drive(seeing, "faucet-open", seed=1, steps=5)
    fresh = SMALL.build()
    for world in (seeing, fresh):
        back = world.restore(Snapshot(world="metaworld", payload=bytes(snapshot.payload)))
        assert same(back, observation)
        again = [world.step(action) for action in actions]
        for a, b in zip(first, again, strict=True):
            assert same(a.observation, b.observation)
            assert (a.reward, a.success, a.events) == (b.reward, b.success, b.events)
    fresh.close()
    assert isinstance(msgpack.unpackb(snapshot.payload), dict)


def test_snapshot_of_another_world_is_refused(blind: MetaWorld) -> None:
    with pytest.raises(ValueError, match="pusht"):
        blind.restore(Snapshot(world="pusht", payload=b""))


@pytest.mark.parametrize(("name", "happened", "never"), [
    ("faucet-open", "faucet_opened", "faucet_closed"),
    ("faucet-close", "faucet_closed", "faucet_opened"),
])  # fmt: skip
def test_faucet_events_tell_the_direction(
    blind: MetaWorld, name: str, happened: str, never: str
) -> None:
    for seed in range(3):
        steps = drive(blind, name, seed)
        events = [event for step in steps for event in step.events]
        assert steps[-1].success
        assert events[-1] == "success"
        assert happened in events
        assert never not in events


@pytest.mark.parametrize(("name", "turned"), [
    ("faucet-close", "faucet_opened"), ("faucet-open", "faucet_closed"),
])  # fmt: skip
def test_the_wrong_way_is_an_event_too(blind: MetaWorld, name: str, turned: str) -> None:
    """In either task the handle can be turned either way: here by the other task's expert."""
    expert = "faucet-open" if name == "faucet-close" else "faucet-close"
    observation = blind.reset(task(blind, name), 0)
    events: list[str] = []
    # The tasks report different points of the handle; shift to the one that the expert expects.
    shift = np.array([-0.03, 0, 0]) if expert == "faucet-open" else np.array([0.03, 0, 0])
    for _ in range(150):
        seen = truth(observation).copy()
        seen[4:7] += shift
        step = blind.step(expert_action(expert, seen))
        observation = step.observation
        events += step.events
    assert turned in events
    assert "success" not in events


def test_grasped_is_a_real_grasp(blind: MetaWorld) -> None:
    lifted = [event for step in drive(blind, "pick-place", 0) for event in step.events]
    pushed = [event for step in drive(blind, "drawer-close", 0) for event in step.events]
    assert lifted.index("grasped") < lifted.index("success")
    assert "grasped" not in pushed


def test_one_action_moves_the_target_a_centimetre(blind: MetaWorld) -> None:
    blind.reset(task(blind, "reach"), 0)
    assert blind._episode is not None
    data = blind._episode.slot.env.data
    before = data.mocap_pos[0].copy()
    blind.step(np.array([0.01, -0.005, 0.0, 0.0], np.float32))
    moved = data.mocap_pos[0] - before
    assert np.allclose(moved, [0.01, -0.005, 0.0], atol=1e-8)


@pytest.mark.parametrize("action", [
    np.full(4, np.nan), np.array([0.02, 0, 0, 0]), np.zeros(3), np.array([0, 0, 0, 1.5]),
])  # fmt: skip
def test_actions_outside_the_space_are_refused(blind: MetaWorld, action: np.ndarray) -> None:
    blind.reset(task(blind, "reach"), 0)
    with pytest.raises(ValueError):
        blind.step(action)
    assert blind.step(np.zeros(4)).observation.time == pytest.approx(1 / 80)


def test_truncates_at_the_limit() -> None:
    world = replace(BLIND, max_steps=5).build()
    world.reset(task(world, "reach"), 0)
    assert [world.step(np.zeros(4)).truncated for _ in range(5)] == [False] * 4 + [True]
    with pytest.raises(RuntimeError, match="reset"):
        world.step(np.zeros(4))


def test_wrong_names_are_answered_with_suggestions(blind: MetaWorld) -> None:
    with pytest.raises(KeyError, match="faucet-open"):
        blind.reset(Task(name="faucet-opem", instruction=""), 0)
    with pytest.raises(KeyError, match="drawer-open"):
        expert_action("drawer-opens", np.zeros(39))
    with pytest.raises(ValueError, match="corner2"):
        bad = replace(SMALL, cameras=(View(name="a", fixed="corner9"),)).build()
        bad.reset(task(bad, "reach"), 0)


def test_configuration_survives_a_round_trip_and_is_checked() -> None:
    config = replace(MetaWorld.Config(), cameras=(CLOSE,), max_steps=120)
    assert from_dict(MetaWorld.Config, to_dict(config)) == config
    for field, value in (("image_size", 0), ("max_steps", 501), ("cached_tasks", 0)):
        with pytest.raises(ValueError, match=field):
            replace(BLIND, **{field: value}).build()
    with pytest.raises(ValueError, match="cameras"):
        replace(BLIND, cameras=(CLOSE, CLOSE)).build()


def test_culling_does_not_change_a_bit(seeing: MetaWorld) -> None:
    config = replace(SMALL, cameras=(*SMALL.cameras, View(name="hand", fixed="gripperPOV")))
    world = config.build()
    for name in ("door-open", "faucet-open"):
        for step in drive(world, name, seed=1)[::8]:
            assert len(step.observation.images) == 3
        assert world._episode is not None
        slot = world._episode.slot
        assert slot.canvas is not None
        culled = slot.canvas.draw(slot.env.data)
        slot.canvas._cull = False
        whole = slot.canvas.draw(slot.env.data)
        assert all(np.array_equal(culled[view], whole[view]) for view in whole)
        # The test can fail: something was out of sight of the close view.
        drawn = slot.canvas._scene.ngeom
        slot.canvas._cull = True
        slot.canvas._hide_unseen(slot.env.data, slot.canvas._cameras[1])
        assert (slot.env.model.geom_group == 5).sum() > 5
        assert drawn > 20
        slot.env.model.geom_group[:] = slot.canvas._groups
    world.close()


def test_goal_markers_are_drawn_only_when_asked() -> None:
    hidden, shown = SMALL.build(), replace(SMALL, goal_markers=True).build()
    pictures = []
    for world in (hidden, shown):
        pictures.append(world.reset(task(world, "reach"), 0).images["front"])
        assert world._episode is not None
        slot = world._episode.slot
        slot.env.model.site_rgba[:, 3] = 0
        assert slot.canvas is not None
        pictures.append(slot.canvas.draw(slot.env.data)["front"])
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[2], pictures[3])
    assert np.array_equal(pictures[1], pictures[3])
    hidden.close()
    shown.close()


def test_worlds_of_one_process_do_not_disturb_each_other() -> None:
    first, second = SMALL.build(), SMALL.build()
    before = first.reset(task(first, "drawer-open"), 1)
    second.reset(task(second, "faucet-open"), 1)
    assert same(before, first.reset(task(first, "drawer-open"), 1))
    second.close()
    assert same(before, first.reset(task(first, "drawer-open"), 1))
    third = SMALL.build()
    third.reset(task(third, "reach"), 1)
    del third  # collected without having been closed
    gc.collect()
    assert same(before, first.reset(task(first, "drawer-open"), 1))
    first.close()
    first.close()


def test_evicted_tasks_come_back_the_same() -> None:
    world = replace(SMALL, cached_tasks=1).build()
    first = [world.reset(task(world, name), 1) for name in ("drawer-open", "faucet-open")]
    again = [world.reset(task(world, name), 1) for name in ("drawer-open", "faucet-open")]
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    world.close()


def test_the_corner_cameras_are_turned_not_mirrored() -> None:
    """They hang upside down, so their pictures are turned; a mirror would swap left and right."""
    import mujoco

    plain = View(name="plain", fixed="corner2")
    world = replace(SMALL, cameras=(CORNER2, plain)).build()
    images = world.reset(task(world, "faucet-open"), 0).images
    assert np.array_equal(images["corner2"], images["plain"][::-1, ::-1])
    assert world._episode is not None
    env = world._episode.slot.env
    for name, hanging in (("corner2", True), ("corner", True), ("topview", False)):
        up = env.data.cam_xmat[env.model.camera(name).id].reshape(3, 3)[:, 1]
        assert (up[2] < -0.1) == hanging
    world.close()
    assert mujoco.__version__ == world.spec.provenance["packages"]["mujoco"]


def test_reading_the_configuration_needs_no_simulator() -> None:
    code = (
        "import sys; from enactive.worlds.metaworld import MetaWorld; MetaWorld.Config();"
        "import enactive.worlds.pusht, enactive.worlds.pool, enactive.worlds.checks;"
        "sys.exit(bool({'mujoco', 'metaworld', 'gymnasium', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mujoco_may_have_been_imported_before() -> None:
    """Without a display, MuJoCo's own choice at import would fail later."""
    code = (
        "import mujoco; from enactive.worlds.metaworld import MetaWorld;"
        "world = MetaWorld.Config(image_size=16).build();"
        "world.reset(world.spec.tasks[0].task(), 0); world.close()"
    )
    bare = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    subprocess.run([sys.executable, "-c", code], check=True, env=bare)


def test_a_blind_camera_is_an_error() -> None:
    buried = View(name="buried", lookat=(0, 0.6, -3.0), distance=0.1, elevation=-89)
    world = replace(SMALL, cameras=(buried,)).build()
    with pytest.raises(BlackFrame, match="buried"):
        world.reset(task(world, "reach"), 0)
    world.close()
    with pytest.raises(BlackFrame):
        assert_not_blank({"a": np.zeros((4, 4, 3), np.uint8)}, "metaworld")


def test_pictures_are_the_right_way_up(seeing: MetaWorld) -> None:
    """The table is below the wall: wood is browner than the grey background."""
    image = seeing.reset(task(seeing, "reach"), 0).images["front"].astype(int)
    brown = image[..., 0] - image[..., 2]
    assert brown[-8:, :8].mean() > brown[:8, -8:].mean() + 20


def test_experts_do_not_write_into_the_observation(blind: MetaWorld) -> None:
    seen = truth(blind.reset(task(blind, "door-open"), 0))
    before = seen.copy()
    first, second = expert_action("door-open", seen), expert_action("door-open", seen)
    assert np.array_equal(seen, before)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", ["door-open", "peg-insert-side", "drawer-close"])
def test_experts_succeed_within_our_space(blind: MetaWorld, name: str) -> None:
    steps = drive(blind, name, seed=1)
    assert steps[-1].success
