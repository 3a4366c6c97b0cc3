"""The import contract holds, and it would notice if it did not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("importlinter")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_lower_layers_never_import_higher_ones() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("seeding.py", "import enactive.actions.spaces"),
        ("episodes/statistics.py", "import enactive.evaluation.statistics"),
        ("episodes/statistics.py", "import enactive.worlds.metaworld"),
        ("actions/spaces.py", "def lazily():\n    import enactive.cli"),
        ("episodes/statistics.py", "import torch"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, line: str) -> None:
    shutil.copytree(ROOT / "src" / "enactive", tmp_path / "enactive")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "enactive" / module).open("a") as file:
        file.write(f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout
