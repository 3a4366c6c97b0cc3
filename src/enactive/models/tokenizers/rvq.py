"""Residual vector quantisation of action chunks.

An encoder maps a chunk to P latent vectors. Stage 1 replaces each by the nearest of its V codes,
stage 2 quantises what is left over, and so on for K stages; the decoder sees the sum (Zeghidour et
al., SoundStream, 2021, section III-C; over action chunks: Lee et al., VQ-BeT, 2024, section 3.2,
and Mete et al., QueST, 2024, section 4.1). The encoder learns through the straight-through
estimator and a commitment loss. Codes are not trained by gradient: each follows the moving average
of the vectors that chose it (van den Oord et al., 2017, appendix A.1).

**Collapse.** A code that hardly anything chooses learns nothing and stays unused. Its share is
watched, and where it falls below ``dead_below`` of an even share the code is put on a random vector
of the mini-batch. Before the first step every code is dead, so that the first mini-batch seeds the
codebooks.

**Order of the ids.** Stage by stage: all P ids of stage 1, then all of stage 2. A prefix is then
the coarser part of a chunk, whatever P is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from enactive.models.tokenizers.codebook import nearest, perplexity, reseed, usage
from enactive.models.tokenizers.fitting import fit_minibatches
from enactive.models.tokenizers.tokenizer import Decoded, Progress, Tokenizer, TokenizerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantised:
    """Latents and their codes."""

    ids: Tensor
    """``int64 (B, K, P)``."""
    sums: Tensor
    """``float32 (K, B, P, d)``: sum of the codes of the stages up to each."""


class RVQ(Tokenizer):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenizerConfig):
        """Sizes of codes and networks, and how they are fitted."""

        chunks: int = 20_000
        """Training chunks that it is fitted on, at most."""
        latents: int = 2
        """P, latent vectors of a chunk."""
        stages: int = 4
        """K, codes per latent vector."""
        vocabulary: int = 256
        """V, codes of a stage. A chunk takes P · K · log2 V bits."""
        code_width: int = 16
        """d, entries of a code."""
        width: int = 256
        """Width of the two hidden layers of encoder and decoder."""
        commitment: float = 0.25
        """Weight of the loss that keeps latents near their codes."""
        decay: float = 0.95
        """Of the moving averages that codes follow, per step."""
        dead_below: float = 0.05
        """Share of use, relative to an even one, below which a code is re-seeded; 0 never does."""
        fit_steps: int = 600
        """Gradient steps of the fit."""
        fit_batch: int = 256
        """Chunks in a mini-batch."""
        fit_rate: float = 4e-3
        """Largest learning rate."""

        def build(self, *, action_size: int, horizon: int) -> RVQ:
            """Make the tokenizer, see :meth:`TokenizerConfig.build`."""
            return RVQ(self, action_size, horizon)

    codebooks: Tensor
    """``float32 (K, V, d)``."""

    def __init__(self, config: RVQ.Config, action_size: int, horizon: int) -> None:
        super().__init__(action_size=action_size, horizon=horizon)
        for name in ("latents", "stages", "code_width", "width"):
            if getattr(config, name) < 1:
                raise ValueError(f"tokenizer.{name} must be at least 1")
        if config.vocabulary < 2:
            raise ValueError("tokenizer.vocabulary must be at least 2")
        if not 0 <= config.decay < 1:
            raise ValueError(f"tokenizer.decay must be in [0, 1), got {config.decay}")
        self.config = config
        self.vocabulary = config.vocabulary
        self.length = config.latents * config.stages
        size = horizon * action_size
        latent = config.latents * config.code_width
        self.encoder = perceptron(size, config.width, latent)
        self.decoder = perceptron(latent, config.width, size)
        shape = (config.stages, config.vocabulary, config.code_width)
        self.register_buffer("codebooks", torch.zeros(shape))

    def latent(self, chunk: Tensor) -> Tensor:
        """The encoder's ``float32 (B, P, d)`` of ``chunk (B, H, A)``."""
        return self.encoder(chunk.flatten(1)).unflatten(1, (self.config.latents, -1))

    def quantise(self, latent: Tensor) -> Quantised:
        """Codes of ``latent (B, P, d)``, stage by stage."""
        ids: list[Tensor] = []
        sums: list[Tensor] = []
        total = torch.zeros_like(latent)  # (B, P, d)
        for codes in self.codebooks:  # (V, d)
            ids.append(nearest(latent - total, codes))  # (B, P)
            total = total + codes[ids[-1]]
            sums.append(total)
        return Quantised(ids=torch.stack(ids, 1), sums=torch.stack(sums))

    def _fit(self, chunks: Tensor, generator: Generator, progress: Progress | None) -> None:
        """Reconstruction and commitment, by gradient; codes by moving average."""
        assert self.decoder is not None
        counts = torch.zeros(self.codebooks.shape[:2], device=chunks.device)  # (K, V)
        totals = torch.zeros_like(self.codebooks)  # (K, V, d)

        def loss(batch: Tensor) -> Tensor:
            latent = self.latent(batch)  # (B, P, d)
            with torch.no_grad():
                self.follow(latent, counts, totals, generator)
            sums = self.quantise(latent.detach()).sums  # (K, B, P, d)
            # Every stage's sum pulls the latent, so that early stages stay good ones.
            commitment = (latent - sums).square().mean()
            through = latent + (sums[-1] - latent).detach()  # value: the codes; gradient: latent's
            decoded = self.decoder(through.flatten(1)).view_as(batch)  # (B, H, A)
            return F.mse_loss(decoded, batch) + self.config.commitment * commitment

        fit_minibatches(
            self.parameters(),
            loss,
            chunks,
            steps=self.config.fit_steps,
            batch=self.config.fit_batch,
            rate=self.config.fit_rate,
            generator=generator,
            progress=progress,
        )

    def follow(self, latent: Tensor, counts: Tensor, totals: Tensor, generator: Generator) -> None:
        """Move the codes towards the vectors that chose them, and re-seed the dead ones.

        Args:
            latent: of a mini-batch, ``float32 (B, P, d)``.
            counts: moving average of how many vectors chose each code, ``float32 (K, V)``;
                changed in place. All 0 before the first mini-batch.
            totals: moving average of the sums of these vectors, ``float32 (K, V, d)``; changed in
                place.
            generator: draws the vectors that dead codes are put on.
        """
        residual = latent.flatten(0, 1)  # (B·P, d)
        even = len(residual) / self.vocabulary
        for stage in range(len(self.codebooks)):
            new = ~(counts[stage] > 0)
            dead = new | (counts[stage] < self.config.dead_below * even)
            codes = reseed(self.codebooks[stage], dead, residual, generator)
            # A re-seeded code starts with an even share, or it would be dead again at once.
            counts[stage][dead] = even
            totals[stage][dead] = even * codes[dead]
            ids = nearest(residual, codes)  # (B·P,)
            chosen = F.one_hot(ids, self.vocabulary).to(residual)  # (B·P, V)
            counts[stage].lerp_(chosen.sum(0), 1 - self.config.decay)
            totals[stage].lerp_(chosen.T @ residual, 1 - self.config.decay)
            used = counts[stage] > 1e-6
            mean = totals[stage] / counts[stage].clamp(min=1e-6).unsqueeze(-1)
            self.codebooks[stage] = torch.where(used.unsqueeze(-1), mean, codes)
            residual = residual - self.codebooks[stage][ids]

    def encode(self, chunk: Tensor) -> Tensor:
        """Ids ``int64 (B, P · K)``, see :meth:`Tokenizer.encode`."""
        self.require_fitted()
        with torch.no_grad():
            return self.quantise(self.latent(chunk.float())).ids.flatten(1)

    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """Chunks; ids outside [0, V) are read as the nearest id inside and flagged."""
        self.require_fitted()
        assert self.decoder is not None
        per_stage = ids.clamp(0, self.vocabulary - 1).unflatten(1, (self.config.stages, -1))
        with torch.no_grad():
            total = sum(
                codes[per_stage[:, stage]] for stage, codes in enumerate(self.codebooks)
            )  # (B, P, d)
            assert isinstance(total, Tensor)
            chunk = self.decoder(total.flatten(1)).view(-1, self.horizon, self.action_size)
        return Decoded(chunk=chunk, valid=self.is_valid(ids), passes=1)

    def usage(self, chunks: Tensor) -> tuple[Tensor, Tensor]:
        """How often each stage uses each of its codes on ``chunks (N, H, A)``.

        Returns:
            Counts ``int64 (K, V)``, and how many codes are in use, as a perplexity ``(K,)``.
        """
        ids = self.encode(chunks)  # (N, K·P)
        counts = usage(ids, self.vocabulary).unflatten(0, (self.config.stages, -1)).sum(1)
        return counts, perplexity(counts)


def perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Two hidden layers with GELU."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.GELU(),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, outputs),
    )
