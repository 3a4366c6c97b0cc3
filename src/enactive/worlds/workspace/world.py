"""The tool workspace as a world: an action calls tools, ``answer`` ends the episode.

Every bit is decided by task and seed. What the tools work on is one JSON value, so that a snapshot
is that value. A task is told in the world's own sentence for the seed; under the perturbation
``reworded`` it is one of the sentences that are held out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.toolbox import BoundTool, CallContext, Toolbox, ToolError, copy_json
from enactive.actions.tools import CallResult, Effects, Failure, Tool, result_to_dict
from enactive.observations import Observation, ObservationSpec, StateVector, Task, TaskSpec
from enactive.registry import Registry, refuse_unknown
from enactive.seeding import numpy_generator
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.workspace.documents import DOCUMENTS
from enactive.worlds.workspace.files import FILES
from enactive.worlds.workspace.problem import Domain, Operation, Problem, State
from enactive.worlds.workspace.shop import SHOP
from enactive.worlds.workspace.tables import TABLES
from enactive.worlds.workspace.units import UNIT_CONVERSIONS
from enactive.worlds.world import (
    EventSpec,
    NotSupported,
    PerturbationSpec,
    Snapshot,
    Step,
    WorldSpec,
)

DOMAINS: Mapping[str, Domain] = {
    domain.name: domain for domain in (FILES, TABLES, SHOP, UNIT_CONVERSIONS, DOCUMENTS)
}
"""All domains by name."""

VERSION = "1"
"""Rises when a seed gives another problem, or a tool another result."""

RATE_HZ = 1.0
"""Time in the workspace is actions."""

TRUTH = StateVector(
    name="workspace",
    names=("seed.high", "seed.low", "step"),
    unit="the two halves of the seed, 32 bits each, and the number of the next action",
)
"""Task and seed decide everything, so that they are the whole truth."""

EVENTS = (
    EventSpec(name="call_failed", description="a call gave a failure"),
    EventSpec(name="truncated_text", description="a result was longer than max_text"),
    EventSpec(name="answered_right", description="an answer was given, and the task is done"),
    EventSpec(name="answered_wrong", description="an answer was given, and the task is not done"),
)

REWORDED = PerturbationSpec(
    name="reworded",
    axis="wording",
    description="the same problem, told in a sentence that is held out from training",
)

ANSWER = Tool(
    name="answer",
    description="Give the answer, or say that the work is done. This ends the task.",
    input_schema={
        "type": "object",
        "properties": {
            "text": {
                "type": "string",
                "maxLength": 1000,
                "description": "the answer and nothing else: one number or one name where one is "
                "asked for, 'done' where something was to be done",
            }
        },
        "required": ["text"],
        "additionalProperties": False,
    },
    effects=Effects(destructive=False, open_world=False),
)
"""Unknown resources: it waits for all other calls."""


class Workspace:
    """The workspace; made with ``Workspace.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Workspace`."""

        domains: tuple[str, ...] = ("files", "tables", "shop", "units", "search")
        """Whose tasks and tools there are. Fewer make shorter prompts. A domain of one's own is
        named by where it is: ``"package.module:NAME"``."""
        parallel: int = 4
        """Most calls that one action may make."""
        max_text: int = 4000
        """Most characters of one result in ``Observation.text``; a longer one is cut off and says
        so."""
        privileged: bool = True
        """Give ``Observation.privileged["workspace"]``, which the scripted expert reads."""
        shop_url: str = ""
        """Where a shop is served (see :mod:`enactive.worlds.workspace.shop_server`); empty keeps
        one in the process. A shop elsewhere cannot be put back, so the world has no snapshots
        then, and its tools are declared to reach outside."""
        shop_session: str = "workspace"
        """Names this run's part of a shop that is served: an episode of a task and seed continues
        what one under the same name has left."""

        def build(self) -> Workspace:
            """The world.

            Raises:
                ValueError: an unknown domain, or a bound out of range.
            """
            return Workspace(self)

    def __init__(self, config: Config) -> None:
        refuse_unknown("domains", (name for name in config.domains if ":" not in name), DOMAINS)
        if not config.domains or len(set(config.domains)) < len(config.domains):
            raise ValueError(f"domains: name each once, and one at least; got {config.domains}")
        if config.max_text < 40:
            raise ValueError(f"max_text must be at least 40 characters, got {config.max_text}")
        self._config = config
        found = [_domain(name) for name in config.domains]
        self._domains = {domain.name: domain for domain in found}
        if config.shop_url and "shop" in self._domains:
            from enactive.worlds.workspace.shop_client import shop_at

            self._domains["shop"] = shop_at(config.shop_url)
        bound = [
            self._bind(domain, operation)
            for domain in self._domains.values()
            for operation in domain.operations
        ]
        answer = BoundTool(tool=ANSWER, function=self._give_answer)
        self._toolbox = Toolbox((*bound, answer))
        self._spec = _spec(config, self._domains, self._toolbox)
        self._episode: _Episode | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    @property
    def toolbox(self) -> Toolbox:
        """All tools; those of another domain than the episode's refuse, and say so."""
        return self._toolbox

    def reset(self, task: Task, seed: int) -> Observation:
        self._spec.check_task(task)
        domain, problem = self._problem(task.name, seed)
        # Through JSON: what a problem keeps for its judge is not what the tools change.
        state = json.loads(json.dumps(problem.state))
        session = f"{self._config.shop_session}-{task.name}-{seed}"
        self._episode = _Episode(
            task=task,
            seed=seed,
            domain=domain,
            problem=problem,
            told=task.instruction or told(problem, task, seed),
            state=domain.begin(state, session),
            text=_opening(domain),
        )
        return self._look()

    def step(self, action: Any) -> Step:
        return drive(self._toolbox, self.activity(action), self._running().step)

    def activity(self, action: Any) -> Activity:
        """Begin an action: one call, or several.

        Raises:
            ValueError: it is no action of ``spec.accepts``; nothing was done.
            RuntimeError: no episode is running.
        """
        episode = self._running()
        space = self._toolbox.space(self._config.parallel)
        if problem := space.problem(action):
            raise ValueError(f"no action of the workspace: {problem}")
        if episode.over:
            raise RuntimeError("the episode is over; call reset")
        return call_activity(space, action, self.settle)

    def settle(self, results: Sequence[CallResult]) -> Step:
        """The step of an action whose calls have been made, with these results."""
        episode = self._running()
        most = self._spec.task(episode.task.name).max_steps
        episode.step += 1
        episode.text, cut = said(results, self._config.max_text)
        events = ["call_failed"] if any(isinstance(r, Failure) for r in results) else []
        events += ["truncated_text"] if cut else []
        success, terminated = False, episode.answer is not None
        if episode.answer is not None:
            state = episode.domain.look(episode.state)
            success = not episode.problem.judge(state, episode.answer)
            events.append("answered_right" if success else "answered_wrong")
        truncated = not terminated and episode.step >= most
        episode.over = terminated or truncated
        return Step(
            observation=self._look(),
            reward=float(success),
            terminated=terminated,
            truncated=truncated,
            success=success,
            events=tuple(events),
        )

    def snapshot(self) -> Snapshot:
        self._check_sealed()
        episode = self._running()
        task = episode.task
        return Snapshot.pack(
            self._spec.name,
            {
                "task": [task.name, task.instruction, list(task.perturbations)],
                "seed": episode.seed,
                "told": episode.told,
                "state": episode.state,
                "text": episode.text,
                "step": episode.step,
                "answer": episode.answer,
                "over": episode.over,
            },
        )

    def restore(self, snapshot: Snapshot) -> Observation:
        self._check_sealed()
        kept = snapshot.unpack(self._spec.name)
        name, instruction, perturbations = kept.pop("task")
        task = Task(name=name, instruction=instruction, perturbations=tuple(perturbations))
        domain, problem = self._problem(name, kept["seed"])
        self._episode = _Episode(task=task, domain=domain, problem=problem, **kept)
        return self._look()

    def close(self) -> None:
        self._episode = None
        for domain in self._domains.values():
            domain.close()

    def _problem(self, task: str, seed: int) -> tuple[Domain, Problem]:
        domain = self._domains[task.rpartition("-")[0]]
        return domain, problem_of(task, seed, domain)

    def _running(self) -> _Episode:
        if self._episode is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._episode

    def _check_sealed(self) -> None:
        if not self._spec.snapshots:
            raise NotSupported("the shop is served elsewhere, so there are no snapshots")

    def _bind(self, domain: Domain, operation: Operation) -> BoundTool:
        def function(call_context: CallContext, **arguments: Any) -> Any:
            episode = self._running()
            if episode.domain.name != domain.name:
                there = ", ".join(one.tool.name for one in episode.domain.operations)
                raise ToolError(f"there is nothing to use it on here; there are: {there}, answer")
            value = operation(episode.state, arguments, call_context.key)
            return copy_json(value)  # nobody holds a part of the state

        outside = not domain.sealed
        return BoundTool(
            tool=operation.tool, function=function, context="call_context", keyed=outside,
            blocking=outside,
        )  # fmt: skip

    def _give_answer(self, text: str) -> Any:
        episode = self._running()
        if episode.answer is not None:
            raise ToolError("an answer was given already; the first one counts")
        episode.answer = text
        return "taken"

    def _look(self) -> Observation:
        episode = self._running()
        privileged: dict[str, NDArray[np.float64]] = {}
        if self._config.privileged:
            halves = [episode.seed >> 32, episode.seed & 0xFFFFFFFF, episode.step]
            privileged[TRUTH.name] = np.array(halves, np.float64)
        return Observation(
            instruction=episode.told,
            time=episode.step / RATE_HZ,
            text=episode.text,
            privileged=privileged,
        )


@dataclass(kw_only=True, slots=True)
class _Episode:
    task: Task
    seed: int
    domain: Domain
    problem: Problem
    told: str
    state: State
    text: str
    step: int = 0
    answer: str | None = None
    over: bool = False


def problem_of(task: str, seed: int, domain: Domain | None = None) -> Problem:
    """The problem of a seed of a task called ``"<domain>-<level>"``; the same wherever it is made.

    Raises:
        KeyError: no ``domain`` is given, and none of :data:`DOMAINS` has that name.
    """
    name, _, level = task.rpartition("-")
    domain = domain or DOMAINS[name]
    return domain.generate(int(level), numpy_generator(seed, "workspace", task))


def _domain(name: str) -> Domain:
    return DOMAINS[name] if ":" not in name else Registry("workspace_domains").load(name)


def told(problem: Problem, task: Task, seed: int) -> str:
    """The world's own sentence for a seed."""
    generator = numpy_generator(seed, "workspace wording", task.name)
    training, held_out = problem.wordings.told(problem.fields, generator)
    return held_out if REWORDED.name in task.perturbations else training


def said(results: Sequence[CallResult], longest: int) -> tuple[str, bool]:
    """What calls returned, as JSON, and whether any of it was cut off.

    One call's result is ``{"value": ...}`` or ``{"failure": {...}}``; several are
    ``{"results": [...]}``, in the order of the calls. A result that is too long is
    ``{"truncated": "its first characters", "shown": 4000, "of": 71034}``. Keys are sorted: a result
    that comes from a log says the same as one that comes from a tool.
    """
    shown: list[Any] = []
    for result in results:
        plain = result_to_dict(result)
        whole = _json(plain)
        cut = {"truncated": whole[:longest], "shown": longest, "of": len(whole)}
        shown.append(cut if len(whole) > longest else plain)
    told = shown[0] if len(shown) == 1 else {"results": shown}
    return _json(told), any("truncated" in one for one in shown)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> dict[str, Any]:
    """The next action of the problem's own solution.

    Args:
        task_name: name of the task.
        privileged: ``float64 (3,)``, the observation's ``privileged["workspace"]``.
    """
    high, low, step = (int(one) for one in privileged.tolist())
    solution = problem_of(task_name, (high << 32) | low).solution
    return dict(solution[min(step, len(solution) - 1)])


def _opening(domain: Domain) -> str:
    names = [operation.tool.name for operation in domain.operations]
    return json.dumps({"tools": [*names, ANSWER.name]})


def _spec(config: Workspace.Config, domains: Mapping[str, Domain], box: Toolbox) -> WorldSpec:
    return WorldSpec(
        name="workspace",
        version=VERSION,
        observations=ObservationSpec(privileged=(TRUTH,) if config.privileged else ()),
        accepts=box.space(config.parallel),
        tasks=tuple(
            TaskSpec(
                name=domain.task_name(number),
                instructions=(),
                max_steps=level.max_steps,
                description=level.description,
            )
            for domain in domains.values()
            for number, level in enumerate(domain.levels, start=1)
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        perturbations=(REWORDED,),
        snapshots=all(domain.sealed for domain in domains.values()),
        provenance={"domains": list(config.domains), "max_text": config.max_text},
    )
