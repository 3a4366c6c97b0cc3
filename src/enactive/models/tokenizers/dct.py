"""The discrete cosine transform along a chunk's steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def dct_matrix(length: int) -> Tensor:
    """The orthonormal DCT-II of ``length`` values, as a matrix ``float32 (length, length)``.

    Row f holds the cosine of frequency f. The matrix is orthogonal, so that its transpose is the
    inverse, and **lengths are kept**: the mean squared difference of two signals is the same
    number, with the same gradient, in either domain (Parseval).
    """
    step = torch.arange(length, dtype=torch.float64)
    frequency = step.unsqueeze(-1)
    matrix = torch.cos(math.pi / length * (step + 0.5) * frequency) * math.sqrt(2 / length)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def along_steps(matrix: Tensor, chunk: Tensor) -> Tensor:
    """``matrix (F, H)`` times every chunk of ``(B, H, A)``: ``(B, F, A)``."""
    if len(chunk) < 16 or 8 * chunk.shape[2] > chunk.shape[1]:
        return torch.matmul(matrix, chunk)
    # Many products with few columns are slow one by one; this makes one of all.
    return torch.einsum("fh,bha->bfa", matrix, chunk)


def dct(chunk: Tensor) -> Tensor:
    """Coefficients ``(..., H, A)`` of ``chunk (..., H, A)``, lowest frequency first."""
    matrix = dct_matrix(chunk.shape[-2]).to(chunk.device)
    return torch.einsum("fh,...ha->...fa", matrix, chunk)
