"""A policy that takes two milliseconds to train and roll out, for testing the instrument itself.

A point in the plane is to reach a goal against a drift that depends on where it is. An expert that
knows the drift demonstrates with noise, random features and ridge regression imitate it, and the
policy is rolled out from new places. Policies of different seeds differ in skill, because few
demonstrations cover little: as with any imitated policy, and as an A/A test needs it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS = 20
"""Control steps of an episode."""
SPEED = 0.12
"""Largest step, in units of the unit square's half side."""
REACHED = 0.06
"""Distance that counts as success."""


def train_and_roll_out(
    generator: np.random.Generator,
    episodes: int,
    *,
    demonstrations: int = 20,
    features: int = 48,
    noise: float = 0.05,
) -> Array:
    """Train one policy and roll it out.

    Args:
        generator: source of everything: demonstrations, features and evaluation episodes.
        episodes: how many are rolled out, E.
        demonstrations: how many the policy is trained on.
        features: width of the policy.
        noise: of the demonstrator's commands, standard deviation per axis.

    Returns:
        ``float64 (E,)``: 1 where the goal was reached.
    """
    frequencies = generator.normal(0, 1.5, size=(4, features))
    phases = generator.uniform(0, 2 * np.pi, features)

    def represent(place: Array, goal: Array) -> Array:
        seen = np.concatenate([place, goal], axis=1)  # (B, 4)
        waves = np.cos(seen @ frequencies + phases)  # (B, F)
        return np.concatenate([waves, seen, np.ones((len(seen), 1))], axis=1)

    place, goal = _starts(generator, demonstrations)
    inputs: list[Array] = []
    commands: list[Array] = []
    for _ in range(STEPS):
        wanted = _limited(goal - place - _drift(place))
        inputs.append(represent(place, goal))
        commands.append(wanted)
        place = _moved(place, wanted + noise * generator.standard_normal(wanted.shape))
    x, y = np.concatenate(inputs), np.concatenate(commands)
    weights = np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ y)  # (F + 5, 2)

    place, goal = _starts(generator, episodes)
    reached = np.zeros(episodes, bool)
    for _ in range(STEPS):
        place = _moved(place, _limited(represent(place, goal) @ weights))
        reached |= np.linalg.norm(place - goal, axis=1) < REACHED
    return reached.astype(np.float64)


def _starts(generator: np.random.Generator, count: int) -> tuple[Array, Array]:
    return generator.uniform(-1, 1, (count, 2)), generator.uniform(-1, 1, (count, 2))


def _drift(place: Array) -> Array:
    return 0.04 * np.stack([np.sin(3 * place[:, 1]), np.cos(3 * place[:, 0])], axis=1)


def _moved(place: Array, command: Array) -> Array:
    return np.clip(place + _drift(place) + _limited(command), -1.5, 1.5)


def _limited(command: Array) -> Array:
    length = np.linalg.norm(command, axis=1, keepdims=True)
    return command * np.minimum(1.0, SPEED / np.maximum(length, 1e-12))
