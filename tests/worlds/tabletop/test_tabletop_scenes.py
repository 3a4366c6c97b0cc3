"""Scenes of the tabletop: what each axis changes, and that instructions name one thing."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enactive.worlds.tabletop.perturbations import AXES, PERTURBATIONS, applicable
from enactive.worlds.tabletop.progress import EVENTS
from enactive.worlds.tabletop.relations import holds
from enactive.worlds.tabletop.scene import SLOTS, Scene, Thing, make_scene
from enactive.worlds.tabletop.tasks import TASKS, Family
from enactive.worlds.tabletop.vocabulary import (
    DIRECTIONS,
    HELD_OUT_COMBINATIONS,
    TRAINING_COMBINATIONS,
)
from enactive.worlds.tabletop.wording import (
    HELD_OUT,
    TRAINING,
    held_out_instructions,
    instructions,
    phrase,
    wording,
)

TASK = st.sampled_from([*TASKS.values()])
SEED = st.integers(0, 2**40)

LOOKS = {
    "camera": "cameras", "light": "light", "texture": "surfaces", "dynamics": "dynamics"
}  # fmt: skip
"""Axes that are one field of a scene."""


def same_but(one: Thing, other: Thing, *fields: str) -> bool:
    return replace(one, **{name: getattr(other, name) for name in fields}) == other


def changed_roles(base: Scene, scene: Scene) -> set[str]:
    before = {thing.role: thing for thing in base.things}
    after = {thing.role: thing for thing in scene.things}
    roles = {*before, *after}
    return {role for role in roles if before.get(role) != after.get(role)}


@settings(max_examples=80)
@given(task=TASK, seed=SEED, data=st.data())
def test_a_perturbation_changes_its_own_axis_and_nothing_else(task, seed, data) -> None:  # type: ignore[no-untyped-def]
    name = data.draw(st.sampled_from(applicable(task)))
    axis = name.split("-")[0]
    base, scene = make_scene(task, (), seed), make_scene(task, (name,), seed)
    rest = replace(scene, perturbations=())
    roles = changed_roles(base, scene)
    if axis in LOOKS:
        assert getattr(scene, LOOKS[axis]) != getattr(base, LOOKS[axis])
        assert replace(rest, **{LOOKS[axis]: getattr(base, LOOKS[axis])}) == base
        return
    if name == "reach-2":
        assert scene.hand != base.hand
        assert replace(rest, hand=base.hand) == base
        return
    cabinet = scene.cabinet if name == "reach-1" else base.cabinet
    assert replace(rest, things=base.things, cabinet=base.cabinet) == base
    assert scene.cabinet == cabinet
    if axis == "wording":
        assert not roles
    elif axis == "distractor":
        assert scene.things[: len(base.things)] == base.things
        assert len(scene.things) == len(base.things) + (2 if name == "distractor-1" else 3)
    elif axis == "object":
        group = {"named"} if task.family is not Family.PICK_RELATED else {"named", "twin"}
        group |= {"twin"} if task.family is Family.PICK_SIZED else set()
        assert "named" in roles <= group
        for role in roles:
            now, then = scene.thing(role), base.thing(role)
            assert now.position[:2] == then.position[:2]  # it stands where it stood
            assert same_but(now, then, "look", "position", *(["yaw"] if name == "object-4" else []))
    elif axis == "target":
        assert roles == {"target"}
        assert same_but(
            scene.thing("target"), base.thing("target"),
            "position", *(["look", "yaw"] if name == "target-2" else []),
        )  # fmt: skip
    else:
        furniture = base.named.is_furniture
        assert roles <= ({"named", "furniture"} if furniture else {"named", "target", "twin"})
        if task.family is not Family.PICK_RELATED and not furniture:
            assert roles == {"named"}
        for role in roles:
            assert same_but(scene.thing(role), base.thing(role), "position")


def test_every_axis_is_there_with_two_levels() -> None:
    assert {*AXES} == {
        "object", "target", "wording", "distractor", "camera", "light", "texture", "dynamics",
        "reach",
    }  # fmt: skip
    levels = Counter(perturbation.axis for perturbation in PERTURBATIONS)
    assert min(levels.values()) >= 2
    assert all({*applicable(task)} for task in TASKS.values())


@settings(max_examples=60)
@given(task=TASK, seed=SEED, data=st.data())
def test_perturbations_of_several_axes_combine(task, seed, data) -> None:  # type: ignore[no-untyped-def]
    by_axis: dict[str, list[str]] = {}
    for name in applicable(task):
        by_axis.setdefault(name.split("-")[0], []).append(name)
    chosen = tuple(data.draw(st.sampled_from(names)) for names in by_axis.values())
    scene = make_scene(task, chosen, seed)
    check_scene(scene)
    # Each axis gives together with all others what it gives alone.
    for name in chosen:
        if (axis := name.split("-")[0]) in LOOKS:
            alone = make_scene(task, (name,), seed)
            assert getattr(scene, LOOKS[axis]) == getattr(alone, LOOKS[axis])


def check_scene(scene: Scene) -> None:
    """References are unambiguous, slots differ, and nothing stands in anything."""
    things, task = scene.things, scene.task
    assert len({thing.slot for thing in things}) == len(things) <= SLOTS
    assert len({thing.role for thing in things}) == len(things)
    for role in ("named", "target"):
        meant = next((thing for thing in things if thing.role == role), None)
        if meant is None:
            continue
        alike = [
            thing.role for thing in things
            if (thing.look.colour, thing.look.shape) == (meant.look.colour, meant.look.shape)
        ]  # fmt: skip
        if role == "named" and task.family in (Family.PICK_RELATED, Family.PICK_SIZED):
            assert alike == ["named", "twin"] or alike == ["twin", "named"]
        else:
            assert alike == [role]
    if task.family is Family.PICK_SIZED:
        named, twin = scene.named.look.half, scene.thing("twin").look.half
        assert (named > twin) == (task.named.size == "large")
    if task.family is Family.PICK_RELATED:
        assert task.relation is not None and scene.target is not None
        fits = [
            holds(task.relation, thing.position, thing.look.half, scene.target.position,
                  scene.target.look)
            for thing in (scene.named, scene.thing("twin"))
        ]  # fmt: skip
        assert fits == [True, False]
    standing = [thing for thing in things if not thing.is_furniture]
    for i, one in enumerate(standing):
        for other in standing[:i]:
            if {one.role, other.role} == {"named", "target"} and task.relation not in DIRECTIONS:
                continue
            apart = np.hypot(*(np.array(one.position[:2]) - other.position[:2]))
            assert apart > 0.08, (one.role, other.role)


@settings(max_examples=60)
@given(task=TASK, seed=SEED)
def test_references_are_unambiguous(task, seed) -> None:  # type: ignore[no-untyped-def]
    for name in ((), *((name,) for name in applicable(task))):
        check_scene(make_scene(task, name, seed))


@given(task=TASK, seed=SEED)
def test_training_scenes_hold_training_combinations(task, seed) -> None:  # type: ignore[no-untyped-def]
    for thing in make_scene(task, (), seed).things:
        if thing.movable:
            assert (thing.look.colour, thing.look.shape) in TRAINING_COMBINATIONS
            assert thing.look.size in ("small", "medium", "large")


def test_half_of_all_combinations_is_held_out() -> None:
    assert not {*TRAINING_COMBINATIONS} & {*HELD_OUT_COMBINATIONS}
    assert len(TRAINING_COMBINATIONS) == len(HELD_OUT_COMBINATIONS) == 12


def test_perturbations_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="one axis"):
        make_scene(TASKS["pick-red-cube"], ("camera-1", "camera-2"), 0)
    with pytest.raises(ValueError, match="changes nothing"):
        make_scene(TASKS["open-door"], ("object-1",), 0)
    with pytest.raises(ValueError, match="target-2"):
        make_scene(TASKS["pick-red-cube"], ("target-2",), 0)


def test_wordings_are_split_and_different() -> None:
    for family in Family:
        assert not {*TRAINING[family]} & {*HELD_OUT[family]}
    everything: Counter[str] = Counter()
    for task in TASKS.values():
        texts = (*instructions(task), *held_out_instructions(task))
        assert len({*texts}) == len(texts)
        assert not any(mark in text for text in texts for mark in "{}")
        everything.update(texts)
    assert max(everything.values()) == 1, "no wording means two tasks"


def test_words_follow_what_is_named() -> None:
    task = "put-red-cube-in-bowl"
    assert wording(task) == "put the red cube in the bowl"
    assert wording(task, ("target-2",)) == "put the red cube in the box"
    assert wording(task, ("object-4",)) == "put the red puck in the bowl"
    assert wording(task, ("camera-1",)) == wording(task)
    assert wording("pick-large-red-cube", ("object-2",)) == "pick up the large red cube"
    with pytest.raises(KeyError, match="put-red-cube-in-bowl"):
        wording("put-red-cube-in-bow")


@given(task=TASK, seed=SEED)
def test_wordings_under_perturbations(task, seed) -> None:  # type: ignore[no-untyped-def]
    assert wording(task.name, ("wording-1",), seed) in held_out_instructions(task)
    plain = instructions(task)[0]
    assert plain in wording(task.name, ("wording-2",), seed)
    clause = wording(task.name, ("wording-3",), seed)
    assert clause.startswith(plain) and clause != plain
    scene = make_scene(task, ("wording-3",), seed)
    others = {phrase(t.look) for t in scene.things if t.role in ("other-1", "furniture")}
    assert any(clause.endswith(f"leave {other} alone") for other in others)


@given(task=TASK, seed=SEED)
def test_instructions_name_what_the_scene_has(task, seed) -> None:  # type: ignore[no-untyped-def]
    for name in applicable(task):
        if name.startswith(("object", "target")):
            scene = make_scene(task, (name,), seed)
            text = wording(task.name, (name,), seed)
            assert scene.named.look.phrase in text
            if scene.target is not None:
                assert scene.target.look.phrase in text


def test_the_page_lists_every_task_family_axis_and_event() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "tabletop.md").read_text()
    for name in (*Family, *AXES, *(event.name for event in EVENTS)):
        assert f"`{name}`" in page, name
    counts = Counter(task.family for task in TASKS.values())
    for family, count in counts.items():
        if count > 1:
            assert f"| `{family}` | {count} |" in page
    for example in re.findall(r"\| `[a-z-]+` \| \d+ \| `([a-z-]+)`", page):
        assert example in TASKS
