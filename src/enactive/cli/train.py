"""``enactive train``: a policy from datasets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from enactive import configuration
from enactive.cli.arguments import choose_parts, describe_choices, parse
from enactive.cli.derived import derive
from enactive.cli.loading import dataset_path
from enactive.cli.mistakes import UserError, wiring
from enactive.models.action_model import ActionModel
from enactive.training.config import Initial, Source, Training

PARTS = {
    "head": ("heads", "flow_matching"),
    "tokenizer": ("tokenizers", None),
    "backbone": ("backbones", "small_vla"),
}
DESCRIPTION = """Train a policy on one or more LeRobot v3 datasets.

The run is written to --out: config.yaml, log.jsonl, tensorboard/ and checkpoints/. Run the same
command again to go on after an interruption: the result has the same bits. Several processes:
torchrun --nproc-per-node 8 -m enactive train ...

Examples:
  enactive train runs/demos --out runs/policy
  enactive train runs/demos --head l1 --horizon 8 --steps 3000 --out runs/l1
  enactive train runs/demos --head autoregressive --tokenizer dct_bpe --out runs/fast
  enactive train runs/a runs/b --weights 3 1 --out runs/mixed
  enactive train --config runs/policy/config.yaml --seed 1 --out runs/again
  enactive train runs/demos --head my_head.py:MyHead.Config --out runs/mine"""


EXTRA: dict[str, tuple[Any, Any]] = {
    "data": (
        Annotated[
            tyro.conf.Positional[tuple[Path, ...]],
            tyro.conf.arg(metavar="DATA", help="Datasets, or directories of collections."),
        ],
        (),
    ),
    "out": (
        Annotated[Path | None, tyro.conf.arg(metavar="PATH", help="Directory of the run.")],
        None,
    ),
    "initial": (
        Annotated[
            Path | None,
            tyro.conf.arg(
                metavar="PATH", help="Begin with the weights of this run, checkpoint or model."
            ),
        ],
        None,
    ),
    "weights": (
        Annotated[
            tuple[float, ...],
            tyro.conf.arg(help="Share of each dataset; by default its number of frames."),
        ],
        (),
    ),
}
"""Options that stand for fields of :class:`Training` which have no words of their own."""


def read(argv: Sequence[str]) -> Training:
    """The run that the words describe."""
    choices, rest = choose_parts(argv, PARTS)
    base, rest = _base(rest)
    options = derive(
        "Options",
        Training,
        without=("run", "data", "stages", "action_space", "initial"),
        flat=("model",),
        extra=EXTRA,
    )
    values: dict[str, Any] = {}
    model = ActionModel.Config() if base is None else base.model
    if base is not None:
        kept = [field.name for field in dataclasses.fields(options) if field.name not in EXTRA]
        values = {name: getattr(base, name) for name in kept}
        values["data"] = tuple(Path(source.path) for source in base.data)
        values["initial"] = None if base.initial is None else base.initial.path
        values["weights"] = tuple(s.weight for s in base.data if s.weight is not None)
    # A part named on the command line replaces the file's; otherwise the file's stays.
    named = {part: c.config for part, c in choices.items() if c.given or base is None}
    values["model"] = _open(dataclasses.replace(model, **named))
    description = f"{DESCRIPTION}\n\n{describe_choices(PARTS, choices)}"
    arguments = parse(options, rest, "train", defaults=values, description=description)
    return _training(arguments, base)


def _open(model: ActionModel.Config) -> ActionModel.Config:
    """``model`` as a class whose tokenizer has the type that was chosen.

    An optional part would become a subcommand; a chosen one has options like any other.
    """
    if model.tokenizer is None:
        return model
    chosen = dataclasses.make_dataclass(
        "Model",
        [("tokenizer", type(model.tokenizer), dataclasses.field(default=model.tokenizer))],
        bases=(ActionModel.Config,),
        frozen=True,
        kw_only=True,
    )
    return chosen(**_values(model))


def _closed(model: ActionModel.Config) -> ActionModel.Config:
    """The inverse of :func:`_open`."""
    return ActionModel.Config(**_values(model))


def _values(model: ActionModel.Config) -> dict[str, Any]:
    return {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}


def _base(argv: Sequence[str]) -> tuple[Training | None, list[str]]:
    """The configuration of ``--config FILE``, and the other words."""
    words = list(argv)
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option != "--config":
            continue
        if not equals:
            value = words[place + 1] if place + 1 < len(words) else ""
        if not value:
            raise UserError("--config needs a file, e.g. runs/policy/config.yaml")
        del words[place : place + (1 if equals else 2)]
        with wiring():
            return configuration.load_yaml(Training, Path(value)), words
    return None, words


def _training(arguments: Any, base: Training | None) -> Training:
    """The run that the words describe."""
    if not arguments.data:
        raise UserError("name at least one dataset: enactive train DATA --out RUN")
    if arguments.out is None:
        raise UserError("--out names the directory of the run, e.g. --out runs/policy")
    weights: Sequence[float | None] = arguments.weights or [None] * len(arguments.data)
    if len(weights) != len(arguments.data):
        raise UserError(
            f"--weights: {len(arguments.weights)} weights for {len(arguments.data)} datasets"
        )
    names = {Path(source.path): source.name for source in base.data} if base is not None else {}
    paths = [dataset_path(path) for path in arguments.data]
    # Two collections keep their datasets under the same last name; their own names tell them apart.
    labels = [
        names.get(path, "") or ("" if path == given else given.name)
        for given, path in zip(arguments.data, paths, strict=True)
    ]
    sources = tuple(
        Source(path=path, name=label, weight=weight)
        for path, label, weight in zip(paths, labels, weights, strict=True)
    )
    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(arguments)
        if field.name not in EXTRA
    }
    given["model"] = _closed(given["model"])
    kept = {"stages": base.stages, "action_space": base.action_space} if base is not None else {}
    initial = None if arguments.initial is None else Initial(path=arguments.initial)
    if base is not None and base.initial is not None and base.initial.path == arguments.initial:
        initial = base.initial  # with the statistics that it takes over
    with wiring():
        return Training(run=arguments.out, data=sources, initial=initial, **kept, **given)


def run(config: Training) -> int:
    """Train and say where the policy is."""
    from enactive.configuration import ConfigurationError
    from enactive.episodes.dataset import BrokenDataset
    from enactive.training.trainer import train

    try:
        result = train(config)
    except (ConfigurationError, BrokenDataset, FileNotFoundError) as error:
        raise UserError(str(error)) from error
    if not result.finished:
        print(f"stopped at step {result.step}, {result.checkpoint}; the same command goes on")
        return 130
    print(f"{config.run}: {result.step} steps; checkpoint {result.checkpoint}")
    print(f"next: enactive evaluate {config.run}")
    return 0
