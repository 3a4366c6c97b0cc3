"""UniAct's codebook and head: what is discrete, what is shared, and that every term has effect."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import HeadSpec
from enactive.models.heads.universal_codebook import UniversalCodebook
from enactive.models.tokenizers.universal_codebook import UniversalCodebook as Codebook
from enactive.models.tokenizers.universal_codebook import (
    divergence,
    gumbel,
    hard_weights,
    soft_weights,
    uniformity,
    usage,
)

WIDTH, A, H = 16, 3, 4
BODIES = ("one", "two.b", "three")
SMALL = UniversalCodebook.Config(codes=8, code_size=6, hidden=24, perception_size=5)


def features(rows: int, seed: int = 0, embodied: bool = True) -> Features:
    generator = Generator().manual_seed(seed)
    return Features(
        tokens=torch.randn(rows, 5, WIDTH, generator=generator),
        pooled=torch.randn(rows, WIDTH, generator=generator),
        perception=torch.randn(rows, WIDTH, generator=generator),
        embodiment=torch.arange(rows) % len(BODIES) if embodied else None,
    )


def build(seed: int = 0, **changes: object) -> UniversalCodebook:
    torch.manual_seed(seed)
    spec = HeadSpec(width=WIDTH, action_size=A, horizon=H, embodiments=BODIES)
    return dataclasses.replace(SMALL, **changes).build(spec)  # type: ignore[arg-type]


def chunk(rows: int) -> Tensor:
    return torch.randn(rows, H, A, generator=Generator().manual_seed(5))


def everything(rows: int) -> Tensor:
    return torch.ones(rows, H, A, dtype=torch.bool)


# -- the codebook --------------------------------------------------------------------------


@given(st.integers(2, 40), st.floats(0.1, 5.0), st.integers(0, 1000))
def test_weights_are_mixtures_that_sharpen(codes: int, temperature: float, seed: int) -> None:
    generator = Generator().manual_seed(seed)
    logits = torch.randn(5, codes, generator=generator)
    noise = gumbel(torch.rand(5, codes, generator=generator))
    assert noise.isfinite().all()
    weights = soft_weights(logits, temperature, noise)
    torch.testing.assert_close(weights.sum(-1), torch.ones(5))
    sharper = soft_weights(logits, temperature / 4, noise)
    assert (sharper.max(-1).values >= weights.max(-1).values - 1e-6).all()
    assert torch.equal(weights.argmax(-1), (logits + noise).argmax(-1))


def test_extremes_of_uniform_draws_give_finite_noise() -> None:
    assert gumbel(torch.tensor([0.0, 1.0, 1 - 2**-24])).isfinite().all()


def test_gumbel_draws_follow_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0])
    noise = gumbel(torch.rand(40_000, 3, generator=Generator().manual_seed(0)))
    shares = usage((logits + noise).argmax(-1), 3) / 40_000
    torch.testing.assert_close(shares, logits.softmax(-1), atol=0.01, rtol=0)


def test_hard_weights_are_one_code_and_have_a_gradient() -> None:
    logits = torch.randn(4, 8, generator=Generator().manual_seed(0), requires_grad=True)
    weights = hard_weights(logits, 1.0)
    torch.testing.assert_close(weights, F.one_hot(logits.argmax(-1), 8).float())
    book = Codebook(8, 3)
    torch.testing.assert_close(book(weights), book.codes[logits.argmax(-1)])
    book(weights).square().sum().backward()
    assert logits.grad is not None and logits.grad.abs().max() > 0


def test_uniformity_is_a_divergence() -> None:
    assert uniformity(torch.zeros(2, 16)).abs().max() < 1e-6
    one = torch.full((1, 16), -50.0)
    one[0, 3] = 50
    torch.testing.assert_close(uniformity(one), torch.log(torch.tensor([16.0])))
    assert (uniformity(torch.randn(50, 16, generator=Generator().manual_seed(0))) > 0).all()


def test_divergence_of_usage() -> None:
    first, second = torch.tensor([3, 1, 0, 0]), torch.tensor([0, 0, 2, 2])
    assert divergence(first, second) == pytest.approx(1.0)
    assert divergence(first, first * 7) == pytest.approx(0.0, abs=1e-12)
    assert divergence(first, second) == divergence(second, first)
    with pytest.raises(ValueError, match="counts nothing"):
        divergence(first, torch.zeros(4))


# -- the head ------------------------------------------------------------------------------


def test_the_uniformity_term_is_in_the_loss_and_moves_the_logits() -> None:
    """The trap of the released code: the term was computed and logged, and trained nothing."""
    gradients: dict[float, Tensor] = {}
    totals: dict[float, Tensor] = {}
    for weight in (0.0, 0.5):
        head = build(uniformity=weight)
        loss = head.loss(features(6), chunk(6), everything(6), Generator().manual_seed(0))
        loss.total.backward()
        grad = head.network.logits.weight.grad
        assert grad is not None
        gradients[weight], totals[weight] = grad, loss.total.detach()
        assert loss.parts["uniformity"] > 0
    head = build()
    term = uniformity(head.network.logits(features(6).pooled)).mean()
    alone = torch.autograd.grad(term, head.network.logits.weight)[0]
    torch.testing.assert_close(totals[0.5] - totals[0.0], 0.5 * term.detach())
    torch.testing.assert_close(gradients[0.5] - gradients[0.0], 0.5 * alone, atol=1e-6, rtol=1e-3)
    assert alone.abs().max() > 1e-4


def test_uniformity_alone_evens_out_the_codes() -> None:
    head = build(uniformity=10.0)
    with torch.no_grad():
        head.network.logits.bias[2] += 4
    before = uniformity(head.network.logits(features(6).pooled)).mean()
    optimizer = torch.optim.Adam(head.parameters(), 0.05)
    for step in range(60):
        optimizer.zero_grad()
        loss = head.loss(features(6), chunk(6), everything(6), Generator().manual_seed(step))
        loss.total.backward()
        optimizer.step()
    after = uniformity(head.network.logits(features(6).pooled)).mean()
    assert after < 0.05 * before


def test_each_row_is_decoded_by_its_own_embodiment() -> None:
    head = build()
    seen = features(6)
    before = head.sample(seen, Generator()).chunk
    with torch.no_grad():
        for parameter in head.network.decoders["two/b"].parameters():
            parameter.add_(0.1)
    changed = (head.sample(seen, Generator()).chunk != before).flatten(1).any(1)
    assert changed.tolist() == [False, True, False] * 2


def test_rows_of_one_embodiment_train_its_decoder_alone() -> None:
    head = build()
    only = dataclasses.replace(features(4), embodiment=torch.full((4,), 2))
    head.loss(only, chunk(4), everything(4), Generator().manual_seed(0)).total.backward()
    for name, decoder in head.network.decoders.items():
        for parameter in decoder.parameters():
            assert parameter.grad is not None  # none is missing, or processes would wait for it
            assert bool(parameter.grad.abs().max() > 0) == (name == "three")
    assert head.network.codebook.codes.grad.abs().max() > 0


def test_what_an_embodiment_does_not_have_does_not_count() -> None:
    head, mask = build(), everything(3)
    mask[1, :, 1:] = False
    target = chunk(3)
    loss = head.loss(features(3), target, mask, Generator().manual_seed(0))
    other = torch.where(mask, target, torch.full_like(target, 100.0))
    same = head.loss(features(3), other, mask, Generator().manual_seed(0))
    torch.testing.assert_close(loss.per_sample, same.per_sample)


def test_huber_loss_has_the_papers_delta() -> None:
    head = build(uniformity=0.0, hard=True)
    target = chunk(3)
    predicted = head.sample(features(3), Generator()).chunk[:, 0]
    loss = head.loss(features(3), target, everything(3), Generator())
    error = (predicted - target).abs()
    huber = torch.where(error < 0.1, 0.5 * error**2, 0.1 * (error - 0.05))
    torch.testing.assert_close(loss.total, huber.mean())


def test_without_perception_the_code_carries_everything() -> None:
    for perception, changes in ((True, True), (False, False)):
        head = build(perception=perception)
        seen = features(3)
        other = dataclasses.replace(seen, perception=seen.perception + 1)
        one, two = head.sample(seen, Generator()).chunk, head.sample(other, Generator()).chunk
        assert torch.equal(one, two) != changes


def test_hard_codes_are_few_and_soft_mixtures_are_not() -> None:
    """A soft mixture can hide that nothing discrete is used; acting hard, two situations of one
    code and one perception are the same situation."""
    rows = 64
    seen = features(rows, embodied=False)
    seen = dataclasses.replace(
        seen,
        perception=torch.zeros(rows, WIDTH),
        embodiment=torch.zeros(rows, dtype=torch.int64),
    )
    hard = build().sample(seen, Generator()).chunk.flatten(1)
    assert len(hard.unique(dim=0)) <= SMALL.codes
    control = build(bottleneck=False).sample(seen, Generator()).chunk.flatten(1)
    assert len(control.unique(dim=0)) == rows
    soft = build(hard_sampling=False).sample(seen, Generator().manual_seed(0), samples=2)
    assert len(soft.chunk.flatten(0, 1).flatten(1).unique(dim=0)) == 2 * rows
    assert soft.cost.head_passes == 2 and soft.trace["ids"].shape == (rows, 2, 1)


def test_the_control_has_the_same_parameters() -> None:
    shapes = [
        {name: p.shape for name, p in build(bottleneck=b).named_parameters()} for b in (True, False)
    ]
    assert shapes[0] == shapes[1]


def test_temperature_falls_while_training_and_survives_saving() -> None:
    head = build(temperature=2.0, final_temperature=0.5, anneal_steps=4).train()
    seen = []
    for step in range(6):
        seen.append(head.temperature)
        head.loss(features(3), chunk(3), everything(3), Generator().manual_seed(step))
    assert seen == pytest.approx([2.0, 1.625, 1.25, 0.875, 0.5, 0.5])
    other = build(temperature=2.0, final_temperature=0.5, anneal_steps=4)
    other.load_state_dict(head.state_dict())
    assert other.temperature == 0.5
    head.eval().loss(features(3), chunk(3), everything(3), Generator())
    assert int(head.updates) == 6
    assert build(temperature=1.4).temperature == 1.4


def test_what_a_code_means_on_a_body() -> None:
    head = build()
    seen = features(2)
    meanings = head.code_chunks(seen)
    assert meanings.shape == (2, SMALL.codes, H, A)
    ids = head.sample(seen, Generator()).trace["ids"][:, 0, 0]
    torch.testing.assert_close(
        meanings[torch.arange(2), ids], head.sample(seen, Generator()).chunk[:, 0]
    )


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"Batch\.embodiment"):
        build().sample(features(2, embodied=False), Generator())
    with pytest.raises(ValueError, match="head.temperature"):
        build(temperature=0.0)
