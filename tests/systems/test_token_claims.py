"""What the claims of MINT and GenieReasoner compare is equal where they say so."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from enactive.models.heads.head import HeadSpec
from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.models.tokenizers.tokenizer import Tokenizer
from enactive.models.tokenizers.uniform_bins import UniformBins
from enactive.systems import genie_reasoner, mint
from enactive.systems.experiment import parameters


def waves(count: int, entries: int) -> Tensor:
    generator = Generator().manual_seed(0)
    phase = 6.3 * torch.rand(count, 1, entries, generator=generator)
    return torch.sin(0.4 * torch.arange(16).view(1, 16, 1) + phase)


def test_mints_heads_have_equal_parameters() -> None:
    sizes: dict[str, int] = {}
    for arm, (_, head, tokenizer) in mint.ARMS.items():
        spec = HeadSpec(
            width=mint.WIDTH,
            action_size=4,
            horizon=mint.HORIZON,
            tokenizer=tokenizer.build(action_size=4, horizon=mint.HORIZON),
        )
        sizes[arm] = parameters(head.build(spec).network)
    assert max(sizes.values()) < 1.05 * min(sizes.values()), sizes


def test_information_is_counted_beyond_chance() -> None:
    generator = Generator().manual_seed(0)
    labels = torch.randint(0, 3, (600,), generator=generator)
    told = mint.information(labels * 7 + 1, labels)
    assert told == pytest.approx(math.log2(3), abs=0.03)
    # As many ids as an eager codebook uses: counted plainly, they seem to tell a lot.
    noise = torch.randint(0, 300, (600,), generator=generator)
    assert mint._information(noise, labels) > 0.5
    assert abs(mint.information(noise, labels)) < 0.1


@pytest.mark.parametrize(
    ("setting", "entries"), list(zip(genie_reasoner.SETTINGS, (4, 2), strict=True))
)
def test_bits_are_equal_and_networks_too(setting: genie_reasoner.Setting, entries: int) -> None:
    built: dict[str, Tokenizer] = {
        arm: config.build(action_size=entries, horizon=genie_reasoner.HORIZON)
        for arm, config in setting.tokenizers.items()
    }
    assert set(built) == set(genie_reasoner.ARMS)
    for arm, tokenizer in built.items():
        if arm != "FAST":
            ids = torch.zeros(1, tokenizer.length, dtype=torch.long)
            assert float(tokenizer.bits(ids)) == setting.bits, arm
    sizes = [parameters(built[arm]) for arm in ("FACT", "sign bits, mean", "RVQ")]
    assert max(sizes) < 1.05 * min(sizes)


def test_fast_gets_no_fewer_bits_and_hardly_more() -> None:
    training = waves(150, 2)
    config = DctBpe.Config(vocabulary=512)
    scale = genie_reasoner.fast_scale(config, 96, training)
    tokenizer = genie_reasoner.made(DctBpe.Config(vocabulary=512, scale=scale), 0, training)
    bits = float(tokenizer.bits(tokenizer.encode(training)).mean())
    assert 96 <= bits < 112


def test_shuffled_codes_are_never_a_chunks_own() -> None:
    """Each chunk's ids are unlike the others', so that any of its own kept would show."""
    held = waves(200, 2)
    tokenizer = genie_reasoner.made(UniformBins.Config(bins=256), 0, held)
    found = genie_reasoner.reconstruct(tokenizer, held)
    assert found["mse"] < 1e-4 and found["mse, spread"] < 1e-6
    # Of two independent draws the squared difference is twice the variance.
    assert found["mse, shuffled"] == pytest.approx(2 * float(held.var()), rel=0.15)
