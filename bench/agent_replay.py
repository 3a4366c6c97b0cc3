"""A thousand agents' episodes, recorded in every kind of agent world and replayed to the bit.

The experts of the worlds act, with mistakes put in: a call of a tool that is not there, arguments
that are wrong. Programs are the expert's calls as source text. Every episode is replayed twice:
with the policy deciding again, and with the recorded decisions.

    python bench/agent_replay.py [--scale 1.0] [--only workspace ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import anyio
from rich.progress import track

from enactive.actions.decision import Decision
from enactive.episodes.action_log import ActionLog
from enactive.episodes.provenance import processor
from enactive.evaluation.files import write_atomically
from enactive.observations import Observation, Task
from enactive.policies.agents.skills import SkilledWorld
from enactive.policies.expert import ExpertPolicy
from enactive.policies.policy import Policy
from enactive.policies.random_policy import RandomPolicy, Samples
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.replay import replay
from enactive.runtime.run import run
from enactive.seeding import numpy_generator
from enactive.worlds.code.bubblewrap import BubblewrapExecutor
from enactive.worlds.code_world import WithCode
from enactive.worlds.desktop import Desktop
from enactive.worlds.miniwob import MiniWoB
from enactive.worlds.workspace.world import Workspace
from enactive.worlds.world import World, WorldSpec

RESULTS = Path(__file__).resolve().parent / "results" / "agent_replay.json"


class Clumsy:
    """A policy that sometimes does something else first: nonsense, or what it did wrongly.

    Args:
        inner: who is right.
        spoil: what to do instead of an action, given a number below 2.
        rate: share of the steps that are spoilt.
    """

    def __init__(self, inner: Policy, spoil: Callable[[Any, int], Any], rate: float) -> None:
        self.inner, self.spoil, self.rate = inner, spoil, rate
        self.name, self.consumes, self.produces = inner.name, inner.consumes, inner.produces

    def describe(self) -> Mapping[str, Any]:
        return {**self.inner.describe(), "spoilt": self.rate}

    def begin(self, task: Task, seed: int) -> Any:
        return (seed, 0, self.inner.begin(task, seed))

    def act(self, observations: Sequence[Observation], memories: Sequence[Any]) -> list[Decision]:
        decisions: list[Decision] = []
        for seen, (seed, step, memory) in zip(observations, memories, strict=True):
            (right,) = self.inner.act([seen], [memory])
            generator = numpy_generator(seed, "clumsy", step)
            if generator.random() < self.rate:
                action = self.spoil(right.action, int(generator.integers(2)))
                decision = Decision(action=action, memory=(seed, step + 1, memory))
            else:
                decision = dataclasses.replace(right, memory=(seed, step + 1, right.memory))
            decisions.append(decision)
        return decisions


class Programs:
    """The expert's calls as programs."""

    def __init__(self, inner: Policy, spec: WorldSpec) -> None:
        self.inner, self.name, self.consumes = inner, "programs", inner.consumes
        self.produces = spec.accepts

    def describe(self) -> Mapping[str, Any]:
        return self.inner.describe()

    def begin(self, task: Task, seed: int) -> Any:
        return self.inner.begin(task, seed)

    def act(self, observations: Sequence[Observation], memories: Sequence[Any]) -> list[Decision]:
        decisions = self.inner.act(observations, memories)
        return [dataclasses.replace(one, action=program(one.action)) for one in decisions]


def program(action: Any) -> str:
    """Source text that makes an action's calls and prints what they gave."""
    calls = action.get("calls", [action])
    lines = [
        f"print({one['tool']}({', '.join(f'{k}={v!r}' for k, v in one['arguments'].items())}))"
        for one in calls
    ]
    return "\n".join(lines)


def wrong_call(action: Any, kind: int) -> Any:
    """An unknown tool, or an argument that does not exist."""
    call = action["calls"][0] if "calls" in action else action
    if kind:
        return {"tool": call["tool"], "arguments": {**call["arguments"], "hurry": True}}
    return {"tool": "no_such_tool", "arguments": {}}


def wrong_program(action: Any, kind: int) -> str:
    """A program that is refused before it runs, or one that fails."""
    return "import os\nos.remove('x')" if kind else "x = [1, 2, 3]\nprint(sum(x))\nx[7]"


def wrong_click(action: Any, kind: int) -> Any:
    """A click beside everything, or one off the screen."""
    return {"do": "click", "x": 1, "y": 1} if kind else {"do": "click", "x": 99_999, "y": 0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of agent world."""

    build: Callable[[], World]
    policy: Callable[[WorldSpec], Policy]
    episodes: int


def _expert(spoil: Callable[[Any, int], Any], name: str) -> Callable[[WorldSpec], Policy]:
    def make(spec: WorldSpec) -> Policy:
        config = ExpertPolicy.Config(expert=name, privileged=name)
        return Clumsy(config.build(dataclasses.replace(spec, name=name)), spoil, 0.15)

    return make


def _programs(spec: WorldSpec) -> Policy:
    inner = dataclasses.replace(spec, accepts=Workspace.Config().build().spec.accepts)
    expert = ExpertPolicy.Config(expert="workspace", privileged="workspace").build(inner)
    return Clumsy(Programs(expert, spec), wrong_program, 0.15)


KINDS: dict[str, Kind] = {
    "workspace": Kind(
        build=lambda: Workspace.Config().build(), policy=_expert(wrong_call, "workspace"),
        episodes=600,
    ),
    "workspace by programs": Kind(
        build=lambda: WithCode.Config().build(), policy=_programs, episodes=240
    ),
    "miniwob": Kind(
        build=lambda: MiniWoB.Config().build(), policy=_expert(wrong_click, "miniwob"), episodes=100
    ),
}  # fmt: skip


class RandomSkills:
    """Calls skills at random, with arguments that their schemas allow."""

    name = "random"

    def __init__(self, spec: WorldSpec) -> None:
        self.produces = spec.accepts
        self.consumes = dataclasses.replace(spec.observations, cameras=(), states=(), privileged=())

    def describe(self) -> Mapping[str, Any]:
        return {}

    def begin(self, task: Task, seed: int) -> Any:
        return (seed, 0)

    def act(self, observations: Sequence[Observation], memories: Sequence[Any]) -> list[Decision]:
        return [self._one(*memory) for memory in memories]

    def _one(self, seed: int, step: int) -> Decision:
        generator = numpy_generator(seed, "skills", step)
        tools: Any = self.produces.tools  # pyright: ignore
        tool = tools[int(generator.integers(len(tools)))]
        arguments: dict[str, Any] = {}
        for name, schema in tool.input_schema.get("properties", {}).items():
            if "enum" in schema:
                arguments[name] = schema["enum"][int(generator.integers(len(schema["enum"])))]
            elif schema.get("type") == "integer":
                arguments[name] = int(generator.integers(1, 6))
            else:
                arguments[name] = "the red ball"
        return Decision(action={"tool": tool.name, "arguments": arguments}, memory=(seed, step + 1))


KINDS["workspace by programs in CPython"] = Kind(
    build=lambda: WithCode.Config(executor=BubblewrapExecutor.Config()).build(),
    policy=_programs, episodes=40,
)  # fmt: skip
KINDS["desktop, clicks and calls at random"] = Kind(
    build=lambda: Desktop.Config().build(),
    policy=lambda spec: RandomPolicy(cast("Samples", spec.accepts)),
    episodes=40,
)
KINDS["skills in BabyAI"] = Kind(
    build=lambda: SkilledWorld.Config(max_calls=12).build(), policy=RandomSkills, episodes=60
)


def measured(kind: Kind, episodes: int, directory: Path, name: str) -> dict[str, Any]:
    """Record so many episodes of a kind, spread over all tasks, and replay them."""
    world = kind.build()
    spec, policy = world.spec, kind.policy(world.spec)
    tasks = [task.name for task in spec.tasks]
    found: dict[str, Any] = {
        "episodes": episodes, "tasks": len(tasks), "successes": 0, "decisions": 0, "calls": 0,
        "entries_compared": 0, "equal": 0, "equal_recorded_decisions": 0, "differences": [],
    }  # fmt: skip
    start = time.perf_counter()
    with ActionLog(directory / "actions.sqlite") as log:
        agents: dict[str, AgentRun] = {}
        for number in track(range(episodes), description=f"{name}: recording"):
            task = spec.task(tasks[number % len(tasks)]).task()
            agents[id := f"{number}"] = AgentRun(
                world=world, policy=lambda model: policy, task=task, seed=number
            )
            result = anyio.run(run, agents[id], log, id)
            found["successes"] += result.success
            found["decisions"] += result.spent.steps
            found["calls"] += result.spent.calls
        found["record_seconds"] = round(time.perf_counter() - start, 1)
        world.close()
        world = kind.build()  # another process's, as far as it can know
        for id, agent in track(agents.items(), description=f"{name}: replaying"):
            agent = dataclasses.replace(agent, world=world)
            one = anyio.run(replay, agent, log, id)
            other = anyio.run(lambda: replay(agent, log, id, decisions=False))  # noqa: B023
            found["entries_compared"] += one.compared
            found["equal"] += one.equal
            found["equal_recorded_decisions"] += other.equal
            if not (one.equal and other.equal):
                found["differences"].append(f"{agent.task.name}: {one} / {other}"[:600])
        found["bytes_per_episode"] = round(log.size() / episodes)
    world.close()
    return found


def main() -> None:
    """Run all kinds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", default=list(KINDS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    table: dict[str, Any] = {}
    for name in given.only:
        kind = KINDS[name]
        with tempfile.TemporaryDirectory() as directory:
            episodes = max(1, round(given.scale * kind.episodes))
            table[name] = measured(kind, episodes, Path(directory), name)
        print(json.dumps({name: table[name]}, indent=2), flush=True)
    result = {
        "date": datetime.date.today().isoformat(),
        "command": "python bench/agent_replay.py",
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "episodes": sum(row["episodes"] for row in table.values()),
        "equal": sum(row["equal"] for row in table.values()),
        "table": table,
    }
    write_atomically(given.out, json.dumps(result, indent=2) + "\n")
    print(f"{result['equal']} of {result['episodes']} episodes are bit-equal")


if __name__ == "__main__":
    main()
