"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL (Wang et al., 2024; Bai et al., 2025).

Pictures keep their shape: each becomes a grid of patches, ``merge_size`` squared of which make one
token, and every token has three positions, time, height and width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enactive.models.backbones.families.family import Family, Size
from enactive.models.backbones.images import area_between, normalise, resize


class Qwen(Family):
    """See the module."""

    def __init__(self, config: Any, processor: Any, tokenizer: Any) -> None:
        super().__init__(config, processor, tokenizer)
        self.most = processor.size["longest_edge"]  # of the area, despite the name
        self.start = tokenizer.convert_ids_to_tokens(config.vision_start_token_id)
        self.end = tokenizer.convert_ids_to_tokens(config.vision_end_token_id)

    def limit(self, max_pixels: int) -> None:
        """See :meth:`Family.limit`."""
        self.most = min(self.most, max_pixels)

    def grid(self, size: Size) -> Size:
        """Patches along height and width."""
        processor = self.processor
        unit = processor.patch_size * processor.merge_size
        least = min(processor.size["shortest_edge"], self.most)
        height, width = area_between(*size, unit, least, self.most)
        return height // processor.patch_size, width // processor.patch_size

    def prompt(self, sizes: Sequence[Size], instruction: str) -> str:
        """See :meth:`Family.prompt`; the chat format of the instruction-tuned models."""
        merged = self.processor.merge_size**2
        counts = [height * width // merged for height, width in map(self.grid, sizes)]
        pictures = "".join(f"{self.start}{self.image * count}{self.end}" for count in counts)
        user = f"<|im_start|>user\n{pictures}{instruction}<|im_end|>\n"
        return f"{user}<|im_start|>assistant\n"

    def pixels(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """See :meth:`Family.pixels`: patches of all pictures in a row, and each one's grid."""
        patches: list[Tensor] = []
        grids: list[tuple[int, int, int]] = []
        for view in views:
            height, width = self.grid((view.shape[1], view.shape[2]))
            patches.append(self.patches(view, height, width))  # (B, h·w, P)
            grids.append((1, height, width))
        grid = torch.tensor(grids, device=views[0].device).repeat(views[0].shape[0], 1)
        return {"pixel_values": torch.cat(patches, 1).flatten(0, 1), "image_grid_thw": grid}

    def patches(self, view: Tensor, height: int, width: int) -> Tensor:
        """``uint8 (B, H, W, 3)`` to ``(B, height·width, 3·time·patch²)``.

        The patches that merge into one token lie next to one another; a still picture is its own
        next frame.
        """
        processor = self.processor
        p, m, time = processor.patch_size, processor.merge_size, processor.temporal_patch_size
        x = resize(view, height * p, width * p, int(processor.resample))
        x = normalise(x, processor)  # (B, 3, h·p, w·p)
        x = x.view(x.shape[0], 3, height // m, m, p, width // m, m, p)
        x = x.permute(0, 2, 5, 3, 6, 1, 4, 7)  # (B, h/m, w/m, m, m, 3, p, p)
        x = x.unsqueeze(6).expand(*x.shape[:6], time, p, p)
        return x.reshape(x.shape[0], height * width, -1)

    def positions(self, model: Any, sizes: Sequence[Size], ids: Tensor, valid: Tensor) -> Tensor:
        """See :meth:`Family.positions`: K = 3."""
        grids = torch.tensor([(1, *self.grid(size)) for size in sizes])
        kinds = (ids == self.config.image_token_id).int()
        found, _ = model.get_rope_index(
            ids, mm_token_type_ids=kinds, image_grid_thw=grids, attention_mask=valid
        )  # (3, 1, L)
        return found[:, 0]

    def language(self, model: Any) -> Any:
        """See :meth:`Family.language`."""
        return model.language_model

    def parts(self, model: Any) -> Mapping[str, Sequence[nn.Module | nn.Parameter]]:
        """See :meth:`Family.parts`; the mergers are the connector."""
        visual = model.visual
        mergers = [m for name, m in visual.named_children() if "merger" in name]
        vision = [m for name, m in visual.named_children() if "merger" not in name]
        return {"vision": vision, "connector": mergers, "language": [model.language_model]}
