"""Training chunks without their pictures: what a tokenizer is fitted on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from enactive.episodes.windows import WindowTable
from enactive.models.tokenizers.tokenizer import fill_past_end
from enactive.seeding import numpy_generator
from enactive.training.config import Training
from enactive.training.data import Data, window_spec


def draw_chunks(config: Training, data: Data, count: int, *, held_out: bool = False) -> Tensor:
    """Up to ``count`` different chunks of the run's episodes, evenly drawn.

    Args:
        config: the run; its seed decides which chunks.
        data: its data.
        count: N at most.
        held_out: of the held-out episodes instead of the training episodes.

    Returns:
        ``float32 (N, H, A)`` in the action space's units; past an episode's end the last action is
        held.
    """
    spec = window_spec(config, data)
    parts = data.validation if held_out else data.training
    tables = [WindowTable(part, spec) for part in parts.values()]
    sizes = np.array([table.size for table in tables])
    total = int(sizes.sum())
    generator = numpy_generator(config.seed, "tokenizer chunks")
    drawn = np.sort(generator.choice(total, size=min(count, total), replace=False))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found: list[Tensor] = []
    for i, table in enumerate(tables):
        own = drawn[(drawn >= starts[i]) & (drawn < starts[i + 1])] - starts[i]
        if not len(own):
            continue
        action, mask = table.actions(table.places(own))
        found.append(fill_past_end(torch.from_numpy(action), torch.from_numpy(mask)))
    return torch.cat(found)
