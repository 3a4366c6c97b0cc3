"""Mixtures of embodiments: which source is of which, the unified actions, statistics for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from enactive.actions.slots import SlotConflict, Slots
from enactive.actions.spaces import VectorSpace
from enactive.configuration import ConfigurationError
from enactive.episodes.statistics import merge_summaries
from enactive.models.normalization import statistics_key
from enactive.training.config import Source, Training

Summary = Mapping[str, Any]

_NEUTRAL = {"mean": 0.0, "std": 1.0, "min": -1.0, "max": 1.0}
"""Statistics of an entry that an embodiment does not have: normalising leaves its 0 a 0."""


def embodiments_of(sources: Sequence[Source]) -> dict[str, str]:
    """Source to embodiment; empty if no source names one. A source that does not, where others do,
    is an embodiment of its own name."""
    if not any(source.embodiment for source in sources):
        return {}
    return {source.label: source.embodiment or source.label for source in sources}


def slots_of(
    config: Training, spaces: Mapping[str, VectorSpace], embodiments: Mapping[str, str]
) -> Slots:
    """The unified actions of a run.

    Args:
        config: the run.
        spaces: source name to action space.
        embodiments: source name to embodiment.

    Raises:
        ConfigurationError: an embodiment's sources, or two embodiments' slots, disagree.
    """
    own: dict[str, VectorSpace] = {}
    for source, embodiment in embodiments.items():
        space = spaces[source]
        if own.setdefault(embodiment, space) != space:
            raise ConfigurationError(
                f"data: the sources of embodiment {embodiment!r} have different action spaces:\n"
                f"  {own[embodiment]}\n  {space} ({source})\n"
                "name another embodiment for one of them, or convert its actions"
            )
    try:
        return Slots.of(own) if config.align else Slots.by_position(own)
    except SlotConflict as error:
        raise ConfigurationError(f"data: these embodiments cannot be aligned: {error}") from error


def embodiment_statistics(
    slots: Slots, embodiments: Mapping[str, str], found: Mapping[str, Mapping[str, Summary]]
) -> dict[str, Summary]:
    """Statistics of each embodiment's features, and of each feature over all embodiments.

    Args:
        slots: the unified actions.
        embodiments: source name to embodiment.
        found: source name to feature to statistics, actions in the source's own space.

    Returns:
        Under ``"EMBODIMENT/FEATURE"`` those of one, under ``"FEATURE"`` those of all, one count per
        frame; actions unified. An entry that only some embodiments have counts their frames only.
    """
    merged: dict[str, Summary] = {}
    for source, features in found.items():
        embodiment = embodiments[source]
        for feature, summary in features.items():
            placed = summary
            if feature == "action":
                placed = _unified(slots, embodiment, summary)
            key = statistics_key(embodiment, feature)
            merged[key] = merge_summaries(merged[key], placed) if key in merged else placed
    for feature in dict.fromkeys(name for features in found.values() for name in features):
        keys = [statistics_key(one, feature) for one in slots.names]
        parts = [merged[key] for key in keys if key in merged]
        if feature == "action":
            merged[feature] = _pooled(slots, parts)
            continue
        together = parts[0]
        for part in parts[1:]:
            together = merge_summaries(together, part)
        merged[feature] = together
    return merged


def _unified(slots: Slots, embodiment: str, summary: Summary) -> Summary:
    mask = slots.mask(embodiment)
    unified: dict[str, Any] = {"count": summary["count"]}
    for name, value in summary.items():
        if name != "count":
            default = _NEUTRAL.get(name, -1.0 if name in ("q01", "q10") else 1.0)
            placed = slots.embed(embodiment, np.asarray(value, np.float64).reshape(-1))
            unified[name] = np.where(mask, placed, default)
    return unified


def _pooled(slots: Slots, parts: Sequence[Summary]) -> Summary:
    """Entry by entry over the embodiments that have it."""
    masks = slots.masks()  # (E, U)
    columns: list[Summary] = []
    for entry in range(slots.size):
        having = [
            {key: value if key == "count" else value[[entry]] for key, value in part.items()}
            for part, mask in zip(parts, masks, strict=True)
            if mask[entry]
        ]
        together = having[0]
        for one in having[1:]:
            together = merge_summaries(together, one)
        columns.append(together)
    shared = set.intersection(*(set(column) for column in columns)) - {"count"}
    pooled = {name: np.concatenate([column[name] for column in columns]) for name in shared}
    return {**pooled, "count": np.array([sum(int(part["count"][0]) for part in parts)])}
