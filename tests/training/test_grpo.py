"""Group-relative optimisation: advantages, the bonus, the band, and the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.policies.agents.ultracua import Choice, softmax
from enactive.training.grpo import (
    Ascent,
    Rollout,
    advantages,
    hybrid_reward,
    imitation_gradient,
    in_band,
    policy_gradient,
    score_gradient,
)


def choice(chosen: int, call: bool = False) -> Choice:
    return Choice(features=np.eye(3), chosen=chosen, call=call)


def rollout(success: bool, *chosen: int, call: bool = False) -> Rollout:
    return Rollout(success=success, choices=tuple(choice(one, call) for one in chosen))


def test_the_bonus_is_paid_for_successes_that_used_a_tool_and_for_nothing_else() -> None:
    assert hybrid_reward(rollout(True, 0, call=True), 0.3) == 1.3
    assert hybrid_reward(rollout(True, 0), 0.3) == 1.0
    assert hybrid_reward(rollout(False, 0, call=True), 0.3) == -1.0
    assert hybrid_reward(rollout(False, 0), 0.3) == -1.0


@pytest.mark.parametrize(
    ("successes", "kept"), [(0, False), (1, False), (4, True), (6, True), (7, False), (8, False)]
)
def test_the_band_keeps_what_is_sometimes_solved(successes: int, kept: bool) -> None:
    assert in_band([i < successes for i in range(8)]) == kept


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=16))
def test_advantages_of_a_group_are_standardised(rewards: list[float]) -> None:
    found = advantages(rewards)
    if np.std(rewards) < 1e-9:
        assert not found.any()
    else:
        assert abs(found.mean()) < 1e-6 and abs(found.std() - 1) < 1e-6


def test_a_group_that_agrees_teaches_nothing() -> None:
    groups = [[rollout(True, 0), rollout(True, 1)], [rollout(False, 2), rollout(False, 1)]]
    assert not policy_gradient(groups, np.zeros(3), 0.0).any()


@given(seed=st.integers(0, 10**6))
def test_the_gradient_is_that_of_the_log_probability(seed: int) -> None:
    generator = np.random.default_rng(seed)
    features, weights = generator.normal(size=(4, 5)), generator.normal(size=5)
    made = Choice(features=features, chosen=2, call=False)
    gradient = score_gradient(made, weights)
    for i in range(5):
        ends = []
        for sign in (1, -1):
            moved = weights.copy()
            moved[i] += sign * 1e-5
            ends.append(np.log(softmax(features @ moved)[2]))
        assert abs((ends[0] - ends[1]) / 2e-5 - gradient[i]) < 1e-6


def test_what_succeeds_becomes_likelier() -> None:
    generator, weights, ascent = np.random.default_rng(0), np.zeros(3), Ascent(rate=0.1, size=3)
    for _ in range(60):
        shares = softmax(weights)
        group = [rollout(one == 1, one) for one in generator.choice(3, 8, p=shares).tolist()]
        weights = ascent.step(weights, policy_gradient([group], weights, 0.0))
    assert softmax(weights)[1] > 0.9


def test_imitation_copies() -> None:
    weights, ascent = np.zeros(3), Ascent(rate=0.3, size=3)
    for _ in range(40):
        weights = ascent.step(weights, imitation_gradient([choice(2)] * 3 + [choice(0)], weights))
    assert abs(softmax(weights)[2] - 0.75) < 0.1
