"""Perturbations that fit any world: what its cameras deliver, and what becomes of its commands.

They change neither scene nor task, so that a world need not know of them;
:class:`~enactive.worlds.perturbed.PerturbedWorld` puts them around one. The kinds of pictures are
four of the corruptions of Hendrycks & Dietterich (2019, ImageNet-C, arXiv 1903.12261) and Cutout
(DeVries & Taylor 2017, arXiv 1708.04552), with strengths of our own. Everything is drawn from
streams that the episode's seed and the step name.

A perturbation ``"blur-2"`` is the second level of ``blur``, found under that name in the
entry-point group ``enactive.perturbations``: another package adds its own there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from enactive.actions.groups import UNIT_LENGTH
from enactive.actions.spaces import VectorSpace
from enactive.seeding import numpy_generator
from enactive.worlds.world import WorldSpec

Picture = NDArray[np.uint8]
"""``uint8 (H, W, 3)``."""
REMEMBERED = 4
"""Actions that a perturbation may look back to, the present one included."""


class Disturbance(Protocol):
    """One level of a perturbation. Immutable; what it draws, it draws from named streams."""

    levels: ClassVar[tuple[str, ...]]
    """What each level does, from the first."""

    def unfit(self, world: WorldSpec) -> str:
        """Why it changes nothing in ``world``; empty if it does."""
        ...

    def picture(self, picture: Picture, seed: int, camera: str, step: int) -> Picture:
        """What is seen in place of ``picture``, of the same shape."""
        ...

    def command(self, actions: Sequence[Any], world: WorldSpec, seed: int, step: int) -> Any:
        """What is executed in place of ``actions[-1]``.

        Args:
            actions: the last :data:`REMEMBERED` of the episode, as many as there are.
        """
        ...


@dataclass(frozen=True, slots=True)
class _OfPictures:
    """Leaves commands alone."""

    level: int

    def unfit(self, world: WorldSpec) -> str:
        return "" if world.observations.cameras else f"{world.name} shows no pictures"

    def command(self, actions: Sequence[Any], world: WorldSpec, seed: int, step: int) -> Any:
        return actions[-1]


class Blur(_OfPictures):
    """Out of focus."""

    levels = (
        "Gaussian blur, standard deviation 1 % of the picture's height",
        "Gaussian blur, standard deviation 2.5 % of the picture's height",
    )

    def picture(self, picture: Picture, seed: int, camera: str, step: int) -> Picture:
        radius = (0.01, 0.025)[self.level - 1] * picture.shape[0]
        return np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


class Noise(_OfPictures):
    """Noise of the sensor, drawn anew for every picture."""

    levels = (
        "Gaussian noise, standard deviation 5 % of full scale",
        "Gaussian noise, standard deviation 15 % of full scale",
    )

    def picture(self, picture: Picture, seed: int, camera: str, step: int) -> Picture:
        generator = numpy_generator(seed, "perturbation", "noise", camera, step)
        scale = (0.05, 0.15)[self.level - 1] * 255
        noisy = picture + scale * generator.standard_normal(picture.shape)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


class Exposure(_OfPictures):
    """Under- or overexposed."""

    levels = ("half as bright", "twice as bright, cut at white")

    def picture(self, picture: Picture, seed: int, camera: str, step: int) -> Picture:
        gain = (0.5, 2.0)[self.level - 1]
        return np.clip(np.rint(picture * gain), 0, 255).astype(np.uint8)


class Cutout(_OfPictures):
    """Dirt on the lens: a grey square that stays where it is for the episode."""

    levels = ("a grey square of 0.2 of the sides", "a grey square of 0.4 of the sides")

    def picture(self, picture: Picture, seed: int, camera: str, step: int) -> Picture:
        generator = numpy_generator(seed, "perturbation", "cutout", camera)
        height, width = picture.shape[:2]
        tall, wide = (max(1, round((0.2, 0.4)[self.level - 1] * n)) for n in (height, width))
        top, left = generator.integers(height - tall + 1), generator.integers(width - wide + 1)
        covered = picture.copy()
        covered[top : top + tall, left : left + wide] = 128
        return covered


@dataclass(frozen=True, slots=True)
class _OfCommands:
    """Leaves pictures alone."""

    level: int

    def picture(self, picture: Picture, seed: int, camera: str, step: int) -> Picture:
        return picture


class Latency(_OfCommands):
    """Commands take effect late; until the first of them does, it is executed at once.

    In any action space.
    """

    levels = ("commands take effect one step late", "commands take effect three steps late")

    def unfit(self, world: WorldSpec) -> str:
        return ""

    def command(self, actions: Sequence[Any], world: WorldSpec, seed: int, step: int) -> Any:
        back = (1, 3)[self.level - 1]
        return actions[max(0, len(actions) - 1 - back)]


class Gain(_OfCommands):
    """Deltas and velocities are executed by more or less than they say; grippers are not."""

    levels = ("motions 0.7 times as large", "motions 1.4 times as large, cut at the bounds")

    def unfit(self, world: WorldSpec) -> str:
        return _without(world, self._scaled, "has no deltas or velocities that could be scaled")

    def command(self, actions: Sequence[Any], world: WorldSpec, seed: int, step: int) -> Any:
        space = _vector(world)
        factor = np.where(self._scaled(space), (0.7, 1.4)[self.level - 1], 1.0)
        return np.clip(np.asarray(actions[-1]) * factor, space.low, space.high).astype(np.float32)

    @staticmethod
    def _scaled(space: VectorSpace) -> NDArray[np.bool_]:
        return _entries(
            space,
            [
                group.name
                for group in space.groups
                if group.reference in ("delta", "velocity")
                and group.quantity != "gripper"
                and group.representation not in UNIT_LENGTH
            ],
        )


class Actuation(_OfCommands):
    """Motors that do not quite do what they are told, anew at every step."""

    levels = (
        "Gaussian noise of 0.1 half-ranges on what is commanded, grippers excepted",
        "Gaussian noise of 0.3 half-ranges on what is commanded, grippers excepted",
    )

    def unfit(self, world: WorldSpec) -> str:
        return _without(world, self._noisy, "has no bounded motions that noise could be added to")

    def command(self, actions: Sequence[Any], world: WorldSpec, seed: int, step: int) -> Any:
        space = _vector(world)
        noisy = self._noisy(space)
        generator = numpy_generator(seed, "perturbation", "actuation", step)
        half = np.where(noisy, space.high.astype(np.float64) - space.low, 0.0) / 2
        shift = (0.1, 0.3)[self.level - 1] * half * generator.standard_normal(space.size)
        return np.clip(np.asarray(actions[-1]) + shift, space.low, space.high).astype(np.float32)

    @staticmethod
    def _noisy(space: VectorSpace) -> NDArray[np.bool_]:
        names = [
            group.name
            for group in space.groups
            if group.quantity != "gripper" and group.representation not in UNIT_LENGTH
        ]
        return _entries(space, names) & np.isfinite(space.low) & np.isfinite(space.high)


def _vector(world: WorldSpec) -> VectorSpace:
    assert isinstance(world.accepts, VectorSpace)  # otherwise it is unfit
    return world.accepts


def _entries(space: VectorSpace, names: Sequence[str]) -> NDArray[np.bool_]:
    chosen = np.zeros(space.size, dtype=np.bool_)
    for name in names:
        chosen[space.slices[name]] = True
    return chosen


def _without(world: WorldSpec, chosen: Callable[[VectorSpace], NDArray[np.bool_]], why: str) -> str:
    space = world.accepts
    there = isinstance(space, VectorSpace) and bool(chosen(space).any())
    return "" if there else f"{world.name} {why}"
