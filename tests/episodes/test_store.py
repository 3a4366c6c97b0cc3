"""Writing datasets: round trips, appending, idempotence, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_episodes as made
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enactive.episodes import layout
from enactive.episodes.compaction import compact
from enactive.episodes.dataset import Dataset
from enactive.episodes.episode import Episode
from enactive.episodes.features import world_features
from enactive.episodes.journal import Journal
from enactive.episodes.store import DatasetWriter
from enactive.episodes.video import VideoCodec


def writer(path: Path, **options: Any) -> DatasetWriter:
    storage = options.pop("storage", "video")
    expert = options.pop("expert", False)
    features = world_features(made.world(), storage=storage, expert=expert)
    return DatasetWriter.create(path, features, made.RATE, robot="made", **options)


def same(read: Episode, expected: Episode, *, lossless: bool) -> None:
    assert read.header == expected.header
    assert read.outcome == expected.outcome
    assert read.events == expected.events
    assert read.deliberations == expected.deliberations
    np.testing.assert_array_equal(read.actions, expected.actions)
    np.testing.assert_array_equal(read.rewards, expected.rewards)
    np.testing.assert_array_equal(read.successes, expected.successes)
    assert set(read.state) == set(expected.state)
    for name, rows in expected.state.items():
        np.testing.assert_array_equal(read.state[name], rows)
    for name, rows in expected.hashes.items():
        np.testing.assert_array_equal(read.hashes[name], rows)
    for camera, images in expected.images.items():
        if lossless:
            np.testing.assert_array_equal(read.images[camera], images)
        else:
            assert read.images[camera].shape == images.shape
            assert np.abs(read.images[camera].astype(int) - images).mean() < 25


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    cut=st.integers(0, 5),
    storage=st.sampled_from(["video", "image"]),
)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_written_in_one_or_two_commits_is_read(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], cut: int, storage: str
) -> None:
    episodes = [made.episode(number, length) for number, length in enumerate(lengths)]
    path = tmp_path_factory.mktemp("round") / "dataset"
    first = episodes[: max(cut, 1)]
    dataset = writer(path, storage=storage).append(first)
    if len(first) < len(episodes):
        dataset = DatasetWriter.open(path).append(episodes)  # those already there are passed over
    assert dataset.validate() == []
    assert dataset.num_episodes == len(episodes)
    assert dataset.num_frames == sum(lengths)
    for number, episode in enumerate(episodes):
        same(dataset.read(number), episode, lossless=storage == "image")
    whole = np.concatenate([episode.state["proprio"] for episode in episodes]).astype(np.float64)
    stats = dataset.stats["observation.state"]
    np.testing.assert_allclose(stats["mean"], whole.mean(0), atol=1e-12)
    np.testing.assert_allclose(stats["std"], whole.std(0), atol=1e-9)
    np.testing.assert_allclose(stats["q10"], np.quantile(whole, 0.1, axis=0), atol=1e-12)
    pixels = np.concatenate([e.images["front"].reshape(-1, 3) for e in episodes]) / 255.0
    pictures = dataset.stats["observation.images.front"]
    np.testing.assert_allclose(pictures["mean"].reshape(3), pixels.mean(0), atol=1e-12)
    np.testing.assert_allclose(pictures["std"].reshape(3), pixels.std(0), atol=1e-12)


def test_commits_join_videos_and_add_data_files(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    writer(path).append([made.episode(0, 6), made.episode(1, 5)])
    before = Dataset.open(path).video("front", 1)
    dataset = DatasetWriter.open(path).append([made.episode(2, 4)])
    files = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    assert [f for f in files if f.startswith(("data", "videos"))] == [
        "data/chunk-000/file-000.parquet",
        "data/chunk-000/file-001.parquet",
        "videos/observation.images.front/chunk-000/file-000.mp4",
        "videos/observation.images.wrist/chunk-000/file-000.mp4",
    ]
    np.testing.assert_array_equal(dataset.video("front", 1), before)
    assert [entry.start for entry in dataset.episodes] == [0, 6, 11]
    spans = [entry.videos["front"].start for entry in dataset.episodes]
    assert spans == [0, 6, 11]
    assert dataset.tasks == ("do the 0 thing", "do the 1 thing")
    assert dataset.column("task_index").tolist() == [0] * 6 + [1] * 5 + [0] * 4
    assert dataset.column("index").tolist() == list(range(15))
    assert not (path / layout.STAGING).exists() and not (path / layout.COMMIT).exists()


def test_files_roll_over_at_their_size(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    dataset = writer(path, data_mb=0, video_mb=0).append(made.episode(n, 4) for n in range(3))
    assert len(dataset.data_files) == 3
    assert len({entry.videos["front"].path for entry in dataset.episodes}) == 3
    assert dataset.validate() == []
    dataset = DatasetWriter.open(path).append([made.episode(3, 4)])
    assert len(dataset.data_files) == 4 and dataset.validate() == []
    same(dataset.read(3), made.episode(3, 4), lossless=False)


def test_another_encoder_begins_a_new_video_file(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    writer(path).append([made.episode(0, 5)])
    other = VideoCodec(pixel_format="yuv444p")
    dataset = DatasetWriter.open(path, codec=other).append([made.episode(1, 5)])
    assert dataset.episodes[1].videos["front"].path.name == "file-001.mp4"
    assert dataset.validate() == []


def test_appending_what_is_there_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    first = writer(path).append([made.episode(0, 5)]).content_hash()
    assert DatasetWriter.open(path).append([made.episode(0, 5)]).content_hash() == first


def test_an_episode_that_does_not_fit_leaves_the_dataset_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    before = writer(path).append([made.episode(0, 5)]).content_hash()
    good, bad = made.episode(1, 5), made.episode(2, 5, size=(16, 16))
    with pytest.raises(ValueError, match=r"made/2.*camera 'front' has uint8 \(5, 16, 16, 3\)"):
        DatasetWriter.open(path).append([good, bad])
    assert Dataset.open(path).content_hash() == before
    assert not (path / layout.STAGING).exists()
    nan = made.episode(1, 5)
    nan.state["proprio"][2, 0] = np.nan
    with pytest.raises(ValueError, match="not a number"):
        DatasetWriter.open(path).append([nan])
    with pytest.raises(FileExistsError, match="open adds to it"):
        writer(path)
    with pytest.raises(ValueError, match="cannot be empty"):
        writer(tmp_path / "other").append([])


def test_info_says_what_lerobot_wants_to_know(tmp_path: Path) -> None:
    dataset = writer(tmp_path / "dataset").append([made.episode(0, 5), made.episode(1, 4)])
    info = json.loads((dataset.path / layout.INFO).read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 9, 2)
    assert info["splits"] == {"train": "0:2"}
    assert info["fps"] == 20 and isinstance(info["fps"], int)
    assert info["features"]["observation.images.front"]["info"]["video.codec"] == "h264"
    assert info["features"]["action"]["names"] == ["arm.x", "arm.y", "arm.z"]
    assert "observation.force" in info["features"]
    tasks = pq.read_schema(dataset.path / layout.TASKS)
    assert json.loads(tasks.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]
    episodes = pq.read_table(dataset.path / layout.EPISODES.format(chunk_index=0, file_index=0))
    assert episodes["stats/observation.images.front/mean"].type.value_type.value_type is not None
    assert episodes["videos/observation.images.front/to_timestamp"].to_pylist() == [0.25, 0.45]


def test_compaction_is_idempotent_and_keeps_the_order(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        for number in (3, 0, 2, 1):
            made.record(journal, number, 4)
        seen: list[tuple[int, int]] = []
        dataset = compact(
            journal, tmp_path / "dataset", batch=3, progress=lambda *at: seen.append(at)
        )
        assert seen == [(3, 4), (4, 4)]
        assert [record.header.id for record in dataset.records] == [f"made/{n}" for n in range(4)]
        before = dataset.content_hash()
        assert compact(journal, tmp_path / "dataset", forget=True).content_hash() == before
        assert journal.readable() == [] and len(journal.finished()) == 4
        made.record(journal, 4, 4)
        dataset = compact(journal, tmp_path / "dataset")
        assert dataset.num_episodes == 5
        same(dataset.read(4), journal.read("made/4"), lossless=False)
    with (
        Journal.open(tmp_path / "empty.db") as journal,
        pytest.raises(ValueError, match="no finished episode"),
    ):
        compact(journal, tmp_path / "nothing")


def test_expert_labels_become_a_column(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        made.record(journal, 0, 4, labelled=True)
        made.record(journal, 1, 4)
        dataset = compact(journal, tmp_path / "dataset")
    actions, labels = dataset.column("action"), dataset.column("action.expert")
    np.testing.assert_array_equal(labels[:4], actions[:4] / 2)
    np.testing.assert_array_equal(labels[4:], actions[4:])


def test_lossless_datasets_hold_the_pictures_that_were_hashed(tmp_path: Path) -> None:
    from enactive.episodes.episode import array_hash

    dataset = writer(tmp_path / "dataset", storage="image").append([made.episode(0, 5)])
    read = dataset.read(0)
    for camera in made.CAMERAS:
        digests = [array_hash(image) for image in read.images[camera]]
        assert b"".join(digests) == read.hashes[f"images.{camera}"][:5].tobytes()
