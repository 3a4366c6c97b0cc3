"""What a runtime adds to an action: time per action and bytes of its journal, ours and the peers'.

All are given the work of ``agent_work.py`` in turn, several times, in one run. Ours writes two
entries before the call (the decision, the intent) and one after it, and makes them safe before
anything outside is changed.

    bash bench/agent_peers_environment.sh .venv-agents
    python bench/agent_overhead.py --peers .venv-agents/bin/python [--steps 200] [--size 1000]
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from agent_work import Work
from enactive.actions.chain import Chain
from enactive.actions.decision import Decision
from enactive.actions.toolbox import BoundTool, Toolbox
from enactive.actions.tools import EXTERNAL, CallResult, Effects, Tool, result_to_dict
from enactive.episodes.action_log import ActionLog, canonical
from enactive.episodes.provenance import processor
from enactive.observations import Observation, ObservationSpec, Task, TaskSpec
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.run import run
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.world import NotSupported, Snapshot, Step, WorldSpec

RESULTS = Path(__file__).resolve().parent / "results" / "agent_overhead.json"


class OneTool:
    """A world with one tool, which reaches outside."""

    def __init__(self, work: Work, effects: Effects) -> None:
        schema = {
            "type": "object", "properties": {"content": {"type": "string", "maxLength": 100_000}},
            "required": ["content"], "additionalProperties": False,
        }  # fmt: skip
        tool = Tool(name="act", description="", input_schema=schema, effects=effects)
        self.toolbox = Toolbox((BoundTool(tool=tool, function=work.tool),))
        self.spec = WorldSpec(
            name="one-tool", version="1", observations=ObservationSpec(),
            accepts=self.toolbox.space(), rate_hz=1.0,
            tasks=(TaskSpec(name="go", instructions=("go",), max_steps=work.steps),),
        )  # fmt: skip

    def reset(self, task: Task, seed: int) -> Observation:
        return Observation(instruction=task.instruction, text="")

    def activity(self, action: Any) -> Activity:
        return call_activity(self.spec.accepts, action, self.settle)  # pyright: ignore

    def settle(self, results: Sequence[CallResult]) -> Step:
        text = canonical([result_to_dict(result) for result in results]).decode()
        return Step(observation=Observation(text=text), reward=0.0, terminated=False,
                    truncated=False, success=True)  # fmt: skip

    def step(self, action: Any) -> Step:
        return drive(self.toolbox, self.activity(action))

    def snapshot(self) -> Snapshot:
        raise NotSupported("no snapshots")

    def restore(self, snapshot: Snapshot) -> Observation:
        raise NotSupported("no snapshots")

    def close(self) -> None:
        pass


class Listed:
    """Proposes the work's inputs in turn."""

    name = "listed"
    consumes = ObservationSpec()

    def __init__(self, work: Work, produces: Any) -> None:
        self.work, self.produces = work, produces

    def describe(self) -> Mapping[str, Any]:
        return {}

    def begin(self, task: Task, seed: int) -> int:
        return 0

    def act(self, observations: Sequence[Observation], memories: Sequence[int]) -> list[Decision]:
        (memory,) = memories
        action = {"tool": "act", "arguments": {"content": self.work.inputs[memory]}}
        return [Decision(action=action, chain=Chain.raw(action, "listed"), memory=memory + 1)]


def ours(steps: int, size: int, durable: bool, effects: Effects) -> dict[str, float]:
    """Our runtime on the work."""
    work = Work(steps, size)
    world = OneTool(work, effects)
    policy = Listed(work, world.spec.accepts)
    agent = AgentRun(world=world, policy=lambda model: policy,
                     task=Task(name="go", instruction="go"))  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "actions.sqlite"
        with ActionLog(path, durable=durable) as log:
            anyio.run(run, agent, log, "bench")
            log.size()
        return work.figures([path])


VARIANTS = {
    "enactive, no fsync": (False, Effects(idempotent=True)),
    "enactive, no fsync, calls that may not be repeated": (False, EXTERNAL),
    "enactive, fsync": (True, Effects(idempotent=True)),
    "enactive, fsync, calls that may not be repeated": (True, EXTERNAL),
}


def main() -> None:
    """Run all of them and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, help="Python of the peers' environment")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=1000, help="bytes of each input and output")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
    versions: dict[str, str] = {}
    for repeat in range(given.repeats):
        for name, (durable, effects) in VARIANTS.items():
            rows.setdefault(name, []).append(ours(given.steps, given.size, durable, effects))
        peers = subprocess.run(
            [given.peers, str(Path(__file__).with_name("agent_peers.py")), str(given.steps),
             str(given.size)], check=True, capture_output=True, text=True,
        )  # fmt: skip
        for line in peers.stdout.splitlines():
            if not line.startswith("{"):
                continue
            found = json.loads(line)
            versions.update(found.pop("versions", {}))
            if "name" in found:
                rows.setdefault(found.pop("name"), []).append(found)
        print(f"{repeat + 1} of {given.repeats}", file=sys.stderr)
    table = {
        name: {
            "median_us": statistics.median(row["median_us"] for row in found),
            "median_us_range": [
                min(r["median_us"] for r in found),
                max(r["median_us"] for r in found),
            ],
            "p95_us": statistics.median(row["p95_us"] for row in found),
            "bytes_per_payload_byte": found[-1]["bytes_per_payload_byte"],
        }
        for name, found in rows.items()
    }
    alike = {
        "no_fsync": ("enactive, no fsync", ["langgraph, SQLite saver, no fsync"]),
        "fsync": ("enactive, fsync", ["langgraph, SQLite saver, fsync", "dbos, SQLite"]),
    }
    ratios = {
        setting: {
            peer: round(table[peer]["median_us"] / table[own]["median_us"], 2) for peer in peers
        }
        for setting, (own, peers) in alike.items()
    }
    result = {
        "date": datetime.date.today().isoformat(),
        "command": "python bench/agent_overhead.py --peers PEERS "
        f"--steps {given.steps} --size {given.size} --repeats {given.repeats}",
        "machine": {"processor": processor(), "cores": os.cpu_count(),
                    "load": [round(x, 1) for x in os.getloadavg()]},
        "versions": {"enactive": importlib.metadata.version("enactive"), **versions},
        "table": table,
        "times_as_fast": ratios,
    }  # fmt: skip
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
