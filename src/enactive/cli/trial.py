"""``enactive trial``: two policies head to head, registered first, stopped when it is decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from enactive.cli.arguments import parse_with_parts
from enactive.cli.loading import cores, known_tasks
from enactive.cli.mistakes import UserError, wiring
from enactive.cli.policies import find_policy
from enactive.evaluation.plan import FIRST_EVALUATION_SEED, Rules

PARTS = {"world": ("worlds", "metaworld"), "selection": ("selections", "single")}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Compare two policies on the same episodes, and stop as soon as the comparison is decided.

    Each policy is a run or checkpoint that `enactive train` made, or one of expert, random, hold.
    Hypothesis, policies, protocol, episodes and analysis are written to registration.json and
    hashed before the first episode; a run refuses to go on under a changed file. The policies play
    alternating blocks of the episodes in a random order, and after every block the evidence is
    looked at. However often that happens, the probability to declare one better while they are
    equally good stays below --significance. Every block goes to log.jsonl, in which each entry
    holds the hash of the one before; verdict.json states the plan's hash and every deviation.

    Examples:
      enactive trial runs/baseline runs/candidate --episodes 200 --out runs/trial
      enactive trial runs/policy expert --tasks reach --margin 0.1 --out runs/close-enough
      enactive trial runs/baseline runs/candidate --episodes 50 --fixed --out runs/fixed
      enactive trial runs/baseline runs/candidate --register --out runs/trial
    """

    baseline: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="BASELINE")]
    """The first policy."""
    candidate: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CANDIDATE")]
    """The second policy."""
    out: Path
    """Directory of the trial."""
    hypothesis: str = ""
    """In words, what is expected; part of the registration."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks, or "all"; by default those of the candidate's training data."""
    episodes: int = 100
    """Episodes of each task at most."""
    significance: float = 0.05
    """Largest probability of declaring one better while they are equally good."""
    margin: float | None = None
    """Stop as well once the difference is shown to be smaller than this, e.g. 0.1."""
    block: int = 5
    """Episodes that a policy plays before the other's turn."""
    fixed: bool = False
    """Play all episodes and judge once: more power for the same episodes, and no early stop."""
    register: bool = False
    """Write the registration and run nothing; the same command without it runs."""
    first_seed: int = FIRST_EVALUATION_SEED
    """Seed of each task's first episode; the others follow it."""
    order_seed: int = 0
    """Seed of the order in which the episodes are run."""
    wording: Literal["held_out", "training", "canonical"] = "held_out"
    """Which wordings of the instructions the policies are told."""
    execute: int = 8
    """Actions of a chunk that are executed before a policy looks again."""
    samples: int = 1
    """Candidates that a chunk policy draws at each prediction."""
    embodiment: str = ""
    """Which of a model's embodiments acts; by default the one whose actions the world accepts."""
    weights: Literal["auto", "ema", "model"] = "auto"
    """Averaged or last weights of a checkpoint; auto takes the average where there is one."""
    device: str = "cpu"
    """Where the models run."""
    workers: int = dataclasses.field(default_factory=cores)
    """Worlds at a time, one process each; results do not depend on it."""
    rules: Rules = Rules()
    """When an episode ends and what counts as success."""
    world: Any = None
    """The world, when it is named with --world."""
    selection: Any = None
    """How a chunk policy chooses what to execute, named with --selection."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse_with_parts(Arguments, argv, "trial", PARTS, recorded=("world",))


def run(arguments: Arguments) -> int:
    """Register, run, and say what came out."""
    from enactive.episodes.provenance import provenance
    from enactive.evaluation.hash_chain import ChainBroken
    from enactive.evaluation.plan import check_unseen, evaluation_plan
    from enactive.evaluation.progress import progress_bar
    from enactive.evaluation.registration import Analysis, RegistrationError, register, shuffled
    from enactive.evaluation.sequential import StoppingRule
    from enactive.evaluation.sequential_comparison import make_registration, run_trial
    from enactive.policies.policy import WiringError
    from enactive.worlds.pool import WorldPool

    found = [find_policy(arguments, name) for name in (arguments.baseline, arguments.candidate)]
    world = arguments.world or found[1].world or found[0].world
    if world is None:
        raise UserError("--world names the world; the training data does not say which it was")
    with wiring():
        pool = WorldPool(world, arguments.workers)
    with pool:
        tasks = known_tasks(pool.spec, arguments.tasks or found[1].tasks or found[0].tasks)
        if not tasks:
            raise UserError("--tasks names the tasks, e.g. --tasks drawer-open reach")
        with wiring():
            first, second = (one.build(pool.spec) for one in found)
            plan = evaluation_plan(
                pool.spec, tasks, arguments.episodes,
                first_seed=arguments.first_seed, wording=arguments.wording,
            )  # fmt: skip
            for one in found:
                if one.training is not None:
                    check_unseen(plan, one.training, held_out=arguments.wording == "held_out")
            analysis = Analysis(
                rule=StoppingRule(significance=arguments.significance, margin=arguments.margin),
                sequential=not arguments.fixed,
                block=arguments.block,
            )
            registration = make_registration(
                pool, first, second, shuffled(plan, arguments.order_seed), analysis,
                rules=arguments.rules, hypothesis=arguments.hypothesis,
                names=(arguments.baseline, arguments.candidate),
            )  # fmt: skip
            log = register(arguments.out, registration)
        print(f"registered {registration.hash} in {arguments.out}; publish this hash")
        if arguments.register:
            return 0
        with progress_bar("trial", 2 * len(plan)) as listener:
            try:
                verdict = run_trial(
                    arguments.out, pool, first, second, rules=arguments.rules, listener=listener,
                    provenance=provenance(
                        worlds=[pool.spec],
                        parents={name: hash for one in found for name, hash in one.parents.items()},
                    ).to_dict(),
                )  # fmt: skip
            except (RegistrationError, ChainBroken, WiringError) as error:
                raise UserError(str(error)) from error
    print(verdict.sentence)
    print(f"plan {verdict.registration}\nlog  {verdict.head} ({log.path})")
    for deviation in verdict.deviations or ("none",):
        print(f"deviation: {deviation}")
    return 0
