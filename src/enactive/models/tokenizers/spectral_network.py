"""Encoder and decoder of the spectral tokenizer: convolutions along the steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions along the steps, around a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first = nn.Conv1d(channels, channels, 3, padding=1)
        self.second = nn.Conv1d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` to ``(B, C, T)``."""
        return x + self.second(F.gelu(self.first(F.gelu(self.norm(x)))))


class Encoder(nn.Module):
    """Chunks to T = ceil(H / 4) latent vectors."""

    def __init__(self, continuous: int, binary: int, channels: int, code_width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(continuous, channels) if continuous else None
        self.choices = nn.Parameter(torch.randn(binary, 2, channels))
        self.down = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, stride=2, padding=1) for _ in range(2)
        )
        self.blocks = nn.ModuleList(Residual(channels) for _ in range(2))
        self.out = nn.Conv1d(channels, code_width, 1)

    def forward(self, continuous: Tensor, high: Tensor) -> Tensor:
        """``float32 (B, H, a)`` and ``bool (B, H, n)`` to ``float32 (B, T, d)``."""
        places = torch.arange(high.shape[-1], device=high.device)
        x = self.choices[places, high.long()].sum(-2)  # (B, H, C); zeros where n = 0
        if self.embed is not None:
            x = x + self.embed(continuous)
        x = x.transpose(1, 2)  # (B, C, H)
        for down, block in zip(self.down, self.blocks, strict=True):
            x = block(down(x))
        return self.out(x).transpose(1, 2)


class Decoder(nn.Module):
    """T latent vectors to chunks; binary entries come out as logits."""

    def __init__(self, code_width: int, channels: int, action_size: int, horizon: int) -> None:
        super().__init__()
        self.lengths = (-(-horizon // 2), horizon)
        self.inputs = nn.Conv1d(code_width, channels, 3, padding=1)
        self.blocks = nn.ModuleList(Residual(channels) for _ in range(2))
        self.up = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=1) for _ in range(2))
        self.out = nn.Conv1d(channels, action_size, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """``float32 (B, T, d)`` to ``float32 (B, H, A)``."""
        x = self.inputs(latent.transpose(1, 2))  # (B, C, T)
        for block, up, length in zip(self.blocks, self.up, self.lengths, strict=True):
            x = up(F.interpolate(block(x), size=length, mode="linear"))
        return self.out(F.gelu(x)).transpose(1, 2)
