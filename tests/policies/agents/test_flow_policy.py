"""A flow that decides in a world of tools: batched, forked, and beyond what one action may call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enactive.actions.toolbox import BoundTool, Toolbox
from enactive.actions.tools import Call, Failure, Returned, Tool, ToolSpace, result_to_dict
from enactive.observations import Observation, Task
from enactive.policies.agents.flow import Ok, call, do, gather, modify, pure
from enactive.policies.agents.flow_policy import FlowPolicy, read_results
from enactive.policies.agents.merges import by_key, total
from enactive.policies.agents.record import Record
from enactive.policies.policy import Policy
from enactive.worlds.tool_world import call_in_order

TASK = Task(name="add", instruction="")
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLBOX = Toolbox(
    (
        BoundTool(tool=Tool(name="double", description="", input_schema=NUMBER),
                  function=lambda n: 2 * n),
        BoundTool(tool=Tool(name="reciprocal", description="", input_schema=NUMBER),
                  function=lambda n: 1 / n),
        BoundTool(tool=Tool(name="answer", description="", input_schema=TEXT),
                  function=lambda text: text),
    )
)  # fmt: skip


@do
async def _one(n: int) -> int:
    doubled = await call("double", n=n)
    await modify(lambda state: state | {"calls": state["calls"] + 1})
    return doubled


@do
async def _plan(several: int) -> int:
    found = await gather([_one(n) for n in range(several)], merge=by_key(calls=total))
    inverse = await call("reciprocal", n=0).otherwise(pure(1))
    return sum(found) + inverse


def policy(parallel: int) -> FlowPolicy:
    return FlowPolicy(
        label="doubling",
        flow=lambda observation, seed: _plan(int(observation.instruction)),
        finish=lambda end: {"tool": "answer", "arguments": {"text": repr(end)}},
        space=TOOLBOX.space(parallel),
        state=Record({"calls": 0}),
    )


def told(space: ToolSpace, action: Any) -> Observation:
    """What a world of tools says after an action."""
    assert space.problem(action) == ""
    results = [result_to_dict(one) for one in call_in_order(TOOLBOX, space.calls(action), "0")]
    return Observation(text=json.dumps(results[0] if len(results) == 1 else {"results": results}))


@pytest.mark.parametrize(("parallel", "actions"), [(1, 7), (2, 5), (4, 4), (9, 3)])
def test_an_episode(parallel: int, actions: int) -> None:
    decides = policy(parallel)
    assert isinstance(decides, Policy)
    memory, observation = decides.begin(TASK, 0), Observation(instruction="5")
    for _ in range(actions):
        (decision,) = decides.act([observation], [memory])
        assert decision.chain is not None
        assert decision.chain.final.to_dict(text=False)["content"] == {"json": decision.action}
        memory, observation = decision.memory, told(decides.space, decision.action)
    end = Ok(state=Record({"calls": 5}), value=21)
    assert decision.action == {"tool": "answer", "arguments": {"text": repr(end)}}
    (again,) = decides.act([observation], [memory])
    assert again.action == decision.action, "it answers as long as it is asked"


def test_episodes_share_nothing() -> None:
    """Batched, interleaved and forked, an episode decides as it does alone."""
    decides = policy(2)

    def alone(several: str) -> list[Any]:
        memory, seen, actions = decides.begin(TASK, 0), Observation(instruction=several), []
        for _ in range(6):
            (decision,) = decides.act([seen], [memory])
            actions.append(decision.action)
            memory, seen = decision.memory, told(decides.space, decision.action)
        return actions

    memories = [decides.begin(TASK, 0) for _ in range(3)]
    seen = [Observation(instruction=n) for n in "135"]
    actions: list[list[Any]] = [[], [], []]
    for _ in range(6):
        first = decides.act(seen, memories)
        decisions = decides.act(seen, memories)  # the same memory gives the same decision
        assert [one.action for one in first] == [one.action for one in decisions]
        for i, one in enumerate(decisions):
            actions[i].append(one.action)
        memories = [one.memory for one in decisions]
        seen = [told(decides.space, one.action) for one in decisions]
    assert actions == [alone(n) for n in "135"]


def test_results_are_read_from_text() -> None:
    calls = tuple(Call(tool="t", arguments={}, id=i) for i in "ab")
    failure = Failure(kind="error", message="no")
    text = json.dumps({"results": [{"value": None}, {"failure": failure.to_dict()}]})
    assert read_results(Observation(text=text), calls) == [Returned(value=None), failure]
    cut = '{"truncated": "abc", "shown": 3, "of": 9}'
    assert read_results(Observation(text=cut), calls[:1]) == [Returned(value=json.loads(cut))]
    held = '{"value": {"results": [1, 2, 3]}}'
    assert read_results(Observation(text=held), calls[:1])[0] == Returned(
        value={"results": [1, 2, 3]}
    )
    with pytest.raises(ValueError, match="2 calls were made"):
        read_results(Observation(text=held), calls)
    with pytest.raises(ValueError, match="give FlowPolicy a read"):
        read_results(Observation(text="hello"), calls[:1])
