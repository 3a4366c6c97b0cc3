"""PoAct: does it pay to control how an agent reasons, and which tools it is shown?

"PoAct: Policy and Action Dual-Control Agent for Generalized Applications" (arXiv 2501.07054). The
policy is :mod:`enactive.policies.agents.poact`, the tools and tasks are in
:mod:`enactive.systems.poact_tools`, the scripted model in :mod:`enactive.systems.poact_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from enactive.actions.spaces import ActionSpace
from enactive.actions.tools import Tool
from enactive.evaluation.claims.claim import Claim, Figure, Hypothesis, Measurement
from enactive.evaluation.report.svg import Series, lines
from enactive.models.language_models.language_model import LanguageModel
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Task
from enactive.policies.agents.poact import PoAct, PoActMemory
from enactive.seeding import numpy_generator
from enactive.systems.agent_episodes import play
from enactive.systems.poact_model import (
    ALARM,
    CAUGHT,
    DOUBT,
    HALF,
    NOISE,
    PLAN_WRONG,
    REPEAT,
    REPEAT_THOUGHT,
    WANDER,
    Proposer,
)
from enactive.systems.poact_tools import HOPS, MOST_STEPS, OTHER_NAME, SIZES, catalogue
from enactive.worlds.code_world import WithCode
from enactive.worlds.workspace.world import Workspace
from enactive.worlds.world import World

PLAIN, POLICY, ACTION, BOTH = "neither", "policy only", "action only", "both"
LOT, CALLS = "both, tools by lot", "both, calls"
UNREVIEWED = "both, no review"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What one arm has."""

    policy: bool = True
    retrieval: bool = True
    review: bool = True
    code: bool = True
    lot: bool = False


ARMS: Mapping[str, Arm] = {
    PLAIN: Arm(policy=False, retrieval=False, review=False),
    POLICY: Arm(retrieval=False, review=False),
    ACTION: Arm(policy=False),
    BOTH: Arm(),
    UNREVIEWED: Arm(review=False),
    LOT: Arm(lot=True),
    CALLS: Arm(code=False),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much is run."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    tasks: int = 5
    """Of each number of hops."""
    sizes: tuple[int, ...] = SIZES


QUICK = Scale(seeds=(0,), tasks=1, sizes=(10, 50))


class ByLot(PoAct):
    """The control: as many tools as retrieval would show, drawn by lot."""

    def tools(self, memory: PoActMemory, need: str = "") -> tuple[Tool, ...]:
        """See :meth:`PoAct.tools`."""
        count = len(PoAct.tools(self, memory, need))
        draw = numpy_generator(memory.seed, "lot", memory.decided, memory.task, need)
        others = [tool for tool in self._tools if tool is not self._answer]
        most = min(count - 1, len(others))
        chosen = set(draw.permutation(len(others))[:most].tolist())
        kept = {others[i].name for i in chosen} | {"answer"}
        return tuple(tool for tool in self._tools if tool.name in kept)


def planner(arm: Arm, model: LanguageModel, accepts: ActionSpace) -> PoAct:
    """The policy of an arm."""
    config = PoAct.Config(policy_controller=arm.policy, retrieval=arm.retrieval, review=arm.review)
    return (ByLot if arm.lot else PoAct)(config, model, accepts)


def worlds(size: int, code: bool) -> World:
    """The workspace with the tools of one size, acted on by programs or by calls."""
    inner = Workspace.Config(
        domains=(f"enactive.systems.poact_tools:TOOLS_{size}",), privileged=False, parallel=1
    )
    return WithCode.Config(world=inner).build() if code else inner.build()


def measure(arm: str, seed: int, scale: Scale) -> Measurement:
    """All tasks of a seed in every size; the same for all arms."""
    made = ARMS[arm]
    outcomes: dict[str, float] = {}
    everything: list[float] = []
    asked = there = steps_solved = solved_in_all = review_tokens = tokens_in_all = 0
    for size in scale.sizes:
        world = worlds(size, made.code)
        right: list[float] = []
        tokens = 0
        for level in range(1, len(HOPS) + 1):
            for number in range(scale.tasks):
                task = Task(name=f"tools{size}-{level}", instruction="")
                start = 1000 * seed + number
                proposer = Proposer(made=catalogue(size), seed=start)
                model = Scripted(name="poact", answer=proposer)
                played = play(world, planner(made, model, world.spec.accepts), task, start)
                right.append(float(played.success))
                tokens += played.cost.tokens + played.cost.prompt_tokens
                steps_solved += played.steps * played.success
                asked, there = asked + proposer.asked, there + proposer.there
                review_tokens += proposer.tokens.get("review", 0)
        world.close()
        outcomes[f"success_{size}"] = float(np.mean(right))
        outcomes[f"tokens_per_solved_{size}"] = tokens / max(sum(right), 1.0)
        tokens_in_all += tokens
        solved_in_all += int(sum(right))
        everything += right
    smallest, largest = scale.sizes[0], scale.sizes[-1]
    outcomes |= {
        "success": float(np.mean(everything)),
        "drop": outcomes[f"success_{smallest}"] - outcomes[f"success_{largest}"],
        "gold_shown": there / max(asked, 1),
        "steps_per_solved": steps_solved / max(solved_in_all, 1),
        "review_share_of_tokens": review_tokens / max(tokens_in_all, 1),
    }
    cost = {"episodes": float(len(everything)), "tokens": float(tokens_in_all)}
    return Measurement(outcomes=outcomes, episodes={"success": everything}, cost=cost)


Found = Mapping[str, Measurement]


def _more(one: str, other: str, outcome: str = "success") -> Callable[[Found], float]:
    return lambda found: found[one].outcome(outcome) - found[other].outcome(outcome)


def _ratio(one: str, other: str, outcome: str) -> Callable[[Found], float]:
    return lambda found: found[one].outcome(outcome) / found[other].outcome(outcome)


def _figure(found: Mapping[tuple[str, int], Measurement], sizes: Sequence[int]) -> Figure:
    """Success by the number of tools."""
    drawn: list[Series] = []
    for arm in ARMS:
        of = [one for (name, _), one in found.items() if name == arm]
        if of:
            means = [float(np.mean([m.outcome(f"success_{n}") for m in of])) for n in sizes]
            x = tuple(float(np.log10(n)) for n in sizes)
            drawn.append(Series(name=arm, x=x, y=tuple(means)))
    return Figure(
        title="Success by the number of tools",
        svg=lines(drawn, title="Share of tasks done", unit="log10 of the number of tools"),
        caption=f"{', '.join(map(str, sizes))} tools, of which a task needs two to five. Means "
        "over seeds.",
    )


def claim(quick: bool = False) -> Claim:
    """What the two controllers are worth, their tokens counted."""
    scale = QUICK if quick else Scale()
    largest = scale.sizes[-1]
    step = 1 / (scale.tasks * len(HOPS) * len(scale.sizes))
    of = "success rate"
    return Claim(
        system="poact",
        title="PoAct: control of how an agent reasons and of which tools it sees",
        statement=(
            "A code-acting agent whose stages are controlled and whose list of tools is rewritten "
            "and path reviewed does more tasks than one with either controller, and that more than "
            "one with neither; it loses less as tools become many; it takes fewer tokens for each "
            "task done, the reviewer's included; and acting by programs takes fewer steps than "
            "acting by calls."
        ),
        source="arXiv 2501.07054. No code was published; its results are about 20 points on "
        "LegalAgentBench with GPT-4o, GLM-4 and Qwen-2.5.",
        world=f"{', '.join(map(str, scale.sizes))} typed tools that make a thing of one kind out "
        "of a thing of another; tasks that need two, four or five of them, at most "
        f"{MOST_STEPS} steps. A description calls a kind by a second name with {OTHER_NAME:.0%}, "
        "so that retrieval by words misses. Protocol claim: the model is scripted. It reads its "
        "prompt only and knows "
        "what the tools do; it takes the shown tool that looks fittest, where one that fits is 1, "
        f"one with one right kind is {HALF}, and noise has a standard deviation of {NOISE}; under "
        f"{DOUBT} it takes none. A plan's step is wrong with {PLAN_WRONG:.0%}; without a plan it "
        f"strays with {WANDER:.0%} for each step that is still to come; a wrong choice is repeated "
        f"with {REPEAT:.0%}, after a thought with {REPEAT_THOUGHT:.0%}; the reviewer sees "
        f"{CAUGHT:.0%} of what is off and {ALARM:.0%} of what is not. That plans, thoughts and "
        "reviews help a model at all is assumed in these rates; how much is left of it when "
        "retrieval misses, lists are long and everything is counted is what is measured",
        arms={
            PLAIN: "all tools are shown, every reply is a program",
            POLICY: "policy controller: plan first, think after a failure; all tools are shown",
            ACTION: "action controller: tools retrieved, path reviewed; no plan and no thought",
            BOTH: "PoAct",
            UNREVIEWED: "PoAct without its reviewer",
            LOT: "control: as many tools as PoAct shows, drawn by lot",
            CALLS: "PoAct that acts by calls, one a step",
        },
        controls={
            "the right tool is always retrieved": "nothing is added to what the words find; how "
            "often the right tool is shown is measured",
            "unlimited retries": f"{MOST_STEPS} steps for all arms; at most 3 plans, 3 rollbacks, "
            "2 searches and 2 repairs",
            "the reviewer is not counted": "its tokens are in every sum, and shown by themselves",
            "a shorter list helps by itself": "as many tools by lot",
            "unsafe interpreter": "programs run in a sandbox, checked before they run",
        },
        hypotheses=(
            Hypothesis(
                name="both beat neither",
                statement=f"With {largest} tools both controllers do more tasks than neither by "
                "more than 0.1",
                value=_more(BOTH, PLAIN, f"success_{largest}"),
                direction="greater",
                threshold=0.1,
                unit=of,
                resolution=step * len(scale.sizes),
            ),
            Hypothesis(
                name="both beat action only",
                statement="Both controllers do more tasks than the action controller alone",
                value=_more(BOTH, ACTION),
                direction="greater",
                threshold=0.0,
                unit=of,
                resolution=step,
            ),
            Hypothesis(
                name="action beats policy",
                statement="The action controller alone does more than the policy controller alone",
                value=_more(ACTION, POLICY),
                direction="greater",
                threshold=0.0,
                unit=of,
                resolution=step,
            ),
            Hypothesis(
                name="policy beats neither",
                statement="The policy controller alone does more than neither",
                value=_more(POLICY, PLAIN),
                direction="greater",
                threshold=0.0,
                unit=of,
                resolution=step,
            ),
            Hypothesis(
                name="less is lost",
                statement=f"From {scale.sizes[0]} to {largest} tools both lose less than neither",
                value=_more(BOTH, PLAIN, "drop"),
                direction="less",
                threshold=0.0,
                unit=of,
                resolution=step * len(scale.sizes),
            ),
            Hypothesis(
                name="fewer tokens",
                statement=f"With {largest} tools a task done takes less than 0.7 of the tokens, "
                "the reviewer's included",
                value=_ratio(BOTH, PLAIN, f"tokens_per_solved_{largest}"),
                direction="less",
                threshold=0.7,
                unit="of the tokens",
            ),
            Hypothesis(
                name="programs take fewer steps",
                statement="A task done takes less than 0.8 of the steps that calls take",
                value=_ratio(BOTH, CALLS, "steps_per_solved"),
                direction="less",
                threshold=0.8,
                unit="of the steps",
            ),
            Hypothesis(
                name="it is retrieval",
                statement="Both do more with retrieved tools than with as many by lot, by more "
                "than 0.1",
                value=_more(BOTH, LOT),
                direction="greater",
                threshold=0.1,
                unit=of,
                resolution=step,
            ),
            Hypothesis(
                name="retrieval misses",
                statement="The right tool is in fewer than 98 % of the first lists",
                value=lambda found: found[BOTH].outcome("gold_shown"),
                direction="less",
                threshold=0.98,
                unit="of the lists",
                primary=False,
            ),
            Hypothesis(
                name="the reviewer pays",
                statement="Both do more tasks with the reviewer than without",
                value=_more(BOTH, UNREVIEWED),
                direction="greater",
                threshold=0.0,
                unit=of,
                primary=False,
                resolution=step,
            ),
        ),
        seeds=scale.seeds,
        figures=lambda found: [_figure(found, scale.sizes)],
        budget=f"{scale.tasks} tasks of each length in each size and seed, the same for all arms; "
        f"{MOST_STEPS} steps a task",
        measure=lambda arm, seed, directory, shared: measure(arm, seed, scale),
        parts={
            "planner": "enactive.policies.agents.poact",
            "retrieval": "enactive.policies.agents.retrieval (BM25)",
            "programs": "enactive.worlds.code_world",
        },
        not_tried=(
            "language models: how much a plan, a thought or a review helps one is assumed",
            "retrieval by embeddings, and of examples",
            "a policy controller that a model decides",
            "tools with effects, whose steps cannot be rolled back by forgetting them",
        ),
        scale_note="The paper's tasks are legal questions answered by large models. Here tools and "
        "tasks are generated and the model is a script, so that the two controllers are measured "
        "by themselves.",
    )
