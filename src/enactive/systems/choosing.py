"""Learning what an instruction means among listed things, before anything is imitated.

In demonstrations whose things stand at the same places again and again, a policy can copy every
motion without knowing which thing it is about: the hand's own place and the sentence tell it. What
a demonstration was about can be seen in its recording, though: the thing that has moved furthest
when it ends, and the thing that it then is nearest to. From these two the queries of a
:class:`~enactive.models.backbones.small_vla.Choice` learn to choose, as the keypoints of
:mod:`enactive.systems.pointing` learn to point.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from enactive.episodes.dataset import Dataset
from enactive.models.action_model import ActionModel, Interface, select
from enactive.models.backbones.small_vla import Choice, SmallVLA
from enactive.seeding import torch_generator

CHOOSER = tuple(
    f"backbone.choices.*.{part}" for part in ("look.*", "kinds", "told.*", "scene.*", "key.*")
)
"""The parameters that choose, as patterns for :attr:`Stage.freeze`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What demonstrations were about, frame by frame."""

    things: NDArray[np.float32]
    """Entries of the listed things, ``(F, N, E)``."""
    instructions: tuple[str, ...]
    """Of each frame, F of them."""
    chosen: NDArray[np.int64]
    """Index of the thing that is moved and of the one that it is brought to, ``(F, 2)``."""


def shown(dataset: Path, key: str, entries: int, hand: str = "observation.state") -> Shown:
    """Read demonstrations that each move one thing to another.

    Args:
        dataset: of the demonstrations.
        key: feature of the listed things. The first of a thing's entries says whether it is there,
            the next three are its position from the hand.
        entries: E, of one thing.
        hand: feature whose first three entries are the hand's position.
    """
    data = Dataset.open(dataset)
    things: list[NDArray[np.float32]] = []
    instructions: list[str] = []
    chosen: list[NDArray[np.int64]] = []
    for episode in range(len(data.episodes)):
        frames = data.frames(episode, (key, hand))
        seen = frames[key].reshape(len(frames[key]), -1, entries).astype(np.float32)
        moved, end = about(seen[..., 0] > 0, seen[..., 1:4] + frames[hand][:, None, :3])
        things.append(seen)
        instructions += [data.record(episode).header.task.instruction] * len(seen)
        chosen.append(np.tile(np.array([moved, end]), (len(seen), 1)))
    return Shown(
        things=np.concatenate(things),
        instructions=tuple(instructions),
        chosen=np.concatenate(chosen),
    )


def about(there: NDArray[np.bool_], places: NDArray[np.floating]) -> tuple[int, int]:
    """Which thing has moved furthest at the end, and which other one it is nearest to then.

    Args:
        there: ``(T, N)``.
        places: ``(T, N, 3)``, m.
    """
    way = np.where(there[-1], np.linalg.norm(places[-1] - places[0], axis=-1), -1.0)
    moved = int(way.argmax())
    apart = np.linalg.norm(places[-1] - places[-1, moved], axis=-1)
    apart = np.where(there[-1] & (np.arange(len(apart)) != moved), apart, np.inf)
    return moved, int(apart.argmin())


def learn_to_choose(
    model: ActionModel, data: Shown, *, steps: int, seed: int, batch_size: int = 64
) -> float:
    """Train the two queries of ``model``'s one list of things; returns the last loss.

    Where it can be, an instruction is learned in another recording's scene, see :func:`_elsewhere`:
    words mean the same thing in any company. A model that is told nothing has the scene alone.
    """
    choice, scale = _choice(model), math.sqrt(model.config.language.size)
    texts = sorted(set(data.instructions))
    embedding = model.language.encode(texts)
    if not model.config.instructed:
        embedding = torch.zeros_like(embedding)
    row = torch.tensor([texts.index(text) for text in data.instructions])
    things, chosen = torch.from_numpy(data.things), torch.from_numpy(data.chosen)
    trained = [*choice.look.parameters(), choice.kinds, *choice.told.parameters()]
    trained += [*choice.scene.parameters(), *choice.key.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    draws = torch_generator(seed, "choosing")
    loss = torch.zeros(())
    for _ in range(steps):
        frames = torch.randint(len(things), (batch_size,), generator=draws)
        seen = things[frames]
        if model.config.instructed:
            seen = _elsewhere(seen, chosen[frames], draws)
        told = embedding[row[frames]]
        noise = torch.randn(told.shape, generator=draws) / scale
        if model.config.instructed:
            told = told + model.config.language_noise * noise
        scores = choice.scores(seen, scale * told)
        loss = F.cross_entropy(scores.flatten(0, 1), chosen[frames].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float(loss.detach())


def _elsewhere(things: Tensor, chosen: Tensor, draws: torch.Generator) -> Tensor:
    """Scenes ``(B, N, E)`` exchanged at random, where what is chosen ``(B, K)`` is there too."""
    other = things[torch.randperm(len(things), generator=draws)]
    there = (other[..., 0] > 0).gather(1, chosen).all(1)
    return torch.where(there[:, None, None], other, things)


@torch.inference_mode()
def chosen(model: ActionModel, things: Tensor, instructions: tuple[str, ...]) -> Tensor:
    """What the queries mean: weights ``(B, K, N)`` of things ``(B, N, E)``."""
    embedding = model.language.encode(instructions) * math.sqrt(model.config.language.size)
    if not model.config.instructed:
        embedding = torch.zeros_like(embedding)
    return _choice(model).scores(things, embedding).softmax(-1)


def chooser(
    config: ActionModel.Config, interface: Interface, data: Shown, final: Path, *, steps: int,
    seed: int,
) -> Path:  # fmt: skip
    """A model that can choose and do nothing else yet, made where it is not there yet.

    Args:
        config: of the model; the list of things must be normalised as ``identity``, because the
            statistics of states and actions are left open here.
        interface: what it sees and produces.
        data: to learn from.
        final: the model's directory.
        steps: of :func:`learn_to_choose`.
        seed: of initial weights and the order of samples.
    """
    if final.is_dir():
        return final
    sizes = {"action": interface.produces.size}
    sizes |= {state.name: state.size for state in select(config, interface).consumes.states}
    plain = {name: {"mean": [0.0] * size, "std": [1.0] * size} for name, size in sizes.items()}
    model = config.build(interface, plain, seed)
    learn_to_choose(model, data, steps=steps, seed=seed)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.parent / f".{final.name}-{os.getpid()}"
    model.eval().save(partial)
    os.replace(partial, final)
    return final


def _choice(model: ActionModel) -> Choice:
    backbone = model.backbone
    if not isinstance(backbone, SmallVLA) or len(backbone.choices) != 1:
        raise ValueError("model.backbone: choosing needs a SmallVLA with one list and chosen > 0")
    [choice] = backbone.choices
    assert isinstance(choice, Choice)
    return choice
