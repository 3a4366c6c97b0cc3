"""The policy that a word names: a trained run, or one of those that need no training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from enactive.cli.loading import recorded_tasks, recorded_world, training_datasets
from enactive.cli.mistakes import UserError, wiring
from enactive.registry import Registry, suggest
from enactive.worlds.world import WorldSpec

BUILT_IN = ("expert", "random", "hold")
REMOTE = "remote"
"""The word for a policy that a server elsewhere has."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A policy, and what is known of where it came from."""

    build: Callable[[WorldSpec], Any]
    """The policy for a world."""
    world: Any = None
    """Configuration of the world it was trained in; None if unknown."""
    tasks: tuple[str, ...] = ()
    """Tasks it was trained on."""
    training: Any = None
    """What its training data holds, for refusing episodes that it has seen."""
    parents: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Name to content hash of the datasets it was trained on."""
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """JSON values kept with what it does."""


def find_policy(arguments: Any, name: str | None = None) -> Found:
    """The policy that ``name``, or else ``arguments.policy``, stands for.

    Args:
        arguments: with ``execute``, ``samples``, ``selection``, ``embodiment``, ``weights`` and
            ``device``; ``remote``, how a server is reached, where the command knows of servers.
        name: for commands that take several policies.

    Raises:
        UserError: it is neither a checkpoint nor one of :data:`BUILT_IN`.
    """
    name = arguments.policy if name is None else name
    if name in BUILT_IN:
        return Found(build=lambda spec: _built_in(name, spec))
    if name == REMOTE:
        reaching = getattr(arguments, "remote", None)
        if reaching is None:
            raise UserError("remote: only `enactive evaluate` knows how to reach a server")
        return Found(build=lambda spec: _remote(reaching, spec))
    planners = Registry("agents").names()
    if name in planners and hasattr(arguments, "model"):
        return _planner(name, arguments)
    path = Path(name)
    if not path.is_dir():
        known = (*BUILT_IN, *planners)
        raise UserError(f"no run or checkpoint is at {name}; {suggest(name, known)}")
    return _trained(path, arguments)


def _planner(name: str, arguments: Any) -> Found:
    """A planner around the language model that ``arguments.model`` names."""
    from enactive.cli.agent import model_of, small_planner
    from enactive.configuration import to_dict

    embedded = arguments.model == "embedded"
    config = small_planner() if name == "react" and embedded else Registry("agents").load(name)()
    model = model_of(arguments.model, arguments.key)

    def build(spec: WorldSpec) -> Any:
        with wiring():
            return config.build(model.build(), spec.accepts)

    return Found(build=build, provenance={"planner": to_dict(config), "model": to_dict(model)})


def policy_of(arguments: Any, spec: WorldSpec) -> Any:
    """The policy that ``arguments.policy`` names, for a world: for workers elsewhere."""
    return find_policy(arguments).build(spec)


def _built_in(name: str, spec: WorldSpec) -> Any:
    from enactive.policies.expert import ExpertPolicy
    from enactive.policies.hold import HoldPolicy
    from enactive.policies.random_policy import RandomPolicy, Samples

    if name == "expert":
        return ExpertPolicy.Config().build(spec)
    if name == "random" and hasattr(spec.accepts, "sample"):
        return RandomPolicy(cast(Samples, spec.accepts))
    if name == "random":
        raise UserError(f"random: nothing can be drawn from the actions of {spec.name}")
    with wiring():
        return HoldPolicy.of(spec)


def _remote(reaching: Any, spec: WorldSpec) -> Any:
    from enactive.serving.remote import RemoteError

    try:
        return reaching.build(spec)
    except RemoteError as error:
        raise UserError(str(error)) from error


def _embodiment(model: Any, spec: WorldSpec | None) -> str:
    """The one of a model's embodiments whose actions the world accepts; empty if it has no names.

    Raises:
        UserError: none fits, or several do.
    """
    from enactive.actions.compare import compare

    slots = model.interface.slots
    if slots is None or spec is None:
        return ""
    fitting = [name for name, space in slots.spaces.items() if not compare(space, spec.accepts)]
    if len(fitting) != 1:
        what = "several fit" if fitting else "none fits"
        raise UserError(
            f"the model has the embodiments {', '.join(slots.names)} and {what} {spec.name}; "
            f"name one with --embodiment{', for example ' + fitting[0] if fitting else ''}"
        )
    return fitting[0]


def _trained(path: Path, arguments: Any) -> Found:
    from enactive.evaluation.sources import training_record
    from enactive.models.action_model import ActionModel
    from enactive.policies.chunked import ChunkedPolicy
    from enactive.policies.selection.single import Single
    from enactive.training.checkpoints import resolve

    with wiring():
        checkpoint = resolve(path)
        weights = arguments.weights
        if weights == "auto":
            weights = "ema" if (checkpoint / "ema.safetensors").is_file() else "model"
        model = ActionModel.load(checkpoint, weights).to(arguments.device)
        config = ChunkedPolicy.Config(
            execute=min(arguments.execute, model.config.horizon),
            samples=arguments.samples,
            selection=arguments.selection or Single.Config(),
        )

        def build(spec: WorldSpec | None) -> ChunkedPolicy:
            with wiring():
                embodiment = arguments.embodiment or _embodiment(model, spec)
                chosen = dataclasses.replace(config, embodiment=embodiment)
                return ChunkedPolicy(chosen, model, label=path.name)

        if model.interface.slots is None:  # what is wrong without a world is said now
            build(None)

        datasets = training_datasets(checkpoint)
    return Found(
        build=build,
        world=recorded_world(datasets),
        tasks=recorded_tasks(datasets),
        training=training_record(datasets) if datasets else None,
        parents={f"dataset {data.path}": data.content_hash() for data in datasets},
        provenance={"checkpoint": str(checkpoint), "weights": weights},
    )
