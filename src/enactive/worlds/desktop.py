"""A desktop of text: apps with settings, buttons to click, and tools that are not all to be
trusted.

It is small enough for reinforcement learning and has what makes hybrid action a choice: some
settings have a tool, some none; some tools take longer than doing it by hand; some do something
else than they say, or nothing. The screen is a grid of cells, ``width`` 3 by ``height`` 5: on the
desktop each row is an app, inside an app each row is a setting with a cell for less and one for
more. Values are seen only inside their app, so that what was seen must be remembered.

The budget is spent by everything: 1 for a click, 1 for a call, more for a call of a slow tool.
Whether an episode succeeded is decided by its checker when the policy says that it is done; whoever
spends the budget without saying so has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from enactive.actions.digital import UnionSpace
from enactive.actions.screen import ScreenSpace
from enactive.actions.toolbox import BoundTool, Toolbox
from enactive.actions.tools import WRITES, CallResult, Failure, Tool
from enactive.observations import Observation, ObservationSpec, StateVector, Task, TaskSpec
from enactive.worlds.desktop_settings import LARGEST, SETTINGS, SLOW_COST, Goal, Setting, goal
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.world import EventSpec, Snapshot, Step, WorldSpec

SCREEN = ScreenSpace(width=3, height=5)
"""Cells. Column 0 holds names, column 1 less, column 2 more; row 0 is ``done`` or ``back``."""

SPENT = StateVector(
    name="spent",
    names=("decisions", "calls", "actions", "budget"),
    unit="counts since the episode began; actions are clicks, with those that a call saved",
)

EVENTS = (
    EventSpec(name="done", description="the policy said that it is done"),
    EventSpec(name="out_of_budget", description="the budget was spent before that"),
    EventSpec(name="tool_failed", description="a call gave a failure"),
)


@dataclass(slots=True)
class _State:
    task: Task
    seed: int
    values: dict[str, int]
    app: str = ""
    """The app that is open; empty on the desktop."""
    said: str = ""
    """What the last decision's calls gave."""
    decisions: int = 0
    calls: int = 0
    actions: int = 0
    budget: int = 0
    over: bool = False
    done: bool = False


class Desktop:
    """The desktop; made with ``Desktop.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Desktop`."""

        budget: int = 24
        """What an episode may spend."""

        def build(self) -> Desktop:
            """The world; raises ``ValueError`` if the budget is below 1."""
            return Desktop(self)

    def __init__(self, config: Config) -> None:
        if config.budget < 1:
            raise ValueError(f"budget must be at least 1, got {config.budget}")
        self._budget = config.budget
        self._settings = {one.name: one for task in SETTINGS.values() for one in task}
        self._toolbox = Toolbox(
            tuple(
                BoundTool(tool=_tool(one), function=self._setter(one))
                for one in self._settings.values()
                if one.kind != "none"
            )
        )
        self._calls = self._toolbox.space()
        self._spec = WorldSpec(
            name="desktop",
            version="1",
            observations=ObservationSpec(states=(SPENT,)),
            accepts=UnionSpace(spaces={"screen": SCREEN, "calls": self._calls}),
            tasks=tuple(
                TaskSpec(name=name, instructions=(), max_steps=config.budget) for name in SETTINGS
            ),
            rate_hz=1.0,
            events=EVENTS,
            snapshots=True,
        )
        self._state: _State | None = None
        self._goal: Goal | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    @property
    def toolbox(self) -> Toolbox:
        return self._toolbox

    @property
    def values(self) -> Mapping[str, int]:
        """The true values of the running episode's settings."""
        return dict(self._running().values)

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode.

        Raises:
            KeyError: there is no such task.
            ValueError: the task names a perturbation.
        """
        declared = self._spec.check_task(task)
        self._goal = goal(declared.name, seed)
        self._state = _State(task=task, seed=seed, values=dict(self._goal.start))
        return self._observe()

    def step(self, action: Any) -> Step:
        """Execute one action of the union.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running, or it has ended.
        """
        return drive(self._toolbox, self.activity(action), self._running().decisions)

    def activity(self, action: Any) -> Activity:
        """Begin an action of the union.

        Raises:
            ValueError: the action is outside the space; nothing was done.
            RuntimeError: no episode is running, or it has ended.
        """
        state, space = self._running(), self._spec.accepts
        assert isinstance(space, UnionSpace)
        if problem := space.problem(action):
            raise ValueError(f"action {action!r}: {problem}")
        if state.over:
            raise RuntimeError("the episode has ended; call reset")
        state.said = ""
        if action["space"] == "screen":
            return self._click(action["action"])
        call = self._calls.calls(action["action"])[0]
        slow = self._settings[call.tool.removeprefix("set_")].kind == "slow"
        settle = partial(self._settle, SLOW_COST if slow else 1)
        return call_activity(self._calls, action["action"], settle)

    def snapshot(self) -> Snapshot:
        state = self._running()
        return Snapshot.pack("desktop", {
            "task": state.task.name, "instruction": state.task.instruction, "seed": state.seed,
            "values": state.values, "app": state.app, "said": state.said,
            "counts": [state.decisions, state.calls, state.actions, state.budget],
            "ended": [state.over, state.done],
        })  # fmt: skip

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; raises ``ValueError`` if it is another world's."""
        kept = snapshot.unpack("desktop")
        self.reset(Task(name=kept["task"], instruction=kept["instruction"]), kept["seed"])
        state = self._running()
        state.values, state.app, state.said = kept["values"], kept["app"], kept["said"]
        state.decisions, state.calls, state.actions, state.budget = kept["counts"]
        state.over, state.done = kept["ended"]
        return self._observe()

    def close(self) -> None:
        self._state = None

    def _click(self, action: Mapping[str, Any]) -> Activity:
        state = self._running()
        if action["do"] == "click":
            self._press(int(action["x"]), int(action["y"]))
        state.actions += 1
        return self._end(1, ())
        yield ()  # a generator that asks for no calls

    def _press(self, column: int, row: int) -> None:
        state = self._running()
        rows = self._rows()
        if row == 0:
            state.done, state.app = not state.app, ""
        elif row <= len(rows) and not state.app:
            state.app = rows[row - 1]
        elif row <= len(rows) and column > 0:
            name = rows[row - 1]
            moved = state.values[name] + (1 if column == 2 else -1)
            state.values[name] = min(max(moved, 0), LARGEST)

    def _rows(self) -> list[str]:
        state = self._running()
        settings = SETTINGS[state.task.name]
        if not state.app:
            return list(dict.fromkeys(one.app for one in settings))
        return [one.name for one in settings if one.app == state.app]

    def _setter(self, setting: Setting) -> Callable[..., Any]:
        def set_value(value: int) -> Any:
            state = self._running()
            if setting.name not in state.values:
                raise LookupError(f"{setting.app} is not installed")
            # What it would have taken by hand: there, so many clicks, and back.
            state.actions += abs(value - state.values[setting.name]) + 2
            if setting.kind == "dead":
                return "ok"
            if setting.kind == "off":
                value = value + 1 if value < LARGEST else value - 1
            state.values[setting.name] = value
            return value

        return set_value

    def _settle(self, cost: int, results: Sequence[CallResult]) -> Step:
        state = self._running()
        result, state.calls = results[0], state.calls + 1
        failed = isinstance(result, Failure)
        state.said = f"failed: {result.message}" if failed else f"said {result.value}"
        state.actions += failed
        return self._end(cost, ("tool_failed",) if failed else ())

    def _end(self, cost: int, events: tuple[str, ...]) -> Step:
        state = self._running()
        assert self._goal is not None
        state.decisions += 1
        state.budget += cost
        spent_out = state.budget >= self._budget and not state.done
        state.over = state.done or spent_out
        success = state.done and self._goal.checker.holds(state.values)
        return Step(
            observation=self._observe(),
            reward=0.0 if not state.over else 1.0 if success else -1.0,
            terminated=state.over,
            truncated=False,
            success=success,
            events=(
                *(("done",) if state.done else ()),
                *(("out_of_budget",) if spent_out else ()),
                *events,
            ),
        )

    def _running(self) -> _State:
        if self._state is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._state

    def _observe(self) -> Observation:
        state = self._running()
        assert self._goal is not None
        rows = self._rows()
        lines = [f"app {state.app}" if state.app else "desktop"]
        lines += [f"{row} {state.values[row]}" if state.app else row for row in rows]
        lines += [state.said] if state.said else []
        spent = (state.decisions, state.calls, state.actions, state.budget)
        return Observation(
            instruction=state.task.instruction or self._goal.instruction,
            time=float(state.decisions),
            text="\n".join(lines),
            state={SPENT.name: np.array(spent, np.float32)},
        )


def _tool(setting: Setting) -> Tool:
    slow = f" Takes as long as {SLOW_COST} clicks." if setting.kind == "slow" else ""
    return Tool(
        name=f"set_{setting.name}",
        description=f"Set {setting.name} of {setting.app}.{slow}",
        input_schema={
            "type": "object",
            "properties": {"value": {"type": "integer", "minimum": 0, "maximum": LARGEST}},
            "required": ["value"],
            "additionalProperties": False,
        },
        effects=replace(WRITES, idempotent=True),
        resources=(f"setting:{setting.name}",),
    )
