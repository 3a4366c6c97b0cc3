"""A laboratory for the claim of R-LAM: workflows of measurements, made unrepeatable in known ways.

The workflow is adaptive: it measures again while the two best samples are too close, so what it
does depends on what it saw. Faults are put in where they occur in practice: generators without a
seed, the order of a set, the clock, data that changed, code that changed, arguments that a tool
changes, failures that come and go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from enactive.actions.chain import Chain
from enactive.actions.decision import Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.toolbox import BoundTool, Toolbox, ToolError
from enactive.actions.tools import READS, WRITES, CallResult, Effects, Tool, result_to_dict
from enactive.episodes.action_log import canonical
from enactive.observations import Observation, ObservationSpec, Task, TaskSpec
from enactive.seeding import numpy_generator
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.world import NotSupported, Snapshot, Step, WorldSpec

Fault = Literal["none", "random", "order", "clock", "data", "code", "mutation", "transient"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
AFFECTED: Mapping[Fault, str] = {
    "random": "measure", "order": "list_files", "clock": "fit", "data": "calibrate",
    "code": "fit", "transient": "measure",
}  # fmt: skip
"""The tool whose result a fault changes; a mutation changes none, only what was recorded of it."""
REPEATS = 4
"""Most measurements of one sample."""

_NAME: dict[str, Any] = {"type": "string", "maxLength": 40}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "maxItems": 1000}


def _schema(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


class Lab:
    """A world of measurements.

    Args:
        fault: what is wrong with it.
        data: a directory with ``offset.json``, which ``calibrate`` reads.
        seeded: draw the measurements' noise from the episode's seed; otherwise from the system.
        altered: the execution is a later one, for faults that are changes between two executions.
        work: size of the systems of equations that ``fit`` solves, so that actions cost something.
    """

    def __init__(
        self, fault: Fault, data: Path, *, seeded: bool = True, altered: bool = False,
        work: int = 120,
    ) -> None:  # fmt: skip
        self.fault, self.data, self.altered, self.work = fault, data, altered, work
        self.seeded = seeded and fault != "random"
        self.system = np.random.default_rng()  # entropy of the system: what must not decide bits
        self.seed = self.count = 0
        self.files: dict[str, str] = {}
        self.means: list[float] = []
        self.given: list[Any] = []
        self.submitted: str | None = None
        outside = Effects(read_only=True)
        made = (
            ("measure", WRITES, _schema(sample=_NAME), self._measure),
            ("calibrate", READS, _schema(), self._calibrate),
            ("fit", READS, _schema(values=_NUMBERS), self._fit),
            ("write", WRITES, _schema(name=_NAME, text=_NAME), self._write),
            ("list_files", READS, _schema(), self._list_files),
            ("now", outside, _schema(), time.time),
            ("submit", WRITES, _schema(sample=_NAME), self._submit),
        )
        self.toolbox = Toolbox(
            tuple(
                BoundTool(
                    tool=Tool(name=name, description="", effects=effects, input_schema=schema),
                    function=function,
                )
                for name, effects, schema, function in made
            )
        )
        self.spec = WorldSpec(
            name="lab", version="1", observations=ObservationSpec(),
            accepts=self.toolbox.space(parallel=8), rate_hz=1.0,
            tasks=(TaskSpec(name="best", instructions=("find the best sample",), max_steps=100),),
        )  # fmt: skip

    def reset(self, task: Task, seed: int) -> Observation:
        """Three to five samples with means of their own."""
        generator = numpy_generator(seed, "r-lam lab")
        self.means = generator.normal(0.0, 1.0, int(generator.integers(3, 6))).tolist()
        self.seed, self.count, self.submitted = seed, 0, None
        self.files, self.given = {}, []
        return Observation(instruction=task.instruction, text=f'{{"samples":{len(self.means)}}}')

    def activity(self, action: Any) -> Activity:
        """See :class:`enactive.worlds.tool_world.ToolWorld`."""
        return call_activity(self.toolbox.space(parallel=8), action, self.settle)

    def settle(self, results: Sequence[CallResult]) -> Step:
        """The step of an action whose calls gave ``results``."""
        text = canonical([result_to_dict(result) for result in results]).decode()
        best = int(np.argmax(self.means))
        success = self.submitted == f"s{best}"
        return Step(
            observation=Observation(text=text), reward=float(success),
            terminated=self.submitted is not None, truncated=False, success=success,
        )  # fmt: skip

    def step(self, action: Any) -> Step:
        """See :class:`enactive.worlds.world.World`."""
        return drive(self.toolbox, self.activity(action))

    def snapshot(self) -> Snapshot:
        """There are none."""
        raise NotSupported("the lab has no snapshots")

    def restore(self, snapshot: Snapshot) -> Observation:
        """There are none."""
        raise NotSupported("the lab has no snapshots")

    def close(self) -> None:
        """Nothing to free."""

    def _measure(self, sample: str) -> list[float]:
        self.count += 1
        if self.fault == "transient" and self.system.random() < 0.2:
            raise ToolError("the instrument did not answer")
        stream = numpy_generator(self.seed, "noise", self.count) if self.seeded else self.system
        mean = self.means[int(sample[1:])]
        return [float(value) for value in mean + stream.normal(0.0, 0.6, 12)]

    def _calibrate(self) -> float:
        offset = json.loads((self.data / "offset.json").read_text())
        return offset + (1e-9 if self.fault == "data" and self.altered else 0.0)

    def _fit(self, values: list[float]) -> dict[str, Any]:
        matrix = np.eye(self.work) * self.work + np.outer(
            np.arange(self.work), np.arange(self.work)[::-1]
        )
        solved = np.linalg.solve(matrix, np.resize(values, self.work))
        scale = 1.0 + (1e-12 if self.fault == "code" and self.altered else 0.0)
        result = {
            "mean": float(np.mean(values)) * scale,
            "error": float(np.std(values) / len(values) ** 0.5),
            "check": float(solved.sum()),
            "tags": ["fitted"],
        }
        if self.fault == "clock":
            result["tags"].append(f"{time.time():.6f}")
        if self.fault == "mutation":
            values.sort()  # a tool that sorts what it was given, in place
            self.given.append(result)
            for earlier in self.given[:-1]:
                earlier["tags"].append("old")  # and changes what it gave before
        return result

    def _write(self, name: str, text: str) -> None:
        self.files[name] = text

    def _list_files(self) -> list[str]:
        names = list(self.files)
        if self.fault == "order":
            self.system.shuffle(names)
        return names

    def _submit(self, sample: str) -> None:
        self.submitted = sample


@dataclass(frozen=True, slots=True)
class Notes:
    """What the workflow remembers."""

    stage: str = "calibrate"
    values: tuple[tuple[float, ...], ...] = ()
    """By sample, all its measurements."""
    fits: tuple[tuple[float, float], ...] = ()
    """By sample, mean and standard error."""
    asked: tuple[int, ...] = ()
    """Samples whose results come next."""
    rounds: int = 0


class Workflow:
    """Calibrate, measure all samples, fit, measure the two best again while they are too close,
    write a note, list the files, submit. A failed measurement is made again."""

    name = "workflow"
    consumes = ObservationSpec()

    def __init__(self, produces: ActionSpace) -> None:
        self.produces = produces

    def describe(self) -> Mapping[str, Any]:
        """It has no settings."""
        return {}

    def begin(self, task: Task, seed: int) -> Notes:
        """Nothing is known."""
        return Notes()

    def act(self, observations: Sequence[Observation], memories: Sequence[Notes]) -> list[Decision]:
        """The next action of each."""
        return [
            self._one(json.loads(seen.text or "null"), notes)
            for seen, notes in zip(observations, memories, strict=True)
        ]

    def _one(self, seen: Any, notes: Notes) -> Decision:
        if notes.stage == "calibrate":
            empty = tuple(() for _ in range(seen["samples"]))
            asked = tuple(range(seen["samples"]))
            return self._do([("calibrate", {})], Notes("first", empty, (), asked))
        if notes.stage == "first":
            return self._measure(Notes("fit", notes.values, (), notes.asked))
        if notes.stage == "fit":
            return self._fit(seen, notes)
        if notes.stage == "judge":
            fits = tuple((one["value"]["mean"], one["value"]["error"]) for one in seen)
            order = sorted(range(len(fits)), key=lambda i: -fits[i][0])
            first, second = order[:2]
            close = fits[first][0] - fits[second][0] < 2 * (fits[first][1] + fits[second][1])
            if close and notes.rounds < REPEATS:
                asked = (first, second)
                return self._measure(Notes("fit", notes.values, fits, asked, notes.rounds + 1))
            text = f"s{first} after {notes.rounds} rounds"
            calls = [("write", {"name": "note", "text": text}),
                     ("write", {"name": "best", "text": f"s{first}"}),
                     ("write", {"name": "done", "text": "yes"})]  # fmt: skip
            return self._do(calls, Notes("list", notes.values, fits, (first,), notes.rounds))
        if notes.stage == "list":
            calls: list[tuple[str, Any]] = [("list_files", {}), ("now", {})]
            return self._do(calls, Notes("submit", notes.values, notes.fits, notes.asked))
        return self._do([("submit", {"sample": f"s{notes.asked[0]}"})], notes)

    def _fit(self, seen: Any, notes: Notes) -> Decision:
        values = list(notes.values)
        missing = [i for i, one in zip(notes.asked, seen, strict=True) if "failure" in one]
        for sample, one in zip(notes.asked, seen, strict=True):
            if "value" in one:
                values[sample] = (*values[sample], *one["value"])
        if missing:
            again = Notes("fit", tuple(values), notes.fits, tuple(missing), notes.rounds)
            return self._measure(again)
        calls = [("fit", {"values": list(found)}) for found in values]
        return self._do(calls, Notes("judge", tuple(values), notes.fits, (), notes.rounds))

    def _measure(self, notes: Notes) -> Decision:
        return self._do([("measure", {"sample": f"s{i}"}) for i in notes.asked], notes)

    def _do(self, calls: Sequence[tuple[str, Any]], memory: Notes) -> Decision:
        action = {"calls": [{"tool": tool, "arguments": arguments} for tool, arguments in calls]}
        return Decision(action=action, chain=Chain.raw(action, "workflow"), memory=memory)
