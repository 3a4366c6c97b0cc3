"""The client against a real server on this machine, with the troubles that servers make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enactive.actions.tools import READS, Call, Tool
from enactive.configuration import to_dict
from enactive.models.language_models.language_model import (
    Completion,
    Message,
    ModelError,
    Request,
    Usage,
)
from enactive.models.language_models.openai_http import OpenAIHTTP
from enactive.models.language_models.openai_protocol import (
    Prices,
    Streamed,
    answer_body,
    answer_chunks,
    completion_of,
    request_body,
)
from enactive.models.language_models.scripted import Scripted
from enactive.models.language_models.transcript import (
    Fault,
    Recording,
    Transcript,
    TranscriptServer,
)

KEY = "sk-very-secret-0123456789"
TOOL = Tool(
    name="read_file",
    description="The text of a file.",
    input_schema={
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    },
    effects=READS,
)


def ask(*words: str, **more: Any) -> Request:
    roles = ("user", "assistant")
    messages = [Message(role=roles[i % 2], content=one) for i, one in enumerate(words)]  # type: ignore[arg-type]
    return Request(messages=(Message(role="system", content="Be brief."), *messages), **more)


def answered(request: Request, completion: Completion) -> Transcript:
    model = Recording(Scripted(name="small", answer=lambda _: completion))
    model.complete(request)
    return model.transcript


def client(server: TranscriptServer, **more: Any) -> OpenAIHTTP:
    headers = more.pop("headers", None)
    given = {"model": "small", "url": server.url, "first_wait_s": 0.001, "timeout_s": 2.0, **more}
    config = OpenAIHTTP.Config(**given)
    return OpenAIHTTP(config, headers) if headers else config.build()


TEXT = Completion(
    text="Zürich — 你好\nsecond line", usage=Usage(prompt_tokens=12, completion_tokens=7)
)
CALLS = Completion(
    text="",
    calls=(
        Call(tool="read_file", arguments={"path": "a b.txt"}, id="c1"),
        Call(tool="read_file", arguments={}, id="c2"),
    ),
    finish="calls",
    usage=Usage(prompt_tokens=3, completion_tokens=5),
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("completion", [TEXT, CALLS], ids=["text", "calls"])
def test_answers_arrive_whole_and_streamed(completion: Completion, stream: bool) -> None:
    request = ask("hello", tools=(TOOL,))
    pieces: list[str] = []
    with TranscriptServer(answered(request, completion), key=KEY) as server:
        model = client(server, stream=stream, headers={"Authorization": f"Bearer {KEY}"})
        assert model.complete(request, pieces.append if stream else None) == completion
        model.close()
    assert "".join(pieces) == (completion.text if stream else "")
    assert len(pieces) > 1 or not (stream and completion.text)


@pytest.mark.parametrize(
    ("faults", "attempts"),
    [
        ([Fault(kind="status", status=429, retry_after="0")], 2),
        ([Fault(kind="status", status=500), Fault(kind="status", status=503)], 3),
        ([Fault(kind="hang", seconds=9.0)], 2),
        ([Fault(kind="cut"), Fault(kind="cut")], 3),
        ([Fault(kind="garbage")], 2),
    ],
    ids=["429", "500", "hang", "cut", "garbage"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_may_pass_is_tried_again(faults: Sequence[Fault], attempts: int, stream: bool) -> None:
    request = ask("hello")
    with TranscriptServer(answered(request, TEXT), faults=faults) as server:
        model = client(server, stream=stream, timeout_s=0.3)
        assert model.complete(request) == TEXT
        assert len(server.bodies) == attempts
        assert len(set(server.bodies)) == 1  # the same bytes each time
        model.close()


def test_it_gives_up_and_says_why() -> None:
    request = ask("hello")
    faults = [Fault(kind="status", status=500, message="out of order")] * 9
    with TranscriptServer(answered(request, TEXT), faults=faults) as server:
        model = client(server, retries=2)
        with pytest.raises(ModelError, match="after 3 attempts.*out of order"):
            model.complete(request)
        assert len(server.bodies) == 3
        model.close()


def test_a_refusal_is_not_tried_again_and_hides_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask("hello")
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setenv("SOME_TEAM", "team-secret")
    with TranscriptServer(answered(request, TEXT), key="another") as server:
        model = client(server, key_variable="SOME_KEY", header_variables={"X-Team": "SOME_TEAM"})
        with pytest.raises(ModelError, match="status 401.*hidden") as refused:
            model.complete(request)
        assert not server.bodies
        model.close()
    shown = f"{refused.value} {refused.value.__cause__} {json.dumps(dict(model.describe()))}"
    assert KEY not in shown and "team-secret" not in shown + repr(to_dict(model.config))


def test_a_key_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ModelError, match="SOME_KEY, which is not set"):
        OpenAIHTTP.Config(model="m", key_variable="SOME_KEY").build()
    with pytest.raises(ModelError, match="model is empty"):
        OpenAIHTTP.Config().build()


def test_an_answer_without_end_is_cut_off() -> None:
    request = ask("hello")
    with TranscriptServer(answered(request, TEXT), faults=[Fault(kind="flood")]) as server:
        model = client(server, max_bytes=1_000_000)
        with pytest.raises(ModelError, match="longer than 1000000 bytes"):
            model.complete(request)
        model.close()


def test_waits_double_are_drawn_and_obey_the_server() -> None:
    settings = {"model": "m", "first_wait_s": 1.0, "longest_wait_s": 20.0}
    one, two = (OpenAIHTTP.Config(**settings, jitter_seed=4).build() for _ in range(2))
    other = OpenAIHTTP.Config(**settings, jitter_seed=5).build()
    waits = [one.wait_s(i, None) for i in range(8)]
    assert waits == [two.wait_s(i, None) for i in range(8)]
    assert waits != [other.wait_s(i, None) for i in range(8)]
    for i, wait in enumerate(waits):
        top = min(2.0**i, 20.0)
        assert top / 2 <= wait <= top
    assert one.wait_s(0, 7.0) == 7.0 and one.wait_s(0, 3600.0) == 20.0


def test_money_and_cached_tokens() -> None:
    usage = Usage(prompt_tokens=1000, cached_tokens=600, completion_tokens=100)
    request = ask("hello")
    with TranscriptServer(answered(request, Completion(text="x", usage=usage))) as server:
        prices = Prices(prompt=2.0, cached=0.5, completion=10.0)
        model = client(server, prices=prices)
        found = model.complete(request).usage
        model.close()
    assert found.cached_tokens == 600
    assert found.money == pytest.approx((400 * 2.0 + 600 * 0.5 + 100 * 10.0) / 1e6)
    assert Prices(prompt=2.0).money(1000, 600, 5) == pytest.approx(2e-3)


def test_longer_conversations_begin_with_the_bytes_of_shorter_ones() -> None:
    """What changes comes last, so that a server's prompt cache can serve the rest."""
    short, long = ask("a", "b", tools=(TOOL,)), ask("a", "b", "c", tools=(TOOL,))
    with TranscriptServer(answered(short, TEXT)) as server:
        model = client(server)
        model.complete(short)
        with pytest.raises(ModelError, match="404"):
            model.complete(long)
        model.close()
        first, second = server.bodies
    same = next(i for i, (x, y) in enumerate(zip(first, second, strict=False)) if x != y)
    assert first[same:].startswith(b'],"max_tokens"')


def test_schemas_go_out_portable() -> None:
    """References, roots that are unions, and long strings break hosts and grammars."""
    schema = {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/Who"}},
        "required": ["who"],
        "$defs": {"Who": {"type": "object", "properties": {"name": {"type": "string",
                                                                    "maxLength": 9999}}}},
    }  # fmt: skip
    tool = Tool(name="greet", description="Greet.", input_schema=schema)
    body = request_body(ask("hi", tools=(tool,), schema=schema), "m")
    sent = (body["tools"][0]["function"]["parameters"],
            body["response_format"]["json_schema"]["schema"])  # fmt: skip
    for one in sent:
        assert "$" not in json.dumps(one) and one["type"] == "object"
        assert one["properties"]["who"]["properties"]["name"]["maxLength"] < 2000


def test_a_call_whose_arguments_are_no_json_is_text_and_no_call() -> None:
    body = answer_body(CALLS, "m")
    body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"path": '
    found = completion_of(body, Prices())
    assert [call.id for call in found.calls] == ["c2"]
    assert 'invalid call of read_file: {"path": ' in found.text


@given(
    text=st.text(st.characters(codec="utf-8"), max_size=60).filter(lambda t: t == t.strip("\n")),
    arguments=st.lists(
        st.dictionaries(st.text("abc", min_size=1), st.integers() | st.text()), max_size=3
    ),
    size=st.integers(1, 9),
)
def test_chunks_and_wholes_say_the_same(
    text: str, arguments: list[dict[str, Any]], size: int
) -> None:
    calls = tuple(Call(tool="t", arguments=one, id=f"c{i}") for i, one in enumerate(arguments))
    usage = Usage(prompt_tokens=4, cached_tokens=2, completion_tokens=9)
    finish = "calls" if calls else "stop"
    given = Completion(text=text, calls=calls, usage=usage, finish=finish)
    assert completion_of(json.loads(json.dumps(answer_body(given, "m"))), Prices()) == given
    streamed = Streamed(Prices())
    pieces = [streamed.add(json.loads(json.dumps(c))) for c in answer_chunks(given, "m", size)]
    assert streamed.completion() == given and "".join(pieces) == text


def test_transcripts_are_written_and_read(tmp_path: Path) -> None:
    transcript = answered(ask("hello"), CALLS)
    transcript.save(tmp_path / "transcript.json")
    assert Transcript.load(tmp_path / "transcript.json") == transcript
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match="no transcript"):
        Transcript.load(tmp_path / "other.json")


def test_a_request_recorded_twice_is_answered_in_order() -> None:
    answers = iter(["one", "two"])
    model = Recording(Scripted(name="s", answer=lambda _: next(answers)))
    for _ in range(2):
        model.complete(ask("again"))
    with TranscriptServer(model.transcript) as server:
        asked = client(server)
        assert [asked.complete(ask("again")).text for _ in range(3)] == ["one", "two", "two"]
        asked.close()


def test_many_threads_share_a_client() -> None:
    model = Recording(Scripted(name="s", answer=lambda r: r.messages[-1].content * 2))
    requests = [ask(f"number {i}") for i in range(12)]
    expected = [model.complete(one) for one in requests]
    with TranscriptServer(model.transcript) as server:
        shared = client(server)
        with ThreadPoolExecutor(6) as pool:
            assert [*pool.map(shared.complete, requests)] == expected
        shared.close()
