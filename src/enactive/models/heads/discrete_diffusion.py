"""Masked discrete diffusion over action ids (Discrete Diffusion VLA, arXiv 2508.20072).

All L ids begin as a mask. In each of T rounds the network, whose positions all see one another,
proposes an id at every masked place, and the proposals it is surest of are committed, so many that
``floor(L cos(pi/2 · (s + 1) / T))`` places stay masked after round s (MaskGIT, Chang et al., 2022,
section 3.2). Easy ids are found first, and a decision takes T passes instead of L.

- **Training** hides a part of the ids, ``cos(pi/2 · u)`` of them with u uniform in [0, 1), and is
  cross-entropy on the hidden ones, in nats per id.
- **Confidence** of a proposal is its probability at temperature 1, or its lead over the best other
  id. ``noise`` adds Gumbel noise to the logarithm of it, fading as ``1 - (s + 1) / T``.
- **What is committed is what was proposed**, in the last round as in the others: at temperature 0
  the most probable id, above it the id that was drawn and whose confidence was compared.
- **Committed places stay**, unless ``remask`` is on: then a committed id whose probability is *now*
  below a threshold that rises with the rounds is masked again, in the place of a proposal that is
  committed instead. The number of masks after each round stays that of the schedule.

Two rules found in released code are avoided, and tested against: ranking committed places together
with masked ones, so that sure proposals stay masked; and multiplying the confidence of committed
ids by ``1 - (s + 1) / T``, which takes back more of them the later it gets. The paper's second test
for taking ids back, by how much their confidence fell, is not built.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import Generators, HeadSpec, Loss, Samples, draw_uniform
from enactive.models.heads.token_head import (
    TokenHead,
    TokenHeadConfig,
    check_temperature,
    cross_entropy,
    draw_ids,
    row_mean,
)
from enactive.models.tokenizers.tokenizer import TokenizerConfig


class DiscreteDiffusion(TokenHead):
    """See the module."""

    traces: ClassVar[tuple[str, ...]] = ("ids", "order", "confidence", "remasked", "masked")

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenHeadConfig):
        """Size of the network and how ids are found."""

        rounds: int = 8
        """T, passes of the head per sample; with more rounds than ids, one round per id. 1 takes
        the most probable id everywhere at once."""
        temperature: float = 0.0
        """Of the softmax that proposals are drawn from; 0 takes the most probable id."""
        noise: float = 0.0
        """Factor on the Gumbel noise in the choice of what to commit. With it and the temperature
        at 0 nothing is random, and S samples are S copies."""
        gap: bool = False
        """Confidence is the lead over the second most probable id instead of the probability."""
        remask: float = 0.0
        """Threshold of the last round: after round s an id that was committed earlier and whose
        confidence is now below remask · (s + 1) / T is masked again. 0 never does."""

        def refuses(self, tokenizer: TokenizerConfig | None) -> str | None:
            """See :meth:`HeadConfig.refuses`: rows must have one length."""
            if tokenizer is not None and tokenizer.variable_length:
                return (
                    f"{self.part_name()} finds all ids of a row at once and cannot know how many "
                    f"there are, and {tokenizer.part_name()} has rows of different lengths. Fix: "
                    "choose a tokenizer with a fixed number of ids, such as quantile_bins, or the "
                    "head autoregressive"
                )
            # Not super(): the decorator that adds slots replaces the class that it refers to.
            return TokenHeadConfig.refuses(self, tokenizer)

        def build(self, spec: HeadSpec) -> DiscreteDiffusion:
            """Make the head, see :meth:`HeadConfig.build`."""
            return DiscreteDiffusion(self, spec)

    def __init__(self, config: DiscreteDiffusion.Config, spec: HeadSpec) -> None:
        check_temperature(config.temperature)
        if config.rounds < 1:
            raise ValueError(f"head.rounds must be at least 1, got {config.rounds}")
        if config.noise < 0:
            raise ValueError(f"head.noise must be 0 or more, got {config.noise}")
        if not 0 <= config.remask <= 1:
            raise ValueError(f"head.remask must lie in [0, 1], got {config.remask}")
        super().__init__(config, spec, causal=False)
        self.rounds = config.rounds
        self.temperature = config.temperature
        self.noise = config.noise
        self.gap = config.gap
        self.remask = config.remask

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """Cross-entropy of hidden ids, in nats per id, see :meth:`Head.loss`."""
        ids, kept = self.targets(chunk, mask)  # (B, L)
        hidden = draw_hidden(kept, generator)  # (B, L)
        # Ids past the end are never shown: they repeat the last step, which would give it away.
        shown = torch.where(hidden | ~kept, self.special, ids)
        logits = self.restrict(self.network(shown, self.network.memory(features)))  # (B, L, V)
        per_sample = row_mean(cross_entropy(logits, ids), hidden)  # (B,)
        total = per_sample.mean()
        right = row_mean((logits.argmax(-1) == ids).float(), hidden).mean()
        parts = {"cross_entropy": total.detach(), "accuracy": right.detach()}
        return Loss(total=total, per_sample=per_sample, parts=parts)

    @torch.no_grad()
    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """Chunks whose ids are found in T rounds.

        The trace holds ``ids``; ``order``, the round (from 0) in which each place was committed for
        good; ``confidence``, that which it was committed with; ``remasked``, how often it was
        masked again, all ``(B, S, L)``; and ``masked``, what was masked after each round,
        ``bool (B, S, T, L)``.
        """
        batch, device = features.pooled.shape[0], features.pooled.device
        length = self.tokenizer.length
        plan = schedule(length, self.rounds)
        random = self.temperature > 0 or self.noise > 0
        drawn = samples if random else 1
        uniform = None
        if random:
            shape = (batch, drawn, len(plan), 2, length)
            uniform = draw_uniform(shape, generator, device).flatten(0, 1)  # (R, T, 2, L)
        memory = self.network.memory(features).repeat(drawn)
        rows = batch * drawn
        ids = torch.full((rows, length), self.special, device=device)
        masked = torch.ones(rows, length, dtype=torch.bool, device=device)
        order = torch.zeros(rows, length, dtype=torch.long, device=device)
        sureness = torch.zeros(rows, length, device=device)
        remasked = torch.zeros_like(order)
        history: list[Tensor] = []
        for number, remaining in enumerate(plan):
            fraction = (number + 1) / len(plan)
            logits = self.restrict(self.network(ids, memory))  # (R, L, V)
            numbers = None if uniform is None else uniform[:, number]  # (R, 2, L)
            proposed = draw_ids(
                logits, self.temperature, None if numbers is None else numbers[:, 0]
            )
            proposed = torch.where(masked, proposed, ids)
            sure = confidence(logits, proposed, self.gap)  # (R, L)
            score = sure.log()
            if numbers is not None:
                gumbel = -(-numbers[:, 1].clamp(min=1e-20).log()).log()
                score = score + self.noise * (1 - fraction) * gumbel
            back = doubtful(sure, ~masked, self.remask * fraction, remaining)  # (R, L)
            stay = least(score, masked, remaining - back.sum(-1))  # (R, L)
            fresh = masked & ~stay
            order = torch.where(fresh, number, order)
            sureness = torch.where(fresh, sure, sureness)
            remasked = remasked + back
            masked = stay | back
            ids = torch.where(masked, self.special, proposed)
            history.append(masked)
        trace = {
            "order": order,
            "confidence": sureness,
            "remasked": remasked,
            "masked": torch.stack(history, dim=1),  # (R, T, L)
        }
        trace = {name: value.unflatten(0, (batch, drawn)) for name, value in trace.items()}
        return self.decoded(ids.view(batch, drawn, length), len(plan) * drawn, samples, trace)


def schedule(length: int, rounds: int) -> list[int]:
    """How many of L places stay masked after each round: a cosine that falls every time, to 0.

    With more rounds than places there is one round per place.
    """
    rounds = min(rounds, length)
    remaining: list[int] = []
    for number in range(rounds):
        cosine = math.cos(math.pi / 2 * (number + 1) / rounds)
        before = remaining[-1] if remaining else length
        # Above: each round commits something. Below: it leaves something for each that follows.
        remaining.append(max(min(math.floor(length * cosine), before - 1), rounds - 1 - number))
    return remaining


def draw_hidden(kept: Tensor, generator: Generator) -> Tensor:
    """Which of the kept ids training hides, ``bool (B, L)``: at least one of each row with any."""
    uniform = draw_uniform((kept.shape[0],), generator, kept.device)  # (B,)
    count = kept.sum(-1)  # (B,)
    hide = (torch.cos(math.pi / 2 * uniform) * count).ceil().long().clamp(min=1)  # (B,)
    return least(draw_uniform(kept.shape, generator, kept.device), kept, hide)


def confidence(logits: Tensor, ids: Tensor, gap: bool) -> Tensor:
    """How sure ``logits (R, L, V)`` are of ``ids (R, L)``, in [0, 1].

    Args:
        logits: at every place.
        ids: that are looked at; the id V, which no place can be given, counts as the id 0.
        gap: whether the highest probability of another id is taken off; 0 where that is larger.
    """
    probability = logits.softmax(-1)
    place = torch.where(ids < logits.shape[-1], ids, 0).unsqueeze(-1)
    of_id = probability.gather(-1, place)  # (R, L, 1)
    if gap:
        others = probability.scatter(-1, place, 0.0).amax(-1, keepdim=True)
        of_id = (of_id - others).clamp(min=0)
    return of_id.squeeze(-1)


def least(score: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """The ``count (R,)`` places of lowest ``score (R, L)`` of those in ``among``, ``bool (R, L)``.

    Places outside ``among`` are never chosen, whatever their score.
    """
    ranked = score.masked_fill(~among, torch.inf).sort(dim=-1, stable=True).indices
    rank = ranked.argsort(-1)  # (R, L)
    return (rank < count.unsqueeze(-1)) & among


def doubtful(sure: Tensor, committed: Tensor, threshold: float, at_most: int) -> Tensor:
    """Committed places of which the network is now too unsure, ``bool (R, L)``.

    Args:
        sure: current confidence ``(R, L)``.
        committed: ``bool (R, L)``.
        threshold: they lie below it.
        at_most: how many of a row, the least sure ones.
    """
    below = committed & (sure < threshold)
    limit = torch.full((len(sure),), at_most, device=sure.device)
    return least(sure, below, limit)
