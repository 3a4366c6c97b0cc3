"""Several datasets as one stream of windows: weights, and what must agree before they are mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enactive.episodes.dataset import Dataset, Statistics
from enactive.episodes.layout import camera_key, state_key
from enactive.episodes.windows import Subset, WindowSpec, subset
from enactive.registry import suggest


class IncompatibleDatasets(ValueError):
    """The datasets of a mixture mean different things by one feature; the message lists all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """Datasets by name, each with the share of samples that it gives.

    Made by :func:`mixture`. Every dataset keeps its own statistics and its own shuffling stream,
    named after it, so that adding one does not reshuffle the others.
    """

    parts: Mapping[str, Subset]
    """Name to episodes, in the order of ``Batch.dataset_index``."""
    weights: Mapping[str, float]
    """Name to share of the samples; positive, sums to 1."""
    mixed_rates: bool = False
    """Whether chunks of different datasets may last different times."""

    @property
    def statistics(self) -> dict[str, Statistics]:
        """Name to the statistics of that dataset, all its episodes."""
        return {name: part.dataset.stats for name, part in self.parts.items()}


def mixture(
    datasets: Mapping[str, Dataset | Subset],
    *,
    weights: Mapping[str, float] | None = None,
    temperature: float = 1.0,
    mixed_rates: bool = False,
) -> Mixture:
    """Mix datasets.

    Args:
        datasets: name to dataset, or to a part of one.
        weights: name to weight, any positive numbers; by default the number of frames.
        temperature: weights are raised to ``1 / temperature`` before they are normalised: 1 keeps
            them, larger values even them out, infinity makes all equal.
        mixed_rates: allow datasets whose rates differ, so that H actions last different times.

    Raises:
        KeyError: a weight is for no dataset, or a dataset has no weight.
        ValueError: there is no dataset, or a weight or the temperature is not positive.
    """
    if not datasets:
        raise ValueError("datasets: a mixture needs at least one")
    parts = {
        name: data if isinstance(data, Subset) else subset(data) for name, data in datasets.items()
    }
    if weights is None:
        weights = {name: float(part.num_frames) for name, part in parts.items()}
    for name in weights:
        if name not in parts:
            raise KeyError(f"weights: no dataset is called {name!r}; {suggest(name, parts)}")
    for name in parts:
        if name not in weights:
            raise KeyError(f"weights: the dataset {name!r} has none; give one or leave it out")
    for name, weight in weights.items():
        if not weight > 0:
            raise ValueError(f"weights: {name!r} has {weight}; leave it out instead")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    largest = max(weights.values())
    powers = {name: (weights[name] / largest) ** (1 / temperature) for name in parts}
    total = sum(powers.values())
    shares = {name: power / total for name, power in powers.items()}
    return Mixture(parts=parts, weights=shares, mixed_rates=mixed_rates)


def check_compatible(mixed: Mixture, spec: WindowSpec, *, unified: bool = False) -> None:
    """Refuse a mixture whose datasets cannot share one batch.

    Compared with the first dataset: the action's and the states' sizes and entry names, the
    cameras' presence and picture sizes, and the rate.

    Args:
        mixed: the mixture.
        spec: what a window holds.
        unified: actions may differ, because slots make them alike.

    Raises:
        IncompatibleDatasets: something differs; every difference is listed with its fix.
    """
    names = list(mixed.parts)
    first = mixed.parts[names[0]].dataset
    cameras = first.cameras if spec.cameras is None else spec.cameras
    problems: list[str] = []
    for name in names[1:]:
        other = mixed.parts[name].dataset
        vectors = {state_key(s): "state" for s in spec.states}
        if not unified:
            vectors = {spec.action_key: "action", **vectors}
        for key, kind in vectors.items():
            problems += _compare_vectors(key, kind, names[0], first, name, other)
        for camera in cameras:
            problems += _compare_cameras(camera, names[0], first, name, other)
        if spec.cameras is None and set(first.cameras) != set(other.cameras):
            problems.append(
                f"{name!r} has cameras {', '.join(other.cameras) or 'none'}, {names[0]!r} has "
                f"{', '.join(first.cameras) or 'none'}; set WindowSpec.cameras to those all have"
            )
        if first.rate != other.rate and not mixed.mixed_rates:
            problems.append(
                f"{name!r} runs at {other.fps:g} Hz, {names[0]!r} at {first.fps:g} Hz, so their "
                f"chunks of {spec.action_steps} actions last different times; resample one of "
                "them, or pass mixed_rates=True if the model is told the rate"
            )
    if problems:
        listing = "\n".join(f"- {problem}" for problem in problems)
        raise IncompatibleDatasets(f"these datasets cannot be mixed:\n{listing}")


def _compare_vectors(
    key: str, kind: str, first: str, a: Dataset, name: str, b: Dataset
) -> list[str]:
    for where, data in ((first, a), (name, b)):
        if key not in data.features:
            return [f"{where!r} has no {kind} feature {key!r}; {suggest(key, data.features)}"]
    shapes = [tuple(data.features[key]["shape"]) for data in (a, b)]
    if shapes[0] != shapes[1]:
        return [
            f"{key!r} has shape {shapes[1]} in {name!r} and {shapes[0]} in {first!r}; convert one "
            f"dataset's {kind}s to the other's space, or train on them separately"
        ]
    labels = [entry_names(data.features[key]) for data in (a, b)]
    if labels[0] and labels[1] and labels[0] != labels[1]:
        return [
            f"{key!r} means {', '.join(labels[1])} in {name!r} and {', '.join(labels[0])} in "
            f"{first!r}; reorder or convert one, or correct `names` in its meta/info.json if both "
            "mean the same"
        ]
    return []


def _compare_cameras(camera: str, first: str, a: Dataset, name: str, b: Dataset) -> list[str]:
    if camera not in a.cameras or camera not in b.cameras:
        lacks, data = (first, a) if camera not in a.cameras else (name, b)
        return [
            f"{lacks!r} has no camera {camera!r}; {suggest(camera, data.cameras)}. Rename the "
            f"feature to {camera_key(camera)!r} or take the camera out of WindowSpec.cameras"
        ]
    shapes = [data.camera_feature(camera)[1] for data in (a, b)]
    if shapes[0] != shapes[1]:
        return [
            f"camera {camera!r} has pictures {shapes[1]} in {name!r} and {shapes[0]} in {first!r}; "
            "encode one dataset again at the other's size"
        ]
    return []


def entry_names(feature: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a vector feature's entries; empty if the dataset does not say.

    ``names`` is a list, or (older datasets) a dictionary of one list such as ``{"motors": [...]}``.
    """
    names = feature.get("names")
    if isinstance(names, Mapping):
        values: list[Any] = list(names.values())  # type: ignore[reportUnknownArgumentType]
        if len(values) == 1 and isinstance(values[0], list):
            names = values[0]  # type: ignore[reportUnknownVariableType]
    return tuple(str(name) for name in names) if names else ()
