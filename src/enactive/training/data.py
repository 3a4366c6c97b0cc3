"""A run's datasets: opened, split, described and mixed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from enactive.actions.spaces import Group, VectorSpace
from enactive.configuration import ConfigurationError
from enactive.episodes import layout, sidecar
from enactive.episodes.dataset import Dataset
from enactive.episodes.loader import WindowLoader
from enactive.episodes.mixture import entry_names, mixture
from enactive.episodes.statistics import merge_summaries
from enactive.episodes.windows import Subset, WindowSpec, split, subset
from enactive.models.action_model import Interface
from enactive.observations import Camera, ObservationSpec, StateVector
from enactive.seeding import child_seed
from enactive.training.config import Stage, Training
from enactive.training.embodiments import embodiment_statistics, embodiments_of, slots_of
from enactive.training.initial import initial_statistics
from enactive.training.relative import relative_statistics


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What a run trains on."""

    training: Mapping[str, Subset]
    """Source name to its training episodes."""
    validation: Mapping[str, Subset]
    """Source name to its held-out episodes; empty without validation."""
    interface: Interface
    """Cameras, state vectors and action space, equal in all sources; with several embodiments the
    unified action space."""
    statistics: Mapping[str, Mapping[str, Any]]
    """``"action"`` and state vector names to statistics over all sources, one count per frame; with
    several embodiments also those of each, ``"EMBODIMENT/action"``."""
    embodiments: Mapping[str, str] = field(default_factory=dict[str, str])
    """Source name to embodiment; empty where there is only one."""


def open_data(config: Training) -> Data:
    """Open and describe the datasets of a run; decodes nothing.

    Raises:
        ConfigurationError: two sources share a name, or their interfaces differ.
        enactive.episodes.dataset.BrokenDataset: a dataset is damaged.
    """
    datasets: dict[str, Dataset] = {}
    for source in config.data:
        if source.label in datasets:
            raise ConfigurationError(f"data: two sources are called {source.label!r}; name them")
        datasets[source.label] = Dataset.open(source.path)
    training: dict[str, Subset] = {}
    held_out: dict[str, Subset] = {}
    for name, dataset in datasets.items():
        if config.validation:
            training[name], held_out[name] = split(
                dataset, validation=config.validation, seed=config.seed
            )
        else:
            training[name] = subset(dataset)
    interfaces = {name: interface_of(data, config) for name, data in datasets.items()}
    first = next(iter(interfaces.values()))
    spaces = {name: interface.produces for name, interface in interfaces.items()}
    found = _statistics(datasets, first, config.action_key)
    if config.model.relative:
        for name, part in training.items():
            found[name]["action"] = relative_statistics(part, config, spaces[name])
    embodiments = embodiments_of(config.data)
    if embodiments:
        slots = slots_of(config, spaces, embodiments)
        first = replace(first, produces=slots.unified, slots=slots)
        statistics = embodiment_statistics(slots, embodiments, found)
    else:
        _check_same_space(spaces)
        statistics = _merged(found)
    if config.initial is not None:
        features = ("action", *(state.name for state in first.consumes.states))
        used = config.model.normalization.shared if embodiments else features
        statistics = initial_statistics(config.initial, statistics, used)
    return Data(
        training=training,
        validation=held_out,
        interface=first,
        statistics=statistics,
        embodiments=embodiments,
    )


def _check_same_space(spaces: Mapping[str, VectorSpace]) -> None:
    first_name, first = next(iter(spaces.items()))
    for name, space in spaces.items():
        if space != first:
            raise ConfigurationError(
                f"data: the actions of {name!r} and {first_name!r} are not in the same space:\n"
                f"  {first_name}: {first}\n  {name}: {space}\n"
                "convert one of the datasets (enactive.actions.convert) before mixing them, or "
                "name the embodiment of each, so that their actions get slots of their own"
            )


def interface_of(dataset: Dataset, config: Training) -> Interface:
    """Cameras, state vectors and action space of a dataset."""
    cameras: list[Camera] = []
    for name in dataset.cameras:
        height, width, _ = dataset.camera_feature(name)[1]
        cameras.append(Camera(name=name, height=height, width=width))
    states: list[StateVector] = []
    for key, feature in dataset.features.items():
        vector = feature["dtype"] == "float32" and len(feature["shape"]) == 1
        if key.startswith("observation.") and vector:
            name = layout.PROPRIO if key == layout.STATE_KEY else key.removeprefix("observation.")
            size = feature["shape"][0]
            names = entry_names(feature) or tuple(f"{name}.{i}" for i in range(size))
            states.append(StateVector(name=name, names=names, unit="as recorded"))
    states = _declared_units(dataset, states)
    return Interface(
        consumes=ObservationSpec(cameras=tuple(cameras), states=tuple(states)),
        produces=_space(dataset, config),
    )


def _worlds(dataset: Dataset) -> list[dict[str, Any]]:
    headers = sidecar.read_table(dataset.path, "episodes", ["header"])["header"].to_pylist()
    return [json.loads(header)["world"] for header in headers]


def _declared_units(dataset: Dataset, states: list[StateVector]) -> list[StateVector]:
    worlds = _worlds(dataset)[:1]
    declared = {s["name"]: s for world in worlds for s in world["observations"]["states"]}
    return [
        StateVector(name=state.name, names=state.names, unit=declared[state.name]["unit"])
        if state.name in declared
        else state
        for state in states
    ]


def _space(dataset: Dataset, config: Training) -> VectorSpace:
    size = int(np.prod(dataset.features[config.action_key]["shape"]))
    if config.action_space is not None:
        space = VectorSpace.from_dict(config.action_space)
    else:
        accepts = [world["accepts"] for world in _worlds(dataset)]
        if any(other != accepts[0] for other in accepts):
            raise ConfigurationError(
                f"{dataset.path}: its episodes were recorded in different action spaces; "
                "convert them, or split the dataset"
            )
        space = VectorSpace.from_dict(accepts[0]) if accepts else _unknown(size, dataset.fps)
    if space.size != size:
        raise ConfigurationError(
            f"{dataset.path}: {config.action_key!r} has {size} entries and its action space "
            f"{space.size}: {space}"
        )
    return space


def _unknown(size: int, rate: float) -> VectorSpace:
    """Actions whose convention nobody wrote down: no world accepts them, training does not mind."""
    group = Group(
        name="action",
        quantity="other",
        representation="scalar",
        reference="absolute",
        frame="unknown",
        unit="unknown",
        low=float("-inf"),
        high=float("inf"),
        size=size,
    )
    return VectorSpace(groups=(group,), rate_hz=rate)


def _statistics(
    datasets: Mapping[str, Dataset], interface: Interface, action_key: str
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Source name to feature to statistics."""
    keys = {"action": action_key}
    keys |= {state.name: layout.state_key(state.name) for state in interface.consumes.states}
    return {
        source: {name: data.stats[key] for name, key in keys.items() if key in data.stats}
        for source, data in datasets.items()
    }


def _merged(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    merged: dict[str, Mapping[str, Any]] = {}
    for features in found.values():
        for name, one in features.items():
            merged[name] = merge_summaries(merged[name], one) if name in merged else one
    return merged


def window_spec(config: Training, data: Data) -> WindowSpec:
    """The windows that the model of ``config`` needs."""
    model = config.model
    cameras = model.cameras or tuple(camera.name for camera in data.interface.consumes.cameras)
    return WindowSpec(
        action_steps=model.horizon,
        observation_steps=model.observation_steps,
        cameras=cameras,
        states=model.states,
        action_key=config.action_key,
    )


def training_loader(
    config: Training,
    data: Data,
    stage: Stage,
    number: int,
    *,
    rank: int,
    world_size: int,
    progress: Callable[[int, int], None] | None = None,
) -> WindowLoader:
    """The endless batches of stage ``number``."""
    own = {source.label: source.weight for source in config.data if source.weight is not None}
    weights = dict(stage.weights) if stage.weights is not None else own or None
    names = data.training if weights is None else weights
    return WindowLoader(
        mixture({name: data.training[name] for name in names}, weights=weights),
        window_spec(config, data),
        batch_size=(stage.batch_size or config.batch_size) // world_size,
        seed=child_seed(config.seed, "loader", number),
        workers=config.workers,
        cache=config.cache,
        rank=rank,
        world_size=world_size,
        progress=progress,
        slots=data.interface.slots,
        embodiments=data.embodiments,
    )


def validation_loader(config: Training, data: Data) -> WindowLoader:
    """Shuffled batches of held-out windows; training takes the first few, always the same."""
    return WindowLoader(
        mixture(data.validation),
        window_spec(config, data),
        batch_size=min(config.batch_size, sum(_frames(part) for part in data.validation.values())),
        seed=child_seed(config.seed, "validation"),
        cache=config.cache,
        slots=data.interface.slots,
        embodiments=data.embodiments,
    )


def _frames(part: Subset) -> int:
    return sum(part.dataset.episode(episode).length for episode in part.episodes)
