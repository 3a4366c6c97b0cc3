"""LIBERO-Object as a test of listening: demonstrations, four policies, controls, one table.

In LIBERO-Object each of ten scenes has one task, the same thing wanted in all of its 50 initial
states. A policy that recognises the scene need not be told anything. So the same model is trained
on two sets of demonstrations of equal size:

* ``official``: the suite's ten tasks, as published work trains;
* ``any``: of every scene, all its things but one (:data:`ANY_THING`); the one left out is
  what LIBERO-PRO's ``_task`` suite asks for there, so that no scene was seen with those words.

and, of each, once without the instruction. Before it imitates, every policy learns from the same
demonstrations to choose the thing that is meant (:mod:`enactive.systems.choosing`). All are run on
official initial states that no demonstration began in, under the official words, none, another
thing's, and in LIBERO-PRO's variants; the expert and standing still are run beside them. Policies
see states, not pictures: drawing is what most of an episode's time would go into.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from enactive.configuration import config_hash, to_dict
from enactive.episodes.dataset import Dataset
from enactive.episodes.journal import Journal
from enactive.episodes.provenance import provenance
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.files import write_atomically
from enactive.evaluation.plan import FIRST_EVALUATION_SEED, EpisodePlan, Rules, join
from enactive.evaluation.progress import progress_bar
from enactive.evaluation.results import Evaluation, rate
from enactive.evaluation.rollouts import rollout
from enactive.evaluation.sources import training_record
from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.l1 import L1
from enactive.models.normalization import Normalizer
from enactive.observations import Task
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.expert import ExpertPolicy
from enactive.policies.hold import HoldPolicy
from enactive.policies.policy import Policy
from enactive.systems.choosing import CHOOSER, chooser, shown
from enactive.systems.demonstrations import demonstrations
from enactive.training.config import Initial, Optimizer, Source, Stage, Training
from enactive.training.trainer import train
from enactive.worlds.libero import ACTION_SPACE, Libero
from enactive.worlds.libero_state import SLOT
from enactive.worlds.libero_tasks import ANY_THING, LiberoTask, suite_tasks
from enactive.worlds.pool import WorldPool

OFFICIAL, ANY = "official", "any"
MUTE = "{}, no words"
EXPERT, STILL = "expert", "standing still"
BASE = "libero_object"
THINGS = "objects_relative"
EXECUTE = 4
"""Actions of a chunk of 8 that are executed before the next one is predicted."""
VARIANTS = ("task", "swap", "lan", "object")
SUITES = (BASE, *(f"{BASE}_{variant}" for variant in VARIANTS))

TRAINED_STATES, TESTED_STATES = (0, 25), (30, 50)
"""Which official initial states demonstrations and evaluations begin in; those between have served
to develop the model."""

CONDITIONS: Mapping[str, tuple[str, str]] = {
    "main": (BASE, "the official tasks"),
    "silent": (BASE, "the official scenes and goals, told nothing"),
    "other": (BASE, "the official scenes and goals, told to take another thing of the scene"),
    "lan": (f"{BASE}_lan", "LIBERO-PRO: other wordings"),
    "task": (f"{BASE}_task", "LIBERO-PRO: another thing of the scene is wanted"),
    "swap": (f"{BASE}_swap", "LIBERO-PRO: the wanted thing has changed places with another"),
    "object": (f"{BASE}_object", "LIBERO-PRO: things of another look or size"),
}
"""Group of episodes to its suite and what it is."""

_RUN_BY = {
    OFFICIAL: ("main", "silent", "other", "task", "swap"),
    ANY: tuple(CONDITIONS),
    MUTE.format(OFFICIAL): ("main",),
    MUTE.format(ANY): ("main", "task"),
    EXPERT: ("main", "task", "swap", "object"),  # it reads no words
    STILL: ("main",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LiberoObjectConfig:
    """Does a policy listen? LIBERO-Object with controls.

    Collects demonstrations of the official tasks and of any thing in their scenes, trains one
    language-conditioned policy on each, and one that is told nothing, evaluates all of them on
    other official initial states, without words, with another thing's words and in LIBERO-PRO's
    variants, beside the expert and standing still, and writes results.json and results.md. An
    interrupted run goes on where it stopped when it is started again.

    Examples:
      enactive libero
      enactive libero --out runs/quick --quick
      enactive libero --steps 10000 --episodes 10
    """

    out: Path = Path("runs/libero-object")
    """Directory of everything that is made."""
    scenes: tuple[int, ...] = tuple(range(10))
    """Numbers of the scenes, which are those of the official tasks."""
    sets: tuple[Literal["official", "any"], ...] = (ANY, OFFICIAL)
    """The sets of demonstrations; a set that is added later leaves what is there as it is."""
    untold: bool = True
    """Whether a policy that is told nothing is trained on each set as well."""
    demonstrations: int = 100
    """Demonstrations of each of the two sets, divided among its tasks (rounded up)."""
    choosing: int = 600
    """Optimizer steps in which each policy learns what is meant, of 64 frames."""
    steps: int = 2500
    """Optimizer steps of each policy's imitation."""
    batch_size: int = 32
    """Windows per optimizer step of imitation."""
    episodes: int = 2
    """Evaluation episodes of each scene in each condition, at most 20."""
    variants: tuple[Literal["task", "swap", "lan", "object"], ...] = VARIANTS
    """LIBERO-PRO's variants that are run besides the official suite."""
    max_steps: int = 220
    """Steps after which an evaluation episode has failed; the expert takes 80 to 150."""
    noise: float = 0.3
    """Disturbance of the demonstrations, see ``ExpertPolicy``; what is imitated is undisturbed."""
    seed: int = 0
    """Decides initial weights and order of samples."""
    quick: bool = False
    """One scene, one demonstration, one policy, two steps, no variants: it only shows that
    everything runs."""

    def sized(self) -> LiberoObjectConfig:
        """Itself, or what ``quick`` makes of it."""
        if not self.quick:
            return self
        return replace(
            self, scenes=self.scenes[:1], sets=(ANY,), demonstrations=1, choosing=2, steps=2,
            batch_size=4, episodes=1, variants=(), max_steps=10, untold=False,
        )  # fmt: skip

    def world(self, states: tuple[int, int], suites: tuple[str, ...]) -> Libero.Config:
        """The world without pictures."""
        return Libero.Config(
            suites=suites, initial_states=states, cameras=(),
            states=("proprio", "grip", THINGS), same_slots=True,
        )  # fmt: skip

    def model(self, name: str) -> ActionModel.Config:
        """The model of the policy ``name``: it acts on two things that it chooses, whose places it
        knows from the hand, and so in the same way wherever they are."""
        return ActionModel.Config(
            states=("grip", THINGS),
            instructed=name in (OFFICIAL, ANY),
            horizon=8,
            # Metres and millimetres from the hand, told apart by the scales.
            normalization=Normalizer.Config(overrides={THINGS: "identity"}),
            language_noise=0.4,
            backbone=SmallVLA.Config(
                depth=2, mlp_ratio=2, slots=((THINGS, len(SLOT)),), scales=(1.0, 0.1, 0.02),
                chosen=2, things=False,
            ),
            head=L1.Config(depth=1, mlp_ratio=2),
        )  # fmt: skip

    def training(self, name: str, dataset: Path, initial: Path) -> Training:
        """The training run of the policy ``name``, which begins with the model ``initial``."""
        return Training(
            run=self.out / "policies" / _file(name),
            data=(Source(path=dataset, name="demonstrations"),),
            model=self.model(name),
            initial=Initial(path=initial),
            stages=(Stage(steps=self.steps, freeze=CHOOSER),),
            action_key="action.expert" if self.noise else "action",
            batch_size=self.batch_size,
            optimizer=Optimizer(learning_rate=1e-3),
            ema_decay=0.99,  # a short run's average must forget its first steps
            checkpoint_every=1_000_000,
            keep=1,
            workers=0,
            threads=1,
            device="cpu",
            seed=self.seed,
        )


def run(config: LiberoObjectConfig) -> Path:
    """Run everything that is not done yet; returns the directory with the results.

    Raises:
        ValueError: numbers out of range.
        CollectionFailed: the expert failed too often.
    """
    config = config.sized()
    most = TESTED_STATES[1] - TESTED_STATES[0]
    if not 1 <= config.episodes <= most:
        raise ValueError(f"episodes must be in [1, {most}], got {config.episodes}")
    config.out.mkdir(parents=True, exist_ok=True)
    clock = _Clock(config.out / "cpu_seconds.json")
    with clock.part("collect"):
        sets = {name: _collect(config, name) for name in config.sets}
    policies: dict[str, tuple[Policy | None, Path | None]] = {EXPERT: (None, None)}
    for name, dataset in sets.items():
        for label in (name, MUTE.format(name)) if config.untold else (name,):
            with clock.part("train"):
                initial = _chooser(config, label, dataset)
                checkpoint = train(config.training(label, dataset, initial)).checkpoint
            acting = ChunkedPolicy.Config(execute=EXECUTE)
            model = ActionModel.load(checkpoint, "ema")
            policies[label] = (ChunkedPolicy(acting, model, label=label), dataset)
    policies[STILL] = (HoldPolicy(ACTION_SPACE, {"gripper": -1.0}), None)
    with clock.part("evaluate"):
        evaluations = _evaluate(config, policies)
    rows = table(evaluations)
    found = {"cpu_seconds": clock.seconds, "rows": rows}
    write_atomically(config.out / "results.json", json.dumps(found, indent=1) + "\n")
    write_atomically(config.out / "results.md", as_markdown(rows))
    return config.out


def trained_tasks(name: str, scenes: Sequence[int]) -> tuple[str, ...]:
    """Names of the tasks of the set of demonstrations ``name`` (:data:`OFFICIAL` or :data:`ANY`)"""
    official, asked = suite_tasks(BASE), suite_tasks(f"{BASE}_task")
    if name == OFFICIAL:
        return tuple(official[scene].name for scene in scenes)
    return tuple(
        task.name
        for scene in scenes
        for task in suite_tasks(ANY_THING)
        if task.definition_file == official[scene].definition_file
        and task.target != _wanted(asked[scene])
    )


def _wanted(task: LiberoTask) -> str:
    return task.definition().goal[0][1]


def _collect(config: LiberoObjectConfig, name: str) -> Path:
    """The dataset of one set."""
    tasks = trained_tasks(name, config.scenes)[: 1 if config.quick else None]
    suite = BASE if name == OFFICIAL else ANY_THING
    return demonstrations(
        config.out / "demonstrations", suite, config.world(TRAINED_STATES, (suite,)), tasks,
        episodes=-(-config.demonstrations // len(tasks)),
        expert=ExpertPolicy.Config(
            noise=config.noise, noise_hold=4, noise_episodes=0.7, noise_groups=("arm",)
        ),
    )  # fmt: skip


def _chooser(config: LiberoObjectConfig, label: str, dataset: Path) -> Path:
    """The model that the policy ``label`` begins with."""
    world = config.world(TRAINED_STATES, (BASE,)).build()
    interface = Interface(consumes=world.spec.observations, produces=ACTION_SPACE)
    world.close()
    model, data = config.model(label), shown(dataset, f"observation.{THINGS}", len(SLOT))
    key = config_hash([to_dict(model), dataset.parent.name, config.choosing, config.seed])
    return chooser(
        model, interface, data, config.out / "choosing" / f"{_file(label)}-{key}",
        steps=config.choosing, seed=config.seed,
    )  # fmt: skip


def plan_of(config: LiberoObjectConfig, conditions: Sequence[str]) -> list[EpisodePlan]:
    """The episodes of ``conditions``, scene by scene of a suite: a scene is slow to make."""
    plan: list[EpisodePlan] = []
    for suite in (BASE, *(f"{BASE}_{variant}" for variant in config.variants)):
        for scene in config.scenes:
            task = suite_tasks(suite)[scene]
            other = suite_tasks(f"{BASE}_task")[scene]
            for group in conditions:
                if CONDITIONS[group][0] != suite:
                    continue
                told = other if group == "other" else task
                words = "" if group == "silent" else told.definition().instruction
                plan.extend(
                    EpisodePlan(
                        task=Task(name=task.name, instruction=words),
                        seed=FIRST_EVALUATION_SEED + number, index=0, group=group,
                        instructed="" if group == "silent" else told.name,
                    )
                    for number in range(config.episodes)
                )  # fmt: skip
    return join(plan)


def _evaluate(
    config: LiberoObjectConfig, policies: Mapping[str, tuple[Policy | None, Path | None]]
) -> list[Evaluation]:
    """All policies on their conditions, in each scene one after another."""
    directory = config.out / "evaluation"
    directory.mkdir(exist_ok=True)
    rules = Rules(max_steps=config.max_steps, success_hold=0)
    plans = {name: plan_of(config, _RUN_BY[name]) for name in policies}
    evaluations: list[Evaluation] = []
    with WorldPool(config.world(TESTED_STATES, SUITES), 0) as pool, ExitStack() as stack:
        journals = {
            name: stack.enter_context(Journal.open(directory / f"{_file(name)}.sqlite"))
            for name in policies
        }
        acting: dict[str, Policy] = {
            name: policy or ExpertPolicy.Config().build(pool.spec)
            for name, (policy, _) in policies.items()
        }
        total = sum(map(len, plans.values()))
        listener = stack.enter_context(progress_bar("evaluation", total))
        places = dict.fromkeys(one.task.name for plan in plans.values() for one in plan)
        kept = {"provenance": provenance(config=config, worlds=[pool.spec]).to_dict()}
        for place in sorted(places, key=lambda name: SUITES.index(name.partition("/")[0])):
            for name, policy in acting.items():
                here = [one for one in plans[name] if one.task.name == place]
                if here:
                    rollout(
                        pool, policy, here, rules=rules, journal=journals[name],
                        listener=listener, provenance=kept,
                    )  # fmt: skip
        for name, policy in acting.items():
            dataset = policies[name][1]
            evaluation = evaluate(
                pool, policy, plans[name], rules=rules, journal=journals[name], provenance=kept,
                training=None if dataset is None else training_record([Dataset.open(dataset)]),
                held_out_wordings=False,
            )  # fmt: skip
            evaluations.append(replace(evaluation, policy=name))
            evaluations[-1].save(directory / f"{_file(name)}.json")
    return evaluations


def table(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """A row of JSON values for every policy and condition, with Wilson's 95 % interval."""
    rows: list[dict[str, Any]] = []
    for evaluation in evaluations:
        for group in dict.fromkeys(one.group for one in evaluation.episodes):
            found = evaluation.group(group)
            success = rate(one.success for one in found)
            rows.append(
                {
                    "policy": evaluation.policy,
                    "condition": group,
                    "successes": success.successes,
                    "episodes": success.episodes,
                    "low": round(success.interval.low, 4),
                    "high": round(success.interval.high, 4),
                    "grasped_target": sum("grasped_target" in one.events for one in found),
                    "grasped_other": sum("grasped_other" in one.events for one in found),
                }
            )
    return rows


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Conditions down, policies across: successes of episodes, and the interval."""
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    cells = {(row["policy"], row["condition"]): row for row in rows}
    lines = ["| | " + " | ".join(policies) + " |", "|---" * (len(policies) + 1) + "|"]
    for group, (_, what) in CONDITIONS.items():
        found = [cells.get((policy, group)) for policy in policies]
        if any(found):
            lines.append(f"| {what} | " + " | ".join(map(_cell, found)) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['successes']}/{row['episodes']} ({row['low']:.0%}-{row['high']:.0%})"


def _file(name: str) -> str:
    """A policy's name as that of a file."""
    return name.replace(",", "").replace(" ", "-")


class _Clock:
    """CPU seconds of this process, part by part, over interruptions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    @contextmanager
    def part(self, name: str) -> Generator[None]:
        begin = time.process_time()
        try:
            yield
        finally:
            spent = self.seconds.get(name, 0.0) + time.process_time() - begin
            self.seconds[name] = round(spent, 1)
            write_atomically(self.path, json.dumps(self.seconds, indent=1) + "\n")
