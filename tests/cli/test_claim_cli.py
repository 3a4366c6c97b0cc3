"""``enactive claim`` and ``enactive systems``: from a registered name to a kept verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from enactive.cli import main

TOY = Path(__file__).parents[1] / "evaluation" / "toy_claim.py"


def call(*words: str) -> int:
    """The exit code of a command line, however it is given."""
    try:
        return main(words)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that registers the toy claim as ``my_toy``, and a broken one beside it."""
    package = tmp_path / "package"
    information = package / "toys-1.0.dist-info"
    information.mkdir(parents=True)
    shutil.copy(TOY, package / "my_toys.py")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[enactive.systems]\nmy_toy = my_toys:claim\nbroken_toy = my_toys:nothing\n"
    )
    monkeypatch.syspath_prepend(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return package


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a system or self-test; known: "),
        (["my_toi"], "no system is called 'my_toi'; did you mean 'my_toy'"),
        (["nowhere.py:claim"], "there is no file"),
        (["my_toy", "--quick", "--keep", "claims"], "--keep is for full runs"),
        (["my_toy", "--workers", "0"], "workers must be at least 1, got 0"),
        (["my_toy", "--address", "auto"], "--address is of a Ray cluster; add --ray"),
        (["my_toy", "--seeds", "1", "1"], "seeds must be different"),
    ],
)
def test_a_mistake_is_answered_with_one_message(
    words: list[str], message: str, registered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("claim", *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("enactive: claim: ")
    assert not Path("runs").exists()


def test_a_claim_from_a_name_to_the_table_of_systems(
    registered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("systems") == 0
    before = capsys.readouterr().out
    assert "my_toy" in before and "not run" in before
    assert "cannot be loaded" in before and "there is no" not in before.partition("broken_toy")[0]

    assert call("claim", "my-toy", "--quick", "--workers", "2") == 0
    said = capsys.readouterr().out
    assert "quick variant" in said and "runs/claims/quick/toy/verdict.html" in said
    assert Path("runs/claims/quick/toy/verdict.html").is_file()
    assert not Path("claims").exists()

    words = ("claim", "my_toy", "--workers", "2", "--keep", "claims", "--prune")
    assert call(*words) == 0
    said = capsys.readouterr().out
    assert "better" in said and "threshold 0.1" in said
    kept = json.loads(Path("claims/toy/result.json").read_text())
    assert kept["reference"] == "my_toy" and len(kept["units"]) == 6 and not kept["quick"]
    assert kept["pooled"]["success"]["better"]["episodes"] == 80
    assert "The arms' train_steps differ: plain 50, better 100, same 50." in kept["cautions"]
    assert sorted(path.name for path in Path("claims/toy").iterdir()) == [
        "figures", "result.json", "verdict.html", "verdict.md",
    ]  # fmt: skip
    assert not list(Path("runs/claims/toy").rglob("*.safetensors"))
    assert len(list(Path("runs/claims/toy").rglob("journal.sqlite"))) == 6

    assert call("systems", "--markdown") == 0
    table = capsys.readouterr().out
    verdict = kept["verdict"]
    [line] = [line for line in table.splitlines() if "A toy" in line]
    assert f"[**{verdict}**](claims/toy/verdict.md)" in line and "coin `numpy.random`" in line
    assert "often \\| than" in line
    assert call("systems") == 0
    assert verdict in capsys.readouterr().out

    # Declared otherwise since, the old verdict does not pass for the new one's.
    path = registered / "my_toys.py"
    path.write_text(path.read_text().replace("threshold=0.1", "threshold=0.15"))
    kept["declaration"]["budget"] = "another"
    Path("claims/toy/result.json").write_text(json.dumps(kept))
    assert call("systems", "--markdown") == 0
    assert "declared differently" in capsys.readouterr().out


def test_a_failed_unit_is_an_exit_code(
    registered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (registered / "fail-plain-0").touch()
    assert call("claim", f"{registered}/my_toys.py:claim", "--quick") == 1
    captured = capsys.readouterr()
    assert "RuntimeError: plain broke on purpose" in captured.err
    assert "broke on purpose" in Path("runs/claims/quick/toy/verdict.md").read_text()


def test_names_are_listed(registered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("claim", "--list") == 0
    said = capsys.readouterr().out
    assert "my_toy" in said and "The better arm succeeds more often" in said and "self-test" in said


def test_the_self_test_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("claim", "self-test", "--claims", "1000") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "passed: 2." in said or "passed: 1." in said
    assert "60,000 simulated claims" in said
