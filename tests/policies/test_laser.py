"""Laser: its language has one reading, and its planner acts in the real workspace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.spaces import VectorSpace
from enactive.actions.tools import Call
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.observations import Task
from enactive.policies.agents.laser import Laser, LaserMemory
from enactive.policies.agents.laser_grammar import VERBS, Act, NoAct, parse
from enactive.systems.agent_episodes import Meter, play
from enactive.worlds.pusht import ACTION_SPACE
from enactive.worlds.workspace.world import Workspace

SPACE = Workspace.Config(domains=("search",)).build().toolbox.space(1)
ID = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)
WORDS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9 ,.']{0,20}[A-Za-z0-9])?", fullmatch=True)
QUERY = st.text(min_size=1, max_size=30)
CALLS = st.builds(
    lambda query: Call(tool="search_documents", arguments={"query": query}), query=QUERY
)
ACTS = st.one_of(
    st.builds(
        lambda goals: Act(verb="PLAN", goals=tuple(goals)),
        st.lists(st.tuples(ID, WORDS), min_size=1, max_size=4, unique_by=lambda goal: goal[0]),
    ),
    st.builds(Act, verb=st.sampled_from(["REVISE", "DROP", "DOUBT"]), about=ID, text=WORDS),
    st.builds(Act, verb=st.sampled_from(["CALL", "CHECK"]), about=ID, call=CALLS),
    st.builds(Act, verb=st.just("CONCLUDE"), about=ID, text=WORDS, evidence=WORDS),
    st.builds(Act, verb=st.sampled_from(["ANSWER", "NOTE"]), text=WORDS),
)


@given(ACTS)
def test_what_is_written_is_read(act: Act) -> None:
    written = str(act)
    if "\n" not in written and len(written.splitlines()) == 1:
        assert parse(written, SPACE) == act
        assert act.family in ("planning", "task-solving", "retrospection")


@given(st.text(max_size=80))
def test_a_reply_is_read_or_refused(reply: str) -> None:
    try:
        assert parse(reply, SPACE).verb in VERBS
    except NoAct as problem:
        assert str(problem)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "one line"),
        ("ANSWER: a\nANSWER: b", "has 2"),
        ("ANSWER a", "VERB"),
        ("GUESS: a", "no verb 'GUESS'"),
        ("CALL: search_documents {}", "needs the id"),
        ("ANSWER q1: x", "about no sub-question"),
        ("CALL q1: search {}", "no tool is called 'search'"),
        ('CALL q1: search_documents {"query": 1}', "not of type 'string'"),
        ('CALL q1: search_documents {"query": "a"', "no JSON"),
        ("CONCLUDE q1: Mira Thorn", "in parentheses"),
        ("PLAN: find it", "id = sub-question"),
        ("PLAN: a = x | a = y", "twice"),
    ],
)
def test_refusals_say_why(reply: str, why: str) -> None:
    with pytest.raises(NoAct, match=why):
        parse(reply, SPACE)


def scripted(*replies: str) -> Scripted:
    """A model that says one thing after the other; the turn is in the prompt."""

    def answer(request: Request) -> str:
        turn = int(request.messages[-1].content.rpartition("Turn ")[2].split(" ", 1)[0])
        return replies[min(turn, len(replies)) - 1]

    return Scripted(name="script", answer=answer)


def test_it_plans_reads_concludes_and_answers_in_the_workspace() -> None:
    world = Workspace.Config(domains=("search",)).build()
    task = Task(name="search-1", instruction="")
    from enactive.worlds.workspace.world import problem_of

    search, opened, answer = problem_of("search-1", 3).solution
    name = answer["arguments"]["text"]
    model = scripted(
        "PLAN: q1 = what is asked",
        f"CALL q1: search_documents {json.dumps(search['arguments'])}",
        "this is not an action",
        f"CALL q1: open_document {json.dumps(opened['arguments'])}",
        f"CONCLUDE q1: {name} ({opened['arguments']['id']})",
        f"ANSWER: {name}",
    )
    meter = Meter(model)
    played = play(world, Laser.Config().build(meter, world.spec.accepts), task, 3)
    assert played.success and played.steps == 3
    memory = played.memory
    assert isinstance(memory, LaserMemory)
    assert (memory.turn, memory.refused) == (6, 1)
    found = memory.state.goal("q1").answer
    assert found is not None and found.answer == name
    assert played.cost.prompt_tokens == sum(meter.prompts)
    # The page is gone once it was concluded from; what was learnt is not.
    assert "Result: kept above" in memory.state.serialise()


def test_prompts_stay_within_the_window_and_do_not_grow_with_turns() -> None:
    """Replaying the whole memory at every step costs quadratically many tokens elsewhere."""
    world = Workspace.Config(domains=("search",)).build()
    meter = Meter(scripted('CALL q1: search_documents {"query": "the tutor of Arvo Lind"}'))
    policy = Laser.Config(window=400, max_turns=40).build(meter, world.spec.accepts)
    play(world, policy, Task(name="search-8", instruction=""), 0)
    assert len(meter.prompts) == 40 and max(meter.prompts) <= 400
    assert len(set(meter.prompts[2:])) == 1


def test_a_model_that_never_acts_ends_the_episode() -> None:
    world = Workspace.Config(domains=("search",)).build()
    policy = Laser.Config(max_thoughts=3).build(scripted("hm"), world.spec.accepts)
    played = play(world, policy, Task(name="search-1", instruction=""), 0)
    assert played.steps == 1 and not played.success and played.memory.refused == 3


def test_episodes_of_one_policy_do_not_see_each_other() -> None:
    world = Workspace.Config(domains=("search",)).build()
    policy = Laser.Config().build(
        scripted("NOTE: remember the milk", "ANSWER: x"), world.spec.accepts
    )
    seen = world.reset(Task(name="search-1", instruction=""), 0)
    fresh = policy.begin(Task(name="search-1", instruction=""), 0)
    first = policy.act([seen, seen], [fresh, fresh])
    again = policy.act([seen], [policy.begin(Task(name="search-1", instruction=""), 0)])
    assert first[0].memory == first[1].memory == again[0].memory
    assert first[0].chain == again[0].chain and fresh.turn == 0


def test_what_it_cannot_act_in_is_refused() -> None:
    model: Any = scripted("x")
    assert isinstance(ACTION_SPACE, VectorSpace)
    with pytest.raises(ValueError, match="calls tools"):
        Laser.Config().build(model, ACTION_SPACE)
    with pytest.raises(ValueError, match="window"):
        Laser.Config(window=5).build(model, SPACE)
