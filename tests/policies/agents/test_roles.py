"""Roles, typed documents and the bus: who reads what, how often, in which order, within budgets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import Field

from enactive.actions.tools import Failure
from enactive.models.language_models.language_model import Request
from enactive.models.language_models.scripted import Scripted
from enactive.policies.agents.documents import Box, Bus, Document, Message, read_document, schema_of
from enactive.policies.agents.flow import Failed, Flow, Ok, fail, pure
from enactive.policies.agents.flow_steps import start
from enactive.policies.agents.reactions import PlanAndAct, React
from enactive.policies.agents.roles import Role, Team
from enactive.policies.agents.works import Checked, Inputs, TeamState, Write


class Wish(Document):
    text: str


class Draft(Document):
    number: int


class Review(Document):
    number: int
    good: bool


class Final(Document):
    number: int


class Part(Document):
    name: str = Field(max_length=10)


class Whole(Document):
    parts: list[Part]


@dataclass(frozen=True, kw_only=True)
class Do:
    """A work that is a function of what it consumes."""

    name: str
    consumes: tuple[type[Document], ...]
    produces: tuple[type[Document], ...]
    function: Callable[..., Document | Flow[Any, Document]]
    on: tuple[type[Document], ...] = ()

    def do(self, inputs: Inputs, goal: str, feedback: str) -> Flow[TeamState, Document]:
        made = self.function(*inputs.values(), **({"goal": goal} if goal else {}))
        return made if isinstance(made, Flow) else pure(made)


def draft(number: int = 1) -> Do:
    return Do(name="draft", consumes=(Wish,), produces=(Draft,),
              function=lambda wish: Draft(number=number))  # fmt: skip


REVIEW = Do(
    name="review", consumes=(Draft,), produces=(Review, Final),
    function=lambda one: Final(number=one.number) if one.number >= 3
    else Review(number=one.number, good=False),
)  # fmt: skip
REVISE = Do(
    name="revise", consumes=(Draft, Review), produces=(Draft,), on=(Review,),
    function=lambda one, review: Draft(number=one.number + 1),
)  # fmt: skip


def team(*roles: Role, **others: Any) -> Team:
    return Team(roles=roles, begins_with=(Wish,), **{"wanted": Final, **others})


def done(some: Team, state: TeamState | None = None) -> Any:
    return start(some.work(Wish(text="write")), state or some.state)


WRITER = Role(name="writer", works=(draft(), REVISE))
EDITOR = Role(name="editor", works=(REVIEW,))


class TestTeams:
    def test_documents_go_round_until_the_wanted_one_is_there(self) -> None:
        end = done(team(WRITER, EDITOR))
        assert isinstance(end, Ok) and end.value == Final(number=3)
        kinds = [(one.sender, one.kind) for one in end.state.bus.published]
        assert kinds == [
            ("", "Wish"), ("writer", "Draft"), ("editor", "Review"), ("writer", "Draft"),
            ("editor", "Review"), ("writer", "Draft"), ("editor", "Final"),
        ]  # fmt: skip
        assert end.state.works == 6

    def test_roles_read_what_they_subscribe_to(self) -> None:
        """The trap of letting every role see everything, and what that costs in reading."""
        curious = Role(name="editor", works=(REVIEW,), also_reads=(Wish, Review))
        idle = Role(name="idle", works=(draft(),), mode=React(model=SAYS_STOP))
        some = done(team(WRITER, EDITOR, idle)).state.read
        more = done(team(WRITER, curious, idle)).state.read
        assert dict(some) == {"writer": 6, "editor": 3, "idle": 1}
        assert dict(more) == {"writer": 6, "editor": 6, "idle": 1}

    def test_the_order_of_roles_decides_nothing_but_the_order_of_publishing(self) -> None:
        one, other = done(team(WRITER, EDITOR)), done(team(EDITOR, WRITER))
        assert one == other

    def test_a_message_is_read_once(self) -> None:
        message = Message(id="writer.0", sender="writer", document=Draft(number=1))
        box = Box().put(message).put(message)
        assert len(box.unread) == 1
        assert box.read().put(message).unread == ()
        again = replace(message, id="writer.1")  # an equal document, published again, is news
        assert box.read().put(again).unread == (again,)

    def test_addressed_and_subscribed_is_still_once(self) -> None:
        bus = Bus.of(["a", "b"]).publish("a", Draft(number=1), to=("b",))
        bus = bus.deliver({"a": frozenset({"Draft"}), "b": frozenset({"Draft"})})
        assert len(bus.boxes["b"].unread) == 1 and not bus.boxes["a"].unread
        assert bus.deliver({"b": frozenset({"Draft"})}) == bus
        with pytest.raises(KeyError, match="no role is called 'c'"):
            bus.publish("a", Draft(number=1), to=("c",))

    def test_addresses_keep_documents_from_others(self) -> None:
        writer = replace(WRITER, addresses={"Draft": ("editor",)})
        end = done(team(writer, EDITOR), team(writer, EDITOR).state)
        assert end.failure.message == "the team came to rest without a Final"
        drafts = [one for one in end.state.bus.published if one.kind == "Draft"]
        assert [one.to for one in drafts] == [("editor",)]

    def test_a_loop_has_a_budget(self) -> None:
        never = replace(REVIEW, function=lambda one: Review(number=one.number, good=False))
        looping = team(WRITER, Role(name="editor", works=(never,)), rounds=7)
        end = done(looping)
        assert end.failure.kind == "budget" and end.failure.message == "no Final after 7 rounds"
        assert end.state.works == 7

    def test_a_team_goes_on_where_it_was(self) -> None:
        some = team(WRITER, EDITOR)
        first = done(some)
        again = start(some.work(Review(number=0, good=False)), first.state)
        assert isinstance(again, Ok) and again.value == Final(number=4)

    def test_who_fails_is_named(self) -> None:
        broken = replace(draft(), function=lambda wish: fail("no ink"))
        end = done(team(Role(name="writer", works=(broken, REVISE)), EDITOR))
        assert isinstance(end, Failed) and end.failure.message == "no ink"
        assert end.where.startswith("branch 0/writer/draft/")

    def test_a_work_gives_what_it_declares(self) -> None:
        wrong = replace(draft(), function=lambda wish: Final(number=1))
        end = done(team(Role(name="writer", works=(wrong,)), EDITOR))
        assert "declared to give Draft" in end.failure.message

    @pytest.mark.parametrize(
        ("roles", "others", "message"),
        [
            ((WRITER, WRITER), {}, "share a name"),
            ((EDITOR,), {}, "editor reads Draft, which nobody produces"),
            ((WRITER, EDITOR), {"wanted": Whole}, "nobody produces the wanted Whole"),
            ((replace(WRITER, addresses={"Draft": ("x",)}), EDITOR), {}, "writes to 'x'"),
        ],
    )
    def test_teams_that_cannot_work(
        self, roles: tuple[Role, ...], others: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            team(*roles, **others)


def scripted(*replies: str) -> Scripted:
    """Replies by how much has been said: a function of the request alone."""

    def answer(request: Request) -> str:
        said = sum(one.role == "assistant" for one in request.messages)
        return replies[min(said, len(replies) - 1)]

    return Scripted(name="scripted", answer=answer)


SAYS_STOP = scripted('"stop"')


class TestWriting:
    def write(self, *replies: str, attempts: int = 3) -> Any:
        work = Write(
            model=scripted(*replies), name="write", instruction="Write.", consumes=(Wish,),
            kind=Draft, attempts=attempts,
        )  # fmt: skip
        return start(work.do({"Wish": Wish(text="x")}, "", ""), team(WRITER, EDITOR).state)

    def test_what_does_not_validate_is_told_and_written_again(self) -> None:
        end = self.write("no json", '{"number": "3"}', '{"number": 3}')
        assert end.value == Draft(number=3) and end.state.asked == 3

    def test_attempts_are_bounded(self) -> None:
        end = self.write('{"number": 1, "more": 2}', attempts=2)
        assert end.failure.kind == "invalid" and end.state.asked == 2
        assert "more: Extra inputs are not permitted" in end.failure.message
        assert "no valid Draft in 2 attempts" in end.failure.message

    def test_problems_name_fields(self) -> None:
        problem = read_document(Whole, '{"parts": [{"name": "much too long"}, {}]}')
        assert isinstance(problem, str)
        assert "parts.0.name" in problem and "parts.1.name: Field required" in problem

    def test_schemas_have_no_references(self) -> None:
        text = json.dumps(schema_of(Whole))
        assert "$ref" not in text and "$defs" not in text and "maxLength" in text

    def test_a_check_that_fails_is_fed_back(self) -> None:
        seen: list[str] = []

        def answer(request: Request) -> str:
            seen.append(request.messages[-1].content)
            return '{"number": 2}' if "too small" in seen[-1] else '{"number": 1}'

        def check(document: Document, inputs: Inputs, /) -> Flow[TeamState, str]:
            assert isinstance(document, Draft)
            return pure("" if document.number > 1 else "too small")

        work = Write(model=Scripted(name="s", answer=answer), name="write", instruction="Write.",
                     consumes=(Wish,), kind=Draft)  # fmt: skip
        inputs = {"Wish": Wish(text="x")}
        state = team(WRITER, EDITOR).state
        end = start(Checked(work=work, check=check, rounds=2).do(inputs, "", ""), state)
        assert end.value == Draft(number=2) and end.state.asked == 2
        assert 'You gave {"number":1}' in seen[1] and "too small" in seen[1]
        stopped = start(Checked(work=work, check=check, rounds=1).do(inputs, "", ""), state)
        assert stopped.failure.kind == "error" and "after 1 rounds" in stopped.failure.message


class TestModes:
    """by_order is what the teams above do."""

    def test_the_model_chooses_within_a_budget(self) -> None:
        asked: list[str] = []

        def answer(request: Request) -> str:
            asked.append(request.messages[-1].content)
            return '"draft"' if len(asked) < 5 else "nonsense"

        model = Scripted(name="chooses", answer=answer)
        writer = Role(name="writer", works=(draft(3),), mode=React(model=model, loops=2))
        end = done(team(writer, EDITOR))
        assert end.value == Final(number=3) and len(asked) == 2
        assert "Choose what to do next: draft, stop" in asked[0]
        assert "Done: draft" in asked[1]

    @pytest.mark.parametrize("said", ["stop", '"stop"', "something else"])
    def test_the_model_may_stop(self, said: str) -> None:
        writer = Role(name="writer", works=(draft(),), mode=React(model=scripted(said)))
        end = done(team(writer, EDITOR))
        assert end.failure.message == "the team came to rest without a Final"

    def test_a_plan_is_done_in_order_and_made_again_where_it_fails(self) -> None:
        goals: list[str] = []

        def first(wish: Document, goal: str = "") -> Flow[Any, Document]:
            goals.append(goal)
            return fail("no paper") if len(goals) == 1 else pure(Draft(number=3))

        def answer(request: Request) -> str:
            again = "no paper" in request.messages[-1].content
            goal = "on slate" if again else "on paper"
            return json.dumps({"steps": [{"work": "draft", "goal": goal}]})

        mode = PlanAndAct(model=Scripted(name="plans", answer=answer))
        writer = Role(name="writer", works=(replace(draft(), function=first),), mode=mode)
        end = done(team(writer, EDITOR))
        assert end.value == Final(number=3) and goals == ["on paper", "on slate"]
        assert end.state.asked == 2

    @pytest.mark.parametrize("mode", ["react", "plan"])
    def test_a_role_goes_on_with_what_it_has_just_produced(self, mode: str) -> None:
        def answer(request: Request) -> str:
            if mode == "plan":
                return json.dumps({"steps": [{"work": w, "goal": ""} for w in ("draft", "review")]})
            return '"review"' if "Done: draft" in request.messages[-1].content else '"draft"'

        model = Scripted(name="s", answer=answer)
        modes = {"react": React(model=model, loops=2), "plan": PlanAndAct(model=model)}
        review = replace(REVIEW, function=lambda one, goal="": Final(number=one.number))
        work = replace(draft(), function=lambda wish, goal="": Draft(number=5))
        some = team(Role(name="writer", works=(work, review), mode=modes[mode]))
        end = done(some)
        assert end.value == Final(number=5)
        assert dict(end.state.read) == {"writer": 1}, "its own draft is no news to it"
        assert end.state.bus.boxes["writer"].ids == {".0", "writer.0"}

    def test_plans_are_bounded(self) -> None:
        model = scripted('{"steps": [{"work": "fly", "goal": ""}]}')
        writer = Role(name="writer", works=(draft(),), mode=PlanAndAct(model=model, plans=2))
        end = done(team(writer, EDITOR))
        assert end.failure == Failure(kind="invalid", message="fly cannot be done now")
        assert end.causes[0].state.asked == 2
