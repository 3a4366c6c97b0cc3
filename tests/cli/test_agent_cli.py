"""``enactive agent``: real runs against a server of known replies, and with the embedded model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enactive.cli import main
from enactive.models.language_models.language_model import Completion, Message, Request, Usage
from enactive.models.language_models.openai_protocol import request_body
from enactive.models.language_models.transcript import Exchange, Fault, Transcript, TranscriptServer


class Anything(TranscriptServer):
    """Answers whatever is asked with its replies in order."""

    def __init__(self, replies: list[Any], **more: Any) -> None:
        usage = Usage(prompt_tokens=100, completion_tokens=10)
        exchanges = [
            Exchange(asked="", last="", completion=Completion(text=json.dumps(r), usage=usage))
            for r in replies
        ]
        super().__init__(transcript=Transcript(exchanges=tuple(exchanges)), **more)

    def take(self, content: bytes) -> Fault | Completion | str:
        self.bodies.append(content)
        turn = min(len(self.bodies), len(self.transcript.exchanges)) - 1
        return self.transcript.exchanges[turn].completion


def act(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"thought": f"I use {tool}", "action": {"tool": tool, "arguments": arguments}}


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "a.txt").write_text("Reference K-307\n")
    return tmp_path / "papers"


MOVE = [
    act("search_files", text="K-307"),
    act("move_file", path="a.txt", to="done/a.txt"),
    act("answer", text="moved"),
]


def test_a_task_in_a_folder_is_done_and_shown(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with Anything(MOVE) as server:
        words = ["agent", "Move it", "--workspace", str(papers), "--out", str(out),
                 "--model", f"openai:small@{server.url}", "--approve", "all",
                 "--prices", "1", "10"]  # fmt: skip
        assert main(words) == 0
        first = json.loads(server.bodies[0])
    assert (papers / "done" / "a.txt").is_file()
    said = capsys.readouterr().out
    assert "I use move_file" in said and "answer moved" in said
    assert "whether it is done is for you to judge" in said and "success" not in said
    assert "300 tokens read" in said and "0.0006 US dollars" in said
    assert first["model"] == "small" and "move_file(path: string" in first["messages"][0]["content"]
    assert main(["trace", str(out)]) == 0
    assert "move_file" in capsys.readouterr().out
    assert main(["replay", str(out)]) == 0
    assert "1 of 1 episodes are bit-equal" in capsys.readouterr().out


def test_changes_are_not_made_unasked(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody sits at the terminal of a test, so what would be asked is rejected, and said so."""
    with Anything(MOVE) as server:
        words = ["agent", "Move it", "--workspace", str(papers), "--out", str(tmp_path / "run"),
                 "--model", f"openai:small@{server.url}"]  # fmt: skip
        assert main(words) == 0
        last = json.loads(server.bodies[-1])["messages"][-1]["content"]
    assert (papers / "a.txt").is_file()
    assert "rejected: move_file was rejected: nobody is there" in capsys.readouterr().out
    assert "was rejected" in last
    assert main(["replay", str(tmp_path / "run")]) == 0


def test_budgets_end_it(papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Anything([act("list_files", folder="")]) as server:
        words = ["agent", "List", "--workspace", str(papers), "--out", str(tmp_path / "run"),
                 "--model", f"openai:small@{server.url}", "--tokens", "150"]  # fmt: skip
        assert main(words) == 1
    assert "the budget of 150 tokens is used up" in capsys.readouterr().out


def test_a_run_goes_on_where_the_model_failed(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["agent", "Move it", "--workspace", str(papers), "--out", str(out), "--approve", "all",
             "--model"]  # fmt: skip

    class Refuses(Anything):
        def take(self, content: bytes) -> Fault | Completion | str:
            return super().take(content) if len(self.bodies) < 1 else "not any more"

    with Refuses(MOVE) as server:
        url = server.url
        assert main([*words, f"openai:small@{url}"]) == 2
    assert "goes on from here" in capsys.readouterr().err
    with Anything(MOVE[1:]) as server:  # another port is another model
        assert main([*words, f"openai:small@{server.url}"]) == 2
    assert "cannot go on as another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["agent"], "say what is to be done"),
        (["agent", "x", "--model", "gpt"], "none of embedded, openai:NAME@URL and FILE.gguf"),
        (["agent", "x", "--model", "openai:gpt"], "write openai:NAME@URL"),
        (["agent", "x", "--model", "none.gguf"], "none.gguf is no file"),
        (["agent", "x", "--workspace", "nowhere"], "nowhere is no folder"),
        (["agent", "x", "--model", "openai:m@http://h/v1", "--key", "NO_SUCH"], "NO_SUCH, which"),
        (["agent", "--world", "pusht", "--model", "openai:m@http://h/v1"], "needs a ToolSpace"),
    ],
)
def test_mistakes_are_explained(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err


def test_the_embedded_model_does_a_task_of_the_workspace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xllamacpp")
    words = ["agent", "--world", "workspace", "--task", "tables-1", "--seed", "1000000", "--out",
             str(tmp_path / "run")]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "filter_rows(table=orders" in said and "success" in said


def test_the_protocols_body_has_what_the_planner_said() -> None:
    body = request_body(Request(messages=(Message(role="tool", content="r"),)), "m")
    assert body["messages"] == [{"role": "user", "content": "r"}]


def test_a_plan_is_made_in_parallel_by_the_runtime(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [
        {"id": "a", "tool": "search_files", "arguments": {"text": "K-307"}, "after": []},
        {"id": "b", "tool": "calculate", "arguments": {"expression": "1 + 1"}, "after": []},
        {"id": "c", "tool": "move_file", "after": [],
         "arguments": {"path": "${a.lines[0].path}", "to": "done/${b.value}.txt"}},
        {"id": "d", "tool": "answer", "arguments": {"text": "${c.path}"}, "after": ["c"]},
    ]  # fmt: skip
    with Anything([{"calls": calls}]) as server:
        words = ["agent", "Move it", "--workspace", str(papers), "--out", str(tmp_path / "run"),
                 "--model", f"openai:small@{server.url}", "--planner", "plan_then_act",
                 "--approve", "all"]  # fmt: skip
        assert main(words) == 0
        assert len(server.bodies) == 1
    assert (papers / "done" / "2.0.txt").is_file()
    said = capsys.readouterr().out
    assert "answer done/2.0.txt" in said and "3 decisions, 4 calls" in said
    assert main(["replay", str(tmp_path / "run")]) == 0
