"""What policies are told: a small grammar of instructions, with wordings that training never sees.

A sentence is a family's pattern with noun phrases in it. Noun phrases name colour and shape, and
size or a relation where only those tell two things apart; patterns are split into training's and
the evaluation's. Under a perturbation of what is named, the words follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from enactive.observations import Task
from enactive.registry import suggest
from enactive.seeding import numpy_generator
from enactive.worlds.tabletop import perturbations as perturbing
from enactive.worlds.tabletop.scene import make_scene
from enactive.worlds.tabletop.tasks import FURNITURE_FAMILIES, TASKS, Family, TableTask
from enactive.worlds.tabletop.vocabulary import Look, Relation

TRAINING: Mapping[Family, tuple[str, ...]] = {
    Family.TOUCH: (
        "touch {n}", "reach for {n} and touch it", "move the gripper down onto {n}",
        "put the fingers on {n}",
    ),
    Family.PICK: (
        "pick up {n}", "lift {n}", "grasp {n} and raise it", "take {n} off the table",
    ),
    Family.PICK_RELATED: (
        "pick up {n} that is {r} {t}", "lift {n} {r} {t}", "grasp {n} {r} {t} and raise it",
        "take {n} that is {r} {t}",
    ),
    Family.PICK_SIZED: (
        "pick up {n}", "lift {n}", "grasp {n} and raise it", "take {n} off the table",
    ),
    Family.PUT_IN: (
        "put {n} in {t}", "place {n} into {t}", "move {n} into {t}",
        "pick up {n} and drop it in {t}",
    ),
    Family.STACK: (
        "put {n} on top of {t}", "stack {n} on {t}", "place {n} onto {t}",
        "set {n} on top of {t}",
    ),
    Family.BESIDE: (
        "put {n} {r} {t}", "place {n} {r} {t}", "move {n} so that it is {r} {t}",
        "set {n} down {r} {t}",
    ),
    Family.PUSH: (
        "push {n} to {t}", "slide {n} onto {t}", "push {n} until it is on {t}",
        "move {n} onto {t} by pushing it",
    ),
    Family.DRAWER_OPEN: (
        "open {n}", "pull {n} open", "pull {n} out", "grasp the handle of {n} and pull",
    ),
    Family.DRAWER_CLOSE: ("close {n}", "push {n} shut", "push {n} in", "shut {n}"),
    Family.DOOR_OPEN: (
        "open {n}", "pull {n} open", "swing {n} open", "grasp the handle of {n} and pull",
    ),
    Family.DOOR_CLOSE: ("close {n}", "push {n} shut", "swing {n} shut", "shut {n}"),
}  # fmt: skip
"""Patterns for collection and training; the first is canonical. ``{n}``: what is named, ``{t}``:
the target, ``{r}``: the relation."""

HELD_OUT: Mapping[Family, tuple[str, ...]] = {
    Family.TOUCH: (
        "make contact with {n}", "bring the fingers to {n} until they meet it", "tap {n} once",
    ),
    Family.PICK: (
        "get hold of {n} and keep it up in the air", "hoist {n}", "{n} should be off the ground",
    ),
    Family.PICK_RELATED: (
        "of the two, get hold of {n} {r} {t} and keep it up", "hoist {n} located {r} {t}",
        "what I want in the air is {n} {r} {t}",
    ),
    Family.PICK_SIZED: (
        "get hold of {n} and keep it up in the air", "hoist {n}", "{n} should be off the ground",
    ),
    Family.PUT_IN: (
        "{n} belongs in {t}", "make {t} contain {n}", "transfer {n} so that {t} holds it",
    ),
    Family.STACK: (
        "{n} belongs on {t}", "build a tower with {t} below and {n} above",
        "let {t} carry {n}",
    ),
    Family.BESIDE: (
        "{n} belongs {r} {t}", "rearrange things so that {n} ends up {r} {t}",
        "carry {n} over to the place {r} {t}",
    ),
    Family.PUSH: (
        "shove {n} over to {t}", "without lifting it, bring {n} to {t}",
        "make {n} cover the middle of {t}",
    ),
    Family.DRAWER_OPEN: (
        "I need to see what is in {n}", "draw {n} towards you", "get {n} to stand open",
    ),
    Family.DRAWER_CLOSE: (
        "{n} should not stand open", "slide {n} back to where it belongs", "get {n} out of the way",
    ),
    Family.DOOR_OPEN: (
        "I need to see what is behind {n}", "draw {n} towards you", "get {n} to stand open",
    ),
    Family.DOOR_CLOSE: (
        "{n} should not stand open", "turn {n} back to where it belongs", "get {n} out of the way",
    ),
}  # fmt: skip
"""Patterns that no training data may use."""

_RELATIONS = {
    Relation.LEFT: "to the left of",
    Relation.RIGHT: "to the right of",
    Relation.BEHIND: "behind",
    Relation.FRONT: "in front of",
    Relation.ON: "on top of",
    Relation.IN: "inside",
}
_LONG = (
    "hello, I hope that you are ready for the next one; when you are, please {i}, and take all the "
    "time that you need for it, thank you"
)


def phrase(look: Look, *, sized: bool = False) -> str:
    """A noun phrase: ``"the red cube"``, ``"the large red cube"``, ``"the bowl"``."""
    adjective = {"huge": "large", "tiny": "small"}.get(look.size, look.size)
    return f"the {adjective} {look.phrase}" if sized else f"the {look.phrase}"


def sentence(pattern: str, task: TableTask, named: Look, target: Look | None) -> str:
    """A pattern with the noun phrases of a task's things in it."""
    return pattern.format(
        n=phrase(named, sized=task.family is Family.PICK_SIZED),
        t=phrase(target) if target is not None else "",
        r=_RELATIONS[task.relation] if task.relation is not None else "",
    )


def instructions(task: TableTask) -> tuple[str, ...]:
    """The task's training wordings; the first is the canonical one."""
    return tuple(sentence(p, task, task.named, task.target) for p in TRAINING[task.family])


def held_out_instructions(task: TableTask) -> tuple[str, ...]:
    """The task's held-out wordings."""
    return tuple(sentence(p, task, task.named, task.target) for p in HELD_OUT[task.family])


def wording(
    task_name: str, perturbations: Sequence[str] = (), seed: int = 0, plain: str = ""
) -> str:
    """What a policy is to be told about an episode.

    The names of what is meant follow the axes ``object`` and ``target``; the axis ``wording``
    changes the sentence. Without any of the three it is ``plain``.

    Args:
        task_name: name of a task.
        perturbations: the episode's perturbations.
        seed: the episode's seed; it chooses among paraphrases, and the clause of ``wording-3``
            names something that is in that seed's scene.
        plain: which of the task's wordings is changed; by default the canonical one.

    Raises:
        KeyError: there is no such task.
        ValueError: the perturbations do not go together or not with the task, or ``plain`` is none
            of its wordings.
    """
    if task_name not in TASKS:
        raise KeyError(f"the tabletop has no task {task_name!r}; {suggest(task_name, TASKS)}")
    task = TASKS[task_name]
    by_axis = perturbing.check(task, perturbations)
    named = task.named
    if "object" in by_axis:
        named = perturbing.other_object(task, by_axis["object"])
    target = task.target
    if by_axis.get("target") == "target-2":
        target = perturbing.other_target(task)
    level = by_axis.get("wording")
    pattern = _pattern(task, plain) if plain else TRAINING[task.family][0]
    if level == "wording-1":
        patterns = HELD_OUT[task.family]
        draw = numpy_generator(seed, "tabletop", task.name, level)
        pattern = patterns[draw.integers(len(patterns))]
    told = sentence(pattern, task, named, target)
    if level == "wording-2":
        return _LONG.format(i=told)
    if level == "wording-3":
        furniture = task.family in FURNITURE_FAMILIES
        scene = make_scene(task, perturbations, seed)
        other = scene.thing("furniture" if furniture else "other-1").look
        return f"{told}, and leave {phrase(other)} alone"
    return told


def probe_wording(task: Task, seed: int) -> str | None:
    """The instruction of an episode under its perturbations: a world's entry in the group
    ``enactive.probes``.

    Args:
        task: its instruction is the one without them, one of the task's wordings.
        seed: the episode's.

    Returns:
        None where one of the perturbations changes nothing about the task.

    Raises:
        ValueError: two perturbations are on one axis, or the instruction is none of the task's.
    """
    names = [one.name for one in perturbing.PERTURBATIONS]
    own = tuple(name for name in task.perturbations if name in names)  # others fit any world
    known = perturbing.applicable(TASKS[task.name])
    if any(name not in known for name in own):
        return None
    return wording(task.name, own, seed, task.instruction)


def _pattern(task: TableTask, told: str) -> str:
    """The pattern of which ``told`` is the task's sentence."""
    patterns = (*TRAINING[task.family], *HELD_OUT[task.family])
    for pattern in patterns:
        if sentence(pattern, task, task.named, task.target) == told:
            return pattern
    raise ValueError(
        f"{told!r} is none of the wordings of {task.name!r}, so it cannot be told otherwise"
    )
