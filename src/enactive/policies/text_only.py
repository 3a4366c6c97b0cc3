"""The control that sees no picture: questions answered from their words.

A question set that this policy answers better than by guessing can be answered without looking. It
is a logistic regression on what words an option has, in which question, how many other options
share them, whether the question has them too, and at which place the option stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.observations import Observation, ObservationSpec, Task
from enactive.seeding import numpy_generator
from enactive.worlds.questions.item import ANSWERS, read


@dataclass(frozen=True, kw_only=True, slots=True)
class TextMemory:
    """Names the stream that decides between options that look equally good."""

    seed: int


@dataclass(frozen=True, slots=True)
class TextOnlyPolicy:
    """Answers by words alone; made with :meth:`fit`, or with :meth:`guessing`."""

    weights: Mapping[str, float]
    """Feature to its weight; what is not there weighs nothing."""
    trained_on: int

    @classmethod
    def guessing(cls) -> TextOnlyPolicy:
        """One that was trained on nothing: it guesses among the options."""
        return cls(weights={}, trained_on=0)

    @classmethod
    def fit(
        cls, texts: Sequence[str], answers: Sequence[int], penalty: float = 1.0
    ) -> TextOnlyPolicy:
        """The most likely weights, with ``penalty`` times half their squared length.

        Args:
            texts: questions with their options, as policies are told them.
            answers: place of the right option of each.

        Raises:
            ValueError: lengths differ, or a text is no question.
        """
        if len(texts) != len(answers):
            raise ValueError(f"{len(texts)} texts and {len(answers)} answers")
        rows = [features(text) for text in texts]
        names = sorted({name for options in rows for option in options for name in option})
        place = {name: i for i, name in enumerate(names)}
        data, where, ends, counts = [], [], [0], []
        for options in rows:
            counts.append(len(options))
            for option in options:
                where += [place[name] for name in option]
                data += [option[name] for name in option]
                ends.append(len(where))
        matrix = sparse.csr_matrix((data, where, ends), shape=(sum(counts), len(names)))
        owner = np.repeat(np.arange(len(rows)), counts)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int)
        right = first + np.asarray(answers, int)

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            scores = matrix @ weights
            top = np.maximum.reduceat(scores, first)
            shares = np.exp(scores - top[owner])
            total = np.add.reduceat(shares, first)
            value = float((np.log(total) + top - scores[right]).sum())
            shares /= total[owner]
            shares[right] -= 1.0
            return (
                value + 0.5 * penalty * float(weights @ weights),
                matrix.T @ shares + penalty * weights,
            )

        found = optimize.minimize(
            loss, np.zeros(len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 200}
        )
        return cls(weights=dict(zip(names, found.x.tolist(), strict=True)), trained_on=len(texts))

    def scores(self, text: str) -> list[float]:
        """A score for each option; the largest is answered."""
        return [
            sum(self.weights.get(name, 0.0) * value for name, value in option.items())
            for option in features(text)
        ]

    @property
    def name(self) -> str:
        return "text only" if self.trained_on else "guessing"

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return ANSWERS

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "text_only", "trained_on": self.trained_on,
                "weights": dict(self.weights)}  # fmt: skip

    def begin(self, task: Task, seed: int) -> TextMemory:
        return TextMemory(seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[TextMemory]
    ) -> list[Decision]:
        decisions: list[Decision] = []
        for observation, memory in zip(observations, memories, strict=True):
            scores = self.scores(observation.instruction)
            best = [i for i, score in enumerate(scores) if score == max(scores)]
            draw = numpy_generator(memory.seed, "text_only")
            answer = best[int(draw.integers(len(best)))]
            chain = Chain.raw(answer, source="text_only")
            decisions.append(Decision(action=answer, chain=chain, cost=Cost(), memory=memory))
        return decisions


def features(text: str) -> list[dict[str, float]]:
    """What is said of each option of a question: name of a feature to its value."""
    question, options = read(text)
    asked = set(_words(question))
    words = [set(_words(option)) for option in options]
    found: list[dict[str, float]] = []
    for place, (own, said) in enumerate(zip(words, options, strict=True)):
        option = {f"at:{place}": 1.0, "length": len(own) / 10.0}
        for word in sorted(own):
            option[f"word:{word}"] = 1.0
            for other in sorted(asked):
                option[f"pair:{other}+{word}"] = 0.3
            shared = sum(word in others for others in words)
            option[f"shared:{shared}"] = option.get(f"shared:{shared}", 0.0) + 0.3
        # How common among the options is the word that follows these? "first the red one ...".
        single = ["", "", *_single(said)]
        for before, last, word in zip(single, single[1:], single[2:], strict=False):
            shared = sum(word in others for others in words)
            option[f"after:{before}_{last}:{shared}"] = 0.5
        option["asked"] = 0.3 * len(own & asked)
        found.append(option)
    return found


def _words(text: str) -> list[str]:
    """Words, and pairs of neighbours, which tell "first the red" from "then the red"."""
    single = _single(text)
    return [*single, *(f"{a}_{b}" for a, b in pairwise(single))]


def _single(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.casefold())
