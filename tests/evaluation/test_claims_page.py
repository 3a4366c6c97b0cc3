"""Verdict pages: what they say, as Markdown, HTML and JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from enactive.evaluation.claims.claim import Claim, Figure, Hypothesis, Measurement
from enactive.evaluation.claims.page import write_pages
from enactive.evaluation.claims.results import Result, as_json, result, to_text
from enactive.evaluation.claims.runner import Plan
from enactive.evaluation.claims.units import Record
from enactive.evaluation.report import svg

RATES = {"plain <1>": (0.1, 0.2, 0.15), "new & better": (0.7, 0.8, 0.6)}


def difference(arms: Mapping[str, Measurement]) -> float:
    return arms["new & better"].outcome("success") - arms["plain <1>"].outcome("success")


def curves(found: Mapping[tuple[str, int], Measurement]) -> Sequence[Figure]:
    rows = [svg.Series(name=arm, x=[0, 1], y=[0, 1]) for arm, _ in found]
    return [
        Figure(title="Loss over steps", svg=svg.lines(rows, title="loss"), caption="All seeds.")
    ]


CLAIM = Claim(
    system="toy",
    title="A toy",
    statement="New is better | than <plain>.",
    source="Somebody 2020, arXiv 2001.00001, section 3.",
    world="a coin",
    arms={"plain <1>": "a rate of 20 %", "new & better": "a rate of 80 %"},
    controls={"luck": "three seeds"},
    hypotheses=(
        Hypothesis(
            name="better", statement="new beats plain | by ten points", value=difference,
            direction="greater", threshold=0.1, unit="success rate",
        ),
        Hypothesis(
            name="much better", statement="by ninety points", value=difference,
            direction="greater", threshold=0.9, primary=False,
        ),
        Hypothesis(
            name="one pass", statement="one pass", value=lambda arms: 1.0,
            direction="less", threshold=1, exact=True,
        ),
    ),
    seeds=(0, 1, 2),
    budget="20 episodes",
    measure=lambda arm, seed, directory, shared: Measurement(),
    figures=curves,
    parts={"coin": "numpy.random"},
    earlier_runs=("a run with half the steps was inconclusive",),
    not_tried=("anything real",),
    scale_note="a million times smaller",
)  # fmt: skip


def made(*, failed: bool = False, quick: bool = False) -> Result:
    records: list[Record] = []
    for arm, rates in RATES.items():
        for seed, rate in enumerate(rates):
            wins = round(20 * rate)
            measurement = Measurement(
                outcomes={"success": rate},
                episodes={"success": [1] * wins + [0] * (20 - wins), "length": range(20)},
                cost={"train_steps": 100, "parameters": 10 + 10 * (arm == "new & better")},
            )
            broken = failed and (arm, seed) == ("plain <1>", 1)
            records.append(
                Record(
                    arm=arm,
                    seed=seed,
                    attempt=1,
                    measurement=None if broken else measurement,
                    error="Traceback\nRuntimeError: <broken>" if broken else "",
                    seconds=30.0,
                    commit="abc" * 10,
                    started="2026-01-02T03:04:05+00:00",
                    machine="a machine",
                )
            )
    plan = Plan(claim=CLAIM, reference="toy", quick=quick, root=Path("runs/claims/toy"),
                shared=Path("runs/claims/shared"))  # fmt: skip
    return result(plan, records)


class Strict(HTMLParser):
    """Every element that opens closes, in order; remembers texts and sources."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_html_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    page = Strict()
    page.feed(write_pages(made(), tmp_path).read_text())
    assert page.open == []
    assert all(source.startswith(("#", "data:")) for source in page.sources)
    for said in (
        "New is better | than <plain>.", "supported", "Both primary hypotheses are supported",
        "a rate of 80 %", "three seeds", "anything real",
        "half the steps was inconclusive", "a million times smaller",
        "enactive claim toy", "numpy.random", "much better (secondary)", "not supported",
        "The arms' parameters differ: plain <1> 10, new & better 20.",
        "9 / 60", "42 / 60", "a machine", "3.0 minutes",
    ):  # fmt: skip
        assert said in page.text, said


def test_markdown_tables_keep_their_shape(tmp_path: Path) -> None:
    write_pages(made(), tmp_path)
    text = (tmp_path / "verdict.md").read_text()
    assert text.startswith("# A toy\n\n**Supported.** Both primary hypotheses are supported.")
    assert "section 3.\n" in text and ".." not in text.split("## Hypotheses")[0]
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert pictures == [
        "figures/00-hypotheses.svg", "figures/01-success.svg", "figures/02-loss-over-steps.svg",
    ]  # fmt: skip
    for name in pictures:
        root = ElementTree.fromstring((tmp_path / name).read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.find("./*") is not None
        assert "--ink:" in "".join(root.itertext()), "it has its colours with it"


def test_pictures_of_an_earlier_run_go(tmp_path: Path) -> None:
    write_pages(made(), tmp_path)
    (tmp_path / "figures" / "09-old.svg").touch()
    write_pages(made(), tmp_path)
    assert len(list((tmp_path / "figures").iterdir())) == 3


def test_failures_are_on_the_page(tmp_path: Path) -> None:
    found = made(failed=True)
    html = write_pages(found, tmp_path).read_text()
    text = (tmp_path / "verdict.md").read_text()
    for page in (html, text):
        assert "1 of 6 units" in page and "seed 1, attempt 1 (tried again" in page
    assert "RuntimeError: &lt;broken&gt;" in html and "RuntimeError: <broken>" in text
    assert text.startswith("# A toy\n\n**Inconclusive.**")


def test_a_picture_that_fails_does_not_cost_the_page(tmp_path: Path) -> None:
    def broken(found: Mapping[tuple[str, int], Measurement]) -> Sequence[Figure]:
        return [Figure(title="x", svg=str(found["nobody", 0]))]

    found = made()
    found = dataclasses.replace(found, claim=dataclasses.replace(CLAIM, figures=broken))
    html = write_pages(found, tmp_path).read_text()
    assert "could not be drawn: KeyError: (&#x27;nobody&#x27;, 0)" in html


def test_a_quick_page_has_no_verdict(tmp_path: Path) -> None:
    html = write_pages(made(quick=True), tmp_path).read_text()
    text = (tmp_path / "verdict.md").read_text()
    assert "**Quick run, no verdict.**" in text and "**Supported" not in text
    assert '<p class="ruling open">quick run, no verdict</p>' in html
    assert "enactive claim toy --quick" in text


def test_the_numbers_are_kept(tmp_path: Path) -> None:
    found = made()
    write_pages(found, tmp_path)
    text = (tmp_path / "result.json").read_text()
    kept = json.loads(text)
    assert kept == json.loads(to_text(as_json(found)))
    assert kept["verdict"] == "supported" and kept["date"] == "2026-01-02"
    assert kept["minutes"] == pytest.approx(3.0)
    assert kept["declaration_hash"] == CLAIM.hash
    assert kept["pooled"]["success"]["new & better"]["successes"] == 42
    assert "length" not in kept["pooled"]
    assert kept["units"][0]["measurement"]["episodes"]["success"] == [1] * 2 + [0] * 18
    assert '"success": [ 1, 1, 0, 0' in text, "rows of numbers stay on one line"


def test_other_seeds_than_declared_are_pointed_out() -> None:
    base = made()
    fewer = dataclasses.replace(CLAIM, seeds=(0, 1))
    plan = Plan(claim=fewer, reference="toy", quick=False, root=base.root, shared=base.root)
    notes = result(plan, [r for r in base.records if r.seed < 2], CLAIM).cautions
    assert "Run with the seeds 0, 1; declared are 0, 1, 2." in notes
