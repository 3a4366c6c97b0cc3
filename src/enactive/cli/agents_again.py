"""Replaying and forking agents' runs, for the commands of these names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from enactive.cli.loading import ACTIONS, action_log_path
from enactive.cli.mistakes import UserError, wiring
from enactive.registry import suggest

if TYPE_CHECKING:
    from enactive.cli.fork import AgentArguments
    from enactive.cli.replay import Arguments


def replay_agents(path: Path, arguments: Arguments) -> int:
    """Replay episodes of an action log; 1 if anything differs."""
    import anyio
    from rich.console import Console
    from rich.progress import Progress

    from enactive.episodes.action_log import ActionLog
    from enactive.runtime.replay import replay
    from enactive.runtime.settings import settings_of

    equal = compared = 0
    with ActionLog(path) as log, Progress(transient=True, console=Console(stderr=True)) as bar:
        known = [episode.id for episode in log.episodes()]
        for id in arguments.episodes:
            if id not in known:
                raise UserError(f"--episodes: there is no {id!r}; {suggest(id, known)}")
        ids = list(arguments.episodes or known)[: arguments.limit]
        for id in bar.track(ids, description="replaying"):
            with wiring():
                agent = settings_of(log.episode(id).header).build(asks=False)
            try:
                decisions = arguments.decisions == "made"
                found = anyio.run(
                    lambda: replay(agent, log, id, decisions=decisions, again=arguments.again)  # noqa: B023
                )
            finally:
                agent.world.close()
            equal += found.equal
            compared += found.compared
            if not found.equal:
                bar.console.print(str(found), highlight=False, markup=False)
    print(f"{equal} of {len(ids)} episodes are bit-equal ({compared} entries compared)")
    return 0 if equal == len(ids) else 1


def fork_agent(arguments: AgentArguments) -> int:
    """Fork an agent's episode."""
    import anyio

    from enactive.episodes.action_log import ActionLog
    from enactive.models.language_models.language_model import ModelError
    from enactive.runtime.fork import fork
    from enactive.runtime.settings import settings_of
    from enactive.runtime.tape import Diverged

    path = action_log_path(arguments.recording)
    if path is None:
        raise UserError(f"{arguments.recording} has no {ACTIONS}")
    with ActionLog(path) as log:
        with wiring():
            settings = settings_of(log.episode(arguments.episode).header)
            if arguments.instruction is not None:
                settings = dataclasses.replace(settings, instruction=arguments.instruction)
            agent = settings.build()
        try:
            with wiring():
                result = anyio.run(
                    lambda: fork(
                        agent, log, arguments.episode, arguments.at, into=arguments.into,
                        decide=arguments.instruction is None,
                    )
                )  # fmt: skip
        except (Diverged, ModelError) as error:
            raise UserError(str(error)) from error
        finally:
            agent.world.close()
    print(f"{result.id}: {'success' if result.success else result.reason} "
          f"after {result.spent.steps} decisions")  # fmt: skip
    return 0
