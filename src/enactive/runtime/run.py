"""Running agents' episodes: anew, after a crash, again, and from somewhere in between."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enactive.episodes.action_log import ActionLog, canonical
from enactive.episodes.journal import JournalError
from enactive.runtime.agent_run import AgentResult, AgentRun
from enactive.runtime.budget import Budget, Spent
from enactive.runtime.loop import run_on_tape
from enactive.runtime.tape import Difference, Diverged, Tape
from enactive.runtime.taped_model import TapedModel


async def run(agent: AgentRun, log: ActionLog, id: str) -> AgentResult:
    """Run a new episode.

    Raises:
        JournalError: the log has one of this id, or another process writes to the log.
        ModelError: a language model cannot answer; :func:`resume` goes on from there.
    """
    with alone(log.path):
        episode = log.begin(id, header_of(agent))
        return await run_on_tape(agent, Tape(log=episode), id)


async def resume(agent: AgentRun, log: ActionLog, id: str) -> AgentResult:
    """Go on with an episode that was cut off.

    What is recorded is gone through again: decisions are made and compared, calls on the world
    itself are made and compared, results of all others are taken from the log. Then it goes on.

    Raises:
        JournalError: there is none of this id, it has ended, or another process writes to the log.
        Diverged: it is not the same agent or world, or it does not do the same again.
    """
    with alone(log.path):
        episode = log.open(id)
        same_run(log.episode(id).header, header_of(agent))
        return await run_on_tape(agent, Tape(log.entries(id), episode), id)


def same_run(recorded: Any, now: Any) -> None:
    """Refuse to go on with an episode as another one: another world, task, policy, model or tools.

    Raises:
        Diverged: naming the field.
    """
    for key in ("format", "task", "seed", "policy_seed", "world", "policy", "model"):
        was, value = canonical(recorded.get(key)), canonical(now.get(key))
        if was != value:
            found = Difference(path=key, kind="reset", recorded=was.decode(), now=value.decode())
            raise Diverged(found)


def header_of(agent: AgentRun) -> dict[str, Any]:
    """The header of an agent's episode. The policy is made only to be described."""
    return agent.header(agent.policy(TapedModel(agent.model, Tape(), Budget(), Spent())))


@contextmanager
def alone(path: Path) -> Generator[None]:
    """Keep other processes from running episodes of the same log: a call must not be made by two.
    The lock goes with the process, however it dies."""
    with path.with_name(path.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(
                f"{path} is in use: another process runs an episode of it"
            ) from error
        yield
