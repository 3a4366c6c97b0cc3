"""The normaliser: its laws, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from enactive.models.normalization import MissingStatistics, Mode, Normalizer

MODES: tuple[Mode, ...] = ("mean_std", "min_max", "quantiles")
data = arrays.arrays(
    np.float64, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=st.floats(-100, 100)
)


def statistics_of(values: np.ndarray) -> dict[str, Any]:
    return {
        "mean": values.mean(0),
        "std": values.std(0),
        "min": values.min(0),
        "max": values.max(0),
        "q01": np.quantile(values, 0.01, axis=0),
        "q99": np.quantile(values, 0.99, axis=0),
    }


def build(mode: Mode, values: np.ndarray) -> Normalizer:
    config = Normalizer.Config(action=mode)
    return config.build({"action": values.shape[1]}, {"action": statistics_of(values)})


@given(data, st.sampled_from(MODES))
def test_denormalize_inverts_normalize(values: np.ndarray, mode: Mode) -> None:
    normalizer = build(mode, values)
    x = torch.from_numpy(values).float()
    back = normalizer.denormalize("action", normalizer.normalize("action", x))
    # Entries whose bulk is narrow and whose outliers are far lose absolute, not relative, bits.
    torch.testing.assert_close(back, x, rtol=1e-5, atol=1e-4)


@given(data)
def test_mean_std_gives_mean_0_and_variance_1(values: np.ndarray) -> None:
    assume((values.std(0) > 0.5).all())
    y = build("mean_std", values).normalize("action", torch.from_numpy(values))
    torch.testing.assert_close(y.mean(0), torch.zeros(values.shape[1]).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        y.std(0, correction=0), torch.ones(values.shape[1]).double(), atol=1e-4, rtol=0
    )


@given(data)
def test_min_max_spans_minus_one_to_one(values: np.ndarray) -> None:
    assume((np.ptp(values, axis=0) > 0.5).all())
    y = build("min_max", values).normalize("action", torch.from_numpy(values))
    ones = torch.ones(values.shape[1]).double()
    torch.testing.assert_close(y.max(0).values, ones, atol=1e-4, rtol=0)
    torch.testing.assert_close(y.min(0).values, -ones, atol=1e-4, rtol=0)


@given(st.floats(-1e3, 1e3), st.sampled_from(MODES))
def test_a_constant_entry_is_centred_and_not_scaled(value: float, mode: Mode) -> None:
    values = np.full((10, 1), value)
    normalizer = build(mode, values)
    y = normalizer.normalize("action", torch.full((1, 1), value) + 0.25)
    torch.testing.assert_close(y, torch.full((1, 1), 0.25), atol=1e-3, rtol=0)


def test_small_deltas_are_not_taken_for_constants() -> None:
    values = np.random.default_rng(0).normal(0, 1e-5, (1000, 2))
    y = build("mean_std", values).normalize("action", torch.from_numpy(values))
    assert y.std() == pytest.approx(1.0, abs=0.01)


def test_identity_must_be_asked_for_and_needs_no_statistics() -> None:
    normalizer = Normalizer.Config(overrides={"force": "identity"}).build(
        {"force": 2, "action": 1}, {"action": statistics_of(np.array([[0.0], [1.0]]))}
    )
    x = torch.tensor([[3.0, -4.0]])
    assert torch.equal(normalizer.normalize("force", x), x)


@pytest.mark.parametrize(
    ("mode", "statistics", "message"),
    [
        ("mean_std", {}, r"'action' has no statistics.*overrides=\{'action': 'identity'\}"),
        ("mean_std", {"actoin": {}}, r"did you mean 'actoin'"),
        ("quantiles", {"action": {"mean": [0.0], "std": [1.0]}}, r"lack q01, q99.*mean, std"),
    ],
)
def test_missing_statistics_are_refused(
    mode: Mode, statistics: dict[str, Any], message: str
) -> None:
    with pytest.raises(MissingStatistics, match=message):
        Normalizer.Config(action=mode).build({"action": 1}, statistics)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mean": [0.0, 1.0], "std": [1.0, 1.0]}, "'mean' of 'action' has 2 entries"),
        ({"mean": [float("nan")], "std": [1.0]}, "not finite"),
        ({"mean": [0.0], "std": [-1.0]}, "wrong"),
    ],
)
def test_wrong_statistics_are_refused(statistics: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Normalizer.Config().build({"action": 1}, {"action": statistics})


def test_an_override_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'action'"):
        Normalizer.Config(overrides={"acton": "identity"}).build({"action": 1}, {})


def test_its_buffers_are_in_the_state_dict() -> None:
    values = np.random.default_rng(0).normal(3, 2, (50, 2))
    normalizer, other = build("mean_std", values), build("mean_std", values * 7)
    other.load_state_dict(normalizer.state_dict())
    x = torch.ones(1, 2)
    assert torch.equal(other.normalize("action", x), normalizer.normalize("action", x))
    assert len(normalizer.state_dict()) == 2
