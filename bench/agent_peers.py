"""The peers' side of ``agent_overhead.py``: runs in their own environment, a JSON line for each.

python bench/agent_peers.py STEPS SIZE
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import operator
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, TypedDict

from agent_work import Work, say


class State(TypedDict):
    """What LangGraph keeps: how many calls were made, and what each gave."""

    number: int
    results: Annotated[list[str], operator.add]


def langgraph(steps: int, size: int, fsync: bool) -> None:
    """A graph whose one node makes a call and comes back to itself, with its SQLite saver."""
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    work = Work(steps, size)

    def act(state: State) -> dict[str, Any]:
        result = work.tool(work.inputs[state["number"]])
        return {"number": state["number"] + 1, "results": [result]}

    graph = StateGraph(State)
    graph.add_node("act", act)
    graph.add_edge(START, "act")
    graph.add_conditional_edges("act", lambda s: END if s["number"] == steps else "act")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "graph.sqlite"
        connection = sqlite3.connect(path, check_same_thread=False)
        saver = SqliteSaver(connection)
        saver.setup()
        connection.execute(f"PRAGMA synchronous={'FULL' if fsync else 'NORMAL'}")
        graph.compile(checkpointer=saver).invoke(
            {"number": 0, "results": []},
            {"configurable": {"thread_id": "1"}, "recursion_limit": steps + 10},
            durability="sync",
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        say(f"langgraph, SQLite saver, {'fsync' if fsync else 'no fsync'}", work.figures([path]))


def pydantic_ai(steps: int, size: int) -> None:
    """An agent with a scripted model and one tool. It keeps nothing on disk."""
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel
    from pydantic_ai.usage import UsageLimits

    work = Work(steps, size)
    asked = iter(range(steps + 1))

    def propose(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        number = next(asked)
        if number == steps:
            return ModelResponse(parts=[TextPart("done")])
        return ModelResponse(parts=[ToolCallPart("act", {"content": work.inputs[number]})])

    agent = Agent(FunctionModel(propose))
    agent.tool_plain(work.tool, name="act")
    agent.run_sync("go", usage_limits=UsageLimits(request_limit=None))
    say("pydantic-ai, nothing on disk", work.figures([]))


def dbos(steps: int, size: int) -> None:
    """A workflow of so many steps on SQLite."""
    from dbos import DBOS

    work = Work(steps, size)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "dbos.sqlite"
        DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{path}",
                     "run_admin_server": False, "log_level": "ERROR"})  # fmt: skip

        @DBOS.step()
        def act(content: str) -> str:
            return work.tool(content)

        @DBOS.workflow()
        def go() -> None:
            for content in work.inputs:
                act(content)

        DBOS.launch()
        go()
        DBOS.destroy()
        files = [path, path.with_name(path.name + "-wal")]
        say("dbos, SQLite", work.figures(files))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    steps, size = int(sys.argv[1]), int(sys.argv[2])
    packages = ("langgraph", "langgraph-checkpoint-sqlite", "pydantic-ai-slim", "dbos")
    print(json.dumps({"versions": {name: importlib.metadata.version(name) for name in packages}}))
    langgraph(steps, size, fsync=False)
    langgraph(steps, size, fsync=True)
    pydantic_ai(steps, size)
    dbos(steps, size)
