"""Executing actions as R-LAM's library was described to do it: the claim's other arms.

Written anew from a description of ``rlam`` 0.1.0, not copied from it. Actions are objects whose
fields cannot be set but whose contents can; results are kept in memory as they were returned; a
replay gives back the kept object; the hash of the environment is stored and never looked at; a fork
copies all that was entered before, not what led to it; there are no seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enactive.actions.tools import Call, CallResult, Failure, Returned
from enactive.observations import Task
from enactive.systems.r_lam_lab import Lab, Workflow


@dataclass(frozen=True, slots=True)
class LoggedAction:
    """A node of the trace: "frozen", but its inputs are not."""

    name: str
    inputs: dict[str, Any]


@dataclass(slots=True)
class LiveTrace:
    """Actions and their live results, in the order of execution."""

    actions: list[LoggedAction] = field(default_factory=list[LoggedAction])
    results: list[Any] = field(default_factory=list[Any])
    failures: list[str] = field(default_factory=list[str])

    def replay(self, number: int) -> Any:
        """The kept result, itself."""
        return self.results[number]

    def fork(self, number: int) -> list[LoggedAction]:
        """Everything up to an action."""
        return self.actions[: number + 1]


def execute(lab: Lab, seed: int, trace: LiveTrace | None) -> bool:
    """Run the workflow in a lab, keeping a trace or keeping nothing; whether it succeeded."""
    task = Task(name="best", instruction="find the best sample")
    workflow = Workflow(lab.spec.accepts)
    observation, memory = lab.reset(task, seed), workflow.begin(task, seed)
    while True:
        decision = workflow.act([observation], [memory])[0]
        memory = decision.memory
        activity = lab.activity(decision.action)
        results = tuple(_call(lab, call, trace) for call in next(activity))
        try:
            activity.send(results)
        except StopIteration as ended:
            step = ended.value
        else:
            raise AssertionError("the lab asks once an action")
        if step.terminated:
            return step.success
        observation = step.observation


def _call(lab: Lab, call: Call, trace: LiveTrace | None) -> CallResult:
    inputs: Mapping[str, Any] = call.arguments
    function = lab.toolbox.find(call.tool).function
    if trace is not None:
        trace.actions.append(LoggedAction(call.tool, dict(inputs)))
    try:
        value = function(**inputs)  # what a tool does to its inputs, it does to the record
    except Exception as error:
        if trace is not None:
            trace.results.append(None)
            trace.failures.append(str(error))
        return Failure(kind="error", message=f"{call.tool}: {error}")
    if trace is not None:
        trace.results.append(value)
    return Returned(value=value)
