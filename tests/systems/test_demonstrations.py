"""Demonstrations that claims share: made once, complete, and of the modes that they should have."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from enactive.episodes.dataset import Dataset
from enactive.episodes.journal import Journal
from enactive.evaluation.multimodality import modes, repeated_chunks
from enactive.policies.expert import ExpertPolicy
from enactive.systems import demonstrations as shared_demonstrations
from enactive.systems.chunks import chunks
from enactive.systems.demonstrations import (
    METAWORLD,
    PUSHT,
    SEEDS_PER_SAMPLE,
    metaworld_demonstrations,
    pusht_demonstrations,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def pusht(shared: Path) -> Path:
    return pusht_demonstrations(shared, episodes=4)


@pytest.fixture(scope="module")
def metaworld(shared: Path) -> Path:
    return metaworld_demonstrations(
        shared, tasks=("reach", "drawer-open"), episodes=3, seed=2, noise=0.3
    )


def test_pusht_demonstrations_succeed_and_hold_the_states(pusht: Path) -> None:
    dataset = Dataset.open(pusht)
    assert dataset.num_episodes == 4
    assert dataset.cameras == ()
    assert all(record.outcome.success for record in dataset.records)
    actions = dataset.column("action")
    assert actions.shape[1] == 2
    assert 0 <= actions.min() < 200 < 300 < actions.max() <= 512, "px on the board"
    for name in ("state", "velocity", "block", "keypoints"):
        assert np.isfinite(dataset.column(f"observation.{name}")).all()


def test_metaworld_demonstrations_keep_the_clean_action(metaworld: Path) -> None:
    dataset = Dataset.open(metaworld)
    assert dataset.num_episodes == 6
    assert {record.header.seed // SEEDS_PER_SAMPLE for record in dataset.records} == {2}
    assert dataset.column("observation.objects").shape == (dataset.num_frames, 17)
    assert not np.array_equal(dataset.column("action.expert"), dataset.column("action"))


def test_they_are_made_once(shared: Path, pusht: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in pusht.rglob("*") if path.is_file()}
    assert pusht_demonstrations(shared, episodes=4) == pusht
    after = {path: path.stat().st_mtime_ns for path in pusht.rglob("*") if path.is_file()}
    assert after == before
    assert not [*shared.glob(".*.partial")]


def ask(shared: Path, answers: multiprocessing.SimpleQueue[str]) -> None:
    answers.put(str(metaworld_demonstrations(shared, tasks=("reach",), episodes=2)))


def test_two_processes_make_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    both = [context.Process(target=ask, args=(tmp_path, answers)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    assert answers.get() == answers.get()
    found = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert len(found) == 1
    assert Dataset.open(found[0] / "dataset").num_episodes == 2


def test_what_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collection stops before the dataset is written; asked again, it plays no episode twice."""
    whole = metaworld_demonstrations(tmp_path / "whole", tasks=("reach",), episodes=3)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shared_demonstrations, "compact", stop)
        with pytest.raises(KeyboardInterrupt):
            metaworld_demonstrations(tmp_path / "cut", tasks=("reach",), episodes=3)
    assert [*(tmp_path / "cut").glob(".*.partial/journal.sqlite")]
    again = metaworld_demonstrations(tmp_path / "cut", tasks=("reach",), episodes=3)
    assert again.parent.name == whole.parent.name
    for key in ("action", "observation.state", "observation.objects", "next.reward"):
        assert np.array_equal(Dataset.open(again).column(key), Dataset.open(whole).column(key))


@pytest.mark.parametrize("numbers", [{"seed": 100}, {"seed": -1}, {"episodes": 0}])
def test_seeds_of_evaluations_are_refused(tmp_path: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must not meet"):
        pusht_demonstrations(tmp_path, **{"episodes": 2, **numbers})


def test_chunks_are_split_by_episode(pusht: Path) -> None:
    found = chunks(pusht, horizon=8, held_out=0.5)
    dataset = Dataset.open(pusht)
    assert found.shape == (8, 2)
    assert len(found.training) + len(found.held_out) == dataset.num_frames
    actions = dataset.column("action")
    raw = chunks(pusht, horizon=8, held_out=0.5, mode="identity")
    for part in (raw.training, raw.held_out):
        rows = {tuple(row) for row in part[:, 0].tolist()}
        owners = {
            entry.index
            for entry in dataset.episodes
            if {tuple(row) for row in actions[entry.start : entry.stop].tolist()} & rows
        }
        assert len(owners) == 2
    back = found.normalizer.denormalize("action", found.held_out)
    assert np.allclose(back, raw.held_out, atol=1e-3)
    # Past an episode's end the last action is held.
    entry = dataset.episodes[0]
    last = actions[entry.stop - 1]
    ending = [c for part in (raw.training, raw.held_out) for c in part.numpy() if (c == last).all()]
    assert len(ending) == 1
    few = chunks(pusht, horizon=8, held_out=0.5, stride=4)
    assert len(few.training) < len(found.training) / 3


def test_the_planner_has_two_modes_and_the_scripted_expert_one() -> None:
    world = replace(PUSHT, start=1.0).build()
    planner = ExpertPolicy.Config().build(world.spec)
    found = modes(repeated_chunks(world, planner, "push-t", 3, repeats=12, horizon=12), scale=100.0)
    world.close()
    assert found.several
    assert found.separation > 8
    assert found.between > 0.3
    assert found.minority > 0.15
    robot = METAWORLD.build()
    expert = ExpertPolicy.Config(noise=0.3, noise_hold=4).build(robot.spec)
    clean = repeated_chunks(robot, expert, "drawer-open", 0, repeats=12, horizon=12)
    assert not modes(clean, scale=0.005).several
    detours = ExpertPolicy.Config(expert="metaworld_detours").build(robot.spec)
    aside = modes(
        repeated_chunks(robot, detours, "drawer-open", 0, repeats=12, horizon=12), scale=0.005
    )
    assert aside.several
    assert aside.between > 0.5
    robot.close()


def test_detours_lead_to_success(tmp_path: Path) -> None:
    tasks = ("drawer-open", "reach")
    path = metaworld_demonstrations(tmp_path, tasks=tasks, episodes=3, detours=True)
    assert len(Journal.open(path.parent / "journal.sqlite").finished()) == 6, "none failed"
    sides = [np.sign(Dataset.open(path).frames(i, ["action"])["action"][0, 0]) for i in range(6)]
    assert {*sides} == {-1.0, 1.0}
