"""Clean-action prediction: three targets, three weightings, one network, one sampler."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Generator, Tensor

from enactive.models.backbones.backbone import Features
from enactive.models.heads import clean_action
from enactive.models.heads.clean_action import CleanAction, draw_times
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.head import HeadSpec

WIDTH, A, H, N = 32, 3, 6, 7
SPEC = HeadSpec(width=WIDTH, action_size=A, horizon=H)
TARGETS = ("clean", "velocity", "noise")
WEIGHTINGS = ("uniform", "velocity", "noise")


def features(batch: int, seed: int = 0) -> Features:
    generator = Generator().manual_seed(seed)
    return Features(
        tokens=torch.randn(batch, N, WIDTH, generator=generator),
        pooled=torch.randn(batch, WIDTH, generator=generator),
    )


def normal(batch: int, seed: int) -> Tensor:
    return torch.randn(batch, H, A, generator=Generator().manual_seed(seed))


def head(**fields) -> CleanAction:
    """With random weights: the last layer of a fresh one is 0."""
    torch.manual_seed(0)
    made = CleanAction.Config(**fields).build(SPEC)
    torch.nn.init.normal_(made.network.out.weight, std=0.3)
    for layer in made.network.layers:
        torch.nn.init.normal_(layer.modulation.weight, std=0.1)
    return made


def test_times_follow_the_papers_law() -> None:
    times = draw_times(40_000, Generator().manual_seed(0)).numpy()
    assert times.min() >= 0 and times.max() <= 1
    # u = 0.999 (1 - t) ~ Beta(1.5, 1), but for what is moved to t = 0.
    inside = 0.999 * (1 - times[times > 0])
    assert stats.kstest(inside, lambda u: stats.beta(1.5, 1).cdf(u) / 0.999**1.5).pvalue > 0.01
    assert times.mean() == pytest.approx(0.40, abs=0.005)  # most of the mass is noisy
    assert 0.6 < (times < 0.5).mean() < 0.7


@settings(max_examples=30, deadline=None)
@given(st.floats(0.06, 0.94), st.integers(0, 2**31))
def test_every_target_says_the_same(time: float, seed: int) -> None:
    """One prediction written as clean chunk, as velocity and as noise: the same velocity for
    sampling, and the same loss under every weighting."""
    t = torch.tensor(time).view(1, 1, 1)
    chunk, noise, clean = normal(1, seed), normal(1, seed + 1), normal(1, seed + 2)
    x = (1 - t) * noise + t * chunk
    said = {
        "clean": clean,
        "velocity": (clean - x) / (1 - t),
        "noise": (x - t * clean) / (1 - t),
    }
    for weighting in WEIGHTINGS:
        losses, velocities = [], []
        for target in TARGETS:
            made = CleanAction.Config(target=target, weighting=weighting).build(SPEC)
            error = made.clean_error(said[target], chunk, noise, t)
            losses.append(made.weight(t) * error.square())
            velocities.append(made.velocity(said[target], x, t))
        for loss, velocity in zip(losses, velocities, strict=True):
            torch.testing.assert_close(loss, losses[0], rtol=2e-3, atol=1e-4)
            torch.testing.assert_close(velocity, velocities[0], rtol=2e-3, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 1.0), st.integers(0, 2**31))
def test_the_papers_loss_is_that_of_implied_velocities(time: float, seed: int) -> None:
    """Clean target, velocity weighting: |(output - x) - (chunk - x)|² / max(1 - t, 0.05)²."""
    made = CleanAction.Config().build(SPEC)
    t = torch.tensor(time).view(1, 1, 1)
    chunk, noise, output = normal(1, seed), normal(1, seed + 1), normal(1, seed + 2)
    x = (1 - t) * noise + t * chunk
    error = made.velocity(output, x, t) - made.velocity(chunk, x, t)
    ours = made.weight(t) * made.clean_error(output, chunk, noise, t).square()
    torch.testing.assert_close(ours, error.square(), rtol=1e-3, atol=1e-2)
    if time < 0.95:  # without the clamp these are the true velocities
        torch.testing.assert_close(
            error, (output - x) / (1 - t) - (chunk - noise), rtol=1e-3, atol=1e-3
        )


def test_velocity_under_velocity_weighting_is_flow_matching(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Same weights, noises and times: the same loss, and the same samples."""
    ours = head(target="velocity", weighting="velocity", draws=2, steps=5)
    flow = FlowMatching.Config(draws=2, steps=5).build(SPEC)
    assert [*ours.state_dict()] == [*flow.state_dict()]
    flow.load_state_dict(ours.state_dict())
    times = torch.linspace(0, 0.94, 8)
    for module in (clean_action.__name__, FlowMatching.__module__):
        monkeypatch.setattr(f"{module}.draw_times", lambda count, generator: times[:count])
    mask = torch.ones(4, H, dtype=torch.bool)
    one, two = (
        made.loss(features(4), normal(4, 1), mask, Generator().manual_seed(0))
        for made in (ours, flow)
    )
    torch.testing.assert_close(one.per_sample, two.per_sample)
    drawn = [made.sample(features(4), Generator().manual_seed(0), 2).chunk for made in (ours, flow)]
    assert torch.equal(*drawn)


def share_of_weight(weighting: str, after: float) -> float:
    """Of the loss's whole weight on the clean chunk, the share that lies at t > ``after``."""
    made = CleanAction.Config(weighting=weighting).build(SPEC)
    times = draw_times(200_000, Generator().manual_seed(0))
    weight = made.weight(times)
    return float(weight[times > after].sum() / weight.sum())


def test_target_and_weighting_are_two_questions() -> None:
    """The confound: 'clean against velocity', each in its own space, changes the weighting too.

    Two networks that say the same thing, one as a clean chunk and one as a velocity, have the same
    loss only under the same weighting. So a comparison of targets needs the weighting fixed, and a
    claim about either needs both.
    """
    t = torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1)
    chunk, noise, clean = normal(3, 1), normal(3, 2), normal(3, 3)
    x = (1 - t) * noise + t * chunk
    said = {"clean": clean, "velocity": (clean - x) / (1 - t)}

    def loss(target: str, weighting: str) -> Tensor:
        made = CleanAction.Config(target=target, weighting=weighting).build(SPEC)
        squared = made.clean_error(said[target], chunk, noise, t).square().mean((1, 2))
        return made.weight(t.flatten()) * squared

    torch.testing.assert_close(loss("clean", "velocity"), loss("velocity", "velocity"))
    torch.testing.assert_close(loss("clean", "uniform"), loss("velocity", "uniform"))
    # Each in its own space, a plain squared error: 100 times as much weight at t = 0.9.
    ratio = loss("velocity", "velocity") / loss("clean", "uniform")
    torch.testing.assert_close(ratio, 1 / (1 - t.flatten()).square(), rtol=1e-4, atol=0)


def test_most_of_the_weight_lies_late() -> None:
    """Although few of the times do (3 %)."""
    assert share_of_weight("velocity", 0.9) > 0.5
    assert share_of_weight("noise", 0.9) > 0.5
    assert share_of_weight("uniform", 0.9) < 0.05


@pytest.mark.parametrize(
    ("target", "steps"), [*itertools.product(TARGETS[:2], (1, 4, 20)), ("noise", 4), ("noise", 20)]
)
def test_the_last_step_lands_on_the_last_clean_chunk(target: str, steps: int) -> None:
    made = head(target=target, steps=steps)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def look(_, given, output) -> None:
        seen.append((given[0], given[1][:, None, None], output))

    made.network.register_forward_hook(look)
    drawn = made.sample(features(2), Generator().manual_seed(0))
    assert len(seen) == steps == drawn.cost.head_passes
    x, t, output = seen[-1]
    landed = {
        "clean": output,
        "velocity": x + (1 - t) * output,
        "noise": (x - (1 - t) * output) / t,
    }[target]
    torch.testing.assert_close(drawn.chunk[:, 0], landed, rtol=1e-4, atol=1e-4)


def test_one_step_is_regression() -> None:
    """From noise in one step: the network's output, whatever else there is."""
    made = head(steps=1)
    start = torch.randn(2, 1, H, A, generator=Generator().manual_seed(3)).flatten(0, 1)
    output = made.network(start, torch.zeros(2), features(2))
    drawn = made.sample(features(2), Generator().manual_seed(3)).chunk[:, 0]
    torch.testing.assert_close(drawn, output, rtol=0, atol=1e-6)


class Exact(torch.nn.Module):
    """What each target is where the data is a single point."""

    def __init__(self, point: Tensor, target: str) -> None:
        super().__init__()
        self.point, self.target = point, target

    def forward(self, x: Tensor, time: Tensor, features: Features) -> Tensor:
        t = time[:, None, None]
        if self.target == "clean":
            return self.point.expand_as(x)
        noise = (x - t * self.point) / (1 - t)
        return noise if self.target == "noise" else self.point - noise


@pytest.mark.parametrize("target", TARGETS)
def test_the_exact_output_leads_to_the_data(target: str) -> None:
    made = head(target=target, steps=10)
    point = normal(1, 5)
    made.network = Exact(point, target)
    drawn = made.sample(features(2), Generator().manual_seed(0), samples=3)
    torch.testing.assert_close(drawn.chunk, point.expand(2, 3, H, A), rtol=0, atol=1e-5)
    assert drawn.cost.head_passes == 30
    mask = torch.ones(2, H, dtype=torch.bool)
    loss = made.loss(features(2), point.expand(2, H, A), mask, Generator().manual_seed(0))
    assert loss.total < 1e-5


def test_training_and_sampling_never_disagree_about_the_clamp() -> None:
    """In sampling 1 - t is at least 1/K, so with K <= 1/clamp the clamp never acts there."""
    with pytest.raises(ValueError, match=r"head.steps must be from 1 to 1 / head.clamp = 20"):
        head(steps=21)
    assert head(steps=25, clamp=0.04).config.steps == 25
    times: list[float] = []
    made = head(target="noise", steps=20)
    made.network.register_forward_hook(lambda _, given, output: times.append(float(given[1][0])))
    made.sample(features(1), Generator().manual_seed(0))
    assert min(times) == pytest.approx(0.05) and max(times) == pytest.approx(0.95)
    made.loss(features(1), normal(1, 1), torch.ones(1, H).bool(), Generator().manual_seed(0))
    assert min(times) >= 0.05 - 1e-6


@pytest.mark.parametrize(("target", "weighting"), [*itertools.product(TARGETS, WEIGHTINGS)])
def test_padded_dimensions_never_matter(target: str, weighting: str) -> None:
    made = head(target=target, weighting=weighting)
    mask = torch.ones(4, H, A, dtype=torch.bool)
    mask[1:3, :, 2] = False  # an embodiment without the third entry
    mask[2, 4:] = False
    a = normal(4, 1)
    b = torch.where(mask, a, torch.full_like(a, 1e3))
    one, two = (made.loss(features(4), x, mask, Generator().manual_seed(0)) for x in (a, b))
    assert torch.equal(one.per_sample, two.per_sample)
    assert one.per_sample.isfinite().all()
    one.total.backward()
    assert [name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_it_learns_both_modes() -> None:
    """Two modes at -1 (one third) and +1; the targets differ, the distribution does not."""
    seen = Features(tokens=torch.zeros(256, 1, 32), pooled=torch.zeros(256, 32))
    data = torch.where(torch.arange(256) % 3 == 0, -1.0, 1.0).view(256, 1, 1)
    mask = torch.ones(256, 1, dtype=torch.bool)
    for target in ("clean", "velocity"):
        torch.manual_seed(0)
        config = CleanAction.Config(target=target, depth=1, steps=20, draws=1)
        made = config.build(HeadSpec(width=32, action_size=1, horizon=1))
        optimizer = torch.optim.Adam(made.parameters(), 3e-3)
        falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=300)
        for step in range(300):
            optimizer.zero_grad()
            made.loss(seen, data, mask, Generator().manual_seed(step)).total.backward()
            optimizer.step()
            falling.step()
        with torch.no_grad():
            one = Features(tokens=seen.tokens[:1], pooled=seen.pooled[:1])
            drawn = made.sample(one, Generator().manual_seed(0), samples=2000).chunk.flatten()
        assert (drawn.abs() - 1).abs().mean() < 0.15
        assert (drawn < 0).float().mean() == pytest.approx(1 / 3, abs=0.08)


@pytest.mark.parametrize(("field", "value"), [("steps", 0), ("draws", 0), ("clamp", 0.0)])
def test_impossible_settings_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"head.{field}"):
        head(**{field: value})
