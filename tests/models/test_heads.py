"""What flow matching and L1 promise beyond the contract of heads, and the heads' helpers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator, Tensor

from enactive.models.backbones.backbone import Features
from enactive.models.heads.flow_matching import FlowMatching, draw_times
from enactive.models.heads.head import Head, HeadSpec, masked_mean
from enactive.models.heads.l1 import L1

WIDTH, A, H, N = 32, 3, 6, 7
SPEC = HeadSpec(width=WIDTH, action_size=A, horizon=H)


def features(batch: int, seed: int = 0) -> Features:
    generator = Generator().manual_seed(seed)
    return Features(
        tokens=torch.randn(batch, N, WIDTH, generator=generator),
        pooled=torch.randn(batch, WIDTH, generator=generator),
    )


def randomise(head: Head) -> Head:
    """Zero-initialised layers would make many properties hold for the wrong reason."""
    torch.manual_seed(1)
    for parameter in head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return head


def chunk(batch: int) -> Tensor:
    return torch.randn(batch, H, A, generator=Generator().manual_seed(9))


def test_rows_and_generators_must_match() -> None:
    head = FlowMatching.Config().build(SPEC)
    with pytest.raises(ValueError, match="2 generators for 4 rows"):
        head.sample(features(4), [Generator(), Generator()])


def test_masked_mean_of_a_batch_is_the_mean_of_its_parts() -> None:
    error = chunk(6).abs()
    mask = torch.rand(6, H, generator=Generator().manual_seed(3)) > 0.5
    halves = [masked_mean(error[i : i + 3], mask[i : i + 3]).mean() for i in (0, 3)]
    torch.testing.assert_close(masked_mean(error, mask).mean(), sum(halves) / 2)
    assert masked_mean(error, torch.zeros_like(mask)).eq(0).all()


def test_l1_learns_the_median_and_flow_matching_the_distribution() -> None:
    """Two modes at -1 (one third) and +1: L1 goes to the larger, flow matching to both."""
    torch.manual_seed(0)
    spec = HeadSpec(width=32, action_size=1, horizon=1)
    l1 = L1.Config(depth=1).build(spec)
    flow = FlowMatching.Config(depth=1, steps=20).build(spec)
    seen = Features(tokens=torch.zeros(256, 1, 32), pooled=torch.zeros(256, 32))
    target = torch.where(torch.arange(256) % 3 == 0, -1.0, 1.0).view(256, 1, 1)
    mask = torch.ones(256, 1, dtype=torch.bool)
    for head in (l1, flow):
        optimizer = torch.optim.Adam(head.parameters(), 3e-3)
        for step in range(250):
            optimizer.zero_grad()
            head.loss(seen, target, mask, Generator().manual_seed(step)).total.backward()
            optimizer.step()
    with torch.no_grad():
        one = Features(tokens=seen.tokens[:1], pooled=seen.pooled[:1])
        copies = l1.sample(one, Generator(), samples=2).chunk.flatten()
        drawn = flow.sample(one, Generator().manual_seed(0), samples=2000).chunk.flatten()
    assert copies[0] == copies[1] == pytest.approx(1.0, abs=0.1)
    # A velocity field integrated from noise must end near the modes, in their proportions.
    assert (drawn.abs() - 1).abs().mean() < 0.15
    assert (drawn < 0).float().mean() == pytest.approx(1 / 3, abs=0.06)


def test_flow_times_follow_the_papers_distribution() -> None:
    times = draw_times(20_000, Generator().manual_seed(0)).numpy()
    assert times.min() >= 0 and times.max() <= 0.999
    # t = 0.999 (1 - u), u ~ Beta(1.5, 1), that is t / 0.999 ~ Beta(1, 1.5): weight on noise.
    assert stats.kstest(times / 0.999, stats.beta(1, 1.5).cdf).pvalue > 0.01
    assert np.mean(times < 0.5) > 0.6


class Known(torch.nn.Module):
    """The exact velocity for data that is a single point."""

    def __init__(self, point: Tensor) -> None:
        super().__init__()
        self.point = point

    def forward(self, x: Tensor, time: Tensor, features: Features) -> Tensor:
        return (self.point - x) / (1 - time)[:, None, None]


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_the_exact_velocity_takes_noise_to_the_data(steps: int) -> None:
    """Fixes direction, sign and step size: the straight path is integrated without error."""
    point = chunk(1)
    head = FlowMatching.Config(steps=steps).build(SPEC)
    head.network = Known(point)
    drawn = head.sample(features(2), Generator().manual_seed(0), samples=2)
    torch.testing.assert_close(drawn.chunk, point.expand(2, 2, H, A), rtol=0, atol=1e-5)
    assert drawn.cost.head_passes == steps * 2
    mask = torch.ones(2, H, dtype=torch.bool)
    loss = head.loss(features(2), point.expand(2, H, A), mask, Generator().manual_seed(0))
    assert loss.total < 1e-6


def test_an_untrained_flow_predicts_no_velocity() -> None:
    head = FlowMatching.Config().build(SPEC)
    mask = torch.ones(512, H, dtype=torch.bool)
    zeros = torch.zeros(512, H, A)
    loss = head.loss(features(512), zeros, mask, Generator().manual_seed(0))
    assert loss.total.item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / zeros.numel()))


def test_draws_are_averaged_per_sample() -> None:
    torch.manual_seed(0)
    head = randomise(FlowMatching.Config(draws=3).build(SPEC))
    mask = torch.ones(4, H, dtype=torch.bool)
    loss = head.loss(features(4), chunk(4), mask, Generator().manual_seed(0))
    assert loss.per_sample.shape == (4,)


@pytest.mark.parametrize(("field", "value"), [("steps", 0), ("steps", 1001), ("draws", 0)])
def test_flow_refuses_impossible_settings(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"head.{field}"):
        FlowMatching.Config(**{field: value}).build(SPEC)
