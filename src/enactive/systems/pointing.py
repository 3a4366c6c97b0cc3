"""A perception trunk that can point: at the thing that an instruction names, and at its goal.

Policies that begin with a vision-language model know far more things than their demonstrations
show. Here is that situation in small: before it sees a demonstration, the stem of a
:class:`~enactive.models.backbones.small_vla.SmallVLA` learns from single pictures of many tabletop
scenes to put its first keypoint on the named thing and its second on the goal. Its pictures hold
colours, shapes, pairings, surfaces and distractors that no demonstration has; sizes, cameras, the
second level of light and texture and every held-out wording stay unseen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from enactive.models.action_model import ActionModel
from enactive.models.backbones.small_vla import SmallVLA, Stem
from enactive.seeding import numpy_generator, torch_generator
from enactive.worlds.mujoco_rendering import Quality
from enactive.worlds.tabletop.arms import ARMS
from enactive.worlds.tabletop.drawing import Drawing
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.perturbations import applicable
from enactive.worlds.tabletop.scene import Scene, Thing, make_scene
from enactive.worlds.tabletop.success import goal
from enactive.worlds.tabletop.tasks import TASKS, Family, TableTask
from enactive.worlds.tabletop.wording import TRAINING, phrase, wording

FAMILIES = (Family.TOUCH, Family.PICK, Family.PUT_IN, Family.STACK, Family.BESIDE, Family.PUSH)
"""Families whose things a noun phrase of colour and shape tells apart."""
BROADER = {
    "object": ("object-1", "object-3", "object-4"),
    "target": ("target-2",),
    "distractor": ("distractor-1", "distractor-2"),
    "texture": ("texture-1",),
    "light": ("light-1",),
}
"""What pointing sees and no demonstration does, by axis; each axis in half of the scenes."""
CAMERA = "front"
FIRST_SEED = 700_000
"""Of the scenes, between those of demonstrations and those of evaluations."""
TRUNK = ("backbone.stems.*",)
"""The parameters that pointing trains, as patterns for :attr:`Stage.freeze`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointed:
    """Pictures, and what instructions mean in them."""

    pictures: NDArray[np.uint8]
    """``(N, S, S, 3)``."""
    picture: NDArray[np.int64]
    """Index of each instruction's picture, ``(M,)``."""
    instructions: tuple[str, ...]
    """M of them."""
    points: NDArray[np.float32]
    """Of the named thing and of its goal, ``(M, 2, 2)``: x to the right and y down, in [0, 1] of
    the picture; not a number where there is no goal or it is out of the picture."""


def pointed(scenes: int, size: int, seed: int = 0) -> Pointed:
    """Draw scenes and say where everything is that an instruction may name.

    Args:
        scenes: N.
        size: S, pixels.
        seed: another number gives other scenes.
    """
    tasks = [task for task in TASKS.values() if task.family in FAMILIES]
    drawing, arm = Drawing((CAMERA,), size, Quality()), ARMS["gantry"]
    pictures = np.zeros((scenes, size, size, 3), np.uint8)
    picture: list[int] = []
    texts: list[str] = []
    points: list[NDArray[np.float32]] = []
    for number in range(scenes):
        draw = numpy_generator(seed, "pointing", number)
        task = tasks[int(draw.integers(len(tasks)))]
        scene = _scene(task, FIRST_SEED + scenes * seed + number, draw)
        engine = Engine(scene, arm)
        drawing.open(engine)
        pictures[number] = drawing.draw(engine)[CAMERA]
        for text, named, where in _told(task, scene, engine, draw):
            picture.append(number)
            texts.append(text)
            points.append(np.stack([_seen(engine, named), _seen(engine, where)]))
    drawing.close()
    return Pointed(
        pictures=pictures,
        picture=np.array(picture),
        instructions=tuple(texts),
        points=np.stack(points),
    )


Place = Sequence[float] | None


def _scene(task: TableTask, seed: int, draw: np.random.Generator) -> Scene:
    """A scene with some perturbations and the hand anywhere, sometimes with the named thing."""
    known = applicable(task)
    names = [
        level
        for levels in BROADER.values()
        if draw.random() < 0.5
        for level in [levels[int(draw.integers(len(levels)))]]
        if level in known
    ]
    scene = make_scene(task, names, seed)
    x, y = draw.uniform((-0.30, -0.22), (0.30, 0.22)).tolist()
    if draw.random() < 0.5:  # near the named thing, as most pictures of demonstrations are
        x, y = (np.array(scene.named.position[:2]) + draw.normal(0, 0.04, 2)).tolist()
    z, yaw = float(draw.uniform(0.02, 0.24)), float(draw.uniform(-0.6, 0.6))
    things = scene.things
    if draw.random() < 0.25:
        z = max(z, 0.05)
        held = replace(scene.named, position=(x, y, z), yaw=yaw)
        things = tuple(held if thing.role == "named" else thing for thing in things)
    return replace(scene, hand=(x, y, z, yaw), things=things)


def _told(
    task: TableTask, scene: Scene, engine: Engine, draw: np.random.Generator
) -> list[tuple[str, Place, Place]]:
    """Instructions of a scene with the places of what they name and of its goal, m."""

    def one_of(family: Family) -> str:
        patterns = TRAINING[family]
        return patterns[int(draw.integers(len(patterns)))]

    def centre(thing: Thing) -> Place:
        return engine.place(thing.role).tolist()

    pattern = one_of(task.family).format(
        n=phrase(task.named), t=phrase(task.target) if task.target else "", r="{r}"
    )
    plain = pattern if "{r}" not in pattern else ""
    spot = goal(engine)
    found: list[tuple[str, Place, Place]] = [
        (
            wording(task.name, scene.perturbations, scene.seed, plain),
            centre(scene.named),
            None if spot is None else (*spot, 0.0),
        )
    ]
    movable = [thing for thing in scene.things if thing.movable]
    for thing in movable:
        family = (Family.PICK, Family.TOUCH)[int(draw.integers(2))]
        found.append((one_of(family).format(n=phrase(thing.look)), centre(thing), None))
    for thing in scene.things:
        if thing.is_container or thing.is_mark:
            family = Family.PUT_IN if thing.is_container else Family.PUSH
            other = movable[int(draw.integers(len(movable)))]
            text = one_of(family).format(n=phrase(other.look), t=phrase(thing.look))
            found.append((text, centre(other), centre(thing)))
    return found


def _seen(engine: Engine, place: Place) -> NDArray[np.float32]:
    """Where a point of the table is in the picture, ``float32 (2,)`` in [0, 1]."""
    nowhere = np.full(2, np.nan, np.float32)
    if place is None:
        return nowhere
    camera = engine.model.camera(CAMERA).id
    axes = engine.data.cam_xmat[camera].reshape(3, 3)
    x, y, z = axes.T @ (np.array(place) - engine.data.cam_xpos[camera])
    reach = math.tan(math.radians(float(engine.model.cam_fovy[camera])) / 2) * -z
    found = np.array([0.5 + x / reach / 2, 0.5 - y / reach / 2], np.float32)
    return found if bool(((found > 0) & (found < 1)).all()) else nowhere


def targets(points: Tensor, height: int, width: int) -> Tensor:
    """Maps ``(B, K, h, w)`` whose expected position is the points' ``(B, K, 2)``: bilinear, of sum
    1, and 0 everywhere where a point is not a number."""
    size = torch.tensor([width, height], dtype=points.dtype)
    place = (points * size - 0.5).clamp(min=0).minimum(size - 1)
    weights: list[Tensor] = []
    for axis, cells in ((1, height), (0, width)):
        distance = (torch.arange(cells) - place[..., axis, None]).abs()
        weights.append((1 - distance).clamp(min=0))
    return (weights[0].unsqueeze(-1) * weights[1].unsqueeze(-2)).nan_to_num(0.0)


def pointing_loss(stem: Stem, images: Tensor, language: Tensor, points: Tensor) -> Tensor:
    """Cross-entropy between the first two keypoints' maps and where the points are.

    Args:
        stem: with at least two keypoints.
        images: ``uint8 (B, S, S, 3)``.
        language: ``float32 (B, E)``, as the stem takes it.
        points: ``float32 (B, 2, 2)``.
    """
    maps = stem.keypoint_maps(_pixels(images), language)[:, :2]  # (B, 2, h, w)
    wanted = targets(points, maps.shape[-2], maps.shape[-1])
    there = wanted.sum((-1, -2))
    scores = F.log_softmax(maps.flatten(2), -1)
    return -(wanted.flatten(2) * scores).sum(-1).sum() / there.sum().clamp(min=1)


def learn_to_point(
    model: ActionModel, data: Pointed, *, steps: int, seed: int, batch_size: int = 64
) -> float:
    """Train the stem of ``model``'s backbone, which has one camera; returns the last loss."""
    backbone = model.backbone
    assert isinstance(backbone, SmallVLA)
    stem = backbone.stems[0]
    assert isinstance(stem, Stem)
    embedding = model.language.encode(data.instructions)  # (M, E)
    scale = math.sqrt(embedding.shape[-1])
    pictures, points = torch.from_numpy(data.pictures), torch.from_numpy(data.points)
    optimizer = torch.optim.AdamW(stem.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    draws = torch_generator(seed, "pointing")
    loss = torch.zeros(())
    for _ in range(steps):
        rows = torch.randint(len(points), (batch_size,), generator=draws)
        noise = torch.randn(embedding[rows].shape, generator=draws)
        told = scale * embedding[rows] + model.config.language_noise * noise
        images = pictures[torch.from_numpy(data.picture[rows.numpy()])]
        loss = pointing_loss(stem, images, told, points[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float(loss.detach())


@torch.inference_mode()
def distances(model: ActionModel, data: Pointed, keypoint: int = 0) -> NDArray[np.float64]:
    """How far from where it should be the keypoint is, in sides of the picture, one for each
    instruction that has the point."""
    backbone = model.backbone
    assert isinstance(backbone, SmallVLA)
    stem = backbone.stems[0]
    assert isinstance(stem, Stem)
    embedding = model.language.encode(data.instructions)
    language = embedding * math.sqrt(embedding.shape[-1])
    found: list[Tensor] = []
    for rows in torch.arange(len(language)).split(256):
        images = torch.from_numpy(data.pictures[data.picture[rows.numpy()]])
        maps = stem.keypoint_maps(_pixels(images), language[rows])[:, keypoint]
        weight = maps.flatten(1).softmax(-1).view_as(maps)
        height, width = maps.shape[-2:]
        x = (weight.sum(1) * (torch.arange(width) + 0.5) / width).sum(-1)
        y = (weight.sum(2) * (torch.arange(height) + 0.5) / height).sum(-1)
        found.append(torch.stack([x, y], -1))
    away = torch.cat(found).numpy() - data.points[:, keypoint]
    away = away[np.isfinite(away).all(1)]
    return np.linalg.norm(away, axis=1).astype(np.float64)


def _pixels(images: Tensor) -> Tensor:
    """``uint8 (B, H, W, 3)`` as the stem takes it."""
    flat = images.permute(0, 3, 1, 2)
    return flat.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1


def save_pointed(path: Path, data: Pointed) -> None:
    """Write ``data`` to one file, whole or not at all."""
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial, pictures=data.pictures, picture=data.picture, points=data.points,
        instructions=np.array(data.instructions),
    )  # fmt: skip
    partial.replace(path)


def load_pointed(path: Path) -> Pointed:
    """What :func:`save_pointed` wrote."""
    with np.load(path) as found:
        return Pointed(
            pictures=found["pictures"],
            picture=found["picture"],
            instructions=tuple(found["instructions"].tolist()),
            points=found["points"],
        )
