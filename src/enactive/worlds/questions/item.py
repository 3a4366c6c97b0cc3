"""One question: its words, its options, the right one, and the moments that are shown with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from enactive.actions.digital import ChoiceSpace
from enactive.worlds.tabletop.scene import Scene

LETTERS = ("A", "B", "C", "D")
"""What the options are called."""

ANSWERS = ChoiceSpace(names=(*LETTERS, "none"))
"""An answer is the place of an option. ``"none"`` is for a reply that gives no option; it is wrong,
as are C and D where a question has two options."""

MOMENTS = 4
"""Moments of a clip; a still shows one moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A question with exactly one right option.

    Raises:
        ValueError: options are fewer than two, more than four or not different, or the answer is
            none of them.
    """

    question: str
    options: tuple[str, ...]
    """Different from one another, in the order in which they are told."""
    answer: int
    """Place of the right one."""
    scene: Scene
    """What stands there; decides the model that the moments are states of."""
    states: tuple[bytes, ...]
    """Physics states, earliest first: one (a still) or :data:`MOMENTS` (a clip)."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values that the answer follows from, for audits; no policy is shown them."""

    def __post_init__(self) -> None:
        if not 2 <= len(self.options) <= len(LETTERS):
            raise ValueError(f"options: two to {len(LETTERS)} are needed, got {self.options}")
        if len(set(self.options)) < len(self.options):
            raise ValueError(f"options: one is there twice: {self.options}")
        if not 0 <= self.answer < len(self.options):
            raise ValueError(f"answer: {self.answer} is none of {len(self.options)} options")
        if len(self.states) not in (1, MOMENTS):
            raise ValueError(f"states: 1 or {MOMENTS} are needed, got {len(self.states)}")

    @property
    def text(self) -> str:
        """What a policy is told: the question and its options."""
        return told(self.question, self.options)

    @property
    def right(self) -> str:
        """The right option's words."""
        return self.options[self.answer]


def shuffled(right: str, wrong: Sequence[str], draw: np.random.Generator) -> dict[str, Any]:
    """``options`` and ``answer`` of an :class:`Item`, in an order that ``draw`` decides."""
    options = [right, *wrong]
    order = draw.permutation(len(options)).tolist()
    return {"options": tuple(options[i] for i in order), "answer": order.index(0)}


def told(question: str, options: Sequence[str]) -> str:
    """A question and its options as one sentence for a policy."""
    listed = "; ".join(f"{letter}: {one}" for letter, one in zip(LETTERS, options, strict=False))
    return f"{question} {listed}."


def read(text: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of what :func:`told` wrote.

    Raises:
        ValueError: it is not of that form.
    """
    found = re.fullmatch(r"(.*\?) (A: .*)\.", text, re.DOTALL)
    if found is None:
        raise ValueError(f"no question with options: {text!r}")
    parts = found[2].split("; ")
    options = tuple(part.removeprefix(f"{letter}: ")
                    for letter, part in zip(LETTERS, parts, strict=False))  # fmt: skip
    if len(parts) > len(LETTERS):
        raise ValueError(f"more than {len(LETTERS)} options: {text!r}")
    return found[1], options


def answer_in(reply: str, options: Sequence[str]) -> int | None:
    """Which option a reply in words gives; None where it gives none, or more than one.

    A reply may begin with a letter (``"B"``, ``"b: red"``, ``"(B) red"``) or be an option's words.
    Nothing else counts, so that no leniency in reading makes an answer right.
    """
    plain = reply.strip().strip(".").casefold()
    for index, option in enumerate(options):
        if plain == option.casefold():
            return index
    letter = re.match(r"\(?([a-d])(?:$|[:.)])", plain)
    if letter is None:
        return None
    index = "abcd".index(letter[1])
    return index if index < len(options) else None
