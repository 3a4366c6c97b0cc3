from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enactive.episodes.cache import FrameCache
from enactive.episodes.loader import WindowLoader
from enactive.episodes.mixture import (
    IncompatibleDatasets,
    check_compatible,
    entry_names,
    mixture,
)
from enactive.episodes.windows import WindowSpec, subset

SPEC = WindowSpec(action_steps=2, cameras=())
MEMORY = FrameCache.Config(directory=None)


def counts(loader: WindowLoader, batches: int) -> Any:
    stream = iter(loader)
    drawn = [next(stream).dataset_index for _ in range(batches)]
    return np.bincount(np.concatenate(drawn), minlength=2)


def test_samples_come_in_the_given_proportions(make_dataset: Any) -> None:
    parts = {"a": make_dataset([8], cameras=()), "b": make_dataset([30, 2], cameras=(), tag=1)}
    for weights, expected in (
        ({"a": 3, "b": 1}, 0.75),
        (None, 0.2),  # by frames: 8 of 40
    ):
        mixed = mixture(parts, weights=weights)
        loader = WindowLoader(mixed, SPEC, batch_size=64, seed=0, cache=MEMORY)
        drawn = counts(loader, 64)  # one round: exact
        assert drawn[0] == round(expected * 4096)


def test_a_datasets_windows_come_evenly_and_from_it(make_dataset: Any) -> None:
    parts = {"a": make_dataset([8], cameras=()), "b": make_dataset([30, 2], cameras=(), tag=1)}
    loader = WindowLoader(
        mixture(parts, weights={"a": 1, "b": 1}), SPEC, batch_size=50, seed=0, cache=MEMORY
    )
    stream = iter(loader)
    seen: dict[tuple[int, int, int], int] = {}
    for _ in range(20):
        batch = next(stream)
        # The state vector carries the tag of the dataset it is from.
        assert (batch.state["proprio"][:, 0, 2] == batch.dataset_index).all()
        assert (batch.state["proprio"][:, 0, 0] == batch.episode_index).all()
        assert (batch.state["proprio"][:, 0, 1] == batch.frame_index).all()
        columns = (batch.dataset_index, batch.episode_index, batch.frame_index)
        for place in zip(*(column.tolist() for column in columns), strict=True):
            seen[place] = seen.get(place, 0) + 1
    for part in (0, 1):
        repeats = [count for place, count in seen.items() if place[0] == part]
        assert max(repeats) - min(repeats) <= 1


def test_adding_a_dataset_does_not_reshuffle_the_others(make_dataset: Any) -> None:
    a, b = make_dataset([9], cameras=()), make_dataset([9], cameras=(), tag=1)

    def steps_of_a(mixed: Any) -> list[int]:
        loader = WindowLoader(mixed, SPEC, batch_size=36, seed=0, cache=MEMORY)
        batch = next(iter(loader))
        return batch.frame_index[batch.dataset_index == 0].tolist()

    alone, together = steps_of_a(mixture({"a": a})), steps_of_a(mixture({"a": a, "b": b}))
    assert 9 < len(together) < 36
    assert alone[: len(together)] == together


def test_temperature_evens_out_the_weights(make_dataset: Any) -> None:
    parts = {"a": make_dataset([4], cameras=()), "b": make_dataset([16], cameras=())}
    assert mixture(parts).weights == pytest.approx({"a": 0.2, "b": 0.8})
    assert mixture(parts, temperature=2).weights == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    assert mixture(parts, temperature=np.inf).weights == pytest.approx({"a": 0.5, "b": 0.5})
    half = {"a": parts["a"], "b": subset(parts["b"], [0])}
    assert mixture(half).statistics["b"]["action"]["max"].tolist() == [0, 15]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": {"a": 1, "c": 1}}, "c"),
        ({"weights": {"a": 1}}, "'b' has none"),
        ({"weights": {"a": 1, "b": 0}}, "leave it out"),
        ({"temperature": 0}, "temperature"),
    ],
)
def test_wrong_weights_are_refused(make_dataset: Any, arguments: Any, message: str) -> None:
    parts = {"a": make_dataset([4], cameras=()), "b": make_dataset([4], cameras=())}
    with pytest.raises((KeyError, ValueError), match=message):
        mixture(parts, **arguments)


def test_what_differs_is_all_named(make_dataset: Any) -> None:
    one = make_dataset([3], cameras=("front", "wrist"))
    two = make_dataset([3], cameras=("front",), size=(16, 48), fps=10, action_names=("x",))
    mixed = mixture({"one": one, "two": two})
    with pytest.raises(IncompatibleDatasets) as caught:
        check_compatible(mixed, WindowSpec(action_steps=4))
    message = str(caught.value)
    assert "'action' has shape (1,) in 'two' and (2,) in 'one'" in message
    assert "'two' has no camera 'wrist'" in message
    assert "camera 'front' has pictures (16, 48, 3) in 'two' and (32, 48, 3) in 'one'" in message
    assert "'two' runs at 10 Hz, 'one' at 20 Hz" in message
    with pytest.raises(IncompatibleDatasets, match="cannot be mixed"):
        WindowLoader(mixed, WindowSpec(action_steps=4), batch_size=2, seed=0, cache=MEMORY)


def test_entries_of_other_meaning_are_refused(make_dataset: Any) -> None:
    one = make_dataset([3], cameras=())
    two = make_dataset([3], cameras=(), action_names=("y", "x"))
    with pytest.raises(IncompatibleDatasets, match="means y, x in 'two' and x, y in 'one'"):
        check_compatible(mixture({"one": one, "two": two}), SPEC)
    check_compatible(mixture({"one": one, "again": one}), SPEC)


def test_rates_may_differ_if_said(make_dataset: Any) -> None:
    one, two = make_dataset([3], cameras=()), make_dataset([3], cameras=(), fps=10)
    with pytest.raises(IncompatibleDatasets, match="Hz"):
        check_compatible(mixture({"one": one, "two": two}), SPEC)
    check_compatible(mixture({"one": one, "two": two}, mixed_rates=True), SPEC)


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["x", "y"], ("x", "y")), ({"motors": ["x", "y"]}, ("x", "y")), (None, ()), ([], ())],
)
def test_entry_names_are_read_in_every_form(names: Any, expected: tuple[str, ...]) -> None:
    assert entry_names({"names": names}) == expected
