"""Replaying agents' episodes: does the same happen again?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enactive.actions.spaces import ActionSpace
from enactive.episodes.action_log import ActionLog, Entry
from enactive.models.language_models.language_model import LanguageModel
from enactive.policies.policy import Policy
from enactive.runtime.agent_run import AgentRun, MakePolicy
from enactive.runtime.loop import run_on_tape
from enactive.runtime.recorded import RecordedPolicy
from enactive.runtime.tape import Difference, Diverged, ReplayEnded, Tape


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentReplay:
    """What replaying one episode showed."""

    id: str
    equal: bool
    """Nothing differed, and all that was recorded happened again."""
    compared: int
    """Entries that were compared and found equal."""
    difference: Difference | None = None
    """The first place where something differs."""
    missing: int = 0
    """Recorded entries that did not happen again."""
    surroundings: tuple[str, ...] = ()
    """What of world, tools and packages is not as it was when it was recorded."""

    def __str__(self) -> str:
        if self.equal:
            return f"{self.id}: {self.compared} entries are equal"
        lines = [f"{self.id}: {self.difference or f'{self.missing} entries did not happen again'}"]
        return "\n  ".join([*lines, *self.surroundings])


async def replay(
    agent: AgentRun, log: ActionLog, id: str, *, decisions: bool = True, again: bool = False
) -> AgentReplay:
    """Execute an episode again from its seed and compare everything with what was recorded.

    Calls on the episode's own world are made again. What language models answered, what calls
    outside the world returned, and what checks said is taken from the log.

    Args:
        agent: as it was; its model is not asked.
        log: holds the episode, which may have been cut off.
        id: of the episode.
        decisions: let the policy decide again, too, and compare; otherwise the recorded decisions
            are executed, which needs no policy.
        again: make calls again that read something outside the world, and compare.
    """
    recorded = list(log.entries(id))
    header = log.episode(id).header
    agent = dataclasses.replace(agent, model=None, doubt=None, policy_seed=header["policy_seed"])
    if not decisions:
        agent = dataclasses.replace(agent, policy=_playing(recorded, agent.world.spec.accepts))
        recorded = [entry for entry in recorded if entry.kind != "model"]
    tape = Tape(recorded)
    found: Difference | None = None
    try:
        await run_on_tape(agent, tape, id, again=again)
    except Diverged as diverged:
        found = diverged.difference
    except (ReplayEnded, LookupError):
        pass  # the recording was cut off here
    missing = len(tape.left())
    return AgentReplay(
        id=id,
        equal=found is None and missing == 0,
        compared=tape.compared,
        difference=found,
        missing=missing,
        surroundings=surroundings(header, agent),
    )


def _playing(recorded: Sequence[Entry], produces: ActionSpace) -> MakePolicy:
    def make(model: LanguageModel) -> Policy:
        return RecordedPolicy(recorded, produces)

    return make


def surroundings(header: Mapping[str, Any], agent: AgentRun) -> tuple[str, ...]:
    """What of the world and the packages is not as a header says."""
    spec = agent.header_of_world()
    lines = [
        f"{key} of the world was {was!r}, is {spec[key]!r}"
        for key, was in header["world"].items()
        if spec.get(key) != was
    ]
    for key in ("packages", "python", "platform", "git_commit"):
        was, now = header["provenance"].get(key), agent.provenance.get(key)
        if was is None or now is None or was == now:
            continue
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
            lines += [f"{name} was {was.get(name)}, is {now.get(name)}" for name in names]
        else:
            lines.append(f"{key} was {was}, is {now}")
    return tuple(lines)
