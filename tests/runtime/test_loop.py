"""The loop: what is refused, checked, made side by side, budgeted and stopped."""

import dataclasses

import anyio
import pytest
from tests.runtime.ledger_world import LedgerWorld, Office, Script, call, together

from enactive.actions.tools import Failure
from enactive.episodes.action_log import ActionLog
from enactive.observations import Task
from enactive.policies.policy import WiringError
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.budget import Budget
from enactive.runtime.checks import APPROVE, ByEffects, Verdict
from enactive.runtime.run import run
from enactive.runtime.stalls import StallRules

ANSWER = call("answer", text="done")


def agent(world, actions, **settings):
    script = Script(actions)
    return AgentRun(
        world=world, policy=lambda model: script, task=Task(name="pay", instruction="pay"),
        seed=3, **settings,
    )  # fmt: skip


def go(tmp_path, world, actions, **settings):
    with ActionLog(tmp_path / "actions.sqlite") as log:
        result = anyio.run(run, agent(world, actions, **settings), log, "e")
        return result, list(log.entries("e"))


def results(entries):
    return {entry.path: entry.value for entry in entries if entry.kind == "result"}


def test_an_episode_is_entered_call_by_call(tmp_path):
    world = LedgerWorld()
    result, entries = go(tmp_path, world, [call("pay", name="ann", amount=5), ANSWER])
    assert result.success and result.reason == "terminated"
    assert world.balances["ann"] == 8
    kinds = [(entry.kind, entry.path) for entry in entries]
    assert kinds == [
        ("reset", "0"),
        ("decision", "0"), ("intent", "0.0.0"), ("result", "0.0.0"), ("step", "0"),
        ("decision", "1"), ("intent", "1.0.0"), ("result", "1.0.0"), ("step", "1"),
        ("stop", "2"),
    ]  # fmt: skip
    assert results(entries)["1.0.0"] == {"value": None}  # None is a value like any other


def test_what_is_no_action_is_read_by_the_policy_and_not_executed(tmp_path):
    seen = []

    def policy(number, text):
        seen.append(text)
        wrong = [
            call("pay", name="ann", amount=-1),
            call("payy", name="ann", amount=1),
            {"tool": "pay"},
            "pay",
        ]
        return wrong[number] if number < len(wrong) else ANSWER

    world = LedgerWorld()
    result, entries = go(tmp_path, world, policy, stalls=StallRules(invalid=0))
    assert result.success
    assert world.balances["ann"] == 3
    assert "arguments.amount" in seen[1] and "minimum" in seen[1]
    assert "did you mean 'pay'" in seen[2]
    assert "'tool' and 'arguments'" in seen[3]
    assert "is a mapping" in seen[4]
    refused = [entry.value for entry in entries if entry.kind == "step"]
    assert all("refused" in value for value in refused[:4])
    assert result.reward == 1.0


def test_a_failing_tool_stops_what_comes_after_it_and_nothing_else(tmp_path):
    action = together(
        {"id": "a", **call("balance", name="nobody")},
        {"id": "b", **call("pay", name="ann", amount=1), "after": ["a"]},
        {"id": "c", **call("pay", name="bob", amount=1), "after": ["b"]},
        {"id": "d", **call("balance", name="bob")},
    )
    world = LedgerWorld()
    _, entries = go(tmp_path, world, [action, ANSWER])
    found = results(entries)
    assert found["0.0.a"]["failure"]["kind"] == "error"
    assert "there is no account 'nobody'" in found["0.0.a"]["failure"]["message"]
    assert [found[f"0.0.{id}"]["failure"]["kind"] for id in "bc"] == ["skipped", "skipped"]
    assert found["0.0.d"] == {"value": 10}
    assert world.balances == {"ann": 3, "bob": 10}


def test_calls_on_different_resources_run_side_by_side_and_on_the_same_in_order(tmp_path):
    # "ann" takes longer than "bob"; both of "ann" must nevertheless end in the order given.
    world = LedgerWorld(slow={"ann": 0.05, "bob": 0.0}.__getitem__)
    action = together(call("work", name="ann"), call("work", name="bob"), call("work", name="ann"))
    _, entries = go(tmp_path, world, [action, ANSWER])
    assert world.order == ["bob", "ann", "ann"]
    assert [results(entries)[f"0.0.{i}"]["value"] for i in range(3)] == [
        "ann worked", "bob worked", "ann worked",
    ]  # fmt: skip


def test_calls_that_wait_for_each_other_are_refused(tmp_path):
    action = together(
        {"id": "a", **call("balance", name="ann"), "after": ["b"]},
        {"id": "b", **call("balance", name="bob"), "after": ["a"]},
    )
    _, entries = go(tmp_path, LedgerWorld(), [action, ANSWER])
    step = next(entry.value for entry in entries if entry.kind == "step")
    assert "wait for one another" in step["refused"]


def test_cancellation_leaves_a_log_that_can_be_gone_on_with(tmp_path):
    world = LedgerWorld(slow=lambda name: 60.0)

    async def cancelled():
        with ActionLog(tmp_path / "actions.sqlite") as log:
            with anyio.move_on_after(0.05) as scope:
                await run(agent(world, [call("work", name="ann"), ANSWER]), log, "e")
            assert scope.cancelled_caught
            assert log.episode("e").outcome is None
            return [(entry.kind, entry.path) for entry in log.entries("e")]

    assert anyio.run(cancelled)[-1] == ("intent", "0.0.0")


@dataclasses.dataclass
class Person:
    """Answers as told, by tool."""

    says: dict
    name: str = "person"

    async def check(self, proposal):
        return self.says.get(proposal.call.tool, APPROVE)


def test_checks_approve_modify_reject_and_escalate(tmp_path):
    person = Person({
        "pay": Verdict(say="modify", arguments={"name": "bob", "amount": 2}),
        "shout": Verdict(say="reject", reason="quiet, please"),
        "send": Verdict(say="escalate", reason="ask my manager"),
    })  # fmt: skip
    world = LedgerWorld()
    actions = [call("pay", name="ann", amount=900), call("shout", word="hey"),
               call("send", letter="dear"), ANSWER]  # fmt: skip
    _, entries = go(tmp_path, world, actions, checks=[person])
    assert world.balances == {"ann": 3, "bob": 12}
    assert world.office.sent == []
    found = results(entries)
    assert "quiet, please" in found["1.0.0"]["failure"]["message"]
    assert "nobody approved it (person: ask my manager)" in found["2.0.0"]["failure"]["message"]


def test_a_rule_about_effects_lets_the_next_check_decide(tmp_path):
    world = LedgerWorld()
    person = Person({"shout": Verdict(say="reject", reason="no")})
    checks = [ByEffects(destructive=True), person]
    actions = [call("time"), call("send", letter="a"), call("shout", word="b"), ANSWER]
    go(tmp_path, world, actions, checks=checks)
    assert world.office.sent == ["a"]


def test_a_check_that_spoils_arguments_is_found_out(tmp_path):
    person = Person({"pay": Verdict(say="modify", arguments={"name": "bob"})})
    _, entries = go(tmp_path, LedgerWorld(), [call("pay", name="ann", amount=1), ANSWER],
                    checks=[person])  # fmt: skip
    assert "as a check changed it" in results(entries)["0.0.0"]["failure"]["message"]


@pytest.mark.parametrize(
    ("budget", "reason"),
    [(Budget(steps=3), "3 steps"), (Budget(seconds=0.0), "0 seconds"), (Budget(), "terminated")],
)
def test_budgets_end_episodes(tmp_path, budget, reason):
    result, _ = go(tmp_path, LedgerWorld(), [*[call("time")] * 5, ANSWER], budget=budget)
    assert reason in result.reason


def test_calls_beyond_the_budget_are_not_made(tmp_path):
    action = together(*[call("send", letter=str(i)) for i in range(5)])
    world = LedgerWorld()
    _, entries = go(tmp_path, world, [action, ANSWER], budget=Budget(calls=3, steps=2))
    assert world.office.sent == ["0", "1", "2"]
    assert [results(entries)[f"0.0.{i}"].get("failure", {}).get("kind") for i in range(5)] == [
        None, None, None, "budget", "budget",
    ]  # fmt: skip


def test_going_round_in_circles_is_said_and_then_stopped(tmp_path):
    texts = []

    def same(number, text):
        texts.append(text)
        return call("balance", name="ann")

    result, _ = go(tmp_path, LedgerWorld(), same, stalls=StallRules(repeats=3))
    assert result.reason.startswith("stalled") and result.spent.steps == 6
    assert "warning: 3 times in a row" in texts[3]

    def in_turn(number, text):
        return call("balance", name=("ann", "bob")[number % 2])

    result, _ = go(tmp_path / "b", LedgerWorld(), in_turn, stalls=StallRules(alternations=3))
    assert result.reason.startswith("stalled")

    def progress(number, text):
        return call("pay", name="ann", amount=1) if number < 50 else ANSWER

    result, _ = go(tmp_path / "c", LedgerWorld(), progress)
    assert result.success


def test_arguments_and_results_are_recorded_as_they_were(tmp_path):
    """A tool that changes what it was given, or what it gave, changes no record."""
    world = LedgerWorld()
    kept = {"list": [1]}

    def meddle(**arguments):
        arguments["deep"]["list"].append(99)
        return kept

    bound = world.toolbox.find("pay")
    tool = dataclasses.replace(bound.tool, name="meddle", resources=(), input_schema={})
    world._toolbox = world.toolbox.with_tools(
        dataclasses.replace(bound, tool=tool, function=meddle)
    )
    world._spec = dataclasses.replace(world.spec, accepts=world.toolbox.space())
    given = {"tool": "meddle", "arguments": {"deep": {"list": [1]}}}

    def policy(number, text):
        kept["list"].append(number)
        return given if number < 2 else ANSWER

    _, entries = go(tmp_path, world, policy)
    decisions = [entry.value["action"] for entry in entries if entry.kind == "decision"]
    assert decisions[0]["arguments"] == {"deep": {"list": [1]}} == given["arguments"]
    assert results(entries)["0.0.0"] == {"value": {"list": [1, 0]}}
    assert results(entries)["1.0.0"] == {"value": {"list": [1, 0, 1]}}


def test_what_a_tool_may_not_return_is_its_failure(tmp_path):
    world = LedgerWorld()
    bound = world.toolbox.find("time")
    tool = dataclasses.replace(bound.tool, name="odd")
    world._toolbox = world.toolbox.with_tools(
        dataclasses.replace(bound, tool=tool, function=lambda: float("nan"))
    )
    world._spec = dataclasses.replace(world.spec, accepts=world.toolbox.space())
    _, entries = go(tmp_path, world, [call("odd"), ANSWER])
    failure = results(entries)["0.0.0"]["failure"]
    assert failure["kind"] == "invalid" and "cannot be recorded" in failure["message"]
    assert isinstance(Failure(**failure), Failure)


def test_what_a_tool_does_later_to_what_it_gave_is_not_seen(tmp_path):
    world = LedgerWorld()
    given = {"old": []}

    def give(**arguments):
        given["old"].append(len(given["old"]))
        return given

    bound = world.toolbox.find("time")
    tool = dataclasses.replace(bound.tool, name="give")
    world._toolbox = world.toolbox.with_tools(dataclasses.replace(bound, tool=tool, function=give))
    world._spec = dataclasses.replace(world.spec, accepts=world.toolbox.space(parallel=8))
    seen = []

    def policy(number, text):
        seen.append(text)
        return ANSWER if number else together(call("give"), call("give"))

    go(tmp_path, world, policy)
    assert seen[1] == '[{"value":{"old":[0]}},{"value":{"old":[0,1]}}]'


def test_a_world_whose_calls_nobody_could_journal_is_refused(tmp_path):
    class Hidden:
        """Makes calls inside its step."""

        spec = LedgerWorld().spec

    with pytest.raises(WiringError, match="no toolbox"):
        go(tmp_path, Hidden(), [ANSWER])


def test_two_episodes_of_one_log_do_not_mix_and_one_id_is_one_episode(tmp_path):
    with ActionLog(tmp_path / "actions.sqlite") as log:
        office = Office()
        for id in ("a", "b"):
            world = LedgerWorld(office)
            anyio.run(run, agent(world, [call("send", letter=id), ANSWER]), log, id)
            assert world.balances == {"ann": 3, "bob": 10}
        assert office.sent == ["a", "b"]  # other keys: both were sent
        with pytest.raises(Exception, match="holds an episode 'a' already"):
            anyio.run(run, agent(LedgerWorld(), [ANSWER]), log, "a")


def test_a_hundred_thousand_steps_do_not_grow_the_stack(tmp_path):
    def policy(number, text):
        return call("balance", name="ann") if number < 100_000 else ANSWER

    result, _ = go(tmp_path, LedgerWorld(), policy, stalls=StallRules(repeats=0, alternations=0))
    assert result.success and result.spent.steps == 100_001
