"""What a window loader serves: arrays of B windows, ready to become tensors without a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """B windows: T observations, oldest first, and the chunk of H actions that followed the last.

    Past the ends of an episode its first observation and its last action are repeated; ``mask``
    says which actions were really executed.
    """

    images: Mapping[str, NDArray[np.uint8]]
    """Camera name to ``uint8 (B, T, H, W, 3)``, RGB, first row at the top."""
    state: Mapping[str, NDArray[np.float32]]
    """State vector name to ``float32 (B, T, D)``, in the dataset's units."""
    instructions: list[str]
    """B instructions: the one in force at each window's last observation."""
    action: NDArray[np.float32]
    """``float32 (B, H, A)``: actions of steps t to t + H - 1, in the dataset's units."""
    mask: NDArray[np.bool_]
    """``bool (B, H)``: False where the episode had already ended. From a mixture of embodiments
    ``bool (B, H, A)``: False also for entries that a window's embodiment does not have."""
    dataset_index: NDArray[np.int64]
    """``int64 (B,)``: which dataset of the mixture a window is from; 0 without a mixture."""
    episode_index: NDArray[np.int64]
    """``int64 (B,)``: which episode of that dataset."""
    frame_index: NDArray[np.int64]
    """``int64 (B,)``: step t of the last observation, counted from the episode's first."""
    embodiment: NDArray[np.int64] | None = None
    """``int64 (B,)``: index of each window's embodiment; None without a mixture of them."""

    def __len__(self) -> int:
        """B."""
        return len(self.instructions)
