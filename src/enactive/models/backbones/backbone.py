"""The contract of a backbone."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from enactive.configuration import Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """What a backbone makes of B observation windows."""

    tokens: Tensor
    """``float32 (B, N, D)``: N feature tokens (patches, state, instruction, ...)."""
    pooled: Tensor
    """``float32 (B, D)``: one vector per window."""
    layers: tuple[Tensor, ...] = ()
    """``(B, N, D)`` after each layer, first to last; empty unless asked for."""

    def repeat(self, times: int) -> Features:
        """Every row ``times`` times in a row: ``(B·times, ...)``."""
        return Features(
            tokens=self.tokens.repeat_interleave(times, dim=0),
            pooled=self.pooled.repeat_interleave(times, dim=0),
            layers=tuple(layer.repeat_interleave(times, dim=0) for layer in self.layers),
        )


class Backbone(nn.Module, abc.ABC):
    """Images, states and an instruction embedding to :class:`Features`."""

    width: int
    """D, entries of a feature token."""
    blocks: nn.ModuleList
    """The layers that sharded training shards one by one."""

    @abc.abstractmethod
    def forward(
        self,
        images: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        language: Tensor,
        layers: bool = False,
    ) -> Features:
        """Features of B windows.

        Args:
            images: camera name to ``uint8 (B, T, H, W, 3)``.
            state: state vector name to normalised ``float32 (B, T, D)``.
            language: ``float32 (B, E)``, the instruction's embedding.
            layers: whether to return the features after every layer too.
        """


class BackboneConfig(Part, abc.ABC, kind="backbones"):
    """Base of the configurations of backbones."""

    __slots__ = ()

    @abc.abstractmethod
    def build(
        self,
        *,
        cameras: Mapping[str, tuple[int, int]],
        states: Mapping[str, int],
        observation_steps: int,
        language_size: int,
    ) -> Backbone:
        """Make the backbone.

        Args:
            cameras: camera name to (H, W) in pixels.
            states: state vector name to D.
            observation_steps: T, observations in a window.
            language_size: E, entries of an instruction embedding.
        """
