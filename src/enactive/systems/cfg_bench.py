"""CFG-Bench: questions on how an arm did something, with premises that do not hold.

"Beyond Description: Cognitively Benchmarking Fine-Grained Action for Embodied Agents"
(arXiv 2511.18685). The claim asks two things. Does a network that was never shown a false premise
answer questions with one, whose right option says so, and what do false premises in training cost?
And does describing clips finely, which cube, which way, how far, why, prepare a network better for
picking from few demonstrations than naming the kind of act, or than nothing?
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from enactive.evaluation.claims.claim import Claim, Hypothesis, Measurement
from enactive.seeding import numpy_generator
from enactive.systems.eriq import part
from enactive.systems.experiment import parameters
from enactive.systems.questions import (
    Asked,
    Pointed,
    QuestionSet,
    Words,
    fit,
    network,
    pick_set,
    picked,
    points,
    question_set,
    right,
    right_from_majority,
    right_from_words,
    split_set,
)
from enactive.worlds.questions.item import MOMENTS

TRUE, FALSE = "cfg-factual", "cfg-counterfactual"
DESCRIBED = ("cfg-contact", "cfg-direction", "cfg-magnitude", "cfg-cause")
"""Kinds whose clips are described."""
COARSE: Mapping[str, str] = {
    "cfg-contact": "it took a cube and put it back",
    "cfg-direction": "it moved a cube elsewhere",
    "cfg-magnitude": "it moved a cube elsewhere",
    "cfg-cause": "it failed to put a cube into a container",
}
"""What a clip of each kind shows, coarsely."""
NEITHER = "it did nothing at all"
CHANCE = 0.25
BATCH = 64
RATE = 4e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Size of the experiment."""

    seeds: tuple[int, ...] = (10, 11, 12)
    premises: int = 300
    """Questions with a true premise, and as many with a false one."""
    share: float = 0.7
    """Of them for training."""
    each: int = 150
    """Described clips of each kind."""
    picks: int = 1200
    few: int = 300
    """Of the picks that are demonstrated."""
    episodes: int = 60
    """Of the picks that are attempted: the last ones."""
    steps: int = 300
    """On premises, or on descriptions."""
    imitation: int = 200
    """On picks."""
    first_seed: int = 0


QUICK = Scale(
    seeds=(0,), premises=6, share=0.5, each=3, picks=12, few=6, episodes=2, steps=2, imitation=2,
    first_seed=500_000,
)  # fmt: skip

ARMS = {
    "true premises": "questions whose premise holds, and no others",
    "both premises": "as many questions, half of them with a false premise",
    "words": "control: no picture; a logistic regression on the words of both kinds",
    "fine": "clips described by which cube, which way, how far, why; then picking",
    "coarse": "the same clips described by the kind of act, in as many questions; then picking",
    "none": "picking alone",
}


def premises(shared: Path, scale: Scale) -> QuestionSet:
    """Questions with true and with false premises: four moments from the front."""
    return question_set(
        shared, (TRUE, FALSE), scale.premises, clip=True, first_seed=scale.first_seed
    )


def described(shared: Path, scale: Scale) -> QuestionSet:
    """Clips with a fine question each."""
    return question_set(shared, DESCRIBED, scale.each, clip=True, first_seed=scale.first_seed)


def coarsely(fine: QuestionSet, seed: int) -> QuestionSet:
    """The same clips, each with the question what kind of act it was."""
    words = (*dict.fromkeys(COARSE.values()), NEITHER)
    draw = numpy_generator(seed, "questions", "coarse")
    options: list[tuple[str, ...]] = []
    places: list[int] = []
    for kind in fine.kinds:
        order = [words[i] for i in draw.permutation(len(words)).tolist()]
        options.append(tuple(order))
        places.append(order.index(COARSE[kind]))
    return replace(
        fine, questions=("What did the arm do?",) * len(fine), options=tuple(options),
        answers=np.array(places),
    )  # fmt: skip


def measure(arm: str, seed: int, shared: Path, scale: Scale) -> Measurement:
    """One arm: answers to premises, or picks after descriptions."""
    if arm in ("fine", "coarse", "none"):
        return _picks(arm, seed, shared, scale)
    training, scored = split_set(premises(shared, scale), seed, scale.share)
    if arm == "words":
        correct = right_from_words(training, scored)
        outcomes = _by_premise(scored, correct)
        outcomes["majority"] = float(right_from_majority(training, scored).mean())
        return Measurement(
            outcomes=outcomes, episodes={"right": correct.tolist()}, cost={"train_steps": 0.0}
        )
    whole = premises(shared, scale)
    words = Words.of(whole.questions, [o for options in whole.options for o in options])
    # As many questions for both: all true ones, or every second of both kinds.
    given = (
        training.only(TRUE) if arm == "true premises" else training.of(range(0, len(training), 2))
    )
    net = network(MOMENTS, words, seed)
    started = time.perf_counter()
    asked = Asked.of(given, words)
    fit(net, steps=scale.steps, batch=BATCH, rate=RATE, seed=seed, name="premises", asked=asked)
    seconds = time.perf_counter() - started
    correct = right(net, Asked.of(scored, words))
    return Measurement(
        outcomes={**_by_premise(scored, correct), "training": float(right(net, asked).mean()),
                  "questions": float(len(given))},
        episodes={"right": correct.tolist()},
        cost={"train_steps": float(scale.steps), "train_seconds": seconds,
              "parameters": float(parameters(net))},
    )  # fmt: skip


def _picks(arm: str, seed: int, shared: Path, scale: Scale) -> Measurement:
    fine = described(shared, scale)
    coarse = coarsely(fine, seed)
    picks = pick_set(shared, scale.picks, scale.first_seed)
    # Every seed has other demonstrations; what is attempted is the same for all.
    draw = numpy_generator(seed, "questions", "few")
    first = int(draw.integers(max(1, scale.picks - scale.episodes - scale.few)))
    shown = part(picks, slice(first, first + scale.few))
    unseen = part(picks, slice(scale.picks - scale.episodes, None))
    words = Words.of(
        fine.questions, [o for options in (*fine.options, *coarse.options) for o in options],
        coarse.questions, picks.instructions,
    )  # fmt: skip
    net = network(MOMENTS, words, seed)
    outcomes: dict[str, float] = {}
    started = time.perf_counter()
    if arm != "none":
        asked = Asked.of(fine if arm == "fine" else coarse, words)
        fit(net, steps=scale.steps, batch=BATCH, rate=RATE, seed=seed, name="descriptions",
            asked=asked)  # fmt: skip
        outcomes["training"] = float(right(net, asked).mean())
    fit(net, steps=scale.imitation, batch=BATCH, rate=RATE, seed=seed, name="imitation",
        pointed=Pointed.of(shown, words, MOMENTS))  # fmt: skip
    seconds = time.perf_counter() - started
    spots = points(net, Pointed.of(unseen, words, MOMENTS))
    success = [float(picked(one, spot)) for one, spot in zip(unseen.seeds, spots, strict=True)]
    off = np.linalg.norm(spots - unseen.spots, axis=1)
    steps = scale.imitation + (scale.steps if arm != "none" else 0)
    return Measurement(
        outcomes={**outcomes, "success": float(np.mean(success)), "pick_error": float(off.mean())},
        episodes={"success": success},
        cost={"train_steps": float(steps), "train_seconds": seconds,
              "parameters": float(parameters(net))},
    )  # fmt: skip


def _by_premise(scored: QuestionSet, correct: np.ndarray) -> dict[str, float]:
    kinds = np.array(scored.kinds)
    return {
        "factual": float(correct[kinds == TRUE].mean()),
        "counterfactual": float(correct[kinds == FALSE].mean()),
        "right": float(correct.mean()),
    }


Arms = Mapping[str, Measurement]


def _difference(one: str, other: str, name: str) -> Callable[[Arms], float]:
    return lambda arms: arms[one].outcome(name) - arms[other].outcome(name)


HYPOTHESES = (
    Hypothesis(
        name="a true premise is answered",
        statement="Trained on true premises, the network answers them at least 0.15 above chance",
        value=lambda arms: arms["true premises"].outcome("factual") - CHANCE,
        direction="greater", threshold=0.15, unit="share right", resolution=0.01,
    ),
    Hypothesis(
        name="a false one is not",
        statement="Trained on true premises alone, it answers less than half as large a share of "
        "questions with a false premise as of those with a true one",
        value=lambda arms: (
            arms["true premises"].outcome("counterfactual")
            / max(arms["true premises"].outcome("factual"), 1e-6)
        ),
        direction="less", threshold=0.5, unit="of the share right", resolution=0.01,
    ),
    Hypothesis(
        name="words do not do",
        statement="From words alone less than 0.05 more than chance is answered",
        value=lambda arms: arms["words"].outcome("right") - CHANCE,
        direction="less", threshold=0.05, unit="share right", resolution=0.005,
    ),
    Hypothesis(
        name="fine above coarse",
        statement="After fine descriptions it picks more often than after coarse ones",
        value=_difference("fine", "coarse", "success"), direction="greater", threshold=0.0,
        unit="success rate", resolution=1 / 60,
    ),
    Hypothesis(
        name="coarse no worse than none",
        statement="After coarse descriptions it picks at most 0.05 less often than after none",
        value=_difference("coarse", "none", "success"), direction="greater", threshold=-0.05,
        unit="success rate", resolution=1 / 60,
    ),
    Hypothesis(
        name="false premises can be learned",
        statement="With false premises in training, at least 0.2 more of such questions are "
        "answered",
        value=_difference("both premises", "true premises", "counterfactual"),
        direction="greater", threshold=0.2, unit="share right", primary=False, resolution=0.01,
    ),
    Hypothesis(
        name="and cost little",
        statement="With false premises in training, at most 0.05 less of the true ones is "
        "answered, from half as many",
        value=_difference("both premises", "true premises", "factual"),
        direction="greater", threshold=-0.05, unit="share right", primary=False, resolution=0.01,
    ),
    Hypothesis(
        name="fine descriptions place better than none",
        statement="After fine descriptions the fingers close nearer to the cube than after none",
        value=_difference("fine", "none", "pick_error"), direction="less", threshold=0.0,
        unit="m", primary=False, resolution=0.001,
    ),
)  # fmt: skip


def claim(quick: bool = False) -> Claim:
    """What CFG-Bench claims, at a size that a laptop measures."""
    scale = QUICK if quick else Scale()

    def prepare(shared: Path) -> None:
        premises(shared, scale)
        described(shared, scale)
        pick_set(shared, scale.picks, scale.first_seed)

    def unit(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        return measure(arm, seed, shared, scale)

    train = round(scale.share * scale.premises)
    return Claim(
        system="cfg-bench",
        title="CFG-Bench: false premises, and fine descriptions before imitation",
        statement=(
            "A network that was trained on questions whose premise holds answers questions with a "
            "false premise less than half as often; and clips described finely prepare it better "
            "for picking from few demonstrations than clips described coarsely, which do no harm."
        ),
        source="Beyond Description (CFG-Bench), arXiv 2511.18685: counterfactual items, and "
        "fine-tuning on fine-grained descriptions that improves embodied benchmarks",
        world=f"questions on clips of the tabletop, four moments of 48 by 48 pixels from the "
        f"front: {scale.premises} with a true and {scale.premises} with a false premise, {train} "
        f"of each for training; {scale.each} clips each of {', '.join(DESCRIBED)}; picking one of "
        f"four cubes by colour from {scale.few} demonstrations",
        arms=ARMS,
        controls={
            "questions answerable from text": "options of both kinds have one form, two directions "
            "and two corrections; the arm 'words', a primary hypothesis",
            "no false premise among the items": "half of the scored ones",
            "more questions with false premises": "both arms are trained on as many questions; "
            "the arm 'both premises' has half as many true ones",
            "fine descriptions are longer": "one question with one answer for each clip, in both; "
            "sentences are not of equal length",
            "descriptions mean more training": "fine and coarse have the same clips and steps; "
            "'none' has fewer steps, and the page says so",
            "a judge that is lenient": "answers are options, compared exactly",
            "questions from what the policy is fed": "answers are from the simulator, the network "
            "has pictures only",
        },
        hypotheses=HYPOTHESES,
        seeds=scale.seeds,
        budget=f"{scale.steps} steps of {BATCH} questions; {scale.imitation} steps of {BATCH} "
        f"picks; {scale.episodes} scenes attempted in the simulator",
        measure=unit,
        prepare=prepare,
        parts={
            "questions": "enactive.worlds.questions.catalogue",
            "clips": "enactive.worlds.questions.clips",
            "text-only control": "enactive.policies.text_only",
        },
        not_tried=(
            "open answers and a language model as judge; the paper's human videos",
            "order of acts (cfg-order): the network's bag of words cannot tell its options apart",
            "closed-loop control: an action is where the fingers close, executed by a fixed motion",
            "descriptions of equal length in words",
        ),
        scale_note="A network of 0.1 million parameters and some hundred clips, in place of "
        "multimodal language models and 19,562 questions.",
    )
