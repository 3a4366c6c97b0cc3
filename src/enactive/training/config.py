"""The configuration of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from enactive.configuration import ConfigurationError
from enactive.episodes.cache import FrameCache
from enactive.models.action_model import ActionModel
from enactive.training.objectives import Imitation, ObjectiveConfig
from enactive.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One dataset of the mixture."""

    path: Path
    """Directory of a LeRobotDataset v3."""
    name: str = ""
    """What stages and logs call it; by default the directory's name."""
    embodiment: str = ""
    """Body and control interface that it was recorded with. Name one where the sources' action
    spaces differ: their actions are then unified in slots. Sources of one embodiment share its
    name, and one that names none is an embodiment of its own."""
    weight: float | None = None
    """Share of the samples relative to the others; by default its number of frames. Give all
    sources a weight or none."""

    @property
    def label(self) -> str:
        """The name it goes by."""
        return self.name or Path(self.path).name


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """AdamW (Loshchilov & Hutter, 2019); biases, norms and embeddings are not decayed."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the first and second moment."""
    weight_decay: float = 1e-2
    """Decoupled decay of matrices and convolution kernels."""
    epsilon: float = 1e-8
    """Added to the root of the second moment."""
    clip: float = 1.0
    """Largest norm of the whole gradient; larger ones are scaled down to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A stretch of training with an optimizer and a schedule of its own.

    Weights and their average carry over from the stage before; the optimizer's moments do not.
    """

    name: str = "train"
    """What the log calls it."""
    steps: int
    """Optimizer steps."""
    objective: ObjectiveConfig = field(default_factory=Imitation.Config)
    """What is minimised."""
    freeze: tuple[str, ...] = ()
    """Shell patterns of parameters that stay as they are, e.g. ``("backbone.*",)``."""
    learning_rate_scale: float = 1.0
    """Factor on the optimizer's learning rate."""
    batch_size: int | None = None
    """Another batch size than the run's."""
    weights: Mapping[str, float] | None = None
    """Other weights of the sources than their own, by name; those left out are not used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Initial:
    """Weights that a run begins with."""

    path: Path
    """A run, a checkpoint or a model's directory. Its averaged weights are taken if it has them;
    parameters that it lacks, or has in another shape, are drawn anew."""
    statistics: tuple[str, ...] = ()
    """Features whose statistics are taken from there too, e.g. ``("proprio",)``: what a frozen
    backbone sees must be scaled as it was. By default all are the data's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A training run, complete: with the datasets it decides every bit of the result."""

    run: Path
    """Directory of the run. If it holds checkpoints of this configuration, training resumes."""
    data: tuple[Source, ...]
    """The datasets."""
    model: ActionModel.Config = field(default_factory=ActionModel.Config)
    """The model."""
    initial: Initial | None = None
    """Weights to begin with; by default all are drawn from the seed."""
    align: bool = True
    """With several embodiments: entries of one meaning share a slot. False pads every action on the
    right instead, whatever its entries mean: the naive control."""
    steps: int = 2000
    """Optimizer steps, where there is only one stage."""
    stages: tuple[Stage, ...] = ()
    """Stages, in order; empty means one of ``steps`` steps."""
    batch_size: int = 64
    """Windows per optimizer step, over all processes and micro-batches."""
    micro_batch_size: int | None = None
    """Windows per forward and backward pass; gradients accumulate over the micro-batches of a
    step. By default each process takes its share of the batch in one pass."""
    optimizer: Optimizer = field(default_factory=Optimizer)
    """The optimizer."""
    schedule: Schedule = field(default_factory=Schedule)
    """The learning rate over each stage."""
    ema_decay: float | None = 0.999
    """Decay of the average of the weights that checkpoints keep; None for no average."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Autocast; ``auto`` is bfloat16 on a GPU that has it and float32 elsewhere."""
    sharding: Literal["replicate", "shard"] = "replicate"
    """With several processes: DDP (replicate) or FSDP2 (shard parameters and moments)."""
    device: str = "auto"
    """``cpu``, ``cuda``, or ``auto`` for CUDA where there is one."""
    threads: int | None = None
    """Threads PyTorch computes with; None leaves its choice. Bits depend on it."""
    action_key: str = "action"
    """The feature to imitate; ``action.expert`` for clean labels of perturbed demonstrations."""
    action_space: Mapping[str, Any] | None = None
    """The action space as ``VectorSpace.to_dict`` writes it, for datasets that carry none."""
    paraphrase: bool = False
    """Tell every window a wording drawn anew from those its task was recorded with."""
    validation: float = 0.0
    """Fraction of each instruction's episodes held out for the validation loss."""
    validate_every: int = 200
    """Steps between validation losses."""
    validation_batches: int = 8
    """Batches of the validation loss, the same ones every time."""
    checkpoint_every: int = 500
    """Steps between checkpoints; there is always one at the end."""
    keep: int = 2
    """Checkpoints kept, the newest."""
    log_every: int = 10
    """Steps between lines of the log, whose losses are means over these steps."""
    workers: int = 1
    """Threads that prepare batches; the batches do not depend on it."""
    cache: FrameCache.Config = field(default_factory=FrameCache.Config)
    """Where decoded frames are kept."""
    seed: int = 0
    """Decides initial weights, order of samples, augmentation and noise."""

    def __post_init__(self) -> None:
        at_least_one = {
            "steps": self.steps,
            "batch_size": self.batch_size,
            "validate_every": self.validate_every,
            "validation_batches": self.validation_batches,
            "checkpoint_every": self.checkpoint_every,
            "keep": self.keep,
            "log_every": self.log_every,
            **{f"stages[{i}].steps": stage.steps for i, stage in enumerate(self.stages)},
        }
        for name, value in at_least_one.items():
            if value < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {value}")
        if not self.data:
            raise ConfigurationError("data: give at least one dataset")
        if not 0 <= self.validation < 1:
            raise ConfigurationError(f"validation must be in [0, 1), got {self.validation}")
        weights = [source.weight is None for source in self.data]
        if any(weights) and not all(weights):
            raise ConfigurationError("data: give all sources a weight, or none")

    @property
    def plan(self) -> tuple[Stage, ...]:
        """The stages, also where the configuration names only a number of steps."""
        return self.stages or (Stage(steps=self.steps),)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all stages."""
        return sum(stage.steps for stage in self.plan)


UNIMPORTANT = ("run", "keep", "log_every", "workers", "cache")
"""Fields that may differ when a run is resumed: they decide nothing about the weights."""
