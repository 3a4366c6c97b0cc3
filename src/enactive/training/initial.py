"""Beginning a run with the weights of another: fine-tuning, and adapting to a new embodiment.

Statistics belong to the data, so a run computes its own; features that the old weights depend on
can take over the old ones. Parameters that the old model lacks, or has in another shape (a new
embodiment's decoder, a head of another kind), are drawn from the run's seed as usual. A tokenizer
of the same configuration comes along as it was fitted: fitted anew, to the new data, its ids would
mean something else to the head that was trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from enactive import configuration
from enactive.configuration import ConfigurationError
from enactive.models.action_model import ActionModel
from enactive.registry import suggest
from enactive.training.config import Initial


def model_directory(initial: Initial) -> Path:
    """The directory of the weights that ``initial`` means.

    Raises:
        ConfigurationError: there is none.
    """
    from enactive.training.checkpoints import resolve

    try:
        path = resolve(Path(initial.path))
    except FileNotFoundError as error:
        raise ConfigurationError(f"initial.path: {error}") from error
    if not (path / "model.safetensors").is_file():
        raise ConfigurationError(f"initial.path: {path} holds no model.safetensors")
    return path


def initial_statistics(
    initial: Initial, own: Mapping[str, Any], used: Collection[str]
) -> dict[str, Any]:
    """The run's own statistics, with those of ``initial.statistics`` taken over.

    Args:
        initial: where from.
        own: of the run's data.
        used: names of the features that have one set of statistics in this run.

    Raises:
        ConfigurationError: the other model has none of that name, or this one would not use them.
    """
    for name in initial.statistics:
        if name not in used:
            raise ConfigurationError(
                f"initial.statistics: {name!r} has statistics for each embodiment here, or is no "
                f"feature; name it in model.normalization.shared first. {suggest(name, used)}"
            )
    path = model_directory(initial) / "statistics.json"
    theirs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name in initial.statistics:
        if name not in theirs:
            raise ConfigurationError(
                f"initial.statistics: {path} has none of {name!r}; {suggest(name, theirs)}"
            )
    return {**own, **{name: theirs[name] for name in initial.statistics}}


@torch.no_grad()
def begin_from(model: ActionModel, initial: Initial) -> tuple[str, ...]:
    """Copy every parameter of equal name and shape into ``model``; averaged ones where they exist.

    Buffers (statistics) are not copied, except for those of a tokenizer of equal configuration and
    shapes, which is taken over whole and not fitted again.

    Returns:
        Names of the parameters that keep their fresh values.

    Raises:
        ConfigurationError: no parameter fits.
    """
    path = model_directory(initial)
    averaged = path / "ema.safetensors"
    found = load_file(averaged if averaged.is_file() else path / "model.safetensors")
    fresh: list[str] = []
    copied = 0
    for name, parameter in model.named_parameters():
        if name in found and found[name].shape == parameter.shape:
            parameter.copy_(found[name])
            copied += 1
        else:
            fresh.append(name)
    if not copied:
        raise ConfigurationError(
            f"initial.path: no parameter of {path} fits this model; is it of the same parts and "
            "sizes?"
        )
    if model.tokenizer is not None and _same_tokenizer(model, path):
        prefix = "head.tokenizer."
        theirs = {n.removeprefix(prefix): t for n, t in found.items() if n.startswith(prefix)}
        own = model.tokenizer.state_dict()
        if {n: t.shape for n, t in own.items()} == {n: t.shape for n, t in theirs.items()}:
            model.tokenizer.load_state_dict(theirs)
    return tuple(fresh)


def _same_tokenizer(model: ActionModel, path: Path) -> bool:
    """Whether the model in ``path`` has a tokenizer of this one's configuration and horizon."""
    theirs = configuration.load_yaml(ActionModel.Config, path / "config.yaml")
    own = model.config
    return theirs.tokenizer == own.tokenizer and theirs.horizon == own.horizon
