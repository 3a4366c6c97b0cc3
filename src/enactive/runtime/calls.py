"""Making calls: validated, checked, entered before and after, side by side where they may be."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import anyio
import anyio.to_thread

from enactive.actions.toolbox import BoundTool, CallContext, Toolbox, failed, returned
from enactive.actions.tools import (
    Call,
    CallResult,
    Failure,
    FailureKind,
    check_order,
    in_order,
    result_from_dict,
    result_to_dict,
)
from enactive.observations import Observation
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.budget import Spent
from enactive.runtime.checks import Proposal, Verdict, ask
from enactive.runtime.schedule import waits
from enactive.runtime.spans import span
from enactive.runtime.tape import NOTHING, Tape


def idempotency_key(episode: str, path: str) -> str:
    """The key of a call: the same whenever this very call is made, and no other's."""
    return hashlib.blake2b(f"{episode}\0{path}".encode(), digest_size=16).hexdigest()


class Caller:
    """Makes the calls of one episode.

    An entry ``intent`` is safe on disk before anything outside the world may be changed. A call
    whose result is on the tape is not made again, unless it acts on the episode's own world only,
    which is brought back to its state by doing just that. A call that was begun and whose result is
    not there is made again if that is known to do no harm: its tool is idempotent, or honours the
    key.
    """

    def __init__(self, run: AgentRun, tape: Tape, id: str, spent: Spent, again: bool) -> None:
        self._run = run
        self._tape = tape
        self._id = id
        self._spent = spent
        self._again = again
        self._safe = False

    async def make(
        self,
        toolbox: Toolbox,
        calls: Sequence[Call],
        prefix: str,
        observation: Observation,
        stated: bool,
    ) -> tuple[CallResult, ...]:
        """Make a batch of calls; results in their order.

        Args:
            toolbox: what can be called.
            calls: may wait for one another.
            prefix: path of the batch, e.g. ``"7.0"``.
            observation: what was seen before the decision, for the checks.
            stated: whether the decision itself says the calls, so that they need not be said again.
        """
        if len(calls) == 1 and not calls[0].after:
            path = f"{prefix}.{calls[0].id}"
            return (await self._one(toolbox, calls[0], path, observation, stated),)
        try:
            check_order(calls)
        except ValueError as error:
            return tuple(self._not(f"{prefix}.{call.id}", "invalid", str(error)) for call in calls)
        results: dict[str, CallResult] = {}
        if all(_in_place(toolbox, call) for call in calls):  # nothing waits: one after the other
            for call in in_order(calls):
                path = f"{prefix}.{call.id}"
                results[call.id] = self._skipped(call, results, path) or await self._one(
                    toolbox, call, path, observation, stated
                )
            return tuple(results[call.id] for call in calls)
        over = {call.id: anyio.Event() for call in calls}
        before = waits(calls, toolbox)

        async def one(call: Call) -> None:
            for id in before[call.id]:
                await over[id].wait()
            path = f"{prefix}.{call.id}"
            results[call.id] = self._skipped(call, results, path) or await self._one(
                toolbox, call, path, observation, stated
            )
            over[call.id].set()

        try:
            async with anyio.create_task_group() as group:
                for call in calls:
                    group.start_soon(one, call)
        except ExceptionGroup as several:  # tools raise nothing: it is a tape's, a check's, or ours
            raise several.exceptions[0] from None
        return tuple(results[call.id] for call in calls)

    def judges(self, path: str) -> bool:
        """Whether checks have a say about a call, or had when it was recorded."""
        return bool(self._run.checks) or self._tape.peek("verdict", path) is not NOTHING

    async def verdict(self, proposal: Proposal) -> Verdict:
        """What the checks say, or said when it was recorded."""
        recorded = self._tape.take("verdict", proposal.path)
        if recorded is not NOTHING:
            return Verdict(
                say=recorded["say"], reason=recorded.get("reason", ""),
                arguments=recorded.get("arguments"),
            )  # fmt: skip
        name, verdict = await ask(self._run.checks, proposal)
        said: dict[str, Any] = {"by": name, "say": verdict.say, "reason": verdict.reason}
        if verdict.arguments is not None:
            said["arguments"] = dict(verdict.arguments)
        self._tape.put("verdict", proposal.path, said)
        return verdict

    def settle(self) -> None:
        """The decision's calls are over: make their entries safe. Not where the call of one was
        entered safely before it was made: a power cut then loses what is done again to the same
        effect, or leaves it in doubt, and the next decision makes it safe."""
        if not self._safe:
            self._tape.commit()
        self._safe = False

    def _skipped(self, call: Call, results: Mapping[str, CallResult], path: str) -> Failure | None:
        """The failure of a call that comes after one that failed; None if there is no such one."""
        broken = [id for id in call.after if isinstance(results[id], Failure)]
        if not broken:
            return None
        message = f"{call.tool} comes after {', '.join(broken)}, which failed"
        return self._not(path, "skipped", message)

    def _not(self, path: str, kind: FailureKind, message: str) -> Failure:
        """A call that is not made, and why."""
        failure = Failure(kind=kind, message=message, where=path)
        self._tape.put("result", path, result_to_dict(failure))
        return failure

    async def _one(
        self, toolbox: Toolbox, call: Call, path: str, observation: Observation, stated: bool
    ) -> CallResult:
        try:
            bound = toolbox.find(call.tool)
        except KeyError as error:
            return self._not(path, "invalid", str(error.args[0]))
        problem = bound.tool.check_arguments(call.arguments)
        if problem:
            return self._not(path, "invalid", f"{call.tool}: {problem}")
        limit = self._run.budget.calls
        if limit is not None and self._spent.calls >= limit:
            return self._not(path, "budget", f"the budget of {limit} calls is used up")
        self._spent.calls += 1
        if self.judges(path):
            proposal = Proposal(call=call, tool=bound.tool, path=path, observation=observation)
            verdict = await self.verdict(proposal)
            if verdict.say == "reject":
                message = f"{call.tool} was rejected: {verdict.reason or 'no reason was given'}"
                return self._not(path, "rejected", message)
            if verdict.arguments is not None:
                call = Call(tool=call.tool, arguments=verdict.arguments, id=call.id)
                stated = True  # in the verdict
                problem = bound.tool.check_arguments(call.arguments)
                if problem:
                    message = f"{call.tool}, as a check changed it: {problem}"
                    return self._not(path, "invalid", message)
        with span("execute_tool", {"gen_ai.tool.name": call.tool, "enactive.path": path}):
            return await self._execute(bound, call, path, stated)

    async def _execute(self, bound: BoundTool, call: Call, path: str, stated: bool) -> CallResult:
        effects = bound.tool.effects
        outside = effects.open_world
        recorded = self._tape.peek("result", path)
        begun = self._tape.peek("intent", path) is not NOTHING
        try:
            said = {} if stated else {"tool": call.tool, "arguments": dict(call.arguments)}
            self._tape.put("intent", path, said)
        except ValueError as error:
            return self._not(path, "invalid", f"{call.tool}: {error}")
        if outside and recorded is not NOTHING and not (self._again and effects.read_only):
            return result_from_dict(self._tape.take("result", path))
        if outside and begun and recorded is NOTHING and not (effects.repeatable or bound.keyed):
            settled = await self._in_doubt(call, path)
            if settled is not None:
                self._tape.put("result", path, result_to_dict(settled), commit=True)
                return settled
        if outside and not effects.read_only:
            self._tape.commit()
            self._safe = True
        context = CallContext(path=path, key=idempotency_key(self._id, path))
        result = await _call(bound, call, context)
        commit = outside and not effects.repeatable and not bound.keyed
        try:
            self._tape.put("result", path, result_to_dict(result), commit=commit)
        except ValueError as error:
            message = f"{call.tool} returned what cannot be recorded: {error}"
            return self._not(path, "invalid", message)
        return result

    async def _in_doubt(self, call: Call, path: str) -> CallResult | None:
        """What is known of a call that was under way when the process died; None to make it."""
        happened = None
        if self._run.doubt is not None:
            happened = await self._run.doubt.happened(call, path)
        if happened is False:
            return None
        what = "had its effect, but its value was lost" if happened else "may have had its effect"
        message = (
            f"{call.tool} was under way when the process died: it {what}. It is not made again, "
            "because its tool is neither idempotent nor keyed"
        )
        return Failure(kind="in_doubt", message=message, where=path)


def _in_place(toolbox: Toolbox, call: Call) -> bool:
    """Whether a call is over when its function returns, so that nothing can run beside it."""
    try:
        bound = toolbox.find(call.tool)
    except KeyError:
        return True
    return not bound.blocking and not inspect.iscoroutinefunction(bound.function)


async def _call(bound: BoundTool, call: Call, context: CallContext) -> CallResult:
    """Make a call; whatever goes wrong is its result."""
    try:
        with nullcontext() if bound.timeout_s is None else anyio.fail_after(bound.timeout_s):
            if bound.blocking:
                value = await anyio.to_thread.run_sync(
                    bound.start, call, context, abandon_on_cancel=True
                )
            else:
                value = bound.start(call, context)
            if inspect.isawaitable(value):
                value = await value
    except TimeoutError:
        if bound.timeout_s is None:
            return failed(TimeoutError("it timed out"), call, context)
        message = f"{call.tool}: no answer within {bound.timeout_s:g} s"
        return Failure(kind="timeout", message=message, where=context.path)
    except Exception as error:  # a tool's failure is the policy's to read
        return failed(error, call, context)
    return returned(value, bound.tool, context)
