"""ReAct and plan-then-act in the tool workspace: with scripted replies, and with the real model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from enactive.actions.tools import Failure, Returned
from enactive.configuration import from_dict, to_dict
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Observation, Task
from enactive.policies.agents.demonstrations import Demonstrations, most_like
from enactive.policies.agents.plan_then_act import PlanThenAct, read_results
from enactive.policies.agents.react import SMALL, ReAct
from enactive.policies.policy import Policy, check_wiring
from enactive.worlds.workspace.world import Workspace
from enactive.worlds.world import Step

SEED = 1_000_000
TASK = Task(name="files-1", instruction="")


@pytest.fixture
def world() -> Iterator[Workspace]:
    made = Workspace.Config(domains=("files", "tables", "units")).build()
    yield made
    made.close()


class Replies:
    """A model that gives replies in order and keeps what it was asked."""

    def __init__(self, *replies: Any) -> None:
        self.replies = [r if isinstance(r, str) else json.dumps(r) for r in replies]
        self.asked: list[Request] = []
        self.model = Scripted(name="replies", answer=self._next)

    def _next(self, request: Request) -> str:
        self.asked.append(request)
        return self.replies[min(len(self.asked), len(self.replies)) - 1]


def run(world: Workspace, policy: Policy, task: Task = TASK, steps: int = 10) -> list[Step]:
    check_wiring(policy, world.spec)
    seen, memory = world.reset(task, SEED), policy.begin(task, SEED)
    found: list[Step] = []
    for _ in range(steps):
        decision = policy.act([seen], [memory])[0]
        memory = decision.memory
        assert decision.chain is not None and decision.chain.final is not None
        found.append(world.step(decision.action))
        seen = found[-1].observation
        if found[-1].terminated:
            break
    return found


def act(tool: str, thought: str = "so", **arguments: Any) -> dict[str, Any]:
    return {"thought": thought, "action": {"tool": tool, "arguments": arguments}}


def test_react_reads_results_and_answers(world: Workspace) -> None:
    code = world.reset(TASK, SEED).instruction.split("mentions ")[1].split(".")[0].split(" ")[0]
    replies = Replies(act("search_files", text=code), act("answer", text="done"))
    policy = ReAct.Config().build(replies.model, world.spec.accepts)
    steps = run(world, policy)
    assert len(steps) == 2 and steps[-1].terminated
    last = replies.asked[-1].messages
    assert [m.role for m in last[-3:]] == ["user", "assistant", "tool"]
    assert code in last[-1].content and '"value"' not in last[-1].content
    assert replies.asked[1].messages[: len(replies.asked[0].messages)] == replies.asked[0].messages


def test_an_invalid_reply_is_answered_with_what_is_wrong(world: Workspace) -> None:
    """A bad call neither halts the loop nor stays in the prompt once it is repaired."""
    replies = Replies(
        "no json at all", act("search_filez", text="x"), act("search_files", text="x"),
        act("answer", text="done"),
    )  # fmt: skip
    policy = ReAct.Config().build(replies.model, world.spec.accepts)
    seen = world.reset(TASK, SEED)
    decision = policy.act([seen], [policy.begin(TASK, SEED)])[0]
    assert decision.action["tool"] == "search_files"
    assert "no JSON" in replies.asked[1].messages[-1].content
    assert "did you mean 'search_files'" in replies.asked[2].messages[-1].content
    assert not any("no json at all" in m.content for m in replies.asked[2].messages)
    refused = [token for token in decision.chain.tokens if not token.chosen]
    assert [token.kind for token in refused] == ["language", "language"]
    written = sum(-(-len(r) // 4) for r in replies.replies[:3])
    assert decision.cost.tokens == written  # every attempt is counted
    step = world.step(decision.action)
    policy.act([step.observation], [decision.memory])
    assert not any("filez" in m.content for m in replies.asked[3].messages)


def test_without_a_valid_reply_the_episode_is_ended_with_words(world: Workspace) -> None:
    policy = ReAct.Config(repairs=1).build(Replies("nonsense").model, world.spec.accepts)
    steps = run(world, policy)
    assert len(steps) == 1 and steps[0].events == ("answered_wrong",)


def test_without_an_answer_tool_the_call_is_handed_out(world: Workspace) -> None:
    space = world.spec.accepts
    space = dataclasses.replace(space, tools=tuple(t for t in space.tools if t.name != "answer"))  # type: ignore[union-attr]
    policy = ReAct.Config(repairs=0).build(Replies(act("nothing")).model, space)
    action = policy.act([Observation(text="x")], [policy.begin(TASK, 0)])[0].action
    assert action == {"tool": "nothing", "arguments": {}} and not space.contains(action)


def test_a_small_models_schema_offers_only_what_can_be_done(world: Workspace) -> None:
    replies = Replies({"action": {"tool": "answer", "arguments": {"text": "done"}}})
    config = ReAct.Config(**{**SMALL, "tools_shown": 4})
    policy = config.build(replies.model, world.spec.accepts)
    seen, begun = world.reset(TASK, SEED), policy.begin(TASK, SEED)
    policy.act([seen], [begun])
    said = {one["const"] for one in _find(replies.asked[0].schema, "tool")}
    assert len(said) == 3 and "move_file" in said and "answer" not in said  # no call was made yet
    shown = replies.asked[0].messages[0].content
    assert all(f"{name}(" in shown for name in said)


def _find(node: Any, key: str) -> list[Any]:
    if isinstance(node, dict):
        here = [node[key]] if key in node and isinstance(node[key], dict) else []
        return here + [one for value in node.values() for one in _find(value, key)]
    if isinstance(node, list):
        return [one for value in node for one in _find(value, key)]
    return []


def test_transcripts_stay_bounded(world: Workspace) -> None:
    replies = Replies(act("list_files", thought="t" * 100, folder=""))
    config = ReAct.Config(characters=1500, result_characters=400)
    policy = config.build(replies.model, world.spec.accepts)
    run(world, policy, steps=12)
    sizes = [sum(len(m.content) for m in request.messages) for request in replies.asked]
    assert max(sizes) <= sizes[0] + 1500 + 40
    assert "left out" in "".join(m.content for m in replies.asked[-1].messages)


def test_decisions_follow_from_memory_and_observation_alone(world: Workspace) -> None:
    policy = ReAct.Config().build(Replies(act("list_files", folder="")).model, world.spec.accepts)
    seen, memory = world.reset(TASK, SEED), policy.begin(TASK, SEED)
    one, two = policy.act([seen, seen], [memory, memory])
    assert one.action == two.action and one.memory == two.memory != memory
    assert from_dict(ReAct.Config, to_dict(policy.config)) == policy.config


def test_demonstrations_are_the_experts_and_the_most_alike_is_last(world: Workspace) -> None:
    made = Demonstrations(tasks=("files-1", "units-1"), each=2).build()
    assert len(made) == 4 and made == Demonstrations(tasks=("files-1", "units-1"), each=2).build()
    assert json.loads(made[0].turns[-1].said)["tool"] == "answer"
    assert made[0].turns[0].result and not made[0].turns[-1].result
    near = most_like(made, "Convert 3 miles to metres", 2)
    assert "convert" in near[-1].turns[0].said
    replies = Replies(act("answer", text="x"))
    config = ReAct.Config(demonstrations=Demonstrations(tasks=("units-1",), each=2))
    policy = config.build(replies.model, world.spec.accepts)
    policy.act([world.reset(TASK, SEED)], [policy.begin(TASK, SEED)])
    assert made[2].task in [message.content for message in replies.asked[0].messages]


# -------------------------------------------------------------------------------- plan then act


def call(id: str, tool: str, after: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
    return {"id": id, "tool": tool, "arguments": arguments, "after": list(after)}


UNITS = Task(name="units-2", instruction="")


def test_a_plan_runs_in_parallel_batches_with_references(world: Workspace) -> None:
    plan = {
        "calls": [
            call("a", "convert", value=2.0, unit="mile", to="metre"),
            call("b", "convert", value=3.0, unit="yard", to="metre"),
            call("c", "calculate", expression="${a.value} + ${b.value}"),
            call("d", "answer", after=("c",), text="${c.value}"),
        ]
    }
    replies = Replies(plan)
    policy = PlanThenAct.Config().build(replies.model, world.spec.accepts)
    seen, memory = world.reset(UNITS, SEED), policy.begin(UNITS, SEED)
    actions: list[Any] = []
    for _ in range(3):
        decision = policy.act([seen], [memory])[0]
        actions.append(decision.action)
        memory, seen = decision.memory, world.step(decision.action).observation
    assert [one["id"] for one in actions[0]["calls"]] == ["a", "b"]
    assert actions[1]["arguments"]["expression"] == "3218.688 + 2.7432"
    assert actions[2] == {"tool": "answer", "arguments": {"text": "3221.4312"}}
    assert len(replies.asked) == 1


def test_a_failure_makes_it_plan_again(world: Workspace) -> None:
    first = {"calls": [call("a", "convert", value=2.0, unit="mile", to="litre"),
                       call("b", "answer", after=("a",), text="${a.value}")]}  # fmt: skip
    second = {"calls": [call("a", "answer", text="impossible")]}
    replies = Replies(first, second)
    policy = PlanThenAct.Config().build(replies.model, world.spec.accepts)
    steps = run(world, policy, UNITS)
    assert len(steps) == 2 and steps[-1].terminated
    assert "a: failed: convert: mile is length" in replies.asked[1].messages[-1].content


def test_plans_are_refused_with_the_reason(world: Workspace) -> None:
    bad = [
        {"calls": [call("a", "convert", value="two", unit="mile", to="metre")]},
        {"calls": [call("a", "answer", text="${z}")]},
        {"calls": [call("a", "list_files", ("b",)), call("b", "list_files", ("a",))]},
    ]  # fmt: skip
    replies = Replies(*bad)
    policy = PlanThenAct.Config(plans=1).build(replies.model, world.spec.accepts)
    steps = run(world, policy, UNITS)
    told = [request.messages[-1].content for request in replies.asked[1:]]
    assert "'two' is not of type 'number'" in told[0] and "refers to ['z']" in told[1]
    assert len(replies.asked) == 3 and steps[0].events == ("answered_wrong",)


def test_plans_are_bounded(world: Workspace) -> None:
    again = {"calls": [call("a", "list_files", folder="")]}
    replies = Replies(again)
    policy = PlanThenAct.Config(plans=3).build(replies.model, world.spec.accepts)
    steps = run(world, policy)
    assert len(replies.asked) == 3 and len(steps) == 4 and steps[-1].terminated


def test_results_are_read_from_what_the_world_says() -> None:
    failure = {"kind": "error", "message": "m", "where": ""}
    text = json.dumps({"results": [{"value": 1}, {"failure": failure}]})
    assert read_results(text, 2) == [Returned(value=1), Failure(**failure)]  # type: ignore[arg-type]
    assert read_results("words", 1) == [Returned(value="words")]
    refused = read_results("invalid action: no", 1)[0]
    assert isinstance(refused, Failure) and refused.kind == "invalid"
    assert [one.kind for one in read_results("?", 2)] == ["invalid"] * 2  # type: ignore[union-attr]
    assert read_results("anything", 0) == []


# ------------------------------------------------------------------------------ the real model


@pytest.mark.slow
def test_the_embedded_model_does_a_task_of_two_steps(world: Workspace) -> None:
    pytest.importorskip("xllamacpp")
    from enactive.cli.agent import small_planner
    from enactive.models.language_models.embedded import Embedded

    policy = small_planner().build(Embedded.Config().build(), world.spec.accepts)
    steps = run(world, policy, Task(name="tables-1", instruction=""))
    assert len(steps) == 2 and steps[-1].success
