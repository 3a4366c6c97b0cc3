"""Any world as tools: a planner calls skills, and each skill is a policy that acts for a while.

A skill runs a policy in the world inside until an event, success, the end of the episode or a limit
of control steps, and returns what happened in words. Which policy is behind it makes no difference:
a scripted expert, a trained checkpoint, a fixed action. So a planner that knows tools can drive a
robot, and what it does is journaled, checked and evaluated like calls of any other tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from enactive.actions.toolbox import BoundTool, Toolbox, ToolError
from enactive.actions.tools import CallResult, Effects, Returned, Tool, result_to_dict
from enactive.configuration import part
from enactive.observations import Observation, Task
from enactive.policies.policy import Policy, check_wiring
from enactive.registry import Registry
from enactive.seeding import child_seed
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.world import EventSpec, Snapshot, Step, World, WorldSpec

MOVES = Effects(destructive=True, open_world=False)
"""What a skill does: it changes the world, and doing it twice changes it twice."""

RATE_HZ = 1.0
"""Time in a world of skills is calls; how many control steps each took is in its result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skill:
    """Something that the world inside can be made to do."""

    name: str
    description: str
    policy: Callable[[Mapping[str, Any]], Policy]
    """``(arguments of the call) -> who acts``. Its memory begins anew with every call."""
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON Schema of each argument; all are required."""
    instruction: Callable[[Mapping[str, Any]], str] | None = None
    """``(arguments) -> what the policy is told``; by default the episode's instruction."""
    task: Callable[[Mapping[str, Any]], str] | None = None
    """``(arguments) -> name of the task`` that the policy is begun with; by default the
    episode's."""
    until: tuple[str, ...] = ()
    """Events of the world at which it stops, besides success."""
    max_steps: int = 50
    """Control steps after which it stops."""

    def tool(self) -> Tool:
        """The skill as a tool. All skills move one body, so that none runs beside another."""
        return Tool(
            name=self.name,
            description=self.description,
            input_schema={
                "type": "object",
                "properties": dict(self.properties),
                "required": list(self.properties),
                "additionalProperties": False,
            },
            effects=MOVES,
            resources=("body",),
        )


SkillSet = Callable[[WorldSpec], tuple[Skill, ...]]
"""What a world can be made to do; registered in the entry-point group ``enactive.skills``."""

EVENTS = (
    EventSpec(name="call_failed", description="a skill was not run"),
    EventSpec(name="skill_limit", description="a skill stopped because its steps were used up"),
)


def _babyai() -> Any:
    """BabyAI's configuration; it loads MiniGrid, so not before somebody asks."""
    return Registry("worlds").load("babyai")()


class SkilledWorld:
    """A world inside that is acted in by calling skills; made with ``SkilledWorld.Config(...)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`SkilledWorld`."""

        world: Any = part("worlds", default_factory=_babyai)
        """The world inside."""
        skills: str = "babyai"
        """A registered :data:`SkillSet`, or where one is, ``"package.module:name"``."""
        max_calls: int = 40
        """Calls after which an episode is truncated."""

        def build(self) -> SkilledWorld:
            """The world.

            Raises:
                WiringError: a skill's policy does not fit the world inside.
                ValueError: no skills, two of one name, or an event that the world does not have.
            """
            inner: World = self.world.build()
            return SkilledWorld(inner, Registry("skills").load(self.skills)(inner.spec),
                                max_calls=self.max_calls)  # fmt: skip

    def __init__(self, world: World, skills: tuple[Skill, ...], *, max_calls: int = 40) -> None:
        if max_calls < 1:
            raise ValueError(f"max_calls must be at least 1, got {max_calls}")
        known = {event.name for event in world.spec.events}
        for skill in skills:
            if missing := sorted(set(skill.until) - known):
                raise ValueError(f"skill {skill.name!r}: until has {missing}; the world's events "
                                 f"are {sorted(known)}")  # fmt: skip
        self._world = world
        self._toolbox = Toolbox(tuple(self._bind(skill) for skill in skills))
        self._max_calls = max_calls
        inner = world.spec
        self._spec = replace(
            inner,
            name=f"{inner.name}_skills",
            accepts=self._toolbox.space(),
            tasks=tuple(replace(task, max_steps=max_calls) for task in inner.tasks),
            rate_hz=RATE_HZ,
            events=(*inner.events, *EVENTS),
            provenance={**inner.provenance, "world": inner.name},
        )
        self._episode: _Episode | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    @property
    def toolbox(self) -> Toolbox:
        """The skills, bound to the running episode."""
        return self._toolbox

    def reset(self, task: Task, seed: int) -> Observation:
        self._spec.check_task(task)
        self._episode = _Episode(task=task, seed=seed, seen=self._world.reset(task, seed))
        return self._look()

    def step(self, action: Any) -> Step:
        return drive(self._toolbox, self.activity(action), self._running().calls)

    def activity(self, action: Any) -> Activity:
        """Begin a call of a skill.

        Raises:
            ValueError: it is no action of ``spec.accepts``; nothing was done.
            RuntimeError: no episode is running.
        """
        space = self._toolbox.space()
        if problem := space.problem(action):
            raise ValueError(f"no action of {self._spec.name}: {problem}")
        if self._running().over:
            raise RuntimeError("the episode is over; call reset")
        return call_activity(space, action, self.settle)

    def settle(self, results: Any) -> Step:
        """The step of a call that has been made, with its result."""
        episode = self._running()
        (result,) = results
        outcome, episode.outcome = episode.outcome, _Outcome()
        events = list(outcome.events)
        events += [] if isinstance(result, Returned) else ["call_failed"]
        episode.calls += 1
        episode.text = _said(result)
        terminated = outcome.terminated or outcome.success
        truncated = not terminated and (outcome.truncated or episode.calls >= self._max_calls)
        episode.over = terminated or truncated
        return Step(
            observation=self._look(),
            reward=outcome.reward,
            terminated=terminated,
            truncated=truncated,
            success=outcome.success,
            events=tuple(dict.fromkeys(events)),
        )

    def snapshot(self) -> Snapshot:
        episode, inner = self._running(), self._world.snapshot()
        task = episode.task
        state = {
            "inner": inner.payload,
            "task": [task.name, task.instruction, list(task.perturbations)],
            "seed": episode.seed,
            "calls": episode.calls,
            "text": episode.text,
            "over": episode.over,
        }
        return Snapshot.pack(self._spec.name, state)

    def restore(self, snapshot: Snapshot) -> Observation:
        kept = snapshot.unpack(self._spec.name)
        inner = Snapshot(world=self._world.spec.name, payload=kept.pop("inner"))
        name, instruction, perturbations = kept.pop("task")
        task = Task(name=name, instruction=instruction, perturbations=tuple(perturbations))
        self._episode = _Episode(task=task, seen=self._world.restore(inner), **kept)
        return self._look()

    def close(self) -> None:
        self._world.close()

    def _running(self) -> _Episode:
        if self._episode is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._episode

    def _look(self) -> Observation:
        episode = self._running()
        return replace(episode.seen, time=episode.calls / RATE_HZ, text=episode.text or None)

    def _bind(self, skill: Skill) -> BoundTool:
        def function(**arguments: Any) -> Any:
            return self._run(skill, arguments)

        return BoundTool(tool=skill.tool(), function=function)

    def _run(self, skill: Skill, arguments: Mapping[str, Any]) -> Any:
        episode = self._running()
        policy = skill.policy(arguments)
        check_wiring(policy, self._world.spec)
        task = episode.task
        if skill.task is not None:
            task = replace(task, name=skill.task(arguments))
            self._world.spec.task(task.name)
        told = skill.instruction(arguments) if skill.instruction else episode.seen.instruction
        task = replace(task, instruction=told)
        # The number of the call names the stream, so that a skill called twice draws anew.
        memory = policy.begin(task, child_seed(episode.seed, "skill", skill.name, episode.calls))
        if episode.over or episode.outcome.terminated or episode.outcome.truncated:
            raise ToolError("the episode is over")
        events: list[str] = []
        reward, taken, ended, step = 0.0, 0, "limit", None
        while taken < skill.max_steps and ended == "limit":
            shown = replace(episode.seen, instruction=told)
            decision = policy.act([shown], [memory])[0]
            step = self._world.step(decision.action)
            taken, memory, episode.seen = taken + 1, decision.memory, step.observation
            events += step.events
            reward += step.reward
            stopped = [event for event in step.events if event in skill.until]
            if step.success:
                ended = "success"
            elif step.terminated or step.truncated:
                ended = "the episode is over"
            elif stopped:
                ended = stopped[0]
        happened = list(dict.fromkeys(events))
        episode.outcome = _Outcome(
            reward=reward,
            events=(*happened, "skill_limit") if ended == "limit" else tuple(happened),
            success=ended == "success",
            terminated=step is not None and step.terminated,
            truncated=step is not None and step.truncated,
        )
        return {"ended": ended, "steps": taken, "events": happened}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    """What the skill of the present call did."""

    reward: float = 0.0
    events: tuple[str, ...] = ()
    success: bool = False
    terminated: bool = False
    truncated: bool = False


@dataclass(kw_only=True, slots=True)
class _Episode:
    task: Task
    seed: int
    seen: Observation
    calls: int = 0
    text: str = ""
    over: bool = False
    outcome: _Outcome = field(default_factory=_Outcome)


def _said(result: CallResult) -> str:
    return json.dumps(result_to_dict(result), ensure_ascii=False)
