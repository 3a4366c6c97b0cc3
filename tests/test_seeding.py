"""Random streams: the same path is the same stream, two paths never share one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.seeding import child_seed, numpy_generator, sequence, torch_generator

seeds = st.integers(0, 2**63 - 1)
paths = st.lists(st.one_of(st.text(max_size=8), st.integers()), max_size=4).map(tuple)


def draws(seed: int, path: tuple[str | int, ...]) -> list[int]:
    return numpy_generator(seed, *path).integers(0, 2**63, size=4).tolist()


@given(seeds, paths)
def test_a_stream_is_a_function_of_seed_and_path(seed: int, path: tuple[str | int, ...]) -> None:
    assert draws(seed, path) == draws(seed, path)


@given(seeds, paths, paths)
def test_two_paths_never_share_a_stream(
    seed: int, first: tuple[str | int, ...], second: tuple[str | int, ...]
) -> None:
    same = [(type(name), name) for name in first] == [(type(name), name) for name in second]
    assert (draws(seed, first) == draws(seed, second)) is same


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a", "b"), ("ab",)), ((1,), ("1",)), ((), ("",)), (("a", ""), ("a",)), ((1, 2), (12,))],
)
def test_paths_that_would_print_alike_differ(
    first: tuple[str | int, ...], second: tuple[str | int, ...]
) -> None:
    assert draws(0, first) != draws(0, second)


@given(seeds, paths)
def test_integer_seeds_fit_every_api(seed: int, path: tuple[str | int, ...]) -> None:
    assert 0 <= child_seed(seed, *path) < 2**63


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative, got -1"):
        sequence(-1, "loader")


def test_streams_stay_what_they_were() -> None:
    """Recorded runs depend on these numbers: changing them breaks every replay."""
    assert child_seed(0, "policy", 3) == 8452689390100361639
    assert numpy_generator(7, "world").random() == 0.5082197723861017


def test_torch_generators_repeat_and_differ() -> None:
    torch = pytest.importorskip("torch")
    first = torch.rand(3, generator=torch_generator(5, "noise", 1))
    again = torch.rand(3, generator=torch_generator(5, "noise", 1))
    other = torch.rand(3, generator=torch_generator(5, "noise", 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_streams_are_not_correlated() -> None:
    """Neighbouring streams must not repeat one another, even shifted."""
    matrix = np.stack([numpy_generator(0, "episode", i).standard_normal(2000) for i in range(8)])
    correlation = np.corrcoef(matrix)
    assert np.abs(correlation - np.eye(8)).max() < 0.1
