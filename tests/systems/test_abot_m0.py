"""Chunks in a larger space, and distances to an expert's chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from enactive.models.backbones.backbone import Features
from enactive.models.heads.clean_action import CleanAction
from enactive.models.heads.head import HeadSpec
from enactive.registry import Registry
from enactive.systems.abot_m0 import Expanded
from enactive.systems.references import References, energy, nearest

SPEC = HeadSpec(width=32, action_size=2, horizon=4)


def head(size: int, **fields) -> Expanded:
    torch.manual_seed(0)
    return Expanded.Config(inner=CleanAction.Config(**fields), size=size).build(SPEC)


def features(batch: int) -> Features:
    generator = Generator().manual_seed(0)
    return Features(
        tokens=torch.randn(batch, 3, 32, generator=generator),
        pooled=torch.randn(batch, 32, generator=generator),
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**31))
def test_the_larger_space_holds_the_same_chunks(size: int, seed: int) -> None:
    basis = head(size).basis  # (D, A)
    one, other = torch.randn(2, 5, 4, 2, generator=Generator().manual_seed(seed))
    torch.testing.assert_close(one @ basis.T @ basis, one, rtol=1e-4, atol=1e-5)
    before, after = (one - other).norm(), ((one - other) @ basis.T).norm()
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)


def test_it_has_the_contract_of_the_inner_head() -> None:
    made = head(16, steps=3)
    rows: list[int] = []
    made.network.register_forward_hook(lambda _, given, output: rows.append(given[0].shape[-1]))
    drawn = made.sample(features(2), Generator().manual_seed(0), samples=2)
    assert drawn.chunk.shape == (2, 2, 4, 2) and drawn.cost.head_passes == 6
    assert rows == [16, 16, 16]
    pointers = [tensor.data_ptr() for tensor in made.state_dict().values()]
    assert len(set(pointers)) == len(pointers)  # the network is not stored twice
    name = Registry("heads").name_of(Expanded.Config())
    assert Registry("heads").load(name) is Expanded.Config


def test_what_lies_outside_of_the_actions_is_noise_to_be_removed() -> None:
    """A velocity head must learn the whole of the larger space, a clean one only the actions."""
    point = torch.ones(64, 4, 2)
    mask = torch.ones(64, 4, dtype=torch.bool)
    for target, least, most in (("clean", 0.0, 0.2), ("velocity", 0.9, 1.4)):
        made = head(32, target=target, weighting="uniform" if target == "clean" else "velocity")
        loss = made.loss(features(64), point, mask, Generator().manual_seed(0)).total.item()
        assert least < loss < most  # of an untrained network, whose output is 0


def test_refusals() -> None:
    with pytest.raises(ValueError, match="head.size must be at least 2"):
        head(1)
    with pytest.raises(ValueError, match="single entries means nothing"):
        head(8).loss(features(1), torch.zeros(1, 4, 2), torch.ones(1, 4, 2).bool(), Generator())


def draws(seed: int, states: int, count: int, shift: float = 0.0) -> np.ndarray:
    """Two ways, +1 and -1 in every entry, with a little noise."""
    rng = np.random.default_rng(seed)
    ways = np.where(rng.uniform(size=(states, count, 1, 1)) < 0.5, -1.0, 1.0)
    return (ways + 0.05 * rng.normal(size=(states, count, 4, 2)) + shift).astype(np.float32)


def test_energy_is_zero_for_the_same_distribution_only() -> None:
    one = np.ones(2)
    expert = draws(0, 60, 16)
    assert abs(energy(draws(1, 60, 16), expert, one)) < 0.06
    assert energy(draws(1, 60, 16, shift=0.5), expert, one) > 0.2
    middle = np.zeros((60, 16, 4, 2), np.float32)
    always = np.ones((60, 16, 4, 2), np.float32)  # one way, without spread
    assert energy(middle, expert, one) > 0.5
    assert energy(always, expert, one) > 0.5
    assert energy(expert * 10, expert * 10, one * 10) < 1e-6


def test_nearest_asks_for_one_of_the_ways_and_not_for_spread() -> None:
    expert, one = draws(0, 60, 16), np.ones(2)
    always = np.ones((60, 3, 4, 2), np.float32)
    middle = np.zeros((60, 3, 4, 2), np.float32)
    assert nearest(always, expert, one) < 0.1 < 0.9 < nearest(middle, expert, one)
    assert nearest(expert[:, 2:5], expert, one) == 0.0


def test_the_share_of_states_with_several_modes() -> None:
    two = draws(0, 4, 24)
    single = np.random.default_rng(0).normal(size=(4, 24, 4, 2)).astype(np.float32)
    chunks = np.concatenate([two, single])
    found = References(seeds=tuple(range(8)), chunks=chunks).several_modes(np.ones(2))
    assert found == 0.5
