"""The text desktop: clicks, tools that are not all to be trusted, and checkers that are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.policies.agents.hybrid_options import wishes
from enactive.systems.ultracua_training import verify_checkers
from enactive.worlds.checkers import All, AnyOf, AtLeast, Holds, Is, Not, false_verdicts
from enactive.worlds.checks import check_world
from enactive.worlds.desktop import Desktop
from enactive.worlds.desktop_settings import SETTINGS, goal
from enactive.worlds.tool_world import ToolWorld


def begin(world: Desktop, seed: int = 0, task: str = "settings") -> Any:
    return world.reset(world.spec.task(task).task(), seed)


def click(world: Desktop, x: int, y: int) -> Any:
    return world.step({"space": "screen", "action": {"do": "click", "x": x, "y": y}})


def call(world: Desktop, tool: str, value: Any) -> Any:
    action = {"tool": tool, "arguments": {"value": value}}
    return world.step({"space": "calls", "action": action})


def test_the_contract_is_kept() -> None:
    report = check_world(Desktop.Config().build())
    assert report.ok, str(report)


def test_an_app_is_opened_changed_and_left() -> None:
    world = Desktop.Config().build()
    assert isinstance(world, ToolWorld)
    assert begin(world).text.split("\n") == ["desktop", "sound", "display", "mouse", "mail"]
    before = world.values
    shown = click(world, 0, 1).observation.text
    assert shown.startswith("app sound\nvolume ")
    click(world, 2, 1)
    assert world.values["volume"] == min(before["volume"] + 1, 9)
    click(world, 1, 2)
    assert world.values["bass"] == max(before["bass"] - 1, 0)
    step = click(world, 0, 0)
    assert step.observation.text.startswith("desktop") and not step.terminated
    assert step.observation.state["spent"].tolist() == [4, 0, 4, 4]


def test_tools_do_what_their_kind_says() -> None:
    world = Desktop.Config(budget=100).build()
    begin(world)
    before = world.values
    step = call(world, "set_volume", 3)
    assert world.values["volume"] == 3 and step.observation.text.endswith("said 3")
    hidden = abs(3 - before["volume"]) + 2
    assert step.observation.state["spent"].tolist() == [1, 1, hidden, 1]
    assert call(world, "set_treble", 3).observation.state["spent"][3] == 9  # slow
    assert call(world, "set_balance", 3).observation.text.endswith("said 4")  # off by one
    step = call(world, "set_contrast", (before["contrast"] + 1) % 10)  # dead
    assert step.observation.text.endswith("said ok")
    assert world.values["contrast"] == before["contrast"]


def test_a_call_that_fails_is_told_as_a_failure() -> None:
    """Elsewhere an invalid tap was recorded as a success."""
    world = Desktop.Config().build()
    begin(world)
    step = call(world, "set_focus", 3)  # a tool of the other desktop
    assert "tool_failed" in step.events and "failed: " in step.observation.text
    assert not step.success
    for bad in ({"do": "click", "x": 3, "y": 0}, {"do": "click", "x": 0, "y": 5}):
        with pytest.raises(ValueError, match="is outside the screen"):
            world.step({"space": "screen", "action": bad})
    with pytest.raises(ValueError, match="10 is greater than the maximum"):
        call(world, "set_volume", 10)
    with pytest.raises(ValueError, match="did you mean 'set_volume'"):
        call(world, "set_volumes", 1)
    assert step.observation.state["spent"].tolist()[0] == 1


def test_success_is_the_checkers_and_only_when_said() -> None:
    world = Desktop.Config(budget=40).build()
    told = begin(world, 4).instruction
    for wish in wishes(told):
        rows = begin_rows(world)
        shown = click(world, 0, 1 + rows.index(wish.app)).observation.text.split("\n")[1:]
        row = next(i for i, line in enumerate(shown, 1) if line.startswith(wish.setting))
        far = wish.value - world.values[wish.setting]
        for _ in range(abs(far)):
            step = click(world, 2 if far > 0 else 1, row)
            assert not step.success
        click(world, 0, 0)
    step = click(world, 0, 0)
    assert step.success and step.terminated and step.reward == 1.0 and step.events == ("done",)
    begin(world, 4)
    step = click(world, 0, 0)
    assert step.terminated and not step.success and step.reward == -1.0
    short = Desktop.Config(budget=3).build()
    begin(short, 4)
    for _ in range(2):
        assert not click(short, 2, 4).terminated
    last = click(short, 2, 4)
    assert last.terminated and last.events == ("out_of_budget",) and last.reward == -1.0
    with pytest.raises(RuntimeError, match="has ended"):
        click(short, 0, 0)


def begin_rows(world: Desktop) -> list[str]:
    return list(dict.fromkeys(one.app for one in SETTINGS["settings"]))


def test_snapshots_go_back_to_the_bit() -> None:
    world = Desktop.Config().build()
    begin(world, 2)
    click(world, 0, 1)
    call(world, "set_volume", 5)
    kept = world.snapshot()
    first = [click(world, 2, 2), click(world, 0, 0)]
    begin(world, 7)
    world.restore(kept)
    second = [click(world, 2, 2), click(world, 0, 0)]
    for a, b in zip(first, second, strict=True):
        assert a.observation.text == b.observation.text and a.reward == b.reward
        assert (a.observation.state["spent"] == b.observation.state["spent"]).all()


@pytest.mark.parametrize("task", [*SETTINGS])
def test_checkers_are_right_about_what_was_made_without_them(task: str) -> None:
    found = verify_checkers(Desktop.Config(budget=1000).build(), task, 25)
    assert (found.false_negatives, found.false_positives) == (0, 0)
    assert found.solved == found.missed == 50


def test_a_checker_that_is_wrong_is_found_out() -> None:
    found = false_verdicts(Is("a", 1), solved=[{"a": 1.0}, {"b": 1}], missed=[{"a": 1}, {"a": 2}])
    assert (found.false_negatives, found.false_positives) == (1, 1)


@given(seed=st.integers(0, 2**31), task=st.sampled_from([*SETTINGS]))
def test_no_task_is_solved_before_it_begins_and_its_sentence_asks_what_is_tested(
    seed: int, task: str
) -> None:
    made = goal(task, seed)
    assert not any(atom.holds(made.start) for atom in made.checker.atoms())
    asked = {wish.setting: wish.value for wish in wishes(made.instruction)}
    assert made.checker.holds({**made.start, **asked})


def test_the_two_desktops_share_nothing_but_the_kinds_of_tools() -> None:
    first, second = SETTINGS["settings"], SETTINGS["other_settings"]
    assert not {one.name for one in first} & {one.name for one in second}
    assert not {one.app for one in first} & {one.app for one in second}
    assert sorted(one.kind for one in first) == sorted(one.kind for one in second)


STATE = st.dictionaries(st.sampled_from("ab"), st.integers(0, 3))


@given(state=STATE, x=st.integers(0, 3), y=st.integers(0, 3))
def test_checkers_compose_as_logic_does(state: Mapping[str, int], x: int, y: int) -> None:
    a, b = Is("a", x), AtLeast("b", y)
    assert All((a, b)).holds(state) == (a.holds(state) and b.holds(state))
    assert AnyOf((a, b)).holds(state) == (a.holds(state) or b.holds(state))
    assert Not(Not(a)).holds(state) == a.holds(state)
    assert Not(All((a, b))).holds(state) == AnyOf((Not(a), Not(b))).holds(state)
    assert All((a, AnyOf((b, Not(a))))).atoms() == (a, b, a)
    assert Holds("bag", 1).holds({"bag": [1, 2]}) and not Holds("bag", 1).holds({})
