"""The transformer of the heads over tokens: ids and features to logits of ids.

Autoregression and discrete diffusion differ in what a position may look at and in the order in
which ids are found, not in the network: with the same depth and width both have the same number of
parameters, to the last one. One id beyond the vocabulary is theirs to use, as the begin of a row or
as the mask.

What depends on the features alone (the cross-attention's keys and values) is computed once per
decision, by :meth:`TokenTransformer.memory`, and serves every pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from enactive.models.backbones.backbone import Features
from enactive.models.layers import Attention, mlp


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What every pass needs of B windows."""

    condition: Tensor
    """``(B, D)``: added to every position."""
    cross: tuple[tuple[Tensor, Tensor], ...]
    """Of every layer, keys and values ``(B, h, N, d)`` of the features' tokens."""

    def repeat(self, times: int) -> Memory:
        """Every row ``times`` times in a row: ``(B·times, ...)``."""
        if times == 1:
            return self
        return Memory(
            condition=self.condition.repeat_interleave(times, dim=0),
            cross=tuple(
                (k.repeat_interleave(times, dim=0), v.repeat_interleave(times, dim=0))
                for k, v in self.cross
            ),
        )


class Cache:
    """Keys and values of the ids that a causal network has seen; it grows with every pass."""

    def __init__(self, network: TokenTransformer, rows: int, like: Tensor) -> None:
        """Room for ``rows`` whole rows.

        Args:
            network: whose layers fill it.
            rows: R.
            like: a tensor with the dtype and device of keys and values.
        """
        heads = network.attention_heads
        shape = (network.depth, 2, rows, heads, network.length, network.width // heads)
        self.filled = 0
        """Positions seen so far."""
        self._room = torch.empty(shape, dtype=like.dtype, device=like.device)

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values of ``layer`` with those of new positions, ``(R, h, K, d)`` each."""
        end = self.filled + k.shape[2]
        room = self._room[layer]  # (2, R, h, L, d)
        room[0, :, :, self.filled : end] = k
        room[1, :, :, self.filled : end] = v
        return room[0, :, :, :end], room[1, :, :, :end]


class TokenLayer(nn.Module):
    """Self-attention among ids, cross-attention to the features, an MLP; pre-norm."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.mlp = mlp(width, ratio)


class TokenTransformer(nn.Module):
    """See the module."""

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        attention_heads: int,
        mlp_ratio: int,
        vocabulary: int,
        length: int,
        causal: bool,
    ) -> None:
        """Make the network.

        Args:
            width: D of the features.
            depth: layers.
            attention_heads: h, heads of each attention; divides D.
            mlp_ratio: inner width of the MLPs over D.
            vocabulary: V, ids that are predicted; the id V is understood as input only.
            length: L, positions.
            causal: whether a position sees only itself and those before it.
        """
        super().__init__()
        self.width = width
        self.depth = depth
        self.attention_heads = attention_heads
        self.length = length
        self.causal = causal
        self.ids = nn.Parameter(0.02 * torch.randn(vocabulary + 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
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

    def forward(self, ids: Tensor, memory: Memory, cache: Cache | None = None) -> Tensor:
        """Logits ``float32 (B, Q, V)`` at Q positions.

        Args:
            ids: ``int64 (B, Q)`` in [0, V].
            memory: of the B rows.
            cache: of the positions before these, and extended by them (one at a time); None where
                ``ids`` begin at position 0.
        """
        start = 0 if cache is None else cache.filled
        if cache is not None and ids.shape[1] != 1:
            raise ValueError(f"a cache is extended by one position at a time, got {ids.shape[1]}")
        positions = self.positions[start : start + ids.shape[1]]  # (Q, D)
        x = self.ids[ids] + positions + memory.condition.unsqueeze(1)  # (B, Q, D)
        for number, layer in enumerate(self.layers):
            y = layer.norms[0](x)
            k, v = layer.self_attention.project(y)
            if cache is not None:
                k, v = cache.extend(number, k, v)
            # With a cache there is one query, and everything in the cache lies before it.
            x = x + layer.self_attention.attend(y, k, v, causal=self.causal and cache is None)
            x = x + layer.cross_attention.attend(layer.norms[1](x), *memory.cross[number])
            x = x + layer.mlp(layer.norms[2](x))
        if cache is not None:
            cache.filled += 1
        return self.out(self.norm(x)).float()
