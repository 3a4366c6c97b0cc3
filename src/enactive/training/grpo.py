"""Group-relative policy optimisation of a categorical policy with a linear score.

Shao et al. 2024, "DeepSeekMath" (arXiv 2402.03300), §4.1: several rollouts of one task, and of each
the reward's distance from its group's mean in standard deviations as the advantage of all its
decisions. With what UltraCUA (arXiv 2510.17790) adds: tasks are kept if the policy sometimes solves
them and sometimes does not (:func:`in_band`), and a success that used a tool is worth a little more
(:func:`hybrid_reward`). Rollouts are on-policy and used once, so that no ratio needs clipping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from enactive.policies.agents.ultracua import Choice, softmax

BAND = (0.4, 0.8)
"""Mean success of the tasks that UltraCUA trains on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One attempt."""

    success: bool
    choices: tuple[Choice, ...]

    @property
    def used_tool(self) -> bool:
        """Whether some decision called a tool."""
        return any(choice.call for choice in self.choices)


def hybrid_reward(rollout: Rollout, bonus: float) -> float:
    """1 or -1; with ``bonus`` more for a success in which a tool was called. A failed episode gets
    no bonus, however many tools it called."""
    if not rollout.success:
        return -1.0
    return 1.0 + (bonus if rollout.used_tool else 0.0)


def in_band(successes: Sequence[bool], band: tuple[float, float] = BAND) -> bool:
    """Whether a task's rollouts succeed at least once and as often as the band says."""
    share = sum(successes) / len(successes)
    return any(successes) and band[0] <= share <= band[1]


def advantages(rewards: Sequence[float]) -> NDArray[np.float64]:
    """A group's rewards, standardised, ``(G,)``; 0 where all are equal: nothing is to be learned
    from a group that agrees."""
    values = np.asarray(rewards, np.float64)
    spread = values.std()
    return np.zeros_like(values) if spread < 1e-9 else (values - values.mean()) / spread


def score_gradient(choice: Choice, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gradient of the logarithm of the chosen option's probability by the weights, ``(F,)``."""
    shares = softmax(choice.features @ weights)
    return choice.features[choice.chosen] - shares @ choice.features


def policy_gradient(
    groups: Sequence[Sequence[Rollout]], weights: NDArray[np.float64], bonus: float
) -> NDArray[np.float64]:
    """The mean over decisions of advantage times score gradient, ``(F,)``."""
    total, count = np.zeros_like(weights), 0
    for group in groups:
        worth = advantages([hybrid_reward(rollout, bonus) for rollout in group])
        for rollout, advantage in zip(group, worth.tolist(), strict=True):
            count += len(rollout.choices)
            if advantage:
                for choice in rollout.choices:
                    total += advantage * score_gradient(choice, weights)
    return total / max(count, 1)


def imitation_gradient(
    choices: Sequence[Choice], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the mean log-likelihood of what was chosen, ``(F,)``."""
    total = np.zeros_like(weights)
    for choice in choices:
        total += score_gradient(choice, weights)
    return total / max(len(choices), 1)


@dataclass
class Ascent:
    """Adam (Kingma and Ba 2015) upwards."""

    rate: float
    size: int
    _count: int = 0
    _mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    _square: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        self._mean, self._square = np.zeros(self.size), np.zeros(self.size)

    def step(
        self, weights: NDArray[np.float64], gradient: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The weights after one step."""
        self._count += 1
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.999 * self._square + 0.001 * gradient**2
        mean = self._mean / (1 - 0.9**self._count)
        square = self._square / (1 - 0.999**self._count)
        return weights + self.rate * mean / (np.sqrt(square) + 1e-8)
