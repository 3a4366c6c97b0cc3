"""Questions: their form, their labels, what words alone can tell, and the world that asks them."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from enactive.configuration import from_dict, to_dict
from enactive.evaluation.plan import FIRST_EVALUATION_SEED
from enactive.evaluation.suites import load_suite
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.expert import ExpertPolicy
from enactive.policies.policy import check_wiring
from enactive.policies.speaking import SpeakingPolicy
from enactive.policies.text_only import TextOnlyPolicy, features
from enactive.worlds.checks import check_world
from enactive.worlds.questions import failures
from enactive.worlds.questions.acting import can, stays_on
from enactive.worlds.questions.catalogue import KINDS, kinds_of, make_item
from enactive.worlds.questions.failures import DONE, FAILURES, attempt, found
from enactive.worlds.questions.item import ANSWERS, Item, answer_in, read, told
from enactive.worlds.questions.staging import Piece, cast, scaled, scene, spots
from enactive.worlds.questions.world import Questions, expert_action
from enactive.worlds.tabletop.relations import holds
from enactive.worlds.tabletop.tasks import Family
from enactive.worlds.tabletop.vocabulary import Relation

pytest.importorskip("mujoco")

CHEAP = ("pac-colour", "pac-shape", "pac-size", "eriq-relation", "eriq-intent")
"""Kinds that take a few milliseconds an item."""


@pytest.fixture(scope="module")
def world() -> Iterator[Questions]:
    made = Questions.Config(cameras=()).build()
    yield made
    made.close()


# -- form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_makes_well_formed_items_from_its_seed_alone(name: str) -> None:
    kind = KINDS[name]
    first, second = make_item(name, 3), make_item(name, 4)
    again = make_item(name, 3)
    assert (again.text, again.answer, again.states) == (first.text, first.answer, first.states)
    assert (first.text, first.states) != (second.text, second.states)
    for item in (first, second):
        assert len(item.options) == kind.options
        assert len(item.states) == (4 if kind.clip else 1)
        assert read(item.text) == (item.question, item.options)
        assert 0 < len(item.question.split()) < 40


@given(seed=st.integers(0, 10**9), name=st.sampled_from(CHEAP))
@settings(max_examples=60)
def test_exactly_one_option_is_right(seed: int, name: str) -> None:
    """Judged anew from the scene, not from what the generator says."""
    item = make_item(name, seed)
    things = {thing.look.colour: thing for thing in item.scene.things}
    fitting = [option for option in item.options if _true(item, name, option, things)]
    assert fitting == [item.right]


def _true(item: Item, name: str, option: str, things: dict) -> bool:
    colour = option.removeprefix("the ").removesuffix(" one")
    if name == "pac-colour":
        kind = item.question.removeprefix("What colour is the ").removesuffix("?")
        return things[option].look.shape == kind
    if name == "pac-shape":
        asked = item.question.split()[4]
        return option == f"a {things[asked].look.shape}"
    if name == "pac-size":
        volumes = {c: float(np.prod(thing.look.half)) for c, thing in things.items()}
        best = max if "largest" in item.question else min
        return colour == best(volumes, key=lambda c: volumes[c])
    if name == "eriq-relation":
        relation = next(r for r in Relation if f" {r.value} the " in item.question)
        holder = next(thing for thing in item.scene.things if thing.is_container)
        one = things[colour]
        return holds(relation, one.position, one.look.half, holder.position, holder.look)
    # intent: the cube that lies most nearly in the direction in which the hand went
    places = item.scene.things
    return places.index(things[colour]) == item.facts["which"]


def test_a_right_answer_is_anywhere() -> None:
    counts = {4: Counter(), 2: Counter()}
    for name, seed in itertools.product(CHEAP[:4], range(60)):
        counts[4][make_item(name, seed).answer] += 1
    for name, seed in itertools.product(("pac-fit", "eriq-done"), range(25)):
        counts[2][make_item(name, seed).answer] += 1
    for options, found_at in counts.items():
        assert stats.chisquare([found_at[i] for i in range(options)]).pvalue > 0.001


@given(st.lists(st.text("abc xyz", min_size=1, max_size=9), min_size=2, max_size=4, unique=True))
def test_what_is_told_can_be_read_back(options: list[str]) -> None:
    assert read(told("What is it?", options)) == ("What is it?", tuple(options))


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("B", 1), ("b: blue", 1), ("(A) red", 0), (" Blue. ", 1), ("C", None),
        ("red or blue", None), ("", None), ("a red one, or B", None), ("bred", None),
        ("B. blue", 1),
    ],
)  # fmt: skip
def test_replies_are_read_strictly(reply: str, place: int | None) -> None:
    # "a red one, or B" begins with a letter only by accident: an article is no answer.
    assert answer_in(reply, ("red", "blue")) == place


def test_bad_items_are_refused() -> None:
    item = make_item("pac-colour", 0)
    for options, answer in ((("a", "a"), 0), (("a",), 0), (("a", "b"), 2)):
        with pytest.raises(ValueError, match=r"option|answer"):
            Item(question="x?", options=options, answer=answer, scene=item.scene,
                 states=item.states)  # fmt: skip
    with pytest.raises(KeyError, match="pac-colour"):
        make_item("pac-color", 0)


# -- labels --------------------------------------------------------------------------------------


def test_physics_says_what_can_be_done() -> None:
    def alone(factor: float, at: tuple[float, float] = (0.0, 0.0)) -> bool:
        return can(scene([Piece(look=scaled("red", "cube", factor), at=at)]), Family.PICK, 0)

    assert alone(1.0) and alone(1.8)
    assert not alone(2.8), "wider than the open fingers"
    assert not alone(1.0, (0.50, 0.1)), "beyond the gantry's end"


def test_physics_says_what_stays() -> None:
    def on(below: str, factor: float) -> bool | None:
        pieces = [Piece(look=scaled("red", "cube", 1.0), at=(-0.1, 0.05)),
                  Piece(look=scaled("blue", below, factor), at=(0.08, 0.0))]  # fmt: skip
        return stays_on(scene(pieces), 0, 1)

    assert on("cube", 1.4) is True
    assert on("ball", 1.4) is False


@pytest.mark.parametrize("name", ["pac-fit", "pac-covered", "pac-reach"])
def test_a_constraints_label_is_what_the_expert_comes_to(name: str) -> None:
    for seed in range(3):
        item = make_item(name, seed)
        assert (item.right == "yes") == can(item.scene, Family.PICK, 0) == item.facts["feasible"]


@pytest.mark.parametrize("kind", [*FAILURES, DONE])
def test_attempts_go_as_they_shall(kind: str) -> None:
    tried = attempt(np.random.default_rng(0), kind)
    assert found(tried.act) == kind
    assert failures.inside(tried.act, failures.CUBE) == (kind == DONE)


def test_a_false_premise_names_a_cube_that_stayed_where_it_was() -> None:
    for name, stayed in (("cfg-factual", False), ("cfg-counterfactual", True)):
        for seed in range(3):
            item = make_item(name, seed)
            asked = item.question.split()[-2]
            colours = [thing.look.colour for thing in item.scene.things]
            went = np.hypot(*np.array(item.facts["moved"]).T)
            assert (went[colours.index(asked)] < 0.01) == stayed
            assert (went > 0.05).sum() == 1
            assert ("did not move" in item.right) == stayed
            # Both kinds have two directions and two corrections.
            assert sum("did not move" in option for option in item.options) == 2


def test_states_fit_every_cast_of_a_scene() -> None:
    item = make_item("cfg-direction", 0)
    other = cast(item.scene, Family.PICK, 2)
    assert [t.look for t in other.things] == [t.look for t in item.scene.things]
    assert other.named == other.things[2]


def test_things_do_not_stand_in_one_another() -> None:
    radii = [0.05] * 5
    places = np.array(spots(np.random.default_rng(1), radii))
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(5)
    assert apart.min() > 0.10
    with pytest.raises(RuntimeError, match="no room"):
        spots(np.random.default_rng(1), [0.2] * 5)


# -- words alone ---------------------------------------------------------------------------------


def _accuracy(policy: TextOnlyPolicy, items: list[Item]) -> int:
    right = 0
    for item in items:
        scores = policy.scores(item.text)
        right += scores.index(max(scores)) == item.answer
    return right


def test_words_alone_are_worth_no_more_than_guessing() -> None:
    """Of the kinds that are cheap to make; bench/questions_floor.py looks at all of them."""
    for name in CHEAP[:4]:
        training = [make_item(name, seed) for seed in range(120)]
        scored = [make_item(name, FIRST_EVALUATION_SEED + i) for i in range(120)]
        seen = {(item.text, item.states) for item in training}
        assert len(seen) == 120 and not any((i.text, i.states) in seen for i in scored)
        policy = TextOnlyPolicy.fit([i.text for i in training], [i.answer for i in training])
        right = _accuracy(policy, scored)
        assert stats.binomtest(right, 120, 0.25, alternative="greater").pvalue > 0.002, name


@pytest.mark.parametrize("leak", ["word", "place", "shared", "asked"])
def test_the_control_finds_leaks(leak: str) -> None:
    draw = np.random.default_rng(0)
    texts, answers = [], []
    for _ in range(200):
        a, b, c, d = draw.permutation(["red", "green", "blue", "white", "black"])[:4].tolist()
        options, right, asked = [a, b, c, d], int(draw.integers(4)), "thing"
        if leak == "word":
            options[right] = f"surely {options[right]}"
        elif leak == "place":
            right = 2
        elif leak == "shared":
            pairs = ((a, b), (b, a), (a, c), (c, a))
            right = (0, 2)[right % 2]
            order = draw.permutation(4).tolist()
            options = [f"first the {pairs[i][0]} one, then the {pairs[i][1]} one" for i in order]
            right = order.index(right)
        else:
            asked = options[right]
        texts.append(told(f"Which {asked} is it?", options))
        answers.append(right)
    policy = TextOnlyPolicy.fit(texts[:100], answers[:100])
    given = [max(range(4), key=policy.scores(text).__getitem__) for text in texts[100:]]
    assert np.mean(np.array(given) == answers[100:]) > 0.4
    assert len(features(texts[0])) == 4
    with pytest.raises(ValueError, match="answers"):
        TextOnlyPolicy.fit(texts, answers[:3])


# -- the world -----------------------------------------------------------------------------------


def test_the_world_keeps_its_contract() -> None:
    config = Questions.Config(cameras=("front", "top"), image_size=32)
    world = config.build()
    try:
        report = check_world(world, tasks=["pac-colour", "cfg-contact"], config=config)
        assert report.ok, str(report)
        observation = world.reset(Task(name="cfg-contact", instruction=""), 1)
        assert list(observation.images) == [camera.name for camera in
                                            world.spec.observations.cameras]  # fmt: skip
        early, late = observation.images["front-0"], observation.images["front"]
        assert not np.array_equal(early, late)
        observation = world.reset(Task(name="pac-colour", instruction=""), 1)
        assert np.array_equal(observation.images["front-0"], observation.images["front"])
    finally:
        world.close()


def test_answers_are_judged(world: Questions) -> None:
    task = Task(name="pac-fit", instruction="")
    observation = world.reset(task, 5)
    right = expert_action(task.name, observation.privileged["questions"])
    assert observation.instruction == world.item.text and right == world.item.answer
    step = world.step(right)
    assert (step.success, step.terminated, step.reward) == (True, True, 1.0)
    assert step.events == ("right",)
    for answer, event in ((1 - right, "wrong"), (2, "no_option"), (4, "no_option")):
        world.reset(task, 5)
        step = world.step(answer)
        assert (step.success, step.events) == (False, (event,))
    with pytest.raises(RuntimeError, match="ended"):
        world.step(0)


def test_suites_hold_the_kinds_of_their_benchmark(world: Questions) -> None:
    for name, count in (("pac", 9), ("cfg", 7), ("eriq", 7)):
        suite = load_suite(name)
        assert suite.tasks == kinds_of(name) and len(suite.tasks) == count
        plan = suite.plan(world.spec)
        assert all(episode.task.instruction == "" for episode in plan)


def test_policies_of_words_answer_through_the_contract(world: Questions) -> None:
    class Parrot:
        def reply(self, observation: Observation) -> str:
            question, options = read(observation.instruction)
            return options[-1] if "colour" in question else "I would rather not say"

    speaking = SpeakingPolicy(Parrot(), ObservationSpec())
    for policy in (speaking, TextOnlyPolicy.guessing(), ExpertPolicy.Config().build(world.spec)):
        check_wiring(policy, world.spec)
        observation = world.reset(Task(name="pac-colour", instruction=""), 2)
        memory = policy.begin(Task(name="pac-colour", instruction=""), 2)
        (decision,) = policy.act([observation], [memory])
        assert ANSWERS.contains(decision.action) and decision.chain is not None
        assert decision.chain.final.content == decision.action
        assert policy.describe()
    (decision,) = speaking.act([observation], [None])
    assert decision.action == 3
    assert decision.chain is not None and decision.chain.of_kind("language")[0].content
    other = world.reset(Task(name="pac-fit", instruction=""), 2)
    (decision,) = speaking.act([other], [None])
    assert decision.action == ANSWERS.index("none") and not world.step(decision.action).success


@pytest.mark.parametrize(
    "wrong", [{"cameras": ["wrist"]}, {"cameras": ["top", "top"]}, {"image_size": 0}]
)
def test_wrong_configurations_are_refused(wrong: dict) -> None:
    config = from_dict(Questions.Config, {**to_dict(Questions.Config()), **wrong})
    with pytest.raises(ValueError, match=next(iter(wrong))):
        config.build()


def test_the_code_on_the_page_runs() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "questions.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert len(blocks) == 2 and names["step"].success and names["policy"].name == "cautious"  # type: ignore[attr-defined]
