"""INT-ACT: meaning the right thing and getting it done, measured apart.

"From Intention to Execution" (INT-ACT, 2025) finds that policies built on vision-language models
keep heading for the right thing when objects and scenes are new, and lose the execution; and that
the intention itself goes where odd wording meets distractors. Here a small policy whose trunk was
taught to point with many more things than its demonstrations show meets the same probes in the
tabletop, whose events tell the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from enactive.episodes.journal import Journal
from enactive.evaluation.claims.claim import Claim, Hypothesis, Measurement
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import Rules, evaluation_plan, join
from enactive.evaluation.results import EpisodeResult, Evaluation
from enactive.evaluation.retention import (
    PREFIX,
    SUCCESS,
    happened,
    probe_plan,
    probe_wording_of,
)
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.expert import ExpertPolicy
from enactive.policies.policy import Policy
from enactive.systems.experiment import LANES, WINDOWS, measurement
from enactive.systems.tabletop_policy import TASKS, WORLD, Recipe, imitate, shown, trunk
from enactive.worlds.pool import WorldPool
from enactive.worlds.tabletop.world import Tabletop

INTENTION = "approached_target"
"""The first thing that the gripper came near was the named one."""
EXECUTE = 4
"""Actions of a chunk of twelve that are executed before the policy looks again."""
SHIFTS: Mapping[str, tuple[str, ...]] = {
    "object": ("object-1", "object-3"),
    "visual": ("texture-2", "light-2"),
    "wording_distractor": ("wording-1+distractor-2",),
}
"""Kind of shift to its probes: new pairings of colour and shape and new colours, which the trunk
has seen; patterns and light that nothing has seen; held-out wordings among things that share the
named one's colour or shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much of everything a unit gets."""

    seeds: tuple[int, ...] = (1, 2, 3)
    recipe: Recipe = Recipe(steps=1500)
    tasks: tuple[str, ...] = TASKS
    episodes: int = 3
    """Of each task, under each probe and without."""
    max_steps: int = 90
    """The expert needs 54 at most."""


QUICK = Scale(
    seeds=(0,),
    recipe=Recipe(tasks=TASKS[:1], scenes=6, pointing=3, demonstrations=1, steps=3),
    tasks=TASKS[:1],
    episodes=1,
    max_steps=12,
)


def measure(arm: str, seed: int, directory: Path, shared: Path, scale: Scale) -> Measurement:
    """Train, and play every probe; or let the expert play them."""
    cost: Mapping[str, float] = {}
    world = WORLD
    policy: Policy
    if arm == "expert":
        world = replace(WORLD, cameras=())  # it does not look
        with WorldPool(world, 0) as pool:
            policy = ExpertPolicy.Config().build(pool.spec)
    else:
        trained = imitate(
            shared, directory / "policy", scale.recipe, seed=seed, frozen=arm == "frozen trunk"
        )
        cost = trained.cost
        world = replace(WORLD, privileged=False)
        policy = ChunkedPolicy(
            ChunkedPolicy.Config(execute=EXECUTE, batch_size=LANES), trained.model
        )
    evaluation = _probed(policy, world, directory, seed, scale)
    outcomes: dict[str, float] = {}
    for kind in ("", *SHIFTS):
        chosen = episodes_of(evaluation, kind)
        for name, event in (("intention", INTENTION), ("success", SUCCESS)):
            rate = sum(happened(one, event) for one in chosen) / len(chosen)
            outcomes[f"{name}_{kind}" if kind else name] = rate
    return measurement(evaluation, cost, outcomes)


def episodes_of(evaluation: Evaluation, kind: str) -> list[EpisodeResult]:
    """All episodes of a kind of shift, won or lost; of none for the empty name."""
    groups = [PREFIX + probe for probe in SHIFTS[kind]] if kind else ["main"]
    return [one for one in evaluation.episodes if one.group in groups]


def retained(found: Measurement, name: str, kind: str) -> float:
    """Rate under a shift over the rate without; 0 where there was nothing to retain."""
    before = found.outcome(name)
    return found.outcome(f"{name}_{kind}") / before if before > 0 else 0.0


def _probed(
    policy: Policy, world: Tabletop.Config, directory: Path, seed: int, scale: Scale
) -> Evaluation:
    directory.mkdir(parents=True, exist_ok=True)
    with (
        WorldPool(world, 0, local=LANES) as pool,
        Journal.open(directory / "journal.sqlite") as journal,
    ):
        plan = evaluation_plan(
            pool.spec, scale.tasks, scale.episodes, first_seed=1_000_000 + 1000 * seed,
            wording="canonical",
        )  # fmt: skip
        names = [tuple(probe.split("+")) for probes in SHIFTS.values() for probe in probes]
        probes = probe_plan(plan, names, told=probe_wording_of("tabletop"))
        evaluation = evaluate(
            pool, policy, join(plan, probes), rules=Rules(max_steps=scale.max_steps),
            held_out_wordings=False, journal=journal,
        )  # fmt: skip
    evaluation.save(directory / "evaluation.json")
    return evaluation


def claim(quick: bool = False) -> Claim:
    """What INT-ACT finds, with a policy that a laptop trains."""
    scale = QUICK if quick else Scale()

    def prepare(shared: Path) -> None:
        shown(shared, scale.recipe)
        trunk(shared, scale.recipe)

    def run(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        return measure(arm, seed, directory, shared, scale)

    def kept(arm: str, name: str, kind: str) -> Callable[[Mapping[str, Measurement]], float]:
        return lambda found: retained(found[arm], name, kind)

    def object_and_visual(name: str) -> Callable[[Mapping[str, Measurement]], float]:
        return lambda found: (
            sum(retained(found["fine-tuned trunk"], name, kind) for kind in ("object", "visual"))
            / 2
        )

    def gained(name: str) -> Callable[[Mapping[str, Measurement]], float]:
        """Mean over object and visual shift of what freezing the trunk adds to the rate."""
        return lambda found: (
            sum(
                found["frozen trunk"].outcome(f"{name}_{kind}")
                - found["fine-tuned trunk"].outcome(f"{name}_{kind}")
                for kind in ("object", "visual")
            )
            / 2
        )

    recipe = scale.recipe
    step = 1 / (scale.episodes * len(scale.tasks))
    return Claim(
        system="int-act",
        title="INT-ACT: intention and execution under probes",
        statement=(
            "Where objects or looks are new, a policy with a broadly taught trunk keeps heading "
            "for the named thing and no longer gets it done; where held-out wording meets "
            "distractors, the intention goes too; a frozen trunk helps the intention and not the "
            "execution."
        ),
        source="From Intention to Execution: Probing the Generalization Boundaries of "
        "Vision-Language-Action Models (INT-ACT, 2025): 50 probes in SimplerEnv",
        world=f"Tabletop, one camera of {WORLD.image_size} pixels and proprioception; one policy "
        f"of {len(recipe.tasks)} tasks from {recipe.demonstrations} demonstrations of each, "
        f"evaluated on {', '.join(scale.tasks)}, unperturbed and under "
        f"{', '.join(probe for probes in SHIFTS.values() for probe in probes)}",
        arms={
            "fine-tuned trunk": "the trunk that points, trained on with everything else",
            "frozen trunk": "the trunk that points, as it is; the rest is trained",
            "expert": "the scripted expert, which sees the simulator's truth, on the same episodes",
        },
        controls={
            "a checkpoint that was picked on the probes": "the last one is evaluated, with "
            "averaged weights; nothing is chosen",
            "intention measured on successful episodes": "of all episodes, won or lost",
            "too few episodes": "the interval is over seeds; retention is of rates over "
            f"{scale.episodes * len(scale.tasks)} episodes without a shift and as many under each "
            "probe, on the same starts",
            "a probe that is harder for anybody": "the expert plays every probe; its retention has "
            "a hypothesis of its own",
            "a trunk that has never met the thing": "pointing was taught with pairings and colours "
            "that no demonstration has",
        },
        hypotheses=(
            Hypothesis(
                name="intention stays",
                statement="Under object and visual shift at least 0.9 of the intention is retained",
                value=object_and_visual("intention"),
                direction="greater",
                threshold=0.9,
                unit="of the rate",
                resolution=step,
            ),
            Hypothesis(
                name="execution goes",
                statement="and at most 0.6 of the success",
                value=object_and_visual("success"),
                direction="less",
                threshold=0.6,
                unit="of the rate",
                resolution=step,
            ),
            Hypothesis(
                name="wording among distractors",
                statement="Under held-out wording among distractors less than 0.6 of the intention "
                "is retained",
                value=kept("fine-tuned trunk", "intention", "wording_distractor"),
                direction="less",
                threshold=0.6,
                unit="of the rate",
                resolution=step,
            ),
            Hypothesis(
                name="probes are fair",
                statement="The expert retains at least 0.9 of its success under every kind of "
                "shift",
                value=lambda found: min(
                    retained(found["expert"], "success", kind) for kind in SHIFTS
                ),
                direction="greater",
                threshold=0.9,
                unit="of the rate",
                resolution=step,
            ),
            Hypothesis(
                name="freezing helps intention",
                statement="Under object and visual shift the frozen trunk's intention is better",
                value=gained("intention"),
                direction="greater",
                threshold=0.0,
                unit="intention rate",
                primary=False,
                resolution=step,
            ),
            Hypothesis(
                name="freezing does not help execution",
                statement="and its success is better by less than 0.1",
                value=gained("success"),
                direction="less",
                threshold=0.1,
                unit="success rate",
                primary=False,
                resolution=step,
            ),
        ),
        seeds=scale.seeds,
        budget=f"{recipe.steps} optimizer steps of {WINDOWS} windows, the same demonstrations, "
        f"trunk and parameters, {scale.episodes} episodes of each task under each probe",
        measure=run,
        prepare=prepare,
        parts={
            "trunk": "enactive.systems.pointing",
            "policy": "enactive.systems.tabletop_policy",
            "retention": "enactive.evaluation.retention",
            "perturbations": "enactive.worlds.tabletop.perturbations",
        },
        earlier_runs=(
            "A policy of an earlier recipe (seed 0, frozen trunk, pictures of 64 pixels, fewer "
            "demonstrations, pushes among its tasks, other episodes) was probed before this was "
            "declared. It kept 0.63 of its 10 successes in 30 over three probes of objects, 0.50 "
            "and 0.60 under light-2 and texture-2, and 0.10 under held-out wording among "
            "distractors. The first two thresholds are the paper's findings as we stated them "
            "before that.",
            "The present recipe with seed 100, a frozen trunk and 4000 steps on other episodes, "
            "without probes: 31 of 60 succeeded and 56 approached the named thing first, where "
            "policies of 64 pixels had won 22 of 42. Before that, policies that predicted single "
            "displacements or learned for 1500 and 2500 steps, to find a recipe that gets anything "
            "done; they won none of 18 pushes, so there are none here.",
            "Steps and episodes were then set to what can be run in an hour or two on a busy "
            "machine: fewer than the page on probes has. Four seeds were declared at first; when "
            "the first was measured, and before any outcome was read, they were made three.",
        ),
        not_tried=(
            "vision-language models as trunks, SimplerEnv, language that needs common sense or "
            "negation",
            "several trunks: all seeds begin with the same one, as fine-tuned models do",
            "the axes camera, dynamics, reach and target, which the page on probes measures",
        ),
        scale_note="The paper fine-tunes models of billions of parameters on BridgeData; here "
        "0.4 million parameters, a trunk that learned to point from "
        f"{recipe.scenes} pictures, and {recipe.demonstrations * len(recipe.tasks)} "
        "demonstrations.",
    )
