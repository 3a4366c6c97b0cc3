"""Tokenizers at other rates: deltas add up, and reading them as absolute is no small mistake."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from enactive.actions.compare import compare
from enactive.actions.resample import resample, resampled
from enactive.actions.spaces import Group, VectorSpace
from enactive.models.normalization import Normalizer
from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.models.tokenizers.report import report
from enactive.models.tokenizers.resampling import decode_at, resample_chunks
from enactive.models.tokenizers.tokenizer import Tokenizer, TokenizerConfig
from enactive.models.tokenizers.uniform_bins import UniformBins

RATE, H = 20.0, 16
MOVES = slice(0, 3)
CONFIGS = [UniformBins.Config(), DctBpe.Config(scale=20.0, vocabulary=2048)]
SPACE = VectorSpace(
    groups=(
        Group(name="arm", quantity="position", representation="xyz", reference="delta",
              frame="base", unit="m", low=-1.0, high=1.0),
        Group(name="gripper", quantity="gripper", representation="scalar", reference="absolute",
              frame="none", unit="effort", low=-1.0, high=1.0, positive="closes"),
    ),
    rate_hz=RATE,
)  # fmt: skip


def chunks(count: int, seed: int = 0) -> Tensor:
    """Moves that mostly go forward, in metres per step, and a gripper that may close half way."""
    generator = np.random.default_rng(seed)
    time = np.arange(H) / H
    phase, size = generator.uniform(0, 2 * np.pi, (2, count, 1, 3))
    moves = 0.01 + 0.004 * np.sin(2 * np.pi * time[:, None] + phase) + 0.0004 * size
    closes = np.where(time >= generator.uniform(0, 1.5, (count, 1)), 1.0, -1.0)[..., None]
    return torch.from_numpy(np.concatenate([moves, closes], axis=2).astype(np.float32))


def normalizer_of(values: Tensor) -> Normalizer:
    flat = values.flatten(0, 1)
    statistics = {"action": {"mean": flat.mean(0).tolist(), "std": flat.std(0).tolist()}}
    return Normalizer.Config().build({"action": values.shape[-1]}, statistics)


def fitted(config: TokenizerConfig, values: Tensor) -> tuple[Tokenizer, Normalizer]:
    normalizer = normalizer_of(values)
    tokenizer = config.build(action_size=values.shape[2], horizon=values.shape[1])
    tokenizer.fit(normalizer.normalize("action", values), Generator().manual_seed(0))
    return tokenizer, normalizer


def scale_of(normalizer: Normalizer) -> Tensor:
    one = normalizer.denormalize("action", torch.ones(4))
    return one - normalizer.denormalize("action", torch.zeros(4))


def misread(space: VectorSpace) -> VectorSpace:
    """The same numbers with the deltas taken for absolute targets."""
    arm = replace(space.group("arm"), reference="absolute")
    return VectorSpace(groups=(arm, space.group("gripper")), rate_hz=space.rate_hz)


def test_a_batch_is_resampled_chunk_by_chunk() -> None:
    held = chunks(5)
    out = resample_chunks(held, SPACE, 10.0)
    assert out.shape == (5, 8, 4) and out.dtype == torch.float32
    for one, chunk in zip(out, held, strict=True):
        np.testing.assert_array_equal(one.numpy(), resample(chunk.numpy(), SPACE, 10.0))
    torch.testing.assert_close(out[..., MOVES], held[..., MOVES].unflatten(1, (8, 2)).sum(2))
    torch.testing.assert_close(out[..., 3], held[:, 1::2, 3])
    with pytest.raises(ValueError, match="no chunks"):
        resample_chunks(held[:0], SPACE, 10.0)


@pytest.mark.parametrize("config", CONFIGS, ids=["uniform_bins", "dct_bpe"])
@pytest.mark.parametrize("rate", [10.0, 5.0, 40.0])
def test_resampling_and_tokenising_agree_in_either_order(
    config: TokenizerConfig, rate: float
) -> None:
    """Within what the two tokenizers' own errors can add up to."""
    train, held = chunks(400), chunks(50, seed=1)
    here, normalizer = fitted(config, train)
    there, other = fitted(config, resample_chunks(train, SPACE, rate))

    ids = here.encode(normalizer.normalize("action", held))
    first = decode_at(here, ids, normalizer, SPACE, rate)
    assert first.valid.all()
    moved = resample_chunks(held, SPACE, rate)
    second = other.denormalize(
        "action", there.decode(there.encode(other.normalize("action", moved))).chunk
    )

    errors = (
        report(here, normalizer.normalize("action", held)).worst * scale_of(normalizer),
        report(there, other.normalize("action", moved)).worst * scale_of(other),
    )
    added = torch.tensor([RATE / rate] * 3 + [1.0])  # so many deltas, each with its error, in one
    bound = added * errors[0] + errors[1] + 1e-6
    assert ((first.chunk - second).abs() <= bound).all()
    # The bound is worth something: far below the moves.
    assert (bound[MOVES] < 0.3 * moved[..., MOVES].abs().mean((0, 1))).all()


@pytest.mark.parametrize("config", CONFIGS, ids=["uniform_bins", "dct_bpe"])
@pytest.mark.parametrize("rate", [10.0, 5.0, 40.0])
def test_reading_deltas_as_absolute_loses_the_motion_that_it_should(
    config: TokenizerConfig, rate: float
) -> None:
    """At 1/n of the rate, (n - 1)/n of the way is missing; no tokenizer errs like that."""
    held = chunks(50, seed=1)
    tokenizer, normalizer = fitted(config, chunks(400))
    ids = tokenizer.encode(normalizer.normalize("action", held))
    way = held[..., MOVES].sum(1)  # (N, 3)

    def missing(space: VectorSpace) -> Tensor:
        moved = decode_at(tokenizer, ids, normalizer, space, rate).chunk
        return (way - moved[..., MOVES].sum(1)).sum(0) / way.sum(0)  # (3,)

    lost = 1 - rate / RATE
    torch.testing.assert_close(missing(misread(SPACE)), torch.full((3,), lost), atol=0.05, rtol=0)
    assert (missing(SPACE).abs() < 0.02).all()
    found = compare(misread(SPACE), SPACE)
    assert any("absolute" in str(one) and "delta" in str(one) for one in found)


def test_normalised_deltas_do_not_add_up() -> None:
    held = chunks(20)
    normalizer = normalizer_of(held)
    wrong = normalizer.denormalize(
        "action", resample_chunks(normalizer.normalize("action", held), SPACE, 10.0)
    )
    right = resample_chunks(held, SPACE, 10.0)
    mean = normalizer.denormalize("action", torch.zeros(4))[MOVES]
    shortfall = right[..., MOVES] - wrong[..., MOVES]
    torch.testing.assert_close(shortfall, mean.expand_as(shortfall), atol=1e-5, rtol=1e-3)


def test_the_horizon_follows_the_rate() -> None:
    tokenizer, normalizer = fitted(CONFIGS[0], chunks(50))
    ids = tokenizer.encode(normalizer.normalize("action", chunks(2)))
    for rate in (3.0, 10.0, 33.3):
        out = decode_at(tokenizer, ids, normalizer, SPACE, rate).chunk
        assert out.shape == (2, math.ceil(H * rate / RATE), 4)
        slow = resampled(SPACE, rate)
        assert all(slow.contains(slow.clip(row)) for row in out[0].numpy())
