"""UniAct's universal codebook: a small vocabulary of behaviours that every embodiment shares.

"Universal Actions for Enhanced Embodied Foundation Models" (UniAct, arXiv 2501.10105), the
universal action space: N learned vectors of D entries. A policy does not look one up but draws a
mixture of them, ``u = w U`` with w from a Gumbel-softmax over N logits, so that gradients reach the
codes and the logits alike. Nothing here knows actions: what a code does on a body is said by that
body's decoder (:mod:`enactive.models.heads.universal_codebook`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INITIAL_STD = 0.2
"""Standard deviation of the codes' initial entries, as in the released code."""


class UniversalCodebook(nn.Module):
    """N codes of D entries.

    Args:
        codes: N.
        size: D.
    """

    def __init__(self, codes: int, size: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(INITIAL_STD * torch.randn(codes, size))

    def forward(self, weights: Tensor) -> Tensor:
        """``u = w U``: mixture weights ``(B, N)`` to vectors ``(B, D)``."""
        return weights @ self.codes


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise from uniform draws in [0, 1), of the same shape."""
    return -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))


def soft_weights(logits: Tensor, temperature: float, noise: Tensor | None = None) -> Tensor:
    """Gumbel-softmax weights ``(B, N)`` (Jang et al., 2017, equation 2), no straight-through.

    Args:
        logits: ``(B, N)``.
        temperature: tau; towards 0 the mixture becomes a draw of one code.
        noise: Gumbel noise ``(B, N)``; None takes the mixture without chance.
    """
    noisy = logits if noise is None else logits + noise
    return (noisy / temperature).softmax(-1)


def hard_weights(logits: Tensor, temperature: float) -> Tensor:
    """The most likely code alone, one-hot ``(B, N)``; gradients pass as through the soft mixture
    (straight-through)."""
    soft = soft_weights(logits, temperature)
    one = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(soft.dtype)
    return one + (soft - soft.detach())  # exactly one-hot: the bracket is 0


def uniformity(logits: Tensor) -> Tensor:
    """KL of each row's softmax from the uniform distribution, ``(B,)`` nats, in [0, log N].

    UniAct weighs it with 5e-4 against codes that nobody uses. The released training forward
    computes it and returns the action loss alone, so there it only reaches the log; here it is part
    of the loss wherever its weight is above 0.
    """
    logs = logits.float().log_softmax(-1)  # (B, N)
    return (logs.exp() * logs).sum(-1) + math.log(logits.shape[-1])


def usage(ids: Tensor, codes: int) -> Tensor:
    """How often each code was the most likely one: ``int64 (N,)`` from ids ``int64 (...)``."""
    return torch.bincount(ids.reshape(-1), minlength=codes)


def divergence(first: Tensor, second: Tensor) -> float:
    """Jensen-Shannon divergence of two usage histograms ``(N,)``, in bits, in [0, 1].

    Raises:
        ValueError: a histogram is empty.
    """
    if not (first.sum() > 0 and second.sum() > 0):
        raise ValueError("a usage histogram counts nothing; give at least one id each")
    p, q = first.double() / first.sum(), second.double() / second.sum()
    middle = (p + q) / 2

    def relative(a: Tensor) -> Tensor:
        used = a > 0
        return (a[used] * (a[used] / middle[used]).log2()).sum()

    return float((relative(p) + relative(q)) / 2)
