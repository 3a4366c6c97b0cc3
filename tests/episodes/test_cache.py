from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enactive.episodes.cache import FrameCache, content_key
from enactive.episodes.dataset import Dataset
from enactive.episodes.frames import ResidentFrames, StreamedFrames
from enactive.episodes.video import UnreadableVideo
from enactive.episodes.windows import subset

LENGTHS = [6, 3, 8]
CAMERA = 17 * 32 * 48 * 3
"""Bytes of one camera of the dataset, decoded."""

OPEN = """
import os, signal, sys, time
from enactive.episodes.cache import FrameCache
from enactive.episodes.dataset import Dataset
from enactive.episodes.windows import subset
path, directory, die = sys.argv[1:]
def progress(done, total):
    print("decoded", flush=True)
    time.sleep(0.02)
    if done == int(die):
        os.kill(os.getpid(), signal.SIGKILL)
cache = FrameCache.Config(directory=directory, threads=1).build()
cache.open(subset(Dataset.open(path)), ("front", "wrist"), progress)
"""


@pytest.fixture(scope="module")
def dataset(make_dataset: Any) -> Dataset:
    return make_dataset(LENGTHS)


class Count:
    """Counts the times something was decoded."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, done: int, total: int) -> None:
        assert 0 <= done <= total
        self.calls += 1


def check(store: Any, dataset: Dataset, episodes: list[int], cameras: tuple[str, ...]) -> None:
    for row, episode in enumerate(episodes):
        steps = np.arange(LENGTHS[episode])[:, None]
        for camera in cameras:
            frames = store.gather(camera, np.full(len(steps), row), steps)
            assert (frames[:, 0] == dataset.video(camera, episode)).all()


def entries(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob("*/frames.npy"))


def test_what_is_cached_on_disk_is_decoded_once(dataset: Dataset, tmp_path: Path) -> None:
    cache = FrameCache.Config(directory=str(tmp_path)).build()
    count = Count()
    first = cache.open(subset(dataset), ("front",), count)
    assert isinstance(first, ResidentFrames)
    check(first, dataset, [0, 1, 2], ("front",))
    assert count.calls == 3
    # Parts share the entry of the whole; another camera is added beside it.
    check(cache.open(subset(dataset, [2, 0]), ("front",), count), dataset, [2, 0], ("front",))
    assert count.calls == 3
    both = cache.open(subset(dataset), ("front", "wrist"), count)
    check(both, dataset, [0, 1, 2], ("front", "wrist"))
    assert count.calls == 6
    assert len(entries(tmp_path)) == 2


def test_the_cache_cannot_be_written_through(dataset: Dataset, tmp_path: Path) -> None:
    store = FrameCache.Config(directory=str(tmp_path)).build().open(subset(dataset), ("front",))
    frames = store.gather("front", np.asarray([0]), np.asarray([[0, 1]]))
    frames[:] = 0  # a batch is the reader's own
    check(store, dataset, [0], ("front",))


def test_entries_follow_content_not_place(make_dataset: Any, tmp_path: Path) -> None:
    one, copy = make_dataset(LENGTHS), make_dataset(LENGTHS)
    other = make_dataset(LENGTHS, tag=5)
    assert one.path != copy.path
    assert content_key(one, "front") == content_key(copy, "front")
    assert content_key(one, "front") != content_key(one, "wrist")
    assert content_key(one, "front") != content_key(other, "front")


@pytest.mark.parametrize("damage", ["cut off", "another shape", "another dtype"])
def test_a_damaged_entry_is_decoded_again(dataset: Dataset, tmp_path: Path, damage: str) -> None:
    cache = FrameCache.Config(directory=str(tmp_path)).build()
    cache.open(subset(dataset), ("front",)).close()
    (entry,) = entries(tmp_path)
    if damage == "cut off":
        with (entry / "frames.npy").open("r+b") as file:
            file.truncate(1000)
    else:
        frames = 16 if damage == "another shape" else 17
        dtype = np.int8 if damage == "another dtype" else np.uint8
        np.save(entry / "frames.npy", np.zeros((frames, 32, 48, 3), dtype))
    count = Count()
    check(cache.open(subset(dataset), ("front",), count), dataset, [0, 1, 2], ("front",))
    assert count.calls == 3


def test_opening_an_entry_counts_as_use(dataset: Dataset, tmp_path: Path) -> None:
    cache = FrameCache.Config(directory=str(tmp_path)).build()
    cache.open(subset(dataset), ("front",)).close()
    (entry,) = entries(tmp_path)
    os.utime(entry, (1, 1))
    cache.open(subset(dataset), ("front",)).close()
    assert entry.stat().st_mtime > 1


def test_the_datasets_used_least_recently_make_room(make_dataset: Any, tmp_path: Path) -> None:
    datasets = [make_dataset(LENGTHS, tag=tag) for tag in range(3)]
    config = FrameCache.Config(directory=str(tmp_path), disk_bytes=2 * CAMERA + 1000)
    cache = config.build()

    def use(number: int, time: int) -> Any:
        store = cache.open(subset(datasets[number]), ("front",))
        os.utime(tmp_path / content_key(datasets[number], "front"), (time, time))
        return store

    first = use(0, 1)
    use(1, 2)
    use(0, 3)
    use(2, 4)
    assert {path.name for path in entries(tmp_path)} == {
        content_key(datasets[number], "front") for number in (0, 2)
    }
    use(1, 5)  # room is made by dropping 0, which is still open
    assert content_key(datasets[0], "front") not in {path.name for path in entries(tmp_path)}
    check(first, datasets[0], [0, 1, 2], ("front",))


def test_what_does_not_fit_on_disk_is_kept_in_memory_or_streamed(
    dataset: Dataset, tmp_path: Path
) -> None:
    small = FrameCache.Config(directory=str(tmp_path), disk_bytes=CAMERA)
    in_memory = small.build().open(subset(dataset), ("front", "wrist"))
    assert isinstance(in_memory, ResidentFrames)
    assert not entries(tmp_path)
    check(in_memory, dataset, [0, 1, 2], ("front", "wrist"))

    tiny = FrameCache.Config(directory=None, memory_bytes=CAMERA)
    streamed = tiny.build().open(subset(dataset, [1, 2, 0]), ("front", "wrist"))
    assert isinstance(streamed, StreamedFrames)
    streamed.prepare(np.asarray([2, 0]))
    check(streamed, dataset, [1, 2, 0], ("front", "wrist"))
    streamed.close()


def test_a_mixture_shares_the_bounds(make_dataset: Any, tmp_path: Path) -> None:
    datasets = [make_dataset(LENGTHS, tag=tag) for tag in range(3)]
    parts = [subset(dataset) for dataset in datasets]
    # One on disk; the other two do not fit memory together, so neither stays there.
    config = FrameCache.Config(
        directory=str(tmp_path), disk_bytes=int(1.5 * CAMERA), memory_bytes=int(1.5 * CAMERA)
    )
    stores = config.build().open_all(parts, ("front",))
    assert [type(store) for store in stores] == [ResidentFrames, StreamedFrames, StreamedFrames]
    assert [store.block_bytes for store in stores[1:]] == [int(0.75 * CAMERA) // 2] * 2
    assert [path.name for path in entries(tmp_path)] == [content_key(datasets[0], "front")]
    for store, dataset in zip(stores, datasets, strict=True):
        check(store, dataset, [0, 1, 2], ("front",))
        store.close()
    stores = config.build().open_all(parts[:2], ("front",))
    assert all(isinstance(store, ResidentFrames) for store in stores)


def test_streaming_stays_within_its_budget(dataset: Dataset) -> None:
    budget = CAMERA // 2
    streamed = StreamedFrames(subset(dataset), ("front",), budget, threads=2)
    rng = np.random.default_rng(0)
    for _ in range(30):
        row = int(rng.integers(3))
        step = rng.integers(LENGTHS[row], size=(4, 1))
        frames = streamed.gather("front", np.full(4, row), step)
        assert (frames[:, 0] == dataset.video("front", row)[step[:, 0]]).all()
        held = sum(future.result().nbytes for future in streamed._held.values())
        assert held <= budget
    streamed.close()


def test_a_killed_writer_leaves_nothing_that_counts(dataset: Dataset, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", OPEN, str(dataset.path), str(tmp_path)]
    killed = subprocess.run([*arguments, "2"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not entries(tmp_path)
    assert list(tmp_path.glob(".writing-*"))
    count = Count()
    cache = FrameCache.Config(directory=str(tmp_path)).build()
    store = cache.open(subset(dataset), ("front", "wrist"), count)
    check(store, dataset, [0, 1, 2], ("front", "wrist"))
    assert count.calls == 6
    assert not list(tmp_path.glob(".writing-*"))


def test_processes_wait_for_one_another(dataset: Dataset, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", OPEN, str(dataset.path), str(tmp_path), "-1"]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert "".join(printed).count("decoded") == 6  # one of them did it all
    assert len(entries(tmp_path)) == 2
    count = Count()
    cache = FrameCache.Config(directory=str(tmp_path)).build()
    check(cache.open(subset(dataset), ("front",), count), dataset, [0, 1, 2], ("front",))
    assert count.calls == 0


@pytest.mark.parametrize("directory", [True, False], ids=["disk", "memory"])
def test_a_broken_video_is_an_error_and_leaves_no_entry(
    make_dataset: Any, tmp_path: Path, directory: bool
) -> None:
    broken = make_dataset([5, 5], tag=9)
    path = broken.episode(0).videos["front"].path
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])  # a download that was cut off
    cache = FrameCache.Config(directory=str(tmp_path) if directory else None).build()
    with pytest.raises(UnreadableVideo, match="file-000"):
        cache.open(subset(broken), ("front",))
    assert not entries(tmp_path)
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.parametrize("field", ["disk_bytes", "memory_bytes", "threads"])
def test_bounds_must_be_positive(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        FrameCache.Config(**{field: 0})  # type: ignore[arg-type]


def test_the_default_directory_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert FrameCache.Config().build().directory == Path("/somewhere/enactive/frames")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert FrameCache.Config().build().directory == Path("~/.cache/enactive/frames").expanduser()
