"""Crafter (package ``crafter``): survive and make things in a two-dimensional open world.

Hafner, "Benchmarking the Spectrum of Agent Capabilities" (ICLR 2022). A task is one of the 22
achievements, and its success test the package's own: the achievement was unlocked in this episode.
The package has no language; the wordings are ours. What is done to the package so that a seed
decides every bit is in :mod:`~enactive.worlds.crafter_engine`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.digital import ChoiceSpace
from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec
from enactive.registry import refuse_unknown
from enactive.seeding import child_seed
from enactive.worlds.crafter_instructions import HELD_OUT, TRAINING
from enactive.worlds.replayed import Outcome, ReplayedWorld, View
from enactive.worlds.world import EventSpec, WorldSpec

if TYPE_CHECKING:
    from enactive.worlds.crafter_engine import Game

ACTIONS = ChoiceSpace(
    names=(
        "noop", "move_left", "move_right", "move_up", "move_down", "do", "sleep", "place_stone",
        "place_table", "place_furnace", "place_plant", "make_wood_pickaxe", "make_stone_pickaxe",
        "make_iron_pickaxe", "make_wood_sword", "make_stone_sword", "make_iron_sword",
    )
)  # fmt: skip
"""The game's own names. ``do`` does what can be done to the cell in front: collect, drink, hit."""

ITEMS = (
    "health", "food", "drink", "energy", "sapling", "wood", "stone", "coal", "iron", "diamond",
    "wood_pickaxe", "stone_pickaxe", "iron_pickaxe", "wood_sword", "stone_sword", "iron_sword",
)  # fmt: skip

RATE_HZ = 10.0
"""Nominal: time in Crafter is steps; a day has 300 of them."""

AREA = 64
"""Cells along each side of the world."""
WIDTH, HEIGHT = 9, 7
"""Cells that the player sees, itself in the middle."""

INVENTORY = StateVector(name="proprio", names=ITEMS, unit="count, 0 to 9")
"""The four needs, and what is carried."""

NEARBY = StateVector(
    name="nearby",
    names=tuple(f"{x},{y}" for x in range(WIDTH) for y in range(HEIGHT)),
    unit="id of what is there, see crafter_engine.KINDS; x to the right, y down; 0 beyond the edge",
)
"""What the picture shows of the world, as ids."""

STATES = {vector.name: vector for vector in (INVENTORY, NEARBY)}

TRUTH = StateVector(
    name="crafter",
    names=(
        *(f"{x},{y}" for x in range(AREA) for y in range(AREA)),
        "player.x", "player.y", "facing.x", "facing.y", "sleeping", "ripe", *ITEMS,
    ),
    unit="mixed: ids of what is where, cells, counts; ripe is 1 if a plant can be eaten",
)  # fmt: skip
"""The whole map, which the scripted player reads."""

EVENTS = (
    *(EventSpec(name=name, description="the achievement was unlocked") for name in TRAINING),
    EventSpec(name="died", description="health came to 0, which ends the episode"),
)


class Crafter(ReplayedWorld):
    """Crafter's 22 achievements as tasks; made with ``Crafter.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Crafter`."""

        image_size: int = 64
        """Side of the square picture, pixels; 64 is the benchmark's."""
        cameras: tuple[str, ...] = ("view",)
        """The picture: 9 by 7 cells around the player, above two rows of inventory. Empty draws
        nothing, and changes nothing else."""
        states: tuple[str, ...] = ("proprio",)
        """State vectors that are shown: of ``"proprio"`` (needs and inventory) and ``"nearby"``."""
        max_steps: int = 1000
        """Steps after which an episode is truncated. The benchmark's own games last 10,000."""
        privileged: bool = True
        """Give ``Observation.privileged["crafter"]``, the whole map."""

        def build(self) -> Crafter:
            """The world; imports the game.

            Raises:
                ValueError: an unknown camera or state vector, or a size out of range.
            """
            return Crafter(self)

    def __init__(self, config: Config) -> None:
        if set(config.cameras) - {"view"}:
            raise ValueError(f"cameras: only 'view' is there, got {[*config.cameras]}")
        refuse_unknown("states", config.states, STATES)
        if config.image_size < WIDTH:
            raise ValueError(f"image_size is in pixels, at least {WIDTH}; got {config.image_size}")
        if config.max_steps < 1:
            raise ValueError(f"max_steps must be positive, got {config.max_steps}")
        from enactive.worlds.crafter_engine import Game

        self._config = config
        self._game: Game = Game(config.image_size)
        self._task = ""
        super().__init__(_spec(config))

    def close(self) -> None:
        """Nothing is held but memory."""

    def _begin(self, task: TaskSpec, seed: int) -> tuple[str, ...]:
        self._task = task.name
        # The same worlds for all tasks: what is asked for does not show in the scene.
        self._game.begin(child_seed(seed, "crafter") % 2**31)
        return ()

    def _advance(self, action: Any) -> Outcome:
        _, reward, dead, _ = self._game.step(int(action))
        unlocked = self._game.unlocked
        holding = (*(name for name in TRAINING if name in unlocked), *(("died",) if dead else ()))
        return Outcome(
            reward=float(reward),
            success=self._task in unlocked,
            terminated=bool(dead),
            holding=holding,
        )

    def _view(self) -> View:
        state: dict[str, Callable[[], NDArray[np.float32]]] = {
            "proprio": self._inventory, "nearby": self._nearby
        }  # fmt: skip
        return View(
            images={name: self._game.picture() for name in self._config.cameras},
            state={name: state[name]() for name in self._config.states},
            privileged={TRUTH.name: self._truth()} if self._config.privileged else {},
        )

    def _inventory(self) -> NDArray[np.float32]:
        return np.array([self._game.player.inventory[item] for item in ITEMS], np.float32)

    def _nearby(self) -> NDArray[np.float32]:
        padded = np.pad(self._game.semantic(), max(WIDTH, HEIGHT))
        x, y = self._game.player.pos + max(WIDTH, HEIGHT)
        cells = padded[
            x - WIDTH // 2 : x + WIDTH // 2 + 1, y - HEIGHT // 2 : y + HEIGHT // 2 + 1
        ]  # (9, 7)
        return cells.astype(np.float32).ravel()

    def _truth(self) -> NDArray[np.float64]:
        player = self._game.player
        own = [*player.pos, *player.facing, player.sleeping, self._game.ripe]
        own += [player.inventory[item] for item in ITEMS]
        return np.concatenate([self._game.semantic().ravel(), own]).astype(np.float64)


def _spec(config: Crafter.Config) -> WorldSpec:
    packages = ("crafter", "opensimplex", "numpy")
    return WorldSpec(
        name="crafter",
        version=importlib.metadata.version("crafter"),
        observations=ObservationSpec(
            cameras=tuple(
                Camera(name=name, height=config.image_size, width=config.image_size)
                for name in config.cameras
            ),
            states=tuple(STATES[name] for name in config.states),
            privileged=(TRUTH,) if config.privileged else (),
        ),
        accepts=ACTIONS,
        tasks=tuple(
            TaskSpec(
                name=name,
                instructions=TRAINING[name],
                held_out_instructions=HELD_OUT[name],
                max_steps=config.max_steps,
                description=f"unlock the achievement {name!r}",
            )
            for name in TRAINING
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {name: importlib.metadata.version(name) for name in packages},
            "image_size": config.image_size,
        },
    )
