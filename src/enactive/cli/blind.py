"""``enactive blind``: several policies under aliases, revealed when all is done."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from enactive.cli.arguments import parse_with_parts
from enactive.cli.loading import cores, known_tasks
from enactive.cli.mistakes import UserError, wiring
from enactive.cli.policies import find_policy
from enactive.cli.trial import PARTS
from enactive.evaluation.plan import FIRST_EVALUATION_SEED, Rules


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Evaluate policies blindly: under aliases, in groups, with a log that proves it.

    Each POLICY is a run or checkpoint that `enactive train` made, or one of expert, random, hold;
    a policy named twice takes part twice, which tests the protocol itself. Aliases are drawn at
    random and committed to first; the starts are shuffled, and within each the policies, in groups
    of up to eight, balanced; outcomes go to blind.jsonl under aliases, each entry with the hash of
    the one before; the aliases are revealed last. --verify reads the log of a directory, says
    whether it proves all that, and shows the rates and every paired difference.

    With --raters people judge success. Everything is played first, and nothing is revealed; then
    each of them runs --rate, sees alias, instruction and video of every trial, and answers. The
    last one to hand in reveals the policies. Ratings are kept as they are given: one may stop at
    any time, and go on with the same command.

    Examples:
      enactive blind runs/one runs/two runs/three --episodes 30 --out runs/blind
      enactive blind expert expert --tasks reach --out runs/aa
      enactive blind --verify runs/blind
      enactive blind --verify runs/blind --head 8f3a

    Rated by two people, who also say how far failures came:
      enactive blind runs/one runs/two --raters anna ben --stages touched lifted --out runs/rated
      enactive blind --rate runs/rated --rater anna
    """

    policies: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="POLICY")] = ()
    """Two or more policies."""
    out: Path | None = None
    """Directory of the evaluation."""
    verify: Path | None = None
    """Run nothing; check the log in this directory."""
    head: str | None = None
    """With --verify: the published hash of the log's last entry, or its first digits."""
    raters: tuple[str, ...] = ()
    """Who judges success, by name; by default the world's own test does."""
    stages: tuple[str, ...] = ()
    """With --raters: how far a failure may have come, in order."""
    hide_aliases: bool = False
    """With --raters: show them the number of a trial and no alias, to which a guess could stick."""
    rate: Path | None = None
    """Run nothing; rate the trials that were played in this directory."""
    rater: str = ""
    """With --rate: who rates; may be left out where there is one rater only."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks, or "all"; by default those of the first policy's training data."""
    episodes: int = 20
    """Starts of each task."""
    first_seed: int = FIRST_EVALUATION_SEED
    """Seed of each task's first start; the others follow it."""
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
    return parse_with_parts(Arguments, argv, "blind", PARTS, recorded=("world",))


def run(arguments: Arguments) -> int:
    """Run the evaluation, or rate or verify one."""
    if arguments.verify is not None:
        return verify(arguments.verify, arguments.head)
    if arguments.rate is not None:
        from enactive.cli.rating import rate

        return rate(arguments.rate, arguments.rater)
    return evaluate_blindly(arguments)


def verify(directory: Path, head: str | None) -> int:
    """Check a log and print what it proves and says; 1 where it fails to prove something."""
    from enactive.evaluation.blind import LOG
    from enactive.evaluation.blind_log import as_text, verify_blind

    if not (directory / LOG).is_file():
        raise UserError(f"{directory}: there is no {LOG}, the log of a blind evaluation")
    result = verify_blind(directory)
    if head is not None and not result.head.startswith(head):
        result = verify_blind(directory, head=head)
    print(as_text(result))
    return 1 if result.problems else 0


def evaluate_blindly(arguments: Arguments) -> int:
    """Run every policy on every start."""
    from enactive.evaluation.blind import BlindError, Judges, run_blind
    from enactive.evaluation.hash_chain import ChainBroken
    from enactive.evaluation.plan import check_unseen, evaluation_plan
    from enactive.evaluation.progress import progress_bar
    from enactive.policies.policy import WiringError
    from enactive.worlds.pool import WorldPool

    if len(arguments.policies) < 2:
        raise UserError(
            "name two or more policies, e.g. enactive blind runs/one runs/two --out DIR"
        )
    if arguments.out is None:
        raise UserError("--out names the directory of the evaluation, e.g. --out runs/blind")
    names = _distinct(arguments.policies)
    found = {
        name: find_policy(arguments, word)
        for name, word in zip(names, arguments.policies, strict=True)
    }
    world = arguments.world or next((one.world for one in found.values() if one.world), None)
    if world is None:
        raise UserError("--world names the world; the training data does not say which it was")
    with wiring():
        pool = WorldPool(world, arguments.workers)
    with pool:
        trained = next((one.tasks for one in found.values() if one.tasks), ())
        tasks = known_tasks(pool.spec, arguments.tasks or trained)
        if not tasks:
            raise UserError("--tasks names the tasks, e.g. --tasks drawer-open reach")
        with wiring():
            policies = {name: one.build(pool.spec) for name, one in found.items()}
            plan = evaluation_plan(
                pool.spec, tasks, arguments.episodes,
                first_seed=arguments.first_seed, wording=arguments.wording,
            )  # fmt: skip
            for one in found.values():
                if one.training is not None:
                    check_unseen(plan, one.training, held_out=arguments.wording == "held_out")
        with progress_bar("blind", len(plan) * len(policies)) as listener:
            try:
                run_blind(
                    arguments.out, pool, policies, plan, rules=arguments.rules, listener=listener,
                    judges=Judges(
                        raters=arguments.raters, stages=arguments.stages,
                        hide_aliases=arguments.hide_aliases,
                    ),
                )  # fmt: skip
            except (WiringError, ChainBroken, BlindError) as error:
                raise UserError(str(error)) from error
    if arguments.raters:
        for rater in arguments.raters:
            print(
                f"to be rated: enactive blind --rate {arguments.out} --rater {shlex.quote(rater)}"
            )
        return 0
    return verify(arguments.out, None)


def _distinct(words: Sequence[str]) -> list[str]:
    """Names for the policies; one that is named again gets a number."""
    return [
        word if words.count(word) == 1 else f"{word} #{words[: place + 1].count(word)}"
        for place, word in enumerate(words)
    ]
