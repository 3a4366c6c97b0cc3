"""``enactive trace``, ``replay``, ``fork`` and ``info`` on an agent's run."""

import anyio
import pytest

from enactive.cli import main
from enactive.episodes.action_log import ActionLog
from enactive.models.language_models.language_model import Completion, Usage
from enactive.policies.agents.react import ReAct
from enactive.runtime.run import run
from enactive.runtime.settings import AgentSettings
from enactive.worlds.workspace.world import Workspace


class Stubborn:
    """Says the same thing to everything: a wrong answer, after one conversion."""

    name = "stubborn"

    def __init__(self):
        self.asked = 0

    def describe(self):
        return {}

    def complete(self, request, listener=None):
        self.asked += 1
        if self.asked == 1:
            text = (
                '{"action": {"tool": "convert", "arguments": '
                '{"value": 2, "unit": "kilometre", "to": "metre"}}}'
            )
        else:
            text = '{"action": {"tool": "answer", "arguments": {"text": "forty-two"}}}'
        return Completion(text=text, usage=Usage(prompt_tokens=10, completion_tokens=5))


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("agent")
    settings = AgentSettings(
        world=Workspace.Config(domains=("units",)), planner=ReAct.Config(), task="units-1", seed=7
    )
    agent = settings.build()
    object.__setattr__(agent, "model", Stubborn())
    with ActionLog(path / "actions.sqlite") as log:
        anyio.run(run, agent, log, "first")
    agent.world.close()
    return path


def test_a_trace_shows_what_was_thought_called_and_returned(recording, tmp_path, capsys):
    assert main(["trace", str(recording)]) == 0
    shown = capsys.readouterr().out
    assert "convert(" in shown and "2000" in shown and "forty-two" in shown
    assert "10 tokens read, 5 written" in shown
    page = tmp_path / "trace.html"
    assert main(["trace", str(recording), "first", "--html", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("<!doctype html>") and "forty-two" in text and "<script" not in text


def test_a_run_replays_without_its_model(recording, capsys):
    assert main(["replay", str(recording)]) == 0
    assert "1 of 1 episodes are bit-equal" in capsys.readouterr().out
    assert main(["replay", str(recording), "--decisions", "recorded"]) == 0


def test_a_replay_in_a_changed_world_names_the_place(recording, capsys, monkeypatch):
    from enactive.worlds.workspace import units

    changed = {name: 1.5 * value for name, value in units.UNITS["length"].items()}
    changed["metre"] = 1.0
    monkeypatch.setitem(units.UNITS, "length", changed)
    assert main(["replay", str(recording)]) == 1
    assert "result 0.0.0 was" in capsys.readouterr().err


def test_forks_are_listed_and_mistakes_are_explained(recording, capsys):
    assert main(["fork", str(recording), "first", "--at", "9", "--into", "x"]) == 2
    assert "points 0 to 2" in capsys.readouterr().err
    assert main(["fork", str(recording), "firts", "--at", "0", "--into", "x"]) == 2
    assert "no episode 'firts'" in capsys.readouterr().err
    assert main(["info", str(recording), "--episodes"]) == 0
    assert "1 agents' episodes, 1 ended, 0 with success" in capsys.readouterr().out
    assert main(["replay", str(recording), "--episodes", "firts"]) == 2
    assert "did you mean 'first'" in capsys.readouterr().err
