"""PushT (package ``gym-pusht``): push a T-shaped block onto its mark with a round pusher.

Florence et al., "Implicit Behavioral Cloning" (CoRL 2021), in the form of Chi et al., "Diffusion
Policy" (RSS 2023). The world is :class:`~enactive.worlds.gymnasium_world.GymnasiumWorld` with this
mapping and a few readings of the simulator's state, and the example of how any Gymnasium
environment is brought in. Demonstrations come from :mod:`~enactive.worlds.pusht_planner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.spaces import Group, VectorSpace
from enactive.configuration import added
from enactive.observations import StateVector
from enactive.registry import refuse_unknown
from enactive.worlds.gymnasium_world import GymnasiumWorld
from enactive.worlds.world import WorldSpec

RATE_HZ = 10.0
"""10 physics steps of 10 ms each per control step."""

INSTRUCTIONS = (
    "push the T-shaped block onto the green mark",
    "move the T until it covers the target",
    "push the tee to its goal",
    "align the T block with the green outline",
)

HELD_OUT = (
    "cover the green T with the grey one",
    "bring the block to the marked place by pushing it",
    "shove the letter T into its target pose",
)

ACTION_SPACE = VectorSpace(
    groups=(
        Group(
            name="pusher", quantity="position", representation="scalar", reference="absolute",
            frame="board", unit="px", low=0.0, high=512.0, size=2,
        ),
    ),
    rate_hz=RATE_HZ,
)  # fmt: skip
"""Where the pusher shall go: x to the right and y down, on a board of 512 by 512."""


SUCCESS_COVERAGE = 0.95
"""Share of the mark that must be covered. The reward of a step is the coverage divided by this, at
most 1: an episode's largest coverage is its ``best_reward`` times this, up to success."""

STATES: Mapping[str, StateVector] = {
    vector.name: vector
    for vector in (
        StateVector(name="proprio", names=("pusher.x", "pusher.y"), unit="px"),
        StateVector(name="velocity", names=("pusher.vx", "pusher.vy"), unit="px/s"),
        StateVector(
            name="block",
            names=("block.x", "block.y", "block.cos", "block.sin"),
            unit="mixed: position of the middle of the bar's outer edge in px, angle as cosine "
            "and sine",
        ),
        StateVector(
            name="keypoints",
            names=tuple(f"block.corner{i}.{axis}" for i in range(8) for axis in "xy"),
            unit="px",
        ),
    )
}
"""State vectors that can be shown."""

TRUTH = StateVector(
    name="pusht",
    names=("pusher.x", "pusher.y", "block.x", "block.y", "block.angle"),
    unit="mixed: positions in px, angle in rad",
)
"""What the planner reads, in double precision."""


class PushT(GymnasiumWorld):
    """PushT with pictures, state vectors, or both; made with ``PushT.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:  # pyright: ignore[reportIncompatibleVariableOverride]  (no mapping: PushT's own)
        """Configuration of :class:`PushT`."""

        image_size: int = 96
        """Side of the square picture, pixels."""
        max_steps: int = 300
        """Control steps after which an episode is truncated."""
        cameras: tuple[str, ...] = added(("top",))
        """The picture; empty draws nothing, which makes the world several times as fast."""
        states: tuple[str, ...] = added(("proprio",))
        """State vectors that are shown: of ``"proprio"``, ``"velocity"``, ``"block"`` and
        ``"keypoints"``."""
        start: float = added(1.0)
        """How far from its mark the T begins, in (0, 1]: a share of the environment's own distance
        and angle. Less makes the task easier: fewer pushes, and shorter ones."""
        privileged: bool = added(True)
        """Give ``Observation.privileged["pusht"]``, which the planner reads."""

        def build(self) -> PushT:
            """The world; makes the environment.

            Raises:
                ValueError: an unknown camera or state vector, or a start out of range.
            """
            return PushT(self)

    def __init__(self, config: Config) -> None:
        if set(config.cameras) - {"top"}:
            raise ValueError(f"cameras: only 'top' is there, got {[*config.cameras]}")
        refuse_unknown("states", config.states, STATES)
        if not 0 < config.start <= 1:
            raise ValueError(f"start must lie in (0, 1], got {config.start}")
        self._start = config.start
        super().__init__(_mapping(config))

    def _describe(self) -> WorldSpec:
        spec = super()._describe()
        packages = dict(spec.provenance["packages"]) | _pygame()
        return replace(spec, provenance={**spec.provenance, "packages": packages})

    def _begin(self, seed: int) -> Any:
        seen = super()._begin(seed)
        if self._start == 1.0:
            return seen
        env = self._env.unwrapped
        goal = np.asarray(env.goal_pose)  # x, y, angle
        pose = np.array([*env.block.position, env.block.angle])
        away = pose - goal
        away[2] = np.remainder(away[2] + np.pi, 2 * np.pi) - np.pi
        state = [*env.agent.position, *(goal + self._start * away)]
        return self._env.reset(options={"reset_to_state": state})[0]

    def _look_up(self, seen: Any, key: str) -> Any:
        read = _READ.get(key)
        return super()._look_up(seen, key) if read is None else read(self._env.unwrapped)


def _pygame() -> dict[str, str]:
    """Which of two packages draws: pygame and pygame-ce install one module, and draw edges
    differently."""
    import pygame

    ce = bool(getattr(pygame, "IS_CE", False))
    return {"pygame-ce" if ce else "pygame": str(pygame.version.ver)}


def _corners(env: Any) -> NDArray[np.float64]:
    return env.get_keypoints(env._block_shapes)


def _block(env: Any) -> NDArray[np.float64]:
    return np.array([*env.block.position, np.cos(env.block.angle), np.sin(env.block.angle)])


def _truth(env: Any) -> NDArray[np.float64]:
    return np.array([*env.agent.position, *env.block.position, env.block.angle])


_READ: Mapping[str, Callable[[Any], NDArray[np.float64]]] = {
    "agent_pos": lambda env: np.array(env.agent.position),
    "velocity": lambda env: np.array(env.agent.velocity),
    "block": _block,
    "keypoints": _corners,
    "truth": _truth,
}
"""Key to how it is read from the environment."""

_KEYS = {
    "proprio": "agent_pos", "velocity": "velocity", "block": "block", "keypoints": "keypoints"
}  # fmt: skip


def _mapping(config: PushT.Config) -> GymnasiumWorld.Config:
    """PushT as a mapping of the Gymnasium environment."""
    arguments: dict[str, str | int | float | bool] = {"obs_type": "state"}
    if config.cameras:
        arguments = {
            "obs_type": "pixels_agent_pos",
            "observation_width": config.image_size,
            "observation_height": config.image_size,
        }
    states = {name: STATES[name] for name in config.states}
    keys = {name: _KEYS[name] for name in config.states}
    if config.privileged:
        states[TRUTH.name], keys[TRUTH.name] = TRUTH, "truth"
    return GymnasiumWorld.Config(
        env_id="gym_pusht/PushT-v0",
        module="gym_pusht",
        arguments=arguments,
        name="pusht",
        task="push-t",
        instructions=INSTRUCTIONS,
        held_out_instructions=HELD_OUT,
        cameras={name: "pixels" for name in config.cameras},
        states=keys,
        entries={name: vector.names for name, vector in states.items()},
        units={name: vector.unit for name, vector in states.items()},
        privileged=(TRUTH.name,) if config.privileged else (),
        action=ACTION_SPACE,
        max_steps=config.max_steps,
        rate_hz=RATE_HZ,
    )
