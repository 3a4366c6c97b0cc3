"""MetaAgent: routes are checked and never evaluated, lessons come after the score."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.toolbox import CallContext
from enactive.actions.tools import Call, Returned
from enactive.models.language_models.language_model import Completion, Request
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Task
from enactive.policies.agents.experience import (
    LESSONS_ROLE,
    Experience,
    Outcome,
    bounded,
    general,
    learn,
)
from enactive.policies.agents.metaagent import (
    REASONER,
    REFLECTOR,
    ROUTER,
    MetaAgent,
    MetaAgentMemory,
    NoRoute,
    route,
)
from enactive.policies.agents.store import Store
from enactive.systems.agent_episodes import play
from enactive.systems.metaagent import ARMS, BOTH, Scale, measure, shuffled
from enactive.systems.metaagent_stream import FAMILIES, model
from enactive.worlds.tool_world import call_in_order
from enactive.worlds.workspace.world import Workspace

WORLD = Workspace.Config(domains=("units",))
TOOLS = WORLD.build().toolbox.tools
TASK = Task(name="units-1", instruction="How many metres are 2 kilometres?")


def roles(**say: list[str]) -> Scripted:
    """A model that says, in each role, one thing after the other and then the last again."""
    said = {name: 0 for name in say}
    names = {REASONER: "reason", ROUTER: "route", REFLECTOR: "reflect", LESSONS_ROLE: "lessons"}

    def answer(request: Request) -> Completion | str:
        role = next(n for r, n in names.items() if request.messages[0].content.startswith(r))
        text = say[role][min(said[role], len(say[role]) - 1)]
        said[role] += 1
        return text

    return Scripted(name="roles", answer=answer)


ROUTE = json.dumps(
    {"tool": "convert", "inputs": [{"value": 2, "unit": "kilometre", "to": "metre"}]}
)
CORRECT = json.dumps({"verdict": "correct", "answer": "2000", "critique": ""})
WRONG = json.dumps({"verdict": "incorrect", "answer": "", "critique": "look again"})


def memory_of(model: Scripted, **config: Any) -> MetaAgentMemory:
    world = WORLD.build()
    agent = MetaAgent.Config(**config).build(model, world.spec.accepts)
    memory = play(world, agent, TASK, 0).memory
    assert isinstance(memory, MetaAgentMemory)
    return memory


def test_help_is_routed_and_comes_back_as_evidence() -> None:
    said = roles(reason=["<help>2 km in m", "so <answer>2000 m"], route=[ROUTE], reflect=[CORRECT])
    memory = memory_of(said)
    assert memory.given == "2000" and memory.statuses == 2
    assert any("<evidence" in block and "2000.0" in block for block in memory.trace)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("__import__('os').abort()", "no JSON"),
        ("{'tool': 'convert', 'inputs': 1}", "no JSON"),
        ('["convert"]', "'tool' and 'inputs'"),
        ('{"tool": "convert"}', "'tool' and 'inputs'"),
        ('{"tool": "shell", "inputs": [{}]}', "no tool is called 'shell'"),
        ('{"tool": "convert", "inputs": []}', "1 to 3"),
        ('{"tool": "convert", "inputs": [1]}', r"inputs\[0\]"),
        ('{"tool": "convert", "inputs": [{"value": "2"}]}', r"inputs\[0\]: arguments"),
    ],
)
def test_a_route_is_checked_and_never_evaluated(reply: str, why: str) -> None:
    with pytest.raises(NoRoute, match=why):
        route(reply, TOOLS, 3)


@given(st.text(max_size=60))
def test_any_reply_is_a_route_or_refused(reply: str) -> None:
    with pytest.raises(NoRoute):
        route(reply, TOOLS, 3)


def test_a_reply_that_is_no_route_is_told_and_asked_again() -> None:
    said = roles(
        reason=["<help>2 km in m", "<help>2 km in m", "<answer>2000"],
        route=["exit()", ROUTE],
        reflect=[CORRECT],
    )
    memory = memory_of(said)
    assert memory.unrouted == 1 and memory.given == "2000"
    assert any("could not be routed" in block for block in memory.trace)
    assert "not routed" in memory.used[0]


def test_a_refused_answer_begins_again_with_the_critique() -> None:
    said = roles(reason=["<answer>1", "<answer>2000"], route=[ROUTE], reflect=[WRONG, CORRECT])
    memory = memory_of(said)
    assert memory.answers == ("1",) and memory.given == "2000"
    assert "look again" in memory.trace[0]


def test_after_too_many_refusals_an_earlier_answer_is_given() -> None:
    said = roles(reason=["<answer>1", "<answer>2", "<answer>3"], route=[ROUTE], reflect=[WRONG])
    memory = memory_of(said, max_rounds=2)
    assert memory.given in ("1", "2", "3") and len(memory.answers) == 2


def test_an_agent_that_never_answers_is_stopped() -> None:
    assert memory_of(roles(reason=["hm"], route=[ROUTE], reflect=[CORRECT])).statuses == 15
    long = roles(reason=["hm" * 400], route=[ROUTE], reflect=[CORRECT])
    assert memory_of(long, max_characters=3000).statuses < 6


def test_several_inputs_are_called_together() -> None:
    both = json.dumps({"tool": "calculate", "inputs": [{"expression": "1"}, {"expression": "2"}]})
    said = roles(reason=["<help>both", "<answer>3"], route=[both], reflect=[CORRECT])
    memory = memory_of(said)
    assert '"results"' in "\n".join(memory.trace)


def test_experience_is_given_and_not_changed_by_episodes() -> None:
    """State that leaks from one run into another is a known defect of agent frameworks."""
    world = WORLD.build()
    said = roles(reason=["<answer>2000"], route=[ROUTE], reflect=[CORRECT])
    given = Experience(lessons="convert: mind the units", store=Store(("a page",)))
    agent = MetaAgent.Config().build(said, world.spec.accepts, experience=given)
    before = json.dumps(agent.describe())
    play(world, agent, TASK, 0)
    assert agent.experience is given and json.dumps(agent.describe()) == before


def test_lessons_are_learnt_after_the_score_and_stay_general_and_short() -> None:
    said = roles(
        lessons=[
            "convert: it wants singular names\nThe 'tall lamp' has K17\nAsk Mira first\n"
            + "\n".join(f"rule number {'x' * n} is long" for n in range(200))
        ]
    )
    outcome = Outcome(
        task="How much does the 'tall lamp' of Mira cost?", trace="", given="1", success=False
    )
    after, cost = learn(Experience(), outcome, said, ["a page", "a page"], most_words=50)
    assert after.lessons.startswith("convert: it wants singular names\nrule")
    assert after.words <= 50 and after.tasks == 1 and cost.prompt_tokens > 0
    assert after.store.texts == ("a page",)


@given(st.text(max_size=200), st.integers(1, 20))
def test_lessons_are_cut_to_their_bound(text: str, most: int) -> None:
    assert len(bounded(text, most).split()) <= most
    assert bounded(text, 10**6).split() == text.split()


def test_general_drops_names_and_numbers_of_the_task() -> None:
    task = "Find the doctor of Arvo Lind in room 12."
    assert general("Arvo is ill\nroom 12 is far\nsearch by name\nFind it", task) == (
        "search by name\nFind it"
    )


@given(st.lists(st.text(alphabet="abc ", max_size=8), max_size=12), st.integers(1, 5))
def test_a_store_keeps_the_newest_and_nothing_twice(texts: list[str], most: int) -> None:
    store = Store(most=most)
    for text in texts:
        after = store.add([text])
        assert after.add([text]) == after
        store = after
    assert len(store.texts) <= most and len(set(store.texts)) == len(store.texts)
    assert all(text.strip() for text in store.texts)


def test_a_store_is_a_tool() -> None:
    bound = Store(("the tall lamp has the code K17", "the desk is round")).tool()
    call = Call(tool="recall", arguments={"query": "tall lamp"})
    world = WORLD.build()
    box = world.toolbox.with_tools(bound)
    (result,) = call_in_order(box, (call,), "0")
    assert isinstance(result, Returned)
    assert result.value == {"found": ["the tall lamp has the code K17"]}
    assert bound.start(call, CallContext(path="0", key="0")) == result.value


def test_shuffled_lessons_are_the_same_words_about_other_tools() -> None:
    lessons = "\n".join(f"{family.tool}: do something." for family in FAMILIES)
    assert shuffled(lessons) != lessons
    assert sorted(shuffled(lessons).split()) == sorted(lessons.split())


def test_the_stream_scores_before_it_learns_and_the_store_saves_calls() -> None:
    scale = Scale(seeds=(0,), tasks=25)
    found = {arm: measure(arm, 50, scale) for arm in ("neither", BOTH)}
    # The first task of all is done with nothing learnt, so alike.
    firsts = {measured.episodes["success"][0] for measured in found.values()}
    assert len(firsts) == 1
    calls = [found[arm].outcome("external_calls") for arm in (BOTH, "neither")]
    assert calls[0] < calls[1]
    assert measure(BOTH, 50, scale) == found[BOTH]
    assert set(ARMS) >= set(found) and model(0).describe()["seed"] == 0


def test_what_it_cannot_act_in_is_refused() -> None:
    world = WORLD.build()
    recall = Store().tool().tool
    box = world.toolbox.space(1)
    clash = type(box)(tools=(*box.tools, recall))
    with pytest.raises(ValueError, match="recall"):
        MetaAgent.Config().build(roles(), clash)
    with pytest.raises(ValueError, match="no tool ends"):
        MetaAgent.Config().build(roles(), type(box)(tools=(recall,)))
