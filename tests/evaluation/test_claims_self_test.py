"""The instrument on identical arms: it errs no more often than stated, pooled episodes do."""

from __future__ import annotations

import numpy as np

from enactive.evaluation.claims import self_test
from enactive.evaluation.claims.reach import train_and_roll_out
from enactive.seeding import numpy_generator


def test_identical_arms_are_called_different_no_more_often_than_stated() -> None:
    rows = self_test.run(2000, seed=1)
    assert self_test.passed(rows), self_test.worst(rows)
    rate, _ = self_test.overall(rows)
    assert rate.low <= self_test.STATED
    assert rate.high > 0.015, "so rarely that nothing would ever be found"


def test_an_instrument_that_errs_too_often_would_not_pass() -> None:
    """The same outcomes judged with episodes as independent samples."""
    shape = self_test.bernoulli(5, 50, 0.5, 1.0)
    first, second = shape.draw(numpy_generator(0, "pooled"), 2000)
    errors = int(self_test.pooled(first, second, 0.0).sum())
    row = self_test._row(shape, 2000, errors, 0.0)
    assert row.rate.low > 0.2, "the stated error is 0.025"
    assert not self_test.passed([row])


def test_a_true_difference_is_found() -> None:
    generator = np.random.default_rng(0)
    values = 0.3 + 0.1 * generator.standard_normal((2000, 4))
    assert self_test.supported(values, 0.0).mean() > 0.8


def test_the_error_of_a_trained_policy_is_the_stated_one_too() -> None:
    row = self_test.real(150, 4, 30, seed=2)
    assert self_test.passed([row]), row
    skills = [train_and_roll_out(numpy_generator(s, "skill"), 400).mean() for s in range(30)]
    # Policies differ by more than 400 episodes can explain: seeds are clusters.
    assert np.var(skills) > 3 * np.mean(skills) * (1 - np.mean(skills)) / 400
    again = [train_and_roll_out(numpy_generator(s, "skill"), 400).mean() for s in range(3)]
    assert again == skills[:3]
