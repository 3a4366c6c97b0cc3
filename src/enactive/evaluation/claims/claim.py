"""What a claim declares: arms, controls, hypotheses with thresholds, seeds, and how to measure.

A claim is the experiment that tests a system's central statement here. It is declared before it is
run, and nothing in it may depend on what came out::

    def claim(quick: bool = False) -> Claim:
        def measure(arm: str, seed: int, directory: Path, shared: Path) -> Measurement: ...

        return Claim(system="mint", arms={...}, hypotheses=(...), measure=measure, ...)

One *unit* is one arm with one seed: train, evaluate, measure. The seed is the sampling unit of all
intervals: episodes of one trained policy resemble one another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from enactive.configuration import config_hash
from enactive.registry import suggest

Direction = Literal["greater", "less"]


class ClaimError(ValueError):
    """A claim that cannot be run as declared; the message names the field and the fix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What one unit measured. Everything is a number, so that it survives as JSON."""

    outcomes: Mapping[str, float] = field(default_factory=dict[str, float])
    """Named scalars of this unit, e.g. ``"success"`` (rate in [0, 1]), ``"mse"``."""
    episodes: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    """One value an episode, in the same order in every arm of one seed: ``episodes["success"][i]``
    of two arms are paired. Outcomes of 0 and 1 only are treated as successes on the page."""
    cost: Mapping[str, float] = field(default_factory=dict[str, float])
    """What it took: ``train_steps``, ``train_seconds``, ``parameters``, ``head_passes``,
    ``decoder_passes``, ``backbone_passes``, ``milliseconds`` per decision, ``peak_mb``, ..."""

    def __post_init__(self) -> None:
        for group in ("outcomes", "cost"):
            values: Mapping[str, Any] = getattr(self, group)
            plain = {name: _number(v, f"{group}[{name!r}]") for name, v in values.items()}
            object.__setattr__(self, group, plain)
        rows: dict[str, tuple[float, ...]] = {}
        for name, row in self.episodes.items():
            rows[name] = tuple(
                _number(value, f"episodes[{name!r}][{place}]") for place, value in enumerate(row)
            )
        object.__setattr__(self, "episodes", rows)

    def outcome(self, name: str) -> float:
        """``outcomes[name]``.

        Raises:
            ClaimError: there is none of that name; the message says which there are.
        """
        if name not in self.outcomes:
            raise ClaimError(f"no outcome is called {name!r}; {suggest(name, self.outcomes)}")
        return self.outcomes[name]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """One number per seed, and which side of a threshold it must lie on.

    With ``direction="greater"`` the hypothesis is supported if the whole interval of the mean over
    seeds lies above ``threshold``, and not supported if the whole interval lies below. A margin is
    a threshold: ``greater`` with -0.1 says "at most 0.1 worse" (non-inferiority).
    """

    name: str
    """Short, e.g. ``"faster"``; unique within the claim."""
    statement: str
    """In words, e.g. "Next-scale decoding needs fewer backbone passes than token by token"."""
    value: Callable[[Mapping[str, Measurement]], float]
    """One seed's measurements by arm -> one number, usually a difference of two arms."""
    direction: Direction
    threshold: float
    """In ``unit``."""
    unit: str = ""
    """Of the value, e.g. ``"success rate"``, ``"ms"``."""
    primary: bool = True
    """Whether the claim's verdict rests on it."""
    exact: bool = False
    """For values without sampling error (pass counts, parameters, properties that hold or do not):
    decided without an interval. Supported if every seed's value is at the threshold or beyond it,
    not supported otherwise."""
    resolution: float = 0.0
    """Smallest step by which the value can change, e.g. 1 / episodes for a success rate. The
    standard deviation over seeds is taken as no less, so that seeds that happen to agree exactly
    do not make an interval of no width."""

    def __post_init__(self) -> None:
        where = f"hypothesis {self.name!r}"
        if not self.name.strip() or not self.statement.strip():
            raise ClaimError(f"{where}: name and statement must say something")
        if self.direction not in ("greater", "less"):
            raise ClaimError(
                f"{where}: direction must be 'greater' or 'less', got {self.direction!r}"
            )
        object.__setattr__(self, "threshold", _number(self.threshold, f"{where}: threshold"))
        if self.threshold in (float("inf"), float("-inf")) or self.threshold != self.threshold:
            raise ClaimError(f"{where}: threshold must be finite, got {self.threshold}")
        if not self.resolution >= 0:
            raise ClaimError(f"{where}: resolution must be >= 0, got {self.resolution}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A picture for the verdict page."""

    title: str
    """Also its file name, as a slug."""
    svg: str
    """One ``<svg>`` element, e.g. from :func:`enactive.evaluation.report.svg.lines`."""
    caption: str = ""
    """What is drawn, with units, and over how many seeds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An experiment that tests one statement."""

    system: str
    """Standard name, e.g. ``"discrete-diffusion-vla"``; also the directory under ``claims/``."""
    title: str
    """A line, e.g. ``"MINT: multi-scale spectral action tokens"``."""
    statement: str
    """What is claimed, as tested here; one or two sentences."""
    source: str
    """Paper, identifier, and section or table of the original claim."""
    world: str
    """Which world, which tasks, states or pixels, how many demonstrations."""
    arms: Mapping[str, str]
    """Arm -> what it is. At least one."""
    controls: Mapping[str, str]
    """Trap -> how this experiment avoids falling into it."""
    hypotheses: tuple[Hypothesis, ...]
    """At least one of them primary."""
    seeds: tuple[int, ...]
    """Each seed runs every arm: training, data order and evaluation draw from it."""
    budget: str
    """What every arm gets: steps, data, parameters, episodes."""
    measure: Callable[[str, int, Path, Path], Measurement]
    """``measure(arm, seed, directory, shared)`` runs one unit in a process of its own with one
    thread. All that it makes lies in ``directory``, which is empty at the start; ``shared`` is
    only read."""
    prepare: Callable[[Path], None] | None = None
    """``prepare(shared)`` makes what units share, e.g. datasets, before the first unit runs. All
    claims under one output directory share ``shared``: name things there after what they hold, and
    leave what is there already, because a change of the claim's file calls it again."""
    figures: Callable[[Mapping[tuple[str, int], Measurement]], Sequence[Figure]] | None = None
    """More pictures, from the measurements by (arm, seed); units that failed are missing."""
    parts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Mechanism -> module, e.g. ``{"tokenizer": "enactive.models.tokenizers.spectral"}``."""
    earlier_runs: tuple[str, ...] = ()
    """Runs of this claim before this one, what they found, and what was changed after them: a claim
    that is run until it pleases proves nothing, so that every run is told."""
    not_tried: tuple[str, ...] = ()
    """What a reader might take as tested but was not."""
    scale_note: str = ""
    """How this setting differs from the paper's in scale."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.system):
            raise ClaimError(
                f"system: {self.system!r} must be lower-case letters, digits and hyphens"
            )
        for name in ("title", "statement", "source", "world", "budget"):
            if not str(getattr(self, name)).strip():
                raise ClaimError(f"{self.system}: {name} is empty; a reader needs it")
        self._check_arms()
        self._check_hypotheses()
        if not self.seeds:
            raise ClaimError(f"{self.system}: seeds is empty; give at least one")
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ClaimError(
                f"{self.system}: seeds must be different and not negative, got {self.seeds}"
            )
        if not callable(self.measure):
            raise ClaimError(f"{self.system}: measure must be a function, got {self.measure!r}")

    def _check_arms(self) -> None:
        if not self.arms:
            raise ClaimError(f"{self.system}: arms is empty; name at least one")
        places: dict[str, str] = {}
        for arm, what in self.arms.items():
            place = slug(arm)
            if not place:
                raise ClaimError(f"{self.system}: arm {arm!r} needs a letter or digit in its name")
            if place in places:
                raise ClaimError(
                    f"{self.system}: arms {places[place]!r} and {arm!r} would share the directory "
                    f"{place!r}; rename one"
                )
            if not what.strip():
                raise ClaimError(f"{self.system}: arm {arm!r} does not say what it is")
            places[place] = arm

    def _check_hypotheses(self) -> None:
        names = [hypothesis.name for hypothesis in self.hypotheses]
        if len(set(names)) != len(names):
            raise ClaimError(f"{self.system}: two hypotheses share a name: {names}")
        if not any(hypothesis.primary for hypothesis in self.hypotheses):
            raise ClaimError(
                f"{self.system}: no hypothesis is primary, so nothing could decide the claim"
            )

    def declaration(self) -> dict[str, Any]:
        """All that was declared, as JSON values; functions are left out."""
        return {
            "system": self.system,
            "title": self.title,
            "statement": self.statement,
            "source": self.source,
            "world": self.world,
            "arms": dict(self.arms),
            "controls": dict(self.controls),
            "hypotheses": [
                {
                    "name": one.name,
                    "statement": one.statement,
                    "direction": one.direction,
                    "threshold": one.threshold,
                    "unit": one.unit,
                    "primary": one.primary,
                    "exact": one.exact,
                    "resolution": one.resolution,
                }
                for one in self.hypotheses
            ],
            "seeds": list(self.seeds),
            "budget": self.budget,
            "parts": dict(self.parts),
            "earlier_runs": list(self.earlier_runs),
            "not_tried": list(self.not_tried),
            "scale_note": self.scale_note,
        }

    @property
    def hash(self) -> str:
        """16 hexadecimal digits, see :func:`declaration_hash`."""
        return declaration_hash(self.declaration())


def declaration_hash(declaration: Mapping[str, Any]) -> str:
    """16 hexadecimal digits over what was declared; what is told of earlier runs does not count."""
    return config_hash({k: v for k, v in declaration.items() if k != "earlier_runs"})


def slug(text: str) -> str:
    """``text`` as a file name: lower case, everything else than letters and digits a hyphen."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _number(value: Any, where: str) -> float:
    """``value`` as a float; NumPy and PyTorch scalars and booleans are welcome."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ClaimError(f"{where}: expected a number, got {value!r}") from error
