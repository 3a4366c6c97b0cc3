"""Forking agents' episodes: the same up to a point, and from there another way.

A fork keeps what led to the point and nothing else: of calls that ran side by side, those that the
point did not wait for are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from enactive.episodes.action_log import ActionLog, Entry
from enactive.models.language_models.language_model import LanguageModel
from enactive.policies.policy import Policy
from enactive.runtime.agent_run import AgentResult, AgentRun, MakePolicy
from enactive.runtime.loop import run_on_tape
from enactive.runtime.recorded import RecordedPolicy
from enactive.runtime.run import alone, header_of
from enactive.runtime.tape import Tape


def ancestors(entries: Sequence[Entry], at: str) -> list[Entry]:
    """What led to a point of an episode.

    Args:
        entries: of the episode.
        at: ``"7"``: everything before decision 7. ``"7.0.b"``: that, decision 7, and its call ``b``
            with the calls that it came after and the batches before.

    Raises:
        ValueError: there is no such point.
    """
    number, _, rest = at.partition(".")
    steps = sum(entry.kind == "step" for entry in entries)
    if not number.isdigit() or int(number) > steps:
        raise ValueError(
            f"at is {at!r}; the episode has the points 0 to {steps}, and calls, e.g. '0.0.0'"
        )
    kept = [entry for entry in entries if _number(entry) < int(number) or entry.kind == "reset"]
    if not rest:
        return kept
    batch, _, call = rest.partition(".")
    own = [entry for entry in entries if _number(entry) == int(number)]
    if not any(entry.kind == "result" and entry.path == at for entry in own):
        made = [entry.path for entry in own if entry.kind == "result"]
        raise ValueError(f"at is {at!r}; decision {number} made the calls {', '.join(made)}")
    wanted = _closure(own, batch, call)
    for entry in own:
        if entry.kind in ("model", "decision"):
            kept.append(entry)
        elif entry.kind in ("verdict", "intent", "result"):
            _, its_batch, its_call = entry.path.split(".", 2)
            if int(its_batch) < int(batch) or (its_batch == batch and its_call in wanted):
                kept.append(entry)
    return kept


def _closure(own: Sequence[Entry], batch: str, call: str) -> set[str]:
    """A call and all that it came after, of the first batch; programs' calls come after none."""
    action = next(entry.value["action"] for entry in own if entry.kind == "decision")
    while isinstance(action, dict) and set(action) == {"space", "action"}:
        action = action["action"]
    calls = action.get("calls", ()) if isinstance(action, dict) and batch == "0" else ()
    after = {str(one.get("id", i)): one.get("after", ()) for i, one in enumerate(calls)}
    wanted, new = {call}, [call]
    while new:
        more = set(after.get(new.pop(), ())) - wanted
        wanted |= more
        new += more
    return wanted


def _number(entry: Entry) -> int:
    return int(entry.path.partition(".")[0])


def _going_on(kept: Sequence[Entry], agent: AgentRun) -> MakePolicy:
    accepts = agent.world.spec.accepts

    def make(model: LanguageModel) -> Policy:
        return RecordedPolicy(kept, accepts, agent.policy(model))

    return make


async def fork(
    agent: AgentRun, log: ActionLog, id: str, at: str, *, into: str, decide: bool = False
) -> AgentResult:
    """Run a new episode that begins as another one did.

    Args:
        agent: what goes on. Task and seed are the parent's.
        log: holds the parent, and gets the fork.
        id: of the parent.
        at: where it leaves the parent, see :func:`ancestors`.
        into: id of the fork.
        decide: the policy is the parent's: it makes its decisions again, from recorded answers, and
            so remembers them. Otherwise the recorded decisions are executed and the policy begins
            where they end, with what is seen there.

    Raises:
        Diverged: the parent's beginning does not happen again.
        ValueError: there is no such point.
    """
    kept = ancestors(list(log.entries(id)), at)
    if not decide:
        kept = [entry for entry in kept if entry.kind != "model"]
        agent = dataclasses.replace(agent, policy=_going_on(kept, agent))
    with alone(log.path):
        header = header_of(agent) | {"parent": {"episode": id, "at": at}}
        episode = log.begin(into, header)
        for entry in kept:
            episode.add(entry.kind, entry.path, entry.body)
        episode.commit()
        return await run_on_tape(agent, Tape(log.entries(into), episode), into)
