"""Runs that cannot work are refused before anything is decoded or written."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enactive.configuration import ConfigurationError
from enactive.episodes.dataset import BrokenDataset, Dataset
from enactive.models.language import LanguageEncoder
from enactive.models.normalization import Normalizer
from enactive.training.config import Source, Stage, Training
from enactive.training.points import world_spec, write_points
from enactive.training.trainer import train

Make = Callable[..., Training]


@pytest.mark.parametrize(
    ("changes", "model", "message"),
    [
        ({"batch_size": 9, "micro_batch_size": 4}, {}, "batch_size 9 is not a multiple.*use 8"),
        ({"batch_size": 5000}, {}, r"batch_size 5000 exceeds the \d+ frames"),
        ({}, {"cameras": ("tpo",)}, r"model\.cameras: the data has no 'tpo'; did you mean 'top'"),
        ({}, {"states": ("propio",)}, r"model\.states: .*did you mean 'proprio'"),
        ({}, {"horizon": 99}, r"model\.horizon 99 is longer than every episode"),
        (
            {"stages": (Stage(steps=1, freeze=("bakbone.*",)),)},
            {},
            r"stages\[0\]\.freeze.*backbone",
        ),
        ({"stages": (Stage(steps=1, freeze=("*",)),)}, {}, "leaves nothing to train"),
        ({"stages": (Stage(steps=1, weights={"pionts": 1.0}),)}, {}, "did you mean 'points'"),
        ({"stages": (Stage(steps=1, weights={}),)}, {}, r"stages\[0\]\.weights is empty"),
        ({}, {"normalization": Normalizer.Config(overrides={"x": "identity"})}, "no feature 'x'"),
        ({}, {"language": LanguageEncoder.Config(source="/nowhere")}, r"language\.source"),
    ],
)
def test_what_cannot_work_is_refused_with_its_fix(
    make_run: Make, changes: dict[str, Any], model: dict[str, Any], message: str
) -> None:
    config = make_run(**changes)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, **model))
    with pytest.raises(ConfigurationError, match=message):
        train(config)
    assert not config.run.exists()


def test_all_problems_are_listed_at_once(make_run: Make) -> None:
    config = make_run(batch_size=5000, stages=(Stage(steps=1, weights={"x": 1.0}),))
    with pytest.raises(ConfigurationError, match=r"(?s)exceeds.*no source is called 'x'"):
        train(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"data": ()}, "at least one dataset"),
        ({"validation": 1.0}, "validation must be in"),
        (
            {"data": (Source(path=Path("a"), weight=1.0), Source(path=Path("b")))},
            "all sources a weight, or none",
        ),
    ],
)
def test_impossible_values_are_refused_when_made(
    make_run: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_run(**changes)


def test_missing_statistics_are_refused(make_run: Make, points: Dataset, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(points.path, copy)
    stats = json.loads((copy / "meta/stats.json").read_text())
    del stats["action"]
    (copy / "meta/stats.json").write_text(json.dumps(stats))
    config = make_run(data=(Source(path=copy),))
    with pytest.raises((ConfigurationError, BrokenDataset), match=r"(?i)action.*statistics"):
        train(config)
    assert not config.run.exists()


def test_two_sources_need_two_names(make_run: Make, points: Dataset) -> None:
    with pytest.raises(ConfigurationError, match="two sources are called 'points'"):
        train(make_run(data=(Source(path=points.path), Source(path=points.path))))


def test_an_action_space_of_another_size_is_refused(make_run: Make) -> None:
    space = world_spec().accepts.to_dict()
    space["groups"][0]["size"] = 3
    with pytest.raises(ConfigurationError, match="'action' has 2 entries and its action space 3"):
        train(make_run(action_space=space))


def test_sources_in_different_action_spaces_are_refused(
    make_run: Make, points: Dataset, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    other = write_points(tmp_path / "other", count=2).path
    (file,) = (other / "enactive/episodes").glob("*/*.parquet")
    table = pq.read_table(file)
    headers = [text.replace('"widths"', '"pixels"') for text in table["header"].to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("header"), "header", [headers]), file)
    with pytest.raises(ConfigurationError, match=r"(?s)not in the same space.*widths.*pixels"):
        train(make_run(data=(Source(path=points.path), Source(path=other))))


def test_a_dataset_that_says_nothing_of_its_actions_gets_a_space_no_world_accepts(
    make_run: Make, points: Dataset, tmp_path: Path
) -> None:
    copy = tmp_path / "foreign"
    shutil.copytree(points.path, copy)
    shutil.rmtree(copy / "enactive")
    from enactive.actions.compare import compare
    from enactive.models.action_model import ActionModel

    result = train(make_run(data=(Source(path=copy),), steps=2))
    produces = ActionModel.load(result.checkpoint).interface.produces
    assert produces.size == 2
    assert compare(produces, world_spec().accepts)
