"""Several control interfaces of one arm: the same motion, said in other numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.actions.compare import compare
from enactive.actions.convert import convert
from enactive.actions.poses import Poses
from enactive.actions.spaces import VectorSpace
from enactive.configuration import load_yaml, save_yaml
from enactive.episodes.compaction import compact
from enactive.episodes.journal import Journal
from enactive.evaluation.collect import collect
from enactive.policies.expert import ExpertPolicy
from enactive.worlds.checks import check_world
from enactive.worlds.controls import HAND, BaseFrame, EndEffectorAbsolute, EndEffectorDelta
from enactive.worlds.interfaces import EXPERT, INTERFACES, MetaWorldInterface, expert_noise
from enactive.worlds.metaworld import ACTION_SPACE, MetaWorld
from enactive.worlds.metaworld_experts import expert_action
from enactive.worlds.pool import WorldPool

TURNED = BaseFrame(yaw=0.7, offset=(0.1, -0.2, 0.05))
CONFIGS = {
    **INTERFACES,
    "turned": MetaWorldInterface.Config(frame=TURNED),
    "turned_absolute": MetaWorldInterface.Config(control=EndEffectorAbsolute(), frame=TURNED),
    "turned_tool": MetaWorldInterface.Config(control=EndEffectorDelta(tool=True), frame=TURNED),
}
TASK = "drawer-open"


@pytest.fixture(scope="module")
def worlds() -> Iterator[dict[str, MetaWorldInterface]]:
    made = {name: config.build() for name, config in CONFIGS.items()}
    for world in made.values():
        world.reset(world.spec.task(TASK).task(), 3)
    yield made
    for world in made.values():
        world.close()


@given(native=st.lists(st.floats(-0.0099, 0.0099), min_size=3, max_size=3), effort=st.floats(-1, 1))
@settings(max_examples=40)
@pytest.mark.parametrize("name", CONFIGS)
def test_native_to_interface_and_back(
    worlds: dict[str, MetaWorldInterface], name: str, native: list[float], effort: float
) -> None:
    world = worlds[name]
    wanted = np.array([*native, effort], np.float32)
    command = world.command(wanted)
    assert world.spec.accepts.contains(command)
    np.testing.assert_allclose(world.native(command), wanted, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "joint_delta"])
@given(data=st.data())
@settings(max_examples=20)
def test_interface_to_native_and_back(
    worlds: dict[str, MetaWorldInterface], name: str, data: st.DataObject
) -> None:
    world = worlds[name]
    native = np.array(data.draw(st.lists(st.floats(-0.007, 0.007), min_size=4, max_size=4)))
    command = world.command(native.astype(np.float32))  # any command whose motion is in bounds
    np.testing.assert_allclose(world.command(world.native(command)), command, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_expert_causes_the_same_motion(name: str) -> None:
    """The expert's commands move the arm as they do natively, state for state."""
    plain, world = MetaWorld.Config(cameras=()).build(), CONFIGS[name].build()
    task = plain.spec.task(TASK).task()
    seen, other = plain.reset(task, 5), world.reset(task, 5)
    np.testing.assert_array_equal(seen.state["proprio"][:3], other.state["scene"][:3])
    for _ in range(40):
        native = expert_action(TASK, seen.privileged["metaworld"])
        command = other.privileged[EXPERT].astype(np.float32)
        np.testing.assert_allclose(world.native(command), native, atol=2e-6)
        seen, other = plain.step(native).observation, world.step(command).observation
        np.testing.assert_allclose(other.state["scene"][:3], seen.state["proprio"][:3], atol=1e-4)
        based = CONFIGS[name].frame.scene_point(other.state["proprio"][:3].astype(np.float64))
        np.testing.assert_allclose(based, other.state["scene"][:3], atol=1e-5)
        scene_object = CONFIGS[name].frame.scene_point(other.state["objects"][:3])
        np.testing.assert_allclose(scene_object, other.state["scene"][3:6], atol=1e-5)
    assert np.ptp(other.state["scene"][3:6]) > 0
    plain.close()
    world.close()


def test_a_turned_base_turns_what_is_relative_to_it_and_nothing_else() -> None:
    fixed, turned = CONFIGS["ee_delta"].build(), CONFIGS["turned"].build()
    tool, turned_tool = CONFIGS["tool_delta"].build(), CONFIGS["turned_tool"].build()
    task = fixed.spec.task(TASK).task()
    seen = {world: world.reset(task, 0) for world in (fixed, turned, tool, turned_tool)}
    expert = {world: seen[world].privileged[EXPERT] for world in seen}
    np.testing.assert_allclose(expert[tool], expert[turned_tool], atol=1e-12)
    np.testing.assert_allclose(TURNED.scene_vector(expert[turned][:3]), expert[fixed][:3])
    assert np.abs(expert[turned] - expert[fixed]).max() > 1e-4
    np.testing.assert_array_equal(seen[fixed].state["scene"], seen[turned].state["scene"])
    np.testing.assert_array_equal(seen[fixed].state["joints"], seen[turned].state["joints"])
    # What the frames are called agrees with enactive.actions.convert, given where they are.
    pose = np.eye(4)
    pose[:3, :3] = TURNED.axes
    quaternion = np.array([np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0])  # HAND as wxyz
    in_scene = Poses(frame="scene", frames={"base": pose}, values={"tool": quaternion})
    space = turned.spec.accepts
    assert isinstance(space, VectorSpace)
    converted = convert(
        expert[turned][None].astype(np.float64), space, turned_tool.spec.accepts, in_scene
    )
    np.testing.assert_allclose(converted[0], expert[turned_tool], atol=1e-9)
    np.testing.assert_allclose(HAND @ HAND.T, np.eye(3))
    for world in seen:
        world.close()


def test_conventions_differ_where_they_should() -> None:
    spaces = {name: config.control.space(config.frame) for name, config in CONFIGS.items()}
    names = ["ee_delta", "ee_absolute", "joint_delta", "mirrored", "tool_delta"]
    for i, one in enumerate(names):
        assert not compare(spaces[one], spaces[one])
        for other in names[:i]:
            assert compare(spaces[one], spaces[other])
    assert not [m for m in compare(ACTION_SPACE, spaces["ee_delta"])]


@pytest.mark.parametrize("name", ["joint_delta", "mirrored"])
def test_world_contract(name: str) -> None:
    world = CONFIGS[name].build()
    report = check_world(world, tasks=(TASK,), steps=8)
    assert report.ok, str(report)
    world.close()


def test_configuration_survives_yaml(tmp_path: Path) -> None:
    for name, config in CONFIGS.items():
        save_yaml(config, tmp_path / f"{name}.yaml")
        assert load_yaml(MetaWorldInterface.Config, tmp_path / f"{name}.yaml") == config


@pytest.mark.parametrize("name", ["ee_absolute", "joint_delta"])
def test_demonstrations_are_collected_the_ordinary_way(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    expert = ExpertPolicy.Config(noise=expert_noise(config, 0.005), noise_hold=4)
    with WorldPool(config, 0) as pool, Journal.open(tmp_path / "journal.sqlite") as journal:
        found = collect(pool, expert.build(pool.spec), [TASK], 1, journal)
        dataset = compact(journal, tmp_path / "dataset", ids={r.id for r in found.kept})
    assert found.kept[0].success
    assert dataset.features["observation.objects"]["shape"] == [9]
    space = pool.spec.accepts
    assert isinstance(space, VectorSpace)
    labels = dataset.column("action.expert")
    assert labels.shape[1] == space.size and np.abs(labels).max() > 0
    assert not np.array_equal(labels, dataset.column("action"))


def test_the_code_of_the_page_runs() -> None:
    page = Path(__file__).parents[2] / "docs" / "embodiments.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 3
    exec("\n".join(blocks), {})
