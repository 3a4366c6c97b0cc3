from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enactive.episodes.batch import Batch
from enactive.episodes.cache import FrameCache
from enactive.episodes.dataset import Dataset
from enactive.episodes.loader import WindowLoader
from enactive.episodes.mixture import mixture
from enactive.episodes.windows import WindowSpec, split, subset

LENGTHS = [7, 1, 12, 5, 20]
PICTURE = 32 * 48 * 3
SPEC = WindowSpec(action_steps=4, observation_steps=2)
MEMORY = FrameCache.Config(directory=None)
# 30 frames of two cameras: blocks of 15 windows, so the episode of 20 is a block of its own.
STREAMED = FrameCache.Config(directory=None, memory_bytes=30 * 2 * PICTURE)


@pytest.fixture(scope="module")
def dataset(make_dataset: Any) -> Dataset:
    return make_dataset(LENGTHS)


@pytest.fixture(scope="module")
def other(make_dataset: Any) -> Dataset:
    return make_dataset([9, 4], tag=1)


def same(a: Batch, b: Batch) -> bool:
    return (
        a.instructions == b.instructions
        and all((a.images[name] == b.images[name]).all() for name in a.images)
        and all((a.state[name] == b.state[name]).all() for name in a.state)
        and all(
            (getattr(a, name) == getattr(b, name)).all()
            for name in ("action", "mask", "dataset_index", "episode_index", "frame_index")
        )
    )


def take(loader: WindowLoader, count: int) -> list[Batch]:
    stream = iter(loader)
    batches = [next(stream) for _ in range(count)]
    stream.close()  # type: ignore[attr-defined]
    return batches


def places(batches: list[Batch]) -> list[tuple[int, int, int]]:
    columns = [
        np.concatenate([getattr(batch, name) for batch in batches]).tolist()
        for name in ("dataset_index", "episode_index", "frame_index")
    ]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("cache", [MEMORY, STREAMED], ids=["memory", "streamed"])
@pytest.mark.parametrize("part", [None, [4, 1, 2]], ids=["all", "part"])
def test_batches_hold_what_the_dataset_holds(
    dataset: Dataset, cache: FrameCache.Config, part: list[int] | None
) -> None:
    loader = WindowLoader(subset(dataset, part), SPEC, batch_size=6, seed=0, cache=cache)
    videos = {(c, e): dataset.video(c, e) for c in ("front", "wrist") for e in range(len(LENGTHS))}
    for batch in take(loader, 12):
        assert len(batch) == 6
        assert batch.images["front"].shape == (6, 2, 32, 48, 3)
        assert batch.images["front"].dtype == np.uint8
        assert batch.action.dtype == np.float32
        assert batch.mask.dtype == np.bool_
        for row, (_, e, t) in enumerate(places([batch])):
            for camera in ("front", "wrist"):
                expected = videos[camera, e][[max(t - 1, 0), t]]
                assert (batch.images[camera][row] == expected).all()
            assert batch.state["proprio"][row].tolist() == [[e, max(t - 1, 0), 0], [e, t, 0]]
            assert batch.action[row].tolist() == [[e, min(t + h, LENGTHS[e] - 1)] for h in range(4)]
            assert batch.mask[row].tolist() == [t + h < LENGTHS[e] for h in range(4)]
            assert batch.instructions[row] == f"task {e % 2}"
    loader.close()


@pytest.mark.parametrize("cache", [MEMORY, STREAMED], ids=["memory", "streamed"])
def test_an_epoch_serves_every_window_once(dataset: Dataset, cache: FrameCache.Config) -> None:
    loader = WindowLoader(dataset, SPEC, batch_size=9, seed=0, cache=cache)
    assert loader.num_windows == 45
    everything = sorted((0, e, t) for e, length in enumerate(LENGTHS) for t in range(length))
    first, second = places(take(loader, 5)), places(take(loader, 5))
    assert sorted(first) == everything == sorted(second)
    assert first != second
    assert loader.epoch == 2
    loader.close()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("cache", [MEMORY, STREAMED], ids=["memory", "streamed"])
def test_workers_do_not_change_a_bit(
    dataset: Dataset, other: Dataset, cache: FrameCache.Config, workers: int
) -> None:
    mixed = mixture({"a": dataset, "b": other})
    alone = WindowLoader(mixed, SPEC, batch_size=4, seed=1, cache=cache)
    helped = WindowLoader(mixed, SPEC, batch_size=4, seed=1, cache=cache, workers=workers)
    for a, b in zip(take(alone, 20), take(helped, 20), strict=True):
        assert same(a, b)
    alone.close()
    helped.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.integers(0, 25),
    first=st.integers(0, 2),
    then=st.integers(0, 2),
    streamed=st.booleans(),
    mixed=st.booleans(),
    batch_size=st.integers(1, 11),
)
def test_resuming_continues_bit_for_bit_whatever_the_workers(
    dataset: Dataset,
    other: Dataset,
    before: int,
    first: int,
    then: int,
    streamed: bool,
    mixed: bool,
    batch_size: int,
) -> None:
    def loader(workers: int) -> WindowLoader:
        return WindowLoader(
            mixture({"a": dataset, "b": other}, weights={"a": 1, "b": 2}) if mixed else dataset,
            SPEC,
            batch_size=batch_size,
            seed=4,
            workers=workers,
            cache=STREAMED if streamed else MEMORY,
        )

    whole, begun, resumed = loader(0), loader(first), loader(then)
    expected = take(whole, before + 4)
    take(begun, before)
    # Through JSON, as a checkpoint would store it.
    resumed.load_state_dict(json.loads(json.dumps(begun.state_dict())))
    for a, b in zip(expected[before:], take(resumed, 4), strict=True):
        assert same(a, b)
    assert resumed.state_dict() == whole.state_dict()
    for each in (whole, begun, resumed):
        each.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterator_follows_a_loaded_state(dataset: Dataset, workers: int) -> None:
    loader = WindowLoader(dataset, SPEC, batch_size=4, seed=1, cache=MEMORY, workers=workers)
    stream = iter(loader)
    expected = [next(stream) for _ in range(6)]
    state = loader.state_dict()
    following = next(stream)
    loader.load_state_dict({**state, "samples": 8})
    assert same(next(stream), expected[2])
    loader.load_state_dict(state)
    assert same(next(stream), following)
    stream.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("windows")]


def test_another_order_of_samples_is_refused(dataset: Dataset) -> None:
    state = WindowLoader(dataset, SPEC, batch_size=4, seed=1, cache=MEMORY).state_dict()
    for loader, reason in (
        (WindowLoader(dataset, SPEC, batch_size=4, seed=2, cache=MEMORY), "seed"),
        (WindowLoader(dataset, SPEC, batch_size=4, seed=1, cache=STREAMED), "shuffle"),
        (
            WindowLoader(subset(dataset, [0, 1]), SPEC, batch_size=4, seed=1, cache=MEMORY),
            "episodes",
        ),
    ):
        with pytest.raises(ValueError, match=f"{reason} was"):
            loader.load_state_dict(state)
        loader.close()


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_together_read_what_one_process_reads(dataset: Dataset, ranks: int) -> None:
    single = WindowLoader(dataset, SPEC, batch_size=4 * ranks, seed=1, cache=MEMORY)
    parts = [
        WindowLoader(
            dataset,
            SPEC,
            batch_size=4,
            seed=1,
            cache=MEMORY,
            rank=rank,
            world_size=ranks,
            workers=1,
        )
        for rank in range(ranks)
    ]
    streams = [iter(part) for part in parts]
    for whole in take(single, 8):
        pieces = [next(stream) for stream in streams]
        assert places(pieces) == places([whole])
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]
    assert all(part.state_dict() == single.state_dict() for part in parts)
    validated = [place for part in parts for place in places(list(part.once()))]
    assert sorted(validated) == sorted(places(list(single.once())))


def test_a_validation_pass_is_in_order_and_leaves_the_place(dataset: Dataset) -> None:
    training, validation = split(dataset, validation=0.4, seed=0)
    loader = WindowLoader(validation, SPEC, batch_size=8, seed=0, cache=MEMORY)
    take(loader, 1)
    batches = list(loader.once())
    assert places(batches) == [(0, e, t) for e in validation.episodes for t in range(LENGTHS[e])]
    assert loader.state_dict()["samples"] == 8
    assert not set(training.episodes) & {e for _, e, _ in places(batches)}


def test_workers_convert_what_they_gather(dataset: Dataset) -> None:
    loader = WindowLoader(dataset, SPEC, batch_size=4, seed=1, cache=MEMORY, workers=2)
    names: set[str] = set()

    def convert(batch: Batch) -> float:
        names.add(threading.current_thread().name)
        return float(batch.action.sum())

    stream = loader.iterate(convert)
    sums = [next(stream) for _ in range(5)]
    stream.close()  # type: ignore[attr-defined]
    loader.load_state_dict({**loader.state_dict(), "samples": 0})
    assert sums == [float(batch.action.sum()) for batch in take(loader, 5)]
    assert all(name.startswith("windows") for name in names)


def test_an_error_in_a_worker_reaches_the_reader(dataset: Dataset) -> None:
    def fail(batch: Batch) -> Batch:
        raise ZeroDivisionError("converting")

    for workers in (0, 2):
        loader = WindowLoader(dataset, SPEC, batch_size=4, seed=1, cache=MEMORY, workers=workers)
        with pytest.raises(ZeroDivisionError, match="converting"):
            next(loader.iterate(fail))
        assert loader.state_dict()["samples"] == 0


def test_a_dataset_without_cameras_can_be_read(make_dataset: Any, tmp_path: Path) -> None:
    plain = make_dataset([5, 6], cameras=())
    for config in (MEMORY, FrameCache.Config(directory=str(tmp_path / "cache"))):
        loader = WindowLoader(
            plain, WindowSpec(action_steps=3), batch_size=11, seed=0, cache=config
        )
        (batch,) = take(loader, 1)
        assert batch.images == {}
        assert len(set(places([batch]))) == 11


@pytest.mark.parametrize(
    ("field", "value"), [("batch_size", 0), ("workers", -1), ("rank", 2), ("rank", -1)]
)
def test_counts_out_of_range_are_refused(dataset: Dataset, field: str, value: int) -> None:
    arguments = {"batch_size": 4, "seed": 0, "world_size": 2} | {field: value}
    with pytest.raises(ValueError, match=field):
        WindowLoader(dataset, SPEC, cache=MEMORY, **arguments)  # type: ignore[arg-type]


def test_the_code_of_the_documentation_runs(
    make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs" / "data-loading.md"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(make_dataset([20] * 10).path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    scope: dict[str, Any] = {}
    exec("\n".join(blocks), scope)
    assert scope["windows"] == 40
    assert scope["latest"]["front"].shape == (32, 32, 48, 3)
    assert np.bincount(scope["batch"].dataset_index).sum() == 32
    assert scope["resumed"].state_dict() == scope["state"]
