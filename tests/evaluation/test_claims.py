"""Claims: what may be declared, and how measurements become verdicts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from enactive.evaluation.claims.cautions import cautions
from enactive.evaluation.claims.claim import Claim, ClaimError, Hypothesis, Measurement
from enactive.evaluation.claims.self_test import supported
from enactive.evaluation.claims.units import measurement_from_json, measurement_to_json
from enactive.evaluation.claims.verdict import Ruling, combine, judge, judge_values
from enactive.evaluation.statistics import student_t


def difference(arms: Mapping[str, Measurement]) -> float:
    return arms["b"].outcome("success") - arms["a"].outcome("success")


def hypothesis(**changes: Any) -> Hypothesis:
    values: dict[str, Any] = {
        "name": "better", "statement": "b beats a", "value": difference,
        "direction": "greater", "threshold": 0.0,
    }  # fmt: skip
    return Hypothesis(**{**values, **changes})


def measure(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
    return Measurement()


def claim(**changes: Any) -> Claim:
    values: dict[str, Any] = {
        "system": "toy", "title": "Toy", "statement": "b beats a", "source": "none",
        "world": "none", "arms": {"a": "one", "b": "another"}, "controls": {},
        "hypotheses": (hypothesis(),), "seeds": (0, 1, 2), "budget": "none", "measure": measure,
    }  # fmt: skip
    return Claim(**{**values, **changes})


def measured(rates: Mapping[str, list[float]], **cost: float) -> dict[tuple[str, int], Measurement]:
    return {
        (arm, seed): Measurement(outcomes={"success": rate}, cost=cost)
        for arm, row in rates.items()
        for seed, rate in enumerate(row)
    }


# ----------------------------------------------------------------------------- declarations


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"system": "My System"}, "lower-case letters, digits and hyphens"),
        ({"statement": " "}, "statement is empty"),
        ({"budget": ""}, "budget is empty"),
        ({"arms": {}}, "arms is empty"),
        ({"arms": {"a b": "x", "A-b": "y"}}, "'a b' and 'A-b' would share the directory 'a-b'"),
        ({"arms": {"a": ""}}, "arm 'a' does not say what it is"),
        ({"seeds": ()}, "seeds is empty"),
        ({"seeds": (1, 1)}, "different and not negative"),
        ({"seeds": (-1,)}, "different and not negative"),
        ({"hypotheses": ()}, "no hypothesis is primary"),
        ({"hypotheses": (hypothesis(primary=False),)}, "no hypothesis is primary"),
        ({"hypotheses": (hypothesis(), hypothesis())}, "share a name"),
        ({"measure": None}, "measure must be a function"),
    ],
)
def test_a_wrong_declaration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        claim(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "more"}, "direction must be 'greater' or 'less'"),
        ({"threshold": math.nan}, "threshold must be finite"),
        ({"threshold": "much"}, "expected a number, got 'much'"),
        ({"statement": ""}, "must say something"),
        ({"resolution": -1.0}, "resolution must be >= 0"),
    ],
)
def test_a_wrong_hypothesis_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        hypothesis(**changes)


def test_a_measurement_takes_any_number_and_nothing_else() -> None:
    found = Measurement(outcomes={"x": np.float32(0.5)}, episodes={"s": np.array([True, False])})
    assert found.outcomes == {"x": 0.5} and found.episodes == {"s": (1.0, 0.0)}
    with pytest.raises(ClaimError, match=r"episodes\['s'\]\[1\]: expected a number, got 'no'"):
        Measurement(episodes={"s": [1, "no"]})  # type: ignore[list-item]
    with pytest.raises(ClaimError, match="no outcome is called 'succes'; did you mean 'success'"):
        Measurement(outcomes={"success": 1}).outcome("succes")


@given(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=4))
def test_measurements_survive_as_json(values: dict[str, float]) -> None:
    before = Measurement(outcomes=values, episodes={"e": list(values.values())}, cost=values)
    assert measurement_from_json(measurement_to_json(before)) == before


def test_the_hash_changes_with_what_is_declared() -> None:
    base = claim()
    assert base.hash == claim().hash
    other = dataclasses.replace(base, hypotheses=(hypothesis(threshold=0.01),))
    assert len({base.hash, other.hash, claim(budget="more").hash}) == 3


# --------------------------------------------------------------------------------- verdicts

values_of_seeds = st.lists(st.integers(-40, 40).map(lambda n: n / 20), min_size=1, max_size=6)


def test_the_interval_is_students() -> None:
    row = [0.1, 0.4, 0.2, 0.35]
    found = student_t(row)
    low, high = stats.t.interval(0.95, 3, np.mean(row), stats.sem(row))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert student_t([1, 1, 1]).low == 1 and student_t([1, 1, 1], floor=0.1).low < 1
    with pytest.raises(ValueError, match="at least two values"):
        student_t([1.0])


@given(values_of_seeds, st.integers(-10, 10).map(lambda n: n / 20 + 0.025))
def test_directions_mirror_each_other(values: list[float], threshold: float) -> None:
    there = judge_values(hypothesis(threshold=threshold), dict(enumerate(values)))
    mirrored = hypothesis(threshold=-threshold, direction="less")
    back = judge_values(mirrored, {seed: -value for seed, value in enumerate(values)})
    opposite = judge_values(
        hypothesis(threshold=threshold, direction="less"), dict(enumerate(values))
    )
    assert there.ruling is back.ruling
    swapped = {
        Ruling.SUPPORTED: Ruling.NOT_SUPPORTED,
        Ruling.NOT_SUPPORTED: Ruling.SUPPORTED,
        Ruling.INCONCLUSIVE: Ruling.INCONCLUSIVE,
    }
    assert opposite.ruling is swapped[there.ruling]


@given(
    st.integers(2, 6).flatmap(
        lambda n: st.lists(st.integers(-20, 20), min_size=n, max_size=n)
    ),
    st.sampled_from([0.0, 0.05]),
)  # fmt: skip
def test_the_self_test_decides_as_the_verdict_does(counts: list[int], resolution: float) -> None:
    values = [count / 16 for count in counts]  # sums without rounding
    ruling = judge_values(hypothesis(resolution=resolution), dict(enumerate(values))).ruling
    many = supported(np.array([values]), 0.0, resolution)
    assert bool(many[0]) == (ruling is Ruling.SUPPORTED)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_one_seed_is_never_conclusive(value: float, threshold: float) -> None:
    assert judge_values(hypothesis(threshold=threshold), {3: value}).ruling is Ruling.INCONCLUSIVE


def test_an_interval_of_no_width_needs_three_seeds() -> None:
    same = hypothesis()
    assert judge_values(same, {0: 0.1, 1: 0.1}).ruling is Ruling.INCONCLUSIVE
    assert judge_values(same, {0: 0.1, 1: 0.1, 2: 0.1}).ruling is Ruling.SUPPORTED
    # With its resolution declared, agreement to one episode is no proof of precision.
    coarse = hypothesis(resolution=0.1)
    assert judge_values(coarse, {0: 0.1, 1: 0.1, 2: 0.1}).ruling is Ruling.INCONCLUSIVE
    assert judge_values(coarse, {0: 1.0, 1: 1.0, 2: 1.0}).ruling is Ruling.SUPPORTED


def test_exact_values_are_decided_seed_by_seed() -> None:
    at_most = hypothesis(direction="less", threshold=4, exact=True)
    assert judge_values(at_most, {0: 4}).ruling is Ruling.SUPPORTED
    found = judge_values(at_most, {0: 4, 7: 5})
    assert found.ruling is Ruling.NOT_SUPPORTED
    assert found.reason == "exact: should be at most 4, is 5 in seed 7"


def test_a_value_that_is_not_finite_decides_nothing() -> None:
    for exact in (False, True):
        found = judge_values(hypothesis(exact=exact), {0: 1.0, 1: math.nan, 2: 1.0})
        assert found.ruling is Ruling.INCONCLUSIVE and "nan in seed 1" in found.reason


@given(st.lists(st.sampled_from(list(Ruling)), min_size=1, max_size=5))
def test_a_claim_is_supported_only_if_all_primary_hypotheses_are(rulings: list[Ruling]) -> None:
    expected = Ruling.INCONCLUSIVE
    if set(rulings) == {Ruling.SUPPORTED}:
        expected = Ruling.SUPPORTED
    elif Ruling.NOT_SUPPORTED in rulings:
        expected = Ruling.NOT_SUPPORTED
    assert combine(rulings) is expected


def test_secondary_hypotheses_do_not_decide() -> None:
    second = hypothesis(name="second", threshold=0.9, primary=False)
    found = judge(
        claim(hypotheses=(hypothesis(), second)),
        measured({"a": [0.1, 0.2, 0.1], "b": [0.6, 0.7, 0.8]}),
    )
    assert found.ruling is Ruling.SUPPORTED
    assert found.hypotheses[1].ruling is Ruling.NOT_SUPPORTED


def test_a_missing_unit_leaves_the_claim_open() -> None:
    data = measured({"a": [0.1, 0.2, 0.1, 0.1], "b": [0.6, 0.7, 0.8, 0.7]})
    whole = judge(claim(seeds=(0, 1, 2, 3)), data)
    assert whole.ruling is Ruling.SUPPORTED
    del data["a", 3]
    found = judge(claim(seeds=(0, 1, 2, 3)), data)
    assert found.hypotheses[0].ruling is Ruling.SUPPORTED, "three seeds speak for it"
    assert found.ruling is Ruling.INCONCLUSIVE and found.missing == (("a", 3),)
    assert "1 of 8 units" in found.reason


def test_a_mistake_in_a_value_costs_one_hypothesis_only() -> None:
    wrong = hypothesis(name="wrong", value=lambda arms: arms["c"].outcome("success"))
    found = judge(
        claim(hypotheses=(wrong, hypothesis())),
        measured({"a": [0.1, 0.2, 0.1], "b": [0.6, 0.7, 0.8]}),
    )
    assert found.ruling is Ruling.INCONCLUSIVE
    assert "KeyError: 'c'" in found.hypotheses[0].reason
    assert found.hypotheses[1].ruling is Ruling.SUPPORTED


# --------------------------------------------------------------------------------- cautions


def test_unequal_budgets_are_pointed_out() -> None:
    data = {
        ("a", 0): Measurement(cost={"train_steps": 100, "parameters": 1000}),
        ("b", 0): Measurement(cost={"train_steps": 101, "parameters": 1040}),
    }
    one = claim(seeds=(0,))
    assert cautions(one, data) == ["The arms' train_steps differ: a 100, b 101."]
    data["b", 0] = Measurement(cost={"train_steps": 100, "parameters": 1060})
    assert cautions(one, data) == ["The arms' parameters differ: a 1,000, b 1,060."]
    data["b", 0] = Measurement(cost={"parameters": 1000})
    assert cautions(one, data) == ["train_steps is not reported by: b."]


def test_a_task_that_nobody_solves_is_pointed_out() -> None:
    data = {(arm, 0): Measurement(episodes={"success": [0, 0], "x": [0.5, 1]}) for arm in "ab"}
    [said] = cautions(claim(seeds=(0,)), data)
    assert said.startswith("success is 0 in every episode of every arm")
    data["b", 0] = Measurement(episodes={"success": [0, 1]})
    assert cautions(claim(seeds=(0,)), data) == []
