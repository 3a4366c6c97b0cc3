"""What codebooks share: looking up, bringing dead codes back, counting use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def nearest(vectors: Tensor, codes: Tensor) -> Tensor:
    """Index of the code nearest to each vector in Euclidean distance, ``int64 (...)``.

    Args:
        vectors: ``float32 (..., d)``.
        codes: ``float32 (V, d)``.
    """
    # |v - c|² less the |v|² that all codes share.
    score = codes.square().sum(-1) - 2 * vectors @ codes.T  # (..., V)
    return score.argmin(-1)


def nearest_by_angle(vectors: Tensor, codes: Tensor) -> Tensor:
    """Index of the code of the largest cosine with each vector, ``int64 (...)``.

    Both are normalised before they are compared, so that a long code draws no more vectors than a
    short one of the same direction (Yu et al., Vector-quantized image modeling, 2022, section 3.2).

    Args:
        vectors: ``float32 (..., d)``.
        codes: ``float32 (V, d)``.
    """
    score = F.normalize(vectors, dim=-1) @ F.normalize(codes, dim=-1).T  # (..., V)
    return score.argmax(-1)


def reseed(codes: Tensor, dead: Tensor, vectors: Tensor, generator: Generator) -> Tensor:
    """``codes`` with the dead ones replaced by randomly drawn ``vectors``.

    Each dead code takes a vector of its own as long as there are enough (Zeghidour et al.,
    SoundStream, 2021, section III-C).

    Args:
        codes: ``float32 (V, d)``; not changed.
        dead: ``bool (V,)``.
        vectors: ``float32 (M, d)``, M > 0: what the codes are to stand for.
        generator: draws the vectors.
    """
    count = int(dead.sum())
    if not count:
        return codes
    order = torch.randperm(len(vectors), generator=generator, device=generator.device)
    rows = order.to(vectors.device).repeat(-(-count // len(order)))[:count]  # (count,)
    seeded = codes.clone()
    seeded[dead] = vectors[rows]
    return seeded


def usage(ids: Tensor, vocabulary: int) -> Tensor:
    """How often each id occurs at each place: ``int64 (L, V)`` from ``ids (N, L)`` in [0, V)."""
    return F.one_hot(ids, vocabulary).sum(0)


def perplexity(counts: Tensor) -> Tensor:
    """How many ids are in use, as the exponential of the entropy: ``float32 (...)``.

    1 where a single id takes everything, V where all are used evenly, 0 where nothing was counted.

    Args:
        counts: ``(..., V)``.
    """
    total = counts.sum(-1, keepdim=True)  # (..., 1)
    share = counts / total.clamp(min=1)
    entropy = -(share * share.clamp(min=1e-12).log()).sum(-1)
    return torch.where(total.squeeze(-1) > 0, entropy.exp(), torch.zeros_like(entropy))
