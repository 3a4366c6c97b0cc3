"""``enactive info``: what is installed, and what a directory holds."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

import enactive
from enactive.cli.arguments import parse
from enactive.cli.loading import EVALUATION, JOURNAL, action_log_path, cores, dataset_path
from enactive.cli.mistakes import EXTRAS, UserError, wiring
from enactive.registry import Registry

PACKAGES = ("torch", "transformers", "mujoco", "metaworld", "gymnasium", "pyarrow", "av", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Say what is installed, or what a dataset, run, evaluation or journal holds.

    Examples:
      enactive info
      enactive info runs/demos
      enactive info runs/policy
      enactive info runs/evaluation --episodes
    """

    path: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PATH")] = None
    """A directory that a command wrote, a LeRobot v3 dataset, a journal, or an action log."""
    episodes: bool = False
    """List the episodes with their ids."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse(Arguments, argv, "info")


def run(arguments: Arguments) -> int:
    """Look and print."""
    if arguments.path is None:
        installed()
    else:
        with wiring():
            describe(arguments.path, arguments.episodes)
    return 0


def installed() -> None:
    """Versions, parts and devices."""
    print(f"enactive {enactive.__version__}, Python {platform.python_version()}, {cores()} cores")
    for package in PACKAGES:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            extra = f"; pip install 'enactive[{EXTRAS[package]}]'" if package in EXTRAS else ""
            version = f"not installed{extra}"
        print(f"  {package:<13} {version}")
    for kind in ("worlds", "backbones", "heads", "agents", "language_models"):
        print(f"  {kind:<13} {', '.join(Registry(kind).names())}")
    with contextlib.suppress(ModuleNotFoundError):
        import torch

        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        print(f"  {'devices':<13} {', '.join(['cpu', *devices])}")


def describe(path: Path, episodes: bool) -> None:
    """What ``path`` holds.

    Raises:
        UserError: nothing that is known.
    """
    found = False
    if (dataset_path(path) / "meta" / "info.json").is_file():
        _dataset(dataset_path(path), episodes)
        found = True
    if (path / "checkpoints").is_dir() or (path / "interface.json").is_file():
        _run(path)
        found = True
    if (path / EVALUATION).is_file():
        _evaluation(path / EVALUATION, episodes)
        found = True
    log = action_log_path(path)
    if log is not None:
        _actions(log, episodes)
        found = True
    journal = path if path.is_file() else path / JOURNAL
    if journal.is_file() and not found:
        _journal(journal, episodes)
        found = True
    if not found:
        raise UserError(f"{path} is no dataset, run, evaluation or journal")


def _dataset(path: Path, episodes: bool) -> None:
    from enactive.episodes.dataset import Dataset

    dataset = Dataset.open(path)
    print(
        f"{path}: dataset of {dataset.num_episodes} episodes, {dataset.num_frames} frames "
        f"at {dataset.fps:g} Hz"
    )
    for key, feature in dataset.features.items():
        print(f"  {key:<28} {feature['dtype']:<8} {'x'.join(map(str, feature['shape']))}")
    print(f"  {len(dataset.tasks)} instructions, e.g. {dataset.tasks[0]!r}")
    if episodes:
        for record in dataset.records:
            print(f"  {record.header.id}  {record.header.task.instruction!r}")


def _run(path: Path) -> None:
    from enactive.models.action_model import ActionModel
    from enactive.training.checkpoints import resolve
    from enactive.training.log import read_log

    checkpoint = resolve(path)
    model = ActionModel.load(checkpoint)
    parameters = sum(p.numel() for p in model.parameters())
    names = [f"{camera.name} {camera.height}x{camera.width}" for camera in
             model.interface.consumes.cameras]  # fmt: skip
    print(f"{checkpoint}: policy with {parameters:,} parameters")
    print(f"  sees      {', '.join(names)}; {', '.join(model.config.states)}; the instruction")
    print(
        f"  predicts  {model.config.horizon} actions: {', '.join(model.interface.produces.names)}"
    )
    print(f"  head      {Registry('heads').name_of(model.config.head)}")
    print(f"  backbone  {Registry('backbones').name_of(model.config.backbone)}")
    losses = [record for record in read_log(path) if "loss" in record]
    if losses:
        print(f"  loss      {losses[0]['loss']:.4g} to {losses[-1]['loss']:.4g} "
              f"in {losses[-1]['step']} steps")  # fmt: skip


def _evaluation(file: Path, episodes: bool) -> None:
    from enactive.cli.evaluate import print_summary
    from enactive.evaluation.results import Evaluation, summarise

    evaluation = Evaluation.load(file)
    print(f"{file}: evaluation of {evaluation.policy} in {evaluation.protocol.world}")
    for group in dict.fromkeys(result.group for result in evaluation.episodes):
        print(f"  group {group}:")
        print_summary(summarise(evaluation.group(group)))
    if episodes:
        for result in evaluation.episodes:
            outcome = "success" if result.success else "no success"
            print(f"  {result.id}  {outcome} in {result.steps} steps, {result.instruction!r}")


def _actions(path: Path, episodes: bool) -> None:
    from enactive.episodes.action_log import ActionLog

    with ActionLog(path) as log:
        found = log.episodes()
        ended = sum(one.outcome is not None for one in found)
        right = sum(one.outcome is not None and bool(one.outcome["success"]) for one in found)
        print(f"{path}: action log of {len(found)} agents' episodes, {ended} ended, {right} with "
              "success")  # fmt: skip
        for one in found if episodes else ():
            print(f"  {one.id}  {one.header['task']['instruction']!r}")


def _journal(path: Path, episodes: bool) -> None:
    from enactive.episodes.journal import Journal

    with Journal.open(path) as journal:
        finished: list[Any] = journal.finished()
        print(f"{path}: journal of {len(finished)} finished episodes, "
              f"{len(journal.unfinished())} unfinished")  # fmt: skip
        for header in finished if episodes else ():
            print(f"  {header.id}  {header.task.instruction!r}")
