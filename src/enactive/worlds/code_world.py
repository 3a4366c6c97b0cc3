"""Any world with tools, acted on by programs that call them.

One program is one action: it may loop, branch and gather, and what it printed, its value and its
traceback are what is seen next. The names that it binds are there for the next program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from enactive.actions.digital import CodeSpace, UnionSpace
from enactive.actions.toolbox import Toolbox
from enactive.actions.tools import CallResult, Failure
from enactive.configuration import part
from enactive.observations import Observation, Task
from enactive.registry import Registry
from enactive.worlds.code.executor import CodeExecutor, CodeSession, Ended, Pending, shortened
from enactive.worlds.tool_world import Activity, SettledWorld, drive
from enactive.worlds.world import NotSupported, Snapshot, Step, WorldSpec


def _workspace() -> Any:
    return Registry("worlds").load("workspace")()


def _monty() -> Any:
    return Registry("executors").load("monty")()


class WithCode:
    """A world with tools inside; make it with ``WithCode.Config(world=...).build()``.

    Name, tasks and events are those of the world inside.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`WithCode`."""

        world: Any = part("worlds", default_factory=_workspace)
        """The world inside, which must have tools."""
        executor: Any = part("executors", default_factory=_monty)
        """What runs programs."""
        calls: bool = False
        """Whether calls are accepted too: an action is then one of ``{"space": "calls", ...}`` and
        ``{"space": "code", ...}``."""
        text: int = 4000
        """Most characters of what a program is answered with."""

        def build(self) -> WithCode:
            """The world.

            Raises:
                ValueError: the world inside has no tools, or accepts more than calls.
                ImportError, RuntimeError: the executor does not run here.
            """
            return WithCode(self)

    def __init__(self, config: WithCode.Config) -> None:
        inner = config.world.build()
        if not isinstance(inner, SettledWorld):
            raise ValueError(
                f"world: {type(inner).__name__} has no tools that a program could call"
            )
        self._world: SettledWorld = inner
        self._config = config
        self._executor: CodeExecutor = config.executor.build()
        self._session: CodeSession | None = None
        self._steps = 0
        self._text: str | None = None
        spec, tools = inner.spec, inner.toolbox.tools
        self._code = CodeSpace(tools=tools)
        accepts: Any = self._code
        if config.calls:
            accepts = UnionSpace(spaces={"calls": spec.accepts, "code": self._code})
        self._spec = replace(
            spec,
            accepts=accepts,
            snapshots=spec.snapshots and self._executor.restorable,
            provenance={**spec.provenance, "code": dict(self._executor.describe())},
        )

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    @property
    def toolbox(self) -> Toolbox:
        """The tools of the world inside."""
        return self._world.toolbox

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode of the world inside, with no names.

        Raises:
            KeyError: the world has no such task.
        """
        self._end_session()
        observation = self._world.reset(task, seed)
        self._steps, self._text = 0, observation.text
        self._session = self._executor.open(self.toolbox.tools, seed)
        return observation

    def activity(self, action: Any) -> Activity:
        """Begin a program, or calls where those are accepted.

        Raises:
            ValueError: it is no action of the space.
            RuntimeError: no episode is running.
        """
        session, source = self._running(), action
        if self._config.calls:
            named = isinstance(action, Mapping) and set(action) == {"space", "action"}
            if not named or action["space"] not in ("calls", "code"):
                raise ValueError(
                    "no action of the world: give {'space': 'calls', 'action': calls} or "
                    "{'space': 'code', 'action': source text}"
                )
            if action["space"] == "calls":
                activity = self._world.activity(action["action"])
                self._steps += 1
                return self._seen(activity)
            source = action["action"]
        # A text that does not parse is a program with an error, which its author should read.
        if not isinstance(source, str) or not source or len(source) > self._code.max_characters:
            raise ValueError(f"no action of the world: {self._code.problem(source)}")
        self._steps += 1
        return self._program(session, source)

    def step(self, action: Any) -> Step:
        """Execute an action, making its calls directly, one after the other.

        Raises:
            ValueError: it is no action of the space.
            RuntimeError: no episode is running.
        """
        return drive(self.toolbox, self.activity(action), self._steps - 1)

    def settle(self, results: Sequence[CallResult]) -> Step:
        """The step of the world inside after these results."""
        return self._world.settle(results)

    def snapshot(self) -> Snapshot:
        """The state now, names of programs included.

        Raises:
            NotSupported: the world inside or the executor has no snapshots.
        """
        session = self._running()
        if not self._spec.snapshots:
            raise NotSupported("the world inside or the executor cannot be written down")
        inner = self._world.snapshot()
        state = {"inner": inner.payload, "session": session.dump(), "steps": self._steps,
                 "text": self._text}  # fmt: skip
        return Snapshot.pack(inner.world, state)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``.

        Raises:
            ValueError: it is another world's.
        """
        state = snapshot.unpack(self._spec.name)
        self._end_session()
        observation = self._world.restore(Snapshot(world=snapshot.world, payload=state["inner"]))
        self._steps, self._text = state["steps"], state["text"]
        self._session, _ = self._executor.restore(self.toolbox.tools, state["session"])
        return replace(observation, text=self._text)

    def close(self) -> None:
        """End the executor and the world inside. May be called twice."""
        self._end_session()
        self._executor.close()
        self._world.close()

    def _seen(self, activity: Activity) -> Activity:
        step = yield from activity
        self._text = step.observation.text
        return step

    def _program(self, session: CodeSession, source: str) -> Activity:
        made: list[CallResult] = []
        try:
            state = session.start(source)
            while isinstance(state, Pending):
                results = yield state.calls
                made += results
                state = session.resume(results)
        except GeneratorExit:  # whoever made the calls has stopped
            session.cancel()
            raise
        step = self._world.settle(tuple(made))
        self._text = said(state, self._config.text)
        return replace(step, observation=replace(step.observation, text=self._text))

    def _running(self) -> CodeSession:
        if self._session is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._session

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def said(ended: Ended, limit: int) -> str:
    """What a program is answered with: output, then value or failure; ``(no output)`` if it said
    nothing."""
    parts = [ended.output.rstrip("\n")] if ended.output.strip() else []
    if isinstance(ended.failure, Failure):
        heading = {"invalid": "Refused", "error": "Error"}.get(ended.failure.kind, "Stopped")
        parts.append(f"{heading}: {ended.failure.message}")
    elif ended.value is not None:
        shown = ended.value if isinstance(ended.value, str) else json.dumps(
            ended.value, ensure_ascii=False
        )  # fmt: skip
        parts.append(f"value: {shown}")
    return shortened("\n".join(parts) or "(no output)", limit, line=limit)
