"""The claim that docs/claims.md declares runs as it is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from enactive.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "claims.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    Path("averaging.py").write_text(block, encoding="utf-8")
    assert main(["claim", "averaging.py:claim", "--workers", "2"]) == 0
    result = json.loads(Path("runs/claims/averaging/result.json").read_text())
    assert result["verdict"] == "supported" and len(result["units"]) == 8
    made = Path("runs/claims/averaging/units/average/seed-3/files/weights.npy")
    assert made.is_file(), "as the page says"
