"""The demo's recipe, made as small as it gets, on the real simulator."""

import json

import pytest

from enactive.episodes.dataset import Dataset
from enactive.evaluation.replay import ReplayReport
from enactive.evaluation.results import Evaluation
from enactive.systems.demo import FAUCETS, DemoConfig, run


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoConfig:
    config = DemoConfig(
        out=tmp_path_factory.mktemp("demo"),
        tasks=FAUCETS,
        demonstrations=1,
        steps=2,
        episodes=1,
        max_steps=12,
        swaps=1,
        workers=0,
        threads=1,
    )
    run(config)
    return config


def test_everything_is_there(demo: DemoConfig) -> None:
    dataset = Dataset.open(demo.out / "collection" / "dataset")
    assert dataset.num_episodes == 2
    assert all(dataset.record(i).outcome.success for i in range(2))
    page = (demo.out / "report.html").read_text(encoding="utf-8")
    assert "faucet-close" in page and "6 / 6" in page
    assert set(json.loads((demo.out / "timings.json").read_text())) == {
        "1/6 collect", "2/6 train", "3/6 evaluate, 4/6 swap", "5/6 replay", "6/6 report",
    }  # fmt: skip


def test_evaluation_is_unseen_and_swapped(demo: DemoConfig) -> None:
    dataset = Dataset.open(demo.out / "collection" / "dataset")
    seen = {record.header.seed for record in dataset.records}
    evaluation = Evaluation.load(demo.out / "evaluation" / "evaluation.json")
    assert [episode.task for episode in evaluation.group()] == list(FAUCETS)
    crossed = [(e.task, e.instructed) for e in evaluation.group("swap")]
    assert crossed == [(scene, told) for scene in FAUCETS for told in FAUCETS]
    for episode in evaluation.episodes:
        assert episode.seed not in seen
        assert episode.instruction not in dataset.tasks


def test_every_episode_is_bit_equal(demo: DemoConfig) -> None:
    report = ReplayReport.load(demo.out / "evaluation" / "replay.json")
    assert report.passed and len(report.episodes) == 6


def test_started_again_it_only_fills_gaps(demo: DemoConfig) -> None:
    """What is left of an interrupted demo is done again, with the same bits."""
    evaluation = demo.out / "evaluation" / "evaluation.json"
    before = Evaluation.load(evaluation)
    evaluation.unlink()
    (demo.out / "report.html").unlink()
    run(demo)
    after = Evaluation.load(evaluation)
    assert [e.id for e in after.episodes] == [e.id for e in before.episodes]
    assert [e.steps for e in after.episodes] == [e.steps for e in before.episodes]
    assert (demo.out / "report.html").is_file()
