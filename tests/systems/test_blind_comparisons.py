"""The comparisons behind the claim of the blind protocol, on banks whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from enactive.systems.blind_comparisons import (
    PROTECTED,
    PROTOCOLS,
    STREAMS,
    UPLIFT,
    Found,
    Protocol,
    Scale,
    compare_often,
)

SCALE = Scale(starts=30, levels=6, rounds=24, comparisons=300)


def bank(same: tuple[float, float], better: float = 0.9) -> dict[str, np.ndarray]:
    """Success falls from ``same[0]`` to ``same[1]`` over the session, whatever the start."""
    generator = np.random.default_rng(0)
    chance = np.linspace(*same, SCALE.levels)[None, :, None]
    made: dict[str, np.ndarray] = {}
    for name, streams in STREAMS.items():
        shape = (SCALE.starts, SCALE.levels, len(streams))
        made[name] = generator.random(shape) < (better if name == "better" else chance)
        made[f"{name}_motion"] = np.full(shape, 0.2 if name == "trembling" else 0.0)
    return made


def found(name: str, bank_: dict[str, np.ndarray], candidate: str = "same") -> Found:
    generator = np.random.default_rng(1)
    return compare_often(bank_, PROTOCOLS[name], candidate, SCALE, generator)


def test_wear_is_taken_for_a_difference_only_policy_by_policy() -> None:
    worn = bank((0.9, 0.1))
    assert found(PROTECTED, worn).found <= 0.05
    assert abs(found(PROTECTED, worn).differences.mean()) < 0.02
    by_policy = found("policy by policy", worn)
    assert by_policy.found > 0.5 and by_policy.differences.mean() < -0.2


@pytest.mark.parametrize(("name", "share"), [("rater knows", 1.0), (PROTECTED, 0.0)])
def test_a_preference_shifts_by_what_it_adds(name: str, share: float) -> None:
    even = bank((0.4, 0.4))
    failures = 1 - even["same"].mean()
    assert found(name, even).bias == pytest.approx(share * UPLIFT * failures, abs=0.02)


def test_a_guess_shifts_comparisons_but_not_their_mean() -> None:
    guessed = found("holds on to a guess", bank((0.3, 0.3)))
    assert abs(guessed.bias) < 0.03
    assert guessed.differences.std() > 1.2 * found(PROTECTED, bank((0.3, 0.3))).differences.std()


def test_trembling_is_seen_where_it_is() -> None:
    even = bank((0.4, 0.4))
    assert found("gives itself away", even, "trembling").bias > 0.1
    assert abs(found("gives itself away", even).bias) < 0.02
    assert abs(found(PROTECTED, even, "trembling").bias) < 0.02


def test_what_is_better_is_found() -> None:
    even = bank((0.4, 0.4))
    assert found(PROTECTED, even, "better").found_better > 0.6
    assert found(PROTECTED, even).found_better <= 0.05


def test_looking_again_and_again_finds_more() -> None:
    even = bank((0.5, 0.5))
    assert found("stops when it shows", even).found > found(PROTECTED, even).found
    again = found("failures run again", even)
    assert again.differences.mean() > 0.05
    assert Protocol() == PROTOCOLS[PROTECTED]
