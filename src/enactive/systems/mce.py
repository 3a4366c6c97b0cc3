"""Monadic Context Engineering (arXiv 2512.22431): do agent steps compose as the algebra says?

The paper argues for functor, applicative and monad operations over state, failure and effects, and
measures nothing. Here :mod:`enactive.policies.agents.flow`, which is that algebra, is held against
containers as published (:mod:`enactive.systems.mce_reference`) and against plain ``asyncio``, in
the four tests that such a claim allows: laws on generated cases, wall-clock time of branches side
by side, faults put into running plans, and what handling of errors costs in lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np

from enactive.evaluation.claims.claim import Claim, Figure, Hypothesis, Measurement
from enactive.evaluation.report.svg import Series, lines
from enactive.seeding import numpy_generator
from enactive.systems.mce_laws import LAWS, Flows, Published, broken_laws
from enactive.systems.mce_planners import PLANNERS
from enactive.systems.mce_trials import (
    SCENARIOS,
    deepest,
    faults_in_chains,
    faults_in_planner,
    side_by_side,
)

Arms = Mapping[str, Measurement]
OURS, PUBLISHED, PLAIN = "flows", "published", "plain asyncio"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much of everything."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    cases: int = 400
    """Of each law, with and without ``None`` among the values."""
    chains: int = 200
    depths: tuple[int, ...] = (100, 300, 1_000, 10_000, 100_000)
    branches: tuple[int, ...] = (2, 4, 8)
    seconds: float = 0.1
    """That one branch takes."""
    repeats: int = 5


QUICK = Scale(
    seeds=(0,), cases=10, chains=5, depths=(100, 1_000), branches=(2, 8), seconds=0.01, repeats=2
)


async def _measured(arm: str, seed: int, scale: Scale) -> dict[str, float]:
    outcomes: dict[str, float] = {}
    if arm != PLAIN:  # has no operations that could obey laws
        for none in (True, False):
            algebra = Flows() if arm == OURS else Published()

            def stream(law: str, none: bool = none) -> np.random.Generator:
                return numpy_generator(seed, "mce", law, int(none))  # the same cases for all arms

            broken, escaped = await broken_laws(algebra, stream, scale.cases, none)
            suffix = "" if none else ", no None"
            outcomes |= {f"broken: {law}{suffix}": share for law, share in broken.items()}
            outcomes[f"broken{suffix}"] = float(np.mean(list(broken.values())))
            outcomes[f"exceptions escape{suffix}"] = escaped
    planner = await faults_in_planner(arm)
    chains = await faults_in_chains(arm, numpy_generator(seed, "mce chains"), scale.chains)
    trials = planner.trials + chains.trials
    outcomes |= {
        "later steps": planner.later_steps + chains.later_steps,
        "wrong states": (planner.wrong_states + chains.wrong_states) / trials,
        "escaped": (planner.escaped + chains.escaped) / trials,
        "errors told": planner.told / planner.expected,
        "steps named": planner.named / planner.trials,
        "waited for a sibling": planner.waited,
        "error lines": PLANNERS[arm].error_lines,
        "deepest chain": await deepest(arm, scale.depths),
    }
    for branches in scale.branches:
        times = await side_by_side(arm, branches, scale.seconds, scale.repeats)
        outcomes[f"ratio, {branches} branches"] = times["ratio"]
    return outcomes


def figures(measured: Mapping[tuple[str, int], Measurement]) -> Sequence[Figure]:
    """Wall-clock time side by side over one after the other, by number of branches."""
    series: list[Series] = []
    counts: list[int] = []
    for kind, arm in zip("abc", (OURS, PUBLISHED, PLAIN), strict=True):
        units = [one.outcomes for (name, _), one in measured.items() if name == arm]
        if units:
            named = [name for name in units[0] if name.startswith("ratio, ")]
            counts = [int(name.split()[1]) for name in named]
            means = [float(np.mean([unit[name] for unit in units])) for name in named]
            series.append(Series(name=arm, x=counts, y=means, kind=kind))
    shares = Series(name="1 / branches", x=counts, y=[1 / n for n in counts], kind="faint")
    svg = lines([*series, shares], title="Side by side over one after the other", unit="ratio")
    caption = "Wall-clock time of equal branches side by side, over one after the other; mean over "
    return [Figure(title="side by side", svg=svg, caption=f"{caption}seeds, by branches.")]


def claim(quick: bool = False) -> Claim:
    """The claim; ``quick`` shows that everything runs."""
    scale = QUICK if quick else Scale()

    def measure(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        return Measurement(outcomes=anyio.run(_measured, arm, seed, scale))

    most = scale.branches[-1]
    return Claim(
        system="mce",
        title="MCE: agent steps that compose lawfully",
        statement=(
            "Agent steps composed by a lawful algebra over state, failure and effects obey all "
            "its laws on generated cases, run side by side in 1/n of the time, stop at a failure "
            "with the state before it and every error told, and need fewer lines for errors than "
            "the same planner in plain asyncio."
        ),
        source=(
            "Monadic Context Engineering, arXiv 2512.22431, sections 3 to 5: the operations and "
            "their laws, without measurements. The tests are ours."
        ),
        world=(
            "Generated terms; tools that sleep, fail and return None on request. No language "
            "model takes part: nothing here says that agents become better at their tasks"
        ),
        arms={
            OURS: "enactive.policies.agents.flow",
            PUBLISHED: "containers with the published behaviour, written anew from its description "
            "(enactive.systems.mce_reference), not the authors' code",
            PLAIN: "async functions, exceptions, asyncio.TaskGroup; for laws it has no operations",
        },
        controls={
            "Laws hold vacuously": "terms change state, fail and raise; the published arm breaks "
            "laws on the same cases, so that they can be broken",
            "The reference is blamed for None alone": "laws are also counted without None among "
            "the values",
            "A straw man of imperative code": "the plain planner uses TaskGroup and a context "
            "manager for names and state of all steps; all three planners face the same "
            f"{len(SCENARIOS)} scenarios, and outcomes say which of them each gets right",
            "Lines counted by taste": "lines of the planner with errors minus lines of the same "
            "planner without, as ast.unparse lays them out, helpers included",
            "Flows look short as the library does the work": "so it is: what is counted is what an "
            "author of a planner writes; the library's own lines are not counted for any arm",
            "The published gather loses states without a merge": "its planner is given the merge "
            "that flows use",
            "Timing noise": f"medians of {scale.repeats} repeats, sleeps of {scale.seconds:g} s, "
            "the arms of a seed in random order",
        },
        hypotheses=(
            Hypothesis(
                name="laws",
                statement="No generated case breaks a law",
                value=lambda arms: arms[OURS].outcome("broken"),
                direction="less", threshold=0.0, unit="of cases", exact=True,
            ),
            Hypothesis(
                name="exceptions are failures",
                statement="No exception escapes from a flow, a chain or the planner",
                value=lambda arms: arms[OURS].outcome("exceptions escape")
                + arms[OURS].outcome("escaped"),
                direction="less", threshold=0.0, unit="of cases", exact=True,
            ),
            Hypothesis(
                name="side by side",
                statement=f"{most} branches side by side take 1/{most} of the time of one after "
                "the other, and 0.05 of it more at most",
                value=lambda arms: arms[OURS].outcome(f"ratio, {most} branches") - 1 / most,
                direction="less", threshold=0.05, unit="of the sequence's time",
            ),
            Hypothesis(
                name="nothing after a failure",
                statement="No step is begun after one that failed",
                value=lambda arms: arms[OURS].outcome("later steps"),
                direction="less", threshold=0.0, unit="steps", exact=True,
            ),
            Hypothesis(
                name="the state before",
                statement="The final state is the one before the step that failed",
                value=lambda arms: arms[OURS].outcome("wrong states"),
                direction="less", threshold=0.0, unit="of trials", exact=True,
            ),
            Hypothesis(
                name="every error",
                statement="Every error of the planner's branches is told",
                value=lambda arms: arms[OURS].outcome("errors told"),
                direction="greater", threshold=1.0, unit="of errors", exact=True,
            ),
            Hypothesis(
                name="fewer lines",
                statement="Handling errors takes at most half the lines that it takes in plain "
                "asyncio",
                value=lambda arms: arms[OURS].outcome("error lines")
                / arms[PLAIN].outcome("error lines"),
                direction="less", threshold=0.5, unit="of plain asyncio's lines", exact=True,
            ),
            Hypothesis(
                name="siblings are cancelled",
                statement="After a branch has failed, at most a quarter of a slow sibling's time "
                "is waited",
                value=lambda arms: arms[OURS].outcome("waited for a sibling"),
                direction="less", threshold=0.25, unit="of the sibling's time", primary=False,
            ),
            Hypothesis(
                name="no slower than asyncio",
                statement="and the ratio of times is at most 0.03 above that of a TaskGroup",
                value=lambda arms: arms[OURS].outcome(f"ratio, {most} branches")
                - arms[PLAIN].outcome(f"ratio, {most} branches"),
                direction="less", threshold=0.03, unit="of the sequence's time", primary=False,
            ),
            Hypothesis(
                name="depth",
                statement=f"A chain of {scale.depths[-1]} async steps runs",
                value=lambda arms: arms[OURS].outcome("deepest chain"),
                direction="greater", threshold=scale.depths[-1], unit="steps", primary=False,
                exact=True,
            ),
            Hypothesis(
                name="the cases can be failed",
                statement="The published containers break laws on the same cases, None or not",
                value=lambda arms: arms[PUBLISHED].outcome("broken, no None"),
                direction="greater", threshold=0.01, unit="of cases", primary=False, exact=True,
            ),
        ),
        seeds=scale.seeds,
        budget=(
            f"{len(LAWS)} laws, {2 * scale.cases} cases each; {len(SCENARIOS)} scenarios and "
            f"{scale.chains} chains with faults; {', '.join(map(str, scale.branches))} branches"
        ),
        measure=measure,
        figures=figures,
        parts={
            "algebra": "enactive.policies.agents.flow",
            "machine": "enactive.policies.agents.flow_machine",
            "side by side": "enactive.policies.agents.flow_run",
            "merges of states": "enactive.policies.agents.merges",
        },
        earlier_runs=(
            "While the planners were written, their lines (1, 18 and 21), one seed of the laws and "
            "two timings of 8 branches were seen, before the thresholds were written",
            "A whole run with the same verdicts; afterwards only this list was added, and modules "
            "of the library that flows use had grown",
        ),
        not_tried=(
            "language models, and whether planners written as flows solve more tasks",
            "the authors' own code, which needs another version of Python",
            "the meta-agent that writes sub-workflows: it needs a model that can",
            "rolling back effects: calls that were made stay made",
        ),
        scale_note=(
            "The paper reports no experiment. Laws are tested on generated cases, which can refute "
            "and not prove; the tests of the library itself draw from a larger family of flows."
        ),
    )  # fmt: skip
