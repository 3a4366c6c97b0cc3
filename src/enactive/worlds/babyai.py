"""BabyAI (package ``minigrid``): instructions of a small language, followed in a world of rooms.

Chevalier-Boisvert et al., "BabyAI: A Platform to Study the Sample Efficiency of Grounded Language
Learning" (ICLR 2019), in the form of MiniGrid 3. A task is a level; a seed decides rooms, objects
*and the sentence*, which the level's grammar writes ("put the green ball next to the blue key").
Tasks therefore declare no wording of their own: with an empty one the policy is told the sentence
of the seed, with any other it is told that. The scene and the success test are the seed's.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.digital import ChoiceSpace
from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec
from enactive.registry import refuse_unknown
from enactive.seeding import child_seed
from enactive.worlds.babyai_bot import Bot
from enactive.worlds.replayed import Outcome, ReplayedWorld, View
from enactive.worlds.world import EventSpec, WorldSpec

ACTIONS = ChoiceSpace(names=("left", "right", "forward", "pickup", "drop", "toggle", "done"))
"""MiniGrid's seven: turn by 90 degrees, one cell ahead, and what is done to the cell in front.
``toggle`` opens doors and boxes; ``done`` does nothing."""

RATE_HZ = 10.0
"""The environment's ``render_fps``; time in BabyAI is turns."""

SIDE = 7
"""Cells along each side of what the agent sees: itself in the middle of the lowest row."""

SYMBOLS = StateVector(
    name="symbols",
    names=tuple(
        f"{column},{row}.{what}"
        for column in range(SIDE)
        for row in range(SIDE)
        for what in ("object", "colour", "state")
    ),
    unit="MiniGrid's indices; column from the left, row from the far end; what is carried lies in "
    "the agent's own cell, and cells behind walls are 0",
)
"""The package's own partial observation ``(7, 7, 3)``, flattened."""

DIRECTION = StateVector(
    name="direction", names=("right", "down", "left", "up"), unit="1 where the agent looks"
)
"""Compass of the agent: some sentences say "on your left", as seen at the start."""

STATES = {vector.name: vector for vector in (SYMBOLS, DIRECTION)}

ADVICE = StateVector(
    name="babyai", names=("advice",), unit="index of an action; -1 once the bot has given up"
)
"""What MiniGrid's bot, which has followed the episode from its start, would do now."""

CAMERAS = ("view", "top")

EVENTS = (
    EventSpec(name="success", description="the level's verifier said that the mission is done"),
    EventSpec(name="failure", description="the level's verifier said that it cannot be done now"),
    EventSpec(name="expert_gave_up", description="the bot raised an error or ran in circles"),
)


class BabyAI(ReplayedWorld):
    """All BabyAI levels as one world; made with ``BabyAI.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`BabyAI`."""

        cameras: tuple[str, ...] = ("view",)
        """Pictures: ``"view"``, the 7 by 7 cells that the agent sees, and ``"top"``, the level from
        above. Levels differ in size, so ``"top"`` shows 22 by 22 cells with the level in the upper
        left corner. Empty draws nothing."""
        tile_size: int = 8
        """Pixels along a cell: pictures have 56 and 176 pixels a side at 8."""
        states: tuple[str, ...] = ("symbols", "direction")
        """State vectors that are shown: of ``"symbols"`` and ``"direction"``."""
        privileged: bool = True
        """Give ``Observation.privileged["babyai"]``: the bot's advice, which costs about as much as
        the rest of a step."""

        def build(self) -> BabyAI:
            """The world; imports MiniGrid.

            Raises:
                ValueError: an unknown camera or state vector, or a tile size below 1.
            """
            return BabyAI(self)

    def __init__(self, config: Config) -> None:
        refuse_unknown("cameras", config.cameras, CAMERAS)
        refuse_unknown("states", config.states, STATES)
        if config.tile_size < 1:
            raise ValueError(f"tile_size is in pixels, at least 1; got {config.tile_size}")
        self._config = config
        self._env: Any = None
        self._seen: Any = None
        self._bot: Bot | None = None
        super().__init__(_spec(config))

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
        self._env = self._bot = None

    def _begin(self, task: TaskSpec, seed: int) -> tuple[str, ...]:
        # A new environment is cheap (it draws nothing yet), and nothing of the last one remains.
        self._env = make(level_ids()[task.name], self._config.tile_size)
        native = child_seed(seed, "babyai", task.name) % 2**31
        with contextlib.redirect_stdout(io.StringIO()):  # the generator prints what it rejects
            self._seen, _ = self._env.reset(seed=native)
        self._bot = Bot.of(self._env) if self._config.privileged else None
        return self._holding(False, False)

    def _advance(self, action: Any) -> Outcome:
        self._seen, reward, terminated, truncated, _ = self._env.step(int(action))
        # The verifier ends the episode with a reward above 0 on success and 0 on failure.
        success = bool(terminated) and float(reward) > 0
        if self._bot is not None and not terminated:
            self._bot.follow(int(action))
        return Outcome(
            reward=float(reward),
            success=success,
            terminated=bool(terminated),
            truncated=bool(truncated),
            holding=self._holding(success, bool(terminated) and not success),
        )

    def _holding(self, success: bool, failure: bool) -> tuple[str, ...]:
        gave_up = self._bot is not None and self._bot.advice is None
        held = {"success": success, "failure": failure, "expert_gave_up": gave_up}
        return tuple(name for name, holds in held.items() if holds)

    def _view(self) -> View:
        draw = {"view": self._draw_view, "top": self._draw_top}
        state = {
            "symbols": lambda: self._seen["image"].astype(np.float32).ravel(),
            "direction": lambda: np.eye(4, dtype=np.float32)[int(self._seen["direction"])],
        }
        privileged: dict[str, NDArray[np.float64]] = {}
        if self._bot is not None:
            advice = self._bot.advice
            privileged[ADVICE.name] = np.array([-1 if advice is None else advice], np.float64)
        return View(
            images={name: draw[name]() for name in self._config.cameras},
            state={name: state[name]() for name in self._config.states},
            privileged=privileged,
            instruction=str(self._env.mission),
        )

    def _draw_view(self) -> NDArray[np.uint8]:
        return np.array(self._env.get_pov_render(tile_size=self._config.tile_size), np.uint8)

    def _draw_top(self) -> NDArray[np.uint8]:
        tile = self._config.tile_size
        drawn = self._env.get_full_render(highlight=True, tile_size=tile)
        picture = np.zeros((LARGEST * tile, LARGEST * tile, 3), np.uint8)
        picture[: drawn.shape[0], : drawn.shape[1]] = drawn
        return picture


LARGEST = 22
"""Cells along the largest level."""


def level_ids() -> dict[str, str]:
    """Level (``"GoToLocal"``) to the environment's id (``"BabyAI-GoToLocal-v0"``), all of them."""
    import gymnasium

    importlib.import_module("minigrid")  # registers the levels
    found = [name for name in gymnasium.registry if name.startswith("BabyAI-")]
    return {name.removeprefix("BabyAI-").rpartition("-v")[0]: name for name in found}


def make(env_id: str, tile_size: int = 8) -> Any:
    """A level's environment without Gymnasium's wrappers."""
    import gymnasium
    from gymnasium.envs.registration import load_env_creator

    spec = gymnasium.registry[env_id]
    assert isinstance(spec.entry_point, str)
    return load_env_creator(spec.entry_point)(**spec.kwargs, tile_size=tile_size)


def longest(env: Any) -> int:
    """Largest step limit of a level: it gives each movement that a sentence asks for as many steps
    as the level has cells, and its grammar bounds how many movements a sentence has."""
    from minigrid.envs.babyai.core.levelgen import LevelGen
    from minigrid.envs.babyai.putnext import PutNextLocal

    if env.fixed_max_steps:
        return int(env.max_steps)
    movements = 2 if isinstance(env, PutNextLocal) else 1
    if isinstance(env, LevelGen):
        clauses = 4 if "seq" in env.instr_kinds else 2 if "and" in env.instr_kinds else 1
        movements = clauses * (2 if "putnext" in env.action_kinds else 1)
    return movements * env.room_size**2 * env.num_rows * env.num_cols


def _spec(config: BabyAI.Config) -> WorldSpec:
    sides = {"view": SIDE * config.tile_size, "top": LARGEST * config.tile_size}
    packages = ("minigrid", "gymnasium")
    return WorldSpec(
        name="babyai",
        version=importlib.metadata.version("minigrid"),
        observations=ObservationSpec(
            cameras=tuple(
                Camera(name=name, height=sides[name], width=sides[name]) for name in config.cameras
            ),
            states=tuple(STATES[name] for name in config.states),
            privileged=(ADVICE,) if config.privileged else (),
        ),
        accepts=ACTIONS,
        tasks=tuple(
            TaskSpec(
                name=level,
                instructions=(),
                max_steps=longest(make(env_id)),
                description=f"{env_id}; the seed decides the sentence",
            )
            for level, env_id in level_ids().items()
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {name: importlib.metadata.version(name) for name in packages},
            "tile_size": config.tile_size,
        },
    )
