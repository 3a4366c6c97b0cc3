from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.episodes.order import BlockShuffle, FullShuffle, Interleave
from enactive.episodes.windows import (
    WindowSpec,
    WindowTable,
    chunk_steps,
    history_steps,
    split,
    subset,
)

LENGTHS = [7, 1, 12, 5]


@settings(deadline=None)
@given(
    places=st.lists(
        st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))),
        min_size=1,
        max_size=20,
    ),
    count=st.integers(1, 50),
)
def test_chunks_are_the_coming_actions_and_then_the_last_one_masked(
    places: list[tuple[int, int]], count: int
) -> None:
    step, length = (np.asarray(values) for values in zip(*places, strict=True))
    steps, mask = chunk_steps(step, length, count)
    for row, (t, n) in enumerate(places):
        assert steps[row].tolist() == [min(t + h, n - 1) for h in range(count)]
        assert mask[row].tolist() == [t + h < n for h in range(count)]
        assert mask[row, 0]


@settings(deadline=None)
@given(steps=st.lists(st.integers(0, 50), min_size=1, max_size=9), count=st.integers(1, 9))
def test_histories_end_at_the_present_and_repeat_the_first(steps: list[int], count: int) -> None:
    histories = history_steps(np.asarray(steps), count)
    for row, t in enumerate(steps):
        assert histories[row].tolist() == [max(t - back, 0) for back in range(count - 1, -1, -1)]


def test_every_window_is_what_its_place_says(make_dataset: Any) -> None:
    dataset = make_dataset(LENGTHS)
    table = WindowTable(subset(dataset, [2, 0, 3]), WindowSpec(action_steps=4, observation_steps=3))
    assert table.size == 12 + 7 + 5
    places = table.places(np.arange(table.size))
    expected = [(e, t) for e in (2, 0, 3) for t in range(LENGTHS[e])]
    assert [
        (int(table.episodes[r]), int(t)) for r, t in zip(places.row, places.step, strict=True)
    ] == expected
    actions, mask = table.actions(places)
    states = table.states(places)["proprio"]
    texts = table.instructions(places)
    for i, (e, t) in enumerate(expected):
        assert actions[i].tolist() == [[e, min(t + h, LENGTHS[e] - 1)] for h in range(4)]
        assert mask[i].tolist() == [t + h < LENGTHS[e] for h in range(4)]
        assert states[i].tolist() == [[e, max(t - back, 0), 0] for back in (2, 1, 0)]
        assert texts[i] == f"task {e % 2}"


def test_wrong_names_are_refused_with_the_right_ones(make_dataset: Any) -> None:
    everything = subset(make_dataset([3]))
    with pytest.raises(KeyError, match="front"):
        WindowTable(everything, WindowSpec(action_steps=2, cameras=("frnt",)))
    with pytest.raises(KeyError, match="action"):
        WindowTable(everything, WindowSpec(action_steps=2, action_key="actions"))
    with pytest.raises(KeyError, match=r"observation\.state"):
        WindowTable(everything, WindowSpec(action_steps=2, states=("stat",)))
    with pytest.raises(ValueError, match="action_steps"):
        WindowSpec(action_steps=0)


def test_split_holds_out_the_same_fraction_of_every_instruction(make_dataset: Any) -> None:
    dataset = make_dataset([2] * 20, cameras=())
    training, validation = split(dataset, validation=0.2, seed=3)
    assert sorted(training.episodes + validation.episodes) == list(range(20))
    assert len(validation.episodes) == 4
    assert sum(episode % 2 for episode in validation.episodes) == 2
    assert split(dataset, validation=0.2, seed=3) == (training, validation)
    assert any(split(dataset, validation=0.2, seed=s)[1] != validation for s in range(5))
    with pytest.raises(ValueError, match="holds out none"):
        split(dataset, validation=0.01, seed=3)
    with pytest.raises(IndexError):
        subset(dataset, [20])
    with pytest.raises(ValueError, match="twice"):
        subset(dataset, [1, 1])


@settings(deadline=None)
@given(size=st.integers(1, 60), seed=st.integers(0, 9), step=st.integers(1, 17))
def test_a_full_shuffle_visits_every_window_once_an_epoch(size: int, seed: int, step: int) -> None:
    order = FullShuffle(size, seed, "windows", "a")
    stream = order.windows(np.arange(3 * size))
    for epoch in range(3):
        assert sorted(stream[epoch * size : (epoch + 1) * size].tolist()) == list(range(size))
    # Asked for in any pieces and in any order, the stream is the same.
    pieces = [np.arange(3 * size)[i : i + step] for i in range(0, 3 * size, step)]
    fresh = FullShuffle(size, seed, "windows", "a")
    for piece in reversed(pieces):
        assert (fresh.windows(piece) == stream[piece]).all()


def test_epochs_seeds_and_datasets_are_shuffled_differently() -> None:
    ordinals = np.arange(200)
    first = FullShuffle(100, 0, "windows", "a").windows(ordinals)
    assert (first[:100] != first[100:]).any()
    assert (first != FullShuffle(100, 1, "windows", "a").windows(ordinals)).any()
    assert (first != FullShuffle(100, 0, "windows", "b").windows(ordinals)).any()


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    capacity=st.integers(1, 25),
    seed=st.integers(0, 9),
)
def test_a_block_shuffle_visits_all_and_needs_few_episodes_at_a_time(
    lengths: list[int], capacity: int, seed: int
) -> None:
    order = BlockShuffle(lengths, capacity, seed, "windows")
    size = sum(lengths)
    assert order.size == size
    stream = order.windows(np.arange(2 * size))
    episode_of = np.repeat(np.arange(len(lengths)), lengths)
    for epoch in range(2):
        windows = stream[epoch * size : (epoch + 1) * size]
        assert sorted(windows.tolist()) == list(range(size))
        # Blocks: maximal runs after which every episode seen so far is complete.
        seen = episode_of[windows]
        start, left = 0, 0
        open_episodes: dict[int, int] = {}
        for place, episode in enumerate(seen.tolist()):
            if episode not in open_episodes:
                open_episodes[episode] = lengths[episode]
                left += lengths[episode]
            open_episodes[episode] -= 1
            left -= 1
            if left == 0:
                block = set(seen[start : place + 1].tolist())
                total = sum(lengths[e] for e in block)
                assert total <= capacity or len(block) == 1
                start = place + 1
        assert start == size
    # What is announced is what comes after the present block.
    number, episodes = order.upcoming(0)
    following = [o for o in range(2 * size) if order.upcoming(o)[0] > number][:1]
    if following:
        assert set(episode_of[stream[following[0] :][: sum(lengths[e] for e in episodes)]]) == set(
            episodes.tolist()
        )


@settings(deadline=None)
@given(
    weights=st.lists(st.floats(0.01, 5), min_size=1, max_size=5),
    start=st.integers(0, 20_000),
    seed=st.integers(0, 5),
)
def test_an_interleaving_counts_every_part_from_anywhere(
    weights: list[float], start: int, seed: int
) -> None:
    interleave = Interleave(weights, seed)
    parts, ordinals = interleave.parts(np.arange(start, start + 6000))
    for part in range(len(weights)):
        mine = ordinals[parts == part]
        # Consecutive: no sample of a dataset is skipped or served twice.
        assert (np.diff(mine) == 1).all()
    again_parts, again = Interleave(weights, seed).parts(np.arange(start + 777, start + 1777))
    assert (again_parts == parts[777:1777]).all()
    assert (again == ordinals[777:1777]).all()


def test_an_interleaving_keeps_its_proportions_over_any_length() -> None:
    weights = np.asarray([5.0, 3.0, 0.001, 1.2])
    interleave = Interleave(weights.tolist(), 0)
    shares = weights / weights.sum()
    for rounds in (1, 10, 1000, 1_000_003):
        first = rounds * interleave.ROUND
        parts, ordinals = interleave.parts(np.arange(first, first + interleave.ROUND))
        for part in range(4):
            if (parts == part).any():
                counted = int(ordinals[parts == part][0])
                assert abs(counted - first * shares[part]) <= 4
