"""What autoregression and discrete diffusion promise beyond the contract of heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from enactive.models.backbones.backbone import Features
from enactive.models.heads.autoregressive import Autoregressive
from enactive.models.heads.discrete_diffusion import (
    DiscreteDiffusion,
    confidence,
    doubtful,
    draw_hidden,
    least,
    schedule,
)
from enactive.models.heads.head import HeadSpec
from enactive.models.heads.token_head import TokenHead, cross_entropy, draw_ids, row_mean
from enactive.models.heads.token_transformer import Cache
from enactive.models.tokenizers.dct_bpe import DctBpe
from enactive.models.tokenizers.quantile_bins import QuantileBins
from enactive.models.tokenizers.tokenizer import Tokenizer

WIDTH, A, H, N, V = 32, 3, 5, 4, 12
L = A * H


def features(batch: int, seed: int = 0) -> Features:
    generator = Generator().manual_seed(seed)
    return Features(
        tokens=torch.randn(batch, N, WIDTH, generator=generator),
        pooled=torch.randn(batch, WIDTH, generator=generator),
    )


def waves(count: int, seed: int = 0) -> Tensor:
    generator = Generator().manual_seed(seed)
    phase = 6.3 * torch.rand(count, 1, A, generator=generator)
    return torch.sin(0.6 * torch.arange(H).view(1, H, 1) + phase)


@cache
def fitted(variable: bool) -> dict[str, Tensor]:
    one = unfitted(variable)
    one.fit(waves(512), Generator().manual_seed(0))
    return one.state_dict()


def unfitted(variable: bool) -> Tokenizer:
    config = DctBpe.Config(vocabulary=96, scale=2.0) if variable else QuantileBins.Config(bins=V)
    return config.build(action_size=A, horizon=H)


def tokenizer(variable: bool = False) -> Tokenizer:
    one = unfitted(variable)
    one.load_state_dict(fitted(variable))
    return one


def spec(variable: bool = False) -> HeadSpec:
    return HeadSpec(width=WIDTH, action_size=A, horizon=H, tokenizer=tokenizer(variable))


def sharpen(head: TokenHead, seed: int = 0) -> TokenHead:
    """Weights whose logits differ clearly, as after training."""
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.network.parameters():
            parameter += 0.15 * torch.randn(parameter.shape, generator=generator)
    return head.eval()


def autoregressive(variable: bool = False, seed: int = 0, **options: float) -> Autoregressive:
    torch.manual_seed(seed)
    head = Autoregressive.Config(**options).build(spec(variable))  # type: ignore[arg-type]
    sharpen(head, seed)
    return head


def diffusion(seed: int = 0, **options: float | bool) -> DiscreteDiffusion:
    torch.manual_seed(seed)
    head = DiscreteDiffusion.Config(**options).build(spec())  # type: ignore[arg-type]
    sharpen(head, seed)
    return head


# ------------------------------------------------------------------------------ both networks


def test_both_decoders_have_the_same_parameters() -> None:
    """So that a comparison of them at equal depth is one at exactly equal size."""
    shapes = [
        {name: p.shape for name, p in head.network.named_parameters()}
        for head in (autoregressive(), diffusion())
    ]
    assert shapes[0] == shapes[1]


def test_only_the_causal_network_hides_what_comes_later() -> None:
    ids = torch.randint(V, (2, L), generator=Generator().manual_seed(1))
    other = ids.clone()
    other[:, 9] = (other[:, 9] + 1) % V
    for head, sees_later in ((autoregressive(), False), (diffusion(), True)):
        memory = head.network.memory(features(2))
        with torch.no_grad():
            one, two = head.network(ids, memory), head.network(other, memory)
        assert (one[:, :9] != two[:, :9]).any().item() is sees_later
        assert (one[:, 9:] != two[:, 9:]).any()


def test_a_head_over_ids_needs_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="needs a tokenizer"):
        Autoregressive.Config().build(HeadSpec(width=WIDTH, action_size=A, horizon=H))
    assert "needs a tokenizer" in str(DiscreteDiffusion.Config().refuses(None))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_drawn_ids_follow_the_softmax(temperature: float) -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, -torch.inf, 1.0])
    uniform = (torch.arange(20_000) + 0.5) / 20_000
    drawn = draw_ids(logits.expand(20_000, -1), temperature, uniform)
    share = torch.bincount(drawn, minlength=5) / 20_000
    torch.testing.assert_close(share, (logits / temperature).softmax(-1), atol=2e-4, rtol=0)
    ends = torch.tensor([0.0, 1 - 2**-24])
    assert draw_ids(logits.expand(2, -1), temperature, ends).tolist() == [0, 4]


def test_top_k_draws_from_the_k_most_probable() -> None:
    logits = torch.randn(500, 9, generator=Generator().manual_seed(0))
    drawn = draw_ids(logits, 3.0, torch.rand(500, generator=Generator().manual_seed(1)), top_k=2)
    best = logits.topk(2, dim=-1).indices
    assert (best == drawn.unsqueeze(-1)).any(-1).all()
    assert drawn.ne(best[:, 0]).any()
    assert draw_ids(logits, 0.0).equal(best[:, 0])


@pytest.mark.parametrize("make", [autoregressive, diffusion])
def test_ids_that_cannot_stand_somewhere_are_never_sampled(make: Callable[..., TokenHead]) -> None:
    head = make(temperature=2.0)
    legal = torch.rand(L, V, generator=Generator().manual_seed(0)) < 0.4
    legal[:, 0] = True
    head.tokenizer.legal = legal
    ids = head.sample(features(8), Generator().manual_seed(0), samples=4).trace["ids"]
    assert legal.expand(8, 4, L, V).gather(-1, ids.unsqueeze(-1)).all()
    assert (ids != 0).any()


# ----------------------------------------------------------------------------- autoregression


@pytest.mark.parametrize("variable", [False, True])
def test_cached_logits_are_those_without_a_cache(variable: bool) -> None:
    head = autoregressive(variable)
    seen = features(3)
    ids = head.tokenizer.encode(waves(3, seed=4))
    memory = head.network.memory(seen)
    with torch.no_grad():
        whole = head.logits(seen, ids)  # (B, L, V)
        cache = Cache(head.network, rows=3, like=memory.condition)
        last = torch.full((3, 1), head.special)
        for place in range(head.tokenizer.length):
            one = head.network(last, memory, cache)[:, 0]
            torch.testing.assert_close(one, whole[:, place], rtol=1e-4, atol=1e-4)
            last = ids[:, place : place + 1]
    assert cache.filled == head.tokenizer.length


def test_a_cache_grows_by_one_position() -> None:
    head = autoregressive()
    memory = head.network.memory(features(2))
    cache = Cache(head.network, rows=2, like=memory.condition)
    with pytest.raises(ValueError, match="one position at a time, got 2"):
        head.network(torch.zeros(2, 2, dtype=torch.long), memory, cache)


@pytest.mark.parametrize("variable", [False, True])
def test_greedy_ids_are_the_argmax_of_teacher_forcing_on_themselves(variable: bool) -> None:
    head = autoregressive(variable)
    drawn = head.sample(features(6), Generator())
    ids = drawn.trace["ids"][:, 0]
    with torch.no_grad():
        logits = head.logits(features(6), ids)
    end = head.tokenizer.end
    before = torch.ones_like(ids, dtype=torch.bool)
    if end is not None:
        before = (ids == end).cumsum(-1) - (ids == end).long() == 0
    assert torch.equal(logits.argmax(-1)[before], ids[before])
    logp = -cross_entropy(logits, ids)
    torch.testing.assert_close(drawn.trace["logp"][:, 0], logp * before, rtol=1e-4, atol=1e-4)


def test_rows_end_where_they_say() -> None:
    """Rows of several lengths: padded after their end, each with the ids it has alone, and the
    loop stops when the longest has ended."""
    head = autoregressive(variable=True, temperature=1.0)
    end = head.tokenizer.end
    assert end is not None
    with torch.no_grad():
        head.network.out.bias[end] += 5.5  # rows that end early, and not all at the same place
    generators = [Generator().manual_seed(i) for i in range(16)]
    drawn = head.sample(features(16), generators)
    ids = drawn.trace["ids"][:, 0]
    ended = (ids == end).cumsum(-1) > 0
    assert (ids[ended] == end).all()
    lengths = (~ended).sum(-1)
    assert lengths.unique().numel() > 3
    assert drawn.cost.head_passes == min(int(lengths.max()) + 1, head.tokenizer.length)
    assert (drawn.trace["logp"][:, 0][ended.roll(1, 1) & ended & (lengths > 0)[:, None]] == 0).all()
    for number in (0, 7):
        one = Features(
            tokens=features(16).tokens[number : number + 1],
            pooled=features(16).pooled[number : number + 1],
        )
        alone = head.sample(one, [Generator().manual_seed(number)])
        assert torch.equal(alone.trace["ids"][0, 0], ids[number])
        assert alone.cost.head_passes == min(int(lengths[number]) + 1, head.tokenizer.length)


def test_what_follows_the_first_end_does_not_count() -> None:
    head = autoregressive(variable=True)
    chunk, mask = waves(4, seed=2), torch.ones(4, H, dtype=torch.bool)
    ids, kept = head.targets(chunk, mask)
    end = head.tokenizer.end
    first = (ids == end).float().argmax(-1)
    assert torch.equal(kept.sum(-1), torch.where((ids == end).any(-1), first + 1, ids.shape[1]))
    loss = head.loss(features(4), chunk, mask, Generator())
    nll = cross_entropy(head.logits(features(4), ids), ids)
    by_hand = [nll[i][kept[i]].mean() for i in range(4)]
    torch.testing.assert_close(loss.per_sample, torch.stack(by_hand))


def test_leaving_out_what_lies_behind_all_ends_changes_no_loss() -> None:
    head = autoregressive(True)
    chunk, seen = waves(6), features(6)
    mask = torch.ones(6, H, dtype=torch.bool)
    ids, kept = head.targets(chunk, mask)
    assert not kept[:, -1].any()  # there is something to leave out
    whole = row_mean(cross_entropy(head.logits(seen, ids), ids), kept)
    loss = head.loss(seen, chunk, mask, Generator())
    torch.testing.assert_close(loss.per_sample, whole)
    nothing = head.loss(seen, chunk, torch.zeros_like(mask), Generator())
    assert (nothing.per_sample == 0).all()


def test_ids_of_steps_past_the_end_do_not_count() -> None:
    head = autoregressive()
    mask = torch.ones(2, H, dtype=torch.bool)
    mask[1, 2:] = False
    ids, kept = head.targets(waves(2), mask)
    assert kept.sum(-1).tolist() == [L, 2 * A]
    loss = head.loss(features(2), waves(2), mask, Generator())
    nll = cross_entropy(head.logits(features(2), ids), ids)
    torch.testing.assert_close(loss.per_sample, row_mean(nll, kept))


@pytest.mark.parametrize(("field", "value"), [("temperature", -1.0), ("top_k", -1)])
def test_autoregression_refuses_impossible_settings(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"head.{field}"):
        Autoregressive.Config(**{field: value}).build(spec())  # type: ignore[arg-type]


# --------------------------------------------------------------------------- discrete diffusion


@given(length=st.integers(1, 70), rounds=st.integers(1, 90))
def test_the_schedule_falls_every_round_and_ends_at_nothing(length: int, rounds: int) -> None:
    remaining = schedule(length, rounds)
    assert len(remaining) == min(length, rounds)
    assert all(a > b for a, b in zip([length, *remaining], remaining, strict=False))
    assert remaining[-1] == 0
    used = min(length, rounds)
    for number, count in enumerate(remaining[:-1]):
        cosine = torch.cos(torch.tensor(torch.pi / 2 * (number + 1) / used, dtype=torch.float64))
        formula = int(torch.floor(length * cosine))
        before = length if number == 0 else remaining[number - 1]
        assert count == min(formula, before - 1)
        assert count >= 1


def test_the_papers_schedule() -> None:
    """L = 56 and T = 12, as in the paper's LIBERO setting, worked out by hand."""
    assert schedule(56, 12) == [55, 54, 51, 48, 44, 39, 34, 28, 21, 14, 7, 0]
    assert schedule(56, 1) == [0]


@st.composite
def rounds_of_confidence(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, which places are masked, and how many shall stay so; rows of a batch differ."""
    rows, length = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    generator = Generator().manual_seed(draw(st.integers(0, 10_000)))
    score = torch.rand(rows, length, generator=generator).log()
    if draw(st.booleans()):
        score = (score * 3).round()  # ties, as between equal probabilities
    masked = torch.rand(rows, length, generator=generator) < draw(st.floats(0.05, 1.0))
    part = torch.rand(rows, generator=generator)
    return score, masked, (part * (masked.sum(-1) + 1)).floor().long()


Rule = Callable[[Tensor, Tensor, Tensor], Tensor]


def check_rule(rule: Rule, score: Tensor, masked: Tensor, remaining: Tensor) -> None:
    """Sure places are unmasked first, and fixed places never change."""
    stay = rule(score, masked, remaining)
    assert not (stay & ~masked).any(), "a fixed place was masked"
    assert torch.equal(stay.sum(-1), remaining)
    fresh = masked & ~stay
    for row in range(len(score)):
        if fresh[row].any() and stay[row].any():
            assert score[row][fresh[row]].min() >= score[row][stay[row]].max()


@given(case=rounds_of_confidence())
def test_sure_places_are_unmasked_first_and_fixed_ones_stay(
    case: tuple[Tensor, Tensor, Tensor],
) -> None:
    check_rule(least, *case)


def highest_stay(score: Tensor, masked: Tensor, remaining: Tensor) -> Tensor:
    """The mistake in released code: the surest places are ranked into the mask, committed ones,
    whose score counts as infinite, before all others."""
    ranked = score.masked_fill(~masked, torch.inf).argsort(-1, descending=True)
    rank = ranked.argsort(-1)
    return rank < remaining.unsqueeze(-1)


def test_the_reversed_ranking_breaks_the_law() -> None:
    score = torch.tensor([[0.99, 0.5, 0.01, 0.7]]).log()
    masked = torch.tensor([[True, True, True, False]])
    check_rule(least, score, masked, torch.tensor([1]))
    with pytest.raises(AssertionError, match="a fixed place was masked"):
        check_rule(highest_stay, score, masked, torch.tensor([1]))
    with pytest.raises(AssertionError):
        check_rule(highest_stay, score, torch.ones_like(masked), torch.tensor([2]))


@settings(max_examples=30, deadline=None)
@given(
    rounds=st.integers(1, 20),
    batch=st.integers(1, 4),
    seed=st.integers(0, 1000),
    temperature=st.sampled_from([0.0, 1.0]),
    noise=st.sampled_from([0.0, 2.0]),
    gap=st.booleans(),
    remask=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_masks_shrink_by_the_schedule(
    rounds: int, batch: int, seed: int, temperature: float, noise: float, gap: bool, remask: float
) -> None:
    head = diffusion(
        seed % 3, rounds=rounds, temperature=temperature, noise=noise, gap=gap, remask=remask
    )
    drawn = head.sample(features(batch, seed), Generator().manual_seed(seed), samples=2)
    plan = schedule(L, rounds)
    masked = drawn.trace["masked"]  # (B, S, T, L)
    assert masked.shape == (batch, 2, len(plan), L)
    assert (masked.sum(-1) == torch.tensor(plan)).all()
    assert drawn.cost.head_passes == len(plan) * (2 if temperature or noise else 1)
    ids, order, remasked = (drawn.trace[key] for key in ("ids", "order", "remasked"))
    assert ((ids >= 0) & (ids < V)).all()
    # A place that was masked after some round was committed for good in a later one.
    last = torch.where(masked, torch.arange(len(plan))[:, None], -1).amax(2)
    assert torch.equal(order, last + 1)
    again = (masked[:, :, 1:] & ~masked[:, :, :-1]).sum(2)
    assert torch.equal(remasked, again)
    if remask == 0:
        assert not remasked.any()
    confidences = drawn.trace["confidence"]
    assert ((confidences >= 0) & (confidences <= 1)).all()


def replay(head: DiscreteDiffusion, seen: Features) -> list[tuple[Tensor, Tensor]]:
    """Per round the ids that the network saw and its logits there."""
    calls: list[tuple[Tensor, Tensor]] = []
    handle = head.network.register_forward_hook(
        lambda _, arguments, output: calls.append((arguments[0].clone(), output))
    )
    head.sample(seen, Generator().manual_seed(0))
    handle.remove()
    return calls


def test_committed_ids_never_change_and_are_what_was_proposed() -> None:
    head = diffusion(rounds=6)
    drawn = head.sample(features(3), Generator())
    calls = replay(head, features(3))
    ids, order = drawn.trace["ids"][:, 0], drawn.trace["order"][:, 0]
    assert len(calls) == 6
    for number, (shown, logits) in enumerate(calls):
        assert torch.equal(shown, torch.where(order < number, ids, head.special))
        now = order == number
        assert torch.equal(logits.argmax(-1)[now], ids[now])  # also in the last round
        best = logits.softmax(-1).amax(-1)
        torch.testing.assert_close(drawn.trace["confidence"][:, 0][now], best[now])
        later = order > number
        for row in range(3):
            if now[row].any() and later[row].any():
                assert best[row][now[row]].min() >= best[row][later[row]].max()


def test_one_round_is_the_argmax_everywhere() -> None:
    head = diffusion(rounds=1)
    drawn = head.sample(features(3), Generator())
    with torch.no_grad():
        blank = torch.full((3, L), head.special)
        logits = head.network(blank, head.network.memory(features(3)))
    assert torch.equal(drawn.trace["ids"][:, 0], logits.argmax(-1))
    assert drawn.cost.head_passes == 1


def test_ids_below_the_threshold_are_taken_back_and_no_others() -> None:
    head = diffusion(rounds=6, remask=0.5)
    drawn = head.sample(features(8), Generator())
    calls = replay(head, features(8))
    masked = drawn.trace["masked"][:, 0]  # (B, T, L)
    plan = schedule(L, 6)
    some = 0
    for number in range(1, 6):
        shown, logits = calls[number]
        committed = shown != head.special
        current = confidence(logits, shown, gap=False)
        threshold = 0.5 * (number + 1) / 6  # rises, so that late ids must be surer
        back = masked[:, number] & committed
        some += int(back.sum())
        assert (current[back] < threshold).all()
        below = committed & (current < threshold)
        assert torch.equal(back.sum(-1), below.sum(-1).clamp(max=plan[number]))
    assert some > 0


def released_rule(committed_at: Tensor, committed: Tensor, fraction: float, at_most: int) -> Tensor:
    """The rule of the released code: the confidence *at which* ids were committed, times
    ``1 - fraction``, against a threshold that stays."""
    return doubtful(committed_at * (1 - fraction), committed, 0.4, at_most)


def test_sure_commits_are_not_taken_back_late() -> None:
    """Ids of which the network is still sure stay to the end; the released rule takes them back
    because it is late."""
    sure = torch.full((2, 20), 0.95)
    committed = torch.arange(20).expand(2, -1) < 12
    for number in range(7):
        fraction = (number + 1) / 8
        assert not doubtful(sure, committed, 0.6 * fraction, at_most=8).any()
    assert not released_rule(sure, committed, 1 / 8, at_most=8).any()
    assert released_rule(sure, committed, 7 / 8, at_most=8).any()


def test_training_hides_at_least_one_id_and_only_those_that_count() -> None:
    kept = torch.ones(4000, L, dtype=torch.bool)
    kept[:1000, 6:] = False
    kept[0] = False
    hidden = draw_hidden(kept, Generator().manual_seed(0))
    assert not (hidden & ~kept).any()
    assert hidden[1:].any(-1).all() and not hidden[0].any()
    # The ratio is cos(pi/2 u): its mean is 2/pi, and half of the rows hide over cos(pi/4).
    ratio = hidden[1000:].float().mean(-1)
    assert ratio.mean().item() == pytest.approx(2 / torch.pi + 0.5 / L, abs=0.02)
    assert (ratio >= 0.7).float().mean().item() == pytest.approx(0.5, abs=0.06)
    each = hidden[1000:].float().mean(0)  # every place as often
    assert each.min() > 0.6 and each.max() < 0.74


def test_the_loss_is_on_hidden_ids_only() -> None:
    head = diffusion()
    seen: list[Tensor] = []
    head.network.register_forward_hook(lambda _, arguments, output: seen.append(arguments[0]))
    mask = torch.ones(3, H, dtype=torch.bool)
    mask[2, 1:] = False
    chunk = waves(3)
    loss = head.loss(features(3), chunk, mask, Generator().manual_seed(3))
    shown = seen[0]
    ids, kept = head.targets(chunk, mask)
    hidden = (shown == head.special) & kept
    assert (shown[~kept] == head.special).all()
    assert torch.equal(shown[kept & ~hidden], ids[kept & ~hidden])
    nll = cross_entropy(head.network(shown, head.network.memory(features(3))), ids)
    torch.testing.assert_close(loss.per_sample, row_mean(nll, hidden))


def test_discrete_diffusion_refuses_rows_of_several_lengths() -> None:
    reason = str(DiscreteDiffusion.Config().refuses(DctBpe.Config()))
    assert "dct_bpe has rows of different lengths" in reason and "autoregressive" in reason
    assert Autoregressive.Config().refuses(DctBpe.Config()) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("rounds", 0), ("temperature", -1.0), ("noise", -0.1), ("remask", 1.5)],
)
def test_discrete_diffusion_refuses_impossible_settings(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"head.{field}"):
        DiscreteDiffusion.Config(**{field: value}).build(spec())  # type: ignore[arg-type]


def test_several_rounds_keep_to_one_mode_where_one_round_mixes() -> None:
    """All ids 2 or all ids 9, equally often. Ids one at a time agree with each other; ids drawn at
    once, each for itself, do not."""
    heads: list[TokenHead] = [
        diffusion(rounds=1, temperature=1.0),
        diffusion(rounds=L, temperature=1.0),
        autoregressive(temperature=1.0),
    ]
    agreeing: list[float] = []
    for head in heads:
        low, high = (head.tokenizer.decode(torch.full((1, L), i)).chunk for i in (2, 9))
        chunk = torch.where(torch.arange(32).view(32, 1, 1) % 2 == 0, low, high)
        seen = Features(tokens=torch.zeros(32, 1, WIDTH), pooled=torch.zeros(32, WIDTH))
        optimizer = torch.optim.Adam(head.network.parameters(), 3e-3)
        mask = torch.ones(32, H, dtype=torch.bool)
        for step in range(100):
            optimizer.zero_grad()
            head.loss(seen, chunk, mask, Generator().manual_seed(step)).total.backward()
            optimizer.step()
        ids = head.sample(seen, Generator().manual_seed(0), samples=4).trace["ids"].flatten(0, 1)
        agreeing.append(float((ids == ids[:, :1]).all(-1).float().mean()))
    assert agreeing[0] < 0.1
    assert agreeing[1] > 0.75 and agreeing[2] > 0.75
