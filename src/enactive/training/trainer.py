"""The trainer: one loop for every model, every stage and any number of processes.

Determinism: every random number of step n comes from a stream named by n, the order of samples is a
function of the seed, and a checkpoint holds everything else. So a run that was killed and resumed
ends with the same bits as one that was not, on one machine with one number of threads.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enactive import __version__, configuration
from enactive.episodes.loader import WindowLoader
from enactive.models.action_model import ASSETS, ActionModel
from enactive.models.batch import Batch, from_numpy
from enactive.models.heads.head import Loss
from enactive.seeding import torch_generator
from enactive.training import checkpoints
from enactive.training.checks import frozen, micro_batches, refuse, same_run
from enactive.training.chunks import draw_chunks
from enactive.training.config import Stage, Training
from enactive.training.data import Data, open_data, training_loader, validation_loader
from enactive.training.ema import EMA
from enactive.training.initial import begin_from
from enactive.training.interrupt import interruptible
from enactive.training.log import RunLog, bar
from enactive.training.objectives import Objective
from enactive.training.parallel import Parallel, load_optimizer, local, optimizer_tensors, whole
from enactive.training.paraphrases import Paraphrases


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a call of :func:`train` ended."""

    step: int
    """Optimizer steps done."""
    finished: bool
    """False if it was interrupted; call :func:`train` again to go on."""
    checkpoint: Path
    """The newest checkpoint."""


class Step(nn.Module):
    """A model and an objective as one module: ``forward`` is what parallel wrappers hook into."""

    def __init__(self, model: ActionModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Batch, generator: torch.Generator) -> Loss:
        """The objective's loss."""
        return self.objective.loss(self.model, batch, generator)


@dataclass(kw_only=True, slots=True)
class Position:
    """Where a run stands; with the tensors, all that a checkpoint needs."""

    step: int = 0
    """Steps done in all stages."""
    stage: int = 0
    stage_step: int = 0
    """Steps done in this stage."""
    loader: Mapping[str, Any] | None = None
    """The loader's state, None at the start of a stage."""
    sums: dict[str, float]
    """Sums of what the log averages, since its last line."""
    count: int = 0
    """Steps in ``sums``."""


def train(
    config: Training,
    *,
    progress: Callable[[int, int], None] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Result:
    """Train, or go on training where the run's newest checkpoint stands.

    Interrupting with Ctrl-C (or SIGTERM) finishes the step, writes a checkpoint and returns.

    Args:
        config: the run.
        progress: told how many episodes have been decoded, and how many there are.
        on_step: called after every step, checkpoint included, with the steps done.

    Raises:
        ConfigurationError: the run cannot work, or ``config.run`` holds a run of another
            configuration; the message names every field and its fix.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    parallel = Parallel(config.device, config.sharding)
    data = open_data(config)
    found = checkpoints.latest(Path(config.run) / "checkpoints")
    assets = None if found is None else found / ASSETS
    refuse(config, data, parallel.world_size, parallel.device, assets)
    return _Run(config, data, parallel, progress).run(on_step)


class _Run:
    """The state of one call of :func:`train`."""

    def __init__(
        self,
        config: Training,
        data: Data,
        parallel: Parallel,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.config, self.data, self.parallel, self.progress = config, data, parallel, progress
        self.paraphrases = Paraphrases.of(data.training.values()) if config.paraphrase else None
        self.run_path = Path(config.run)
        self.directory = self.run_path / "checkpoints"
        self._claim()
        parallel.barrier()
        found = checkpoints.latest(self.directory)
        saved = checkpoints.load(found) if found is not None else None
        self.newest = found
        self.position = Position(**saved.state["position"]) if saved else Position(sums={})
        # What a checkpoint holds is not read from where it first came from again.
        assets = None if found is None else found / ASSETS
        self.model = config.model.build(data.interface, data.statistics, config.seed, assets)
        self.model.to(parallel.device)
        if saved is not None:
            self.model.load_state_dict(saved.weights)
        else:
            if config.initial is not None:
                begin_from(self.model, config.initial)
            self._fit_tokenizer()
        # Stages freeze more than a part froze of itself, and never less.
        self.trainable = {name for name, p in self.model.named_parameters() if p.requires_grad}
        parallel.shard(self.model)
        self.ema: EMA | None = None
        if config.ema_decay is not None:
            self.ema = EMA(self._tensors(), config.ema_decay)
            if saved is not None and saved.ema is not None:
                self._put(self.ema.state, saved.ema)
        self.saved_optimizer = saved.optimizer if saved is not None else {}
        self.validation: list[Batch] | None = None

    def _claim(self) -> None:
        """Write the configuration to the run's directory, or check that it is the one there."""
        path = self.run_path / "config.yaml"
        if path.is_file():
            same_run(self.config, path)
        elif self.parallel.main:
            self.run_path.mkdir(parents=True, exist_ok=True)
            configuration.save_yaml(self.config, path)

    def _fit_tokenizer(self) -> None:
        """Fit the tokenizer on training chunks, and write down how well it does on them."""
        tokenizer = self.config.model.tokenizer
        if tokenizer is None:
            return
        chunks = draw_chunks(self.config, self.data, tokenizer.chunks)
        generator = torch_generator(self.config.seed, "tokenizer")
        with bar("tokenizer", active=self.parallel.main) as progress:
            self.model.fit_tokenizer(chunks, generator, progress)
        if self.parallel.main:
            found = {"training": self.model.report_tokenizer(chunks).to_dict()}
            if self.data.validation:
                unseen = draw_chunks(self.config, self.data, tokenizer.chunks, held_out=True)
                found["held_out"] = self.model.report_tokenizer(unseen).to_dict()
            path = self.run_path / "tokenizer.json"
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    # -- the loop --------------------------------------------------------------------------

    def run(self, on_step: Callable[[int], None] | None) -> Result:
        config, position = self.config, self.position
        self.log = RunLog(
            self.run_path,
            step=position.step,
            steps=config.total_steps,
            active=self.parallel.main,
        )
        try:
            with interruptible() as self.interruption:
                while position.stage < len(config.plan) and not self.interruption.wanted:
                    self._stage(config.plan[position.stage], on_step)
        finally:
            self.log.close()
        assert self.newest is not None
        return Result(
            step=position.step,
            finished=position.stage == len(config.plan),
            checkpoint=self.newest,
        )

    def _stage(self, stage: Stage, on_step: Callable[[int], None] | None) -> None:
        config, position, parallel = self.config, self.position, self.parallel
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.trainable and not frozen(name, stage))
        step_module = parallel.replicate(Step(self.model, stage.objective.build()))
        optimizer = self._optimizer()
        loader = self._loader(stage)
        batches = loader.iterate(from_numpy)
        try:
            while position.stage_step < stage.steps:
                started = time.perf_counter()
                batch = next(batches)
                scale = config.schedule.factor(position.stage_step, stage.steps)
                for group in optimizer.param_groups:
                    group["lr"] = config.optimizer.learning_rate * stage.learning_rate_scale * scale
                record = self._step(stage, step_module, optimizer, batch)
                if self.ema is not None:
                    self.ema.update(self._tensors(), position.step)
                position.step += 1
                position.stage_step += 1
                position.loader = loader.state_dict()
                record["seconds"] = time.perf_counter() - started
                self._report(stage, record, optimizer, loader)
                over = position.stage_step == stage.steps
                stop = parallel.any(self.interruption.wanted)
                if position.step % config.checkpoint_every == 0 or over or stop:
                    self._checkpoint(optimizer, over)
                if on_step is not None:
                    on_step(position.step)
                if over or stop:
                    break
        finally:
            batches.close()  # type: ignore[attr-defined]
            loader.close()

    def _step(
        self,
        stage: Stage,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
    ) -> dict[str, float]:
        """One optimizer step on this process's share of a batch; what to log of it."""
        config, parallel = self.config, self.parallel
        size, count = micro_batches(config, stage, parallel.world_size)
        module.train()
        optimizer.zero_grad(set_to_none=True)
        parts: dict[str, Tensor] = {}
        for i in range(count):
            micro = batch.rows(i * size, (i + 1) * size).to(parallel.device)
            number = parallel.rank * count + i
            stream = ("step", self.position.step, "micro", number)
            generator = torch_generator(config.seed, *stream)
            if self.paraphrases is not None:
                words = torch_generator(config.seed, *stream, "paraphrase")
                micro = replace(micro, instructions=self.paraphrases(micro.instructions, words))
            with parallel.synchronising(module, self.model, last=i == count - 1):
                with self._autocast():
                    loss: Loss = module(micro, generator)
                (loss.total / count).backward()
            for name, value in {"loss": loss.total.detach(), **loss.parts}.items():
                parts[name] = parts.get(name, 0) + value / count
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.clip)
        optimizer.step()
        values = {name: float(parallel.mean(value)) for name, value in parts.items()}
        values["gradient_norm"] = float(whole(norm))
        if not values["loss"] < float("inf"):  # also false for NaN
            raise FloatingPointError(
                f"the loss is {values['loss']} at step {self.position.step}; lower "
                "optimizer.learning_rate, or look for broken values in the data (enactive check)"
            )
        return values

    # -- parts of the loop -----------------------------------------------------------------

    def _optimizer(self) -> torch.optim.AdamW:
        config = self.config.optimizer
        decayed: list[Tensor] = []
        others: list[Tensor] = []
        parameters = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        for parameter in parameters.values():
            (decayed if parameter.dim() > 1 else others).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.epsilon,
            fused=True,
        )
        load_optimizer(optimizer, parameters, self.saved_optimizer)
        self.saved_optimizer = {}
        return optimizer

    def _loader(self, stage: Stage) -> WindowLoader:
        loader = training_loader(
            self.config,
            self.data,
            stage,
            self.position.stage,
            rank=self.parallel.rank,
            world_size=self.parallel.world_size,
            progress=self.progress,
        )
        if self.position.loader is not None:
            loader.load_state_dict(self.position.loader)
        return loader

    def _autocast(self) -> torch.autocast:
        device = self.parallel.device.type
        wanted = self.config.precision
        if wanted == "auto":
            has = device == "cuda" and torch.cuda.is_bf16_supported()
            wanted = "bfloat16" if has else "float32"
        return torch.autocast(device, torch.bfloat16, enabled=wanted == "bfloat16")

    def _report(
        self,
        stage: Stage,
        record: Mapping[str, float],
        optimizer: torch.optim.Optimizer,
        loader: WindowLoader,
    ) -> None:
        position, config = self.position, self.config
        for name, value in record.items():
            position.sums[name] = position.sums.get(name, 0.0) + value
        position.count += 1
        note = ""
        if position.step % config.log_every == 0 or position.stage_step == stage.steps:
            means = {name: total / position.count for name, total in position.sums.items()}
            seconds = means.pop("seconds")
            rate = (stage.batch_size or config.batch_size) / seconds
            self.log.write(
                {
                    "step": position.step,
                    "stage": stage.name,
                    **means,
                    "learning_rate": optimizer.param_groups[0]["lr"],
                    "epoch": loader.epoch,
                    "samples_per_second": round(rate, 1),
                }
            )
            note = f"loss {means['loss']:.4f}  {rate:.0f} samples/s"
            position.sums, position.count = {}, 0
        if self.data.validation and position.step % config.validate_every == 0:
            self.log.write({"step": position.step, "validation_loss": self._validate()})
        self.log.advance(position.step, note)

    @torch.no_grad()
    def _validate(self) -> float:
        """Loss of the averaged weights on the same held-out batches and noise every time."""
        if self.validation is None:
            loader = validation_loader(self.config, self.data)
            batches = loader.iterate(from_numpy)
            count = -(-loader.num_windows // loader.batch_size)
            count = min(self.config.validation_batches, count)
            self.validation = [next(batches).to(self.parallel.device) for _ in range(count)]
            loader.close()
        self.model.eval()
        total = 0.0
        with self._averaged():
            for i, batch in enumerate(self.validation):
                generator = torch_generator(self.config.seed, "validation", i)
                with self._autocast():
                    total += float(self.model(batch, generator).total)
        return total / len(self.validation)

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights in the model, the model's own put back afterwards."""
        if self.ema is None:
            yield
            return
        own = self._tensors()
        kept = {name: value.clone() for name, value in own.items()}
        for name, value in own.items():
            value.copy_(self.ema.state[name])
        try:
            yield
        finally:
            for name, value in own.items():
                value.copy_(kept[name])

    def _tensors(self) -> dict[str, Tensor]:
        """This process's part of every parameter and buffer, sharing memory with the model."""
        return {name: local(value) for name, value in self.model.state_dict().items()}

    def _put(self, target: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
        from enactive.training.parallel import part

        like = self.model.state_dict()
        for name, value in values.items():
            target[name].copy_(local(part(value, like[name])))

    def _checkpoint(self, optimizer: torch.optim.Optimizer, over: bool) -> None:
        position = self.position
        if over:
            position.stage, position.stage_step, position.loader = position.stage + 1, 0, None
        parameters = dict(self.model.named_parameters())
        like = self.model.state_dict()
        checkpoint = checkpoints.Checkpoint(
            weights={name: whole(value) for name, value in like.items()},
            ema=None
            if self.ema is None
            else {name: whole(value, like[name]) for name, value in self.ema.state.items()},
            # A new stage begins with new moments, so that a finished one leaves none behind.
            optimizer={} if over else optimizer_tensors(optimizer, parameters),
            state={
                "format": 1,
                "step": position.step,
                "position": asdict(position),
                "config": configuration.config_hash(self.config),
                "enactive": __version__,
                "torch": torch.__version__,
            },
        )
        if self.parallel.main:
            self.newest = checkpoints.save(self.directory, self.model, checkpoint, self.config.keep)
        self.parallel.barrier()
        self.newest = checkpoints.latest(self.directory)
