"""What all heads over tokens share: chunks to ids that count, logits to ids, ids to samples."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from enactive.actions.decision import Cost
from enactive.models.heads.head import Head, HeadConfig, HeadSpec, Samples
from enactive.models.heads.token_transformer import TokenTransformer
from enactive.models.tokenizers.tokenizer import Tokenizer, TokenizerConfig, fill_past_end


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenHeadConfig(HeadConfig, abc.ABC):
    """Size of the network."""

    depth: int = 2
    """Layers."""
    attention_heads: int = 4
    """Heads of each attention; divides the features' width."""
    mlp_ratio: int = 4
    """Inner width of the MLPs over the features' width."""

    def refuses(self, tokenizer: TokenizerConfig | None) -> str | None:
        """See :meth:`HeadConfig.refuses`: ids need a tokenizer."""
        if tokenizer is not None:
            return None
        return (
            f"{self.part_name()} predicts ids and needs a tokenizer. Fix: choose one, such as "
            "quantile_bins, or a head that predicts continuous actions"
        )


class TokenHead(Head):
    """A head over one row of ids per chunk."""

    tokenizer: Tokenizer
    network: TokenTransformer

    def __init__(self, config: TokenHeadConfig, spec: HeadSpec, causal: bool) -> None:
        super().__init__(spec)
        if spec.tokenizer is None:
            raise ValueError(str(config.refuses(None)))
        self.special = spec.tokenizer.vocabulary
        """The one id beyond the vocabulary: begin or mask."""
        self.network = TokenTransformer(
            width=spec.width,
            depth=config.depth,
            attention_heads=config.attention_heads,
            mlp_ratio=config.mlp_ratio,
            vocabulary=spec.tokenizer.vocabulary,
            length=spec.tokenizer.length,
            causal=causal,
        )

    def targets(self, chunk: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Ids ``int64 (B, L)`` of normalised chunks and which of them count, ``bool (B, L)``.

        Left out are the ids after a row's first ``end``, those of steps past the episode's end
        where the tokenizer knows which step an id belongs to, and all of a row that keeps nothing.
        """
        with torch.no_grad():
            ids = self.tokenizer.encode(fill_past_end(chunk, mask))  # (B, L)
        kept_steps = mask.any(-1) if mask.dim() == 3 else mask  # (B, H)
        if self.tokenizer.steps is not None:
            kept = kept_steps[:, self.tokenizer.steps]  # (B, L)
        else:
            kept = kept_steps.any(-1, keepdim=True).expand_as(ids)
        if self.tokenizer.end is not None:
            ends = ids == self.tokenizer.end
            kept = kept & ((ends.cumsum(-1) - ends.long()) == 0)
        return ids, kept

    def restrict(self, logits: Tensor, start: int = 0) -> Tensor:
        """``logits (B, Q, V)`` of positions ``start`` on, without ids that cannot stand there."""
        legal = self.tokenizer.legal
        if legal is None:
            return logits
        return logits.masked_fill(~legal[start : start + logits.shape[1]], -torch.inf)

    def decoded(
        self, ids: Tensor, passes: int, samples: int, trace: Mapping[str, Tensor]
    ) -> Samples:
        """Samples made of ids.

        Args:
            ids: ``int64 (B, S', L)`` with S' = ``samples``, or 1 where all samples are copies.
            passes: of the head, per row of the batch.
            samples: S.
            trace: each ``(B, S', ...)``; the ids are added.
        """
        batch, drawn = ids.shape[:2]
        decoded = self.tokenizer.decode(ids.flatten(0, 1))
        cost = Cost(head_passes=passes, decoder_passes=decoded.passes * drawn)
        found = {
            "chunk": decoded.chunk.view(batch, drawn, self.horizon, self.action_size),
            "valid": decoded.valid.view(batch, drawn),
        }
        shown = {"ids": ids, **trace}
        if drawn != samples:
            found, shown = (
                {name: value.expand(-1, samples, *value.shape[2:]) for name, value in some.items()}
                for some in (found, shown)
            )
        return Samples(chunk=found["chunk"], valid=found["valid"], cost=cost, trace=shown)


def row_mean(value: Tensor, kept: Tensor) -> Tensor:
    """Mean of ``value (B, L)`` over what is kept of each row, ``(B,)``; 0 for a row without any."""
    return (value * kept).sum(-1) / kept.sum(-1).clamp(min=1)


def cross_entropy(logits: Tensor, ids: Tensor) -> Tensor:
    """Negative log-likelihood in nats of every id, ``(B, L)``."""
    return F.cross_entropy(logits.transpose(1, 2), ids, reduction="none")


def draw_ids(
    logits: Tensor, temperature: float, uniform: Tensor | None = None, top_k: int = 0
) -> Tensor:
    """One id ``int64 (...)`` for each of ``logits (..., V)``.

    Args:
        logits: -inf where an id is impossible.
        temperature: 0 takes the most probable id, 1 draws from the softmax.
        uniform: ``(...)`` in [0, 1), one number per draw; needed above temperature 0.
        top_k: draw from the k most probable ids only; 0 for all.
    """
    if temperature == 0:
        return logits.argmax(-1)
    if uniform is None:
        raise ValueError("draws above temperature 0 need uniform numbers")
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    cumulated = (logits.double() / temperature).softmax(-1).cumsum(-1)  # (..., V)
    # Strictly below the total, so that the first id whose sum lies above has a probability.
    total = cumulated[..., -1:]
    place = torch.minimum(uniform.double().unsqueeze(-1) * total, total * (1 - 1e-15))
    return (cumulated <= place).sum(-1).clamp(max=logits.shape[-1] - 1)


def check_temperature(temperature: float) -> None:
    """Refuse a negative temperature."""
    if temperature < 0:
        raise ValueError(f"head.temperature must be 0 or more, got {temperature}")
