"""Residual quantisation, MINT's spectral scales and FACT's sign bits: laws, and known traps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from enactive.models.tokenizers.codebook import (
    nearest,
    nearest_by_angle,
    perplexity,
    reseed,
    usage,
)
from enactive.models.tokenizers.dct import dct, dct_matrix
from enactive.models.tokenizers.fact import FACT, binary_entropy, entropy_term, signs
from enactive.models.tokenizers.fitting import fit_minibatches
from enactive.models.tokenizers.rvq import RVQ
from enactive.models.tokenizers.spectral import Spectral, banded, doubling, resize

A, H = 3, 8


@pytest.fixture(autouse=True, scope="module")
def global_generator() -> Iterator[None]:
    """Building draws initial weights from it."""
    before = torch.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.set_rng_state(before)


def chunks(count: int, seed: int = 0, horizon: int = H) -> Tensor:
    """Slow waves of several sizes and phases; the last entry is a gripper at -1 or 1."""
    generator = Generator().manual_seed(seed)
    phase = 6.3 * torch.rand(count, 1, A, generator=generator)
    size = 0.5 + torch.rand(count, 1, A, generator=generator)
    chunk = size * torch.sin(0.6 * torch.arange(horizon).view(1, horizon, 1) + phase)
    chunk[..., -1] = torch.where(chunk[..., -1] > 0, 1.0, -1.0)
    return chunk


def mse(one: Tensor, other: Tensor) -> float:
    return float(F.mse_loss(one, other))


# ------------------------------------------------------------------------------------ codebooks


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(2, 20), st.integers(1, 5), st.integers(0, 10**6))
def test_the_nearest_code_is_the_nearest(rows: int, codes: int, width: int, seed: int) -> None:
    generator = Generator().manual_seed(seed)
    vectors = torch.randn(rows, width, generator=generator)
    book = torch.randn(codes, width, generator=generator)
    chosen = (vectors - book[nearest(vectors, book)]).norm(dim=-1)
    torch.testing.assert_close(chosen, torch.cdist(vectors, book).amin(-1), rtol=1e-4, atol=1e-3)
    # By angle, lengths do not matter.
    longer = book * torch.rand(codes, 1, generator=generator).add(0.1)
    assert torch.equal(nearest_by_angle(vectors, book), nearest_by_angle(5 * vectors, longer))


def test_dead_codes_come_back_on_vectors_of_the_batch() -> None:
    codes, vectors = torch.zeros(6, 2), torch.randn(50, 2)
    dead = torch.tensor([True, False, True, True, False, True])
    seeded = reseed(codes, dead, vectors, Generator().manual_seed(0))
    assert torch.equal(seeded[~dead], codes[~dead]) and not codes.any()
    found = (seeded[dead][:, None] == vectors).all(-1)
    assert found.any(1).all(), "a code that is no vector of the batch"
    assert len(found.float().argmax(1).unique()) == 4, "two codes on one vector"
    # More dead codes than vectors: some share.
    assert reseed(codes, torch.ones(6, dtype=torch.bool), vectors[:2], Generator()).any(1).all()


def test_perplexity_counts_the_codes_in_use() -> None:
    counts = torch.tensor([[5, 5, 5, 5], [9, 0, 0, 0], [3, 3, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(perplexity(counts), torch.tensor([4.0, 1.0, 2.0, 0.0]))
    assert usage(torch.tensor([[0, 2], [0, 1]]), 3).tolist() == [[2, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("setting", [{"steps": 0}, {"batch": 0}])
def test_a_fit_without_steps_is_refused(setting: dict[str, int]) -> None:
    options: Any = {"steps": 1, "batch": 1, "rate": 1e-3, "generator": Generator(), **setting}
    with pytest.raises(ValueError, match="fit_steps and fit_batch"):
        fit_minibatches([], lambda batch: batch.sum(), chunks(2), **options)


def test_a_fit_tells_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    tokenizer = RVQ.Config(width=8, fit_steps=3).build(action_size=A, horizon=H)
    tokenizer.fit(chunks(20), Generator().manual_seed(0), lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]


# ------------------------------------------------------------------------------------------ RVQ


def rvq(**options: Any) -> RVQ:
    config: dict[str, Any] = {
        "width": 64, "vocabulary": 32, "fit_steps": 120, "fit_batch": 128, **options,
    }  # fmt: skip
    torch.manual_seed(0)
    tokenizer = RVQ.Config(**config).build(action_size=A, horizon=H)
    tokenizer.fit(chunks(512), Generator().manual_seed(1))
    return tokenizer


@pytest.fixture(scope="module")
def residual() -> RVQ:
    return rvq()


def test_what_is_left_over_shrinks_with_every_stage(residual: RVQ) -> None:
    latent = residual.latent(chunks(300, seed=2))
    sums = residual.quantise(latent).sums
    left = torch.cat([latent.norm(dim=-1).mean()[None], (latent - sums).norm(dim=-1).mean((1, 2))])
    assert (left.diff() < 0).all(), left


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(2, 12), st.integers(0, 10**6), st.floats(0.01, 100))
def test_codes_that_are_means_never_leave_more_over(
    stages: int, vocabulary: int, seed: int, spread: float
) -> None:
    """Stage by stage on the very vectors that the codes follow, whatever these are."""
    config = RVQ.Config(
        latents=1, stages=stages, vocabulary=vocabulary, code_width=3, decay=0.0, dead_below=0.0
    )
    tokenizer = config.build(action_size=A, horizon=H)
    generator = Generator().manual_seed(seed)
    latent = spread * torch.randn(40, 1, 3, generator=generator)
    counts, totals = torch.zeros(stages, vocabulary), torch.zeros(stages, vocabulary, 3)
    tokenizer.follow(latent, counts, totals, generator)
    left = latent.flatten(0, 1)
    for codes in tokenizer.codebooks:
        smaller = left - codes[nearest(left, codes)]
        assert smaller.square().sum() <= left.square().sum() * (1 + 1e-5)
        left = smaller


def test_a_collapsed_codebook_revives() -> None:
    """All codes in one far corner: one takes every vector, and without re-seeding it stays so."""
    generator = Generator().manual_seed(0)
    used: dict[float, int] = {}
    for dead_below in (0.0, 0.05):
        config = RVQ.Config(vocabulary=64, stages=2, dead_below=dead_below)
        tokenizer = config.build(action_size=A, horizon=H)
        tokenizer.codebooks.fill_(50.0)
        tokenizer.codebooks[:, 0] = 0.0
        counts = torch.full((2, 64), 4.0)  # as if all had been in use before
        totals = counts.unsqueeze(-1) * tokenizer.codebooks
        for _ in range(150):
            latent = torch.randn(128, 2, config.code_width, generator=generator)
            tokenizer.follow(latent, counts, totals, generator)
        latent = torch.randn(500, 2, config.code_width, generator=generator)
        used[dead_below] = int(tokenizer.quantise(latent).ids[:, 0].unique().numel())
    assert used[0.0] == 1
    assert used[0.05] > 50


def test_usage_is_counted_per_stage(residual: RVQ) -> None:
    held = chunks(200, seed=3)
    counts, inuse = residual.usage(held)
    stages, latents = residual.config.stages, residual.config.latents
    assert counts.shape == (stages, residual.vocabulary)
    assert (counts.sum(1) == 200 * latents).all()
    ids = residual.encode(held).view(200, stages, latents)
    assert counts[1, 5] == (ids[:, 1] == 5).sum()
    assert (inuse > 8).all() and (inuse <= residual.vocabulary).all()


def test_gradients_pass_straight_through_the_codes(residual: RVQ) -> None:
    latent = residual.latent(chunks(4)).requires_grad_()
    last = residual.quantise(latent.detach()).sums[-1]
    through = latent + (last - latent).detach()
    assert torch.allclose(through, last, atol=1e-6)
    through.square().sum().backward()
    assert latent.grad is not None
    torch.testing.assert_close(latent.grad, 2 * last, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------- spectral


def spectral(**options: Any) -> Spectral:
    config: dict[str, Any] = {
        "channels": 24, "code_width": 16, "vocabulary": 128, "fit_steps": 150, "fit_batch": 64,
        **options,
    }  # fmt: skip
    torch.manual_seed(0)
    tokenizer = Spectral.Config(**config).build(action_size=A, horizon=H)
    tokenizer.fit(chunks(512), Generator().manual_seed(1))
    return tokenizer


@pytest.fixture(scope="module")
def scales() -> Spectral:
    return spectral()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_the_dct_keeps_lengths(horizon: int, seed: int) -> None:
    chunk = torch.randn(2, horizon, A, generator=Generator().manual_seed(seed))
    matrix = dct_matrix(horizon)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(horizon), rtol=0, atol=1e-5)
    torch.testing.assert_close(dct(chunk).square().sum(), chunk.square().sum(), rtol=1e-4, atol=0)


def value_and_gradient(loss: Any, predicted: Tensor) -> tuple[Tensor, Tensor]:
    leaf = predicted.clone().requires_grad_()
    value = loss(leaf)
    value.backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


def cosine(one: Tensor, other: Tensor) -> float:
    return float(F.cosine_similarity(one.flatten(), other.flatten(), dim=0))


def test_parsevals_trap_and_that_ours_is_not_in_it() -> None:
    """A mean squared error over an orthonormal DCT is the mean squared error over time."""
    target = chunks(16, horizon=16)
    predicted = target + 0.3 * torch.randn(16, 16, A, generator=Generator().manual_seed(0))
    time, time_gradient = value_and_gradient(lambda p: F.mse_loss(p, target), predicted)
    trap, trap_gradient = value_and_gradient(lambda p: F.mse_loss(dct(p), dct(target)), predicted)
    torch.testing.assert_close(trap, time)
    torch.testing.assert_close(trap_gradient, time_gradient, rtol=1e-4, atol=1e-7)
    # So are bands that all weigh the same.
    flat, flat_gradient = value_and_gradient(
        lambda p: banded(dct(p - target), 0.25, 1.0), predicted
    )
    torch.testing.assert_close(flat, time)
    assert cosine(flat_gradient, time_gradient) > 0.9999

    _, time_l1_gradient = value_and_gradient(lambda p: F.l1_loss(p, target), predicted)
    for norm in ("l1", "weighted"):
        config = Spectral.Config(spectral_norm=norm)
        tokenizer = config.build(action_size=A, horizon=16)
        ours, gradient = value_and_gradient(
            lambda p, tokenizer=tokenizer: tokenizer.distance(p, target, scale=0), predicted
        )
        assert cosine(gradient, time_gradient) < 0.9, norm
        assert cosine(gradient, time_l1_gradient) < 0.9, norm
        assert abs(float(ours - time)) > 0.01, norm
    assert Spectral.Config().spectral_norm == "l1" and Spectral.Config().domain == "spectral"


def test_the_time_domain_is_the_control() -> None:
    target, predicted = chunks(4), chunks(4, seed=1)
    for norm, expected in (("l1", F.l1_loss), ("weighted", F.mse_loss)):
        config = Spectral.Config(domain="time", spectral_norm=norm)
        tokenizer = config.build(action_size=A, horizon=H)
        torch.testing.assert_close(
            tokenizer.distance(predicted, target, scale=0), expected(predicted, target)
        )


def test_coarser_scales_answer_for_fewer_frequencies() -> None:
    tokenizer = Spectral.Config(spectral_norm="weighted").build(action_size=A, horizon=16)
    high = dct_matrix(16)[12].view(1, 16, 1).expand(1, 16, A)  # one high frequency
    low = dct_matrix(16)[1].view(1, 16, 1).expand(1, 16, A)
    nothing = torch.zeros(1, 16, A)
    by_scale = [float(tokenizer.distance(high, nothing, scale)) for scale in range(3)]
    assert by_scale[0] == pytest.approx(by_scale[1]) == pytest.approx(0.1 * by_scale[2])
    assert float(tokenizer.distance(low, nothing, 0)) == pytest.approx(by_scale[2])


def test_gradients_reach_the_encoder_from_every_scale() -> None:
    """The decoder sees every partial sum, so every one passes its gradient straight through."""
    torch.manual_seed(0)
    tokenizer = Spectral.Config(channels=8, code_width=6).build(action_size=A, horizon=16)
    batch = chunks(8, horizon=16)
    for scale in range(3):
        latent = tokenizer.latent(batch).detach().requires_grad_()
        quantised = tokenizer.quantise(latent)
        seen: list[Tensor] = []
        handle = tokenizer.decoder.register_forward_pre_hook(
            lambda module, inputs, seen=seen: seen.append(inputs[0])
        )
        tokenizer.losses(batch, latent, quantised)
        handle.remove()
        through = seen[0].unflatten(0, (3, 8))
        torch.testing.assert_close(through, quantised.sums)
        weight = torch.randn(through[scale].shape)
        (gradient,) = torch.autograd.grad((through[scale] * weight).sum(), latent)
        torch.testing.assert_close(gradient, weight)


@pytest.mark.parametrize("horizon", [1, 2, 5, 6, 8, 16, 19, 32])
def test_the_latent_length_follows_from_the_horizon(horizon: int) -> None:
    tokenizer = Spectral.Config(channels=8, code_width=4, fit_steps=2).build(
        action_size=A, horizon=horizon
    )
    assert tokenizer.latents == math.ceil(horizon / 4)
    assert tokenizer.scales[-1] == tokenizer.latents and tokenizer.length == sum(tokenizer.scales)
    tokenizer.fit(chunks(20, horizon=horizon), Generator().manual_seed(0))
    ids = tokenizer.encode(chunks(3, horizon=horizon))
    assert ids.shape == (3, tokenizer.length)
    assert tokenizer.decode(ids).chunk.shape == (3, horizon, A)
    assert doubling(4) == (1, 2, 4) and doubling(5) == (1, 2, 4, 5) and doubling(1) == (1,)


def test_a_prefix_decodes_and_later_ids_do_not_matter(scales: Spectral) -> None:
    held = chunks(200, seed=4)
    ids = scales.encode(held)
    assert scales.scales == (1, 2)
    coarse, fine = scales.prefix_decode(ids, 1), scales.prefix_decode(ids, 2)
    other = ids.clone()
    other[:, 1:] = 0
    assert torch.equal(scales.prefix_decode(other, 1).chunk, coarse.chunk)
    assert torch.equal(scales.prefix_decode(ids[:, :1], 1).chunk, coarse.chunk)
    assert torch.equal(fine.chunk, scales.decode(ids).chunk)
    assert mse(fine.chunk, held) < 0.8 * mse(coarse.chunk, held)
    assert mse(coarse.chunk, held) < 0.9 * float(held.var())
    # A malformed id spoils the prefixes that hold it, no others.
    other[:, 2] = -1
    assert scales.prefix_decode(other, 1).valid.all() and not scales.decode(other).valid.any()
    with pytest.raises(ValueError, match="from 1 to 2"):
        scales.prefix_decode(ids, 3)
    with pytest.raises(ValueError, match="take 3 ids, got 1"):
        scales.prefix_decode(ids[:, :1], 2)


def test_partial_sums_of_the_ids_are_what_encoding_made(scales: Spectral) -> None:
    held = chunks(20, seed=5)
    made = scales.quantise(scales.latent(held))
    torch.testing.assert_close(scales.partial_sums(scales.encode(held)), made.sums)
    residual = scales.latent(held) - made.sums[0]
    torch.testing.assert_close(made.residuals[1], resize(residual, 2))


def test_usage_is_counted_per_scale(scales: Spectral) -> None:
    counts, inuse = scales.usage(chunks(200, seed=6))
    assert counts.shape == (2, 128) and counts.sum(1).tolist() == [200, 400]
    assert (inuse > 8).all()


def test_binary_entries_come_back_as_their_two_values() -> None:
    tokenizer = spectral(binary=(2,), fit_rate=1e-2)
    held = chunks(200, seed=7)
    decoded = tokenizer.decode(tokenizer.encode(held)).chunk
    assert set(decoded[..., 2].unique().tolist()) == {-1.0, 1.0}
    assert (decoded[..., 2] == held[..., 2]).float().mean() > 0.75
    # The DCT never sees them: the scales' loss does not change with them.
    batch = held[:8]
    changed = batch.clone()
    changed[..., 2] *= -1
    latent = tokenizer.latent(batch)
    quantised = tokenizer.quantise(latent)
    one, two = (tokenizer.losses(some, latent, quantised) for some in (batch, changed))
    assert torch.equal(one["scales"], two["scales"]) and one["binary"] != two["binary"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": (1, 3)}, "T = 2"),
        ({"scales": (2, 1)}, "must grow"),
        ({"scales": (0, 1)}, "must grow"),
        ({"binary": (3,)}, r"\[0, 3\)"),
        ({"vocabulary": 1}, "vocabulary"),
    ],
)
def test_impossible_scales_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Spectral.Config(**options).build(action_size=A, horizon=H)


# ----------------------------------------------------------------------------------------- FACT


def fact(**options: Any) -> FACT:
    config: dict[str, Any] = {
        "width": 32, "codes": 4, "bits_per_code": 6, "fit_steps": 150, "fit_rate": 1e-2, **options,
    }  # fmt: skip
    torch.manual_seed(0)
    tokenizer = FACT.Config(**config).build(action_size=A, horizon=H)
    tokenizer.fit(chunks(512), Generator().manual_seed(1))
    return tokenizer


@pytest.fixture(scope="module")
def bits() -> FACT:
    return fact()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 10**6))
def test_packing_bits_loses_nothing(bits_per_code: int, codes: int, seed: int) -> None:
    config = FACT.Config(bits_per_code=bits_per_code, codes=codes, width=4, attention_heads=1)
    tokenizer = config.build(action_size=A, horizon=H)
    generator = Generator().manual_seed(seed)
    drawn = torch.rand(7, codes, bits_per_code, generator=generator) > 0.5
    ids = tokenizer.pack(drawn)
    assert ids.min() >= 0 and ids.max() < tokenizer.vocabulary == 2**bits_per_code
    assert torch.equal(tokenizer.unpack(ids), drawn.float() * 2 - 1)
    assert float(tokenizer.bits(ids)[0]) == pytest.approx(codes * bits_per_code)


def test_signs_have_values_of_one_and_gradients_of_e() -> None:
    e = torch.tensor([-0.3, 0.0, 2.0], requires_grad=True)
    code = signs(e)
    assert code.tolist() == [-1.0, 1.0, 1.0]
    (code * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert e.grad is not None and e.grad.tolist() == [1.0, 2.0, 3.0]


def test_the_entropy_term_asks_for_bits_that_are_certain_and_balanced() -> None:
    certain = torch.tensor([-5.0, 5.0]).view(2, 1, 1)
    assert float(entropy_term(certain)) == pytest.approx(-math.log(2), abs=1e-3)
    for same in (torch.full((2, 1, 1), 5.0), torch.zeros(2, 1, 1)):
        assert float(entropy_term(same)) == pytest.approx(0, abs=1e-3)
    assert float(binary_entropy(torch.tensor(0.5))) == pytest.approx(math.log(2))


def test_without_the_entropy_term_the_codes_collapse() -> None:
    """The straight-through gradient and the commitment alone leave every bit where it began."""
    held = chunks(200, seed=8)
    pressed = {"commitment": 0.1, "fit_rate": 5e-3, "fit_steps": 100}
    without, with_it = fact(entropy=0.0, **pressed), fact(entropy=0.3, **pressed)
    assert float(without.bit_entropy(held).mean()) < 0.3
    assert float(with_it.bit_entropy(held).mean()) > 0.8
    assert float(with_it.bit_entropy(held).min()) > 0.3


def test_the_decoder_does_not_ignore_the_codes(bits: FACT) -> None:
    """A flow can model chunks without their codes; other chunks' codes must make it wrong."""
    held = chunks(200, seed=9)
    ids = bits.encode(held)
    for seed in range(3):  # whatever the noise
        own = mse(bits.decode(ids, Generator().manual_seed(seed)).chunk, held)
        others = mse(bits.decode(ids.roll(1, 0), Generator().manual_seed(seed)).chunk, held)
        assert others > 2 * own


def test_decoding_without_a_generator_is_a_function_of_each_row(bits: FACT) -> None:
    ids = bits.encode(chunks(20, seed=10))
    order = torch.randperm(20, generator=Generator().manual_seed(0))
    together = bits.decode(ids).chunk
    torch.testing.assert_close(bits.decode(ids[order]).chunk, together[order])
    torch.testing.assert_close(bits.decode(ids[3:4]).chunk, together[3:4])
    # With one, it is not.
    one = bits.decode(ids, Generator().manual_seed(1)).chunk
    assert torch.equal(one, bits.decode(ids, Generator().manual_seed(1)).chunk)
    assert not torch.equal(one, bits.decode(ids, Generator().manual_seed(2)).chunk)


def test_the_velocity_is_integrated_from_noise_to_data() -> None:
    """With the exact velocity of data that is one point, any number of steps ends there."""
    point = chunks(1)

    class Exact(torch.nn.Module):
        def forward(self, x: Tensor, code: Tensor, time: Tensor) -> Tensor:
            return (point - x) / (1 - time)[:, None, None]

    for steps in (1, 3, 8):
        tokenizer = FACT.Config(width=8, steps=steps, fit_steps=1).build(action_size=A, horizon=H)
        tokenizer.fit(chunks(4), Generator().manual_seed(0))
        tokenizer.decoder = Exact()  # type: ignore[assignment]
        decoded = tokenizer.decode(torch.zeros(5, 8, dtype=torch.long), Generator().manual_seed(3))
        torch.testing.assert_close(decoded.chunk, point.expand(5, H, A), rtol=0, atol=1e-5)
        assert decoded.passes == steps


def test_the_control_decodes_the_same_bits_in_one_pass() -> None:
    tokenizer = fact(flow=False, fit_steps=60)
    held = chunks(100, seed=11)
    ids = tokenizer.encode(held)
    decoded = tokenizer.decode(ids, Generator().manual_seed(5))
    assert decoded.passes == 1 and torch.equal(decoded.chunk, tokenizer.decode(ids).chunk)
    assert mse(decoded.chunk, held) < 0.7 * float(held.var())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits_per_code": 21}, "bits_per_code"),
        ({"steps": 0}, "tokenizer.steps"),
        ({"codes": 0}, "codes"),
        ({"width": 30, "attention_heads": 4}, "30 is not a multiple"),
    ],
)
def test_impossible_codes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FACT.Config(**options).build(action_size=A, horizon=H)


@pytest.mark.parametrize(
    "options",
    [{"latents": 0}, {"stages": 0}, {"vocabulary": 1}, {"decay": 1.0}],
    ids=lambda options: next(iter(options)),
)
def test_impossible_stages_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RVQ.Config(**options).build(action_size=A, horizon=H)
