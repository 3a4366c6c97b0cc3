"""Any Gymnasium environment as a world, through a declared mapping.

A Gymnasium environment says which numbers it takes and gives, not what they mean. The mapping says
it: which entries of the observation are pictures and which are state vectors, where success is
found, and, where it is known, the convention of the action.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.digital import ChoiceSpace
from enactive.actions.spaces import ActionSpace, Group, VectorSpace
from enactive.configuration import added
from enactive.observations import (
    Camera,
    Observation,
    ObservationSpec,
    StateVector,
    Task,
    TaskSpec,
)
from enactive.registry import suggest
from enactive.seeding import child_seed
from enactive.worlds.mujoco_rendering import backend
from enactive.worlds.world import EventSpec, Snapshot, Step, WorldSpec

RENDER = "render()"
"""Key that stands for the picture that the environment's ``render`` gives."""

WHOLE = "observation"
"""Key that stands for the whole observation, where it is no dictionary."""


class GymnasiumWorld:
    """A world of one task: a Gymnasium environment.

    Snapshots are the seed and the actions since: a restore executes them again. That is exact for
    any environment that is deterministic under its seed, which the conformance checker verifies;
    it takes as long as the episode so far.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`GymnasiumWorld`."""

        env_id: str = "CartPole-v1"
        """Gymnasium's name of the environment."""
        module: str = ""
        """Module to import first, which registers the environment, e.g. ``"gym_pusht"``."""
        arguments: dict[str, str | int | float | bool] = field(
            default_factory=dict[str, str | int | float | bool]
        )
        """Keyword arguments of ``gymnasium.make``."""
        name: str = ""
        """Name of the world; by default the environment's."""
        task: str = ""
        """Name of its only task; by default the environment's."""
        instructions: tuple[str, ...] = ()
        """Wordings for collection and training; by default the task's name."""
        held_out_instructions: tuple[str, ...] = ()
        """Paraphrases for evaluation only."""
        cameras: dict[str, str] = field(default_factory=dict[str, str])
        """Stream name to the observation's key, or ``"observation"`` for the whole observation, or
        ``"render()"`` for what the environment renders."""
        states: dict[str, str] = field(default_factory=lambda: {"proprio": WHOLE})
        """State vector name to the observation's key; arrays are flattened."""
        entries: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
        """State vector name to the names of its entries; by default they are numbered."""
        units: dict[str, str] = field(default_factory=dict[str, str])
        """State vector name to the unit of its entries; by default ``"unstated"``."""
        privileged: tuple[str, ...] = added(())
        """Which of the states only experts, critics and audits may read: they are given as
        ``Observation.privileged`` in double precision and never recorded."""
        action: VectorSpace | None = None
        """The action's convention; by default an unstated one with the environment's bounds."""
        success: str = "is_success"
        """Key of ``info`` that holds the success test; where it is missing, success is false."""
        max_steps: int = 1000
        """Steps after which an episode is truncated."""
        rate_hz: float = 0.0
        """Control steps per second; 0 takes the environment's ``render_fps``."""

        def build(self) -> GymnasiumWorld:
            """The world; makes the environment.

            Raises:
                ValueError: the mapping does not fit the environment; the message names the key.
            """
            return GymnasiumWorld(self)

    def __init__(self, config: Config) -> None:
        self._config = config
        self._env = _make(config)
        try:
            self._spec = self._describe()
        except BaseException:
            self._env.close()
            raise
        self._task: Task | None = None
        self._seed = 0
        self._actions: list[Any] = []
        self._held = False
        self._over = False

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode; raises ``KeyError`` for a task other than the world's only one."""
        self._spec.check_task(task)
        # Some environments take only 32-bit seeds.
        native = child_seed(seed, "gymnasium", self._config.env_id) % 2**31
        seen = self._begin(native)
        # Spaces have generators of their own, which an environment may draw from.
        self._env.action_space.seed(native)
        self._env.observation_space.seed(native)
        self._task, self._seed, self._actions = task, seed, []
        self._held = self._over = False
        return self._observe(seen)

    def _begin(self, seed: int) -> Any:
        """Begin an episode of the environment; what it shows first."""
        return self._env.reset(seed=seed)[0]

    def step(self, action: Any) -> Step:
        """Execute one action of ``spec.accepts``; raises ``ValueError`` for any other."""
        if self._task is None:
            raise RuntimeError("no episode is running; call reset first")
        if self._over:
            raise RuntimeError("the episode has ended; call reset")
        if not self._spec.accepts.contains(action):
            raise ValueError(f"action {action!r} is outside the space of {self._spec.name}")
        native = self._native(action)
        seen, reward, terminated, truncated, info = self._env.step(native)
        self._actions.append(native if isinstance(native, int) else native.tobytes())
        success = bool(info.get(self._config.success, False))
        events = ("success",) if success and not self._held else ()
        self._held = success
        limit = len(self._actions) >= self._config.max_steps
        self._over = bool(terminated) or bool(truncated) or limit
        return Step(
            observation=self._observe(seen),
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated) or limit,
            success=success,
            events=events,
        )

    def snapshot(self) -> Snapshot:
        if self._task is None:
            raise RuntimeError("no episode is running; call reset first")
        state = {
            "task": self._task.name,
            "instruction": self._task.instruction,
            "seed": self._seed,
            "actions": self._actions,
        }
        return Snapshot.pack(self._spec.name, state)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Execute the snapshot's episode again, up to where it was taken."""
        state = snapshot.unpack(self._spec.name)
        task = Task(name=state["task"], instruction=state["instruction"])
        observation = self.reset(task, state["seed"])
        for action in state["actions"]:
            observation = self.step(self._decoded(action)).observation
        return observation

    def close(self) -> None:
        self._env.close()

    def _native(self, action: Any) -> Any:
        """An action of ours as the environment takes it."""
        space = self._env.action_space
        if isinstance(self._spec.accepts, ChoiceSpace):
            return int(action) + int(space.start)
        vector = np.asarray(action, np.float32).astype(space.dtype).reshape(space.shape)
        return np.clip(vector, space.low, space.high)

    def _decoded(self, recorded: Any) -> Any:
        """A recorded native action as one of ours."""
        space = self._env.action_space
        if isinstance(recorded, int):
            return recorded - int(space.start)
        return np.frombuffer(recorded, space.dtype).astype(np.float32)

    def _observe(self, seen: Any) -> Observation:
        assert self._task is not None
        config, cameras = self._config, self._spec.observations.cameras
        images = {
            camera.name: np.array(self._look_up(seen, config.cameras[camera.name]), np.uint8)
            for camera in cameras
        }
        state = {
            vector.name: _flat(self._look_up(seen, config.states[vector.name]))
            for vector in self._spec.observations.states
        }
        privileged = {
            vector.name: np.array(self._look_up(seen, config.states[vector.name]), float).ravel()
            for vector in self._spec.observations.privileged
        }
        return Observation(
            images=images,
            state=state,
            instruction=self._task.instruction,
            time=len(self._actions) / self._spec.rate_hz,
            privileged=privileged,
        )

    def _look_up(self, seen: Any, key: str) -> Any:
        if key == RENDER:
            return self._env.render()
        if key == WHOLE:
            return seen
        if not isinstance(seen, Mapping) or key not in seen:
            known = [*seen] if isinstance(seen, Mapping) else []
            raise ValueError(
                f"{self._config.env_id}: the observation has no key {key!r}; "
                f"{suggest(key, [*known, WHOLE, RENDER])}"
            )
        return seen[key]

    def _describe(self) -> WorldSpec:
        """The specification, from the mapping and one look at the environment."""
        config, env = self._config, self._env
        rate = config.rate_hz or float(env.metadata.get("render_fps") or 0)
        if rate <= 0:
            raise ValueError(f"{config.env_id} states no render_fps; give rate_hz, in Hz")
        seen, _ = env.reset(seed=0)
        cameras = tuple(
            _camera(name, np.asarray(self._look_up(seen, key)))
            for name, key in config.cameras.items()
        )
        for name in config.privileged:
            if name not in config.states:
                raise ValueError(
                    f"privileged: {name!r} is none of states; {suggest(name, config.states)}"
                )
        states: list[StateVector] = []
        for name, key in config.states.items():
            size = _flat(self._look_up(seen, key)).size
            names = config.entries.get(name, tuple(f"{name}.{i}" for i in range(size)))
            if len(names) != size:
                raise ValueError(f"entries[{name!r}]: {len(names)} names for {size} entries")
            states.append(
                StateVector(name=name, names=names, unit=config.units.get(name, "unstated"))
            )
        task = config.task or config.env_id
        package = config.module.split(".")[0] or "gymnasium"
        versions = {name: _version(name) for name in {package, "gymnasium"}}
        return WorldSpec(
            name=config.name or config.env_id,
            version=versions[package],
            observations=ObservationSpec(
                cameras=cameras,
                states=tuple(state for state in states if state.name not in config.privileged),
                privileged=tuple(state for state in states if state.name in config.privileged),
            ),
            accepts=_accepts(config, env.action_space, rate),
            tasks=(
                TaskSpec(
                    name=task,
                    instructions=config.instructions or (task,),
                    held_out_instructions=config.held_out_instructions,
                    max_steps=config.max_steps,
                ),
            ),
            rate_hz=rate,
            events=(EventSpec(name="success", description="the success test became true"),),
            snapshots=True,
            provenance={
                "packages": versions,
                "env_id": config.env_id,
                "arguments": dict(config.arguments),
            },
        )


def _make(config: GymnasiumWorld.Config) -> Any:
    import gymnasium

    if config.module:
        importlib.import_module(config.module)
    # Our own contract replaces Gymnasium's checker and time limit.
    arguments: dict[str, Any] = dict(config.arguments)
    if RENDER in config.cameras.values():
        arguments.setdefault("render_mode", "rgb_array")
        # Gymnasium's MuJoCo environments ask this variable when they first render.
        os.environ.setdefault("MUJOCO_GL", backend())
    made = gymnasium.make(config.env_id, disable_env_checker=True, **arguments)
    while isinstance(made, gymnasium.wrappers.TimeLimit):
        made = made.env
    return made


def _accepts(config: GymnasiumWorld.Config, space: Any, rate: float) -> ActionSpace:
    from gymnasium.spaces import Box, Discrete

    if isinstance(space, Discrete):
        if config.action is not None:
            raise ValueError(f"action: {config.env_id} takes one of {space.n}, not a vector")
        return ChoiceSpace(names=tuple(f"{i}" for i in range(int(space.n))))
    if not isinstance(space, Box):
        raise ValueError(
            f"{config.env_id} takes actions of {type(space).__name__}; Box and Discrete have a "
            "mapping: wrap the environment, or write a world of its own"
        )
    size = math.prod(space.shape)
    if config.action is not None:
        if config.action.size != size:
            raise ValueError(f"action: {config.action.size} entries, the environment takes {size}")
        return config.action
    group = Group(
        name="action", quantity="other", representation="scalar", reference="absolute",
        frame="none", unit="unstated", size=size,
        low=tuple(np.broadcast_to(space.low, space.shape).ravel().tolist()),
        high=tuple(np.broadcast_to(space.high, space.shape).ravel().tolist()),
    )  # fmt: skip
    return VectorSpace(groups=(group,), rate_hz=rate)


def _flat(value: Any) -> NDArray[np.float32]:
    return np.array(value, np.float32).reshape(-1)


def _camera(name: str, image: NDArray[Any]) -> Camera:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"cameras[{name!r}]: expected a picture uint8 (H, W, 3), got {image.dtype} "
            f"{image.shape}"
        )
    return Camera(name=name, height=image.shape[0], width=image.shape[1])


@functools.cache  # looking through everything that is installed takes a good part of a second
def _version(module: str) -> str:
    names = importlib.metadata.packages_distributions().get(module, [module])
    try:
        return importlib.metadata.version(names[0])
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
