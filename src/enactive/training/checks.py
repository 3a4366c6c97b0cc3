"""Refusing a run that cannot work before it starts: everything that is wrong, all at once."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from enactive import configuration
from enactive.configuration import ConfigurationError
from enactive.episodes.windows import Subset
from enactive.models.normalization import MissingStatistics
from enactive.registry import suggest
from enactive.training.config import UNIMPORTANT, Stage, Training
from enactive.training.data import Data


def refuse(
    config: Training,
    data: Data,
    world_size: int,
    device: torch.device,
    assets: Path | None = None,
) -> None:
    """Raise if the run cannot work.

    Args:
        config: the run.
        data: its datasets.
        world_size: processes.
        device: of this process.
        assets: the backbone's files in the checkpoint where the run goes on, if there is one.

    Raises:
        ConfigurationError: lists every problem with its field and its fix.
    """
    problems = [
        *_batch_problems(config, data, world_size),
        *_stage_problems(config, data),
        *_window_problems(config, data),
        *_precision_problems(config, device),
    ]
    if not problems:
        problems = _model_problems(config, data, assets)
    if problems:
        listing = "\n".join(f"  - {problem}" for problem in problems)
        raise ConfigurationError(f"this run cannot work:\n{listing}")


def micro_batches(config: Training, stage: Stage, world_size: int) -> tuple[int, int]:
    """Windows of a micro-batch, and how many of them each process accumulates in a step."""
    batch = stage.batch_size or config.batch_size
    micro = config.micro_batch_size or batch // world_size
    return micro, batch // (micro * world_size)


def _batch_problems(config: Training, data: Data, world_size: int) -> list[str]:
    problems: list[str] = []
    frames = sum(_frames(part) for part in data.training.values())
    for stage in config.plan:
        batch = stage.batch_size or config.batch_size
        micro = config.micro_batch_size or max(batch // world_size, 1)
        unit = micro * world_size
        if batch % unit:
            problems.append(
                f"batch_size {batch} is not a multiple of micro_batch_size {micro} times "
                f"{world_size} processes; e.g. use {max(batch // unit, 1) * unit}"
            )
        if batch > frames:
            problems.append(
                f"batch_size {batch} exceeds the {frames} frames of the training data; "
                f"use at most {frames}"
            )
    return problems


def _stage_problems(config: Training, data: Data) -> list[str]:
    problems: list[str] = []
    for i, stage in enumerate(config.plan):
        for name in stage.weights or {}:
            if name not in data.training:
                problems.append(
                    f"stages[{i}].weights: no source is called {name!r}; "
                    f"{suggest(name, data.training)}"
                )
        if stage.weights is not None and not stage.weights:
            problems.append(f"stages[{i}].weights is empty; leave it out to use every source")
    return problems


def _window_problems(config: Training, data: Data) -> list[str]:
    problems: list[str] = []
    model, spec = config.model, data.interface.consumes
    for field, wanted, known in (
        ("cameras", model.cameras, [camera.name for camera in spec.cameras]),
        ("states", model.states, [state.name for state in spec.states]),
    ):
        problems += [
            f"model.{field}: the data has no {name!r}; {suggest(name, known)}"
            for name in wanted
            if name not in known
        ]
    longest = max(entry for part in data.training.values() for entry in _lengths(part))
    if model.horizon > longest:
        problems.append(
            f"model.horizon {model.horizon} is longer than every episode (the longest has "
            f"{longest} frames); use at most {longest}"
        )
    return problems


def _precision_problems(config: Training, device: torch.device) -> list[str]:
    lacks = device.type == "cuda" and not torch.cuda.is_bf16_supported()
    if config.precision == "bfloat16" and lacks:
        return [f"precision: {device} has no bfloat16; use float32 or auto"]
    return []


def _model_problems(config: Training, data: Data, assets: Path | None) -> list[str]:
    if config.model.tokenizer is not None and data.interface.slots is not None:
        return [
            "model.tokenizer: a tokenizer is fitted to one action space, and this run has the "
            f"embodiments {', '.join(data.interface.embodiments)}; use a head without a tokenizer"
        ]
    try:
        model = config.model.build(data.interface, data.statistics, config.seed, assets)
        if model.backbone.uses_embedding and config.model.instructed:
            config.model.language.build().directory()
    except (MissingStatistics, ConfigurationError, ValueError, FileNotFoundError) as error:
        return [f"model: {error}"]
    names = [name for name, _ in model.named_parameters()]
    return [p for i, stage in enumerate(config.plan) for p in _freeze_problems(i, stage, names)]


def _freeze_problems(number: int, stage: Stage, names: Sequence[str]) -> list[str]:
    problems = [
        f"stages[{number}].freeze: {pattern!r} matches no parameter; "
        f"{suggest(pattern, _tops(names))}"
        for pattern in stage.freeze
        if not fnmatch.filter(names, pattern)
    ]
    if names and all(frozen(name, stage) for name in names):
        problems.append(f"stages[{number}].freeze leaves nothing to train")
    return problems


def _tops(names: Sequence[str]) -> set[str]:
    return {".".join(name.split(".")[:2]) + ".*" for name in names} | {"backbone.*", "head.*"}


def frozen(name: str, stage: Stage) -> bool:
    """Whether ``stage`` leaves the parameter called ``name`` as it is."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in stage.freeze)


def _frames(part: Subset) -> int:
    return sum(_lengths(part))


def _lengths(part: Subset) -> list[int]:
    return [part.dataset.episode(episode).length for episode in part.episodes]


def same_run(config: Training, path: Path) -> None:
    """Refuse to go on with a run, whose configuration is in ``path``, as another one.

    Raises:
        ConfigurationError: names every field that differs and decides something.
    """
    before = configuration.load_yaml(Training, path)
    now, then = configuration.to_dict(config), configuration.to_dict(before)
    for name in UNIMPORTANT:
        now.pop(name)
        then.pop(name)
    different = list(_differences(then, now, ""))
    if different:
        listing = "\n".join(f"  - {line}" for line in different)
        raise ConfigurationError(
            f"{path.parent} holds a run of another configuration:\n{listing}\n"
            "choose another directory as `run`, or go on with the configuration it has"
        )


def _differences(then: Any, now: Any, where: str) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for name in sorted(then.keys() | now.keys()):
            yield from _differences(
                then.get(name), now.get(name), f"{where}.{name}" if where else name
            )
    elif then != now:
        yield f"{where} was {then!r} and is {now!r}"
