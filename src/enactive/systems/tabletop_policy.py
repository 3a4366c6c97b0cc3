"""A policy of the tabletop that listens and looks, small enough to be trained in minutes.

Three steps: a trunk learns to point (:mod:`enactive.systems.pointing`), the expert demonstrates
tasks of several families, and a :class:`~enactive.models.backbones.small_vla.SmallVLA` that begins
with the trunk imitates it from one camera, proprioception and the instruction.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from enactive import configuration
from enactive.actions.spaces import VectorSpace
from enactive.configuration import config_hash
from enactive.models.action_model import ActionModel, Interface, select
from enactive.models.augmentation import RandomShift
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.l1 import L1
from enactive.policies.expert import ExpertPolicy
from enactive.systems.demonstrations import demonstrations
from enactive.systems.experiment import Trained, train_policy
from enactive.systems.pointing import (
    TRUNK,
    Pointed,
    learn_to_point,
    load_pointed,
    pointed,
    save_pointed,
)
from enactive.training.config import Initial, Stage
from enactive.worlds.tabletop.world import Tabletop

TASKS = (
    "pick-red-cube", "pick-green-cylinder", "pick-blue-brick", "pick-yellow-cube",
    "pick-purple-cylinder",
    "put-red-cube-in-bowl", "put-green-cylinder-in-box", "put-yellow-cube-in-tray",
    "put-blue-brick-in-tray", "put-purple-cylinder-in-bowl",
)  # fmt: skip
"""Two kinds of task; every scene has other objects, and of one scene's objects any could be
meant."""
WORLD = Tabletop.Config(cameras=("front",), states=("proprio",), image_size=96)
EXPERT = ExpertPolicy.Config(noise=0.15, noise_hold=4, noise_episodes=0.7)
"""In most demonstrations the arm is pushed about; what is imitated is the undisturbed action."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How much of everything."""

    tasks: tuple[str, ...] = TASKS
    scenes: int = 5000
    """To learn pointing from."""
    pointing: int = 2000
    """Optimizer steps of 64 instructions."""
    demonstrations: int = 100
    """Of each task."""
    steps: int = 5000
    """Optimizer steps of imitation, of 32 windows."""


def model() -> ActionModel.Config:
    """The policy's model: it sees its one camera's picture of 96 pixels as 16 keypoints, the named
    thing, its goal and 14 free ones."""
    return ActionModel.Config(
        cameras=("front",),
        states=("proprio",),
        horizon=12,
        # The expert crosses the table in a few quick steps among many slow ones: the median of a
        # single displacement is nothing, that of where twelve of them lead is the thing.
        relative=True,
        backbone=SmallVLA.Config(
            width=96, depth=2, mlp_ratio=2, patch=2, channels=(24, 48), keypoints=16, cells=False
        ),
        head=L1.Config(depth=1, mlp_ratio=2),
        # A shift by one pixel is more than a centimetre of the table.
        augmentation=RandomShift(pixels=0),
        language_noise=0.2,
    )


def shown(shared: Path, recipe: Recipe, seed: int = 0) -> Path:
    """The demonstrations: a dataset's directory."""
    return demonstrations(
        shared, "tabletop", WORLD, recipe.tasks, episodes=recipe.demonstrations, seed=seed,
        expert=EXPERT, wording="training",
    )  # fmt: skip


def trunk(shared: Path, recipe: Recipe, seed: int = 0) -> Path:
    """A model whose stem can point, made where it is not there yet: a model's directory."""
    config = model()
    key = {
        "scenes": recipe.scenes,
        "steps": recipe.pointing,
        "seed": seed,
        "image_size": WORLD.image_size,
        "backbone": configuration.to_dict(config.backbone),
        "language_noise": config.language_noise,
    }
    final = shared / f"pointing-{config_hash(key)}"
    if final.is_dir():
        return final
    world = WORLD.build()
    space = world.spec.accepts
    assert isinstance(space, VectorSpace)
    interface = Interface(consumes=world.spec.observations, produces=space)
    world.close()
    # Statistics are the demonstrations' own; the trunk sees neither states nor actions.
    sizes = {"action": interface.produces.size}
    sizes |= {state.name: state.size for state in select(config, interface).consumes.states}
    plain = {name: {"mean": [0.0] * size, "std": [1.0] * size} for name, size in sizes.items()}
    built = config.build(interface, plain, seed)
    learn_to_point(built, examples(shared, recipe, seed), steps=recipe.pointing, seed=seed)
    partial = shared / f".{final.name}-{os.getpid()}"
    built.eval().save(partial)
    if not final.is_dir():
        os.replace(partial, final)
    return final


def examples(shared: Path, recipe: Recipe, seed: int = 0) -> Pointed:
    """The pictures that pointing is learned from, drawn where they are not there yet."""
    shared.mkdir(parents=True, exist_ok=True)
    path = shared / f"pointed-{recipe.scenes}-{WORLD.image_size}-{seed}.npz"
    if not path.is_file():
        save_pointed(path, pointed(recipe.scenes, WORLD.image_size, seed))
    return load_pointed(path)


def imitate(
    shared: Path,
    directory: Path,
    recipe: Recipe,
    *,
    seed: int,
    pointing: bool = True,
    frozen: bool = False,
) -> Trained:
    """Train the policy, or load it where ``directory`` holds it already.

    Args:
        shared: of demonstrations and trunk.
        directory: of the run; ``enactive evaluate`` takes it.
        recipe: how much of everything.
        seed: of initial weights and the order of samples.
        pointing: begin with the trunk; if not, all weights are drawn.
        frozen: leave the trunk as it is.
    """
    torch.set_num_threads(1)
    stage = Stage(steps=recipe.steps, freeze=TRUNK if frozen else ())
    return train_policy(
        model(), shown(shared, recipe), directory, steps=recipe.steps, stages=(stage,), seed=seed,
        action_key="action.expert",
        initial=Initial(path=trunk(shared, recipe)) if pointing else None,
    )  # fmt: skip
