"""The contract of a family of vision-language models."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

Size = tuple[int, int]
"""Height and width of a picture, pixels."""


class Family(abc.ABC):
    """What differs between families: the prompt, the pictures' layout, positions, names of parts.

    It holds no parameters.
    """

    bidirectional: ClassVar[bool] = False
    """Whether every token of the prompt attends to every other one."""

    def __init__(self, config: Any, processor: Any, tokenizer: Any) -> None:
        """
        Args:
            config: of the model, from ``transformers``.
            processor: the image processor, read for its settings only.
            tokenizer: of the model.
        """
        self.config, self.processor, self.tokenizer = config, processor, tokenizer
        self.image = tokenizer.convert_ids_to_tokens(config.image_token_id)

    def limit(self, max_pixels: int) -> None:
        """Show pictures at no more than ``max_pixels`` pixels.

        Raises:
            ValueError: the family shows every picture at one size.
        """
        raise ValueError(
            "backbone.max_pixels: this family shows every picture at one size; leave it out"
        )

    @abc.abstractmethod
    def prompt(self, sizes: Sequence[Size], instruction: str) -> str:
        """The prompt with the placeholders of its pictures, one per picture's token."""

    @abc.abstractmethod
    def pixels(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """Pictures ``uint8 (B, H, W, 3)``, in the prompt's order, as the model's arguments."""

    @abc.abstractmethod
    def positions(self, model: Any, sizes: Sequence[Size], ids: Tensor, valid: Tensor) -> Tensor:
        """Positions ``int64 (K, L)`` of one row, ``ids`` and ``valid`` being ``(1, L)``."""

    @abc.abstractmethod
    def language(self, model: Any) -> Any:
        """The language model inside, with its ``layers``."""

    @abc.abstractmethod
    def parts(self, model: Any) -> Mapping[str, Sequence[nn.Module | nn.Parameter]]:
        """What can be frozen: ``vision``, ``connector`` and ``language``."""
