"""The features (columns and cameras) of a dataset, from what a world declares or an episode has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import VectorSpace, space_from_dict
from enactive.episodes import layout
from enactive.episodes.episode import Episode

Features = dict[str, dict[str, Any]]
Storage = Literal["video", "image"]

REWARD, SUCCESS, DONE = "next.reward", "next.success", "next.done"


def world_features(
    world: Mapping[str, Any], *, storage: Storage = "video", expert: bool = False
) -> Features:
    """Features of the datasets of a world.

    Args:
        world: what :func:`enactive.episodes.episode.world_record` made of its specification.
        storage: cameras as mp4 (``"video"``) or as lossless PNG (``"image"``).
        expert: whether to keep the expert's action beside the executed one.
    """
    observations = world["observations"]
    features: Features = {}
    for camera in observations["cameras"]:
        features[layout.camera_key(camera["name"])] = {
            "dtype": storage,
            "shape": [camera["height"], camera["width"], 3],
            "names": ["height", "width", "channels"],
        }
    for state in observations["states"]:
        names = list(state["names"])
        features[layout.state_key(state["name"])] = {
            "dtype": "float32",
            "shape": [len(names)],
            "names": names,
        }
    features[layout.ACTION] = _action_feature(world["accepts"])
    if expert:
        features[layout.EXPERT] = dict(features[layout.ACTION])
    one = {"shape": [1], "names": None}
    features[REWARD] = {"dtype": "float32", **one}
    features[SUCCESS] = {"dtype": "bool", **one}
    features[DONE] = {"dtype": "bool", **one}
    return features | {key: dict(feature) for key, feature in layout.BOOKKEEPING.items()}


def _action_feature(accepts: Mapping[str, Any]) -> dict[str, Any]:
    space = space_from_dict(accepts)
    if isinstance(space, VectorSpace):
        return {"dtype": "float32", "shape": [space.size], "names": list(space.names)}
    if accepts["space"] == "choice":
        return {"dtype": "int64", "shape": [1], "names": None}
    raise ValueError(
        f"actions of a {accepts['space']!r} space have no column in a LeRobotDataset; keep such "
        "episodes in their journal"
    )


def episode_columns(episode: Episode, features: Features) -> dict[str, NDArray[Any]]:
    """The episode's values for every feature that is neither a camera nor bookkeeping.

    Raises:
        ValueError: a feature is missing from the episode or has another shape; the message names
            the feature and the episode.
    """
    length = episode.length
    done = np.zeros(length, np.bool_)
    done[-1:] = True
    expert = episode.actions if episode.expert_actions is None else episode.expert_actions
    values: dict[str, NDArray[Any]] = {
        layout.ACTION: episode.actions,
        layout.EXPERT: expert,
        REWARD: episode.rewards,
        SUCCESS: episode.successes,
        DONE: done,
    }
    values |= {layout.state_key(name): rows for name, rows in episode.state.items()}
    wanted = [
        key
        for key, feature in features.items()
        if feature["dtype"] not in ("video", "image") and key not in layout.BOOKKEEPING
    ]
    name = episode.header.id
    columns: dict[str, NDArray[Any]] = {}
    for key in wanted:
        if key not in values:
            raise ValueError(f"episode {name!r} has no {key!r}, which the dataset declares")
        rows, shape = values[key], tuple(features[key]["shape"])
        if rows.reshape(len(rows), -1).shape != (length, *shape):
            raise ValueError(
                f"episode {name!r}: {key!r} has shape {rows.shape}, the dataset declares "
                f"{length} rows of {shape}"
            )
        columns[key] = rows.astype(features[key]["dtype"], copy=False)
    return columns


def episode_images(episode: Episode, features: Features) -> dict[str, NDArray[np.uint8]]:
    """Camera feature to the episode's pictures ``uint8 (T, H, W, 3)``.

    Raises:
        ValueError: a camera is missing or has another size, with the names of those there are.
    """
    found: dict[str, NDArray[np.uint8]] = {}
    for key, feature in features.items():
        if feature["dtype"] not in ("video", "image"):
            continue
        name = layout.camera_name(key)
        if name not in episode.images:
            raise ValueError(
                f"episode {episode.header.id!r} has no camera {name!r}; "
                f"it has: {', '.join(episode.images) or 'none'}"
            )
        images = episode.images[name]
        if images.shape != (episode.length, *feature["shape"]) or images.dtype != np.uint8:
            raise ValueError(
                f"episode {episode.header.id!r}: camera {name!r} has {images.dtype} "
                f"{images.shape}, the dataset declares uint8 "
                f"{(episode.length, *feature['shape'])}"
            )
        found[key] = images
    return found
