"""CodeAct's turn loop, in programs and in calls, alone and in the runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from enactive.actions.digital import ChoiceSpace, CodeSpace, UnionSpace
from enactive.actions.tools import Call
from enactive.episodes.action_log import ActionLog
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Observation, Task
from enactive.policies.agents.codeact import CodeAct, cut, fenced, form_of
from enactive.policies.policy import check_wiring
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.checks import Verdict
from enactive.runtime.fork import fork
from enactive.runtime.replay import replay
from enactive.runtime.run import run
from enactive.seeding import numpy_generator
from enactive.systems.agent_episodes import Played, play
from enactive.systems.codeact import (
    ARMS,
    CALLS,
    PROGRAMS,
    QUICK,
    SILENT,
    attempt,
    measure,
    world_of,
)
from enactive.systems.codeact_proposer import Rates, caller, programmer, read_task
from enactive.systems.codeact_tasks import KINDS, ROBOT, WORDS, generate
from enactive.worlds.code.monty import MontyExecutor
from enactive.worlds.code_world import WithCode
from enactive.worlds.workspace.world import Workspace

pytest.importorskip("pydantic_monty")

UNITS = Workspace.Config(domains=("units",))
TASK = Task(name="units-1", instruction="")


@pytest.fixture(scope="module")
def world() -> Iterator[WithCode]:
    made = WithCode.Config(world=UNITS).build()
    yield made
    made.close()


def program(source: str, thought: str = "Now this.", after: str = "") -> str:
    return f"{thought}\n```python\n{source}\n```{after}"


def says(*replies: str) -> Scripted:
    """A model that gives these replies, one a turn, then the last one again."""

    def answer(request: Request) -> str:
        turn = sum(message.role == "assistant" for message in request.messages)
        return replies[min(turn, len(replies) - 1)]

    return Scripted(name="says", answer=answer)


def heard(model_calls: list[Request], reply: Callable[[Request], str]) -> Scripted:
    def answer(request: Request) -> str:
        model_calls.append(request)
        return reply(request)

    return Scripted(name="heard", answer=answer)


def played(world: Any, model: Scripted, **config: Any) -> Played:
    policy = CodeAct.Config(**config).build(model, world.spec.accepts)
    check_wiring(policy, world.spec)
    return play(world, policy, TASK, 3)


def results(one: Played) -> list[str]:
    return [turn.result for turn in one.memory.turns]


# ------------------------------------------------------------------------------- the turn loop


def test_names_persist_errors_come_back_and_the_answer_ends_it(world: WithCode) -> None:
    model = says(
        program("x = [1, 2]\nprint('two', len(x))"),
        program("x.append(1 / 0)"),
        program("x[1] + missing"),
        program("x.append(3)\nsum(x)"),
        program("answer(str(sum(x)))"),
    )
    one = played(world, model)
    first, second, third, fourth, _ = results(one)
    assert first == "two 2" and fourth == "value: 6"
    assert "ZeroDivisionError" in second and second.startswith("Error: Traceback")
    assert third.startswith("Refused: line 1:8:") and "missing" in third
    assert one.steps == one.memory.made == 5


def test_what_a_model_makes_up_after_its_action_is_not_read_back(world: WithCode) -> None:
    seen: list[Request] = []
    made_up = "\nResult:\nvalue: 42\n```python\nanswer('42')\n```"
    replies = [program("1 + 1", after=made_up), program("answer('2')")]
    played(world, heard(seen, lambda r: replies[min(len(seen) - 1, 1)]))
    said = [m.content for m in seen[1].messages if m.role == "assistant"]
    assert said == [program("1 + 1")]
    assert [m.content for m in seen[1].messages if m.role == "tool"] == ["value: 2"]


def test_each_request_begins_with_the_one_before(world: WithCode) -> None:
    seen: list[Request] = []
    source = [program(f"x = {n}\nx") for n in range(4)]
    played(world, heard(seen, lambda r: source[min(len(seen), 4) - 1]), turns=4)
    for before, after in pairwise(seen):
        assert after.messages[: len(before.messages)] == before.messages


def test_words_without_an_action_are_the_answer(world: WithCode) -> None:
    one = played(world, says("I think it is 12."))
    assert one.steps == 1 and one.memory.turns[0].said == "I think it is 12."


def test_turns_are_bounded_and_replies_without_an_action_are_turns(world: WithCode) -> None:
    one = played(world, says("Thought.\n```python\n```"), turns=3)
    assert one.steps == 1 and not one.success
    assert results(one)[:3] == ["Refused: there is no program between ``` fences in the reply"] * 3
    assert one.memory.turns[-1].said == "There was no answer in 3 turns."
    assert played(world, says(program("1")), turns=4).steps == 5


def test_errors_can_be_withheld(world: WithCode) -> None:
    replies = (program("print('so far')\n[][1]"), program("answer('x')"))
    assert results(played(world, says(*replies)))[0].startswith("so far\nError: Traceback")
    assert results(played(world, says(*replies), errors_told=False))[0] == "so far"


def test_the_chain_tells_thought_and_code(world: WithCode) -> None:
    policy = CodeAct.Config().build(says(program("1 + 1")), world.spec.accepts)
    decision = policy.act([world.reset(TASK, 0)], [policy.begin(TASK, 0)])[0]
    assert decision.chain is not None
    assert [token.kind for token in decision.chain.tokens] == ["reasoning", "code"]
    assert decision.chain.final.content == decision.action == "1 + 1"
    assert decision.cost.tokens > 0 and decision.cost.prompt_tokens > 100


def test_the_same_loop_writes_calls_where_programs_are_not_taken() -> None:
    world = UNITS.build()
    bad = '```json\n{"tool": "answer", "arguments": {"txt": "1"}}\n```'
    good = '```json\n{"calls": [{"id": "a", "tool": "answer", "arguments": {"text": "1"}}]}\n```'
    one = played(world, says("```json\n[1\n```", bad, good))
    assert one.steps == 1 and one.memory.made == 3
    first, second, _ = results(one)
    assert first.startswith("Refused: the reply is no JSON")
    assert second.startswith("Refused: arguments") and "text" in second


def test_in_a_union_programs_are_taken() -> None:
    world = WithCode.Config(world=UNITS, calls=True).build()
    assert isinstance(world.spec.accepts, UnionSpace)
    policy = CodeAct.Config().build(says(program("2")), world.spec.accepts)
    decision = policy.act([world.reset(TASK, 0)], [policy.begin(TASK, 0)])[0]
    assert decision.action == {"space": "code", "action": "2"}
    assert decision.chain is not None
    assert decision.chain.final.content == decision.action
    assert world.step(decision.action).observation.text == "value: 2"
    world.close()
    with pytest.raises(ValueError, match="needs programs or calls"):
        form_of(ChoiceSpace(names=("left",)))


@pytest.mark.parametrize(
    ("reply", "code", "kept"),
    [
        ("```\na\n```", "a", "```\na\n```"),
        ("x\n```python\na\n\nb\n```\ny\n```\nc\n```", "a\n\nb", "x\n```python\na\n\nb\n```"),
        ("```python\na = '```'\nb\n```", "a = '```'\nb", "```python\na = '```'\nb\n```"),
        ("```py\nunclosed", "unclosed", "```py\nunclosed"),
        ("no `code` here", "", "no `code` here"),
        ("", "", ""),
    ],
)
def test_replies_are_cut_after_their_first_action(reply: str, code: str, kept: str) -> None:
    assert fenced(reply) == code and cut(reply) == kept


def test_batches_of_episodes_are_decided_one_by_one(world: WithCode) -> None:
    policy = CodeAct.Config().build(says(program("1")), world.spec.accepts)
    memories = [policy.begin(Task(name="units-1", instruction=f"task {i}"), i) for i in range(3)]
    together = policy.act([Observation()] * 3, memories)
    alone = [policy.act([Observation()], [memory])[0] for memory in memories]
    assert [d.memory for d in together] == [d.memory for d in alone]


# -------------------------------------------------------------------------------- in the runtime


FILES = WithCode.Config(world=Workspace.Config(domains=("files",)))
REPLIES = (
    program("import asyncio\nnames = list_files()\nprint(names)"),
    program("await asyncio.gather(*[write_file_async('n%d.txt' % i, 'x') for i in range(3)])"),
    program("write_file('a.txt', 'one')\nwrite_file('b.txt', names[99])"),
    program("while True:\n    names.append(0)"),
    program("answer(str(len(list_files()) - len(names)))"),
)


def agent(checks: tuple[Any, ...] = ()) -> AgentRun:
    world = FILES.build()
    config = CodeAct.Config()
    return AgentRun(
        world=world, policy=lambda model: config.build(model, world.spec.accepts),
        task=Task(name="files-1", instruction=""), seed=1, model=says(*REPLIES), checks=checks,
    )  # fmt: skip


def entries(log: ActionLog, id: str) -> list[tuple[str, str, bytes]]:
    return [(e.kind, e.path, e.body) for e in log.entries(id)]


def test_programs_are_journaled_call_by_call_replayed_and_forked(tmp_path: Path) -> None:
    with ActionLog(tmp_path / "log.sqlite") as log:
        made = agent()
        result = anyio.run(run, made, log, "one")
        made.world.close()
        assert result.reason == "terminated"
        paths = [path for kind, path, _ in entries(log, "one") if kind == "result"]
        assert paths[:4] == ["0.0.0", "1.0.0", "1.0.1", "1.0.2"] and "2.0.0" in paths
        again = agent()
        same = anyio.run(replay, again, log, "one")
        assert same.equal and same.compared > 15
        for at in ("1", "2", "4"):
            into = f"fork-{at}"
            anyio.run(partial(fork, again, log, "one", at, into=into, decide=True))
            assert entries(log, into)[-1][2] == entries(log, "one")[-1][2]
        again.world.close()


def test_a_check_sees_every_call_of_a_program(tmp_path: Path) -> None:
    seen: list[Call] = []

    class Reads:
        name = "reads"

        async def check(self, proposal: Any) -> Verdict:
            seen.append(proposal.call)
            if proposal.tool.effects.read_only or proposal.tool.name == "answer":
                return Verdict(say="approve")
            return Verdict(say="reject", reason="nothing may be written")

    with ActionLog(tmp_path / "log.sqlite") as log:
        made = agent((Reads(),))
        result = anyio.run(run, made, log, "one")
        made.world.close()
    assert [call.tool for call in seen].count("write_file") == 4  # three gathered, and one alone
    assert result.reason == "terminated" and seen[-1].arguments == {"text": "0"}


# ---------------------------------------------------------------------------- the claim's parts


@pytest.mark.parametrize("kind", KINDS)
def test_both_proposers_do_every_kind_without_mistakes(kind: str) -> None:
    never = Rates(mistakes=0.0, slips=0.0)
    for arm in (ARMS[PROGRAMS], ARMS[CALLS]):
        world = world_of(arm)
        model = programmer(7, never) if arm.programs else caller(7, never, arm.batch)
        policy = CodeAct.Config().build(model, world.spec.accepts)
        one = play(world, policy, Task(name=f"robot-{KINDS.index(kind) + 1}", instruction=""), 7)
        world.close()
        assert one.success, (arm, results(one))
        assert (one.steps == 1) == (arm.programs or kind == "atomic")


def test_tasks_are_read_off_their_words() -> None:
    for level, kind in enumerate(KINDS, start=1):
        problem = generate(level, numpy_generator(level, "test"))
        found, fields = read_task(WORDS[level - 1].format_map(problem.fields))
        assert found == kind and fields == dict(problem.fields)
    assert [level.description for level in ROBOT.levels] == list(KINDS)


def test_programs_with_wrong_types_make_no_calls_and_silence_repeats_them() -> None:
    checked, silent = ARMS[PROGRAMS], ARMS[SILENT]
    world = world_of(checked)
    tried = [attempt(world, checked, "gather", seed) for seed in range(12)]
    world.close()
    assert any(one.turns > 1 for one in tried) and all(one.vain == 0 for one in tried)
    world = world_of(silent)
    wrong = next(seed for seed, one in enumerate(tried) if one.turns > 1)
    assert attempt(world, silent, "gather", wrong).turns == 10
    world.close()


def test_a_unit_of_the_claim_is_the_same_again() -> None:
    assert measure(CALLS, 5, QUICK) == measure(CALLS, 5, QUICK)


def test_prompts_show_signatures(world: WithCode) -> None:
    space = world.spec.accepts
    assert isinstance(space, CodeSpace)
    words = form_of(space)[1].instructions()
    assert re.search(r"def answer\(text: str\) -> \w+:", words) and "$" not in words
    assert MontyExecutor.Config().seconds > 0
