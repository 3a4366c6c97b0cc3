"""Transformer layers that backbones and heads share (pre-norm, GELU, no dropout)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention of queries ``(B, Q, D)`` over keys ``(B, K, D)``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of the {heads} attention heads")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """``(B, Q, D)``."""
        return self.attend(queries, *self.project(keys))

    def project(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``(B, h, K, d)`` of ``keys (B, K, D)``, for :meth:`attend`."""
        kv = self.key_value(keys).view(keys.shape[0], keys.shape[1], 2, self.heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, h, K, d) each
        return k, v

    def attend(
        self,
        queries: Tensor,
        k: Tensor,
        v: Tensor,
        causal: bool = False,
        mask: Tensor | None = None,
    ) -> Tensor:
        """``(B, Q, D)``: queries over projected keys and values.

        Args:
            queries: ``(B, Q, D)``.
            k: keys ``(B, h, K, d)``.
            v: values ``(B, h, K, d)``.
            causal: query i sees keys 0 to i only.
            mask: ``bool (Q, K)``, True where query i sees key j; instead of ``causal``.
        """
        batch, length, width = queries.shape
        q = self.query(queries).view(batch, length, self.heads, -1).transpose(1, 2)  # (B, h, Q, d)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


def mlp(width: int, ratio: int) -> nn.Sequential:
    """Two linear layers with a GELU between, ``ratio`` times as wide inside."""
    return nn.Sequential(
        nn.Linear(width, ratio * width),
        nn.GELU(approximate="tanh"),
        nn.Linear(ratio * width, width),
    )


class EncoderLayer(nn.Module):
    """Self-attention and an MLP, each after a LayerNorm and around a residual."""

    def __init__(self, width: int, heads: int, ratio: int = 4) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_2 = nn.LayerNorm(width)
        self.mlp = mlp(width, ratio)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, D)`` to ``(B, N, D)``."""
        y = self.norm_1(x)
        x = x + self.attention(y, y)
        return x + self.mlp(self.norm_2(x))


class DecoderLayer(nn.Module):
    """Self-attention among queries, cross-attention to a memory, an MLP.

    With ``conditioned=True`` each branch is modulated by a condition vector (AdaLN-Zero of Peebles
    & Xie, Scalable Diffusion Models with Transformers, 2023, section 3.2): the norms lose their own
    affine parameters, the condition gives shift, scale and a gate that starts at 0, so that the
    layer starts as the identity.
    """

    def __init__(self, width: int, heads: int, ratio: int = 4, conditioned: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, elementwise_affine=not conditioned) for _ in range(3)
        )
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.mlp = mlp(width, ratio)
        self.modulation: nn.Linear | None = None
        if conditioned:
            self.modulation = nn.Linear(width, 9 * width)
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, memory: Tensor, condition: Tensor | None = None) -> Tensor:
        """``x (B, Q, D)``, ``memory (B, K, D)``, ``condition (B, D)`` to ``(B, Q, D)``."""
        if self.modulation is None:
            y = self.norms[0](x)
            x = x + self.self_attention(y, y)
            x = x + self.cross_attention(self.norms[1](x), memory)
            return x + self.mlp(self.norms[2](x))
        assert condition is not None
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2, shift_3, scale_3, gate_3 = (
            self.modulation(F.silu(condition)).unsqueeze(1).chunk(9, dim=-1)  # (B, 1, D) each
        )
        y = self.norms[0](x) * (1 + scale_1) + shift_1
        x = x + gate_1 * self.self_attention(y, y)
        y = self.norms[1](x) * (1 + scale_2) + shift_2
        x = x + gate_2 * self.cross_attention(y, memory)
        y = self.norms[2](x) * (1 + scale_3) + shift_3
        return x + gate_3 * self.mlp(y)


def sinusoidal(position: Tensor, width: int, shortest: float, longest: float) -> Tensor:
    """Sine and cosine features of ``position (...)``: ``float32 (..., width)``.

    Periods run geometrically from ``shortest`` to ``longest`` (Vaswani et al., 2017, section 3.5).
    """
    fraction = torch.linspace(0, 1, width // 2, device=position.device)
    period = shortest * (longest / shortest) ** fraction  # (width / 2,)
    angle = position.float().unsqueeze(-1) * (2 * math.pi / period)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
