"""MetaAgent: lessons and a store that are carried from task to task, in a strict stream.

MetaAgent (qhjqhj00/MetaAgent at c90d6dd) rewrites a short text of lessons after each task and keeps
what it retrieved in a store of its own. Here every task is scored before anything is learnt from
it. :mod:`enactive.systems.metaagent_stream` has the tasks and the scripted models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from enactive.evaluation.claims.claim import Claim, Figure, Hypothesis, Measurement
from enactive.evaluation.report.svg import Series, lines
from enactive.observations import Task
from enactive.policies.agents.experience import Experience, Outcome, learn
from enactive.policies.agents.metaagent import MetaAgent
from enactive.systems.agent_episodes import play
from enactive.systems.metaagent_stream import (
    ALARM,
    CAUGHT,
    ERRANDS,
    FAMILIES,
    FORGOTTEN,
    GOSSIP,
    MISROUTED,
    MISUNDERSTOOD,
    SLIP,
    UNDERSTOOD,
    model,
)
from enactive.worlds.workspace.world import Workspace, problem_of

NEITHER = "neither"
BOTH = "lessons and store"
LESSONS = "lessons"
STORE = "store"
SHUFFLED = "shuffled lessons and store"
EARLY = "lessons before the score"

FIRST = 30
"""Tasks from the beginning that are there to learn from."""
MOST_WORDS = 400
BLOCK = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What one arm carries on."""

    lessons: bool = False
    store: bool = False
    shuffled: bool = False
    early: bool = False


ARMS: Mapping[str, Arm] = {
    NEITHER: Arm(),
    BOTH: Arm(lessons=True, store=True),
    LESSONS: Arm(lessons=True),
    STORE: Arm(store=True),
    SHUFFLED: Arm(lessons=True, store=True, shuffled=True),
    EARLY: Arm(lessons=True, early=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much is run."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    tasks: int = 100


QUICK = Scale(seeds=(0,), tasks=40)


def shuffled(lessons: str) -> str:
    """Lessons about each tool said of the next one."""
    names = [family.tool for family in FAMILIES]
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    said: list[str] = []
    for line in lessons.splitlines():
        tool, colon, rest = line.partition(":")
        said.append(f"{following.get(tool, tool)}{colon}{rest}")
    return "\n".join(said)


def shown(arm: Arm, experience: Experience) -> Experience:
    """What an arm's planner is given of what was learnt."""
    lessons = experience.lessons if arm.lessons else ""
    return replace(experience, lessons=shuffled(lessons) if arm.shuffled else lessons)


def measure(arm: str, seed: int, scale: Scale) -> Measurement:
    """One stream: the same tasks in the same order for all arms of a seed."""
    made = ARMS[arm]
    world = Workspace.Config(
        domains=("enactive.systems.metaagent_stream:ERRANDS",), privileged=False
    ).build()
    speaker = model(seed)
    config = MetaAgent.Config(use_store=made.store)
    experience = Experience()
    success: list[float] = []
    external: list[int] = []
    words = specific = refused = unrouted = tokens = learning = 0
    for number in range(scale.tasks):
        name, start = "errands-1", 1000 * seed + number
        task = Task(name=name, instruction="")
        for again in range(2 if made.early else 1):
            planner = config.build(speaker, world.spec.accepts, experience=shown(made, experience))
            played = play(world, planner, task, start)
            memory = played.memory
            scored = not made.early or again == 1
            if scored:
                success.append(float(played.success))
                external.append(memory.external)
                refused += bool(memory.answers)
                unrouted += memory.unrouted
                tokens += played.cost.tokens + played.cost.prompt_tokens
            if not made.early or again == 0:
                truth = problem_of(name, start, ERRANDS).solution[-1]["arguments"]["text"]
                outcome = Outcome(
                    task=memory.task, trace="\n".join(memory.trace), given=memory.given,
                    success=played.success, truth=truth,
                )  # fmt: skip
                experience, cost = learn(
                    experience, outcome, speaker, memory.retrieved, most_words=MOST_WORDS
                )
                learning += cost.tokens + cost.prompt_tokens
        words = max(words, experience.words)
        specific += "'" in experience.lessons  # names of articles stand in quotes
    late = slice(min(FIRST, scale.tasks - 1), None)
    outcomes = {
        "success_first": float(np.mean(success[:FIRST])),
        "success_later": float(np.mean(success[late])),
        "success": float(np.mean(success)),
        "external_calls": float(np.mean(external)),
        "most_words": float(words),
        "tasks_with_specific_lessons": float(specific),
        "answers_refused": refused / scale.tasks,
        "not_routed": unrouted / scale.tasks,
        "tokens_per_task": tokens / scale.tasks,
        "learning_tokens_per_task": learning / scale.tasks,
    }
    return Measurement(
        outcomes=outcomes, episodes={"success": success}, cost={"episodes": float(scale.tasks)}
    )


def _figure(found: Mapping[tuple[str, int], Measurement]) -> Figure:
    """Success along the stream."""
    drawn: list[Series] = []
    for arm in ARMS:
        rows = [one.episodes["success"] for (name, _), one in found.items() if name == arm]
        if rows:
            means = np.asarray(rows, np.float64).mean(axis=0)
            blocks = means[: len(means) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1)
            x = tuple(float(BLOCK * (place + 0.5)) for place in range(len(blocks)))
            drawn.append(Series(name=arm, x=x, y=tuple(blocks.tolist())))
    return Figure(
        title="Success along the stream",
        svg=lines(drawn, title=f"Share of {BLOCK} tasks done", unit="task"),
        caption="Means over seeds.",
    )


def claim(quick: bool = False) -> Claim:
    """What lessons and a store are worth where tools mislead in the same ways again and again."""
    scale = QUICK if quick else Scale()

    def run(arm: str, seed: int, directory: Path, shared: Path) -> Measurement:
        return measure(arm, seed, scale)

    later = "success_later"
    of = "success rate"
    step = 1 / max(scale.tasks - FIRST, 1)
    return Claim(
        system="metaagent",
        title="MetaAgent: lessons carried forward, and a store of one's own",
        statement=(
            f"In a stream of {scale.tasks} tasks with recurring pitfalls of tools, each scored "
            f"before it is learnt from, an agent that carries lessons succeeds more often after "
            f"the first {FIRST} than one that does not; lessons that are said of the wrong tools "
            "win nothing; and a store of what was retrieved saves at least 40 % of the calls to "
            "the outside at equal success."
        ),
        source="MetaAgent, qhjqhj00/MetaAgent at c90d6dd: its graph, its lessons of at most 400 "
        "words and its store. Its results are on GAIA, WebWalkerQA and BrowseComp.",
        world="Errands: one fact about one of 40 articles, asked for as often as one over their "
        "rank. The article's code stands on a page outside; one of eight tools tells the fact, and "
        "four of them mislead, always in the same way. Protocol claim: the models are scripted. "
        f"They see their prompts only; {SLIP:.0%} of the answers are miscalculated, reflection "
        f"catches {CAUGHT:.0%} of these and refuses {ALARM:.0%} of the others, {MISROUTED:.0%} of "
        f"the routes are none, {UNDERSTOOD:.0%} of the wrong answers give a lesson, of which "
        f"{MISUNDERSTOOD:.0%} are wrong; each rewriting loses a lesson with {FORGOTTEN:.0%} and "
        f"gossips about its task with {GOSSIP:.0%}. That lessons are understood when they are "
        "read is assumed and not shown",
        arms={
            NEITHER: "nothing is carried on",
            BOTH: "MetaAgent: lessons and a store",
            LESSONS: "lessons only",
            STORE: "the store only",
            SHUFFLED: "the store, and the lessons that it learnt, each said of the next tool",
            EARLY: "the trap: lessons only, learnt from each task before it is scored",
        },
        controls={
            "scored on what was learnt": "a task is scored before it is learnt from; the arm that "
            "does it the other way round shows what that would have been worth",
            "more text in the prompt helps by itself": "shuffled lessons are as long",
            "a store that is filled beforehand": "it begins empty and takes what was retrieved",
            "lessons that become task-specific": "lines that name something of their task are "
            "dropped by the code, and counted",
            "lessons without bound": f"cut at {MOST_WORDS} words",
            "router's output evaluated": "read as JSON and checked; misrouted replies here are "
            "code that would end the process",
            "reflection that never fires": "its refusals are counted",
            "less compute for one arm": "15 turns an episode for all",
        },
        hypotheses=(
            Hypothesis(
                name="lessons help",
                statement=f"After the first {FIRST} tasks lessons and store succeed more often "
                "than neither by more than 0.1",
                value=lambda found: found[BOTH].outcome(later) - found[NEITHER].outcome(later),
                direction="greater",
                threshold=0.1,
                unit=of,
                resolution=step,
            ),
            Hypothesis(
                name="shuffled lessons do not",
                statement="Lessons said of the wrong tools win less than 0.05",
                value=lambda found: found[SHUFFLED].outcome(later) - found[NEITHER].outcome(later),
                direction="less",
                threshold=0.05,
                unit=of,
                resolution=step,
            ),
            Hypothesis(
                name="the store saves calls",
                statement="The store saves at least 40 % of the calls to the outside",
                value=lambda found: (
                    1
                    - found[STORE].outcome("external_calls")
                    / found[NEITHER].outcome("external_calls")
                ),
                direction="greater",
                threshold=0.4,
                unit="of the calls",
            ),
            Hypothesis(
                name="at equal success",
                statement="Success with and without the store differs by less than 0.05",
                value=lambda found: abs(
                    found[STORE].outcome("success") - found[NEITHER].outcome("success")
                ),
                direction="less",
                threshold=0.05,
                unit=of,
                resolution=1 / scale.tasks,
            ),
            Hypothesis(
                name="short and general",
                statement=f"Lessons never exceed {MOST_WORDS} words nor name an article",
                value=lambda found: max(
                    one.outcome("most_words") / MOST_WORDS
                    + one.outcome("tasks_with_specific_lessons")
                    for one in found.values()
                ),
                direction="less",
                threshold=1.0,
                unit="of the bound",
                exact=True,
            ),
            Hypothesis(
                name="learning before the score flatters",
                statement=f"Learning from a task before it is scored adds more than 0.05 in the "
                f"first {FIRST} tasks",
                value=lambda found: (
                    found[EARLY].outcome("success_first") - found[LESSONS].outcome("success_first")
                ),
                direction="greater",
                threshold=0.05,
                unit=of,
                primary=False,
                resolution=1 / FIRST,
            ),
            Hypothesis(
                name="reflection fires",
                statement="Reflection refuses an answer in more than 1 % of the tasks",
                value=lambda found: found[BOTH].outcome("answers_refused"),
                direction="greater",
                threshold=0.01,
                unit="of the tasks",
                primary=False,
            ),
        ),
        seeds=scale.seeds,
        figures=lambda found: [_figure(found)],
        budget=f"{scale.tasks} tasks a seed, the same in the same order for all arms; 15 turns of "
        "the reasoner each",
        measure=run,
        parts={
            "planner": "enactive.policies.agents.metaagent",
            "lessons": "enactive.policies.agents.experience",
            "store": "enactive.policies.agents.store",
        },
        earlier_runs=(
            "One other seed (100) was looked at after the thresholds were written; they and the "
            "rest of the claim stayed as they were. A full run had the outcomes of this one, to "
            "the bit.",
        ),
        not_tried=(
            "language models: whether one draws a lesson, and heeds it, is assumed at fixed rates",
            "tasks without a truth to learn from",
            "streams whose pitfalls change",
            "dense retrieval in the store",
        ),
        scale_note="The paper's tasks are questions on the open web, answered by a model of 32 "
        "billion parameters; here the stream is generated and the models are scripts, so that "
        "order, lessons and store are measured by themselves.",
    )
