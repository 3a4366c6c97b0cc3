"""The code on the page about worlds runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "worlds.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_every_block_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    page = ModuleType("worlds_page")  # not the main module: no process is spawned
    monkeypatch.setitem(sys.modules, page.__name__, page)
    names = vars(page)
    found = blocks()
    assert len(found) == 6
    for block in found:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["step"].success


def test_the_pools_block_runs_in_this_process() -> None:
    (block,) = [block for block in blocks() if "WorldPool" in block]
    here = block.replace("workers=2", "workers=0")
    assert here != block
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(here, str(PAGE), "exec"), names)
    assert names["running"] == 0
