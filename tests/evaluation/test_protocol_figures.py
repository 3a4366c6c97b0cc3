"""The figures of the page on protocols are those that the benchmarks wrote down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enactive.evaluation.statistics import clopper_pearson

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "evaluation_protocols.md"
RESULTS = ROOT / "bench" / "results"


def results(name: str) -> Any:
    path = RESULTS / name
    if not path.is_file() or not PAGE.is_file():
        pytest.skip(f"needs {path.name} and the documentation")
    return json.loads(path.read_text(encoding="utf-8"))


def page() -> list[str]:
    return PAGE.read_text(encoding="utf-8").splitlines()


def test_coverage() -> None:
    expected = [
        f"| {row['method']} | {row['design']} | {row['truths']} | {row['mean']:.2%} | "
        f"{row['least']:.2%} | {row['promise']} |"
        for row in results("interval_coverage.json")["rows"]
    ]
    start = page().index("| method | design | truths | mean coverage | least | promise |") + 2
    assert page()[start : start + len(expected) + 1] == [*expected, ""]


def test_sequential_errors() -> None:
    found = results("sequential_errors.json")
    assert found["runs"] == 10_000 and found["pairs"] == 250
    for row in found["equal"]:
        line = f"| {row['discordant']:.0%} | {row['stopped']:.2%} | {row['peeking']:.1%} |"
        assert line in page()
        assert row["stopped"] <= 0.05
    for row in found["different"]:
        assert (
            f"| {row['baseline']:.0%} | {row['difference']:+.0%} | {row['fixed']} | {row['most']} "
            f"| {row['mean']:.0f} | {row['power']:.2f} |"
        ) in page()


def test_blind_against_itself() -> None:
    for name, one in results("blind_aa.json").items():
        found, rows = one["summary"], one["rows"]
        assert found["false finds"] == sum(min(row["adjusted"]) <= one["level"] for row in rows)
        interval = clopper_pearson(found["false finds"], len(rows))
        assert found["interval"] == pytest.approx([interval.low, interval.high])
        assert interval.low <= one["level"]  # not more often than stated
        line = (
            f"| {name} | {one['aliases']} | {one['starts']} | {len(rows)} | "
            f"{found['success']:.0%} | {found['false finds']} ({found['rate']:.1%}) | "
            f"{interval.low:.1%} to {interval.high:.1%} |"
        )
        assert line in page()
