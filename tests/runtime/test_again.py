"""Resuming, replaying and forking: the same happens again, nothing happens twice."""

import dataclasses
import itertools
import json
import sqlite3

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.ledger_world import LedgerWorld, Office, Script, call, together

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.tokens import ActionToken
from enactive.episodes.action_log import ActionLog, canonical
from enactive.episodes.journal import JournalError
from enactive.models.language_models.language_model import Completion, Message, Request, Usage
from enactive.observations import Task
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.budget import Budget
from enactive.runtime.checks import Verdict
from enactive.runtime.fork import ancestors, fork
from enactive.runtime.recorded import decision_from
from enactive.runtime.records import decision_record, text_delta, text_from
from enactive.runtime.replay import replay
from enactive.runtime.run import resume, run
from enactive.runtime.tape import Diverged

ANSWER = call("answer", text="done")


class Killed(BaseException):
    """Ends a run at a place of our choosing, as a killed process would."""


def agent(world, actions, **settings):
    script = actions if hasattr(actions, "act") else Script(actions)
    return AgentRun(
        world=world, policy=lambda model: script, task=Task(name="pay", instruction="pay"),
        seed=3, **settings,
    )  # fmt: skip


ACTIONS = [
    call("pay", name="ann", amount=4),
    call("time"),
    together(call("send", letter="one"), call("balance", name="ann"), call("send", letter="two")),
    call("balance", name="nobody"),
    call("shout", word="hey"),
    call("nonsense"),
    together(call("pay", name="bob", amount=1), {"id": "b", **call("time"), "after": ["0"]}),
    ANSWER,
]


def recorded(tmp_path, actions=ACTIONS, office=None, id="e"):
    with ActionLog(tmp_path / "actions.sqlite") as log:
        anyio.run(run, agent(LedgerWorld(office), actions), log, id)
    return tmp_path / "actions.sqlite"


def whole(path, id="e"):
    with ActionLog(path) as log:
        return [(entry.kind, entry.path, entry.body) for entry in log.entries(id)]


def test_resuming_after_any_entry_gives_the_whole_and_repeats_no_effect(tmp_path):
    """Killed right before and right after every write, everywhere."""
    reference = whole(recorded(tmp_path / "reference"))
    for cut in range(1, 3 * len(reference)):
        office, path = Office(), tmp_path / f"{cut}.sqlite"
        for attempt in itertools.count():
            with ActionLog(path) as log:
                if attempt == 0:
                    dies = cut
                step = Dying(log, dies)
                try:
                    with step:
                        going = resume if log.episodes() else run
                        anyio.run(going, agent(LedgerWorld(office), ACTIONS), log, "e")
                    break
                except Killed:
                    dies += 2  # the next process lives a little longer
            assert attempt < 100
        # An un-keyed call that was under way when the process died is the only thing in doubt.
        entries = whole(path)
        doubtful = [body for kind, _, body in entries if kind == "result" and b"in_doubt" in body]
        assert office.sent.count("one") == office.sent.count("two") == 1
        assert office.sent.count("hey") == 1 or (doubtful and office.sent.count("hey") <= 1)
        if not doubtful:
            # The clock outside goes on when it is asked again; everything else is as it was.
            same = [(kind, where) for kind, where, _ in entries]
            assert sorted(same) == sorted((kind, where) for kind, where, _ in reference)


class Dying:
    """Kills the process, as far as the log is concerned, at the n-th transaction: before it, in it,
    or after it."""

    def __init__(self, log, at):
        self.log, self.at, self.count = log, at, 0

    def __enter__(self):
        self.database = self.log._database
        self.log._database = self
        return self

    def __exit__(self, *_):
        self.log._database = self.database

    def executemany(self, *arguments):
        return self.database.executemany(*arguments)

    def execute(self, statement, *arguments):
        if statement in ("BEGIN IMMEDIATE", "COMMIT"):
            self.count += 1
            if self.count >= self.at:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise Killed
        if statement == "ROLLBACK" and not self.database.in_transaction:
            return None
        return self.database.execute(statement, *arguments)


def test_an_unkeyed_call_in_flight_is_in_doubt_unless_somebody_knows(tmp_path):
    class Knows:
        def __init__(self, answer):
            self.answer = answer

        async def happened(self, call, path):
            return self.answer

    for answer, sent, kind in ((None, 1, "in_doubt"), (True, 1, "in_doubt"), (False, 2, None)):
        office = Office()
        path = tmp_path / f"{answer}.sqlite"
        world = LedgerWorld(office)
        bound = world.toolbox.find("shout")

        def dies(word, office=office):
            office.shout(word)
            raise Killed

        world._toolbox = type(world.toolbox)(
            tuple(dataclasses.replace(bound, function=dies) if one is bound else one
                  for one in world.toolbox)
        )  # fmt: skip
        actions = [call("shout", word="hey"), ANSWER]
        with ActionLog(path) as log:
            with pytest.raises(Killed):
                anyio.run(run, agent(world, actions), log, "e")
            anyio.run(resume, agent(LedgerWorld(office), actions, doubt=Knows(answer)), log, "e")
            result = next(e.value for e in log.entries("e") if e.kind == "result")
        assert len(office.sent) == sent
        assert result.get("failure", {}).get("kind") == kind


def test_replay_is_equal_and_asks_nothing_outside(tmp_path):
    path = recorded(tmp_path)
    office = Office()
    with ActionLog(path) as log:
        for decisions in (True, False):
            found = anyio.run(
                lambda: replay(agent(LedgerWorld(office), ACTIONS), log, "e", decisions=decisions)  # noqa: B023
            )
            assert found.equal, str(found)
            assert found.compared == len(list(log.entries("e")))
        assert office.sent == [] and office.clock == 0
        assert log.episode("e").outcome["success"]


def test_verdicts_are_recorded_and_nobody_is_asked_again(tmp_path):
    class Person:
        name = "person"
        asked = 0

        async def check(self, proposal):
            self.asked += 1
            if proposal.call.tool == "shout":
                return Verdict(say="reject", reason="quiet")
            if proposal.call.tool == "pay":
                return Verdict(say="modify", arguments={**proposal.call.arguments, "amount": 9})
            return Verdict(say="approve")

    person = Person()
    with ActionLog(tmp_path / "a.sqlite") as log:
        anyio.run(run, agent(LedgerWorld(), ACTIONS, checks=[person]), log, "e")
        asked = person.asked
        assert anyio.run(replay, agent(LedgerWorld(), ACTIONS), log, "e").equal
        assert anyio.run(replay, agent(LedgerWorld(), ACTIONS, checks=[person]), log, "e").equal
        assert person.asked == asked > 0


def find(path, change, **options):
    """Replay with something changed."""
    with ActionLog(path) as log:
        world = LedgerWorld()
        actions = change(world) or ACTIONS
        return anyio.run(lambda: replay(agent(world, actions), log, "e", **options))


def test_injected_nondeterminism_is_found_and_located(tmp_path):
    path = recorded(tmp_path)

    def environment(world):
        reset = world.reset
        world.reset = lambda task, seed: reset(task, seed + 1)

    found = find(path, environment)
    assert not found.equal
    assert (found.difference.kind, found.difference.path) == ("reset", "0")

    def clock(world):  # asked again, a clock is another one
        world.office.clock = 41

    assert find(path, clock).equal
    found = find(path, clock, again=True)
    assert (found.difference.kind, found.difference.path) == ("result", "1.0.0")
    assert "42" in found.difference.now

    def tool(world):
        pay = world.toolbox.find("pay")
        odd = dataclasses.replace(pay, function=lambda name, amount: {name: amount})
        world._toolbox = type(world.toolbox)(
            tuple(odd if one is pay else one for one in world.toolbox)
        )

    found = find(path, tool)
    assert (found.difference.kind, found.difference.path) == ("result", "0.0.0")

    def policy(world):
        return Script(lambda number, text: ACTIONS[number] if number != 4 else ANSWER)

    found = find(path, policy)
    assert (found.difference.kind, found.difference.path) == ("decision", "4")
    assert "shout" in found.difference.recorded and "answer" in found.difference.now

    def order(world):
        return Script(
            lambda number, text: ACTIONS[number] if number != 2
            else {"calls": list(reversed(ACTIONS[2]["calls"]))}
        )  # fmt: skip

    found = find(path, order)
    assert (found.difference.kind, found.difference.path) == ("decision", "2")

    def shorter(world):
        return Script(lambda number, text: ANSWER if number == 1 else ACTIONS[number])

    assert not find(path, shorter).equal


def test_a_changed_world_is_named(tmp_path):
    path = recorded(tmp_path)

    def version(world):
        world._spec = dataclasses.replace(world.spec, version="2")

    found = find(path, version)
    assert found.equal and "version of the world was '1', is '2'" in found.surroundings[0]


def test_a_run_of_something_else_is_not_gone_on_with(tmp_path):
    path = tmp_path / "a.sqlite"
    with ActionLog(path) as log:
        world = LedgerWorld(slow=lambda name: 60)

        async def cut():
            with anyio.move_on_after(0.05):
                await run(agent(world, [call("work", name="ann"), ANSWER]), log, "e")

        anyio.run(cut)
        other = dataclasses.replace(agent(LedgerWorld(), [ANSWER]), seed=4)
        with pytest.raises(Diverged, match="seed"):
            anyio.run(resume, other, log, "e")
        with pytest.raises(Diverged, match="decision 0"):
            anyio.run(resume, agent(LedgerWorld(), [ANSWER]), log, "e")
        anyio.run(resume, agent(LedgerWorld(), [call("work", name="ann"), ANSWER]), log, "e")
        with pytest.raises(JournalError, match="has ended"):
            anyio.run(resume, agent(LedgerWorld(), [ANSWER]), log, "e")


def test_two_processes_do_not_run_episodes_of_one_log(tmp_path):
    with ActionLog(tmp_path / "a.sqlite") as log:

        async def both():
            slow = agent(LedgerWorld(slow=lambda name: 0.2), [call("work", name="ann"), ANSWER])
            async with anyio.create_task_group() as group:
                group.start_soon(run, slow, log, "e")
                await anyio.sleep(0.05)
                with pytest.raises(JournalError, match="in use"):
                    await run(agent(LedgerWorld(), [ANSWER]), log, "f")

        anyio.run(both)


def test_fork_at_every_step_of_a_run_of_fifty(tmp_path):
    names = itertools.cycle(("ann", "bob"))
    actions = [call("pay", name=next(names), amount=i) for i in range(49)] + [ANSWER]
    path = recorded(tmp_path, actions)
    with ActionLog(path) as log:
        reference = whole(path)
        for at in range(51):
            world = LedgerWorld()
            anyio.run(lambda: fork(agent(world, actions), log, "e", str(at), into=f"same-{at}",  # noqa: B023
                                   decide=True))  # fmt: skip
            assert whole(path, f"same-{at}") == reference
            if at < 50:
                world = LedgerWorld()
                other = agent(world, [ANSWER])
                result = anyio.run(lambda: fork(other, log, "e", str(at), into=f"other-{at}"))  # noqa: B023
                assert result.spent.steps == at + 1
                assert sum(world.balances.values()) == 13 + sum(range(at))
                assert log.episode(f"other-{at}").header["parent"] == {
                    "episode": "e",
                    "at": str(at),
                }
                assert anyio.run(
                    lambda: replay(agent(LedgerWorld(), []), log, f"other-{at}", decisions=False)  # noqa: B023
                ).equal


def test_a_fork_at_a_call_keeps_its_ancestors_and_no_sibling(tmp_path):
    action = together(
        {"id": "a", **call("pay", name="ann", amount=1)},
        {"id": "b", **call("pay", name="bob", amount=2)},
        {"id": "c", **call("send", letter="x"), "after": ["a"]},
    )
    path = recorded(tmp_path, [call("time"), action, ANSWER])
    with ActionLog(path) as log:
        entries = list(log.entries("e"))
        kept = {entry.path for entry in ancestors(entries, "1.0.c") if entry.kind == "result"}
        assert kept == {"0.0.0", "1.0.a", "1.0.c"}
        kept = {entry.path for entry in ancestors(entries, "1.0.b") if entry.kind == "result"}
        assert kept == {"0.0.0", "1.0.b"}
        with pytest.raises(ValueError, match=r"made the calls 1\.0\.a"):
            ancestors(entries, "1.0.z")
        with pytest.raises(ValueError, match="points 0 to 3"):
            ancestors(entries, "4")
        office = Office()
        anyio.run(lambda: fork(agent(LedgerWorld(office), [ANSWER]), log, "e", "1.0.b", into="f"))
        assert office.sent == ["x"]  # its call is made for the fork, under another key


class Asks:
    """A model that counts, and a policy that asks it."""

    name = "asks"

    def __init__(self):
        self.asked = 0

    def describe(self):
        return {"weights": "none"}

    def complete(self, request, listener=None):
        self.asked += 1
        text = f"{len(request.messages)} messages"
        usage = Usage(prompt_tokens=10 * len(request.messages), completion_tokens=3)
        return Completion(text=text, usage=usage)


class Asking(Script):
    """Asks before every decision, with a transcript that grows."""

    def __init__(self, model, actions):
        super().__init__(actions)
        self.model = model

    def one(self, text, memory):
        number, said = memory if isinstance(memory, tuple) else (0, ())
        said = (*said, Message(role="user", content=text * 20))
        answer = self.model.complete(Request(messages=said, max_tokens=50))
        said = (*said, Message(role="assistant", content=answer.text))
        action = self.actions[number]
        chain = Chain((
            ActionToken(id="thought", kind="reasoning", content=answer.text, source="asks"),
            ActionToken(id="raw", kind="raw", content=action, source="a", parents=("thought",)),
        ))  # fmt: skip
        cost = Cost(tokens=3)
        return Decision(action=action, chain=chain, cost=cost, memory=(number + 1, said))


def asking(world, model, actions, **options):
    return AgentRun(
        world=world, policy=lambda taped: Asking(taped, actions), model=model,
        task=Task(name="pay", instruction="pay"), seed=3, **options,
    )  # fmt: skip


def test_recorded_answers_are_not_asked_for_again(tmp_path):
    model = Asks()
    actions = [call("pay", name="ann", amount=i) for i in range(30)] + [ANSWER]
    with ActionLog(tmp_path / "a.sqlite") as log:
        result = anyio.run(run, asking(LedgerWorld(), model, actions), log, "e")
        assert model.asked == 31
        assert result.spent.usage.completion_tokens == 93
        assert anyio.run(replay, asking(LedgerWorld(), None, actions), log, "e").equal
        found = anyio.run(
            lambda: replay(asking(LedgerWorld(), None, actions), log, "e", decisions=False)
        )
        assert found.equal
        anyio.run(lambda: fork(asking(LedgerWorld(), model, actions), log, "e", "20", into="f",
                               decide=True))  # fmt: skip
        assert model.asked == 31 + 11


def test_the_log_grows_with_what_is_new_in_a_transcript(tmp_path):
    sizes = []
    for steps in (50, 100, 200):
        actions = [call("pay", name="ann", amount=i) for i in range(steps)] + [ANSWER]
        with ActionLog(tmp_path / f"{steps}.sqlite") as log:
            anyio.run(run, asking(LedgerWorld(), Asks(), actions), log, "e")
            sizes.append(log.size())
    assert sizes[2] - sizes[1] < 2.5 * (sizes[1] - sizes[0])  # squares would give 4 and more


def test_tokens_are_a_budget(tmp_path):
    class Greedy(Asks):
        limits = ()

        def complete(self, request, listener=None):
            self.limits = (*self.limits, request.max_tokens)
            return super().complete(request)

    model = Greedy()
    actions = [call("balance", name="ann")] * 50
    with ActionLog(tmp_path / "a.sqlite") as log:
        budget = Budget(tokens=100)
        result = anyio.run(run, asking(LedgerWorld(), model, actions, budget=budget), log, "e")
        assert "100 tokens" in result.reason
        assert model.limits[0] == 50 and model.limits[-1] < 50
        again = asking(LedgerWorld(), None, actions, budget=budget)
        assert anyio.run(replay, again, log, "e").equal


def test_a_damaged_log_says_so(tmp_path):
    path = tmp_path / "actions.sqlite"
    with ActionLog(path) as log:
        episode = log.begin("e", {})
        episode.add("reset", "0", canonical({"text": "x" * 5000}))
        episode.commit()
        assert [entry.value for entry in log.entries("e")] == [{"text": "x" * 5000}]
    with sqlite3.connect(path) as database:
        database.execute("UPDATE payloads SET body = ?", (b"{}",))
    database.close()
    with ActionLog(path) as log, pytest.raises(JournalError, match="does not have its hash"):
        list(log.entries("e"))
    other = tmp_path / "other.sqlite"
    other.write_text("this is a diary, not a log " * 100)
    with pytest.raises(JournalError, match="is no action log"):
        ActionLog(other)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
    | st.floats(-1e9, 1e9, width=32),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)  # fmt: skip


@given(json_values, st.text(max_size=50), st.booleans(), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_decision_comes_back_from_its_record(action, thought, chosen, score):
    chain = Chain((
        ActionToken(id="t", kind="reasoning", content=thought, source="s"),
        ActionToken(id="no", kind="raw", content=[action], source="s", chosen=chosen, score=score),
        ActionToken(id="raw", kind="raw", content=action, source="s", parents=("t",)),
    ))  # fmt: skip
    for made in (chain, Chain.raw(action, "x"), None):
        decision = Decision(action=action, chain=made, cost=Cost(tokens=2, milliseconds=1.5))
        record = json.loads(json.dumps(decision_record(decision)[0]))
        back = decision_from(record)
        assert back.action == action or back.action == json.loads(json.dumps(action))
        assert back.chain == made
        assert decision_record(back)[0] == record


@given(st.text("ab", max_size=600), st.text("ab", max_size=600), st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_texts_come_back_from_their_differences(before, end, new):
    for text in (before, before + new, new + before, before[:300] + new + before[300:], end):
        assert text_from(before, text_delta(before, text)) == text
    long = "line of a page\n" * 100
    assert len(json.dumps(text_delta(long, long[:700] + "CHANGED" + long[700:]))) < 40
