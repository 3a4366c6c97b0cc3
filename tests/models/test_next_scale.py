"""The next-scale head beyond the contract of heads: what sees what, passes, intent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Generator, Tensor

from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import HeadSpec
from enactive.models.heads.next_scale import NextScale, Past
from enactive.models.tokenizers.rvq import RVQ
from enactive.models.tokenizers.spectral import Spectral
from enactive.models.tokenizers.uniform_bins import UniformBins

A, H, WIDTH, V = 3, 16, 32, 24


@pytest.fixture(autouse=True, scope="module")
def global_generator() -> Iterator[None]:
    before = torch.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.set_rng_state(before)


def chunks(count: int, seed: int = 0) -> Tensor:
    generator = Generator().manual_seed(seed)
    phase = 6.3 * torch.rand(count, 1, A, generator=generator)
    return torch.sin(0.4 * torch.arange(H).view(1, H, 1) + phase)


@pytest.fixture(scope="module")
def tokenizer() -> Spectral:
    config = Spectral.Config(vocabulary=V, channels=16, code_width=8, fit_steps=40, fit_batch=64)
    made = config.build(action_size=A, horizon=H)
    made.fit(chunks(256), Generator().manual_seed(0))
    return made


def build(tokenizer: Spectral, temperature: float = 0.0, top_k: int = 0) -> NextScale:
    torch.manual_seed(1)
    config = NextScale.Config(temperature=temperature, top_k=top_k, depth=2)
    spec = HeadSpec(width=WIDTH, action_size=A, horizon=H, tokenizer=tokenizer)
    head = config.build(spec)
    for layer in (head.network.positions, head.network.inputs.weight):
        torch.nn.init.normal_(layer, std=0.5)  # so that everything that is seen shows
    return head.eval()


def features(batch: int, seed: int = 0) -> Features:
    generator = Generator().manual_seed(seed)
    return Features(
        tokens=torch.randn(batch, 5, WIDTH, generator=generator),
        pooled=torch.randn(batch, WIDTH, generator=generator),
    )


def test_a_scale_sees_itself_and_coarser_ones_only(tokenizer: Spectral) -> None:
    head = build(tokenizer)
    assert head.network.allowed.int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1],
    ]
    read = torch.randn(2, 7, 8, requires_grad=True)
    logits = head.network(read, head.network.memory(features(2)))
    for place in range(7):
        (gradient,) = torch.autograd.grad(logits[0, place].square().sum(), read, retain_graph=True)
        assert torch.equal(gradient[0].abs().sum(-1) > 0, head.network.allowed[place])


def test_ids_of_a_scale_never_change_its_own_or_coarser_logits(tokenizer: Spectral) -> None:
    """What leaks a target into its own prediction trains to nothing."""
    head = build(tokenizer)
    ids = tokenizer.encode(chunks(4))
    with torch.no_grad():
        before = head.logits(features(4), ids)
        for start, end in ((0, 1), (1, 3), (3, 7)):
            other = ids.clone()
            other[:, start:end] = (other[:, start:end] + 7) % V
            after = head.logits(features(4), other)
            assert torch.equal(after[:, :end], before[:, :end])
            if end < 7:
                assert not torch.equal(after[:, end:], before[:, end:])


def test_passes_with_cached_keys_equal_one_teacher_forced_pass(tokenizer: Spectral) -> None:
    head = build(tokenizer)
    ids = tokenizer.encode(chunks(3))
    memory = head.network.memory(features(3))
    past: Past = []
    with torch.no_grad():
        whole = head.logits(features(3), ids)
        read = head.inputs(ids[:, :3])
        parts = [head.network(read[:, a:b], memory, past) for a, b in ((0, 1), (1, 3), (3, 7))]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-4)
    assert past[0][0].shape[2] == 7


def test_what_a_scale_reads_is_the_sum_of_the_coarser_ones(tokenizer: Spectral) -> None:
    head = build(tokenizer)
    chunk = chunks(5)
    ids = tokenizer.encode(chunk)
    sums = tokenizer.quantise(tokenizer.latent(chunk)).sums  # (3, 5, 4, d)
    read = head.inputs(ids[:, :3])
    assert not read[:, 0].any()
    torch.testing.assert_close(read[:, 1], sums[0, :, :2].mean(1))
    torch.testing.assert_close(read[:, 3:], sums[1])
    assert torch.equal(head.inputs(ids[:, :1]), read[:, :3])


def test_three_passes_and_what_they_find_is_greedy(tokenizer: Spectral) -> None:
    head = build(tokenizer)
    calls: list[tuple[int, ...]] = []
    handle = head.network.register_forward_hook(
        lambda module, inputs, output: calls.append(tuple(output.shape))
    )
    drawn = head.sample(features(4), Generator())
    handle.remove()
    assert calls == [(4, 1, V), (4, 2, V), (4, 4, V)]
    assert drawn.cost.head_passes == 3 and drawn.cost.decoder_passes == 1
    ids = drawn.trace["ids"][:, 0]
    with torch.no_grad():
        assert torch.equal(head.logits(features(4), ids).argmax(-1), ids)
    assert torch.equal(drawn.chunk[:, 0], tokenizer.decode(ids).chunk)


def test_intent_is_the_first_code_and_its_probability(tokenizer: Spectral) -> None:
    head = build(tokenizer, temperature=1.0)
    drawn = head.sample(features(4), Generator().manual_seed(0), samples=5)
    first = drawn.trace["ids"][..., 0]  # (B, S)
    assert torch.equal(drawn.trace["intent"], tokenizer.codes[first])
    with torch.no_grad():
        logits = head.network(head.inputs(first[:, :0]), head.network.memory(features(4)))
    likely = logits.softmax(-1).expand(-1, 5, -1).gather(2, first.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(drawn.trace["confidence"], likely)


def test_ids_are_drawn_from_the_softmax(tokenizer: Spectral) -> None:
    head = build(tokenizer, temperature=1.0)
    one = features(1)
    with torch.no_grad():
        expected = head.network(torch.zeros(1, 1, 8), head.network.memory(one))[0, 0].softmax(-1)
    first = head.sample(one, Generator().manual_seed(0), samples=4000).trace["ids"][0, :, 0]
    share = torch.bincount(first, minlength=V) / 4000
    assert (share - expected).abs().max() < 4 * (0.25 / 4000) ** 0.5
    top = build(tokenizer, temperature=1.0, top_k=3)
    kept = top.sample(one, Generator().manual_seed(0), samples=500).trace["ids"][0, :, 0]
    assert set(kept.tolist()) == set(expected.topk(3).indices.tolist())


def test_a_given_intent_is_kept_and_the_rest_follows_it(tokenizer: Spectral) -> None:
    head = build(tokenizer)
    own = head.sample(features(4), Generator())
    given = head.sample_given(features(4), Generator(), own.trace["ids"][:, 0, :1])
    assert torch.equal(given.trace["ids"], own.trace["ids"]), "its own intent changes nothing"
    assert own.cost.head_passes == 3 and given.cost.head_passes == 2
    intent = torch.tensor([[3], [3], [9], [23]])
    calls: list[int] = []
    handle = head.network.register_forward_hook(
        lambda module, inputs, output: calls.append(output.shape[1])
    )
    drawn = head.sample_given(features(4), Generator(), intent, samples=2)
    handle.remove()
    assert calls == [3, 4]
    assert torch.equal(drawn.trace["ids"][:, :, 0], intent.expand(4, 2))
    assert drawn.trace["confidence"].eq(1).all()
    # The rest is what the head predicts given that intent, not what it would have said itself.
    with torch.no_grad():
        ids = drawn.trace["ids"][:, 0]
        assert torch.equal(head.logits(features(4), ids).argmax(-1)[:, 1:], ids[:, 1:])
    assert not torch.equal(drawn.trace["ids"][:, :1, 1:], own.trace["ids"][:, :, 1:])
    with pytest.raises(ValueError, match=r"\(4, 1\)"):
        head.sample_given(features(4), Generator(), intent[:, 0])
    with pytest.raises(ValueError, match=r"\[0, 24\)"):
        head.sample_given(features(4), Generator(), intent + 10)


@pytest.mark.parametrize("scales", [(1,), (1, 4), (2, 4)])
def test_other_scales_take_as_many_passes_as_there_are(scales: tuple[int, ...]) -> None:
    config = Spectral.Config(scales=scales, vocabulary=V, channels=8, code_width=8, fit_steps=2)
    made = config.build(action_size=A, horizon=H)
    made.fit(chunks(32), Generator().manual_seed(0))
    head = build(made)
    drawn = head.sample(features(2), Generator())
    assert drawn.cost.head_passes == len(scales)
    assert drawn.trace["ids"].shape == (2, 1, sum(scales))
    intent = drawn.trace["ids"][:, 0, : scales[0]]
    given = head.sample_given(features(2), Generator(), intent)
    assert given.cost.head_passes == len(scales) - 1
    assert torch.equal(given.chunk, drawn.chunk)
    mask = torch.ones(2, H, dtype=torch.bool)
    loss = head.loss(features(2), chunks(2), mask, Generator())
    assert [name for name in loss.parts if name.startswith("scale_")] == [
        f"scale_{k}" for k in range(1, len(scales) + 1)
    ]


def test_only_nested_scales_will_do() -> None:
    config = NextScale.Config()
    assert config.refuses(Spectral.Config()) is None
    for refused in (None, RVQ.Config(), UniformBins.Config()):
        reason = config.refuses(refused)
        assert reason is not None and "nested scales" in reason and "Fix: " in reason
    tokenizer = RVQ.Config(width=8).build(action_size=A, horizon=H)
    with pytest.raises(ValueError, match="nested scales"):
        config.build(HeadSpec(width=WIDTH, action_size=A, horizon=H, tokenizer=tokenizer))


@pytest.mark.parametrize(("field", "value"), [("temperature", -1.0), ("top_k", -1)])
def test_impossible_draws_are_refused(tokenizer: Spectral, field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"head.{field}"):
        NextScale.Config(**{field: value}).build(
            HeadSpec(width=WIDTH, action_size=A, horizon=H, tokenizer=tokenizer)
        )
