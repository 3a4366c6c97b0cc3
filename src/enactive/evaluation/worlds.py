"""A world's configuration as recorded with an episode, and the world made from it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enactive.configuration import ConfigurationError, from_dict, to_dict
from enactive.registry import Registry
from enactive.worlds.world import World

_WORLDS = Registry("worlds")


def config_record(config: Any) -> dict[str, Any]:
    """``config`` of a world as JSON values, with the name under which its class is found."""
    return {"part": _WORLDS.name_of(config), **to_dict(config)}


def load_config(record: Mapping[str, Any]) -> Any:
    """The configuration that :func:`config_record` described.

    Raises:
        ConfigurationError: the record names no part, or its fields do not fit the installed code.
        UnknownPart: the world is not installed.
    """
    fields = dict(record)
    name = fields.pop("part", None)
    if not isinstance(name, str):
        raise ConfigurationError("the recorded world has no 'part': it was not recorded with one")
    return from_dict(_WORLDS.load(name), fields)


def build_world(record: Mapping[str, Any]) -> World:
    """The world of a recorded configuration."""
    return load_config(record).build()
