"""Image augmentation during training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomShift:
    """Pad by the edge pixels and crop back at a random place (Yarats et al., DrQ, 2020).

    The offset is drawn per window and camera and is the same for the T images of a window, so that
    motion between them stays what it was.
    """

    pixels: int = 4
    """Largest shift in either direction, pixels; 0 switches it off."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Shifted ``uint8 (B, T, H, W, 3)``; ``generator`` is on the CPU or the images' device."""
        if self.pixels == 0:
            return images
        batch, _, height, width, _ = images.shape
        span = 2 * self.pixels + 1
        shift = torch.randint(span, (2, batch, 1), generator=generator, device=generator.device)
        shift = shift.to(images.device) - self.pixels  # (2, B, 1)
        rows = (torch.arange(height, device=images.device) + shift[0]).clamp(
            0, height - 1
        )  # (B, H)
        columns = (torch.arange(width, device=images.device) + shift[1]).clamp(0, width - 1)
        index = torch.arange(batch, device=images.device).view(-1, 1, 1)
        # (B, H, W, T, 3): indexing three separated axes puts them first.
        return (
            images.transpose(1, 3)
            .transpose(1, 2)[index, rows[:, :, None], columns[:, None]]
            .permute(0, 3, 1, 2, 4)
        )
