"""Perturbations that fit any world: what they change, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.actions.digital import ChoiceSpace
from enactive.actions.spaces import VectorSpace
from enactive.cli import main
from enactive.evaluation.results import Evaluation
from enactive.registry import Registry
from enactive.seeding import numpy_generator
from enactive.worlds.checks import check_world
from enactive.worlds.gymnasium_world import GymnasiumWorld
from enactive.worlds.perturbed import PerturbedWorld, is_registered
from enactive.worlds.pusht import PushT
from enactive.worlds.tabletop.world import Tabletop
from enactive.worlds.world import Step, World

SMALL = Tabletop.Config(cameras=("front",), image_size=32)
TASK = "pick-red-cube"


def world_of(config: Any, *axes: str) -> PerturbedWorld:
    return PerturbedWorld.Config(world=config, axes=axes).build()


def actions(world: World, count: int) -> list[Any]:
    space: Any = world.spec.accepts
    generator = numpy_generator(0, "actions")
    return [space.sample(generator) for _ in range(count)]


def follow(world: World, perturbations: tuple[str, ...], wanted: list[Any]) -> list[Step]:
    task = replace(world.spec.tasks[0].task(), perturbations=perturbations)
    world.reset(task, 3)
    return [world.step(action) for action in wanted]


def bits(steps: list[Step]) -> list[Any]:
    return [
        (
            {name: picture.tobytes() for name, picture in step.observation.images.items()},
            {name: vector.tobytes() for name, vector in step.observation.state.items()},
            {name: vector.tobytes() for name, vector in step.observation.privileged.items()},
            step.events,
        )
        for step in steps
    ]


@pytest.fixture(scope="module")
def tabletop() -> PerturbedWorld:
    return world_of(SMALL)


@pytest.mark.parametrize("config", [SMALL, PushT.Config()], ids=["tabletop", "pusht"])
def test_a_perturbed_world_keeps_the_contract(config: Any) -> None:
    world = world_of(config)
    report = check_world(
        world, tasks=[world.spec.tasks[0].name], config=PerturbedWorld.Config(world=config)
    )
    world.close()
    assert report.ok, str(report)


def test_without_perturbation_it_is_the_world_inside(tabletop: PerturbedWorld) -> None:
    inner = SMALL.build()
    wanted = actions(inner, 12)
    assert bits(follow(tabletop, (), wanted)) == bits(follow(inner, (), wanted))


@pytest.mark.parametrize("name", ["blur-1", "noise-2", "exposure-1", "exposure-2", "cutout-1"])
def test_perturbed_pictures_leave_everything_else(tabletop: PerturbedWorld, name: str) -> None:
    wanted = actions(tabletop, 6)
    plain, seen = bits(follow(tabletop, (), wanted)), bits(follow(tabletop, (name,), wanted))
    assert [rest for _, *rest in seen] == [rest for _, *rest in plain]
    assert all(
        mine["front"] != theirs["front"]
        for (mine, *_), (theirs, *_) in zip(seen, plain, strict=True)
    )
    assert bits(follow(tabletop, (name,), wanted)) == seen  # drawn from named streams


def test_late_commands_are_the_earlier_ones(tabletop: PerturbedWorld) -> None:
    inner, wanted = SMALL.build(), actions(tabletop, 10)
    late = follow(tabletop, ("latency-2",), wanted)
    assert bits(late) == bits(follow(inner, (), [*wanted[:1] * 3, *wanted[:7]]))


def test_scaled_commands_and_the_order_of_two(tabletop: PerturbedWorld) -> None:
    inner, wanted = SMALL.build(), actions(tabletop, 8)
    space = tabletop.spec.accepts
    assert isinstance(space, VectorSpace)
    factor = np.ones(space.size)
    for group in space.groups:
        if group.quantity != "gripper":
            factor[space.slices[group.name]] = 0.7
    scaled = [(action * factor).astype(np.float32) for action in wanted]
    assert bits(follow(tabletop, ("gain-1",), wanted)) == bits(follow(inner, (), scaled))
    both = bits(follow(inner, (), [scaled[0], *scaled[:7]]))
    for order in (("gain-1", "latency-1"), ("latency-1", "gain-1")):
        assert bits(follow(tabletop, order, wanted)) == both


@given(
    names=st.lists(
        st.sampled_from(["blur", "noise", "cutout", "latency", "gain", "actuation"]),
        unique=True, min_size=1, max_size=3,
    ),
    level=st.sampled_from([1, 2]),
    taken=st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=15)
def test_a_snapshot_restores_what_is_under_way(
    tabletop: PerturbedWorld, names: list[str], level: int, taken: int
) -> None:
    world = tabletop
    wanted = actions(world, 8)
    task = replace(
        world.spec.tasks[0].task(), perturbations=tuple(f"{name}-{level}" for name in names)
    )
    world.reset(task, 1)
    for action in wanted[:taken]:
        world.step(action)
    snapshot = world.snapshot()
    first = bits([world.step(action) for action in wanted[taken:]])
    world.restore(snapshot)
    assert bits([world.step(action) for action in wanted[taken:]]) == first


def test_what_does_not_fit_is_refused(tabletop: PerturbedWorld) -> None:
    with pytest.raises(ValueError, match="'blur' changes nothing: tabletop shows no pictures"):
        world_of(Tabletop.Config(cameras=()), "blur")
    with pytest.raises(ValueError, match="'gain' changes nothing: pusht has no deltas"):
        world_of(PushT.Config(), "gain")
    with pytest.raises(LookupError, match="did you mean 'blur'"):
        world_of(SMALL, "blurr")
    task = tabletop.spec.task(TASK).task()
    with pytest.raises(ValueError, match="on one axis"):
        tabletop.reset(replace(task, perturbations=("blur-1", "blur-2")), 0)
    with pytest.raises(ValueError, match="outside"):
        tabletop.reset(task, 0)
        tabletop.step(np.full(tabletop.spec.accepts.size, 9.0))  # type: ignore[union-attr]
    assert is_registered("blur-2") and not is_registered("camera-1")


def test_latency_fits_any_action_space() -> None:
    world = world_of(GymnasiumWorld.Config(env_id="CartPole-v1"), "latency")
    assert isinstance(world.spec.accepts, ChoiceSpace)
    assert [one.name for one in world.spec.perturbations] == ["latency-1", "latency-2"]


def test_every_registered_perturbation_says_what_its_levels_do() -> None:
    names = Registry("perturbations").names()
    assert {"blur", "noise", "exposure", "cutout", "latency", "gain", "actuation"} <= {*names}
    for name in names:
        assert all(Registry("perturbations").load(name).levels)


def test_evaluate_probes_any_world_with_them(tmp_path: Path) -> None:
    words = "evaluate expert --world tabletop --world.cameras front --tasks pick-red-cube"
    out = str(tmp_path / "probes")
    probes = ["--probe", "actuation-2", "noise-1+latency-2", "camera-1"]
    assert main([*words.split(), "--episodes", "2", "--workers", "0", *probes, "--out", out]) == 0
    evaluation = Evaluation.load(tmp_path / "probes" / "evaluation.json")
    groups = ["main", "probe/actuation-2", "probe/camera-1", "probe/noise-1+latency-2"]
    assert sorted({episode.group for episode in evaluation.episodes}) == groups
    assert main(["replay", out, "--workers", "0"]) == 0
