"""Crafter's environment, with everything that it does decided by its seed.

Three things of the package (1.8.3) stand in the way, and are changed here without touching its
rules: it keeps creatures in sets, whose order depends on memory addresses, and removes one of them
by its place in that order; the noise of its pictures at night is drawn from the generator that also
moves the creatures, so that drawing changes the world; and its seed cannot be set at a reset.
"""

from __future__ import annotations

import collections
import copy
from typing import Any

import crafter
import numpy as np
from crafter import constants, engine, objects
from numpy.typing import NDArray

from enactive.seeding import numpy_generator

VIEW = (9, 9)
"""Cells of the picture: 9 by 7 of the world, and two rows of inventory below."""
KEPT = 4
"""Worlds whose beginning is kept: growing one takes a good part of a second, copying it little."""


def rules(what: str) -> Any:
    """One of the game's tables, e.g. ``"collect"``; the package makes them from a file as it is
    imported."""
    return getattr(constants, what)


class Game(crafter.Env):
    """One game at a time; :meth:`begin` starts it and :meth:`step` is the package's."""

    def __init__(self, image_size: int) -> None:
        super().__init__(view=VIEW, size=(image_size, image_size), length=0, seed=0)
        self._world = _World(self._area, rules("materials"), (12, 12))
        rows = self._local_view._grid[1]
        self._local_view = _LocalView(self._world, self._textures, [VIEW[0], rows])
        self._sem_view = engine.SemanticView(self._world, CREATURES)
        self._grown: dict[int, tuple[Any, Any]] = {}

    def begin(self, seed: int) -> None:
        """A new world, decided by ``seed`` to the bit."""
        if seed not in self._grown:
            self._seed, self._episode = seed, 0
            self.reset()
            while len(self._grown) >= KEPT:
                self._grown.pop(next(iter(self._grown)))
            self._grown[seed] = copy.deepcopy((self._world, self._player))
        self._world, self._player = copy.deepcopy(self._grown[seed])
        self._local_view._world = self._sem_view._world = self._world
        self._step, self._unlocked = 0, set()
        self._last_health = self._player.health
        self._update_time()
        self._local_view.seed = seed

    def _obs(self) -> Any:
        """Nothing: pictures are drawn when someone looks."""

    def picture(self) -> NDArray[np.uint8]:
        """``uint8 (S, S, 3)``; drawing it changes nothing."""
        self._local_view.step = self._step
        return np.ascontiguousarray(self.render())

    def semantic(self) -> NDArray[np.uint8]:
        """``(64, 64)``, x first: ids of materials and, where there is one, of the creature."""
        return self._sem_view()

    @property
    def player(self) -> Any:
        return self._player

    @property
    def ripe(self) -> bool:
        """Whether there is a plant that can be eaten; its picture differs."""
        return any(isinstance(one, objects.Plant) and one.ripe for one in self._world.objects)

    @property
    def unlocked(self) -> set[str]:
        """Names of the achievements of this game."""
        return self._unlocked


CREATURES = [
    objects.Player, objects.Cow, objects.Zombie, objects.Skeleton, objects.Arrow, objects.Plant
]  # fmt: skip

KINDS = (
    "outside", *rules("materials"), "player", "cow", "zombie", "skeleton", "arrow", "plant"
)  # fmt: skip
"""What an id of the map means."""


class _Ordered(dict[Any, None]):
    """A set in the order of insertion."""

    def add(self, item: Any) -> None:
        self[item] = None

    def remove(self, item: Any) -> None:
        del self[item]


class _World(engine.World):
    def reset(self, seed: int | None = None) -> None:
        super().reset(seed)
        self._chunks = collections.defaultdict(_Ordered)


class _LocalView(engine.LocalView):
    seed = 0
    step = 0

    def _noise(self, canvas: NDArray[Any], amount: float, stddev: float) -> NDArray[Any]:
        """The package's own, from a stream of its own for each step of the episode."""
        generator = numpy_generator(self.seed, "crafter", "night", self.step)
        noise = generator.uniform(32, 127, canvas.shape[:2])[..., None]
        mask = amount * self._vignette(canvas.shape, stddev)[..., None]
        return (1 - mask) * canvas + mask * noise
