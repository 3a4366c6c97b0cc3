"""``enactive fork``: go back to a step of a recorded episode and go on differently."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from enactive.cli.arguments import parse, parse_with_parts
from enactive.cli.loading import JOURNAL, action_log_path, check_recorded, recording_path
from enactive.cli.mistakes import UserError, wiring
from enactive.cli.policies import find_policy
from enactive.evaluation.plan import Rules

PARTS = {"selection": ("selections", "single")}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Bring a world to a step of a recorded episode, and let a policy go on from there.

    The recorded actions are executed from the recorded seed and every bit on the way is compared.
    The fork is an episode of its own: it can be replayed and forked again.

    Examples:
      enactive fork runs/evaluation main/faucet-open/1000000-1d0b3a51 --step 40 \\
        --policy runs/policy --instruction "turn the faucet off" --out runs/forks
      enactive fork runs/evaluation main/reach/1000003-5cc1c6aa --step 0 --policy expert \\
        --out runs/forks

    Agents' runs are forked at decisions and calls: `enactive fork runs/agent --help`.
    """

    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORDING")]
    """An evaluation or collection directory, a journal, or a dataset."""
    episode: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EPISODE")]
    """Id of the episode, as `enactive info RECORDING` lists it."""
    step: int
    """Steps of the episode that are kept."""
    policy: str
    """A run or checkpoint directory, or expert, random, hold."""
    out: Path
    """Directory whose journal.sqlite gets the new episode."""
    instruction: str | None = None
    """What the policy is told from there on; by default what it was told."""
    repeats: int = 1
    """Forks that differ in the policy's random numbers."""
    execute: int = 8
    """Actions of a chunk that are executed before the policy looks again."""
    samples: int = 1
    """Candidates that a chunk policy draws at each prediction."""
    embodiment: str = ""
    """Which of a model's embodiments acts; by default the one whose actions the world accepts."""
    weights: Literal["auto", "ema", "model"] = "auto"
    """Averaged or last weights of a checkpoint; auto takes the average where there is one."""
    device: str = "cpu"
    """Where the model runs."""
    rules: Rules = Rules()
    """When an episode ends and what counts as success."""
    selection: Any = None
    """How a chunk policy chooses what to execute, named with --selection."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AgentArguments:
    """Begin an agent's episode as another one did, and go on from there.

    The fork keeps what led to the point where it leaves, and nothing else: of calls that ran side
    by side, those that the point did not wait for are left out. What was recorded is gone through
    again and compared on the way.

    Examples:
      enactive fork runs/agent EPISODE --at 4 --into another-try
      enactive fork runs/agent EPISODE --at 4.0.1 --into after-the-second-call
      enactive fork runs/agent EPISODE --at 4 --into told-more --instruction "use the other shop"
    """

    recording: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORDING")]
    """Directory of an agent's run, or its action log."""
    episode: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EPISODE")]
    """Id of the episode, as `enactive trace RECORDING` lists it."""
    at: str
    """Where the fork leaves it: a decision's number, or the path of a call."""
    into: str
    """Id of the fork, an episode of the same log."""
    instruction: str | None = None
    """What the planner is told. If it is given, the planner begins where the recorded decisions
    end, with what is seen there; otherwise it remembers them."""


def read(argv: Sequence[str]) -> Arguments | AgentArguments:
    """The arguments that the words spell; which there are depends on what is forked."""
    named = bool(argv) and not argv[0].startswith("-")
    at = any(word.partition("=")[0] == "--at" for word in argv)  # agents' alone
    if at or (named and action_log_path(Path(argv[0])) is not None):
        return parse(AgentArguments, argv, "fork")
    return parse_with_parts(Arguments, argv, "fork", PARTS)


def run(arguments: Arguments | AgentArguments) -> int:
    """The command after its words were read."""
    if isinstance(arguments, AgentArguments):
        from enactive.cli.agents_again import fork_agent

        return fork_agent(arguments)
    from enactive.episodes.journal import Journal
    from enactive.evaluation.fork import NotReproduced, fork
    from enactive.evaluation.sources import headers, read_episode
    from enactive.evaluation.worlds import build_world

    if arguments.repeats < 1:
        raise UserError(f"--repeats must be at least 1, got {arguments.repeats}")
    found = find_policy(arguments)
    with wiring():
        path = recording_path(arguments.recording)
        check_recorded([arguments.episode], headers(path))
        parent = read_episode(path, arguments.episode)
        if not 0 <= arguments.step <= parent.length:
            raise UserError(f"--step must lie in [0, {parent.length}], got {arguments.step}")
        world = build_world(parent.header.world["config"])
        policy = found.build(world.spec)
        arguments.out.mkdir(parents=True, exist_ok=True)
        journal = Journal.open(arguments.out / JOURNAL)
    try:
        with journal:
            journal.drop_unfinished()
            for repeat in range(arguments.repeats):
                try:
                    forked = fork(
                        parent, arguments.step, policy, instruction=arguments.instruction,
                        rules=arguments.rules, repeat=repeat, world=world, journal=journal,
                        provenance=found.provenance,
                    )  # fmt: skip
                except NotReproduced as error:
                    raise UserError(str(error)) from error
                result = forked.result
                outcome = "success" if result.success else "no success"
                events = [f"{name} at {at}" for name, at in result.events.items()] or ["no events"]
                print(
                    f"{result.id}: {outcome} after {result.steps} steps ({events or 'no events'})"
                )
    finally:
        world.close()
    return 0
