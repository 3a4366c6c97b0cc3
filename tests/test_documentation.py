"""The quickstart runs as it is written, and the pages that the site promises are there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def code_blocks(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def test_the_quickstart_runs_as_it_is_written(tmp_path: Path) -> None:
    if importlib.util.find_spec("metaworld") is None:
        pytest.skip("needs Meta-World")
    blocks = code_blocks(ROOT / "docs" / "quickstart.md")
    assert len(blocks) == 5
    program = "import torch\ntorch.set_num_threads(1)\n" + "\n".join(blocks)
    environment = {**os.environ, "MUJOCO_GL": "egl"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert re.search(r"^[0-2] 2 Interval", result.stdout, re.M), result.stdout
    assert "values compared" in result.stdout


def test_links_of_the_readme_lead_somewhere() -> None:
    text = "\n".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
    links = re.findall(r"\]\(([^)#]+)\)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", ["README.md", "docs/installation.md"])
def test_the_named_targets_of_make_exist(name: str) -> None:
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / name).read_text()))
    assert {"demo", "test"} <= named
    assert named <= {*rules, "sure"}
