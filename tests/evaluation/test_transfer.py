"""Known, unknown, drop and harmonic mean: against the formulas, their intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.evaluation.statistics import clustered_wilson, wilson
from enactive.evaluation.transfer import Direction, as_text, harmonic_mean, transfer
from enactive.seeding import numpy_generator


def counted(known: int, known_of: int, unknown: int, unknown_of: int) -> Direction:
    return Direction(
        known=[place < known for place in range(known_of)],
        unknown=[place < unknown for place in range(unknown_of)],
    )


COUNTS = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_formulas(
    k: tuple[int, int], u: tuple[int, int], k2: tuple[int, int], u2: tuple[int, int]
) -> None:
    found = transfer([counted(*k, *u), counted(*k2, *u2)])
    known = (k[0] / k[1] + k2[0] / k2[1]) / 2
    unknown = (u[0] / u[1] + u2[0] / u2[1]) / 2
    assert found.known.estimate == pytest.approx(known)
    assert found.unknown.estimate == pytest.approx(unknown)
    assert found.drop.estimate == pytest.approx(known - unknown)
    assert found.harmonic.estimate == pytest.approx(harmonic_mean(known, unknown))
    assert found.directions == 2
    for one, low, high in (
        (found.known, 0.0, 1.0), (found.unknown, 0.0, 1.0),
        (found.drop, -1.0, 1.0), (found.harmonic, 0.0, 1.0),
    ):  # fmt: skip
        assert low - 1e-9 <= one.low <= one.estimate + 1e-9
        assert one.estimate - 1e-9 <= one.high <= high + 1e-9


def test_the_papers_figures_give_the_papers_harmonic_mean() -> None:
    # AIM on Syn-TA: 99.1 known, 70.2 unknown.
    assert harmonic_mean(0.991, 0.702) == pytest.approx(2 * 0.991 * 0.702 / 1.693)
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(0.8, 0.8) == pytest.approx(0.8)


def test_one_direction_has_newcombes_difference() -> None:
    """Newcombe (1998), table II, example (a): 56/70 - 48/80 = 0.2, interval 0.0524 to 0.3339."""
    found = transfer([counted(56, 70, 48, 80)])
    assert found.drop.estimate == pytest.approx(0.2)
    assert found.drop.low == pytest.approx(0.0524, abs=1e-4)
    assert found.drop.high == pytest.approx(0.3339, abs=1e-4)
    assert found.known == wilson(56, 70)


def test_contexts_are_clusters() -> None:
    right = [True] * 10 + [False] * 10
    contexts = ["a"] * 10 + ["b"] * 10
    one = Direction(
        known=right,
        unknown=right,
        known_contexts=contexts,
        unknown_contexts=["c"] * 10 + ["d"] * 10,
    )
    assert transfer([one]).known == clustered_wilson(right, contexts)
    plain = transfer([Direction(known=right, unknown=right)])
    assert transfer([one]).drop.high > plain.drop.high


def test_unknown_never_without_known() -> None:
    with pytest.raises(ValueError, match="needs both"):
        Direction(known=[], unknown=[True])
    with pytest.raises(ValueError, match="as known and as unknown: \\['table'\\]"):
        Direction(
            known=[True], unknown=[True], known_contexts=["table"], unknown_contexts=["table"]
        )
    with pytest.raises(ValueError, match="1 tests, but 2 contexts"):
        Direction(known=[True], unknown=[True], known_contexts=["a", "b"])
    with pytest.raises(ValueError, match="at least one direction"):
        transfer([])
    shown = as_text([("rgb", transfer([counted(9, 10, 5, 10)]))]).splitlines()
    assert shown[0].split() == ["known", "unknown", "D_abs", "HM"]
    assert "90.0%" in shown[1] and "50.0%" in shown[1] and "40.0%" in shown[1]


@pytest.mark.parametrize(("known", "unknown"), [(0.95, 0.6), (0.8, 0.7), (0.5, 0.5), (0.9, 0.2)])
def test_the_intervals_cover(known: float, unknown: float) -> None:
    """600 simulated pairs of directions, 60 tests of each kind in each."""
    draw = numpy_generator(0, "transfer coverage", int(100 * known), int(100 * unknown))
    truth = {"drop": known - unknown, "harmonic": harmonic_mean(known, unknown), "known": known}
    inside = dict.fromkeys(truth, 0)
    for _ in range(600):
        counts = draw.binomial(60, [known, unknown, known, unknown]).tolist()
        found = transfer(
            [counted(counts[0], 60, counts[1], 60), counted(counts[2], 60, counts[3], 60)]
        )
        for name, value in truth.items():
            inside[name] += getattr(found, name).contains(value)
    rates = np.array([*inside.values()]) / 600
    # Three standard errors of a simulated 0.95 are 0.027.
    assert (rates > 0.923).all(), dict(zip(inside, rates, strict=True))
