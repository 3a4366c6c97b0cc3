"""A flow as a policy: its decisions are the flow's calls, its memory is the rest of the flow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.tools import Call, CallResult, Returned, ToolSpace, result_from_dict
from enactive.observations import Observation, ObservationSpec, Task
from enactive.policies.agents.flow import Flow, Result, usage
from enactive.policies.agents.flow_steps import Suspended, start
from enactive.policies.agents.record import Record


class Read(Protocol):
    """Finds in an observation what the calls of the last action came to."""

    def __call__(
        self, observation: Observation, calls: tuple[Call, ...], /
    ) -> Sequence[CallResult]: ...


def read_results(observation: Observation, calls: tuple[Call, ...], /) -> list[CallResult]:
    """Of worlds that say results as JSON in ``Observation.text``: ``{"value": ...}`` or
    ``{"failure": {...}}`` for one call, ``{"results": [...]}`` for several. A result in another
    form (cut off, say) is a value as it is.

    Raises:
        ValueError: the text is no such JSON, or has another number of results.
    """
    try:
        said: Any = json.loads(observation.text or "")
    except json.JSONDecodeError as error:
        raise ValueError(f"the world's text is no JSON; give FlowPolicy a read: {error}") from error
    many = isinstance(said, Mapping) and "results" in said and "value" not in said
    results = cast("list[Any]", said["results"]) if many else [said]
    if len(results) != len(calls):
        raise ValueError(f"{len(calls)} calls were made, and the world told {len(results)} results")
    return [
        result_from_dict(cast("Mapping[str, Any]", one))
        if isinstance(one, Mapping) and ("value" in one or "failure" in one)
        else Returned(value=one)
        for one in results
    ]


def tool_action(calls: tuple[Call, ...], /) -> dict[str, Any]:
    """Calls as an action of a :class:`~enactive.actions.tools.ToolSpace`."""
    if len(calls) == 1:
        return {"tool": calls[0].tool, "arguments": dict(calls[0].arguments)}
    return {"calls": [call.to_dict() for call in calls]}


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowMemory:
    """Where an episode's flow is."""

    seed: int
    reached: Suspended | Result[Any, Any] | None = None
    """``None`` before the first observation."""
    asked: tuple[Call, ...] = ()
    """The calls of the last action."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowPolicy:
    """Decides what a flow asks for, as many calls at once as the space allows.

    The memory is immutable, so an episode can be forked at every step. It is no JSON: whoever
    resumes an episode elsewhere gives the policy the recorded observations again, and the flow
    comes to the same place. What the flow lifts is then run again, completions included.
    """

    label: str
    """What reports call it."""
    flow: Callable[[Observation, int], Flow[Any, Any]]
    """Makes an episode's flow from the first observation and the episode's seed."""
    finish: Callable[[Result[Any, Any]], Any]
    """The action when the flow has ended, as long as the world goes on: an answer, say."""
    space: ActionSpace
    """What the world accepts; where it is no :class:`~enactive.actions.tools.ToolSpace`, calls are
    made one at a time."""
    state: Any = field(default_factory=Record)
    """Which the flow begins with; immutable."""
    encode: Callable[[tuple[Call, ...]], Any] = tool_action
    """Makes an action of calls."""
    read: Read = read_results
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values that decide what the flow does, for provenance."""

    @property
    def name(self) -> str:
        return self.label

    @property
    def consumes(self) -> ObservationSpec:
        return ObservationSpec()

    @property
    def produces(self) -> ActionSpace:
        return self.space

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "flow", "name": self.label, **self.settings}

    def begin(self, task: Task, seed: int) -> FlowMemory:
        return FlowMemory(seed=seed)

    def act(
        self, observations: Sequence[Observation], memories: Sequence[FlowMemory]
    ) -> list[Decision]:
        return [self._decide(*one) for one in zip(observations, memories, strict=True)]

    def _decide(self, observation: Observation, memory: FlowMemory) -> Decision:
        reached = memory.reached
        with usage() as used:
            if reached is None:
                reached = start(self.flow(observation, memory.seed), self.state)
            elif isinstance(reached, Suspended):
                results = self.read(observation, memory.asked)
                given = zip(memory.asked, results, strict=True)
                reached = reached.resume({call.id: result for call, result in given})
        if isinstance(reached, Suspended):
            most = self.space.parallel if isinstance(self.space, ToolSpace) else 1
            asked = reached.calls[:most]
            action = self.encode(asked)
        else:
            asked, action = (), self.finish(reached)
        return Decision(
            action=action,
            chain=Chain.raw(action, source=self.label),
            cost=Cost(
                tokens=sum(one.completion_tokens for one in used),
                prompt_tokens=sum(one.prompt_tokens for one in used),
                money=sum(one.money for one in used),
            ),
            memory=FlowMemory(seed=memory.seed, reached=reached, asked=asked),
        )
