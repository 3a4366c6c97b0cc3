"""L1 regression with parallel decoding (OpenVLA-OFT, Kim, Finn & Liang, 2025, sections 4.1-4.2).

H learned queries attend to one another and to the features, and a linear layer reads one action
from each: all H steps in one pass, without autoregression. The loss is the mean absolute error of
normalised actions. There is no noise, so that S samples are S copies of the one prediction.
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
    masked_mean,
)
from enactive.models.layers import DecoderLayer


class ParallelDecoder(nn.Module):
    """Learned queries to a chunk, all steps at once."""

    def __init__(self, config: L1.Config, spec: HeadSpec) -> None:
        super().__init__()
        width = spec.width
        self.queries = nn.Parameter(0.02 * torch.randn(spec.horizon, width))
        self.pooled = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, config.attention_heads, config.mlp_ratio)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, spec.action_size)

    def forward(self, features: Features) -> Tensor:
        """The chunk, normalised: ``float32 (B, H, A)``."""
        x = self.queries + self.pooled(features.pooled).unsqueeze(1)  # (B, H, D)
        for layer in self.layers:
            x = layer(x, features.tokens)
        return self.out(self.norm(x)).float()


class L1(Head):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(HeadConfig):
        """Size of the decoder."""

        depth: int = 2
        """Decoder layers."""
        attention_heads: int = 4
        """Heads of each attention; divides the features' width."""
        mlp_ratio: int = 4
        """Inner width of the MLPs over the features' width."""

        def build(self, spec: HeadSpec) -> L1:
            """Make the head, see :meth:`HeadConfig.build`."""
            return L1(self, spec)

    def __init__(self, config: L1.Config, spec: HeadSpec) -> None:
        super().__init__(spec)
        self.network = ParallelDecoder(config, spec)

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """Mean absolute error, see :meth:`Head.loss`; ``generator`` is not used."""
        per_sample = masked_mean((self.network(features) - chunk).abs(), mask)  # (B,)
        total = per_sample.mean()
        return Loss(total=total, per_sample=per_sample, parts={"l1": total.detach()})

    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """The prediction, ``samples`` times; one pass of the head."""
        chunk = self.network(features).unsqueeze(1).expand(-1, samples, -1, -1)  # (B, S, H, A)
        return Samples(chunk=chunk, cost=Cost(head_passes=1))
