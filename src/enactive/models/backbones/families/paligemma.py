"""PaliGemma and PaliGemma 2 (Beyer et al., 2024; Steiner et al., 2024).

The prompt is a prefix: every token of it, pictures and states included, attends to every other one.
Positions start at 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from enactive.models.backbones.families.family import Family, Size
from enactive.models.backbones.images import normalise, resize, rows
from enactive.models.backbones.sequence import count_up


class PaliGemma(Family):
    """See the module."""

    bidirectional: ClassVar[bool] = True

    def __init__(self, config: Any, processor: Any, tokenizer: Any) -> None:
        super().__init__(config, processor, tokenizer)
        vision = config.vision_config
        self.size: Size = (processor.size["height"], processor.size["width"])
        self.count = (vision.image_size // vision.patch_size) ** 2
        if self.size != (vision.image_size, vision.image_size):
            raise ValueError(
                f"the processor shows pictures at {self.size} pixels and the encoder takes "
                f"{vision.image_size}; the files do not belong together"
            )

    def prompt(self, sizes: Sequence[Size], instruction: str) -> str:
        """See :meth:`Family.prompt`."""
        return f"{self.image * self.count * len(sizes)}{self.tokenizer.bos_token}{instruction}\n"

    def pixels(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """See :meth:`Family.pixels`: ``(B·J, 3, h, w)``."""
        resample = int(self.processor.resample)
        shown = [normalise(resize(view, *self.size, resample), self.processor) for view in views]
        return {"pixel_values": rows(shown)}

    def positions(self, model: Any, sizes: Sequence[Size], ids: Tensor, valid: Tensor) -> Tensor:
        """See :meth:`Family.positions`: K = 1."""
        return count_up(ids, valid) + 1

    def language(self, model: Any) -> Any:
        """See :meth:`Family.language`."""
        return model.language_model

    def parts(self, model: Any) -> Mapping[str, Sequence[nn.Module | nn.Parameter]]:
        """See :meth:`Family.parts`."""
        return {
            "vision": [model.vision_tower],
            "connector": [model.multi_modal_projector],
            "language": [model.language_model],
        }
