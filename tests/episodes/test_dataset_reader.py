"""Reading: a dataset that LeRobot 0.4.4 wrote, and requests that cannot be met.

``tests/data/lerobot_v3.zip`` was made by ``bench/lerobot_interop.py --fixture``: two episodes of 6
and 5 frames, one camera of 32 x 32 pixels in AV1.
"""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path
from typing import Any

import made_episodes as made
import numpy as np
import pytest

from enactive.episodes.dataset import BrokenDataset, Dataset
from enactive.episodes.store import DatasetWriter

ROOT = Path(__file__).parents[2]
LENGTHS = (6, 5)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ROOT / "tests" / "data" / "lerobot_v3.zip") as archive:
        archive.extractall(tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.fixture(scope="module")
def interop() -> Any:
    """The script that made the fixture, for the values it put there."""
    spec = importlib.util.spec_from_file_location("interop", ROOT / "bench" / "lerobot_interop.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["interop"] = module
    spec.loader.exec_module(module)
    return module


def test_a_dataset_of_lerobots_is_read(theirs: Path, interop: Any) -> None:
    dataset = Dataset.open(theirs)
    assert dataset.validate() == []
    assert (dataset.num_episodes, dataset.num_frames, dataset.fps) == (2, 11, 20.0)
    assert dataset.cameras == ("front",)
    assert [entry.length for entry in dataset.episodes] == list(LENGTHS)
    assert dataset.tasks == ("push the red box", "push the green box")
    assert dataset.episodes[1].instructions == ("push the green box",)
    for number, length in enumerate(LENGTHS):
        raw = interop.episode_arrays(number, length, 32)
        rows = dataset.frames(number, ["observation.state", "action", "next.reward"])
        for key, values in rows.items():
            np.testing.assert_array_equal(values, raw[key])
        pictures = dataset.video("front", number).astype(int)
        apart = np.abs(pictures - raw["observation.images.front"])
        assert apart.mean() < 6


def test_our_statistics_of_the_same_frames_equal_lerobots(
    theirs: Path, interop: Any, tmp_path: Path
) -> None:
    from enactive.episodes.statistics import ImageStatistics, VectorStatistics

    dataset = Dataset.open(theirs)
    raw = [interop.episode_arrays(n, length, 32) for n, length in enumerate(LENGTHS)]
    for key in ("observation.state", "action", "next.reward", "timestamp", "task_index"):
        seen = VectorStatistics(dataset.column(key).reshape(11, -1).shape[1])
        for number in range(2):
            seen.update(dataset.frames(number, [key])[key])
        for name in ("min", "max", "mean", "std", "count"):
            np.testing.assert_allclose(
                seen.summary()[name], dataset.stats[key][name], atol=1e-5, err_msg=key
            )
    pictures = ImageStatistics()
    for arrays in raw:
        pictures.update(arrays["observation.images.front"])
    for name in ("min", "max", "mean", "count"):  # its std overflows in uint8
        stored = dataset.stats["observation.images.front"][name]
        np.testing.assert_allclose(pictures.summary()[name], stored, atol=1e-5)


def test_we_can_go_on_recording_in_a_dataset_of_lerobots(theirs: Path) -> None:
    dataset = Dataset.open(theirs)
    world = {**made.world((32, 32), ("front",)), "name": "made"}
    old = dataset.frames(0, ["observation.state", "action"])
    episode = made.episode(
        0,
        4,
        header=made.header(0, world=world),
        images={"front": np.full((4, 32, 32, 3), 90, np.uint8)},
        state={"proprio": old["observation.state"][:4]},
        actions=old["action"][:4],
        hashes={},
    )
    before = dataset.video("front", 1)
    grown = DatasetWriter.open(theirs).append([episode])
    assert grown.validate() == []
    assert (grown.num_episodes, grown.num_frames) == (3, 15)
    np.testing.assert_array_equal(grown.video("front", 1), before)
    assert abs(float(grown.video("front", 2).mean()) - 90) < 2
    state = grown.column("observation.state").astype(np.float64)
    np.testing.assert_allclose(grown.stats["observation.state"]["std"], state.std(0), atol=1e-9)
    assert grown.stats["observation.images.front"]["count"].tolist() == [15]
    assert [record.episode for record in grown.records] == [2]
    with pytest.raises(KeyError, match="nothing of episode 0"):
        grown.record(0)


def test_wrong_names_are_answered_with_suggestions(theirs: Path) -> None:
    dataset = Dataset.open(theirs)
    with pytest.raises(KeyError, match=r"no feature 'observation.stat'; did you mean"):
        dataset.column("observation.stat")
    with pytest.raises(KeyError, match=r"no camera 'fron'; did you mean 'front'"):
        dataset.video("fron", 0)
    with pytest.raises(KeyError, match="is a camera"):
        dataset.column("observation.images.front")
    with pytest.raises(IndexError, match="episodes 0 to 1, not 2"):
        dataset.video("front", 2)


def test_directories_that_are_no_dataset_are_refused(tmp_path: Path, theirs: Path) -> None:
    with pytest.raises(BrokenDataset, match=r"no meta/info\.json"):
        Dataset.open(tmp_path)
    info = theirs / "meta" / "info.json"
    info.write_text(info.read_text().replace('"v3.0"', '"v2.1"'))
    with pytest.raises(BrokenDataset, match=r"format v2.1; this reader needs v3.x. Convert"):
        Dataset.open(theirs)
