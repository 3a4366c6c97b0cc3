"""Statistics of relative chunks: places measured from the chunk's begin spread wider than steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from enactive.actions.spaces import VectorSpace
from enactive.episodes.statistics import VectorStatistics
from enactive.episodes.windows import Subset, WindowSpec, WindowTable
from enactive.models.chunk_reference import displacements
from enactive.training.config import Training

MOST = 100_000
"""Windows that are looked at, evenly spaced; every one of smaller data."""


def relative_statistics(part: Subset, config: Training, space: VectorSpace) -> dict[str, Any]:
    """Statistics of ``part``'s chunks with their displacements summed up, as ``stats.json`` has
    them of single actions; every executed step of every window counts once.

    Args:
        part: training episodes.
        config: the run, whose model is relative.
        space: the actions' space.

    Raises:
        ConfigurationError: no group of the space is a displacement.
    """
    columns = np.array(displacements(space))
    spec = WindowSpec(
        action_steps=config.model.horizon, cameras=(), states=(), action_key=config.action_key
    )
    table = WindowTable(part, spec)
    windows = np.arange(0, table.size, max(1, -(-table.size // MOST)))
    chunks, mask = table.actions(table.places(windows))  # (N, H, A), (N, H)
    summed = np.where(columns, chunks.cumsum(axis=1), chunks)
    statistics = VectorStatistics(space.size)
    statistics.update(summed[mask].astype(np.float64))
    return {**statistics.summary(), "count": np.array([part.num_frames])}
