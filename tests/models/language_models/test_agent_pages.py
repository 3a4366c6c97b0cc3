"""The examples on the pages about language models and planners run as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[3] / "docs" / "agents"


@pytest.mark.parametrize("name", ["language_models.md", "planners.md"])
def test_the_examples_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "language_models.md":
        pytest.importorskip("xllamacpp")
    text = (PAGES / name).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(compile(block, name, "exec"), names)
    said = capsys.readouterr().out
    expected = {"language_models.md": '{"room": "', "planners.md": "3218.688"}[name]
    assert expected in said
