"""A small world with tools, to test the runtime: accounts inside it, a post office outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from enactive.actions.chain import Chain
from enactive.actions.decision import Decision
from enactive.actions.toolbox import BoundTool, CallContext, Toolbox, ToolError
from enactive.actions.tools import (
    EXTERNAL,
    READS,
    WRITES,
    CallResult,
    Effects,
    Failure,
    Tool,
    result_to_dict,
)
from enactive.episodes.action_log import canonical
from enactive.observations import Observation, ObservationSpec, Task, TaskSpec
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.world import NotSupported, Snapshot, Step, WorldSpec

NAME = {"type": "string", "maxLength": 100}
AMOUNT = {"type": "integer", "minimum": 0, "maximum": 1000}


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties),
            "additionalProperties": False}  # fmt: skip


@dataclass
class Office:
    """What is outside: it outlives worlds, and remembers keys."""

    sent: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    clock: int = 0

    def send(self, letter: str, context: CallContext) -> str:
        if context.key not in self.keys:
            self.sent.append(letter)
            self.keys[context.key] = f"receipt {len(self.sent)}"
        return self.keys[context.key]

    def shout(self, word: str) -> str:
        self.sent.append(word)
        return f"shouted {word}"

    def tell_time(self) -> int:
        self.clock += 1
        return self.clock


class LedgerWorld:
    """Accounts that money is moved between; ``answer`` ends the episode."""

    def __init__(self, office: Office | None = None, *, slow: Callable[[str], float] | None = None):
        self.office = office or Office()
        self.slow = slow
        self.order: list[str] = []
        """Names of slow calls in the order in which they ended."""
        self.balances: dict[str, int] = {}
        self.answered: str | None = None
        account = ("account:{name}",)
        tools = (
            BoundTool(tool=Tool(name="balance", description="", effects=READS, resources=account,
                                input_schema=schema(name=NAME)), function=self._balance),
            BoundTool(tool=Tool(name="pay", description="", effects=WRITES, resources=account,
                                input_schema=schema(name=NAME, amount=AMOUNT)), function=self._pay),
            BoundTool(tool=Tool(name="work", description="", effects=WRITES, resources=account,
                                input_schema=schema(name=NAME)), function=self._work),
            BoundTool(tool=Tool(name="send", description="", effects=EXTERNAL, resources=("post",),
                                input_schema=schema(letter=NAME)), function=self.office.send,
                      context="context", keyed=True),
            BoundTool(tool=Tool(name="shout", description="", effects=EXTERNAL,
                                input_schema=schema(word=NAME)), function=self.office.shout),
            BoundTool(tool=Tool(name="time", description="", resources=(),
                                effects=Effects(read_only=True)), function=self.office.tell_time),
            BoundTool(tool=Tool(name="answer", description="", effects=WRITES,
                                input_schema=schema(text=NAME)), function=self._answer),
        )  # fmt: skip
        self._toolbox = Toolbox(tools)
        self._spec = WorldSpec(
            name="ledger", version="1", observations=ObservationSpec(),
            accepts=self._toolbox.space(parallel=8),
            tasks=(TaskSpec(name="pay", instructions=("pay everyone",), max_steps=10**9),),
            rate_hz=1.0,
        )  # fmt: skip

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    @property
    def toolbox(self) -> Toolbox:
        return self._toolbox

    def reset(self, task: Task, seed: int) -> Observation:
        self.spec.check_task(task)
        self.balances = {"ann": seed % 7, "bob": 10}
        self.answered = None
        self.order = []
        return Observation(instruction=task.instruction, text=f"accounts: {self.balances}")

    def activity(self, action: Any) -> Activity:
        space = self._toolbox.space(parallel=8)
        if problem := space.problem(action):
            raise ValueError(problem)
        return call_activity(space, action, self.settle)

    def settle(self, results: Sequence[CallResult]) -> Step:
        text = canonical([result_to_dict(result) for result in results]).decode()
        done = self.answered is not None
        return Step(
            observation=Observation(text=text), reward=float(done), terminated=done,
            truncated=False, success=done,
            events=("failed",) if any(isinstance(r, Failure) for r in results) else (),
        )  # fmt: skip

    def step(self, action: Any) -> Step:
        return drive(self._toolbox, self.activity(action))

    def snapshot(self) -> Snapshot:
        raise NotSupported("no snapshots")

    def restore(self, snapshot: Snapshot) -> Observation:
        raise NotSupported("no snapshots")

    def close(self) -> None:
        pass

    def _balance(self, name: str) -> int:
        return self._account(name)

    def _pay(self, name: str, amount: int) -> dict[str, int]:
        self.balances[name] = self._account(name) + amount
        return {name: self.balances[name]}

    async def _work(self, name: str) -> str:
        await anyio.sleep(self.slow(name) if self.slow else 0)
        self.order.append(name)
        return f"{name} worked"

    def _answer(self, text: str) -> None:
        self.answered = text

    def _account(self, name: str) -> int:
        if name not in self.balances:
            raise ToolError(f"there is no account {name!r}; there are {sorted(self.balances)}")
        return self.balances[name]


class Script:
    """A policy that plays a list of actions, or a function of the step's number and the text."""

    name = "script"
    consumes = ObservationSpec()

    def __init__(self, actions: Sequence[Any] | Callable[[int, str], Any], produces: Any = None):
        self.actions = actions
        self.produces = produces

    def describe(self) -> Mapping[str, Any]:
        return {}

    def begin(self, task: Task, seed: int) -> int:
        return 0

    def act(self, observations: Sequence[Observation], memories: Sequence[int]) -> list[Decision]:
        return [self.one(seen.text or "", memory)
                for seen, memory in zip(observations, memories, strict=True)]  # fmt: skip

    def one(self, text: str, memory: int) -> Decision:
        action = self.actions(memory, text) if callable(self.actions) else self.actions[memory]
        return Decision(action=action, chain=Chain.raw(action, "script"), memory=memory + 1)


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


def together(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"calls": list(calls)}
