"""The code of docs/evaluation.md runs as it stands, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("metaworld")
PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


@pytest.mark.slow
def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 7
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert "faucet-open: 2/2" in said
    assert "is better than random" in said or "no difference" in said
    assert "4 of 4 are bit-equal" in said
    assert "shares 20 steps with main/button-press-topdown/1000000-" in said
    assert "4 of 8 are swapped" in said
    assert (tmp_path / "evaluation" / "report.html").is_file()
