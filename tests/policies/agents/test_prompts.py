"""What planners show and read: tools, transcripts, JSON, programs, references, copied arguments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.digital import ChoiceSpace, UnionSpace
from enactive.actions.tools import Tool, ToolSpace
from enactive.models.language_models.schemas import bounded, call_schema
from enactive.policies.agents.calls import ToolPart, copied, copied_answer, spans
from enactive.policies.agents.prompts import (
    ELIDED,
    Turn,
    answer_call,
    answer_tool,
    conversation,
    describe_tools,
    example_arguments,
    fit,
    plain_result,
    read_code,
    read_json,
    shorten,
    tool_examples,
)
from enactive.policies.agents.references import fill, references
from enactive.policies.agents.retrieval import relevant_tools, scores
from enactive.worlds.workspace.world import Workspace

TOOLS = Workspace.Config().build().spec.accepts.tools  # type: ignore[union-attr]

turns = st.lists(
    st.builds(Turn, said=st.text("ab ", max_size=80), result=st.text("cd ", max_size=300)),
    max_size=12,
)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_example_arguments_are_valid(tool: Tool) -> None:
    assert not tool.check_arguments(example_arguments(tool))


def test_there_is_one_example_a_tool_and_one_line() -> None:
    assert [call["tool"] for _, call in tool_examples(TOOLS)] == [tool.name for tool in TOOLS]
    assert len(describe_tools(TOOLS).splitlines()) == len(TOOLS)
    assert "move_file(path: string, to: string)" in describe_tools(TOOLS)


@given(turns=turns, limit=st.integers(200, 2000))
def test_transcripts_fit_and_stay_as_they_are_once_they_do(turns: list[Turn], limit: int) -> None:
    kept = fit(turns, limit)
    size = sum(len(turn.said) + len(turn.result) for turn in kept)
    assert size <= limit + len("[99 earlier steps left out]")
    assert fit(kept, limit) == kept
    if sum(len(turn.said) + len(turn.result) for turn in turns) <= limit:
        assert kept == tuple(turns)
    elif turns:
        assert kept[-1].said[:20] == turns[-1].said[:20]  # the last turn is always there


def test_the_oldest_results_go_first_and_leave_a_mark() -> None:
    kept = fit([Turn(said=f"say{i}", result=str(i) * 100) for i in range(5)], 400)
    assert [turn.result for turn in kept[:2]] == [ELIDED, ELIDED]
    assert kept[-1].result == "4" * 100 and kept[0].said == "say0"
    none_left = fit([Turn(said="s" * 90, result="r" * 90) for _ in range(20)], 400)
    assert none_left[0].said.endswith("earlier steps left out]")
    spoken = conversation("s", (), "t", none_left)
    assert spoken[2].role == "tool"  # a mark is nothing that the model said


def test_each_request_begins_with_the_one_before() -> None:
    first = [Turn(said="a", result="1"), Turn(said="b", result="2")]
    shorter, longer = (conversation("s", (), "t", first[:n]) for n in (1, 2))
    assert longer[: len(shorter)] == shorter


@given(text=st.text(max_size=500), limit=st.integers(0, 300))
def test_shortened_texts_keep_both_ends(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert short == text if len(text) <= limit else short[:1] in (text[:1], " ")
    assert len(short) <= max(len(text), limit + 70)


def test_what_a_world_says_of_calls_is_made_plain() -> None:
    assert plain_result('{"value": "text"}') == "text"
    assert plain_result('{"value": {"a": [1]}}') == '{"a": [1]}'
    failure = {"failure": {"kind": "error", "message": "no file", "where": "0"}}
    assert plain_result(json.dumps(failure)) == "failed: no file"
    both = {"results": [{"value": None}, failure]}
    assert plain_result(json.dumps(both)) == "null\nfailed: no file"
    for other in ("words", "[1]", '{"a": 1}', '{"results": 3}', "3", ""):
        assert plain_result(other) == other


@pytest.mark.parametrize(
    "reply",
    ['{"a": [1, "}"]}', 'Sure!\n```json\n{"a": [1, "}"]}\n```', 'I say {this: {"a": [1, "}"]}'],
)
def test_json_is_found_in_replies(reply: str) -> None:
    assert read_json(reply) == {"a": [1, "}"]}


@given(st.text(max_size=60))
def test_any_reply_is_read_or_refused_in_words(reply: str) -> None:
    try:
        read_json(reply)
    except ValueError as error:
        assert "no JSON" in str(error)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        read_json("[" * 100_000)


def test_programs_are_read_whole() -> None:
    """Back-quotes within a program do not end it (a pain of fences found by patterns)."""
    program = 'x = "```"\nprint(x)  # ``` and on'
    assert read_code(f"Here:\n```python\n{program}\n```\nDone ```x```.") == program
    assert read_code(program.replace("```", "'")) == program.replace("```", "'")
    assert read_code("```\na = 1") == "a = 1"


def test_the_answer_tool_is_found_and_filled() -> None:
    found = answer_tool(TOOLS)
    assert found is not None and found.name == "answer"
    assert not found.check_arguments(answer_call(found, "x" * 5000)["arguments"])
    assert answer_tool(TOOLS[:3]) is None
    with pytest.raises(ValueError, match="no tool is called 'end'"):
        answer_tool(TOOLS, "end")


def test_calls_are_found_in_unions() -> None:
    space = ToolSpace(tools=TOOLS)
    union = UnionSpace(spaces={"keys": ChoiceSpace(names=("a",)), "calls": space})
    assert ToolPart.of(union).action({"tool": "x"}) == {"space": "calls", "action": {"tool": "x"}}
    assert ToolPart.of(space).action(3) == 3
    with pytest.raises(ValueError, match="needs a ToolSpace"):
        ToolPart.of(ChoiceSpace(names=("a",)))


# ------------------------------------------------------------------------------------ retrieval


def test_retrieval_prefers_shared_words_and_names() -> None:
    def shown(query: str, count: int) -> list[str]:
        return [tool.name for tool in relevant_tools(TOOLS, query, count, ("answer",))]

    assert "move_file" in shown("move the files somewhere else", 3)
    assert shown("aggregate it", 2) == ["aggregate", "answer"]
    assert shown('{"tools": ["convert", "calculate"]}', 3) == ["convert", "calculate", "answer"]
    assert len(shown("", 5)) == 5 and "answer" in shown("", 5)
    assert relevant_tools(TOOLS, "any", 1000) == TOOLS


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=5))
def test_scores_are_not_negative(query: str, texts: list[str]) -> None:
    found = scores(query, texts)
    assert len(found) == len(texts) and all(score >= 0 for score in found)


# -------------------------------------------------------------------------- copied arguments


def by_name(name: str) -> Tool:
    return next(tool for tool in TOOLS if tool.name == name)


def test_arguments_are_restricted_to_what_was_said() -> None:
    task = "Move the file that mentions K-307 into the folder done; keep its name."
    results = ['{"lines": [{"path": "notes/alder.txt", "line": "Reference K-307"}], "found": 1}']
    said = spans([task, *results])
    assert {"K-307", "notes/alder.txt", "done/alder.txt", "1"} <= set(said)
    assert not {"the", "into"} & set(said)
    (move,) = copied([by_name("move_file")], [task, *results])
    choices = move.input_schema["properties"]["to"]["enum"]
    assert "done/alder.txt" in choices and "alder.txt'" not in choices
    assert not move.check_arguments({"path": "notes/alder.txt", "to": "done/alder.txt"})
    assert move.check_arguments({"path": "notes/elder.txt", "to": "done/alder.txt"})


def test_long_texts_and_choices_are_left_alone() -> None:
    (write,) = copied([by_name("write_file")], ["a b"])
    assert "enum" not in write.input_schema["properties"]["text"]
    (aggregate,) = copied([by_name("aggregate")], ["sum amount"])
    how = aggregate.input_schema["properties"]["how"]
    assert how == by_name("aggregate").input_schema["properties"]["how"]


def test_numbers_are_those_that_were_said() -> None:
    (convert,) = copied([by_name("convert")], ["How many kilograms are 71.9 pounds, K-12?"])
    assert convert.input_schema["properties"]["value"]["enum"] == [71.9]
    (same,) = copied([by_name("convert")], ["no number"])
    assert "enum" not in same.input_schema["properties"]["value"]


def test_answers_are_copied_from_results_or_quoted_words() -> None:
    answer = copied_answer(by_name("answer"), ['{"value": 32.6, "unit": "kg"}'])
    assert answer.input_schema["properties"]["text"]["enum"] == ["32.6", "kg", "done"]


@given(st.lists(st.text(max_size=40), max_size=4))
def test_restricted_tools_are_tools(texts: list[str]) -> None:
    for tool in copied(TOOLS, texts):
        schema = call_schema([tool])
        assert schema["properties"]["tool"] == {"const": tool.name}


# ---------------------------------------------------------------------------------- schemas


json_schemas = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer"}, {"type": "string", "maxLength": 9999},
                     {"enum": ["a"]}, {}]),
    lambda inner: st.builds(lambda one: {"type": "array", "items": one}, inner)
    | st.dictionaries(st.sampled_from("abc"), inner).map(
        lambda named: {"type": "object", "properties": named}
    ),
    max_leaves=8,
)  # fmt: skip


@given(json_schemas)
def test_every_string_and_list_has_a_limit(schema: dict[str, Any]) -> None:
    def check(node: dict[str, Any]) -> None:
        if node.get("type") == "string":
            assert node["maxLength"] <= 1000
        if node.get("type") == "array":
            assert node["maxItems"] <= 16
            check(node["items"])
        for inner in node.get("properties", {}).values():
            check(inner)

    limited = bounded(schema)
    check(limited)
    assert bounded(limited) == limited


def test_a_call_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="tools is empty"):
        call_schema([])


# -------------------------------------------------------------------------------- references


def test_references_are_filled_in() -> None:
    values = {"a": {"lines": [{"path": "x.txt"}], "n": 3}, "b": "words"}
    assert fill({"p": "${a.lines[0].path}", "n": ["${a.n}"]}, values) == {"p": "x.txt", "n": [3]}
    assert fill("${b} and ${a.n}", values) == "words and 3"
    assert fill("${a.lines[5].path} ${c}", values) == "${a.lines[5].path} ${c}"
    assert references({"p": "${a.lines[0]}", "q": ["${b} ${c}", 1]}) == {"a", "b", "c"}


@given(st.recursive(st.text() | st.integers(), st.lists, max_leaves=5))
def test_what_refers_to_nothing_stays(value: Any) -> None:
    if not references(value):
        assert fill(value, {"a": 1}) == value
