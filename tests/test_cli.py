"""The command line: answers to mistakes, parts chosen by name, and the loop from end to end."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shlex
from pathlib import Path

import pytest

from enactive.cli import COMMANDS, main, usage
from enactive.cli.arguments import choose_parts
from enactive.cli.derived import field_notes
from enactive.cli.mistakes import UserError

PARTS = {"head": ("heads", "flow_matching"), "backbone": ("backbones", "small_vla")}


def call(*words: str) -> int:
    """The exit code of a command line, however it is given."""
    try:
        return main(words)
    except SystemExit as end:
        return int(end.code or 0)


def squeezed(text: str) -> str:
    """A help text without the boxes and line breaks that depend on the terminal's width."""
    return " ".join(text.translate(str.maketrans("│─╭╮╰╯", "      ")).split())


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


# -------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["colect"], "no command is called 'colect'; did you mean 'collect'"),
        (["train", "data", "--head", "flow"], "no head is called 'flow'; did you mean 'flow_matc"),
        (["train", "data", "--backbone=small_vlaa"], "did you mean 'small_vla'"),
        (["train", "data", "--head"], "--head needs the name of one of the heads: "),
        (["train", "--out", "x"], "name at least one dataset"),
        (["train", "nowhere"], "--out names the directory"),
        (["train", "nowhere", "--out", "x"], "nowhere is not a LeRobotDataset"),
        (["train", "a", "b", "--weights", "1", "--out", "x"], "1 weights for 2 datasets"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["train", "--config"], "--config needs a file"),
        (["collect", "--world", "metawrold"], "no world is called 'metawrold'; did you mean 'met"),
        (["evaluate", "expert"], "--out names the directory"),
        (["evaluate", "--out", "x"], "name a policy"),
        (["evaluate", "exprt", "--out", "x"], "no run or checkpoint is at exprt; did you mean 'ex"),
        (["evaluate", "expert", "--out", "x"], "--world names the world"),
        (["evaluate", "--power", "--difference", "0.5"], "must lie in [0, 1]"),
        (["compare", "nowhere", "nowhere"], "there is no evaluation"),
        (["replay", "nowhere"], "there are no recorded episodes"),
        (["check", "wrold", "metaworld"], "cannot check a 'wrold'; did you mean 'world'"),
        (["check", "world", "pushtt"], "no world is called 'pushtt'; did you mean 'pusht'"),
        (["check", "dataset", "nowhere"], "nowhere is not a LeRobotDataset"),
        (["info", "nowhere"], "nowhere is no dataset, run, evaluation or journal"),
    ],
)
def test_a_mistake_is_answered_with_one_message(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("enactive: ")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "data", "--head", "l1", "--head.dpeth", "3"], "--head.depth"),
        (["train", "data", "--batch-sice", "3"], "--batch-size"),
        (["train", "data", "--steps", "many"], "many"),
        (["evaluate", "expert", "--wording", "own"], "held_out"),
        (["check", "datasets", "x"], "dataset"),
        (["fork", "x"], "EPISODE"),
    ],
)
def test_a_wrong_option_is_answered_with_the_right_one(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == 2
    captured = capsys.readouterr()
    assert message in captured.err + captured.out


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what was typed is answered with a message; an error in the code is not swallowed."""
    (tmp_path / "broken.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Config:\n"
        "    def build(self):\n        return 1 / 0\n"
    )
    with pytest.raises(ZeroDivisionError):
        main(["check", "world", f"{tmp_path}/broken.py:Config"])


# ------------------------------------------------------------------------------------ help


def test_usage_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown == f"{usage()}\n" * 2
    for command in COMMANDS:
        assert f"\n  {command} " in shown


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    shown = squeezed(capsys.readouterr().out)
    assert f"usage: enactive {command}" in shown
    assert "Examples:" in shown
    assert shown.count(f"enactive {command}") >= 2


def test_help_shows_the_chosen_part_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--head", "flow_matching", "--help") == 0
    flow = squeezed(capsys.readouterr().out)
    assert call("train", "--head", "l1", "--help") == 0
    l1 = squeezed(capsys.readouterr().out)
    assert "--head.steps" in flow and "--head.steps" not in l1
    assert "now: l1" in l1 and "now: flow_matching" in flow


def test_options_carry_the_configurations_own_words() -> None:
    from enactive.training.config import Training

    notes = field_notes(Training)
    assert notes["batch_size"].startswith("Windows per optimizer step")
    assert set(notes) == set(Training.__dataclass_fields__)


# ----------------------------------------------------------------------------------- parts


def test_parts_are_read_before_options_and_the_rest_is_kept() -> None:
    words = ["a", "--head", "l1", "--head.depth", "3", "--backbone=small_vla", "--steps", "5"]
    choices, rest = choose_parts(words, PARTS)
    assert rest == ["a", "--head.depth", "3", "--steps", "5"]
    assert (choices["head"].name, choices["head"].given) == ("l1", True)
    assert type(choices["head"].config).__qualname__ == "L1.Config"
    assert choices["backbone"].given


def test_parts_that_are_not_named_are_the_defaults() -> None:
    choices, rest = choose_parts([], PARTS)
    assert rest == []
    assert choices["head"].name == "flow_matching" and not choices["head"].given


def test_a_part_from_a_file_is_chosen_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    width: int = 3\n"
    )
    choices, _ = choose_parts(["--head", f"{file}:Config"], PARTS)
    assert choices["head"].config.width == 3


def test_a_part_without_a_name_is_a_mistake() -> None:
    with pytest.raises(UserError, match="flow_matching, l1"):
        choose_parts(["--head", "--steps", "5"], PARTS)


# -------------------------------------------------------------------------------- commands


def test_power_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("evaluate", "--power", "--baseline", "0.8", "--difference", "0.1") == 0
    paired = capsys.readouterr().out
    assert call("evaluate", "--power", "--unpaired", "--baseline", "0.8") == 0
    unpaired = capsys.readouterr().out
    counts = [int(text.splitlines()[1].split()[0]) for text in (paired, unpaired)]
    assert 100 < counts[0] < counts[1] < 300  # sharing seeds saves episodes


def test_info_names_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    assert call("info") == 0
    shown = capsys.readouterr().out
    assert np.__version__ in shown
    assert "flow_matching, l1" in shown


def test_the_loop_from_end_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Collect, train, evaluate, replay, fork, compare, check and look: every file fits the next."""
    if importlib.util.find_spec("metaworld") is None:
        pytest.skip("needs Meta-World")
    demos, run, first, second = (str(tmp_path / n) for n in ("demos", "run", "first", "second"))
    world = ["--workers", "0"]

    collect = ["collect", "--tasks", "drawer-close", "--episodes", "2", "--out", demos, *world]
    assert call(*collect, "--world", "metaworld", "--world.image-size", "32") == 0
    assert "2 episodes" in capsys.readouterr().out
    assert call("check", "dataset", demos) == 0

    train = ["train", demos, "--out", run, "--head", "l1", "--head.depth", "1", "--threads", "1"]
    train += ["--steps", "3", "--batch-size", "4", "--horizon", "4", "--backbone.width", "32"]
    train += ["--log-every", "1", "--device", "cpu"]
    assert call(*train) == 0
    assert call(*train) == 0  # a finished run has nothing left to do
    assert call(*train, "--seed", "1") == 2  # and is not another run

    evaluate = ["--out", first, "--episodes", "2", "--rules.max-steps", "6", *world]
    assert call("evaluate", run, *evaluate) == 0
    assert "0/2" in capsys.readouterr().out
    seen = ["--first-seed", "0", "--out", second, "--episodes", "2", *world]
    assert call("evaluate", run, *seen) == 2
    assert "seeds were trained on" in capsys.readouterr().err
    expert = ["evaluate", "expert", "--tasks", "drawer-close", *evaluate]
    expert[expert.index(first)] = second
    assert call(*expert, "--world", "metaworld", "--world.image-size", "32") == 0

    assert call("compare", first, second) == 0
    assert "no difference" in capsys.readouterr().out
    assert call("replay", first, "--workers", "0") == 0
    assert "2 of 2 episodes are bit-equal" in capsys.readouterr().out

    results = json.loads((tmp_path / "first" / "evaluation.json").read_text())
    episode = results["episodes"][0]["id"]
    forks = str(tmp_path / "forks")
    assert call("fork", first, episode, "--step", "3", "--policy", run, "--out", forks) == 0
    assert call("replay", forks, "--workers", "0") == 0
    capsys.readouterr()
    assert call("fork", first, episode[:-1], "--step", "3", "--policy", run, "--out", forks) == 2
    assert f"did you mean '{episode}'" in capsys.readouterr().err

    for path, words in [(demos, "2 episodes"), (run, "head      l1"), (first, episode)]:
        assert call("info", path, "--episodes") == 0
        assert words in capsys.readouterr().out


# ------------------------------------------------------------------------------- documents

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [ROOT / "src" / "enactive" / "cli" / f"{command}.py" for command in COMMANDS]


def written_commands(file: Path) -> list[str]:
    """The lines of a document or a help text that call the command."""
    text = file.read_text(encoding="utf-8").replace("\\\\\n", " ").replace("\\\n", " ")
    prefix = "$ enactive " if file.suffix == ".md" else "  enactive "
    lines = [line.strip().removeprefix("$ ") for line in text.splitlines() if prefix in line]
    lines = [line.removesuffix('"""').partition("#")[0] for line in lines]
    return [line for line in lines if line.startswith("enactive ")]


@pytest.mark.parametrize("file", [*DOCUMENTS, *SOURCES], ids=lambda file: file.name)
def test_commands_that_are_written_down_exist(file: Path) -> None:
    """Every command of the documentation and of the help's examples is understood."""
    for line in written_commands(file):
        command, *words = shlex.split(line.removeprefix("enactive "))
        if ".py:" in line or "--config" in words or command.isupper() or command.startswith("-"):
            continue  # these need files that are not here, or are placeholders
        module = importlib.import_module(f"enactive.cli.{command}")
        if {"-h", "--help"} & set(words):
            continue
        assert module.read(words) is not None, line
