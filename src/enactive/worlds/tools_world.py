"""A world of any tools: a folder's, other servers', one's own functions.

There is one task, whose words are the instruction. Nothing judges it, so an episode that was
answered counts as a success.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from enactive.actions.toolbox import BoundTool, Toolbox, ToolError
from enactive.actions.tools import CallResult, Effects, Failure, result_to_dict
from enactive.observations import Observation, ObservationSpec, Task, TaskSpec
from enactive.worlds.tool_world import Activity, call_activity, drive
from enactive.worlds.workspace.world import ANSWER
from enactive.worlds.world import EventSpec, NotSupported, Snapshot, Step, WorldSpec

EVENTS = (
    EventSpec(name="call_failed", description="a call gave a failure"),
    EventSpec(name="answered", description="an answer was given"),
)


class ToolsWorld:
    """The world.

    Args:
        toolbox: the tools; ``answer``, which ends an episode, is added. What they reach is not the
            world's, so they must be declared to reach outside (``open_world``).
        name: of the world.
        version: of whatever defines the tools.
        parallel: most calls that one action may make.
        max_steps: actions of an episode.
        closing: frees what the tools need.

    Raises:
        ValueError: a tool says that it acts on the world only; it would be called again in replays.
    """

    def __init__(
        self, toolbox: Toolbox, *, name: str, version: str, parallel: int = 4, max_steps: int = 40,
        closing: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        for one in toolbox:
            effects = one.tool.effects
            if not effects.open_world and not effects.read_only:
                raise ValueError(
                    f"tool {one.tool.name!r} is declared to change the world only, but this world "
                    "holds nothing; declare open_world, so that replays do not call it"
                )
        inside = Effects(destructive=False, open_world=False)
        answer = BoundTool(tool=replace(ANSWER, effects=inside), function=self._give_answer)
        self._toolbox = toolbox.with_tools(answer)
        self._spec = WorldSpec(
            name=name,
            version=version,
            observations=ObservationSpec(),
            accepts=self._toolbox.space(parallel),
            tasks=(TaskSpec(name="work", instructions=(), max_steps=max_steps,
                            description="whatever the instruction says"),),
            rate_hz=1.0,
            events=EVENTS,
        )  # fmt: skip
        self._max_steps = max_steps
        self._closing = closing
        self._told, self._text, self._steps, self._answer = "", "", 0, ""

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    @property
    def toolbox(self) -> Toolbox:
        """The tools, ``answer`` included."""
        return self._toolbox

    def reset(self, task: Task, seed: int) -> Observation:
        self._spec.check_task(task)
        names = [tool.name for tool in self._toolbox.tools]
        self._told, self._text = task.instruction, json.dumps({"tools": names})
        self._steps, self._answer = 0, ""
        return self._look()

    def step(self, action: Any) -> Step:
        return drive(self._toolbox, self.activity(action), self._steps)

    def activity(self, action: Any) -> Activity:
        """Begin an action: one call, or several.

        Raises:
            ValueError: it is no action of ``spec.accepts``; nothing was done.
        """
        space = self._spec.accepts
        problem = space.problem(action)  # pyright: ignore
        if problem:
            raise ValueError(f"no action of the {self._spec.name} world: {problem}")
        return call_activity(space, action, self.settle)  # pyright: ignore

    def settle(self, results: Sequence[CallResult]) -> Step:
        """The step of an action whose calls have been made, with these results."""
        self._steps += 1
        shown = [result_to_dict(result) for result in results]
        self._text = json.dumps(
            shown[0] if len(shown) == 1 else {"results": shown}, ensure_ascii=False
        )
        failed = any(isinstance(result, Failure) for result in results)
        answered = bool(self._answer)
        events = ("call_failed",) * failed + ("answered",) * answered
        return Step(
            observation=self._look(),
            reward=float(answered),
            terminated=answered,
            truncated=not answered and self._steps >= self._max_steps,
            success=answered,
            events=events,
        )

    def snapshot(self) -> Snapshot:
        raise NotSupported("what the tools reach cannot be put back")

    def restore(self, snapshot: Snapshot) -> Observation:
        raise NotSupported("what the tools reach cannot be put back")

    def close(self) -> None:
        """Free what the tools need. May be called twice."""
        if self._closing is not None:
            self._closing()
            self._closing = None

    def _look(self) -> Observation:
        return Observation(instruction=self._told, time=float(self._steps), text=self._text)

    def _give_answer(self, text: str) -> Any:
        if self._answer:
            raise ToolError("an answer was given already; the first one counts")
        self._answer = text or "(nothing)"
        return "taken"
