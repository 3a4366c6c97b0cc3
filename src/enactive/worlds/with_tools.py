"""Any world with tools beside its own actions: hybrid action.

Of each decision a policy takes either an action of the world, or calls of tools. A tool acts on the
world through :class:`Hands`, so that what it does are actions of the world too: they take the
world's time and its steps, and are counted. :data:`SPENT` says how many decisions, calls and world
actions an episode has taken, so that a call that hides ten actions can be reported both ways.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from enactive.actions.digital import UnionSpace
from enactive.actions.toolbox import Toolbox, ToolError
from enactive.actions.tools import CallResult, Failure, result_to_dict
from enactive.configuration import part
from enactive.observations import Observation, StateVector, Task
from enactive.registry import Registry
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.world import EventSpec, Snapshot, Step, World, WorldSpec

CALLS = "calls"
"""Name of the tools' calls in the union."""

SPENT = StateVector(
    name="spent",
    names=("decisions", "calls", "actions"),
    unit="counts since the episode began; actions are the world's own, those inside calls included",
)

TOOL_FAILED = EventSpec(name="tool_failed", description="a call gave a failure")


class Hands:
    """With what tools act on the world of the running episode."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.steps: list[Step] = []
        """What the world's actions since the decision gave."""
        self.seen: Observation = Observation()
        """What was seen last."""
        self.over = False

    def do(self, action: Any) -> Step:
        """Execute an action of the world.

        Raises:
            ToolError: the episode is over, or the action is outside the world's space: a call that
                points beyond the screen has failed, whatever its tool says.
        """
        if self.over:
            raise ToolError("the episode is over")
        try:
            step = self.world.step(action)
        except ValueError as error:
            raise ToolError(str(error)) from error
        self.steps.append(step)
        self.seen, self.over = step.observation, step.terminated or step.truncated
        return step


def _miniwob() -> Any:
    """MiniWoB++'s configuration; not before somebody asks."""
    return Registry("worlds").load("miniwob")()


class WithTools:
    """A world with a toolbox; make it with ``WithTools.Config(world=..., tools=...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`WithTools`."""

        world: Any = part("worlds", default_factory=_miniwob)
        """The world inside; by default MiniWoB++."""
        tools: str = "elements"
        """Registered name of the function that makes the tools, or where it is,
        ``"package.module:function"``. It takes :class:`Hands` and gives a toolbox."""
        name: str = "screen"
        """What the world's own actions are called in the union."""
        idle: Any = field(default_factory=lambda: {"do": "wait"})
        """The world's action that does nothing. A decision whose calls did nothing to the world
        takes one, so that time passes and the world's limit of steps holds."""
        parallel: int = 1
        """Most calls of one decision."""

        def build(self) -> WithTools:
            """The world.

            Raises:
                ValueError: ``idle`` is no action of the world, or ``name`` is taken.
            """
            return WithTools(self)

    def __init__(self, config: WithTools.Config) -> None:
        if config.name == CALLS:
            raise ValueError(f"name: {CALLS!r} is what calls are called; give another")
        self._config = config
        self._world: World = config.world.build()
        self._hands = Hands(self._world)
        inner = self._world.spec
        if not inner.accepts.contains(config.idle):
            self._world.close()
            raise ValueError(f"idle: {config.idle!r} is no action of {inner.name}")
        self._toolbox: Toolbox = Registry("toolboxes").load(config.tools)(self._hands)
        self._calls = self._toolbox.space(parallel=config.parallel)
        shown = inner.observations
        self._spec = replace(
            inner,
            name=f"{inner.name}_with_tools",
            accepts=UnionSpace(spaces={config.name: inner.accepts, CALLS: self._calls}),
            observations=replace(shown, states=(*shown.states, SPENT)),
            events=(*inner.events, TOOL_FAILED),
        )
        self._spent = _Spent()

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    @property
    def toolbox(self) -> Toolbox:
        return self._toolbox

    @property
    def inside(self) -> World:
        """The world inside."""
        return self._world

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode of the world inside.

        Raises:
            KeyError: the world has no such task.
            ValueError: the world cannot make one of the task's perturbations.
        """
        observation = self._world.reset(task, seed)
        self._spent = _Spent()
        return self._begin(observation)

    def step(self, action: Any) -> Step:
        """Execute one action of the union; calls are made directly, one after the other.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: the episode has ended.
        """
        return drive(self._toolbox, self.activity(action), self._spent.decisions)

    def activity(self, action: Any) -> Activity:
        """Begin an action of the union.

        Raises:
            ValueError: the action is outside the space; nothing was done.
        """
        space, own = self._spec.accepts, self._config.name
        assert isinstance(space, UnionSpace)
        if problem := space.problem(action):
            raise ValueError(f"action {action!r}: {problem}")
        if self._hands.over:
            raise RuntimeError("the episode has ended; call reset")
        self._hands.steps = []
        if action["space"] == own:
            return self._own(action["action"])
        return call_activity(self._calls, action["action"], self._settle)

    def snapshot(self) -> Snapshot:
        """The state now.

        Raises:
            NotSupported: the world inside has no snapshots.
        """
        inner = self._world.snapshot()
        state = {"inner": inner.payload, "spent": list(self._spent.counts())}
        return Snapshot.pack(self._spec.name, state)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; what the last calls said is not said again.

        Raises:
            ValueError: the snapshot is another world's.
            NotSupported: the world inside has no snapshots.
        """
        state = snapshot.unpack(self._spec.name)
        name = self._world.spec.name
        observation = self._world.restore(Snapshot(world=name, payload=state["inner"]))
        self._spent = _Spent(*state["spent"])
        return self._begin(observation)

    def close(self) -> None:
        """Free the engine. May be called twice."""
        self._world.close()

    def _begin(self, observation: Observation) -> Observation:
        self._hands.steps, self._hands.over = [], False
        self._hands.seen = observation
        return self._seen(observation, "")

    def _own(self, action: Any) -> Activity:
        step = self._hands.do(action)
        self._spent.decisions += 1
        self._spent.actions += 1
        return replace(step, observation=self._seen(step.observation, ""))
        yield ()  # a generator that asks for no calls

    def _settle(self, results: Sequence[CallResult]) -> Step:
        hands = self._hands
        if not hands.steps:
            hands.do(self._config.idle)
        steps = hands.steps
        self._spent.decisions += 1
        self._spent.calls += len(results)
        self._spent.actions += len(steps)
        failed = any(isinstance(result, Failure) for result in results)
        events = [event for step in steps for event in step.events]
        said = "\n".join(
            json.dumps(result_to_dict(result), ensure_ascii=False, sort_keys=True)
            for result in results
        )
        return Step(
            observation=self._seen(steps[-1].observation, said),
            reward=float(sum(step.reward for step in steps)),
            terminated=steps[-1].terminated,
            truncated=steps[-1].truncated,
            success=steps[-1].success,
            events=tuple(dict.fromkeys([*events, *([TOOL_FAILED.name] if failed else [])])),
        )

    def _seen(self, observation: Observation, said: str) -> Observation:
        spent = np.array(self._spent.counts(), np.float32)
        text = "\n".join(part for part in (said, observation.text) if part)
        return replace(
            observation,
            state={**observation.state, SPENT.name: spent},
            text=text or observation.text,
        )


@dataclass(slots=True)
class _Spent:
    decisions: int = 0
    calls: int = 0
    actions: int = 0

    def counts(self) -> tuple[int, int, int]:
        return self.decisions, self.calls, self.actions
