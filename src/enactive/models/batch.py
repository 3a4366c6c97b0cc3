"""Batches of tensors: what a model is trained on, and what it sees when it acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enactive.observations import Observation


class NumpyBatch(Protocol):
    """What a window loader serves (:class:`enactive.episodes.windows.Batch`)."""

    @property
    def images(self) -> Mapping[str, NDArray[np.uint8]]: ...
    @property
    def state(self) -> Mapping[str, NDArray[np.float32]]: ...
    @property
    def instructions(self) -> Sequence[str]: ...
    @property
    def action(self) -> NDArray[np.float32]: ...
    @property
    def mask(self) -> NDArray[np.bool_]: ...
    @property
    def embodiment(self) -> NDArray[np.int64] | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """B observation windows of T observations, oldest first, and the chunks that followed them."""

    images: Mapping[str, Tensor]
    """Camera name to ``uint8 (B, T, H, W, 3)``, RGB."""
    state: Mapping[str, Tensor]
    """State vector name to ``float32 (B, T, D)``, in the units of the world."""
    instructions: tuple[str, ...]
    """B instructions."""
    action: Tensor | None = None
    """``float32 (B, H, A)`` in the units of the action space; None when acting."""
    mask: Tensor | None = None
    """``bool (B, H)``, False past an episode's end, or ``bool (B, H, A)``, False also for entries
    that a row's embodiment does not have; None when acting."""
    embodiment: Tensor | None = None
    """``int64 (B,)``: index of each row's embodiment; None where there is only one."""

    @property
    def size(self) -> int:
        """B."""
        return len(self.instructions)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``."""
        return Batch(
            images={name: image.to(device) for name, image in self.images.items()},
            state={name: state.to(device) for name, state in self.state.items()},
            instructions=self.instructions,
            action=None if self.action is None else self.action.to(device),
            mask=None if self.mask is None else self.mask.to(device),
            embodiment=None if self.embodiment is None else self.embodiment.to(device),
        )

    def rows(self, start: int, stop: int) -> Batch:
        """Rows ``start`` to ``stop`` (exclusive), sharing memory."""
        return Batch(
            images={name: image[start:stop] for name, image in self.images.items()},
            state={name: state[start:stop] for name, state in self.state.items()},
            instructions=self.instructions[start:stop],
            action=None if self.action is None else self.action[start:stop],
            mask=None if self.mask is None else self.mask[start:stop],
            embodiment=None if self.embodiment is None else self.embodiment[start:stop],
        )

    def padded(self, size: int) -> Batch:
        """This batch with its last row repeated until it has ``size`` rows."""
        extra = size - self.size
        if extra <= 0:
            return self

        def pad(value: Tensor) -> Tensor:
            return torch.cat([value, value[-1:].expand(extra, *value.shape[1:])])

        return Batch(
            images={name: pad(image) for name, image in self.images.items()},
            state={name: pad(state) for name, state in self.state.items()},
            instructions=self.instructions + self.instructions[-1:] * extra,
            action=None if self.action is None else pad(self.action),
            mask=None if self.mask is None else pad(self.mask),
            embodiment=None if self.embodiment is None else pad(self.embodiment),
        )


def from_numpy(batch: NumpyBatch) -> Batch:
    """The tensors of a loader's batch, sharing its memory where NumPy allows it."""
    return Batch(
        images={name: _tensor(image) for name, image in batch.images.items()},
        state={name: _tensor(state) for name, state in batch.state.items()},
        instructions=tuple(batch.instructions),
        action=_tensor(batch.action),
        mask=_tensor(batch.mask),
        embodiment=None if batch.embodiment is None else _tensor(batch.embodiment),
    )


def from_observations(
    windows: Sequence[Sequence[Observation]], cameras: Sequence[str], states: Sequence[str]
) -> Batch:
    """A batch to act on: one row per window of T observations, oldest first.

    Raises:
        KeyError: an observation lacks a camera or a state vector, named.
    """

    def stack(read: str, name: str) -> Tensor:
        rows = [[_entry(read, observation, name) for observation in row] for row in windows]
        return torch.from_numpy(np.stack([np.stack(row) for row in rows]))

    return Batch(
        images={name: stack("images", name) for name in cameras},
        state={name: stack("state", name).float() for name in states},
        instructions=tuple(row[-1].instruction for row in windows),
    )


def _entry(read: str, observation: Observation, name: str) -> NDArray[Any]:
    entries: Mapping[str, NDArray[Any]] = getattr(observation, read)
    if name not in entries:
        kind = "camera image" if read == "images" else "state vector"
        known = ", ".join(entries) or "none"
        raise KeyError(f"the observation has no {kind} {name!r}; it has: {known}")
    return entries[name]


def _tensor(value: NDArray[Any]) -> Tensor:
    if not value.flags.writeable or any(stride < 0 for stride in value.strides):
        value = value.copy()  # torch has no read-only tensors and no negative strides
    return torch.from_numpy(value)
