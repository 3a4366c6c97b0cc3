"""The contract of a head: features to action chunks, in normalised units.

A head is exchangeable by one key of the configuration: it sees the same features, is trained on the
same chunks, gives the same samples and reports its cost the same way.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from enactive.actions.decision import Cost
from enactive.configuration import Part
from enactive.models.backbones.backbone import Features
from enactive.models.tokenizers.tokenizer import Tokenizer, TokenizerConfig

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
    valid: Tensor | None = None
    """``bool (B, S)``: False where a tokenizer was given malformed ids; None where no chunk can be
    malformed."""
    trace: Mapping[str, Tensor] = field(default_factory=dict)
    """How the chunks came about, by name: ``ids (B, S, L)``, ``order (B, S, L)``,
    ``intent (B, S, E)``, whatever the head has to show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadSpec:
    """What a head is built for."""

    width: int
    """D of the features."""
    action_size: int
    """A."""
    horizon: int
    """H."""
    tokenizer: Tokenizer | None = None
    """The tokenizer whose ids the head predicts; the head keeps it as ``self.tokenizer``."""
    layers: int = 0
    """How many layers' features the backbone can give (:attr:`Features.layers`)."""
    embodiments: tuple[str, ...] = ()
    """Names of the embodiments, in the order of :attr:`Features.embodiment`; empty for one."""


class Head(nn.Module, abc.ABC):
    """Features to chunks."""

    version: ClassVar[int] = 1
    """Raised whenever the same weights would mean something else; kept in checkpoints, and a
    checkpoint of another version is refused."""
    needs_layers: ClassVar[bool] = False
    """Whether it reads :attr:`Features.layers`."""
    traces: ClassVar[tuple[str, ...]] = ()
    """Entries that :attr:`Samples.trace` always has; selections that need others are refused."""
    network: nn.Module
    """One call of its ``forward`` on B rows is one head pass of these rows."""
    tokenizer: Tokenizer | None
    """The tokenizer, for heads that predict ids."""
    horizon: int
    """H, steps of a chunk."""
    action_size: int
    """A, entries of an action."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.horizon = spec.horizon
        self.action_size = spec.action_size
        self.tokenizer = spec.tokenizer

    @abc.abstractmethod
    def loss(self, features: Features, chunk: Tensor, mask: Tensor, generator: Generator) -> Loss:
        """The training loss.

        Args:
            features: of B windows.
            chunk: normalised ``float32 (B, H, A)``.
            mask: ``bool (B, H)``, or ``bool (B, H, A)`` where some rows lack some entries; what is
                False does not count.
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


@runtime_checkable
class TakesIntent(Protocol):
    """A head whose chunks have a coarsest part, found first, that may be given instead of found."""

    def intent_of(self, chunk: Tensor) -> Tensor:
        """The coarsest part of normalised chunks ``float32 (B, H, A)``: ids ``int64 (B, l)``."""
        ...

    def sample_given(
        self, features: Features, generator: Generators, intent: Tensor, samples: int = 1
    ) -> Samples:
        """As :meth:`Head.sample`, for given coarsest parts ``intent``, ``int64 (B, l)``."""
        ...


class HeadConfig(Part, abc.ABC, kind="heads"):
    """Base of the configurations of heads."""

    __slots__ = ()

    def refuses(self, tokenizer: TokenizerConfig | None) -> str | None:
        """Why this head cannot work with ``tokenizer``, with the fix; None if it can.

        By default a head predicts continuous actions and refuses any tokenizer.
        """
        if tokenizer is None:
            return None
        return (
            f"{self.part_name()} predicts continuous actions and has no use for the tokenizer "
            f"{tokenizer.part_name()}. Fix: drop the tokenizer, or choose a head that predicts "
            "ids, such as autoregressive"
        )

    @abc.abstractmethod
    def build(self, spec: HeadSpec) -> Head:
        """Make the head.

        Args:
            spec: sizes, tokenizer and embodiments.
        """


def masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``error (B, H, A)`` over what ``mask`` keeps of each sample, ``(B,)``.

    A sample counts the same however many of its steps lie before its episode's end, so that the
    mean over a batch equals the mean over its micro-batches. A sample without any kept step is 0.

    Args:
        error: ``(B, H, A)``.
        mask: ``bool (B, H)`` keeps whole steps, ``bool (B, H, A)`` single entries.
    """
    kept = mask.to(error.dtype)  # (B, H) or (B, H, A)
    if mask.dim() == 3:
        return (error * kept).sum((1, 2)) / kept.sum((1, 2)).clamp(min=1)
    return (error.mean(-1) * kept).sum(-1) / kept.sum(-1).clamp(min=1)


def draw_normal(shape: Sequence[int], generator: Generators, device: torch.device) -> Tensor:
    """Standard normal ``float32 (B, ...)``, each row from its own generator if there are B."""
    if isinstance(generator, Generator):
        return torch.randn(*shape, generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for {shape[0]} rows; give one per row")
    rows = [torch.randn(*shape[1:], generator=one, device=one.device) for one in generator]
    return torch.stack(rows).to(device)


def draw_uniform(shape: Sequence[int], generator: Generators, device: torch.device) -> Tensor:
    """Uniform ``float32 (B, ...)`` in [0, 1), each row from its own generator if there are B."""
    if isinstance(generator, Generator):
        return torch.rand(*shape, generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for {shape[0]} rows; give one per row")
    rows = [torch.rand(*shape[1:], generator=one, device=one.device) for one in generator]
    return torch.stack(rows).to(device)
