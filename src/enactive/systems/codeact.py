"""CodeAct: programs against calls as actions, with equal mistakes, on the same tools and tasks.

"Executable Code Actions Elicit Better LLM Agents" (arXiv 2402.01030). What the paper says of models
is not tested: the proposers are scripts. What is tested is the protocol around them, the loop, the
executor, the feedback, with the comparison's traps closed: calls may be batched, calls are counted
as well as turns, and single-call tasks are there as a control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enactive.actions.tools import Failure
from enactive.evaluation.claims.claim import Claim, Figure, Hypothesis, Measurement
from enactive.evaluation.report.svg import Series, lines
from enactive.observations import Task
from enactive.policies.agents.codeact import CodeAct
from enactive.systems.codeact_proposer import Rates, caller, programmer
from enactive.systems.codeact_tasks import KINDS
from enactive.worlds.code.monty import MontyExecutor
from enactive.worlds.code_world import WithCode
from enactive.worlds.tool_world import call_in_order
from enactive.worlds.workspace.world import Workspace

MISTAKES, SLIPS = 0.2, 0.05
BATCH = 16
"""Most calls in one action of the arm with calls: more than any stage of a task needs."""
TURNS = 10
TIGHT = 2
"""The tight budget, turns."""
COMPOSITE = KINDS[1:]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What one arm is made of."""

    what: str
    programs: bool = True
    batch: int = BATCH
    told: bool = True
    checked: bool = True
    mistakes: float = MISTAKES


PROGRAMS, CALLS, SINGLE = "programs", "calls", "single calls"
SILENT, SILENT_CALLS = "programs, errors not told", "calls, errors not told"
UNCHECKED, CARELESS = "programs, types unchecked", "programs, three times the mistakes"
ARMS: Mapping[str, Arm] = {
    PROGRAMS: Arm(what="programs in Monty, types checked before they run, tracebacks told"),
    CALLS: Arm(what=f"calls as JSON, up to {BATCH} in one action, refusals told", programs=False),
    SINGLE: Arm(what="control: one call in one action", programs=False, batch=1),
    SILENT: Arm(what="control: programs whose errors are not told", told=False),
    SILENT_CALLS: Arm(what="control: calls whose refusals are not told", programs=False,
                      told=False),
    UNCHECKED: Arm(what="programs whose types are not checked before they run", checked=False),
    CARELESS: Arm(what="programs by a proposer that errs three times as often",
                  mistakes=3 * MISTAKES),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much is run."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    episodes: int = 30
    """Of each kind."""


QUICK = Scale(seeds=(0,), episodes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempted:
    """One episode."""

    success: bool
    turns: int
    calls: int
    vain: int
    """Calls made by actions that failed."""


def world_of(arm: Arm) -> WithCode | Workspace:
    """The world that an arm acts in: the same tools and tasks for all."""
    robot = Workspace.Config(
        domains=("enactive.systems.codeact_tasks:ROBOT",), parallel=arm.batch, privileged=False
    )
    if not arm.programs:
        return robot.build()
    executor = MontyExecutor.Config(check_types=arm.checked)
    return WithCode.Config(world=robot, executor=executor).build()


def attempt(world: WithCode | Workspace, arm: Arm, kind: str, seed: int) -> Attempted:
    """One episode of a kind, its calls counted."""
    rates = Rates(mistakes=arm.mistakes, slips=SLIPS)
    model = programmer(seed, rates) if arm.programs else caller(seed, rates, arm.batch)
    policy = CodeAct.Config(turns=TURNS, errors_told=arm.told).build(model, world.spec.accepts)
    task = Task(name=f"robot-{KINDS.index(kind) + 1}", instruction="")
    seen, memory = world.reset(task, seed), policy.begin(task, seed)
    calls = vain = 0
    while True:
        decision = policy.act([seen], [memory])[0]
        memory = decision.memory
        activity = world.activity(decision.action)
        made, failed, number = 0, False, 0
        try:
            batch = next(activity)
            while True:
                results = call_in_order(world.toolbox, batch, f"{memory.made}.{number}")
                skipped = sum(isinstance(r, Failure) and r.kind == "skipped" for r in results)
                made, number = made + len(batch) - skipped, number + 1
                failed = failed or any(isinstance(one, Failure) for one in results)
                batch = activity.send(results)
        except StopIteration as ended:
            step = ended.value
        calls += made
        # A refused program makes no calls; one that fails has made those before its mistake.
        vain += made if failed and arm.programs else 0
        seen = step.observation
        if step.terminated or step.truncated:
            turns = min(memory.made, TURNS)
            return Attempted(success=step.success, turns=turns, calls=calls, vain=vain)


def measure(arm: str, seed: int, scale: Scale) -> Measurement:
    """One arm: episodes of every kind, the same for all arms of a seed."""
    made = ARMS[arm]
    world = world_of(made)
    found = {
        kind: [attempt(world, made, kind, 1000 * seed + i) for i in range(scale.episodes)]
        for kind in KINDS
    }
    world.close()
    together = [one for kind in COMPOSITE for one in found[kind]]
    outcomes: dict[str, float] = {}
    for name, tried in [*found.items(), ("composite", together)]:
        outcomes |= {
            f"{name}: success": float(np.mean([one.success for one in tried])),
            f"{name}: success in {TIGHT} turns": float(
                np.mean([one.success and one.turns <= TIGHT for one in tried])
            ),
            f"{name}: turns": float(np.mean([one.turns for one in tried])),
            f"{name}: calls": float(np.mean([one.calls for one in tried])),
        }
    outcomes["calls in vain"] = float(np.mean([one.vain for one in together]))
    rows = {"success": [float(one.success) for kind in KINDS for one in found[kind]]}
    return Measurement(outcomes=outcomes, episodes=rows)


Arms = Mapping[str, Measurement]


def _ratio(arm: str, other: str, outcome: str) -> Callable[[Arms], float]:
    return lambda found: found[arm].outcome(outcome) / found[other].outcome(outcome)


def _gain(arm: str, other: str, outcome: str) -> Callable[[Arms], float]:
    return lambda found: found[arm].outcome(outcome) - found[other].outcome(outcome)


def figures(found: Mapping[tuple[str, int], Measurement]) -> Sequence[Figure]:
    """Turns by kind of task, a line an arm."""
    drawn: list[Series] = []
    for arm, style in ((PROGRAMS, "a"), (CALLS, "b"), (SINGLE, "c"), (CARELESS, "faint")):
        units = [one for (name, _), one in found.items() if name == arm]
        if units:
            y = [float(np.mean([one.outcome(f"{kind}: turns") for one in units])) for kind in KINDS]
            x = tuple(float(i + 1) for i in range(len(KINDS)))
            drawn.append(Series(name=arm, x=x, y=tuple(y), kind=style))
    svg = lines(drawn, title="Turns of an episode", unit="kind of task")
    kinds = ", ".join(f"{i + 1} {kind}" for i, kind in enumerate(KINDS))
    return [Figure(title="turns", svg=svg, caption=f"Means over seeds; kinds: {kinds}.")]


def claim(quick: bool = False) -> Claim:
    """The claim; ``quick`` shows that everything runs."""
    scale = QUICK if quick else Scale()

    def run(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        return measure(arm, seed, scale)

    step = 1 / (scale.episodes * len(COMPOSITE))
    return Claim(
        system="codeact",
        title="CodeAct: programs as actions",
        statement=(
            "With a scripted proposer that errs as often in either form, actions that are programs "
            "need at most 0.7 of the turns that batched calls need where a task loops, branches or "
            "follows what it finds, and as many where one call does it; they win under a budget of "
            f"{TIGHT} turns, and telling errors raises success over silence."
        ),
        source="arXiv 2402.01030, sections 2.2 and 2.3 (up to 30 % fewer actions and 20 points "
        "more success on multi-call tasks, comparable on single-call ones); the numbers there are "
        "of 17 language models, and are not what is tested here.",
        world="A small robot with three tools and an answer, in the workspace: "
        f"{', '.join(KINDS)}; {scale.episodes} episodes of each kind and seed.",
        arms={name: arm.what for name, arm in ARMS.items()},
        controls={
            "JSON denied the batching that code gets free": f"an action may make {BATCH} calls, "
            "with order among them; an arm of single calls shows what denying it would have given",
            "turns counted but not calls": "calls are counted too, and compared",
            "tasks chosen to favour loops": "single-call tasks are compared by themselves",
            "a proposer that writes programs better than calls": "both know how each kind is done, "
            "an action has a mistake with the same probability, however long it is, and an arm "
            "writes programs with three times as many",
            "state lost between turns": "names persist in the session; here each program starts "
            "anew, so persistence is not what helps",
            "evaluating a model's text in this process": "programs run in Monty, in a process of "
            "their own, and are refused before they run where their types are wrong",
            "results that a model makes up": "a reply is cut after its first action",
        },
        hypotheses=(
            Hypothesis(
                name="fewer turns",
                statement="On composite tasks programs need at most 0.7 of the turns of calls",
                value=_ratio(PROGRAMS, CALLS, "composite: turns"),
                direction="less", threshold=0.7, unit="ratio of turns",
            ),
            Hypothesis(
                name="no fewer where one call does it",
                statement="On atomic tasks programs need at least 0.9 of the turns of calls",
                value=_ratio(PROGRAMS, CALLS, "atomic: turns"),
                direction="greater", threshold=0.9, unit="ratio of turns", resolution=0.02,
            ),
            Hypothesis(
                name="no more where one call does it",
                statement="On atomic tasks programs need at most 1.1 of the turns of calls",
                value=_ratio(PROGRAMS, CALLS, "atomic: turns"),
                direction="less", threshold=1.1, unit="ratio of turns", resolution=0.02,
            ),
            Hypothesis(
                name="tight budget",
                statement=f"Within {TIGHT} turns programs do more composite tasks than calls",
                value=_gain(PROGRAMS, CALLS, f"composite: success in {TIGHT} turns"),
                direction="greater", threshold=0.0, unit="share of episodes", resolution=step,
            ),
            Hypothesis(
                name="errors told",
                statement="Programs whose errors are told do at least a tenth more of the "
                "composite tasks than programs whose errors are not",
                value=_gain(PROGRAMS, SILENT, "composite: success"),
                direction="greater", threshold=0.1, unit="share of episodes", resolution=step,
            ),
            Hypothesis(
                name="failures told",
                statement="So do calls",
                value=_gain(CALLS, SILENT_CALLS, "composite: success"),
                direction="greater", threshold=0.1, unit="share of episodes", resolution=step,
                primary=False,
            ),
            Hypothesis(
                name="calls",
                statement="Programs make at most a tenth more calls on composite tasks than the "
                "arm with calls",
                value=_ratio(PROGRAMS, CALLS, "composite: calls"),
                direction="less", threshold=1.1, unit="ratio of calls", primary=False,
            ),
            Hypothesis(
                name="careless",
                statement="With three times the mistakes programs still need at most 0.7 of the "
                "turns",
                value=_ratio(CARELESS, CALLS, "composite: turns"),
                direction="less", threshold=0.7, unit="ratio of turns", primary=False,
            ),
            Hypothesis(
                name="refused before it runs",
                statement="A program with a mistake makes no call where its types are checked",
                value=lambda found: found[PROGRAMS].outcome("calls in vain"),
                direction="less", threshold=0.0, unit="calls an episode", exact=True, primary=False,
            ),
            Hypothesis(
                name="not refused without the check",
                statement="Without the check such programs make calls before they fail",
                value=lambda found: found[UNCHECKED].outcome("calls in vain"),
                direction="greater", threshold=0.1, unit="calls an episode", primary=False,
            ),
        ),
        seeds=scale.seeds,
        budget=f"{TURNS} turns an episode; the same tasks, mistakes at {MISTAKES} an action and "
        f"slips at {SLIPS} an episode in all arms but the careless one.",
        measure=run,
        figures=figures,
        parts={
            "turn loop": "enactive.policies.agents.codeact",
            "programs in the world": "enactive.worlds.code_world",
            "executor": "enactive.worlds.code.monty",
            "tasks": "enactive.systems.codeact_tasks",
            "proposers": "enactive.systems.codeact_proposer",
        },
        earlier_runs=(
            "Two. In the first mistakes were drawn by seed and stage alone, so that the same "
            "episodes of all kinds had them, and a seed's 120 composite episodes were no more "
            "than 30 draws. It left 'errors told' inconclusive (0.17, interval 0.07 to 0.27, "
            "threshold 0.1) and supported the other primary hypotheses. Mistakes and slips are "
            "now drawn by kind as well; nothing else was changed. The second had the outcomes "
            "of this one, to the bit; four of its units were run again at the same commit, "
            "because the environment had lost the executor's program meanwhile.",
        ),
        not_tried=(
            "A language model: scripts propose. A later independent port found the sign of the "
            "difference to depend on the model, and nothing here speaks to that.",
            "Fine-tuning on trajectories of code actions; tasks whose programs cannot be written "
            "before something is seen by the author.",
        ),
        scale_note="Five kinds of generated tasks with three tools, for 82 tasks in five domains.",
    )  # fmt: skip
