"""A diffusion transformer on one condition vector (CogACT, Li et al., 2024, arXiv 2411.19650).

- **Network**: the tokens are ``[time + linear(condition)]`` followed by the H noisy actions, with
  learned positions, through plain pre-norm self-attention blocks (no modulation by the condition:
  it is read by attention alone), and a zero-initialised linear layer on the H actions. The paper's
  sizes (depth x width): S 6x384, B 12x768, L 24x1024.
- **Condition**: the backbone's one pooled vector, the paper's cognition token. That is a bottleneck
  by design; ``conditioning="tokens"`` lets every block attend to all feature tokens too, to
  measure what it costs.
- **Training**: ``noise_steps`` = 100 steps of the squared-cosine schedule (Nichol & Dhariwal, 2021,
  section 3.2, every beta at most 0.999), uniformly drawn; the network predicts the noise, and the
  loss is its squared error. Each chunk is noised ``draws`` times, which costs passes of the head
  but none of the backbone. For a share ``dropout`` of them a learned null takes the condition's
  place.
- **Sampling**: deterministic DDIM (Song et al., 2021, equation 12 with sigma = 0) over evenly
  spaced steps 90, 80, ..., 0, and classifier-free guidance (Ho & Salimans, 2022): ``noise = null +
  guidance · (conditional - null)``, two passes of the network per step unless guidance is 1. The
  first of these steps is not the noisiest, so that what remains of the chunk there (14 % of its
  amplitude) is replaced by noise; the authors' code does the same.

DDIM is written out here (:func:`ddim_step`, 4 lines) rather than taken from a library: the
schedulers of diffusers keep state between steps and expect a pipeline around them. The tests hold
numbers of theirs against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from enactive.actions.decision import Cost
from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import (
    Generators,
    Head,
    HeadConfig,
    HeadSpec,
    Loss,
    Samples,
    draw_normal,
    masked_mean,
)
from enactive.models.layers import DecoderLayer, EncoderLayer, sinusoidal
from enactive.models.tokenizers.tokenizer import fill_past_end


class NoiseNetwork(nn.Module):
    """Noisy chunk, step and features to the noise in the chunk."""

    def __init__(self, config: Diffusion.Config, spec: HeadSpec) -> None:
        super().__init__()
        width = spec.width if config.width is None else config.width
        self.width = width
        self.inputs = nn.Linear(spec.action_size, width)
        self.positions = nn.Parameter(0.02 * torch.randn(1 + spec.horizon, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.condition = nn.Linear(spec.width, width)
        self.null = nn.Parameter(0.02 * torch.randn(spec.width))
        self.memory: nn.Linear | None = None
        size = (width, config.attention_heads, config.mlp_ratio)
        if config.conditioning == "tokens":
            self.memory = nn.Linear(spec.width, width)
            self.layers = nn.ModuleList(DecoderLayer(*size) for _ in range(config.depth))
        else:
            self.layers = nn.ModuleList(EncoderLayer(*size) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, spec.action_size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, step: Tensor, features: Features, kept: Tensor) -> Tensor:
        """The predicted noise ``float32 (B, H, A)``.

        Args:
            x: noisy chunks ``float32 (B, H, A)``.
            step: noise steps ``int64 (B,)`` in [0, T).
            features: of the B windows.
            kept: ``bool (B,)``; False puts the null in the condition's place.
        """
        pooled = torch.where(kept[:, None], features.pooled, self.null)  # (B, D)
        embedded = sinusoidal(step, self.width, shortest=4.0, longest=4e3)  # (B, W)
        first = self.time(embedded) + self.condition(pooled)  # (B, W)
        y = torch.cat([first.unsqueeze(1), self.inputs(x)], dim=1) + self.positions  # (B, 1+H, W)
        if self.memory is None:
            for layer in self.layers:
                y = layer(y)
        else:
            tokens = torch.where(kept[:, None, None], features.tokens, self.null)  # (B, N, D)
            memory = self.memory(tokens)  # (B, N, W)
            for layer in self.layers:
                y = layer(y, memory)
        return self.out(self.norm(y[:, 1:])).float()


class Diffusion(Head):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(HeadConfig):
        """Size of the noise network, training noise, sampling."""

        width: int | None = None
        """Width of the network; None takes the features' width."""
        depth: int = 2
        """Self-attention blocks."""
        attention_heads: int = 4
        """Heads of each attention; divides the width."""
        mlp_ratio: int = 4
        """Inner width of the MLPs over the width."""
        conditioning: Literal["pooled", "tokens"] = "pooled"
        """Condition on one vector, as the paper does, or on all feature tokens besides."""
        steps: int = 10
        """DDIM steps of sampling; each is one or two passes of the head."""
        guidance: float = 1.5
        """Strength of the condition: 1 is none of guidance and one pass per step instead of two;
        the paper finds 1.5 to 7 to work."""
        dropout: float = 0.1
        """Share of training noises for which the condition is left out; guidance needs it."""
        draws: int = 4
        """Noises drawn per chunk in training; the paper's recipe draws 8."""
        noise_steps: int = 100
        """T: steps of the noise schedule."""

        def build(self, spec: HeadSpec) -> Diffusion:
            """Make the head, see :meth:`HeadConfig.build`."""
            return Diffusion(self, spec)

    signal: Tensor
    """alpha-bar: share of the chunk's variance that is left at each step, ``float32 (T,)``."""

    def __init__(self, config: Diffusion.Config, spec: HeadSpec) -> None:
        super().__init__(spec)
        if config.noise_steps < 2:
            raise ValueError(f"head.noise_steps must be at least 2, got {config.noise_steps}")
        if not 1 <= config.steps <= config.noise_steps:
            raise ValueError(
                f"head.steps must be from 1 to {config.noise_steps} (noise_steps), "
                f"got {config.steps}"
            )
        if config.draws < 1:
            raise ValueError(f"head.draws must be at least 1, got {config.draws}")
        if not 0 <= config.dropout < 1:
            raise ValueError(f"head.dropout must lie in [0, 1), got {config.dropout}")
        if config.guidance < 0:
            raise ValueError(f"head.guidance must not be negative, got {config.guidance}")
        if config.guidance != 1 and config.dropout == 0:
            raise ValueError(
                f"head.guidance is {config.guidance}, and with head.dropout=0 the null condition "
                "is never trained. Fix: guidance=1, or dropout=0.1"
            )
        self.config = config
        self.network = NoiseNetwork(config, spec)
        self.register_buffer("signal", squared_cosine(config.noise_steps), persistent=False)

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """Squared error of the noise, see :meth:`Head.loss`."""
        chunk = fill_past_end(chunk, mask)  # the network sees all of the noisy chunk
        batch, draws = chunk.shape[0], self.config.draws
        if draws > 1:
            features = features.repeat(draws)
            chunk = chunk.repeat_interleave(draws, dim=0)
            mask = mask.repeat_interleave(draws, dim=0)
        rows = len(chunk)  # B·draws
        noise = draw_normal(chunk.shape, generator, chunk.device)  # (B·draws, H, A)
        step = torch.randint(
            self.config.noise_steps, (rows,), generator=generator, device=generator.device
        ).to(chunk.device)
        kept = ~draw_dropped(rows, self.config.dropout, generator).to(chunk.device)
        signal = self.signal[step][:, None, None]  # (B·draws, 1, 1)
        noisy = signal.sqrt() * chunk + (1 - signal).sqrt() * noise
        predicted = self.network(noisy, step, features, kept)
        error = masked_mean((predicted - noise).square(), mask)  # (B·draws,)
        per_sample = error.view(batch, draws).mean(1)  # (B,)
        total = per_sample.mean()
        return Loss(total=total, per_sample=per_sample, parts={"noise": total.detach()})

    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """Chunks made from noise; ``steps · samples`` passes per row, twice that with guidance."""
        batch = features.pooled.shape[0]
        shape = (batch, samples, self.horizon, self.action_size)
        x = draw_normal(shape, generator, features.pooled.device).flatten(0, 1)  # (B·S, H, A)
        guided = self.config.guidance != 1
        repeated = features.repeat(samples * (2 if guided else 1))
        steps = sampling_steps(self.config.noise_steps, self.config.steps)
        for place, step in enumerate(steps):
            noise = self._noise(x, step, repeated, guided)
            after = self.signal[steps[place + 1]] if place + 1 < len(steps) else torch.tensor(1.0)
            x = ddim_step(x, noise, self.signal[step], after.to(x.device))
        passes = self.config.steps * samples * (2 if guided else 1)
        return Samples(chunk=x.view(shape), cost=Cost(head_passes=passes))

    def _noise(self, x: Tensor, step: int, features: Features, guided: bool) -> Tensor:
        """The noise in ``x (B, H, A)``; with guidance, features hold every row twice."""
        rows = len(x)
        if not guided:
            time = torch.full((rows,), step, device=x.device)
            return self.network(x, time, features, torch.ones_like(time, dtype=torch.bool))
        twice = x.repeat_interleave(2, dim=0)  # (2·B, H, A): with and without condition, by turns
        kept = torch.arange(2 * rows, device=x.device) % 2 == 0
        time = torch.full((2 * rows,), step, device=x.device)
        both = self.network(twice, time, features, kept).unflatten(0, (rows, 2))  # (B, 2, H, A)
        conditional, null = both.unbind(1)
        return null + self.config.guidance * (conditional - null)


def squared_cosine(steps: int) -> Tensor:
    """The squared-cosine schedule's alpha-bar, ``float32 (T,)``, falling from nearly 1."""

    def level(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    kept = [
        1 - min(1 - level((step + 1) / steps) / level(step / steps), 0.999) for step in range(steps)
    ]
    return torch.tensor(kept, dtype=torch.float64).cumprod(0).float()


def sampling_steps(noise_steps: int, steps: int) -> list[int]:
    """The noise steps that sampling visits, noisiest first, evenly spaced and ending at 0."""
    return [number * noise_steps // steps for number in reversed(range(steps))]


def ddim_step(x: Tensor, noise: Tensor, signal: Tensor, after: Tensor) -> Tensor:
    """Chunk ``x`` with the signal share ``signal``, brought to the share ``after``.

    Args:
        x: ``(B, H, A)``.
        noise: the noise in it, ``(B, H, A)``.
        signal: alpha-bar of ``x``, ``()``.
        after: alpha-bar of the result, ``()``; 1 gives the clean chunk.
    """
    clean = (x - (1 - signal).sqrt() * noise) / signal.sqrt()
    return after.sqrt() * clean + (1 - after).sqrt() * noise


def draw_dropped(rows: int, share: float, generator: Generator) -> Tensor:
    """``bool (rows,)``: each True with probability ``share``, ``share · rows`` of them in all but
    for rounding, so that no batch of a fair size leaves the null without a gradient."""
    device = generator.device
    order = torch.randperm(rows, generator=generator, device=device)
    place = order + torch.rand(rows, generator=generator, device=device)  # one per stratum
    return place / rows < share
