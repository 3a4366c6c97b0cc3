"""The contract of a backbone."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

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
    embodiment: Tensor | None = None
    """``int64 (B,)``: which embodiment each window is of; None where there is only one."""
    perception: Tensor | None = None
    """``float32 (B, D)``: what is seen, before anything of the instruction is mixed in; None where
    a backbone has no such place."""

    def repeat(self, times: int) -> Features:
        """Every row ``times`` times in a row: ``(B·times, ...)``."""
        return Features(
            tokens=self.tokens.repeat_interleave(times, dim=0),
            pooled=self.pooled.repeat_interleave(times, dim=0),
            layers=tuple(layer.repeat_interleave(times, dim=0) for layer in self.layers),
            embodiment=None
            if self.embodiment is None
            else self.embodiment.repeat_interleave(times, dim=0),
            perception=None
            if self.perception is None
            else self.perception.repeat_interleave(times, dim=0),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Instructions:
    """What B windows were told."""

    texts: tuple[str, ...]
    """The words themselves, B of them."""
    embedding: Tensor | None
    """``float32 (B, E)``, of length 1: the frozen sentence encoder's; None for backbones that read
    the words."""


class Backbone(nn.Module, abc.ABC):
    """Images, states and instructions to :class:`Features`.

    Parameters that are frozen by the backbone's configuration do not require gradients.
    """

    uses_embedding: ClassVar[bool] = True
    """Whether it wants :attr:`Instructions.embedding`; otherwise no sentence encoder is loaded."""
    width: int
    """D, entries of a feature token."""
    blocks: nn.ModuleList
    """The layers that sharded training shards one by one."""

    @abc.abstractmethod
    def forward(
        self,
        images: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        instructions: Instructions,
        layers: bool = False,
    ) -> Features:
        """Features of B windows.

        Args:
            images: camera name to ``uint8 (B, T, H, W, 3)``.
            state: state vector name to normalised ``float32 (B, T, D)``.
            instructions: of the B windows.
            layers: whether to return the features after every layer too.
        """

    def save_assets(self, path: Path) -> None:
        """Write what :meth:`BackboneConfig.restore` needs beside the weights, e.g. a vocabulary.

        By default that is nothing.

        Args:
            path: a directory that need not exist.
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

    def restore(
        self,
        assets: Path,
        *,
        cameras: Mapping[str, tuple[int, int]],
        states: Mapping[str, int],
        observation_steps: int,
        language_size: int,
    ) -> Backbone:
        """Make the backbone of a checkpoint, whose weights are put in afterwards.

        By default that is :meth:`build`; a backbone that starts from published weights needs them
        no more.

        Args:
            assets: what :meth:`Backbone.save_assets` wrote.
            cameras: as for :meth:`build`, like the rest.
        """
        return self.build(
            cameras=cameras,
            states=states,
            observation_steps=observation_steps,
            language_size=language_size,
        )
