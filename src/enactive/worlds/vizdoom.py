"""ViZDoom (package ``vizdoom``): first-person tasks in the engine of Doom, with keys and a mouse.

Kempka et al., "ViZDoom: A Doom-based AI Research Platform for Visual Reinforcement Learning" (CIG
2016). A task is one of the scenarios that ship with the package. Its success test is the
scenario's own reward: the sum since the episode began has reached the goal that OpenAI Gym's Doom
environments stated for it (2016). Keys that a scenario does not offer do nothing in it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.digital import KeyboardMouseSpace
from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec
from enactive.registry import refuse_unknown
from enactive.seeding import child_seed
from enactive.worlds.replayed import Outcome, ReplayedWorld, View
from enactive.worlds.vizdoom_scene import KINDS, OBJECTS, TRUTH, Wall, speed_of, truth_of, walls_of
from enactive.worlds.world import EventSpec, WorldSpec

TICS = 4
"""Engine tics of a control step, each 1/35 s."""

RATE_HZ = 35 / TICS

KEYS = {
    "w": "MOVE_FORWARD", "s": "MOVE_BACKWARD", "a": "MOVE_LEFT", "d": "MOVE_RIGHT",
    "left": "TURN_LEFT", "right": "TURN_RIGHT", "mouse_left": "ATTACK",
}  # fmt: skip
"""Key to the engine's button."""

MAX_MOTION = 40.0
"""px a step."""
DEGREES_PER_PIXEL = 0.5
"""How far a pixel of the pointer's motion turns the view."""

ACTION_SPACE = KeyboardMouseSpace(keys=tuple(KEYS), max_motion=MAX_MOTION)
"""Pointer motion to the right looks right, and downwards looks down, as on a screen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """A scenario of the package's, as a task."""

    goal: float
    """Sum of the scenario's own reward that counts as success."""
    tics: int
    """Length of an episode: the scenario's own timeout, or 2100 where it has none."""
    description: str
    training: tuple[str, ...]
    held_out: tuple[str, ...]


SCENARIOS: dict[str, Scenario] = {
    "basic": Scenario(
        goal=10.0, tics=300,
        description="kill the monster: 106 for it, -5 a shot, -1 a tic",
        training=("shoot the monster", "kill the monster at the far wall"),
        held_out=("get rid of the demon over there", "line up with the beast and fire"),
    ),
    "deadly_corridor": Scenario(
        goal=1000.0, tics=2100,
        description="to the vest: the distance gained, 1000 for it, -100 for dying",
        training=("get the vest at the end of the corridor", "fight your way to the green armour"),
        held_out=("make it through the hall to the armour", "reach what lies beyond the guards"),
    ),
    "defend_the_center": Scenario(
        goal=10.0, tics=2100,
        description="kill ten that come from all sides: 1 for each, -1 for dying",
        training=("shoot everything that comes at you", "defend the centre of the arena"),
        held_out=("do not let them reach you", "hold your ground against the circle of monsters"),
    ),
    "defend_the_line": Scenario(
        goal=15.0, tics=2100,
        description="kill fifteen that come from the far wall: 1 for each, -1 for dying",
        training=("shoot the monsters at the far wall", "defend the line"),
        held_out=("keep them on their side", "fire at whoever stands across the room"),
    ),
    "health_gathering": Scenario(
        goal=1000.0, tics=2100,
        description="survive 1000 tics on a floor that hurts: 1 a tic, -100 for dying",
        training=("collect medkits to stay alive", "survive by picking up medkits"),
        held_out=("keep your health up", "do not let the acid kill you"),
    ),
    "my_way_home": Scenario(
        goal=0.5, tics=2100,
        description="find the vest in a maze: 1 for it, -0.0001 a tic",
        training=("find the vest in the maze", "go to the green armour"),
        held_out=("search the rooms for the armour", "find your way home"),
    ),
    "predict_position": Scenario(
        goal=0.5, tics=300,
        description="hit the walking monster with the one rocket: 1 for it, -0.001 a tic",
        training=("hit the moving monster with your rocket", "fire ahead of the monster"),
        held_out=("aim where the monster will be", "make your only rocket count"),
    ),
    "take_cover": Scenario(
        goal=750.0, tics=2100,
        description="survive 750 tics of fireballs: 1 a tic",
        training=("dodge the fireballs", "step out of the way of what is thrown at you"),
        held_out=("do not get hit", "stay alive under fire"),
    ),
}  # fmt: skip

STATUS = StateVector(
    name="proprio", names=("health", "ammo"), unit="points; shots left, -1 without a weapon"
)

EVENTS = (
    EventSpec(name="success", description="the sum of rewards reached the scenario's goal"),
    EventSpec(name="killed", description="a monster was killed"),
    EventSpec(name="hurt", description="health fell"),
    EventSpec(name="healed", description="health rose"),
    EventSpec(name="died", description="the player died, which ends the episode"),
)


class ViZDoom(ReplayedWorld):
    """Eight of the package's scenarios as one world; made with ``ViZDoom.Config(...).build()``.

    The engine is a process of its own. One runs at a time, for the scenario used last.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`ViZDoom`."""

        cameras: tuple[str, ...] = ("screen",)
        """The picture, 120 by 160 pixels without the game's bar. Empty shows none; the engine draws
        all the same."""
        states: tuple[str, ...] = ("proprio",)
        """State vectors that are shown: ``"proprio"``, health and ammunition."""
        privileged: bool = True
        """Give ``Observation.privileged["vizdoom"]``: where the player and the objects are."""

        def build(self) -> ViZDoom:
            """The world; the engine starts with the first episode.

            Raises:
                ValueError: an unknown camera or state vector.
            """
            return ViZDoom(self)

    def __init__(self, config: Config) -> None:
        if set(config.cameras) - {"screen"}:
            raise ValueError(f"cameras: only 'screen' is there, got {[*config.cameras]}")
        refuse_unknown("states", config.states, [STATUS.name])
        self._config = config
        self._game: Any = None
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._scenario = ""
        self._buttons: list[str] = []
        self._walls: list[Wall] = []
        self._seen: _Seen | None = None
        self._steps = 0
        super().__init__(_spec(config))

    def close(self) -> None:
        if self._game is not None:
            self._game.close()
            self._game = None
        if self._files is not None:
            self._files.cleanup()
            self._files = None
        self._scenario = ""

    def _begin(self, task: TaskSpec, seed: int) -> tuple[str, ...]:
        if self._scenario != task.name:
            self.close()
            self._files = tempfile.TemporaryDirectory(prefix="enactive-vizdoom-")
            self._game = _open(task.name, self._config.privileged, self._files.name)
            self._buttons = [button.name for button in self._game.get_available_buttons()]
            self._scenario = task.name
        self._game.set_seed(child_seed(seed, "vizdoom", task.name) % 2**31)
        self._game.new_episode()
        self._steps = 0
        if self._config.privileged:
            self._walls = walls_of(self._game.get_state().sectors)
        self._seen = self._look(None)
        return ()

    def _advance(self, action: Any) -> Outcome:
        before = self._latest
        reward = float(self._game.make_action(self._pressed(action), TICS))
        self._steps += 1
        dead, over = self._game.is_player_dead(), self._game.is_episode_finished()
        after = self._seen = self._look(before)
        success = float(self._game.get_total_reward()) >= SCENARIOS[self._scenario].goal
        happened = {
            "success": success,
            "killed": after.kills > before.kills,
            "hurt": after.status[0] < before.status[0],
            "healed": after.status[0] > before.status[0],
            "died": bool(dead),
        }
        return Outcome(
            reward=reward,
            success=success,
            # A scenario that has timed out is truncated, which the task's limit says.
            terminated=bool(over) and (bool(dead) or self._steps < _steps(self._scenario)),
            holding=tuple(name for name, holds in happened.items() if holds),
        )

    def _pressed(self, action: Any) -> list[float]:
        """An action as the engine takes it: one number for each of the scenario's buttons."""
        held = {KEYS[key] for key in action["keys"]}
        right, down = (float(p) * DEGREES_PER_PIXEL / TICS for p in action["pointer"])
        motion = {"TURN_LEFT_RIGHT_DELTA": right, "LOOK_UP_DOWN_DELTA": -down}
        return [motion.get(name, float(name in held)) for name in self._buttons]

    @property
    def _latest(self) -> _Seen:
        assert self._seen is not None
        return self._seen

    def _look(self, before: _Seen | None) -> _Seen:
        """What there is to see; once the game is over the last picture stays."""
        import vizdoom

        game, variables = self._game, vizdoom.GameVariable
        status = (
            float(game.get_game_variable(variables.HEALTH)),
            float(game.get_game_variable(variables.SELECTED_WEAPON_AMMO)),
        )
        kills = int(game.get_game_variable(variables.KILLCOUNT))
        state = game.get_state()
        if state is None:
            assert before is not None
            return _Seen(before.picture, status, kills, before.truth, before.places)
        picture = np.array(state.screen_buffer, np.uint8)
        places = {thing.id: (thing.position_x, thing.position_y) for thing in state.objects or ()}
        truth = self._truth(state, status, before.places if before else {})
        return _Seen(picture, status, kills, truth, places)

    def _truth(
        self, state: Any, status: tuple[float, float], before: Mapping[int, tuple[float, float]]
    ) -> NDArray[np.float64]:
        """Where everything is; ``before`` says where objects were a step ago."""
        if not self._config.privileged:
            return np.zeros(TRUTH.size)
        import vizdoom

        variables = vizdoom.GameVariable
        moving = (
            variables.POSITION_X, variables.POSITION_Y, variables.ANGLE,
            variables.VELOCITY_X, variables.VELOCITY_Y,
        )  # fmt: skip
        own = [float(self._game.get_game_variable(one)) for one in moving]
        ready = float(self._game.get_game_variable(variables.ATTACK_READY))
        things = [
            (KINDS[one.name], one.position_x, one.position_y, one.angle,
             *speed_of(one, before, TICS))
            for one in state.objects
            if one.name in KINDS
        ]  # fmt: skip
        return truth_of([*own, *status, ready], things[:OBJECTS], self._walls)

    def _view(self) -> View:
        seen = self._latest
        state: dict[str, Callable[[], NDArray[np.float32]]] = {
            STATUS.name: lambda: np.array(seen.status, np.float32)
        }
        return View(
            images={name: seen.picture.copy() for name in self._config.cameras},
            state={name: state[name]() for name in self._config.states},
            privileged={TRUTH.name: seen.truth.copy()} if self._config.privileged else {},
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    picture: NDArray[np.uint8]
    status: tuple[float, float]
    kills: int
    truth: NDArray[np.float64]
    places: dict[int, tuple[float, float]]
    """Number of an object to where it is."""


def _steps(name: str) -> int:
    return -(-SCENARIOS[name].tics // TICS)


def _open(name: str, truth: bool, directory: str) -> Any:
    """A running engine with the scenario loaded; it leaves its files in ``directory``, not in the
    one that the process happens to be in."""
    import vizdoom

    game = vizdoom.DoomGame()
    game.set_doom_config_path(str(Path(directory) / "engine.ini"))
    game.load_config(str(Path(vizdoom.scenarios_path) / f"{name}.cfg"))
    game.set_window_visible(False)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_160X120)
    game.set_objects_info_enabled(truth)
    game.set_sectors_info_enabled(truth)
    if vizdoom.Button.TURN_LEFT in game.get_available_buttons():
        game.add_available_button(vizdoom.Button.TURN_LEFT_RIGHT_DELTA)
        game.add_available_button(vizdoom.Button.LOOK_UP_DOWN_DELTA)
    game.set_episode_timeout(SCENARIOS[name].tics)
    with contextlib.chdir(directory):
        game.init()
    return game


def _spec(config: ViZDoom.Config) -> WorldSpec:
    packages = ("vizdoom", "numpy")
    return WorldSpec(
        name="vizdoom",
        version=importlib.metadata.version("vizdoom"),
        observations=ObservationSpec(
            cameras=tuple(Camera(name=name, height=120, width=160) for name in config.cameras),
            states=tuple(STATUS for _ in config.states),
            privileged=(TRUTH,) if config.privileged else (),
        ),
        accepts=ACTION_SPACE,
        tasks=tuple(
            TaskSpec(
                name=name,
                instructions=scenario.training,
                held_out_instructions=scenario.held_out,
                max_steps=_steps(name),
                description=f"{scenario.description}; the goal is {scenario.goal:g}",
            )
            for name, scenario in SCENARIOS.items()
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {name: importlib.metadata.version(name) for name in packages},
            "tics": TICS,
            "degrees_per_pixel": DEGREES_PER_PIXEL,
        },
    )
