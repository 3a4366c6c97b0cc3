"""The training loop that learned tokenizers share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Generator, Tensor, nn

from enactive.models.tokenizers.tokenizer import Progress


def fit_minibatches(
    parameters: Iterable[nn.Parameter],
    loss: Callable[[Tensor], Tensor],
    chunks: Tensor,
    *,
    steps: int,
    batch: int,
    rate: float,
    generator: Generator,
    progress: Progress | None = None,
) -> None:
    """Minimise ``loss`` over random mini-batches of ``chunks``, with AdamW.

    The rate rises linearly over the first twentieth of the steps and falls to 0 along half a
    cosine; gradients are clipped to length 1. Mini-batches are drawn with replacement, so that
    their size does not depend on how many chunks there are.

    Args:
        parameters: what is trained.
        loss: of a mini-batch ``(batch, H, A)``, a scalar.
        chunks: normalised ``float32 (N, H, A)``.
        steps: gradient steps.
        batch: chunks in a mini-batch.
        rate: the largest learning rate.
        generator: draws the mini-batches.
        progress: told after every step.

    Raises:
        ValueError: ``steps`` or ``batch`` is less than 1, or the loss stopped being finite.
    """
    if steps < 1 or batch < 1:
        raise ValueError(f"fit_steps and fit_batch must be at least 1, got {steps} and {batch}")
    trained = list(parameters)
    optimizer = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.99), weight_decay=1e-4)
    warmup = max(1, steps // 20)
    for step in range(steps):
        fraction = step / steps
        factor = min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * fraction)))
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        rows = torch.randint(
            len(chunks), (batch,), generator=generator, device=generator.device
        )  # (batch,)
        total = loss(chunks[rows.to(chunks.device)])
        if not math.isfinite(total.item()):
            raise ValueError(
                f"the tokenizer's loss is {total.item()} at step {step} of its fit; lower fit_rate"
            )
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if progress is not None:
            progress(step + 1, steps)
