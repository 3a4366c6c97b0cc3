"""What a policy is told under perturbations, and which tasks they are made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.evaluation.plan import evaluation_plan
from enactive.evaluation.retention import probe_plan, probe_wording_of
from enactive.observations import Task
from enactive.worlds.tabletop.perturbations import PERTURBATIONS, applicable
from enactive.worlds.tabletop.tasks import TASKS
from enactive.worlds.tabletop.wording import (
    held_out_instructions,
    instructions,
    probe_wording,
    wording,
)
from enactive.worlds.tabletop.world import Tabletop

NAMES = tuple(TASKS)
LEVELS = tuple(one.name for one in PERTURBATIONS)
WORDS = ("object", "target", "wording")


@given(st.sampled_from(NAMES), st.sampled_from(LEVELS), st.integers(0, 20), st.integers(0, 6))
def test_words_change_where_their_axis_does(name: str, level: str, seed: int, which: int) -> None:
    known = TASKS[name]
    plain = (*instructions(known), *held_out_instructions(known))[which]
    told = probe_wording(Task(name=name, instruction=plain, perturbations=(level,)), seed)
    if level not in applicable(known):
        assert told is None
        return
    assert told
    if level.split("-", maxsplit=1)[0] not in WORDS:
        assert told == plain
    if level in ("object-1", "object-3", "object-4", "target-2", "wording-3"):
        assert told != plain
    if level in ("wording-2", "wording-3"):
        assert plain in told  # the same sentence, with more round it
    if level == "wording-1":
        assert told in held_out_instructions(known)


def test_the_canonical_wording_is_wordings_own() -> None:
    task = Task(name="put-red-cube-in-bowl", perturbations=("object-3", "target-2"),
                instruction="put the red cube in the bowl")  # fmt: skip
    assert probe_wording(task, 3) == wording(task.name, task.perturbations, 3)
    assert "red" not in str(probe_wording(task, 3)) and "box" in str(probe_wording(task, 3))


def test_words_that_are_none_of_the_tasks() -> None:
    task = Task(name="pick-red-cube", instruction="dance", perturbations=("object-1",))
    with pytest.raises(ValueError, match="'dance' is none of the wordings of 'pick-red-cube'"):
        probe_wording(task, 0)


def test_a_plan_leaves_out_what_is_not_changed() -> None:
    spec = Tabletop.Config(cameras=()).build().spec
    plan = evaluation_plan(spec, ["pick-red-cube", "put-red-cube-in-bowl", "open-drawer"], 2)
    told = probe_wording_of("tabletop")
    assert told is not None
    probes = probe_plan(plan, LEVELS, told=told)
    made = {(one.task.name, one.task.perturbations[0]) for one in probes}
    assert made == {
        (name, level) for name in {one.task.name for one in plan} for level in LEVELS
        if level in applicable(TASKS[name])
    }  # fmt: skip
    by_start = {(one.task.name, one.seed): one for one in plan}
    for probe in probes:
        start = by_start[probe.task.name, probe.seed]
        assert probe.instructed == start.instructed and probe.repeat == start.repeat
        if probe.task.perturbations[0].startswith(("camera", "light", "dynamics")):
            assert replace(probe.task, perturbations=()) == start.task
    with pytest.raises(ValueError, match="'object-1' changes nothing about any of the tasks"):
        probe_plan([one for one in plan if one.task.name == "open-drawer"], ["object-1"], told=told)
    assert probe_wording_of("pusht") is None
