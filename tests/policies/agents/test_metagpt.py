"""The software company with a real sandbox and a scripted model: what is executed decides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("pydantic_monty")

from enactive.actions.digital import CodeSpace, UnionSpace
from enactive.actions.tools import READS, Tool, ToolSpace
from enactive.episodes.action_log import ActionLog
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Observation, Task
from enactive.policies.agents.metagpt import MetaGPT
from enactive.policies.policy import Policy
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.replay import replay
from enactive.runtime.run import run
from enactive.worlds.code.monty import MontyExecutor
from enactive.worlds.code_world import WithCode
from enactive.worlds.workspace.world import Workspace

PRICE = Tool(
    name="price", description="Price of an item.", effects=READS,
    input_schema={"type": "object", "properties": {"item": {"type": "string"}},
                  "required": ["item"]},
    output_schema={"type": "integer"},
)  # fmt: skip
SPACE = CodeSpace(tools=(PRICE,))
TASK = Task(name="shop", instruction="twice the price of tea")
WRONG = "def twice(n: int) -> int:\n    return n + 2"
RIGHT = "def twice(n: int) -> int:\n    return n * 2"
MAIN = "print(twice(price(item='tea')))"
BROKEN_MAIN = "print(twice(price(thing='tea')))"
OTHER_MAIN = "print(twice(price(item='green tea')))"


@pytest.fixture(scope="module")
def executor() -> Iterator[MontyExecutor]:
    made = MontyExecutor.Config().build()
    yield made
    made.close()


class Company:
    """Answers for every role; its programs get better as it is told what is wrong."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.told: list[str] = []

    def __call__(self, request: Request) -> str:
        kind = request.messages[0].content.rpartition("JSON of ")[2].rstrip(".")
        asked = request.messages[-1].content
        self.kinds.append(kind)
        self.told.append(asked)
        documents: dict[str, Any] = {
            "ProductRequirements": {"goals": ["double"], "requirements": ["print it"]},
            "Design": {
                "functions": [{"signature": "def twice(n: int) -> int", "purpose": "2 n"}],
                "flow": "print",
            },
            "Tasks": {"tasks": ["twice", "main"]},
            "Tests": {"assertions": ["assert twice(3) == 6", "assert twice(2) == 4"]},
            "Program": {"functions": WRONG, "main": BROKEN_MAIN},
        }
        if kind == "Program":
            if "task is not done" in asked:
                documents["Program"] = {"functions": RIGHT, "main": OTHER_MAIN}
            elif "AssertionError" in asked:
                documents["Program"] = {"functions": RIGHT, "main": MAIN}
            elif "thing" in asked and "failed its check" in asked:
                documents["Program"] = {"functions": WRONG, "main": MAIN}
        return json.dumps(documents[kind])


def built(says: Any, executor: MontyExecutor, accepts: Any = SPACE, **config: Any) -> Any:
    model = Scripted(name="company", answer=says)
    return MetaGPT.Config(**config).build(model, accepts, executor)


def test_a_program_is_checked_tested_delivered_and_revised(executor: MontyExecutor) -> None:
    says = Company()
    policy = built(says, executor)
    assert isinstance(policy, Policy) and policy.produces == SPACE
    seen = Observation(instruction=TASK.instruction)
    (first,) = policy.act([seen], [policy.begin(TASK, 0)])
    assert SPACE.contains(first.action)
    assert first.action == f"{RIGHT}\n\n{MAIN}\n"
    assert says.kinds == [
        "ProductRequirements", "Design", "Tasks", "Tests",
        "Program",  # its main part has a wrong argument: its types are refused, nothing runs
        "Program",  # its function is wrong: the tests say so
        "Program",
    ]  # fmt: skip
    assert first.cost.tokens > 100 and first.cost.prompt_tokens > first.cost.tokens
    (second,) = policy.act([Observation(text="wrong: 4")], [first.memory])
    assert second.action == f"{RIGHT}\n\n{OTHER_MAIN}\n"
    assert "The world says: wrong: 4" in says.told[-1]
    (again,) = policy.act([Observation(text="wrong: 4")], [first.memory])
    assert again.action == second.action and again.cost == second.cost


def test_roles_are_told_what_they_consume_and_nothing_else(executor: MontyExecutor) -> None:
    says = Company()
    policy = built(says, executor)
    policy.act([Observation(instruction=TASK.instruction)], [policy.begin(TASK, 0)])
    tasks = says.told[says.kinds.index("Tasks")]
    assert "Design:" in tasks and "Requirement" not in tasks
    requirements = says.told[0]
    assert "price(item: string)" in requirements and "twice the price" in requirements


def test_budgets_end_the_company(executor: MontyExecutor) -> None:
    never = Company()

    def stubborn(request: Request) -> str:
        document = json.loads(never(request))
        if "functions" in document and "main" in document:
            document = {"functions": WRONG, "main": MAIN}
        return json.dumps(document)

    policy = built(stubborn, executor, rounds=9)
    seen = Observation(instruction=TASK.instruction)
    (end,) = policy.act([seen], [policy.begin(TASK, 0)])
    assert end.action == "# The company has ended: fail: no Accepted after 9 rounds"
    assert SPACE.contains(end.action)
    assert never.kinds.count("Program") == 3

    def unreadable(request: Request) -> str:
        return "I would rather not"

    policy = built(unreadable, executor, attempts=2)
    (end,) = policy.act([seen], [policy.begin(TASK, 0)])
    assert "no valid ProductRequirements in 2 attempts" in repr(end.memory.reached)


def test_programs_in_a_union(executor: MontyExecutor) -> None:
    union = UnionSpace(spaces={"tools": ToolSpace(tools=(PRICE,)), "code": SPACE})
    policy = built(Company(), executor, union)
    (first,) = policy.act([Observation(instruction="x")], [policy.begin(TASK, 0)])
    assert union.contains(first.action) and first.action["space"] == "code"
    with pytest.raises(ValueError, match="give it a world that accepts code"):
        built(Company(), executor, ToolSpace(tools=(PRICE,)))


def test_the_company_solves_a_task_of_the_workspace(
    executor: MontyExecutor, tmp_path: Path
) -> None:
    """In the journaled runtime, with programs as actions; replayed, its model is not asked."""
    world = WithCode.Config(world=Workspace.Config(domains=("files",))).build()

    def answer(request: Request) -> str:
        kind = request.messages[0].content.rpartition("JSON of ")[2].rstrip(".")
        functions = "def name(path: str) -> str:\n    return path.split('/')[-1]"
        code = re.findall(r"[A-Z]-\d+", request.messages[-1].content)
        main = (
            f"found = search_files(text='{code[0] if code else ''}')\n"
            "path = found['lines'][0]['path']\n"
            "move_file(path=path, to='archive/' + name(path))\n"
            "answer(text='done')"
        )
        documents: dict[str, Any] = {
            "ProductRequirements": {"goals": ["move"], "requirements": ["one file"]},
            "Design": {"functions": [], "flow": "search, move, answer"},
            "Tasks": {"tasks": ["all"]},
            "Tests": {"assertions": ["assert name('a/b.txt') == 'b.txt'"]},
            "Program": {"functions": functions, "main": main},
        }
        return json.dumps(documents[kind])

    def agent(model: Any) -> AgentRun:
        return AgentRun(
            world=world,
            policy=lambda taped: MetaGPT.Config().build(taped, world.spec.accepts, executor),
            task=Task(name="files-1", instruction=""), seed=3, model=model,
        )  # fmt: skip

    with ActionLog(tmp_path / "log.sqlite") as log:
        result = anyio.run(run, agent(Scripted(name="company", answer=answer)), log, "e")
        assert result.success and result.spent.steps == 1 and result.spent.calls == 3
        replayed = anyio.run(replay, agent(None), log, "e")
        assert replayed.equal, str(replayed)
    world.close()
