"""Autoregression over action ids (RT-2, Brohan et al., 2023, section 3.2).

A causal transformer predicts every id from those before it and from the features, which it sees
through cross-attention. Training is teacher-forced cross-entropy, in nats per id. Sampling makes
one pass per id; keys and values of earlier ids are kept (a KV cache), so that a pass computes one
position. A row of a variable-length tokenizer ends at its first ``end`` and is padded with it.

**Cost.** Rows are decoded side by side, and the loop stops when all of them have ended: every row
costs as many passes as the longest row of its batch.
"""

from __future__ import annotations

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
from enactive.models.heads.token_transformer import Cache


class Autoregressive(TokenHead):
    """See the module."""

    traces: ClassVar[tuple[str, ...]] = ("ids", "logp")

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenHeadConfig):
        """Size of the network and how ids are drawn."""

        temperature: float = 0.0
        """Of the softmax that ids are drawn from; 0 takes the most probable id, and S samples are
        then S copies."""
        top_k: int = 0
        """Ids are drawn from the k most probable ones; 0 for all."""

        def build(self, spec: HeadSpec) -> Autoregressive:
            """Make the head, see :meth:`HeadConfig.build`."""
            return Autoregressive(self, spec)

    def __init__(self, config: Autoregressive.Config, spec: HeadSpec) -> None:
        check_temperature(config.temperature)
        if config.top_k < 0:
            raise ValueError(f"head.top_k must be 0 or more, got {config.top_k}")
        super().__init__(config, spec, causal=True)
        self.temperature = config.temperature
        self.top_k = config.top_k

    def logits(self, features: Features, ids: Tensor) -> Tensor:
        """Teacher-forced logits ``(B, L, V)``: at each position, given the ids before it."""
        shifted = after_begin(ids, self.special)
        return self.restrict(self.network(shifted, self.network.memory(features)))

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """Cross-entropy in nats per id, see :meth:`Head.loss`; ``generator`` is not used."""
        ids, kept = self.targets(chunk, mask)  # (B, L)
        if self.tokenizer.end is not None:
            # Behind the end of the longest row nothing counts, and most of L may lie there.
            longest = max(1, int(kept.any(0).sum()))
            ids, kept = ids[:, :longest], kept[:, :longest]
        logits = self.logits(features, ids)  # (B, Q, V)
        per_sample = row_mean(cross_entropy(logits, ids), kept)  # (B,)
        total = per_sample.mean()
        right = row_mean((logits.argmax(-1) == ids).float(), kept).mean()
        parts = {"cross_entropy": total.detach(), "accuracy": right.detach()}
        return Loss(total=total, per_sample=per_sample, parts=parts)

    @torch.no_grad()
    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """Chunks of ids found one by one.

        The trace holds ``ids`` and ``logp``, the log-probability (at temperature 1) of each id
        given those before it; 0 after a row's end. Both are ``(B, S, L)``.
        """
        batch, device = features.pooled.shape[0], features.pooled.device
        end, length = self.tokenizer.end, self.tokenizer.length
        drawn = samples if self.temperature > 0 else 1
        uniform = None
        if self.temperature > 0:
            uniform = draw_uniform((batch, drawn, length), generator, device).flatten(0, 1)
        memory = self.network.memory(features).repeat(drawn)
        rows = batch * drawn
        cache = Cache(self.network, rows, like=memory.condition)
        ids = torch.full((rows, length), self.special if end is None else end, device=device)
        logp = torch.zeros(rows, length, device=device)
        ended = torch.zeros(rows, dtype=torch.bool, device=device)
        last = torch.full((rows,), self.special, device=device)
        passes = 0
        for place in range(length):
            logits = self.restrict(self.network(last.unsqueeze(1), memory, cache), place)[:, 0]
            passes += 1
            numbers = None if uniform is None else uniform[:, place]
            last = draw_ids(logits, self.temperature, numbers, self.top_k)  # (R,)
            likely = logits.log_softmax(-1).gather(1, last.unsqueeze(1)).squeeze(1)
            if end is not None:
                last = torch.where(ended, end, last)
            ids[:, place] = last
            logp[:, place] = likely.masked_fill(ended, 0.0)
            if end is not None:
                ended = ended | (last == end)
                if bool(ended.all()):
                    break
        shape = (batch, drawn, length)
        return self.decoded(ids.view(shape), passes * drawn, samples, {"logp": logp.view(shape)})


def after_begin(ids: Tensor, begin: int) -> Tensor:
    """``begin`` before all but the last of ``ids (B, L)``."""
    return torch.cat([torch.full_like(ids[:, :1], begin), ids[:, :-1]], dim=1)
