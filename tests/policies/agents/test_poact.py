"""PoAct's two controllers, and the tools and the scripted model of its claim."""

from __future__ import annotations

import pytest

from enactive.actions.tools import ToolSpace
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Observation, Task
from enactive.policies.agents.poact import PoAct
from enactive.systems.agent_episodes import play
from enactive.systems.poact import ARMS, BOTH, LOT, ByLot, Scale, measure, planner, worlds
from enactive.systems.poact_model import Proposer
from enactive.systems.poact_tools import HOPS, SIZES, catalogue
from enactive.worlds.workspace.world import problem_of

TASK = Task(name="tools50-1", instruction="")


class Stages:
    """A model that answers each stage with what it is told to, in order, and notes the stages."""

    def __init__(self, **replies: list[str]) -> None:
        self.replies = replies
        self.stages: list[str] = []
        self.asked: list[Request] = []
        self.model = Scripted(name="stages", answer=self._next)

    def _next(self, request: Request) -> str:
        stage = request.messages[-1].content.split("Stage: ")[1].split(".")[0]
        self.stages.append(stage)
        self.asked.append(request)
        replies = self.replies[stage]
        return replies.pop(0) if len(replies) > 1 else replies[0]


def call(name: str) -> str:
    return f'{{"tool": "{name}", "arguments": {{"thing": "x:1"}}}}'


SPACE = worlds(50, code=False).spec.accepts
assert isinstance(SPACE, ToolSpace)
NAMES = [tool.name for tool in SPACE.tools]


def decide(policy: PoAct, texts: list[str]) -> list[object]:
    """Actions on what the world says in turn."""
    memory, actions = policy.begin(Task(name="t", instruction="Make it"), 0), []
    for text in texts:
        decision = policy.act([Observation(text=text)], [memory])[0]
        memory = decision.memory
        actions.append(decision.action)
    return actions


def test_it_plans_first_thinks_after_a_failure_and_plans_again_after_two() -> None:
    replies = Stages(plan=["1. Turn the a into a b."], think=["hm"], act=[call(NAMES[0])])
    policy = PoAct.Config(review=False, retrieval=False).build(replies.model, SPACE)
    failure = '{"failure": {"kind": "error", "message": "no", "where": ""}}'
    decide(policy, ["", '{"value": 1}', failure, failure])
    assert replies.stages == ["plan", "act", "act", "think", "act", "plan", "act"]
    bare = PoAct.Config(policy_controller=False, review=False, retrieval=False)
    replies.stages.clear()
    decide(bare.build(replies.model, SPACE), ["", failure])
    assert replies.stages == ["act", "act"]


def test_the_list_of_tools_is_rewritten_for_the_next_step_of_the_plan() -> None:
    made = catalogue(50)
    maker = made.makers[NAMES[7]]
    words = made.descriptions[maker.name]
    replies = Stages(plan=[f"1. {words}"], act=[call(maker.name)])
    policy = PoAct.Config(review=False, shown_each=4).build(replies.model, SPACE)
    decide(policy, [""])
    shown = replies.asked[-1].messages[0].content
    assert f"{maker.name}(" in shown and "answer(" in shown
    assert shown.count("(thing: string)") == 4


def test_other_tools_can_be_asked_for_so_often_and_no_more() -> None:
    wanted = catalogue(50).descriptions[NAMES[9]]
    replies = Stages(plan=["1. Do something."], act=[f"NEED: {wanted}", call(NAMES[9])])
    policy = PoAct.Config(review=False, shown_each=3).build(replies.model, SPACE)
    (action,) = decide(policy, [""])
    assert action == {"tool": NAMES[9], "arguments": {"thing": "x:1"}}
    endless = Stages(plan=["1. Do something."], act=["NEED: more"])
    policy = PoAct.Config(review=False, searches=2, repairs=1).build(endless.model, SPACE)
    (action,) = decide(policy, [""])
    assert endless.stages.count("act") == 4  # two searches, then two replies that are no call
    assert isinstance(action, dict) and action["tool"] == "answer"


def test_a_rollback_takes_steps_out_of_what_is_read_and_is_bounded() -> None:
    replies = Stages(plan=["1. Do it."], think=["hm"], act=[call(NAMES[0])],
                     review=["rollback 1: bad"])  # fmt: skip
    policy = PoAct.Config(rollbacks=2, retrieval=False).build(replies.model, SPACE)
    seen = [""] + ['{"failure": {"kind": "error", "message": "marked", "where": ""}}'] * 5
    decide(policy, seen)
    acts = [r for r, s in zip(replies.asked, replies.stages, strict=True) if s == "act"]
    kept = [sum(m.role == "assistant" for m in request.messages) for request in acts]
    assert kept == [0, 0, 0, 1, 2, 3]
    assert "taken back" in acts[1].messages[-2].content


def test_the_reviewers_tokens_are_in_the_cost() -> None:
    replies = Stages(plan=["1. Do it."], act=[call(NAMES[0])], review=["continue"])
    costs: list[int] = []
    for review in (True, False):
        policy = PoAct.Config(review=review, retrieval=False).build(replies.model, SPACE)
        memory = policy.begin(Task(name="t", instruction="Make it"), 0)
        total = 0
        for text in ("", '{"value": 1}', '{"value": 2}', '{"value": 3}'):
            decision = policy.act([Observation(text=text)], [memory])[0]
            memory, total = decision.memory, total + decision.cost.prompt_tokens
        costs.append(total)
    assert "review" in replies.stages and costs[0] > costs[1]


# ------------------------------------------------------------------------- the claim's parts


@pytest.mark.parametrize("size", SIZES)
def test_tasks_can_be_done_and_wrong_answers_are_seen(size: int) -> None:
    world = worlds(size, code=False)
    for level, hops in enumerate(HOPS, start=1):
        name = f"tools{size}-{level}"
        problem = problem_of(name, 3, *_domain(size))
        assert len(problem.solution) == hops + 1
        world.reset(Task(name=name, instruction=""), 3)
        step = [world.step(action) for action in problem.solution][-1]
        assert step.success
        assert problem.judge({}, "nothing:3") and problem.judge({}, "")


def _domain(size: int) -> tuple[object, ...]:
    import enactive.systems.poact_tools as tools

    return (getattr(tools, f"TOOLS_{size}"),)


def test_catalogues_are_the_same_every_time_and_every_kind_is_reached() -> None:
    catalogue.cache_clear()
    one = catalogue(50)
    catalogue.cache_clear()
    assert one == catalogue(50)
    kinds = {maker.takes for maker in one.makers.values()}
    assert all(one.route(a, b) for a in kinds for b in sorted(kinds)[:3] if a != b)
    pairs = [(maker.takes, maker.gives) for maker in one.makers.values()]
    assert len(set(pairs)) == len(pairs) == 50


def test_the_model_follows_from_its_prompt() -> None:
    world = worlds(50, code=False)
    played = []
    for _ in range(2):
        proposer = Proposer(made=catalogue(50), seed=5)
        policy = planner(ARMS[BOTH], Scripted(name="p", answer=proposer), world.spec.accepts)
        played.append((play(world, policy, TASK, 5), dict(proposer.tokens)))
    (one, tokens), (two, others) = played
    assert (one.steps, one.cost, one.memory) == (two.steps, two.cost, two.memory)
    counted = sum(tokens.values())
    assert (
        tokens == others
        and abs(counted - one.cost.tokens - one.cost.prompt_tokens) < 20 * one.steps
    )


def test_by_lot_shows_as_many_tools_and_not_always_the_right_ones() -> None:
    replies = Stages(plan=["1. Do it."], act=[call(NAMES[0])])
    model, memory = replies.model, PoAct.Config().build(replies.model, SPACE).begin(TASK, 3)
    real, drawn = PoAct.Config().build(model, SPACE), ByLot(PoAct.Config(), model, SPACE)
    assert len(real.tools(memory)) == len(drawn.tools(memory))
    assert real.tools(memory) != drawn.tools(memory) == drawn.tools(memory)
    assert ARMS[LOT].lot


def test_a_unit_is_measured() -> None:
    pytest.importorskip("pydantic_monty")
    found = measure(BOTH, 900, Scale(seeds=(900,), tasks=1, sizes=(10,)))
    assert len(found.episodes["success"]) == 3
    assert 0 < found.outcomes["gold_shown"] <= 1 and found.outcomes["review_share_of_tokens"] < 1
