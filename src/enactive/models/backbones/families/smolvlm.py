"""SmolVLM and Idefics3 (Marafioti et al., 2025; Laurençon et al., 2024).

Every picture is shown once, whole, at the encoder's own size: the processors' splitting of large
pictures into tiles multiplies the tokens, and cameras of robots are small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enactive.models.backbones.families.family import Family, Size
from enactive.models.backbones.images import normalise, resize
from enactive.models.backbones.sequence import count_up


class SmolVLM(Family):
    """See the module."""

    def __init__(self, config: Any, processor: Any, tokenizer: Any) -> None:
        super().__init__(config, processor, tokenizer)
        self.side: int = processor.max_image_size["longest_edge"]
        patches = config.vision_config.image_size // config.vision_config.patch_size
        self.count = patches**2 // config.scale_factor**2
        if self.side != config.vision_config.image_size:
            raise ValueError(
                f"the processor shows pictures at {self.side} pixels and the encoder takes "
                f"{config.vision_config.image_size}; the files do not belong together"
            )

    def prompt(self, sizes: Sequence[Size], instruction: str) -> str:
        """See :meth:`Family.prompt`; the chat format of the instruction-tuned models."""
        around = "<fake_token_around_image>"
        picture = f"{around}<global-img>{self.image * self.count}{around}"
        user = f"<|im_start|>User:{picture * len(sizes)}{instruction}<end_of_utterance>\n"
        return f"{user}Assistant:"

    def pixels(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """See :meth:`Family.pixels`: ``(B, J, 3, side, side)``, no pixel masked."""
        resample = int(self.processor.resample)
        shown = [
            normalise(resize(view, self.side, self.side, resample), self.processor)
            for view in views
        ]
        pixels = torch.stack(shown, dim=1)  # (B, J, 3, side, side)
        mask = torch.ones(*pixels.shape[:2], *pixels.shape[3:], device=pixels.device)
        return {"pixel_values": pixels, "pixel_attention_mask": mask.bool()}

    def positions(self, model: Any, sizes: Sequence[Size], ids: Tensor, valid: Tensor) -> Tensor:
        """See :meth:`Family.positions`: K = 1."""
        return count_up(ids, valid)

    def language(self, model: Any) -> Any:
        """See :meth:`Family.language`."""
        return model.text_model

    def parts(self, model: Any) -> Mapping[str, Sequence[nn.Module | nn.Parameter]]:
        """See :meth:`Family.parts`."""
        return {
            "vision": [model.vision_model],
            "connector": [model.connector],
            "language": [model.text_model],
        }
