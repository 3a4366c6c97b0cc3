"""All kinds of questions: what benchmark and ability each is of, and what makes its items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from enactive.registry import suggest
from enactive.seeding import numpy_generator
from enactive.worlds.questions import clips, constraints, properties, stages
from enactive.worlds.questions.item import Item

VERSION = "1"
"""Rises when the same name and seed give another item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of question; the name of a task of the world ``questions``."""

    name: str
    ability: str
    """What it tests, in its benchmark's words."""
    options: int
    """How many it has: chance is one over this."""
    clip: bool
    """Whether a clip is shown, or a still."""
    make: Callable[[np.random.Generator], Item]

    @property
    def benchmark(self) -> str:
        """``"pac"``, ``"cfg"`` or ``"eriq"``."""
        return self.name.partition("-")[0]


def _kinds() -> list[Kind]:
    def kind(
        name: str, ability: str, make: Callable[[np.random.Generator], Item],
        *, clip: bool = False, options: int = 4,
    ) -> Kind:  # fmt: skip
        return Kind(name=name, ability=ability, options=options, clip=clip, make=make)

    return [
        kind("pac-colour", "property", properties.colour),
        kind("pac-shape", "property", properties.shape),
        kind("pac-size", "property", properties.size),
        kind("pac-weight", "property", properties.weight),
        kind("pac-affordance", "affordance", constraints.affordance),
        kind("pac-fit", "constraint: size", constraints.fit, options=2),
        kind("pac-covered", "constraint: support and occlusion", constraints.covered, options=2),
        kind("pac-stable", "constraint: stability", constraints.stable, options=2),
        kind("pac-reach", "constraint: reach and access", constraints.reach, options=2),
        kind("cfg-contact", "physical interaction", clips.contact, clip=True),
        kind("cfg-direction", "physical interaction", clips.direction, clip=True),
        kind("cfg-magnitude", "physical interaction", clips.magnitude, clip=True),
        kind("cfg-order", "temporal and causal", clips.order, clip=True),
        kind("cfg-cause", "temporal and causal", clips.cause, clip=True),
        kind("cfg-factual", "a premise that holds", clips.factual, clip=True),
        kind("cfg-counterfactual", "a false premise", clips.counterfactual, clip=True),
        kind("eriq-relation", "spatial grounding", stages.relation),
        kind("eriq-within", "spatial grounding", stages.within),
        kind("eriq-next", "planning and monitoring", stages.following),
        kind("eriq-done", "planning and monitoring", stages.done, clip=True, options=2),
        kind("eriq-error", "error detection and recovery", stages.error, clip=True),
        kind("eriq-recovery", "error detection and recovery", stages.recovery, clip=True),
        kind("eriq-intent", "intent", stages.intent, clip=True),
    ]


KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _kinds()}
"""Every kind by name."""


def kinds_of(benchmark: str) -> tuple[str, ...]:
    """Names of a benchmark's kinds, ``"pac"``, ``"cfg"`` or ``"eriq"``."""
    return tuple(kind.name for kind in KINDS.values() if kind.benchmark == benchmark)


def make_item(name: str, seed: int) -> Item:
    """The question of ``name`` and ``seed``: the same to the bit wherever it is made.

    Raises:
        KeyError: there is no such kind.
    """
    if name not in KINDS:
        raise KeyError(f"there is no question {name!r}; {suggest(name, KINDS)}")
    return KINDS[name].make(numpy_generator(seed, "questions", name))
