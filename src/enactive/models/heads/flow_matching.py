"""Flow matching over action chunks (pi0, Black et al., 2024, sections III-IV and appendix B).

Conventions, which published codes disagree on:

- Time runs from **t = 0, noise, to t = 1, data**: ``x_t = (1 - t) · noise + t · chunk``. (The paper
  writes tau for it; the authors' released code runs time the other way.)
- The network predicts the **velocity dx/dt = chunk - noise**, and sampling adds it:
  ``x += velocity / steps`` at t = 0, 1/steps, ..., from noise to data, by Euler's method.
- Training draws ``t = 0.999 · (1 - u)``, ``u ~ Beta(1.5, 1)``: small t, where little of the chunk
  is left to see, is drawn more often, and t above 0.999 never is.
- The loss is the squared error of the velocity, averaged over entries.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from enactive.models.layers import DecoderLayer, sinusoidal
from enactive.models.tokenizers.tokenizer import fill_past_end

LATEST = 0.999
"""Largest t that training draws; sampling with up to 1000 steps never evaluates a later one."""


class VelocityNetwork(nn.Module):
    """Noisy chunk, time and features to dx/dt."""

    def __init__(self, config: FlowMatching.Config, spec: HeadSpec) -> None:
        super().__init__()
        width = spec.width
        self.width = width
        self.inputs = nn.Linear(spec.action_size, width)
        self.positions = nn.Parameter(0.02 * torch.randn(spec.horizon, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.pooled = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, config.attention_heads, config.mlp_ratio, conditioned=True)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, spec.action_size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, time: Tensor, features: Features) -> Tensor:
        """The predicted dx/dt.

        Args:
            x: noisy chunks ``float32 (B, H, A)``.
            time: t ``float32 (B,)`` in [0, 1].
            features: of the B windows.
        """
        embedded = sinusoidal(time, self.width, shortest=4e-3, longest=4.0)  # (B, D)
        condition = self.time(embedded) + self.pooled(features.pooled)  # (B, D)
        y = self.inputs(x) + self.positions  # (B, H, D)
        for place, layer in enumerate(self.layers):
            y = layer(y, self.memory(features, place), condition)
        return self.out(self.norm(y)).float()

    def memory(self, features: Features, place: int) -> Tensor:
        """What the layer at ``place`` attends to: ``(B, N, D)``."""
        return features.tokens


class FlowMatching(Head):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(HeadConfig):
        """Size of the velocity network and number of integration steps."""

        depth: int = 2
        """Decoder layers."""
        attention_heads: int = 4
        """Heads of each attention; divides the features' width."""
        mlp_ratio: int = 4
        """Inner width of the MLPs over the features' width."""
        steps: int = 10
        """Euler steps of sampling; each is one pass of the head."""
        draws: int = 1
        """Times and noises drawn per chunk in training: more give a steadier gradient, and cost
        passes of the head but none of the backbone."""

        def build(self, spec: HeadSpec) -> FlowMatching:
            """Make the head, see :meth:`HeadConfig.build`."""
            return FlowMatching(self, spec)

    def __init__(
        self,
        config: FlowMatching.Config,
        spec: HeadSpec,
        network: type[VelocityNetwork] = VelocityNetwork,
    ) -> None:
        super().__init__(spec)
        if not 1 <= config.steps <= 1000:
            raise ValueError(f"head.steps must be from 1 to 1000, got {config.steps}")
        if config.draws < 1:
            raise ValueError(f"head.draws must be at least 1, got {config.draws}")
        self.steps = config.steps
        self.draws = config.draws
        self.network = network(config, spec)

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """Squared error of the velocity, see :meth:`Head.loss`."""
        chunk = fill_past_end(chunk, mask)  # the network sees all of the noisy chunk
        batch = chunk.shape[0]
        if self.draws > 1:
            features = features.repeat(self.draws)
            chunk = chunk.repeat_interleave(self.draws, dim=0)
            mask = mask.repeat_interleave(self.draws, dim=0)
        noise = draw_normal(chunk.shape, generator, chunk.device)  # (B·draws, H, A)
        time = draw_times(chunk.shape[0], generator).to(chunk.device)  # (B·draws,)
        t = time[:, None, None]
        predicted = self.network((1 - t) * noise + t * chunk, time, features)
        error = masked_mean((predicted - (chunk - noise)).square(), mask)  # (B·draws,)
        per_sample = error.view(batch, self.draws).mean(1)  # (B,)
        total = per_sample.mean()
        return Loss(total=total, per_sample=per_sample, parts={"flow": total.detach()})

    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """Chunks integrated from noise; ``steps · samples`` passes of the head per row."""
        batch = features.pooled.shape[0]
        shape = (batch, samples, self.horizon, self.action_size)
        x = draw_normal(shape, generator, features.pooled.device).flatten(0, 1)  # (B·S, H, A)
        repeated = features.repeat(samples) if samples > 1 else features
        for step in range(self.steps):
            time = torch.full((batch * samples,), step / self.steps, device=x.device)
            x = x + self.network(x, time, repeated) / self.steps
        return Samples(chunk=x.view(shape), cost=Cost(head_passes=self.steps * samples))


def draw_times(count: int, generator: Generator) -> Tensor:
    """``count`` training times t in [0, 0.999], ``float32``, see the module.

    Beta(1.5, 1) has the distribution function u^1.5, which is inverted.
    """
    uniform = torch.rand(count, generator=generator, device=generator.device)
    return LATEST * (1 - uniform ** (1 / 1.5))
