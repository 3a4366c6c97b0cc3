"""Next-scale autoregression (MINT, arXiv 2602.08602, section 3.2; after VAR, Tian et al., 2024).

The ids of :class:`~enactive.models.tokenizers.spectral.Spectral` come in K scales of growing
length, and one pass predicts **all ids of a scale at once**: K passes for a chunk (3 for scales
1, 2, 4) where autoregression id by id takes L (7). What a pass reads at scale k is the sum of the
coarser scales, f̂_{k-1}, averaged down to l_k vectors; nothing, at the first scale. A position sees
its own scale and coarser ones (a block-causal mask), and the features through cross-attention. Keys
and values of earlier scales are kept. Training is teacher-forced cross-entropy, in nats per id,
over all scales in one pass.

The ids of one scale are drawn independently of one another, given the coarser ones: that is what
the fewer passes cost.

**Intent.** The code of the first scale stands for the whole chunk's slow shape. Samples show it as
``intent``, for ensembles that weigh chunks by how alike their intents are, and
:meth:`NextScale.sample_given` overwrites it: a code read off one demonstration, of which the finer
scales are decoded for the situation at hand (the paper's one-shot transfer).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from enactive.actions.decision import Cost
from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import Generators, Head, HeadSpec, Loss, Samples, draw_uniform
from enactive.models.heads.token_head import (
    TokenHeadConfig,
    check_temperature,
    cross_entropy,
    draw_ids,
    row_mean,
)
from enactive.models.heads.token_transformer import Memory, TokenLayer
from enactive.models.tokenizers.spectral import Spectral, resize
from enactive.models.tokenizers.tokenizer import TokenizerConfig, fill_past_end

Past = list[tuple[Tensor, Tensor]]
"""Of every layer, keys and values ``(B, h, P, d)`` of the P positions seen so far."""


class NextScale(Head):
    """See the module."""

    traces: ClassVar[tuple[str, ...]] = ("ids", "intent", "confidence")
    tokenizer: Spectral
    network: ScaleTransformer

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(TokenHeadConfig):
        """Size of the network and how ids are drawn."""

        temperature: float = 0.0
        """Of the softmax that ids are drawn from; 0 takes the most probable id, and S samples are
        then S copies."""
        top_k: int = 0
        """Ids are drawn from the k most probable ones; 0 for all. (The paper's light model: 3.)"""

        def refuses(self, tokenizer: TokenizerConfig | None) -> str | None:
            """See :meth:`HeadConfig.refuses`: only nested scales will do."""
            if isinstance(tokenizer, Spectral.Config):
                return None
            named = "no tokenizer" if tokenizer is None else tokenizer.part_name()
            return (
                f"{self.part_name()} predicts scale after scale and needs a tokenizer whose ids "
                "come in nested scales, with a decoder that reads any prefix of them; "
                f"{named} has none. Fix: choose the tokenizer spectral, or the head autoregressive"
            )

        def build(self, spec: HeadSpec) -> NextScale:
            """Make the head, see :meth:`HeadConfig.build`."""
            return NextScale(self, spec)

    def __init__(self, config: NextScale.Config, spec: HeadSpec) -> None:
        check_temperature(config.temperature)
        if config.top_k < 0:
            raise ValueError(f"head.top_k must be 0 or more, got {config.top_k}")
        if not isinstance(spec.tokenizer, Spectral):
            raise ValueError(str(config.refuses(None)))
        super().__init__(spec)
        self.temperature = config.temperature
        self.top_k = config.top_k
        self.network = ScaleTransformer(
            width=spec.width,
            depth=config.depth,
            attention_heads=config.attention_heads,
            mlp_ratio=config.mlp_ratio,
            code_width=spec.tokenizer.codes.shape[1],
            vocabulary=spec.tokenizer.vocabulary,
            scales=spec.tokenizer.scales,
        )

    def logits(self, features: Features, ids: Tensor) -> Tensor:
        """Teacher-forced logits ``(B, L, V)``: at each scale, given the coarser ones' ids."""
        with torch.no_grad():
            inputs = self.inputs(ids[:, : ids.shape[1] - self.tokenizer.scales[-1]])  # (B, L, d)
        return self.network(inputs, self.network.memory(features))

    def inputs(self, ids: Tensor) -> Tensor:
        """What the scales that ``ids`` reach and the next one read.

        Args:
            ids: of the first k scales, k from 0 to K - 1: ``int64 (B, l_1 + ... + l_k)``.

        Returns:
            ``float32 (B, l_1 + ... + l_{k+1}, d)``.
        """
        scales = self.tokenizer.scales
        nothing = self.tokenizer.codes.new_zeros(
            (len(ids), scales[0], self.tokenizer.codes.shape[1])
        )
        if ids.shape[1] == 0:
            return nothing
        sums = self.tokenizer.partial_sums(ids)  # (k, B, T, d)
        read = [resize(total, scales[k + 1]) for k, total in enumerate(sums)]
        return torch.cat([nothing, *read], 1)

    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """Cross-entropy in nats per id, see :meth:`Head.loss`; ``generator`` is not used."""
        with torch.no_grad():
            ids = self.tokenizer.encode(fill_past_end(chunk, mask))  # (B, L)
        kept = mask.flatten(1).any(-1, keepdim=True).expand_as(ids)  # (B, L)
        logits = self.logits(features, ids)  # (B, L, V)
        error = cross_entropy(logits, ids)  # (B, L)
        per_sample = row_mean(error, kept)  # (B,)
        total = per_sample.mean()
        right = row_mean((logits.argmax(-1) == ids).float(), kept).mean()
        parts = {"cross_entropy": total.detach(), "accuracy": right.detach()}
        lengths = list(self.tokenizer.scales)
        for k, (part, keep) in enumerate(
            zip(error.split(lengths, 1), kept.split(lengths, 1), strict=True), start=1
        ):
            parts[f"scale_{k}"] = row_mean(part, keep).mean().detach()
        return Loss(total=total, per_sample=per_sample, parts=parts)

    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """Chunks found scale by scale; K passes of the head for each that is drawn.

        The trace holds ``ids (B, S, L)``; ``intent (B, S, d)``, the first scale's code (the mean
        where it has several); ``confidence (B, S)``, the probability of the first scale's ids at
        temperature 1.
        """
        return self._sample(features, generator, samples, None)

    def intent_of(self, chunk: Tensor) -> Tensor:
        """The first scale's ids of normalised chunks ``float32 (B, H, A)``: ``int64 (B, l_1)``."""
        return self.tokenizer.encode(chunk)[:, : self.tokenizer.scales[0]]

    def sample_given(
        self, features: Features, generator: Generators, intent: Tensor, samples: int = 1
    ) -> Samples:
        """Chunks whose first scale is given and whose finer scales are predicted.

        The first two scales are then read in one pass, so that a chunk takes K - 1.

        Args:
            features: of B windows.
            generator: as for :meth:`sample`; the same numbers meet the same ids.
            intent: the first scale's ids, ``int64 (B, l_1)`` in [0, V).
            samples: S.

        Raises:
            ValueError: ``intent`` has another shape or ids outside the vocabulary.
        """
        wanted = (features.pooled.shape[0], self.tokenizer.scales[0])
        if tuple(intent.shape) != wanted:
            raise ValueError(f"intent must be {wanted}, got {tuple(intent.shape)}")
        if bool(((intent < 0) | (intent >= self.tokenizer.vocabulary)).any()):
            raise ValueError(f"intent must lie in [0, {self.tokenizer.vocabulary})")
        return self._sample(features, generator, samples, intent)

    @torch.no_grad()
    def _sample(
        self, features: Features, generator: Generators, samples: int, intent: Tensor | None
    ) -> Samples:
        tokenizer, device = self.tokenizer, features.pooled.device
        scales, batch = tokenizer.scales, features.pooled.shape[0]
        drawn = samples if self.temperature > 0 else 1
        rows = batch * drawn
        uniform: Tensor | None = None
        if self.temperature > 0:
            shape = (batch, drawn, tokenizer.length)
            uniform = draw_uniform(shape, generator, device).flatten(0, 1)  # (R, L)
        memory = self.network.memory(features).repeat(drawn)
        past: Past = []
        ids = torch.zeros((rows, 0), dtype=torch.int64, device=device)
        confidence = torch.ones(rows, device=device)
        if intent is not None:
            ids = intent.to(device).repeat_interleave(drawn, dim=0)  # (R, l_1)
        seen = passes = 0
        while ids.shape[1] < tokenizer.length:
            start = ids.shape[1]
            inputs = self.inputs(ids)  # (R, start + l, d)
            logits = self.network(inputs[:, seen:], memory, past)[:, start - seen :]  # (R, l, V)
            seen = inputs.shape[1]
            passes += 1
            numbers = None if uniform is None else uniform[:, start:seen]
            found = draw_ids(logits, self.temperature, numbers, self.top_k)  # (R, l)
            if start == 0:
                likely = logits.log_softmax(-1).gather(2, found.unsqueeze(-1)).squeeze(-1)
                confidence = likely.sum(-1).exp()
            ids = torch.cat([ids, found], 1)
        decoded = tokenizer.decode(ids)
        trace = {
            "ids": ids,
            "intent": tokenizer.codes[ids[:, : scales[0]]].mean(1),
            "confidence": confidence,
        }
        whole = {"chunk": decoded.chunk, "valid": decoded.valid, **trace}
        shaped = {
            name: value.unflatten(0, (batch, drawn)).expand(
                -1, samples, *([-1] * (value.dim() - 1))
            )
            for name, value in whole.items()
        }
        return Samples(
            chunk=shaped["chunk"],
            valid=shaped["valid"],
            cost=Cost(head_passes=passes * drawn, decoder_passes=decoded.passes * drawn),
            trace={name: shaped[name] for name in trace},
        )


class ScaleTransformer(nn.Module):
    """Sums of coarser scales and features to logits of the next scale's ids."""

    allowed: Tensor
    """``bool (L, L)``: whether position i sees position j, which is of its scale or coarser."""

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        attention_heads: int,
        mlp_ratio: int,
        code_width: int,
        vocabulary: int,
        scales: tuple[int, ...],
    ) -> None:
        """Make the network.

        Args:
            width: D of the features.
            depth: layers.
            attention_heads: h, heads of each attention; divides D.
            mlp_ratio: inner width of the MLPs over D.
            code_width: d, entries of what is read.
            vocabulary: V, ids that are predicted.
            scales: l_1, ..., l_K.
        """
        super().__init__()
        level = torch.repeat_interleave(torch.arange(len(scales)), torch.tensor(scales))  # (L,)
        self.register_buffer("allowed", level[:, None] >= level[None], persistent=False)
        self.inputs = nn.Linear(code_width, width)
        self.positions = nn.Parameter(0.02 * torch.randn(len(level), width))
        self.pooled = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            TokenLayer(width, attention_heads, mlp_ratio) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, vocabulary)

    def memory(self, features: Features) -> Memory:
        """What all passes of a decision share."""
        cross = tuple(layer.cross_attention.project(features.tokens) for layer in self.layers)
        return Memory(condition=self.pooled(features.pooled), cross=cross)

    def forward(self, inputs: Tensor, memory: Memory, past: Past | None = None) -> Tensor:
        """Logits ``float32 (B, Q, V)`` at Q positions, whole scales.

        Args:
            inputs: what these positions read, ``float32 (B, Q, d)``.
            memory: of the B rows.
            past: of the positions before these, empty at first; extended by these. None where
                ``inputs`` begin at position 0 and nothing follows.
        """
        start = past[0][0].shape[2] if past else 0
        end = start + inputs.shape[1]
        x = self.inputs(inputs) + self.positions[start:end] + memory.condition.unsqueeze(1)
        allowed = self.allowed[start:end, :end]  # (Q, P + Q)
        for number, layer in enumerate(self.layers):
            y = layer.norms[0](x)
            k, v = layer.self_attention.project(y)  # (B, h, Q, d)
            if past is not None:
                if start:
                    k = torch.cat([past[number][0], k], 2)
                    v = torch.cat([past[number][1], v], 2)
                past[number : number + 1] = [(k, v)]
            x = x + layer.self_attention.attend(y, k, v, mask=allowed)
            x = x + layer.cross_attention.attend(layer.norms[1](x), *memory.cross[number])
            x = x + layer.mlp(layer.norms[2](x))
        return self.out(self.norm(x)).float()
