"""Programs as suspended streams of calls, in both executors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.worlds.code_tools import Shelf, run

from enactive.actions.stubs import program_names, stubs
from enactive.actions.tools import Call, Failure, Returned, Tool
from enactive.worlds.code.bubblewrap import BubblewrapExecutor
from enactive.worlds.code.executor import CodeExecutor, CodeSession, Ended, Pending, shortened
from enactive.worlds.code.monty import MontyExecutor, interpreter
from enactive.worlds.code.sandbox.values import MOST, json_problem, shown
from enactive.worlds.world import NotSupported

pytest.importorskip("pydantic_monty")


@pytest.fixture(scope="module", params=["monty", "bubblewrap"])
def executor(request: pytest.FixtureRequest) -> Iterator[CodeExecutor]:
    made: CodeExecutor
    if request.param == "monty":
        made = MontyExecutor.Config(seconds=1.0, memory_mb=20, output=2000, calls=50).build()
    else:
        made = BubblewrapExecutor.Config(seconds=1.0, memory_mb=200, output=2000, calls=50).build()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(executor: CodeExecutor) -> Iterator[CodeSession]:
    """One session for what neither kills the process nor depends on earlier names."""
    session = executor.open(Shelf().box.tools, seed=3)
    yield session
    session.close()


def failure(ended: Ended) -> Failure:
    assert ended.failure is not None, ended
    return ended.failure


def test_a_program_is_its_calls_its_output_and_its_value(shared: CodeSession) -> None:
    shelf = Shelf()
    source = "a = look('abc')\nb = look('de', depth=2.5)\nprint(a)\nput_down([a, (1, None)])"
    ended, batches = run(shared, shelf, f"{source}\na['things'] + 1")
    assert ended == Ended(value=4, output="{'things': 3}\n")
    assert shelf.called == [
        ("look", {"where": "abc", "depth": 1.0}),
        ("look", {"where": "de", "depth": 2.5}),
        ("put-down", {"what": [{"things": 3}, [1, None]]}),
    ]
    assert [[call.tool for call in batch] for batch in batches] == [
        ["look"],
        ["look"],
        ["put-down"],
    ]


def test_loops_and_conditions_are_the_programs_own(shared: CodeSession) -> None:
    count = "    if look(place)['things'] > 1:\n        n += 1"
    source = f"n = 0\nfor place in ['a', 'bbb', 'cc']:\n{count}\nn"
    ended, batches = run(shared, Shelf(), source)
    assert ended.value == 2 and len(batches) == 3


@pytest.mark.parametrize("wrapped", [False, True])
def test_gathered_calls_come_out_together_in_the_programs_order(
    shared: CodeSession, wrapped: bool
) -> None:
    gather = "asyncio.gather(*[look_async('x' * n) for n in range(9)])"
    source = f"import asyncio\nrows = await {gather}\n[row['things'] for row in rows]"
    if wrapped:
        source = (f"import asyncio\nasync def main():\n    rows = await {gather}\n"
                  "    return [row['things'] for row in rows]\nasyncio.run(main())")  # fmt: skip
    ended, batches = run(shared, Shelf(), source)
    assert ended.value == list(range(9))
    (batch,) = batches
    assert [call.arguments["where"] for call in batch] == ["x" * n for n in range(9)]
    assert len({call.id for call in batch}) == 9


def test_a_failed_call_is_an_exception_that_the_program_may_catch(shared: CodeSession) -> None:
    ended, _ = run(shared, Shelf(), "try:\n    look('nowhere')\nexcept RuntimeError as e:\n"
                                    "    print(e)\n'went on'")  # fmt: skip
    assert ended == Ended(value="went on", output="look: LookupError: there is no such place\n")
    ended, _ = run(shared, Shelf(), "x = 1\nlook('nowhere')")
    assert failure(ended).kind == "error"
    assert "line 2" in failure(ended).message and "look('nowhere')" in failure(ended).message
    assert "RuntimeError: look: LookupError: there is no such place" in failure(ended).message


@pytest.mark.parametrize(
    ("kind", "exception"),
    [("invalid", "TypeError"), ("rejected", "RuntimeError"), ("timeout", "TimeoutError"),
     ("in_doubt", "RuntimeError"), ("skipped", "RuntimeError")],
)  # fmt: skip
def test_kinds_of_failures_are_kinds_of_exceptions(
    shared: CodeSession, kind: Any, exception: str
) -> None:
    state = shared.start(f"try:\n    look('a')\nexcept {exception} as e:\n    print('caught', e)")
    assert isinstance(state, Pending)
    ended = shared.resume([Failure(kind=kind, message="so it is")])
    assert ended == Ended(output="caught so it is\n")


def test_names_persist_between_programs_and_not_between_sessions(executor: CodeExecutor) -> None:
    shelf = Shelf()
    one, other = (executor.open(shelf.box.tools, seed=0) for _ in range(2))
    try:
        run(one, shelf, "import json\ndef double(n):\n    return 2 * n\nx = [1]")
        ended, _ = run(one, shelf, "x.append(double(4))\njson.dumps(x)")
        assert ended.value == "[1, 8]"
        ended, _ = run(one, shelf, "x = 'another type'\nx")
        assert ended.value == "another type"
        ended, _ = run(one, shelf, "y = 5\n1 / 0")
        assert "ZeroDivisionError" in failure(ended).message and "line 2" in failure(ended).message
        assert run(one, shelf, "y")[0].value == 5
        assert failure(run(other, shelf, "x")[0]).kind in ("error", "invalid")
    finally:
        one.close()
        other.close()


def test_random_numbers_come_from_the_seed(executor: CodeExecutor) -> None:
    drawn: list[Any] = []
    for seed in (1, 1, 2):
        session = executor.open((), seed=seed)
        drawn.append(run(session, Shelf(), "import random\nrandom.random()")[0].value)
        session.close()
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("while True:\n    pass", "timeout", "ran longer than 1 s"),
        ("x = 1\nwhile True:\n    print('flood')", "budget", "printed more than 2000 characters"),
        ("for i in range(60):\n    look('a')", "budget", "more than 50 calls"),
    ],
)
def test_limits_end_a_program_and_the_session_goes_on(
    executor: CodeExecutor, source: str, kind: str, message: str
) -> None:
    shelf = Shelf()
    session = executor.open(shelf.box.tools, seed=0)
    try:
        run(session, shelf, "kept = 7")
        ended, _ = run(session, shelf, source)
        assert failure(ended).kind == kind and message in failure(ended).message
        assert len(ended.output) < 2200
        assert run(session, shelf, "1 + 1")[0] == Ended(value=2)
        again, _ = run(session, shelf, "kept")
        if executor.restorable:
            assert again.value == 7 and "as they were before" in failure(ended).message
        else:
            assert again.failure and "names of earlier programs are gone" in failure(ended).message
    finally:
        session.close()


def test_a_program_can_be_dropped_where_it_waits(executor: CodeExecutor) -> None:
    session = executor.open(Shelf().box.tools, seed=0)
    assert isinstance(session.start("x = look('a')"), Pending)
    with pytest.raises(RuntimeError, match="a program is under way"):
        session.start("1")
    with pytest.raises(ValueError, match="2 for 1 pending calls"):
        session.resume([Returned(value=1)] * 2)
    session.cancel()
    with pytest.raises(RuntimeError, match="no calls are pending"):
        session.resume([])
    assert session.start("2") == Ended(value=2)
    session.close()
    session.close()
    with pytest.raises(RuntimeError, match="the session is closed"):
        session.start("1")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("put_down({1, 2})", "is a set"),
        ("put_down({1: 2})", "keys are not all texts"),
        ("put_down(2 ** 70)", "beyond 64 bits"),
        ("put_down(float('nan'))", "JSON has no word for"),
        ("x = [1]\nfor i in range(40):\n    x = [x, x]\nput_down(x)", "larger than 100000 values"),
        ("x = []\nfor i in range(100):\n    x = [x]\nput_down(x)", "more than 64 levels deep"),
    ],
)
def test_arguments_that_json_cannot_carry_never_leave_the_sandbox(
    shared: CodeSession, source: str, message: str
) -> None:
    shelf = Shelf()
    ended, batches = run(shared, shelf, source)
    assert not batches and not shelf.called
    assert "TypeError" in failure(ended).message and message in failure(ended).message


def test_values_are_shown_and_bounded(shared: CodeSession) -> None:
    source = "{'a': {3, 1, 2}, 'b': (1, 2.5), 'c': 2 ** 70, 4: float('inf'), 'f': len}"
    value = run(shared, Shelf(), source)[0].value
    assert value["a"] == [1, 2, 3] and value["b"] == [1, 2.5] and value["4"] == "inf"
    assert value["c"] == str(2**70) and isinstance(value["f"], str)
    bomb = "x = ['abc']\nfor i in range(50):\n    x = [x, x]\nx"
    assert len(str(run(shared, Shelf(), bomb)[0].value)) < 20_000


# --------------------------------------------------------------------------- what only Monty does


@pytest.fixture(scope="module")
def monty() -> Iterator[MontyExecutor]:
    made = MontyExecutor.Config(seconds=1.0).build()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("put_down(1)\nlook(3)", "line 2:6: .*Expected `str`, found `Literal\\[3\\]`"),
        ("put_down(1)\nlook('a')['thing'] + 'x'", "line 2:1: .*`\\+` is not supported"),
        ("put_down(1)\nlook('a', 1, 2)", "Too many positional arguments"),
        ("put_down(1)\nlook()", "No argument provided for required parameter `where`"),
        ("put_down(1)\nlook('a', deep=2)", "does not match any known parameter"),
        ("put_down(1)\nundefined", "Name `undefined` used when not defined"),
        ("put_down(1)\nopen('/etc/passwd')", "`open`"),
        ("put_down(1)\nimport socket", "Cannot resolve imported module `socket`"),
        ("put_down(1)\n(", "invalid-syntax"),
        ("put_down('a" + "\0" + "b')", "null character"),
    ],
)
def test_types_are_checked_before_anything_runs(
    monty: MontyExecutor, source: str, message: str
) -> None:
    session = monty.open(Shelf().box.tools, seed=0)
    state = session.start(source)
    session.close()
    assert isinstance(state, Ended) and failure(state).kind == "invalid"
    assert "Nothing was run" in failure(state).message
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(failure(state).message)


def test_a_suspended_program_goes_on_elsewhere(monty: MontyExecutor) -> None:
    shelf = Shelf()
    session = monty.open(shelf.box.tools, seed=5)
    run(session, shelf, "kept = [1]")
    gather = "await asyncio.gather(look_async('a'), look_async('bb'))"
    source = f"import asyncio\nprint('before')\nrows = {gather}\nprint('between')\n"
    source += "last = look('ccc')\n[rows, last, kept]"
    assert isinstance(session.start(source), Pending)
    between = session.resume([Returned(value={"things": 1}), Returned(value={"things": 2})])
    for _ in range(2):  # written down twice in a row
        data = session.dump()
        session.close()
        session, pending = monty.restore(shelf.box.tools, data)
        assert pending == between
    ended = session.resume([Returned(value={"things": 3})])
    rows = [[{"things": 1}, {"things": 2}], {"things": 3}, [1]]
    assert ended == Ended(value=rows, output="before\nbetween\n")
    idle, nothing = monty.restore(shelf.box.tools, session.dump())
    assert nothing is None and run(idle, shelf, "last")[0].value == {"things": 3}
    session.close()
    idle.close()


def test_a_restored_batch_is_the_batch(monty: MontyExecutor) -> None:
    tools = Shelf().box.tools
    session = monty.open(tools, seed=0)
    pending = session.start(
        "import asyncio\nawait asyncio.gather(look_async('a'), look_async('b'))"
    )
    other, again = monty.restore(tools, session.dump())
    assert again == pending
    results = [Returned(value={"things": 1}), Failure(kind="error", message="no")]
    assert other.resume(results) == session.resume(results)
    session.close()
    other.close()


def test_time_stands_still_in_monty(monty: MontyExecutor) -> None:
    session = monty.open((), seed=0)
    source = "import time, datetime\ntime.sleep(1000)\n[time.time(), str(datetime.datetime.now())]"
    assert run(session, Shelf(), source)[0].value == [946684800.0, "2000-01-01 00:00:00"]
    session.close()


# ---------------------------------------------------------------------- what only bubblewrap does


@pytest.fixture(scope="module")
def bubblewrap() -> Iterator[BubblewrapExecutor]:
    made = BubblewrapExecutor.Config(seconds=5.0).build()
    yield made
    made.close()


def test_the_whole_language_is_there(bubblewrap: BubblewrapExecutor) -> None:
    session = bubblewrap.open(Shelf().box.tools, seed=0)
    source = """\
from dataclasses import dataclass
import statistics
@dataclass
class Pile:
    things: int
class Big(Pile):
    pass
def piles():
    for place in ("a", "bb"):
        yield Big(look(place)["things"])
statistics.mean(pile.things for pile in piles())"""
    assert run(session, Shelf(), source)[0] == Ended(value=1.5)
    with pytest.raises(NotSupported):
        session.dump()
    with pytest.raises(NotSupported):
        bubblewrap.restore((), b"")
    session.close()


def test_closing_ends_every_process(bubblewrap: BubblewrapExecutor) -> None:
    session = bubblewrap.open((), seed=0)
    session.start("1")
    pid = session.pid
    assert pid is not None
    first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    inner = [
        one
        for each in first
        for one in Path(f"/proc/{each}/task/{each}/children").read_text().split()
    ]
    assert first and inner
    session.close()
    assert not any(Path(f"/proc/{one}").exists() for one in (str(pid), *first, *inner))


def test_without_bubblewrap_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.path.dirname(shutil.which("true") or "") + "/nowhere")
    with pytest.raises(RuntimeError, match="no 'bwrap' on the path; install it"):
        BubblewrapExecutor.Config().build()


def test_without_montys_program_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "lib" / "python3" / "site-packages" / "pydantic_monty" / "__init__.py"
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "other" / "bin"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="'monty' is neither in .*pydantic-monty-runtime"):
        interpreter(package)
    (tmp_path / "bin" / "monty").touch()
    assert interpreter(package) == tmp_path / "bin" / "monty"


@pytest.mark.parametrize(
    "config", [MontyExecutor.Config(seconds=0), BubblewrapExecutor.Config(calls=0)]
)
def test_limits_must_be_positive(config: Any) -> None:
    with pytest.raises(ValueError, match="seconds is 0|calls is 0"):
        config.build()


# -------------------------------------------------------------------------------------- the parts


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a-b", "a_b"], "are both 'a_b'"),
        (["class"], "programs cannot call 'class'"),
        (["9a"], "programs cannot call '9a'"),
        (["go", "go_async"], "another one's awaitable form"),
    ],
)
def test_names_that_programs_cannot_tell_apart_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        program_names([Tool(name=name, description="") for name in names])


def test_stubs_say_what_is_in_a_result() -> None:
    tool = Tool(
        name="find", description="Find.",
        input_schema={"type": "object", "properties": {
            "n": {"type": "integer", "default": 3}, "what": {"enum": ["cup", "plate"]},
            "at": {"type": "array", "items": {"type": "number"}}},
            "required": ["what"]},
        output_schema={"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "near": {"type": ["string", "null"]}}},
    )  # fmt: skip
    assert stubs([tool], awaitable=False) == (
        "FindResult = TypedDict('FindResult', {'name': str, 'near': NotRequired[str | None]})\n"
        "def find(what: Literal['cup', 'plate'], n: int = 3, at: Sequence[float] = ...)"
        " -> FindResult: ...\n"
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sets(st.integers()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(1, 200))
def test_what_is_shown_is_json_and_bounded(value: Any, limit: int) -> None:
    import json

    made = shown(value, limit)
    assert json_problem(made) == ""
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    if (
        json_problem(value) == ""
        and len(json.dumps(value)) < limit
        and "\\u" not in json.dumps(value)
    ):
        assert made == value


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=3000), st.integers(50, 500))
def test_shortened_texts_keep_their_ends(text: str, limit: int) -> None:
    made = shortened(text, limit)
    assert len(made) <= limit + 60
    if len(text) <= min(limit, 300) and "\n" not in text and text.splitlines() == [text]:
        assert made == text


def test_sizes_of_arguments_are_counted_where_they_are_shared() -> None:
    assert json_problem([0] * (MOST - 1)) == ""
    assert "larger than" in json_problem([[0] * 1000] * 1000)
    assert Call(tool="t", arguments={}).after == ()
