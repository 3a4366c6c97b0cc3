"""The diffusion head: schedule, DDIM, guidance, and what each pass costs."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from enactive.models.backbones.backbone import Features
from enactive.models.heads.diffusion import (
    Diffusion,
    ddim_step,
    draw_dropped,
    sampling_steps,
    squared_cosine,
)
from enactive.models.heads.head import HeadSpec

WIDTH, A, H, N = 32, 3, 6, 7
SPEC = HeadSpec(width=WIDTH, action_size=A, horizon=H)


def features(batch: int, seed: int = 0) -> Features:
    generator = Generator().manual_seed(seed)
    return Features(
        tokens=torch.randn(batch, N, WIDTH, generator=generator),
        pooled=torch.randn(batch, WIDTH, generator=generator),
    )


def chunk(batch: int, seed: int = 9) -> Tensor:
    return torch.randn(batch, H, A, generator=Generator().manual_seed(seed))


def head(**fields) -> Diffusion:
    """With random weights: the last layer of a fresh one is 0, which makes much hold trivially."""
    torch.manual_seed(0)
    made = Diffusion.Config(**fields).build(SPEC)
    torch.nn.init.normal_(made.network.out.weight, std=0.3)
    return made


def test_schedule_and_sampler_are_those_of_diffusers() -> None:
    """Numbers of diffusers 0.42.1: DDIMScheduler(num_train_timesteps=100,
    beta_schedule="squaredcos_cap_v2", clip_sample=False), 10 steps, eta 0, the noise predicted as
    0.3 x + 0.1 cos(t / 10)."""
    signal = squared_cosine(100)
    known = [0.99936873, 0.96671665, 0.47826457, 0.01954437, 0.00024286, 2.4285e-07]
    at = signal[[0, 10, 50, 90, 98, 99]]
    torch.testing.assert_close(at, torch.tensor(known), rtol=3e-5, atol=0)
    steps = sampling_steps(100, 10)
    assert steps == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]
    x = torch.tensor([[1.0, -0.5, 0.25]])
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        noise = 0.3 * x + 0.1 * torch.cos(torch.tensor(step / 10))
        x = ddim_step(x, noise, signal[step], torch.tensor(1.0) if after is None else signal[after])
    torch.testing.assert_close(
        x, torch.tensor([[3.6818857, -1.5859532, 1.0479665]]), rtol=1e-5, atol=0
    )


@given(st.integers(2, 1000), st.data())
def test_steps_fall_evenly_to_zero(noise_steps: int, data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, noise_steps))
    visited = sampling_steps(noise_steps, steps)
    assert len(set(visited)) == steps and visited[-1] == 0 and max(visited) < noise_steps
    gaps = {a - b for a, b in itertools.pairwise(visited)}
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)
    signal = squared_cosine(noise_steps)
    assert (signal.diff() < 0).all() and signal[-1] > 0 and signal[0] < 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 90), st.integers(0, 90), st.integers(0, 2**31))
def test_the_true_noise_leads_from_any_level_to_any_other(a: int, b: int, seed: int) -> None:
    signal = squared_cosine(100)
    clean, noise = chunk(1, seed), chunk(1, seed + 1)

    def noisy(level: Tensor) -> Tensor:
        return level.sqrt() * clean + (1 - level).sqrt() * noise

    there = ddim_step(noisy(signal[a]), noise, signal[a], signal[b])
    torch.testing.assert_close(there, noisy(signal[b]), rtol=1e-4, atol=1e-4)
    landed = ddim_step(noisy(signal[a]), noise, signal[a], torch.tensor(1.0))
    torch.testing.assert_close(landed, clean, rtol=1e-4, atol=1e-4)


class Exact(torch.nn.Module):
    """The noise that is in x if the data is a single point."""

    def __init__(self, point: Tensor, signal: Tensor) -> None:
        super().__init__()
        self.point, self.signal = point, signal

    def forward(self, x: Tensor, step: Tensor, features: Features, kept: Tensor) -> Tensor:
        level = self.signal[step][:, None, None]
        return (x - level.sqrt() * self.point) / (1 - level).sqrt()


@pytest.mark.parametrize(("steps", "guidance"), [(1, 1.0), (3, 1.0), (10, 1.5), (100, 3.0)])
def test_exact_noise_leads_to_the_data(steps: int, guidance: float) -> None:
    made = head(steps=steps, guidance=guidance)
    point = chunk(1)
    made.network = Exact(point, made.signal)
    drawn = made.sample(features(2), Generator().manual_seed(0), samples=3).chunk
    torch.testing.assert_close(drawn, point.expand(2, 3, H, A), rtol=0, atol=2e-4)


def test_nothing_is_drawn_but_the_first_noise() -> None:
    made, used = head(), Generator().manual_seed(4)
    first = made.sample(features(2), used, samples=2).chunk
    again = made.sample(features(2), Generator().manual_seed(4), samples=2).chunk
    assert torch.equal(first, again)
    alone = Generator().manual_seed(4)
    torch.randn(2, 2, H, A, generator=alone)
    assert torch.equal(used.get_state(), alone.get_state())


@pytest.mark.parametrize(
    ("guidance", "samples", "passes"), [(1.5, 1, 20), (1.0, 1, 10), (1.5, 3, 60), (0.0, 1, 20)]
)
def test_passes_are_those_of_the_network(guidance: float, samples: int, passes: int) -> None:
    made, rows = head(guidance=guidance), []
    made.network.register_forward_hook(lambda _, given, made: rows.append(len(given[0])))
    drawn = made.sample(features(4), Generator().manual_seed(0), samples)
    assert sum(rows) / 4 == passes == drawn.cost.head_passes


@pytest.mark.parametrize("conditioning", ["pooled", "tokens"])
def test_guidance_extrapolates_from_the_null(conditioning: str) -> None:
    made = head(conditioning=conditioning, guidance=2.5)
    x, seen, step = chunk(4), features(4), torch.full((4,), 50)
    true = torch.ones(4, dtype=torch.bool)
    conditional = made.network(x, step, seen, true)
    null = made.network(x, step, seen, ~true)
    expected = null + 2.5 * (conditional - null)
    torch.testing.assert_close(made._noise(x, 50, seen.repeat(2), True), expected)
    torch.testing.assert_close(made._noise(x, 50, seen, False), conditional)
    # The null knows nothing of what was seen, the condition does.
    other = features(4, seed=1)
    assert torch.equal(made.network(x, step, other, ~true), null)
    assert not torch.allclose(made.network(x, step, other, true), conditional)


def test_only_the_tokens_lift_the_bottleneck() -> None:
    """Conditioned on one vector, the head must not see anything else of the features."""
    seen = features(2)
    other = Features(tokens=features(2, seed=5).tokens, pooled=seen.pooled)
    for conditioning, blind in (("pooled", True), ("tokens", False)):
        made = head(conditioning=conditioning)
        one = made.sample(seen, Generator().manual_seed(0)).chunk
        two = made.sample(other, Generator().manual_seed(0)).chunk
        assert torch.equal(one, two) == blind


@pytest.mark.parametrize("conditioning", ["pooled", "tokens"])
def test_gradients_reach_every_parameter(conditioning: str) -> None:
    made = head(conditioning=conditioning, width=48, depth=3)
    mask = torch.ones(4, H, dtype=torch.bool)
    made.loss(features(4), chunk(4), mask, Generator().manual_seed(0)).total.backward()
    assert [name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []


@given(st.integers(1, 400), st.floats(0, 0.99), st.integers(0, 2**31))
def test_the_share_of_dropped_conditions_is_kept(rows: int, share: float, seed: int) -> None:
    dropped = draw_dropped(rows, share, Generator().manual_seed(seed))
    assert abs(int(dropped.sum()) - share * rows) < 1 + 1e-6 * rows


def test_any_row_may_lose_its_condition() -> None:
    generator = Generator().manual_seed(0)
    counts = sum(draw_dropped(5, 0.1, generator).int() for _ in range(4000))
    assert counts.float().div(4000).sub(0.1).abs().max() < 0.03


@pytest.mark.parametrize("mask_entries", [False, True])
def test_what_the_mask_leaves_out_never_matters(mask_entries: bool) -> None:
    made = head()
    mask = torch.ones(4, H, A if mask_entries else 1, dtype=torch.bool)
    mask[1, 2:] = False
    mask[2, :, 0] = not mask_entries
    given = mask if mask_entries else mask[..., 0]
    a = chunk(4)
    b = torch.where(mask, a, torch.full_like(a, 1e3))
    one, two = (made.loss(features(4), x, given, Generator().manual_seed(0)) for x in (a, b))
    assert torch.equal(one.per_sample, two.per_sample)


def test_it_learns_both_modes() -> None:
    """Two modes at -1 (one third) and +1, drawn in their proportions; guidance has no say, as
    the condition tells nothing."""
    torch.manual_seed(0)
    made = Diffusion.Config(depth=1, draws=1).build(HeadSpec(width=32, action_size=1, horizon=1))
    seen = Features(tokens=torch.zeros(256, 1, 32), pooled=torch.zeros(256, 32))
    target = torch.where(torch.arange(256) % 3 == 0, -1.0, 1.0).view(256, 1, 1)
    mask = torch.ones(256, 1, dtype=torch.bool)
    optimizer = torch.optim.Adam(made.parameters(), 3e-3)
    # The learning rate falls to 0: which mode is decided in the noisiest steps, where an error of
    # the noise counts 7 times as much in the chunk.
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=500)
    for step in range(500):
        optimizer.zero_grad()
        made.loss(seen, target, mask, Generator().manual_seed(step)).total.backward()
        optimizer.step()
        falling.step()
    with torch.no_grad():
        one = Features(tokens=seen.tokens[:1], pooled=seen.pooled[:1])
        drawn = made.sample(one, Generator().manual_seed(0), samples=2000).chunk.flatten()
    assert (drawn.abs() - 1).abs().mean() < 0.15
    assert (drawn < 0).float().mean() == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "head.steps must be from 1 to 100"),
        ({"steps": 101}, "head.steps"),
        ({"noise_steps": 1, "steps": 1}, "head.noise_steps"),
        ({"draws": 0}, "head.draws"),
        ({"dropout": 1.0}, "head.dropout"),
        ({"guidance": -0.5}, "head.guidance"),
        ({"dropout": 0.0}, "never trained"),
        ({"attention_heads": 5}, "not a multiple"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head(**fields)
