"""What the claims on questions share: sets, splits, words, the gate, picks in the simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("mujoco")

import torch

from enactive.systems.pac_bench import CONSTRAINTS, PROPERTIES, gate
from enactive.systems.questions import (
    Asked,
    Pointed,
    QuestionSet,
    Words,
    answers,
    fit,
    network,
    pick_set,
    picked,
    points,
    question_set,
    right,
    right_from_majority,
    split_set,
    with_two_options,
)

KINDS = ("pac-colour", "eriq-intent")


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> QuestionSet:
    shared = tmp_path_factory.mktemp("shared")
    made = question_set(shared, KINDS, 8, clip=True)
    again = question_set(shared, KINDS, 8, clip=True)
    assert len(list(shared.iterdir())) == 1, "made once"
    assert np.array_equal(made.pictures, again.pictures) and made.options == again.options
    return made


def yes_and_no(count: int, seed: int) -> QuestionSet:
    draw = np.random.default_rng(seed)
    return QuestionSet(
        pictures=np.zeros((count, 1, 4, 4, 3), np.uint8),
        kinds=tuple(CONSTRAINTS[i % 4] for i in range(count)),
        questions=("Can it?",) * count,
        options=(("yes", "no"),) * count,
        answers=draw.integers(2, size=count),
    )


def test_a_set_holds_what_the_world_shows(questions: QuestionSet) -> None:
    assert questions.pictures.shape == (16, 4, 48, 48, 3)
    stills = questions.only("pac-colour").pictures
    assert np.array_equal(stills[:, 0], stills[:, 3])
    clips = questions.only("eriq-intent").pictures
    assert all(not np.array_equal(clip[0], clip[3]) for clip in clips)


@given(seed=st.integers(0, 1000), share=st.sampled_from([0.25, 0.5, 0.75]))
def test_a_split_shares_no_question(seed: int, share: float) -> None:
    whole = yes_and_no(40, 0)
    whole = QuestionSet(
        pictures=whole.pictures, kinds=whole.kinds, options=whole.options, answers=whole.answers,
        questions=tuple(f"Can it {i}?" for i in range(40)),
    )  # fmt: skip
    training, scored = split_set(whole, seed, share)
    assert not {*training.questions} & {*scored.questions}
    assert {*training.questions} | {*scored.questions} == {*whole.questions}
    for kind in CONSTRAINTS:
        assert training.kinds.count(kind) == round(10 * share)


def test_two_options_keep_the_right_one(questions: QuestionSet) -> None:
    two = with_two_options(questions, 3)
    for before, after, a, b in zip(
        questions.options, two.options, questions.answers, two.answers, strict=True
    ):
        assert len(after) == 2 and {*after} <= {*before}
        assert after[int(b)] == before[int(a)]
    assert with_two_options(two, 4).options == two.options, "two stay as they are"


@pytest.mark.parametrize(("skill", "most"), [("perfect", 0.78), ("none", 0.55), ("inverted", 0.3)])
def test_a_gate_is_worth_what_its_verifier_is(skill: str, most: float) -> None:
    whole = yes_and_no(400, 1)
    feasible = whole.answers == 0
    accepts = {
        "perfect": feasible,
        "none": np.random.default_rng(2).random(400) < 0.5,
        "inverted": ~feasible,
    }[skill]
    found = gate(accepts, whole, 0)
    assert abs(found["success"] - (most - 0.03)) < 0.06
    assert abs(found["success_gate_by_lot"] - 0.5) < 0.06
    if skill != "none":
        assert found["false_reject"] == found["false_accept"] == float(skill == "inverted")
    assert not {*PROPERTIES} & {*CONSTRAINTS}


def test_words_have_numbers_and_others_none() -> None:
    words = Words.of(["Which cube is red?"], ["the red one"])
    ids = words.ids(["red cube", "a green cube indeed"])
    assert ids.shape == (2, 4)
    assert (ids[0] > 0).sum() == 2 and (ids[1] > 0).sum() == 1


def test_the_network_learns_a_few_questions_and_ignores_missing_options(
    questions: QuestionSet,
) -> None:
    words = Words.of(questions.questions, [o for options in questions.options for o in options])
    asked = Asked.of(with_two_options(questions, 0), words)
    padded = Asked(
        pictures=asked.pictures, questions=asked.questions, answers=asked.answers,
        options=torch.cat([asked.options, torch.zeros_like(asked.options)], 1),
    )  # fmt: skip
    net = network(4, words, 0)
    fit(net, steps=40, batch=16, seed=0, name="test", asked=padded, rate=4e-3)
    shares = answers(net, padded)
    assert torch.allclose(shares.sum(-1), torch.ones(16)) and not shares[:, 2:].any()
    assert right(net, padded).mean() > 0.8
    frozen = [p.clone() for p in net.first.parameters()]
    fit(net, steps=2, batch=4, seed=0, name="head", asked=padded, head_only=True)
    assert all(torch.equal(a, b) for a, b in zip(frozen, net.first.parameters(), strict=True))


def test_picks_succeed_where_the_cube_is_and_nowhere_else(tmp_path: Path) -> None:
    picks = pick_set(tmp_path, 4)
    assert picks.pictures.shape == (4, 1, 48, 48, 3)
    for seed, spot in zip(picks.seeds, picks.spots, strict=True):
        assert picked(seed, spot)
        assert not picked(seed, spot + np.array([0.0, 0.06]))
    words = Words.of(picks.instructions)
    pointed = Pointed.of(picks, words, 4)
    net = network(4, words, 0)
    fit(net, steps=60, batch=8, seed=0, name="test", pointed=pointed, rate=4e-3)
    assert np.linalg.norm(points(net, pointed) - picks.spots, axis=1).mean() < 0.06


def test_the_majority_answer_knows_no_picture() -> None:
    training = QuestionSet(
        pictures=np.zeros((3, 1, 4, 4, 3), np.uint8), kinds=("pac-fit",) * 3,
        questions=("Can it?",) * 3, options=(("yes", "no"), ("no", "yes"), ("no", "yes")),
        answers=np.array([0, 0, 0]),
    )  # fmt: skip
    assert right_from_majority(training, training).tolist() == [0.0, 1.0, 1.0]
