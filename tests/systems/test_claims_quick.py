"""Every registered claim runs in its quick variant, from data to page; no verdict is asserted."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from pathlib import Path

import pytest

from enactive.cli import main
from enactive.evaluation.claims.units import load_claim
from enactive.registry import Registry

NAMES = Registry("systems").names()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all claims, whichever process runs them: they share their datasets."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    return base / "claims"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_quick_variant_runs(name: str, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("torch", "metaworld", "gym-pusht"):
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"needs {package}")
    code = main(["claim", name, "--quick", "--out", str(out)])
    claim = load_claim(name, quick=True)
    root = out / "quick" / claim.system
    result = json.loads((root / "result.json").read_text(encoding="utf-8"))
    errors = [unit["error"] for unit in result["units"] if unit["error"]]
    assert code == 0 and not errors, "\n".join(errors)
    assert len(result["units"]) == len(claim.arms) * len(claim.seeds)
    for one in result["hypotheses"]:
        assert "its value failed" not in one["reason"], one
        assert len(one["values"]) == len(claim.seeds)
    for page in ("verdict.html", "verdict.md"):
        assert (root / page).stat().st_size > 1000
    assert list((root / "figures").glob("*.svg"))
    assert "could not be drawn" not in (root / "verdict.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_full_variant_is_declared_with_care(name: str) -> None:
    """What every claim of ours has to say, beyond what a claim must."""
    claim = load_claim(name, quick=False)
    assert len(claim.seeds) >= 3, "an interval over fewer seeds decides little"
    assert claim.controls and claim.not_tried and claim.scale_note and claim.parts
    for module in claim.parts.values():
        path = module.partition(":")[0].partition(" ")[0]  # a note may follow in parentheses
        assert importlib.util.find_spec(path), module
    quick = load_claim(name, quick=True)
    assert quick.system == claim.system and quick.arms.keys() == claim.arms.keys()
    assert [h.name for h in quick.hypotheses] == [h.name for h in claim.hypotheses]
