"""A policy that decides what was decided before, and then perhaps lets another go on."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.tokens import ActionToken
from enactive.episodes.action_log import Entry
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.policy import Policy


def action_from(record: Any) -> Any:
    """The action that :func:`enactive.runtime.records.action_record` described."""
    if isinstance(record, Mapping) and set(cast("Mapping[str, Any]", record)) == _ARRAY:
        array = cast("Mapping[str, Any]", record)
        data = base64.b64decode(array["array"], validate=True)
        return np.frombuffer(data, np.dtype(array["dtype"])).reshape(array["shape"])
    return record


_ARRAY = {"array", "dtype", "shape"}


def decision_from(record: Mapping[str, Any]) -> Decision:
    """The decision that :func:`enactive.runtime.records.decision_record` described, without the
    milliseconds."""
    chain = None
    if "source" in record:
        chain = Chain.raw(action_from(record["action"]), record["source"])
    elif "chain" in record:
        chain = Chain(tuple(_token(data, record["action"]) for data in record["chain"]))
    action = action_from(record["action"])
    return Decision(action=action, chain=chain, cost=Cost(**record.get("cost", {})))


def _token(data: Mapping[str, Any], action: Any) -> ActionToken:
    whole = {"parents": [], "imagined": False, "score": None, "chosen": True, **data}
    if whole["content"] == {"action": True}:
        array = isinstance(action_from(action), np.ndarray)
        whole["content"] = action if array else {"json": action}
    return ActionToken.from_dict(whole)


@dataclass(frozen=True, slots=True)
class _Memory:
    """How many decisions have been played, and then the other policy's memory."""

    played: int
    inner: Any = None


class RecordedPolicy:
    """Plays recorded decisions.

    Args:
        entries: of an episode; its decisions are played in order.
        produces: the action space of the world.
        then: decides once they are used up, beginning afresh with what is seen there.
    """

    def __init__(
        self, entries: Iterable[Entry], produces: ActionSpace, then: Policy | None = None
    ) -> None:
        made = [entry.value for entry in entries if entry.kind == "decision"]
        self._decisions = [decision_from(record) for record in made]
        self._then = then
        self.produces = produces
        self.consumes = ObservationSpec() if then is None else then.consumes

    @property
    def name(self) -> str:
        """What goes on, or ``recorded``."""
        return "recorded" if self._then is None else self._then.name

    def describe(self) -> Mapping[str, Any]:
        """How many decisions are played, and what goes on."""
        then = {} if self._then is None else dict(self._then.describe())
        return {"played": len(self._decisions), **then}

    def begin(self, task: Task, seed: int) -> _Memory:
        """The first decision is next."""
        return _Memory(0, (task, seed))

    def act(
        self, observations: Sequence[Observation], memories: Sequence[_Memory]
    ) -> list[Decision]:
        """The next recorded decision of each episode.

        Raises:
            LookupError: there is none left, and nobody to go on.
        """
        pairs = zip(observations, memories, strict=True)
        return [self._one(seen, memory) for seen, memory in pairs]

    def _one(self, observation: Observation, memory: _Memory) -> Decision:
        number = memory.played
        if number < len(self._decisions):
            played = self._decisions[number]
            return Decision(
                action=played.action, chain=played.chain, cost=played.cost,
                memory=_Memory(number + 1, memory.inner),
            )  # fmt: skip
        if self._then is None:
            raise LookupError(f"only {number} decisions were recorded")
        inner = memory.inner
        if number == len(self._decisions):
            inner = self._then.begin(*memory.inner)
        decision = self._then.act([observation], [inner])[0]
        return Decision(
            action=decision.action, chain=decision.chain, cost=decision.cost,
            memory=_Memory(number + 1, decision.memory),
        )  # fmt: skip
