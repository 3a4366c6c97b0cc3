"""MINT's spectral tokenizer: a chunk at growing resolutions, coarse to fine.

Spectrally disentangled action tokenizer (Mimic Intent, Not Just Trajectories, arXiv 2602.08602,
section 3.1). An encoder makes T latent vectors f. Scale k has l_k of them, ``1 <= l_1 < l_2 < ...
<= T``, and one codebook serves all scales. From ``f̂_0 = 0``, scale by scale:

1. average what is left, ``f - f̂_{k-1}``, down to l_k vectors (area);
2. take the code of the largest cosine for each: the l_k **ids of scale k**;
3. interpolate the codes linearly up to T vectors h, and mix: ``φ_k(h) = h/2 + conv_k(h)/2``;
4. ``f̂_k = f̂_{k-1} + φ_k(h)``.

One decoder maps every partial sum f̂_k to a chunk A_k, so that a prefix of the ids decodes too
(:meth:`Spectral.prefix_decode`). The loss asks each A_k to match the chunk in the frequency domain:
the single id of the first scale then has to carry the chunk's slow shape, which the paper reads as
its intent.

**The norm decides what that loss is.** The DCT used here is orthonormal. A mean *squared* error
over all its coefficients is the same number with the same gradient as the mean squared error over
time steps (Parseval), and "spectral" would name nothing. ``spectral_norm`` offers two that differ:
``l1``, the mean absolute error of coefficients, which asks for *few* wrong frequencies where a
squared error spreads the error out; and ``weighted``, a squared error in which scale k answers
fully for the lowest l_k/T of the frequencies and for the rest by ``high_weight``.
``domain="time"`` is the control, the same norm over time steps.

**Straight-through.** Every partial sum that the decoder sees passes its gradient on to the encoder
(value ``f̂_k``, gradient of ``f``), not only the last.

**Binary entries.** A gripper that is open or closed has no spectrum. Entries listed in ``binary``
are left out of the DCT: they enter through a two-way embedding and leave as a logit with a
cross-entropy. Which entries are binary is for the caller to know: configure it per action space.
The default is none, which is right for grippers commanded by a continuous effort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from enactive.models.tokenizers.codebook import nearest_by_angle, perplexity, reseed, usage
from enactive.models.tokenizers.dct import dct
from enactive.models.tokenizers.fitting import fit_minibatches
from enactive.models.tokenizers.spectral_network import Decoder, Encoder
from enactive.models.tokenizers.tokenizer import Decoded, Progress, Tokenizer, TokenizerConfig

EVENLY = 20
"""Steps of fitting after which codes that none of them used are re-seeded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scales:
    """A latent's codes at every scale, K scales."""

    ids: tuple[Tensor, ...]
    """``int64 (B, l_k)`` each."""
    sums: Tensor
    """Partial sums f̂_1, ..., f̂_K: ``float32 (K, B, T, d)``."""
    residuals: tuple[Tensor, ...]
    """What each scale looked up: ``float32 (B, l_k, d)`` each."""


class Spectral(Tokenizer):
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenizerConfig):
        """Scales, losses and sizes."""

        chunks: int = 20_000
        """Training chunks that it is fitted on, at most."""
        scales: tuple[int, ...] = ()
        """l_1 < ... < l_K, latent vectors of each scale, none above T = ceil(H / 4). Empty means
        1, 2, 4, ... up to T: the paper's (1, 2, 4) for chunks of 16."""
        vocabulary: int = 512
        """V, codes of the one codebook."""
        code_width: int = 32
        """d, entries of a code."""
        channels: int = 48
        """Channels of encoder and decoder."""
        binary: tuple[int, ...] = ()
        """Entries of an action that take two values, such as a gripper; see the module."""
        domain: Literal["spectral", "time"] = "spectral"
        """Where the scales' loss compares chunks; ``time`` is the control."""
        spectral_norm: Literal["l1", "weighted"] = "l1"
        """How it compares them, see the module; in the time domain ``weighted`` has no bands and is
        the mean squared error."""
        scale_wise: bool = True
        """Whether every scale's chunk is compared, or only the last one's."""
        scale_weight: float = 1.0
        """Weight of the scales' loss (of the mean over scales)."""
        high_weight: float = 0.1
        """With ``weighted``: weight of the frequencies that a scale does not answer for."""
        l1: float = 1.0
        """Weight of the mean absolute error of the last scale's chunk."""
        l2: float = 1.0
        """Weight of its mean squared error."""
        binary_weight: float = 3.0
        """Weight of the binary entries' cross-entropy; the others have three terms of weight 1."""
        commitment: float = 0.25
        """Weight of the loss that pulls latents to their codes, relative to the one that pulls
        codes to latents."""
        fit_steps: int = 400
        """Gradient steps of the fit."""
        fit_batch: int = 128
        """Chunks in a mini-batch."""
        fit_rate: float = 5e-3
        """Largest learning rate."""

        def build(self, *, action_size: int, horizon: int) -> Spectral:
            """Make the tokenizer, see :meth:`TokenizerConfig.build`."""
            return Spectral(self, action_size, horizon)

    levels: Tensor
    """The two normalised values of each binary entry, ``float32 (n, 2)``, low and high."""

    def __init__(self, config: Spectral.Config, action_size: int, horizon: int) -> None:
        super().__init__(action_size=action_size, horizon=horizon)
        self.config = config
        self.latents = -(-horizon // 4)  # T: two strides of 2
        self.scales = config.scales or doubling(self.latents)
        if sorted(set(self.scales)) != list(self.scales) or self.scales[0] < 1:
            raise ValueError(f"tokenizer.scales must grow from at least 1, got {self.scales}")
        if self.scales[-1] > self.latents:
            raise ValueError(
                f"tokenizer.scales: a chunk of {horizon} steps has T = {self.latents} latent "
                f"vectors, got a scale of {self.scales[-1]}; leave scales empty, or lower it"
            )
        if sorted(set(config.binary)) != list(config.binary) or not all(
            0 <= entry < action_size for entry in config.binary
        ):
            raise ValueError(
                f"tokenizer.binary must be growing entries in [0, {action_size}), got "
                f"{config.binary}"
            )
        if config.vocabulary < 2:
            raise ValueError("tokenizer.vocabulary must be at least 2")
        self.binary = list(config.binary)
        self.continuous = [entry for entry in range(action_size) if entry not in config.binary]
        self.vocabulary = config.vocabulary
        self.length = sum(self.scales)
        self.encoder = Encoder(
            len(self.continuous), len(self.binary), config.channels, config.code_width
        )
        self.decoder = Decoder(config.code_width, config.channels, action_size, horizon)
        self.codes = nn.Parameter(0.1 * torch.randn(config.vocabulary, config.code_width))
        self.mixers = nn.ModuleList(
            nn.Conv1d(config.code_width, config.code_width, 3, padding=1) for _ in self.scales
        )
        levels = torch.tensor([-1.0, 1.0]).expand(len(self.binary), 2)
        self.register_buffer("levels", levels.clone())

    # ------------------------------------------------------------------------------- mechanism

    def latent(self, chunk: Tensor) -> Tensor:
        """The encoder's f, ``float32 (B, T, d)``, of ``chunk (B, H, A)``."""
        return self.encoder(chunk[..., self.continuous], self.is_high(chunk))

    def is_high(self, chunk: Tensor) -> Tensor:
        """``bool (B, H, n)``: whether each binary entry is nearer to its upper value."""
        return chunk[..., self.binary] > self.levels.mean(-1)

    def quantise(self, latent: Tensor) -> Scales:
        """Codes of ``latent (B, T, d)`` at every scale, coarse to fine."""
        ids: list[Tensor] = []
        sums: list[Tensor] = []
        residuals: list[Tensor] = []
        partial = torch.zeros_like(latent)  # f̂_{k-1}: (B, T, d)
        for scale, length in enumerate(self.scales):
            residuals.append(resize(latent - partial.detach(), length))  # (B, l, d)
            ids.append(nearest_by_angle(residuals[-1].detach(), self.codes))  # (B, l)
            partial = partial + self.grow(ids[-1], scale)
            sums.append(partial)
        return Scales(ids=tuple(ids), sums=torch.stack(sums), residuals=tuple(residuals))

    def grow(self, ids: Tensor, scale: int) -> Tensor:
        """What the ids of one scale add: ``φ_k`` of their codes, ``float32 (B, T, d)``.

        Args:
            ids: ``int64 (B, l_k)``.
            scale: k, counted from 0.
        """
        h = self.codes[ids].transpose(1, 2)  # (B, d, l)
        h = F.interpolate(h, size=self.latents, mode="linear")  # (B, d, T)
        return (0.5 * h + 0.5 * self.mixers[scale](h)).transpose(1, 2)

    def partial_sums(self, ids: Tensor) -> Tensor:
        """f̂_1, ..., f̂_k of the scales that ``ids`` reaches: ``float32 (k, B, T, d)``.

        Args:
            ids: ``int64 (B, l_1 + ... + l_k)`` in [0, V): any number of whole scales.
        """
        total = ids.new_zeros((len(ids), self.latents, self.codes.shape[1]), dtype=torch.float32)
        sums: list[Tensor] = []
        start = 0
        for scale, length in enumerate(self.scales):
            if start == ids.shape[1]:
                break
            total = total + self.grow(ids[:, start : start + length], scale)
            sums.append(total)
            start += length
        return torch.stack(sums)

    # ------------------------------------------------------------------------------------- fit

    def _fit(self, chunks: Tensor, generator: Generator, progress: Progress | None) -> None:
        """See the module and :meth:`losses`."""
        self.set_levels(chunks)
        used = torch.zeros(self.vocabulary, dtype=torch.bool, device=chunks.device)
        done = 0

        def loss(batch: Tensor) -> Tensor:
            nonlocal done
            latent = self.latent(batch)  # (B, T, d)
            quantised = self.quantise(latent)
            for ids in quantised.ids:
                used[ids.flatten()] = True
            done += 1
            # At the first step all codes are put on latents, later those that none has chosen;
            # the last fifth is left alone, so that every code's neighbourhood is learned.
            if done == 1 or (done % EVENLY == 0 and done < 0.8 * self.config.fit_steps):
                dead = torch.ones_like(used) if done == 1 else ~used
                vectors = torch.cat([r.detach().flatten(0, 1) for r in quantised.residuals])
                with torch.no_grad():
                    self.codes.copy_(reseed(self.codes, dead, vectors, generator))
                used.zero_()
                quantised = self.quantise(latent)
            return sum(self.losses(batch, latent, quantised).values(), start=latent.new_zeros(()))

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

    def set_levels(self, chunks: Tensor) -> None:
        """The two values of each binary entry: the means below and above its mid-range."""
        for i, entry in enumerate(self.binary):
            value = chunks[..., entry]
            middle = (value.min() + value.max()) / 2
            for side, kept in enumerate((value <= middle, value > middle)):
                if bool(kept.any()):
                    self.levels[i, side] = value[kept].mean()

    def losses(self, batch: Tensor, latent: Tensor, quantised: Scales) -> dict[str, Tensor]:
        """The weighted terms of the training loss, scalars.

        Args:
            batch: normalised ``float32 (B, H, A)``.
            latent: f, ``float32 (B, T, d)``.
            quantised: its codes.
        """
        config = self.config
        assert self.decoder is not None
        scales = len(self.scales)
        # Value f̂_k; the gradient reaches codes and mixers through f̂_k, and the encoder as if the
        # decoder had seen f.
        through = quantised.sums + (latent - latent.detach())  # (K, B, T, d)
        seen = through if config.scale_wise else through[-1:]  # (K', B, T, d)
        decoded = self.decoder(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])  # (K', B, H, A)
        target = batch[..., self.continuous]  # (B, H, a)
        partial = decoded[..., self.continuous]  # (K', B, H, a)
        per_scale = [
            self.distance(partial[i], target, scales - len(seen) + i) for i in range(len(seen))
        ]
        fitted = F.mse_loss(quantised.sums, latent.detach().expand_as(quantised.sums))
        committed = F.mse_loss(latent.expand_as(quantised.sums), quantised.sums.detach())
        losses = {
            "scales": config.scale_weight * torch.stack(per_scale).mean(),
            "l1": config.l1 * F.l1_loss(partial[-1], target),
            "l2": config.l2 * F.mse_loss(partial[-1], target),
            "codes": fitted + config.commitment * committed,
        }
        if self.binary:
            high = self.is_high(batch).to(batch).expand(len(seen), -1, -1, -1)
            logits = decoded[..., self.binary]  # (K', B, H, n)
            losses["binary"] = config.binary_weight * F.binary_cross_entropy_with_logits(
                logits, high
            )
        return losses

    def distance(self, predicted: Tensor, target: Tensor, scale: int) -> Tensor:
        """The scales' loss of the chunk of scale k, a scalar.

        Args:
            predicted: ``float32 (B, H, a)``, continuous entries only.
            target: ``float32 (B, H, a)``.
            scale: k, counted from 0; it decides the bands of ``weighted``.
        """
        difference = predicted - target
        if not self.continuous:
            return difference.new_zeros(())
        if self.config.domain == "spectral":
            difference = dct(difference)  # linear: the DCT of the difference
        if self.config.spectral_norm == "l1":
            return difference.abs().mean()
        if self.config.domain == "time":
            return difference.square().mean()
        return banded(difference, self.scales[scale] / self.latents, self.config.high_weight)

    # ------------------------------------------------------------------------------ the contract

    def encode(self, chunk: Tensor) -> Tensor:
        """Ids ``int64 (B, L)``, coarsest scale first, see :meth:`Tokenizer.encode`."""
        self.require_fitted()
        with torch.no_grad():
            return torch.cat(self.quantise(self.latent(chunk.float())).ids, 1)

    def decode(self, ids: Tensor, generator: Generator | None = None) -> Decoded:
        """Chunks; ids outside [0, V) are read as the nearest id inside and flagged."""
        return self.prefix_decode(ids, len(self.scales))

    def prefix_decode(self, ids: Tensor, scales: int) -> Decoded:
        """The chunks of the first ``scales`` scales; later ids are neither needed nor read.

        Args:
            ids: ``int64 (B, M)`` with M at least the ids of these scales.
            scales: from 1 to K.

        Raises:
            ValueError: there are no such scales, or too few ids.
        """
        self.require_fitted()
        assert self.decoder is not None
        if not 1 <= scales <= len(self.scales):
            raise ValueError(f"scales must be from 1 to {len(self.scales)}, got {scales}")
        count = sum(self.scales[:scales])
        if ids.shape[1] < count:
            raise ValueError(f"{scales} scales take {count} ids, got {ids.shape[1]}")
        prefix = ids[:, :count]
        with torch.no_grad():
            sums = self.partial_sums(prefix.clamp(0, self.vocabulary - 1))  # (k, B, T, d)
            chunk = self.decoder(sums[-1])  # (B, H, A)
            for i, entry in enumerate(self.binary):
                low, high = self.levels[i]
                chunk[..., entry] = torch.where(chunk[..., entry] > 0, high, low)
        return Decoded(chunk=chunk, valid=self.is_valid(prefix), passes=1)

    def usage(self, chunks: Tensor) -> tuple[Tensor, Tensor]:
        """How often each scale uses each code on ``chunks (N, H, A)``.

        Returns:
            Counts ``int64 (K, V)``, and how many codes are in use, as a perplexity ``(K,)``.
        """
        per_place = usage(self.encode(chunks), self.vocabulary)  # (L, V)
        counts = torch.stack([part.sum(0) for part in per_place.split(list(self.scales))])
        return counts, perplexity(counts)


def doubling(latents: int) -> tuple[int, ...]:
    """1, 2, 4, ... below ``latents``, then ``latents``."""
    powers = [2**i for i in range(latents.bit_length()) if 2**i < latents]
    return (*powers, latents)


def resize(latent: Tensor, length: int) -> Tensor:
    """``latent (B, T, d)`` averaged down to ``length`` vectors, each over its share of the T."""
    return F.adaptive_avg_pool1d(latent.transpose(1, 2), length).transpose(1, 2)


def banded(coefficients: Tensor, share: float, high_weight: float) -> Tensor:
    """Weighted mean square of ``coefficients (B, H, a)``, a scalar.

    The lowest ``share`` of the H frequencies weigh 1, the others ``high_weight``; with
    ``high_weight`` 1 it is the plain mean square.
    """
    frequencies = coefficients.shape[1]
    weight = torch.full((frequencies, 1), high_weight, device=coefficients.device)
    weight[: max(1, round(share * frequencies))] = 1.0
    return (weight * coefficients.square()).mean()
