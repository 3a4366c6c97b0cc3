"""The contract of a head: features to action chunks, in normalised units.

A head is exchangeable by one key of the configuration: it sees the same features, is trained on the
same chunks, gives the same samples and reports its cost the same way.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from enactive.actions.decision import Cost
from enactive.configuration import Part
from enactive.models.backbones.backbone import Features

Generators = Generator | Sequence[Generator]
"""One generator for a whole batch, or one per row. With one per row, a row's random numbers do not
depend on which other rows are in the batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A training loss."""

    total: Tensor
    """``()``: the mean of ``per_sample``, what is differentiated."""
    per_sample: Tensor
    """``(B,)``: each sample's loss, averaged over the steps that its mask keeps."""
    parts: Mapping[str, Tensor]
    """Named scalars ``()`` for the log, detached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """S chunks for each of B windows."""

    chunk: Tensor
    """``float32 (B, S, H, A)``."""
    cost: Cost
    """What **one row** cost: all S candidates together."""


class Head(nn.Module, abc.ABC):
    """Features to chunks."""

    horizon: int
    """H, steps of a chunk."""
    action_size: int
    """A, entries of an action."""

    @abc.abstractmethod
    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """The training loss.

        Args:
            features: of B windows.
            chunk: normalised ``float32 (B, H, A)``.
            mask: ``bool (B, H)``; steps where it is False do not count.
            generator: source of every random number, on the chunk's device.
        """

    @abc.abstractmethod
    def sample(self, features: Features, generator: Generators, samples: int = 1) -> Samples:
        """``samples`` chunks per window, normalised.

        Args:
            features: of B windows.
            generator: one for the batch, or B of them.
            samples: S.
        """


class HeadConfig(Part, abc.ABC, kind="heads"):
    """Base of the configurations of heads."""

    __slots__ = ()

    @abc.abstractmethod
    def build(self, *, width: int, action_size: int, horizon: int) -> Head:
        """Make the head.

        Args:
            width: D of the features.
            action_size: A.
            horizon: H.
        """


def masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``error (B, H, A)`` over the kept steps of each sample, ``(B,)``.

    A sample counts the same however many of its steps lie before its episode's end, so that the
    mean over a batch equals the mean over its micro-batches. A sample without any kept step is 0.
    """
    kept = mask.to(error.dtype)  # (B, H)
    return (error.mean(-1) * kept).sum(-1) / kept.sum(-1).clamp(min=1)


def draw_normal(shape: Sequence[int], generator: Generators, device: torch.device) -> Tensor:
    """Standard normal ``float32 (B, ...)``, each row from its own generator if there are B."""
    if isinstance(generator, Generator):
        return torch.randn(*shape, generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for {shape[0]} rows; give one per row")
    rows = [torch.randn(*shape[1:], generator=one, device=one.device) for one in generator]
    return torch.stack(rows).to(device)
