"""Tokenizers and rates: the same motion as a chunk at another rate.

A tokenizer's chunks have one rate, that of the data it was fitted on. Reading every second step of
a chunk as a chunk at half the rate is right for absolute targets and wrong for deltas, which have
to be added up. So chunks go to another rate in the units of their action space, group by group, by
its conventions (:mod:`enactive.actions.resample`), and never while normalised: a normalised delta
has had the mean delta subtracted, and a sum of n of them lacks it n times.

The horizon changes with the rate: 16 steps at 20 Hz are 8 at 10 Hz.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from enactive.actions.resample import resample
from enactive.actions.spaces import VectorSpace
from enactive.models.normalization import Normalizer
from enactive.models.tokenizers.tokenizer import Decoded, Tokenizer


def resample_chunks(chunks: Tensor, space: VectorSpace, rate_hz: float) -> Tensor:
    """Chunks at another rate, actions of ``enactive.actions.resample.resampled(space, rate_hz)``.

    Args:
        chunks: ``float32 (N, H, A)`` in the units of ``space``, not normalised.
        space: the convention of the chunks, with their rate.
        rate_hz: actions per second wanted.

    Returns:
        ``float32 (N, ceil(H * rate_hz / space.rate_hz), A)``.

    Raises:
        ConversionRefused: the chunks are none of the space, or cannot be expressed at this rate
            without knowing where the body is.
        ValueError: the rate is not positive, or there are no chunks.
    """
    if not len(chunks):
        raise ValueError("there are no chunks to resample")
    rows = [resample(chunk, space, rate_hz) for chunk in chunks.float().cpu().numpy()]
    return torch.from_numpy(np.stack(rows)).to(chunks.device)


def decode_at(
    tokenizer: Tokenizer,
    ids: Tensor,
    normalizer: Normalizer,
    space: VectorSpace,
    rate_hz: float,
    generator: Generator | None = None,
) -> Decoded:
    """Decode ids to chunks at another rate than the tokenizer's, in the units of the action space.

    Args:
        tokenizer: fitted on chunks of ``space``.
        ids: ``int64 (B, L)``.
        normalizer: of the chunks that the tokenizer was fitted on.
        space: the convention and rate of these chunks.
        rate_hz: actions per second wanted.
        generator: see :meth:`Tokenizer.decode`.

    Returns:
        What :meth:`Tokenizer.decode` returns, its chunk ``float32 (B, H', A)`` not normalised.
    """
    decoded = tokenizer.decode(ids, generator)
    chunk = normalizer.denormalize("action", decoded.chunk)  # (B, H, A)
    return Decoded(
        chunk=resample_chunks(chunk, space, rate_hz), valid=decoded.valid, passes=decoded.passes
    )
