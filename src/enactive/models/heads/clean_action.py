"""Predicting the clean chunk (ABot-M0, arXiv 2602.11236, "Action Manifold Learning").

Chunks of real motion lie near a manifold of few dimensions, noise and velocity do not, so that a
network of limited width may find the clean chunk easier to predict. **What the network predicts**
(``target``) and **how its errors are weighted over time** (``weighting``) are two questions, and
the published comparison of a clean-action head with a velocity head changes both answers at once.
Here they are two options; the network, the times and the sampler are the same for all.

With ``x_t = (1 - t) · noise + t · chunk``, **t = 0 noise, t = 1 data** (as everywhere here, and in
the paper):

==========  =====================  ===============================  ==========================
target      network's output       its error as a clean chunk       velocity for sampling
==========  =====================  ===============================  ==========================
clean       chunk                  output - chunk                   (output - x) / (1 - t)
velocity    chunk - noise          (1 - t) (output - velocity)      output
noise       noise                  (1 - t) / t · (noise - output)   (x - output) / t
==========  =====================  ===============================  ==========================

The loss is ``w(t) · |error as a clean chunk|²``. The weighting says in whose space that is a plain
squared error: ``uniform`` (w = 1) in the clean chunk's, ``velocity`` (w = 1 / (1 - t)²) in the
velocity's, ``noise`` (w = t² / (1 - t)²) in the noise's. So the paper's head is clean x velocity,
flow matching is velocity x velocity, and a plain regression of the chunk is clean x uniform.
Training draws ``t = (0.999 - u) / 0.999``, u ~ Beta(1.5, 1): mean 0.40. Under ``velocity`` more
than half of all the weight still lies at t > 0.9.

**The clamp.** 1 - t is never taken to be less than ``clamp`` (0.05), in the weights and in the
velocity alike. Sampling in K steps divides by 1 - t = 1/K at least, so more than 1 / clamp steps
are refused: training and sampling then use one and the same velocity, and the last of K steps lands
on the last predicted chunk. The noise target has the same trouble at t = 0, where the noise says
nothing of the chunk: its network never sees times before ``clamp``, neither in training nor in
sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from enactive.actions.decision import Cost
from enactive.models.backbones.backbone import Features
from enactive.models.heads.flow_matching import VelocityNetwork
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
from enactive.models.tokenizers.tokenizer import fill_past_end

Target = Literal["clean", "velocity", "noise"]
Weighting = Literal["uniform", "velocity", "noise"]


class CleanAction(Head):
    """See the module. The network is flow matching's, layer for layer."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(HeadConfig):
        """What is predicted, how errors are weighted, size of the network, sampling."""

        target: Target = "clean"
        """What the network predicts."""
        weighting: Weighting = "velocity"
        """In whose space the loss is a plain squared error."""
        depth: int = 2
        """Decoder layers: self-attention, cross-attention to the features, MLP."""
        attention_heads: int = 4
        """Heads of each attention; divides the features' width."""
        mlp_ratio: int = 4
        """Inner width of the MLPs over the features' width."""
        steps: int = 4
        """Euler steps of sampling, at most 1 / clamp; each is one pass of the head."""
        draws: int = 4
        """Times and noises drawn per chunk in training; the paper draws 8."""
        clamp: float = 0.05
        """Least 1 - t that anything is divided by, see the module."""

        def build(self, spec: HeadSpec) -> CleanAction:
            """Make the head, see :meth:`HeadConfig.build`."""
            return CleanAction(self, spec)

    def __init__(self, config: CleanAction.Config, spec: HeadSpec) -> None:
        super().__init__(spec)
        if not 0 < config.clamp <= 1:
            raise ValueError(f"head.clamp must lie in (0, 1], got {config.clamp}")
        if not 1 <= config.steps <= 1 / config.clamp + 1e-6:
            raise ValueError(
                f"head.steps must be from 1 to 1 / head.clamp = {1 / config.clamp:g}, got "
                f"{config.steps}: with more, sampling would use another velocity than training. "
                f"Fix: clamp={1 / max(config.steps, 1):g} or less"
            )
        if config.draws < 1:
            raise ValueError(f"head.draws must be at least 1, got {config.draws}")
        self.config = config
        self.network = VelocityNetwork(config, spec)

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """The weighted squared error of the clean chunk, see the module and :meth:`Head.loss`."""
        chunk = fill_past_end(chunk, mask)  # the network sees all of the noisy chunk
        batch, draws = chunk.shape[0], self.config.draws
        if draws > 1:
            features = features.repeat(draws)
            chunk = chunk.repeat_interleave(draws, dim=0)
            mask = mask.repeat_interleave(draws, dim=0)
        noise = draw_normal(chunk.shape, generator, chunk.device)  # (B·draws, H, A)
        time = self.admissible(draw_times(len(chunk), generator).to(chunk.device))  # (B·draws,)
        t = time[:, None, None]
        output = self.network((1 - t) * noise + t * chunk, time, features)
        squared = masked_mean(self.clean_error(output, chunk, noise, t).square(), mask)
        error = self.weight(time) * squared  # (B·draws,)
        per_sample = error.view(batch, draws).mean(1)  # (B,)
        total = per_sample.mean()
        return Loss(total=total, per_sample=per_sample, parts={"clean_action": total.detach()})

    def clean_error(self, output: Tensor, chunk: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network's output is off by, as a clean chunk, ``(B, H, A)``.

        Args:
            output: of the network ``(B, H, A)``.
            chunk: the true one ``(B, H, A)``.
            noise: that was mixed in ``(B, H, A)``.
            t: :meth:`admissible` times ``(B, 1, 1)``.
        """
        if self.config.target == "clean":
            return output - chunk
        if self.config.target == "velocity":
            return (1 - t) * (output - (chunk - noise))
        return (1 - t) / t * (noise - output)

    def weight(self, time: Tensor) -> Tensor:
        """w(t) of the squared error of the clean chunk, of the shape of ``time``."""
        if self.config.weighting == "uniform":
            return torch.ones_like(time)
        left = (1 - time).clamp(min=self.config.clamp)
        share = time if self.config.weighting == "noise" else torch.ones_like(time)
        return (share / left).square()

    def velocity(self, output: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """dx/dt that the network's output implies at ``x (B, H, A)``, t ``(B, 1, 1)``."""
        if self.config.target == "clean":
            return (output - x) / (1 - t).clamp(min=self.config.clamp)
        if self.config.target == "velocity":
            return output
        return (x - output) / t

    def admissible(self, time: Tensor) -> Tensor:
        """``time`` moved to where the target is defined, see the module."""
        return time.clamp(min=self.config.clamp) if self.config.target == "noise" else time

    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """Chunks integrated from noise; ``steps · samples`` passes of the head per row."""
        batch, steps = features.pooled.shape[0], self.config.steps
        shape = (batch, samples, self.horizon, self.action_size)
        x = draw_normal(shape, generator, features.pooled.device).flatten(0, 1)  # (B·S, H, A)
        repeated = features.repeat(samples) if samples > 1 else features
        for step in range(steps):
            time = self.admissible(torch.full((batch * samples,), step / steps, device=x.device))
            output = self.network(x, time, repeated)
            x = x + self.velocity(output, x, time[:, None, None]) / steps
        return Samples(chunk=x.view(shape), cost=Cost(head_passes=steps * samples))


def draw_times(count: int, generator: Generator) -> Tensor:
    """``count`` training times t in [0, 1], ``float32``, see the module.

    Beta(1.5, 1) has the distribution function u^1.5, which is inverted. The law would give times
    down to -0.001; they are moved to 0.
    """
    uniform = torch.rand(count, generator=generator, device=generator.device)
    return ((0.999 - uniform ** (1 / 1.5)) / 0.999).clamp(min=0)
