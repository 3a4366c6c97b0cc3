"""The workspace keeps the contract of a world; its experts solve it, and guessing does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enactive.actions.tools import ToolSpace
from enactive.evaluation.suites import load_suite
from enactive.observations import Task
from enactive.policies.expert import ExpertPolicy
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.checks import check_world
from enactive.worlds.tool_world import ToolWorld, drive
from enactive.worlds.workspace.world import DOMAINS, Workspace, expert_action
from enactive.worlds.world import Step

WORLD = Workspace.Config()
TASKS = tuple(
    domain.task_name(level)
    for domain in DOMAINS.values()
    for level in range(1, len(domain.levels) + 1)
)


def play(world: Workspace, policy: Any, task: Task, seed: int) -> list[Step]:
    steps: list[Step] = []
    seen, memory = world.reset(task, seed), policy.begin(task, seed)
    while not steps or not (steps[-1].terminated or steps[-1].truncated):
        decision = policy.act([seen], [memory])[0]
        steps.append(world.step(decision.action))
        seen, memory = steps[-1].observation, decision.memory
    return steps


def ask(world: Workspace, tool: str, **arguments: Any) -> Any:
    said = world.step({"tool": tool, "arguments": arguments}).observation.text
    assert said is not None
    return json.loads(said)


@pytest.mark.parametrize("domain", [*DOMAINS])
def test_it_keeps_the_contract(domain: str) -> None:
    config = Workspace.Config(domains=(domain,))
    report = check_world(config.build(), config=config if domain == "files" else None)
    assert report.ok, str(report)
    assert isinstance(config.build(), ToolWorld)


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_solves_every_level_without_a_failed_call(task: str) -> None:
    world = WORLD.build()
    expert = ExpertPolicy.Config().build(world.spec)
    for seed in range(5):
        for perturbations in ((), ("reworded",)):
            asked = Task(name=task, instruction="", perturbations=perturbations)
            steps = play(world, expert, asked, seed)
            assert steps[-1].success and steps[-1].terminated
            assert not any("call_failed" in step.events for step in steps)


def test_random_calls_and_empty_answers_do_not_solve_it() -> None:
    world = WORLD.build()
    accepts = world.spec.accepts
    assert isinstance(accepts, ToolSpace)
    random = RandomPolicy(accepts)
    for task in TASKS:
        asked = world.spec.task(task).task()
        for seed in range(3):
            assert not play(world, random, asked, seed)[-1].success
            for said in ("", "done", "yes", "0"):
                world.reset(asked, seed)
                assert not world.step({"tool": "answer", "arguments": {"text": said}}).success


def test_held_out_sentences_are_other_sentences_about_the_same_problem() -> None:
    world = WORLD.build()
    for domain in DOMAINS.values():
        for level in range(1, len(domain.levels) + 1):
            name = domain.task_name(level)
            plain = world.reset(Task(name=name, instruction=""), 7)
            other = world.reset(Task(name=name, instruction="", perturbations=("reworded",)), 7)
            assert plain.instruction != other.instruction
            assert plain.text == other.text
            assert (plain.privileged["workspace"] == other.privileged["workspace"]).all()
            given = world.reset(Task(name=name, instruction="do it"), 7)
            assert given.instruction == "do it"


def test_the_suite_names_all_tasks_and_probes_the_wording() -> None:
    plan = load_suite("workspace").plan(WORLD.build().spec)
    assert {episode.task.name for episode in plan} == set(TASKS)
    assert {episode.group for episode in plan} == {"main", "probe/reworded"}


def test_a_long_result_is_cut_off_and_says_so() -> None:
    world = Workspace.Config(domains=("files",), max_text=100).build()
    world.reset(Task(name="files-2", instruction=""), 0)
    step = world.step({"tool": "list_files", "arguments": {}})
    assert step.observation.text is not None
    said = json.loads(step.observation.text)
    assert said["shown"] == len(said["truncated"]) == 100 < said["of"]
    assert step.events == ("truncated_text",)


def test_a_tool_of_another_domain_refuses_and_says_what_there_is() -> None:
    world = WORLD.build()
    world.reset(Task(name="units-1", instruction=""), 0)
    said = ask(world, "view_cart")
    assert said["failure"]["kind"] == "error" and "convert" in said["failure"]["message"]


def test_calls_made_together_wait_for_what_they_come_after() -> None:
    world = WORLD.build()
    world.reset(Task(name="files-1", instruction=""), 0)
    calls = [
        {"id": "a", "tool": "read_file", "arguments": {"path": "nothing.txt"}},
        {"id": "b", "tool": "answer", "arguments": {"text": "done"}, "after": ["a"]},
        {"id": "c", "tool": "write_file", "arguments": {"path": "x.txt", "text": "1"}},
    ]
    step = world.step({"calls": calls})
    assert step.observation.text is not None
    first, second, third = json.loads(step.observation.text)["results"]
    assert first["failure"]["kind"] == "error" and second["failure"]["kind"] == "skipped"
    assert third["value"]["path"] == "x.txt" and not step.terminated


def test_two_worlds_at_once_do_not_see_each_other() -> None:
    """A run's state leaking into a concurrent one is a known defect of agent frameworks."""
    one, two = WORLD.build(), WORLD.build()
    for world, seed in ((one, 0), (two, 0)):
        world.reset(Task(name="files-1", instruction=""), seed)
    ask(one, "write_file", path="mine.txt", text="secret")
    assert "mine.txt" not in json.dumps(ask(two, "list_files"))
    assert "mine.txt" in json.dumps(ask(one, "list_files"))


def test_a_result_is_no_part_of_the_state() -> None:
    """R-LAM's replay hands out the logged object itself; a tool mutated its inputs."""
    world = Workspace.Config(domains=("tables",)).build()
    world.reset(Task(name="tables-1", instruction=""), 0)
    space = world.toolbox.space(1)
    kept: list[Any] = []

    def spoil(action: Any) -> Step:
        activity = world.activity(action)
        calls = next(activity)
        from enactive.worlds.tool_world import call_in_order

        results = call_in_order(world.toolbox, calls, "0.0")
        kept.append(json.dumps([result.value for result in results]))  # type: ignore[union-attr]
        for result in results:
            result.value["rows"].clear()  # type: ignore[union-attr]
        try:
            activity.send(results)
        except StopIteration as ended:
            return ended.value
        raise AssertionError("it asked for more calls")

    action = {"tool": "show_rows", "arguments": {"table": "orders"}}
    assert space.contains(action)
    spoil(action)
    spoil(action)
    assert kept[0] == kept[1]


def test_the_episode_ends_with_the_first_answer() -> None:
    world = WORLD.build()
    world.reset(Task(name="units-1", instruction=""), 0)
    calls = [{"tool": "answer", "arguments": {"text": one}} for one in ("0", "1")]
    step = world.step({"calls": calls})
    assert step.terminated and "call_failed" in step.events
    with pytest.raises(RuntimeError, match="over"):
        world.step(calls[0])


def test_large_seeds_reach_the_expert_unharmed() -> None:
    world = WORLD.build()
    seed = 2**63 - 3
    seen = world.reset(Task(name="search-3", instruction=""), seed)
    for _ in range(7):
        action = expert_action("search-3", seen.privileged["workspace"])
        step = drive(world.toolbox, world.activity(action))
        seen = step.observation
    assert step.success


def test_domains_are_checked() -> None:
    with pytest.raises(ValueError, match="did you mean 'files'"):
        Workspace.Config(domains=("file",)).build()
    with pytest.raises(ValueError, match="max_text"):
        Workspace.Config(max_text=3).build()
