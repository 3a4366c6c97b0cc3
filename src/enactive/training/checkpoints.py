"""Checkpoints: directories that appear whole or not at all.

``checkpoints/step_00001000/`` is a model directory (:mod:`enactive.models.action_model`) with the
averaged weights, the optimizer's moments and ``state.json`` beside it, all safetensors and JSON.
It is written under another name, flushed to the disk, and renamed; then the file
``checkpoints/latest`` is replaced by one that names it. A process killed at any moment leaves the
previous checkpoint or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from enactive.models.action_model import ActionModel

LATEST = "latest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Everything that decides how training goes on."""

    weights: Mapping[str, Tensor]
    """The model's ``state_dict``."""
    ema: Mapping[str, Tensor] | None
    """The averaged ``state_dict``."""
    optimizer: Mapping[str, Tensor]
    """Moments and step counters, see :func:`enactive.training.parallel.optimizer_tensors`."""
    state: Mapping[str, Any]
    """JSON values: step, stage, place of the loader, what the log has not written yet."""


def save(directory: Path, model: ActionModel, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint and let go of all but the ``keep`` newest.

    Args:
        directory: the run's ``checkpoints``.
        model: gives configuration, interface, statistics and the embeddings of instructions.
        checkpoint: the rest.
        keep: checkpoints to keep, this one included.

    Returns:
        The checkpoint's directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _sweep(directory)
    name = f"step_{checkpoint.state['step']:08d}"
    temporary = directory / f".tmp-{name}-{os.getpid()}"
    model.save(temporary, checkpoint.weights)
    if checkpoint.ema is not None:
        save_file(_contiguous(checkpoint.ema), temporary / "ema.safetensors")
    save_file(_contiguous(checkpoint.optimizer), temporary / "optimizer.safetensors")
    (temporary / "state.json").write_text(json.dumps(checkpoint.state, indent=1) + "\n")
    for file in temporary.rglob("*"):
        _sync(file)
    _sync(temporary)
    target = directory / name
    if target.exists():  # left by a run that was killed before it could name it the latest
        os.replace(target, directory / f".old-{name}-{os.getpid()}")
    os.replace(temporary, target)
    _sync(directory)
    _point(directory, name)
    for old in sorted(directory.glob("step_*"))[:-keep]:
        os.replace(old, directory / f".old-{old.name}-{os.getpid()}")
    _sweep(directory)
    return target


def latest(directory: Path) -> Path | None:
    """The newest checkpoint, None if there is none.

    Raises:
        FileNotFoundError: ``latest`` names a checkpoint that is not there.
    """
    pointer = directory / LATEST
    if not pointer.is_file():
        return None
    path = directory / pointer.read_text().strip()
    if not path.is_dir():
        raise FileNotFoundError(
            f"{pointer} names {path.name}, which is not there; write the name of one of "
            f"{sorted(p.name for p in directory.glob('step_*'))} into it, or delete it"
        )
    return path


def load(path: Path) -> Checkpoint:
    """The checkpoint in the directory ``path``."""
    ema = path / "ema.safetensors"
    return Checkpoint(
        weights=load_file(path / "model.safetensors"),
        ema=load_file(ema) if ema.is_file() else None,
        optimizer=load_file(path / "optimizer.safetensors"),
        state=json.loads((path / "state.json").read_text()),
    )


def resolve(path: Path) -> Path:
    """The model directory that ``path`` means: itself, or the latest checkpoint of a run.

    Raises:
        FileNotFoundError: it is neither.
    """
    if (path / "config.yaml").is_file() and (path / "interface.json").is_file():
        return path
    for directory in (path / "checkpoints", path):
        found = latest(directory)
        if found is not None:
            return found
    raise FileNotFoundError(f"{path} is neither a model, nor a run that has a checkpoint")


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _point(directory: Path, name: str) -> None:
    temporary = directory / f".tmp-{LATEST}-{os.getpid()}"
    temporary.write_text(name + "\n")
    _sync(temporary)
    os.replace(temporary, directory / LATEST)
    _sync(directory)


def _sweep(directory: Path) -> None:
    for left in (*directory.glob(".tmp-*"), *directory.glob(".old-*")):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
