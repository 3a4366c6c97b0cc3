"""The loop: propose, validate, check, journal, execute, journal, observe."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, cast

import anyio

from enactive.actions.decision import Decision
from enactive.actions.digital import CodeSpace, UnionSpace
from enactive.actions.spaces import ActionSpace
from enactive.actions.tools import Call, Effects, Tool, ToolSpace
from enactive.observations import Observation
from enactive.policies.policy import WiringError
from enactive.runtime.agent_run import AgentResult, AgentRun
from enactive.runtime.budget import Spent
from enactive.runtime.calls import Caller
from enactive.runtime.checks import Proposal
from enactive.runtime.records import (
    action_record,
    decision_record,
    observation_digest,
    observation_record,
    step_record,
)
from enactive.runtime.spans import span
from enactive.runtime.stalls import StallDetector
from enactive.runtime.tape import NOTHING, Tape
from enactive.runtime.taped_model import OutOfBudget, TapedModel
from enactive.worlds.tool_world import ToolWorld
from enactive.worlds.world import Step

ACT = Tool(
    name="act",
    description="One action of a world that has no tools",
    effects=Effects(open_world=False),
)
"""As what checks see an action that is no call; its argument ``action`` is the action."""


async def run_on_tape(run: AgentRun, tape: Tape, id: str, *, again: bool = False) -> AgentResult:
    """Run an episode on a tape: from its beginning where the tape is empty, as far as it goes and
    on where it is not.

    Args:
        run: what decides the episode.
        tape: of the episode.
        id: names the episode; it enters the calls' idempotency keys.
        again: make calls again that read something outside the world, instead of taking their
            recorded results, and compare. Calls that change something outside are never made twice.

    Raises:
        Diverged: what happens is not what the tape says.
        ReplayEnded: the tape may not be added to, and has ended.
        ModelError: a language model cannot answer; the episode can be resumed.
    """
    loop = _Loop(run, tape, id, again)
    try:
        return await loop.run()
    finally:
        tape.commit()


class _Loop:
    def __init__(self, run: AgentRun, tape: Tape, id: str, again: bool) -> None:
        self.settings = run
        self.tape = tape
        self.id = id
        self.spent = Spent()
        self.model = TapedModel(run.model, tape, run.budget, self.spent)
        self.policy = run.policy(self.model)
        self.world = run.world
        self.tools = run.world if isinstance(run.world, ToolWorld) else None
        if self.tools is None and _calls(run.world.spec.accepts):
            raise WiringError(
                f"{run.world.spec.name} accepts calls, but has no toolbox and no activity: nobody "
                "could check and journal them. Fix: implement enactive.worlds.tool_world.ToolWorld"
            )
        self.caller = Caller(run, tape, id, self.spent, again)
        self.stalls = StallDetector(run.stalls)
        self.started = self.yielded = time.monotonic()
        self.text: str | None = None
        """What was seen last, in words: what the next text is told as a difference from."""
        self.events: dict[str, None] = {}
        self.reward = 0.0

    async def run(self) -> AgentResult:
        run = self.settings
        with span("invoke_agent", self._names()):
            observation = self.world.reset(run.task, run.seed)
            seen = self._observed(observation)
            self.tape.put("reset", "0", seen | {"instruction": observation.instruction})
            seed = run.seed if run.policy_seed is None else run.policy_seed
            memory = self.policy.begin(run.task, seed)
            limit = self.world.spec.task(run.task.name).max_steps
            step = Step(observation=observation, reward=0.0, terminated=False, truncated=False,
                        success=False)  # fmt: skip
            number, reason = 0, self._spent_out(0)
            while not reason:
                self.model.at(number)
                with span("decision", {"enactive.path": str(number)}):
                    try:
                        decision = self.policy.act([step.observation], [memory])[0]
                    except OutOfBudget as error:
                        reason = str(error)
                        break
                    memory = decision.memory
                    step, reason = await self._step(number, decision, step)
                    await self._let_others()
                number += 1
                self.spent.steps = number
                reason = reason or _end(step, number, limit) or self._spent_out(number)
            self.tape.put("stop", str(number), {"reason": reason})
            result = AgentResult(
                id=self.id, success=step.success, reason=reason, spent=self.spent,
                reward=self.reward, events=tuple(self.events), final=step.observation,
                resumed=self.tape.compared,
            )  # fmt: skip
            self.tape.finish(result.outcome())
            self._tell("stop", str(number), result.outcome())
            return result

    async def _step(self, number: int, decision: Decision, before: Step) -> tuple[Step, str]:
        """Execute a decision; the step, and why the episode must stop if it must."""
        path = str(number)
        record, said_action = decision_record(decision)
        self.tape.put("decision", path, record)
        self._tell("decision", path, decision)
        if self.tools is not None:
            step, refused = await self._activity(self.tools, number, decision.action, before)
        else:
            step, refused = await self._bare(number, decision.action, before)
        warning, stop = self.stalls.saw(
            said_action, (step.observation.text or "").encode(), valid=not refused
        )
        if warning:
            text = "\n".join(filter(None, (step.observation.text, f"warning: {warning}")))
            observation = dataclasses.replace(step.observation, text=text)
            step = dataclasses.replace(step, observation=observation)
        self.reward += 0.0 if refused else step.reward
        self.events.update(dict.fromkeys(step.events))
        said = (
            {"refused": refused} if refused else step_record(step, self._observed(step.observation))
        )
        self.tape.put("step", path, said)
        self.caller.settle()
        self._tell("step", path, step)
        return step, f"stalled: {warning}" if stop else ""

    async def _activity(
        self, world: ToolWorld, number: int, action: Any, before: Step
    ) -> tuple[Step, str]:
        """An action of a world with tools: its calls, batch by batch, and then its step."""
        judges = self.caller.judges(f"{number}.0.0")
        if judges and _member_without_calls(world.spec.accepts, action):
            action, rejected = await self._checked(number, action, before)
            if rejected:
                return _refusal(before, f"rejected: {rejected}"), rejected
        try:
            activity = world.activity(action)
            calls = next(activity)
        except StopIteration as ended:
            return ended.value, ""
        except ValueError as error:
            return _refusal(before, f"invalid action: {error}"), str(error)
        batch = 0
        while True:
            results = await self.caller.make(
                world.toolbox, calls, f"{number}.{batch}", before.observation,
                stated=batch == 0 and _says_calls(action),
            )  # fmt: skip
            for call, result in zip(calls, results, strict=True):
                self._tell("result", f"{number}.{batch}.{call.id}", (call, result))
            batch += 1
            try:
                calls = activity.send(results)
            except StopIteration as ended:
                return ended.value, ""

    async def _bare(self, number: int, action: Any, before: Step) -> tuple[Step, str]:
        """An action of a world without tools."""
        wrong = problem(self.world.spec.accepts, action)
        if wrong:
            return _refusal(before, f"invalid action: {wrong}"), wrong
        if self.caller.judges(f"{number}.0.0"):
            action, rejected = await self._checked(number, action, before)
            if rejected:
                return _refusal(before, f"rejected: {rejected}"), rejected
        with span("act", {"enactive.path": str(number)}):
            return self.world.step(action), ""

    async def _checked(self, number: int, action: Any, before: Step) -> tuple[Any, str]:
        """An action that is no call, as the checks leave it, and why it is rejected if it is."""
        call = Call(tool="act", arguments={"action": action_record(action)})
        proposal = Proposal(
            call=call, tool=ACT, path=f"{number}.0.0", observation=before.observation
        )
        verdict = await self.caller.verdict(proposal)
        if verdict.say == "reject":
            return action, verdict.reason or "no reason was given"
        return action if verdict.arguments is None else verdict.arguments["action"], ""

    async def _let_others(self) -> None:
        """Let cancellation in, and other tasks go on; not at every step, for it takes a while."""
        now = time.monotonic()
        if now - self.yielded > 0.005:
            await anyio.lowlevel.checkpoint()
            self.yielded = time.monotonic()

    def _observed(self, observation: Observation) -> dict[str, Any]:
        before, self.text = self.text, observation.text or self.text or ""
        if self.tools is not None and not observation.images and before is not None:
            return observation_digest(observation)
        return observation_record(observation, before or "", self.tape)

    def _spent_out(self, number: int) -> str:
        """What is used up; of time only what the tape says where it says anything."""
        recorded = self.tape.peek("stop", str(number))
        if recorded is not NOTHING and recorded["reason"].endswith("s)"):
            return recorded["reason"]
        if not self.tape.replaying:
            self.spent.seconds = time.monotonic() - self.started
        return self.spent.over(self.settings.budget)

    def _names(self) -> dict[str, str]:
        return {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": self.policy.name,
            "enactive.episode": self.id,
            "enactive.task": self.settings.task.name,
            "enactive.world": self.world.spec.name,
        }

    def _tell(self, kind: str, path: str, value: Any) -> None:
        if self.settings.watcher is not None:
            self.settings.watcher(kind, path, value)


def problem(space: ActionSpace, action: Any) -> str:
    """Why ``action`` is none of ``space``; empty if it is one. Spaces that can say what is wrong
    have a ``problem`` of their own."""
    say = getattr(space, "problem", None)
    if say is not None:
        return say(action)
    if space.contains(action):
        return ""
    return f"no action of {type(space).__name__}: {str(action)[:200]}"


def _calls(accepts: ActionSpace) -> bool:
    """Whether actions of a space make calls."""
    if isinstance(accepts, UnionSpace):
        return any(_calls(member) for member in accepts.spaces.values())
    return isinstance(accepts, ToolSpace | CodeSpace)


def _member_without_calls(accepts: ActionSpace, action: Any) -> bool:
    """Whether an action is of a member of a union that makes no calls, which a check can judge only
    as a whole."""
    if not isinstance(accepts, UnionSpace) or not isinstance(action, Mapping):
        return False
    name = cast("Mapping[str, Any]", action).get("space")
    member = accepts.spaces.get(name) if isinstance(name, str) else None
    return member is not None and not _calls(member)


def _says_calls(action: Any) -> bool:
    """Whether an action is calls, bare or as a member of a union, rather than a program."""
    if not isinstance(action, Mapping):
        return False
    act = cast("Mapping[str, Any]", action)
    return _says_calls(act["action"]) if set(act) == {"space", "action"} else True


def _refusal(before: Step, why: str) -> Step:
    observation = dataclasses.replace(before.observation, text=why)
    return dataclasses.replace(before, observation=observation, reward=0.0, events=())


def _end(step: Step, steps: int, limit: int) -> str:
    if step.terminated:
        return "terminated"
    return "truncated" if step.truncated or steps >= limit else ""
