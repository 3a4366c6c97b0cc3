"""The code on the pages about the workspace and about registers runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs" / "agents"


@pytest.mark.parametrize(
    ("page", "runs"), [("workspace.md", (0, 1, 2)), ("registers.md", (0,))]
)  # others are pieces, with names that the reader has
def test_blocks_run(page: str, runs: tuple[int, ...]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    names: dict[str, object] = {}
    for place in runs:
        exec(compile(blocks[place], page, "exec"), names)
    if page == "workspace.md":
        step = names["step"]
        assert getattr(step, "success", False)
