"""``enactive evaluate``: success rates of a policy on episodes it has never seen."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from enactive.cli.arguments import choose_parts, describe_choices, documentation, parse
from enactive.cli.loading import EVALUATION, JOURNAL, cores, known_tasks
from enactive.cli.mistakes import UserError, wiring
from enactive.cli.policies import BUILT_IN, REMOTE, find_policy, policy_of
from enactive.evaluation.plan import FIRST_EVALUATION_SEED, Rules
from enactive.registry import Registry

if TYPE_CHECKING:
    from enactive.evaluation.rollouts import Execute
    from enactive.evaluation.suites import Suite

PARTS = {
    "world": ("worlds", "metaworld"),
    "selection": ("selections", "single"),
    "remote": ("remotes", "openpi"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Roll a policy out on unseen seeds and wordings, and print success rates with intervals.

    POLICY is the run or checkpoint that `enactive train` made, one of expert, random and hold, a
    planner (react, plan_then_act, ...) that asks a language model (--model), or remote: whatever a
    server answers that speaks openpi's or vla-eval's protocol (--remote). World
    and tasks are by default those of the training data. Episodes that the policy was trained on are
    refused. An interrupted evaluation goes on where it stopped.

    Examples:
      enactive evaluate runs/policy --out runs/evaluation
      enactive evaluate runs/policy --tasks faucet-open --episodes 50 --out runs/faucet
      enactive evaluate expert --tasks drawer-open reach --out runs/expert
      enactive evaluate runs/policy --execute 1 --selection adaptive_ensemble --out runs/averaged
      enactive evaluate runs/policy --probe camera distractor --out runs/probes
      enactive evaluate runs/policy --swap faucet-open faucet-close --out runs/swap
      enactive evaluate remote --remote openpi --remote.url ws://127.0.0.1:8000 --world pusht \\
        --tasks all --out runs/served
      enactive evaluate expert --suite babyai-small --out runs/babyai
      enactive evaluate react --world workspace --tasks units-1 --workers 1 --out runs/react
      enactive evaluate runs/policy --ray --address auto --workers 64 --out runs/evaluation

    How many episodes to see a difference of 10 points over a policy that succeeds in 80 %?
      enactive evaluate --power --baseline 0.8 --difference 0.1
      enactive evaluate --power --baseline 0.8 --difference 0.1 --task-count 10 --likeness 0.1
      enactive evaluate --power --baseline 0.8 --margin 0.05
    """

    policy: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="POLICY")] = ""
    """A run or checkpoint directory, expert, random, hold, a planner's name, or remote."""
    out: Path | None = None
    """Directory; it gets journal.sqlite and evaluation.json."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks, or "all"; by default those of the training data."""
    suite: str = ""
    """A named list of tasks, e.g. mt10, babyai, crafter, libero_object: it names the world, and
    episodes, seeds, wordings and perturbations unless they are given."""
    episodes: int | None = None
    """Episodes of each task; by default the suite's, or 20."""
    first_seed: int | None = None
    """Seed of each task's first episode; the others follow it. By default the suite's, or
    1000000."""
    wording: Literal["held_out", "training", "canonical"] | None = None
    """Which wordings of the instructions the policy is told; by default the suite's, or those that
    are held out."""
    probe: tuple[str, ...] = ()
    """Perturbations: every episode is run again under each; a+b is both. Of the world ("all": each
    of them), or of pictures and commands in any world: blur, noise, exposure, cutout, latency, gain
    and actuation, e.g. blur-2 latency-1."""
    swap: tuple[str, ...] = ()
    """Two tasks that share a scene: episodes of each are also run with the other's instruction."""
    swap_stop: tuple[str, ...] = ()
    """Events that end a swapped episode, e.g. faucet_opened faucet_closed."""
    model: str = "embedded"
    """What a planner asks: embedded, openai:NAME@URL, or a GGUF file."""
    key: str = ""
    """With openai: the environment variable that holds the key."""
    execute: int = 8
    """Actions of a chunk that are executed before the policy looks again."""
    samples: int = 1
    """Candidates that a chunk policy draws at each prediction."""
    embodiment: str = ""
    """Which of a model's embodiments acts; by default the one whose actions the world accepts."""
    weights: Literal["auto", "ema", "model"] = "auto"
    """Averaged or last weights of a checkpoint; auto takes the average where there is one."""
    device: str = "cpu"
    """Where the model runs. On a GPU use a fixed number of workers for repeatable bits."""
    workers: int = dataclasses.field(default_factory=cores)
    """Worlds at a time, one process each; results do not depend on it."""
    ray: bool = False
    """Run the episodes on Ray, --workers at a time with one core each: on the cluster at --address,
    else on one started here. Results do not depend on it."""
    address: str = ""
    """Of a running Ray cluster, e.g. auto. Its machines must find the policy at the same path."""
    rules: Rules = Rules()
    """When an episode ends and what counts as success."""
    power: bool = False
    """Run nothing; say how many episodes would see --difference."""
    baseline: float = 0.8
    """With --power: success rate of the policy to improve on."""
    difference: float = 0.1
    """With --power: the difference to see."""
    unpaired: bool = False
    """With --power: the two policies do not share seeds."""
    correlation: float = 0.3
    """With --power: of the two policies' outcomes on one episode."""
    task_count: int = 0
    """With --power: answer for tasks like these, of which there are so many."""
    likeness: float = 0.1
    """With --task-count: intraclass correlation of the differences of one task."""
    margin: float | None = None
    """With --power: to show that a policy as good as the baseline is worse by less than this."""
    world: Any = None
    """The world, when it is named with --world."""
    selection: Any = None
    """How a chunk policy chooses what to execute, named with --selection."""
    remote: Any = None
    """How the server of the policy "remote" is reached, named with --remote."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    choices, rest = choose_parts(argv, PARTS)
    # Without --world the recorded world is used, and the options of another would be ignored.
    shown = choices["world"].given or "-h" in rest or "--help" in rest
    return parse(
        Arguments,
        rest,
        "evaluate",
        defaults={
            "world": choices["world"].config if shown else None,
            "selection": choices["selection"].config,
            "remote": choices["remote"].config if shown or REMOTE in rest else None,
        },
        description=f"{documentation(Arguments)}\n\n{describe_choices(PARTS, choices)}",
    )


def run(arguments: Arguments) -> int:
    """Evaluate, or say how many episodes it takes."""
    return power(arguments) if arguments.power else evaluate_policy(arguments)


def power(arguments: Arguments) -> int:
    """Print how many episodes see a difference, or rule one out."""
    from enactive.evaluation import power as planning

    baseline, difference = arguments.baseline, arguments.difference
    correlation, margin, tasks = arguments.correlation, arguments.margin, arguments.task_count
    with wiring():
        if margin is not None:
            print(f"To show a loss of less than {margin:.1%} from {baseline:.1%} at the 5 % level:")
            for goal in (0.8, 0.9):
                episodes = planning.smallest(
                    lambda n: planning.power_non_inferiority(
                        baseline, margin, n, correlation=correlation
                    ),
                    goal, 20_000, f"rule out a loss of {margin:g}",
                )  # fmt: skip
                print(f"  {episodes} shared episodes do with probability {goal:.2f}")
            return 0
        if tasks:
            print(
                f"To see {difference:+.1%} over {baseline:.1%} for tasks like these, {tasks} tasks:"
            )
            for episodes in (5, 10, 20, 50, 100):
                reached = planning.power_clustered(
                    baseline, difference, tasks, episodes, arguments.likeness, correlation
                )
                print(f"  {episodes} episodes of each see it with probability {reached:.2f}")
            return 0
        plans = [
            planning.episodes_needed(
                baseline, difference, power=goal, paired=not arguments.unpaired,
                correlation=correlation,
            )
            for goal in (0.8, 0.9)
        ]  # fmt: skip
        early = planning.sequential_plan(
            baseline, difference, 2 * plans[0].episodes, correlation=correlation
        )
    design = "on their own seeds" if arguments.unpaired else "on the same seeds"
    print(f"To see {difference:+.1%} over {baseline:.1%} at the 5 % level, both policies {design}:")
    for plan in plans:
        print(f"  {plan.episodes} episodes each see it with probability {plan.power:.2f}")
    if not arguments.unpaired:
        print(
            f"  enactive trial stops after {early.mean_pairs:.0f} on average of at most "
            f"{early.most_pairs}, and sees it with probability {early.power:.2f}"
        )
    return 0


def evaluate_policy(arguments: Arguments) -> int:
    """Roll the policy out, save and print what came out."""
    from enactive.episodes.journal import Journal
    from enactive.episodes.provenance import provenance
    from enactive.evaluation.evaluate import evaluate
    from enactive.evaluation.plan import Overlap, evaluation_plan, join, swap_plan
    from enactive.evaluation.progress import progress_bar
    from enactive.evaluation.results import summarise
    from enactive.evaluation.retention import (
        as_text,
        has_probes,
        probe_plan,
        probe_wording_of,
        retention,
    )
    from enactive.evaluation.rollouts import locally
    from enactive.policies.policy import WiringError
    from enactive.serving.remote import RemoteError
    from enactive.worlds.pool import WorldPool

    if not arguments.policy:
        raise UserError(
            f"name a policy: a run, a checkpoint, or one of {', '.join((*BUILT_IN, REMOTE))}"
        )
    if arguments.out is None:
        raise UserError("--out names the directory of the evaluation, e.g. --out runs/evaluation")
    if arguments.address and not arguments.ray:
        raise UserError("--address is of a Ray cluster; add --ray")
    if len(arguments.swap) % 2 or any(map(str.__eq__, arguments.swap[::2], arguments.swap[1::2])):
        raise UserError("--swap takes pairs of two tasks, e.g. --swap faucet-open faucet-close")
    found = find_policy(arguments)
    suite = _suite(arguments)
    wording = arguments.wording or (suite.wording if suite else "held_out")
    world = _world_of(suite, arguments.world, found.world)
    if world is None:
        raise UserError("--world names the world; the training data does not say which it was")
    asked = itertools.chain(arguments.probe, *(suite.perturbations if suite else ()))
    world = _disturbed(world, asked)
    with wiring():
        execute = _on_ray(arguments) if arguments.ray else locally
        pool = WorldPool(world, 0 if arguments.ray else arguments.workers)
    with pool:
        named = () if suite else arguments.tasks or found.tasks
        tasks = known_tasks(pool.spec, named)
        if not tasks and suite is None:
            raise UserError("--tasks names the tasks, e.g. --tasks drawer-open reach")
        known_tasks(pool.spec, arguments.swap)
        pairs = list(zip(arguments.swap[::2], arguments.swap[1::2], strict=True))
        with wiring():
            policy = found.build(pool.spec)
            episodes = 20 if arguments.episodes is None else arguments.episodes
            first = FIRST_EVALUATION_SEED if arguments.first_seed is None else arguments.first_seed
            plan = (
                evaluation_plan(pool.spec, tasks, episodes, first_seed=first, wording=wording)
                if suite is None
                else suite.plan(pool.spec)
            )
            swapped = swap_plan(
                pool.spec, pairs, episodes, first_seed=first,
                wording=wording, stop_on=arguments.swap_stop,
            )  # fmt: skip
            axes = {one.name: one.axis for one in pool.spec.perturbations}
            probes = (
                probe_plan(
                    plan, _probes(arguments.probe, axes), told=probe_wording_of(pool.spec.name)
                )
                if arguments.probe
                else []
            )
            for episode in probes:
                pool.spec.check_task(episode.task)
            plan = join(plan, probes, swapped)
            arguments.out.mkdir(parents=True, exist_ok=True)
            journal = Journal.open(arguments.out / JOURNAL)
        with journal, progress_bar("evaluation", len(plan)) as listener:
            try:
                evaluation = evaluate(
                    pool, policy, plan, rules=arguments.rules, training=found.training,
                    held_out_wordings=wording == "held_out", journal=journal,
                    listener=listener,
                    provenance={
                        **provenance(worlds=[pool.spec], parents=found.parents).to_dict(),
                        **found.provenance,
                        **({"perturbations": axes} if axes else {}),
                        **({"suite": suite.name} if suite else {}),
                    },
                    execute=execute,
                )  # fmt: skip
            except (Overlap, WiringError, RemoteError) as error:
                raise UserError(str(error)) from error
    file = arguments.out / EVALUATION
    evaluation.save(file)
    print_summary(summarise(evaluation.group()))
    if has_probes(evaluation):
        print(as_text(retention(evaluation, axes=axes)))
    print(f"{file}; next: enactive replay {arguments.out}, enactive report {arguments.out}")
    return 0


def _on_ray(arguments: Arguments) -> Execute:
    from enactive.evaluation.on_ray import on_ray

    return on_ray(
        functools.partial(policy_of, arguments), arguments.workers, arguments.address or None
    )


def _disturbed(world: Any, perturbations: Iterable[str]) -> Any:
    """The world with those perturbations that it knows nothing of, if probes ask for any."""
    from enactive.worlds.perturbed import PerturbedWorld, is_registered

    names = (name for several in perturbations for name in several.split("+"))
    axes = dict.fromkeys(name.rpartition("-")[0] for name in names if is_registered(name))
    return PerturbedWorld.Config(world=world, axes=tuple(axes)) if axes else world


def _probes(wanted: Sequence[str], known: Mapping[str, str]) -> list[tuple[str, ...]]:
    names = known if tuple(wanted) == ("all",) else wanted
    if not names:
        raise UserError(
            "--probe all: the world declares no perturbations; name some that fit any world, e.g. "
            "--probe blur-2 latency-2"
        )
    return [tuple(name.split("+")) for name in names]


def _suite(arguments: Arguments) -> Suite | None:
    """The suite that was asked for, with what was said otherwise."""
    from enactive.evaluation.suites import load_suite

    if not arguments.suite:
        return None
    if arguments.tasks:
        raise UserError("--suite names the tasks; leave --tasks out")
    with wiring():
        suite = load_suite(arguments.suite)
    said = {
        "episodes": arguments.episodes,
        "first_seed": arguments.first_seed,
        "wording": arguments.wording,
    }
    return dataclasses.replace(
        suite, **{name: value for name, value in said.items() if value is not None}
    )


def _world_of(suite: Suite | None, given: Any, trained: Any) -> Any:
    """The configuration of the world: the one given, the suite's, or that of the training data.

    A suite takes over how the training data's world was configured (cameras, states) if it is of
    that world.
    """
    if suite is None:
        return given or trained
    registry = Registry("worlds")
    for config in (given, trained):
        if config is not None and registry.name_of(config) == suite.world:
            return config
        if config is not None and config is given:
            raise UserError(
                f"suite {suite.name} is of the world {suite.world}, not {registry.name_of(given)}"
            )
    return registry.load(suite.world)()


def print_summary(summary: Any) -> None:
    """A table of rates with Wilson's intervals."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for title, side in (("task", "left"), ("success", "right"), ("95 % interval", "right")):
        table.add_column(title, justify=side)  # type: ignore[arg-type]
    for name, rate in [*summary.tasks.items(), ("all", summary.overall)]:
        low, high = rate.interval.low, rate.interval.high
        table.add_row(name, f"{rate.successes}/{rate.episodes}", f"{low:.0%} to {high:.0%}")
    Console().print(table)
