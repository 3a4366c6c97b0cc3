"""Normalisation of states and actions, made from a dataset's statistics and kept in the checkpoint.

Every feature is mapped entry by entry by ``y = (x - offset) / scale``:

=============  ======================  ===================  ===================================
mode           offset                  scale                range of y on the dataset
=============  ======================  ===================  ===================================
``mean_std``   mean                    standard deviation   mean 0, variance 1
``min_max``    (min + max) / 2         (max - min) / 2      [-1, 1]
``quantiles``  (q01 + q99) / 2         (q99 - q01) / 2      98 % within [-1, 1]
``identity``   0                       1                    unchanged; must be asked for by name
=============  ======================  ===================  ===================================

**Constant entries.** An entry whose scale is at most ``floor`` times the larger of 1e-3 and its
|offset| carries no information, and dividing by its scale would turn a rounding error into a large
input. It is only centred: its scale becomes 1. The inverse stays exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from enactive.registry import suggest

Mode = Literal["mean_std", "min_max", "quantiles", "identity"]

_NEEDS: dict[str, tuple[str, ...]] = {
    "mean_std": ("mean", "std"),
    "min_max": ("min", "max"),
    "quantiles": ("q01", "q99"),
    "identity": (),
}


class MissingStatistics(ValueError):
    """A feature is to be normalised and its statistics are not there."""


class Affine(nn.Module):
    """``y = (x - offset) / scale``, entry by entry; both are buffers ``float32 (D,)``."""

    offset: Tensor
    scale: Tensor

    def __init__(self, offset: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("offset", offset.float())
        self.register_buffer("scale", scale.float())

    def forward(self, value: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """World units ``(..., D)`` to normalised."""
        return (value - self.offset) / self.scale

    def inverse(self, value: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """Normalised ``(..., D)`` to world units."""
        return value * self.scale + self.offset


class PerEmbodiment(Affine):
    """An :class:`Affine` for each of E embodiments; offset and scale are ``float32 (E, D)``."""

    def forward(self, value: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """World units ``(B, ..., D)`` to normalised, row by row of ``embodiment (B,)``."""
        return (value - self._rows(self.offset, value, embodiment)) / self._rows(
            self.scale, value, embodiment
        )

    def inverse(self, value: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """The inverse of :meth:`forward`."""
        scale = self._rows(self.scale, value, embodiment)
        return value * scale + self._rows(self.offset, value, embodiment)

    def _rows(self, table: Tensor, value: Tensor, embodiment: Tensor | None) -> Tensor:
        if embodiment is None:
            raise ValueError(
                "this model was trained on several embodiments and the batch does not say which "
                "its rows are of; give Batch.embodiment"
            )
        rows = table[embodiment]  # (B, D)
        return rows.view(len(rows), *[1] * (value.dim() - 2), rows.shape[-1])


class Normalizer(nn.Module):
    """One affine map per feature. Its buffers are part of the model's ``state_dict``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """How each feature is normalised."""

        action: Mode = "mean_std"
        """Mode of the action chunk."""
        state: Mode = "mean_std"
        """Mode of every state vector."""
        overrides: Mapping[str, Mode] = field(default_factory=dict[str, Mode])
        """Feature name (``"action"``, ``"proprio"``) to a mode of its own."""
        floor: float = 1e-4
        """Relative spread at or below which an entry counts as constant, see the module."""
        shared: tuple[str, ...] = ()
        """With several embodiments, the features that all of them are normalised alike in, such as
        a state vector that means the same for all; every other feature has statistics for each."""

        def build(
            self,
            sizes: Mapping[str, int],
            statistics: Mapping[str, Mapping[str, Any]],
            embodiments: Sequence[str] = (),
        ) -> Normalizer:
            """Make the normaliser.

            Args:
                sizes: feature name to D; ``"action"`` and the names of the state vectors.
                statistics: feature name to ``mean, std, min, max, q01, q99``, each ``(D,)``; those
                    of one embodiment under :func:`statistics_key`.
                embodiments: their names, in the order of the indices in batches; empty for one.

            Raises:
                MissingStatistics: naming the feature, what is missing and the fix.
                ValueError: a statistic has the wrong size, or an override names no feature.
            """
            return Normalizer(self, sizes, statistics, embodiments)

    def __init__(
        self,
        config: Normalizer.Config,
        sizes: Mapping[str, int],
        statistics: Mapping[str, Mapping[str, Any]],
        embodiments: Sequence[str] = (),
    ) -> None:
        super().__init__()
        for field_name, names in (("overrides", config.overrides), ("shared", config.shared)):
            for name in names:
                if name not in sizes:
                    raise ValueError(
                        f"normalization.{field_name}: no feature {name!r}; {suggest(name, sizes)}"
                    )
        maps: dict[str, Affine] = {}
        for name, size in sizes.items():
            default = config.action if name == "action" else config.state
            mode = config.overrides.get(name, default)
            if not embodiments or name in config.shared:
                maps[_key(name)] = _affine(name, size, mode, statistics, config.floor)
                continue
            keys = [statistics_key(one, name) for one in embodiments]
            each = [_affine(key, size, mode, statistics, config.floor) for key in keys]
            maps[_key(name)] = PerEmbodiment(
                torch.stack([one.offset for one in each]), torch.stack([one.scale for one in each])
            )
        self.maps = nn.ModuleDict(maps)

    def normalize(self, feature: str, value: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """``value (B, ..., D)`` of ``feature`` in world units, normalised.

        Args:
            feature: its name.
            value: world units.
            embodiment: ``int64 (B,)``; needed where there are several.
        """
        return self.maps[_key(feature)](value, embodiment)

    def denormalize(self, feature: str, value: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """The inverse of :meth:`normalize`."""
        affine = self.maps[_key(feature)]
        assert isinstance(affine, Affine)
        return affine.inverse(value, embodiment)


def statistics_key(embodiment: str, feature: str) -> str:
    """Under which name the statistics of one embodiment's feature are kept."""
    return f"{embodiment}/{feature}"


def _key(name: str) -> str:
    return name.replace(".", "/")  # module names may not contain dots


def _affine(
    name: str,
    size: int,
    mode: Mode,
    statistics: Mapping[str, Mapping[str, Any]],
    floor: float,
) -> Affine:
    if mode not in _NEEDS:
        raise ValueError(f"{name}: no normalisation mode {mode!r}; {suggest(mode, _NEEDS)}")
    needs = _NEEDS[mode]
    if not needs:
        return Affine(torch.zeros(size), torch.ones(size))
    if name not in statistics:
        raise MissingStatistics(
            f"{name!r} has no statistics and its mode is {mode!r}; {suggest(name, statistics)}. "
            "Compute them with the dataset's statistics, or ask for identity: "
            f"normalization.overrides={{{name!r}: 'identity'}}"
        )
    missing = [need for need in needs if need not in statistics[name]]
    if missing:
        raise MissingStatistics(
            f"the statistics of {name!r} lack {', '.join(missing)}, which mode {mode!r} needs; "
            "recompute the dataset's statistics, or choose a mode that does with "
            f"{', '.join(sorted(statistics[name]))}"
        )
    first, second = (_vector(name, need, statistics[name][need], size) for need in needs)
    if mode == "mean_std":
        offset, scale = first, second
    else:
        offset, scale = (first + second) / 2, (second - first) / 2
    if (scale < 0).any():
        raise ValueError(f"the statistics of {name!r} are wrong: {needs[1]} < {needs[0]}")
    constant = scale <= floor * np.maximum(np.abs(offset), 1e-3)
    scale = np.where(constant, 1.0, scale)
    return Affine(torch.from_numpy(offset), torch.from_numpy(scale))


def _vector(name: str, key: str, value: Sequence[float] | Any, size: int) -> np.ndarray:
    vector = np.asarray(value, dtype=np.float64).reshape(-1)
    if vector.shape != (size,):
        raise ValueError(
            f"the statistic {key!r} of {name!r} has {vector.size} entries and the feature {size}"
        )
    if not np.isfinite(vector).all():
        raise ValueError(f"the statistic {key!r} of {name!r} is not finite: {vector.tolist()}")
    return vector
