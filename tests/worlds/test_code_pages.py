"""The pages on code and tools run as they are written, and no text is evaluated in this process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = ("exec", "eval", "compile", "__import__")
INSIDE = "worlds/code/sandbox"
"""What runs in the sandbox may evaluate: that is what it is for."""


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("code", ["'8\\n'", "Nothing was run", "value: 3", "Error: Traceback"]),
        ("tools", ["Returned(value=3)", "arguments: ", "clock_convert_time", "read_only=True"]),
    ],
)
def test_a_page_runs_as_it_is_written(page: str, said: list[str], tmp_path: Path) -> None:
    for package in ("pydantic_monty", "mcp", "mcp_server_time"):
        pytest.importorskip(package)
    text = (ROOT / "docs" / "agents" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for words in said:
        assert words in result.stdout


def test_no_text_is_evaluated_in_this_process() -> None:
    found: list[str] = []
    source = ROOT / "src" / "enactive"
    for path in source.rglob("*.py"):
        if INSIDE in path.as_posix():
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in FORBIDDEN:
                found.append(f"{path.relative_to(source)}:{node.lineno}: {called.id}")
    assert not found
