"""Retention under probes: pairing, rows, ratios against the plain counts, and the report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from reach_world import SPACE, ReachWorld

from enactive.cli import main
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import Rules, evaluation_plan, join
from enactive.evaluation.report.write import write_report
from enactive.evaluation.results import Evaluation
from enactive.evaluation.retention import (
    POOLED,
    as_text,
    axis_of,
    has_probes,
    measures_of,
    probe_plan,
    retention,
    stage_rates,
)
from enactive.evaluation.statistics import clustered_ratio, paired_ratio
from enactive.policies.expert import ExpertPolicy
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorldPool

CONFIG = ReachWorld.Config(max_steps=12)
SPEC = CONFIG.build().spec
PLAN = evaluation_plan(SPEC, ["left", "right"], 6)
NAMES = ["push-1", "push-2", "dark"]
AXES = {one.name: one.axis for one in SPEC.perturbations}
EXPERT = ExpertPolicy.Config(expert="reach_world:expert", privileged="truth", noise=0.6)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorldPool]:
    with WorldPool(CONFIG, 0) as pool:
        yield pool


@pytest.fixture(scope="module")
def found(pool: WorldPool) -> Evaluation:
    plan = join(PLAN, probe_plan(PLAN, NAMES))
    evaluation = evaluate(pool, EXPERT.build(SPEC), plan, rules=Rules(success_hold=0))
    return replace(evaluation, provenance={**evaluation.provenance, "perturbations": AXES})


def test_a_probe_is_the_same_start_with_one_thing_changed() -> None:
    probes = probe_plan(PLAN, ["dark", ("push-1", "dark")], first_index=12)
    assert [one.index for one in probes] == list(range(12, 36))
    assert {one.group for one in probes} == {"probe/dark", "probe/push-1+dark"}
    for probe, one in zip(probes, [*PLAN, *PLAN], strict=True):
        assert (probe.task.name, probe.seed, probe.repeat) == (one.task.name, one.seed, one.repeat)
        assert probe.policy_seed == one.policy_seed
        assert probe.task.instruction == one.task.instruction
    assert probes[-1].task.perturbations == ("push-1", "dark")
    assert len({one.key for one in [*PLAN, *probes]}) == 36
    with pytest.raises(ValueError, match="name of its own"):
        probe_plan(PLAN, ["dark", "dark"])
    with pytest.raises(ValueError, match="no unperturbed episodes"):
        probe_plan(probes, ["dark"])


def test_rows_count_what_happened(found: Evaluation) -> None:
    rows = {(r.axis, r.probe): r for r in retention(found, axes=AXES)}
    assert set(rows) == {
        ("dynamics", "push-1"), ("dynamics", "push-2"), ("dynamics", ""), ("light", "dark"),
        (POOLED, ""),
    }  # fmt: skip
    base = {(e.task, e.seed): e.success for e in found.group()}
    for name in NAMES:
        row = rows[AXES[name], name]
        probe = {(e.task, e.seed): e.success for e in found.group(f"probe/{name}")}
        assert row.before.successes == sum(base.values()) and row.before.episodes == 12
        assert row.after.successes == sum(probe.values())
        both = sum(probe[start] and base[start] for start in base)
        expected = paired_ratio(
            both, sum(probe.values()) - both, sum(base.values()) - both, len(base)
        )
        assert row.ratio == expected
        assert row.clustered is not None
        assert row.clustered == clustered_ratio(
            list(probe.values()), list(base.values()), [task for task, _ in base]
        )
    # A camera that the expert does not look at changes nothing; a wind against it does.
    assert rows["light", "dark"].ratio.estimate == 1.0
    assert rows["dynamics", "push-2"].ratio.estimate < 0.8
    pooled = rows[POOLED, ""]
    assert pooled.before.episodes == 12 and pooled.after.episodes == 36
    assert pooled.ratio.method == "clustered_ratio"
    parts = [rows[AXES[name], name].after.successes for name in NAMES]
    assert pooled.ratio.estimate == pytest.approx(sum(parts) / 3 / sum(base.values()))


def test_stages_are_measured_like_success(found: Evaluation) -> None:
    measures = measures_of(found)
    assert set(measures) == {"went_left", "went_right", "success"} and measures[-1] == "success"
    rates = stage_rates(found)
    assert list(rates) == ["main", *NAMES]
    assert rates["dark"] == rates["main"]
    for condition in rates.values():
        reached = condition["went_left"].successes + condition["went_right"].successes
        assert reached >= condition["success"].successes
    rows = retention(found, axes=AXES, measures=measures)
    assert [r.measure for r in rows] == [m for m in measures for _ in range(5)]


def test_axes_without_a_declaration() -> None:
    assert axis_of("camera-2", {}) == axis_of("camera_10", {}) == "camera"
    assert axis_of("push-1+dark", AXES) == "dynamics+light"
    assert axis_of("push-1+push-2", AXES) == "dynamics"


def test_nothing_to_retain(pool: WorldPool) -> None:
    plan = join(PLAN, probe_plan(PLAN, ["dark"]))
    lost = evaluate(pool, RandomPolicy(SPACE), plan, rules=Rules(max_steps=1))
    (row,) = retention(lost)
    assert math.isnan(row.ratio.estimate) and row.ratio.high == math.inf
    assert "n/a" in as_text([row]) and "0.00 to inf" in as_text([row])


def test_refusals(found: Evaluation) -> None:
    cut = replace(found, episodes=found.episodes[1:])
    with pytest.raises(ValueError, match="3 probe episodes have no unperturbed partner"):
        retention(cut)
    plain = replace(found, episodes=found.group())
    assert not has_probes(plain)
    with pytest.raises(ValueError, match="has no probes"):
        retention(plain)


def test_the_report_shows_it(tmp_path: Path, found: Evaluation, pool: WorldPool) -> None:
    found.save(tmp_path / "policy" / "evaluation.json")
    steady = replace(EXPERT, noise=0.0).build(SPEC)
    plan = join(PLAN, probe_plan(PLAN, NAMES))
    expert = replace(evaluate(pool, steady, plan), provenance={"perturbations": AXES})
    expert.save(tmp_path / "expert" / "evaluation.json")
    alone = write_report(tmp_path / "policy", tmp_path / "alone.html").read_text()
    assert 'id="probes"' in alone and "No expert was run" in alone
    page = write_report(tmp_path / "policy", expert=tmp_path / "expert").read_text()
    assert "dynamics: push-2 (expert)" in page and "No expert was run" not in page
    assert "<th>condition</th>" in page
    rows = json.loads((tmp_path / "policy" / "report.json").read_text())["retention"]
    assert len(rows) == 2 * 3 * 5
    expected = [r.ratio.estimate for r in retention(found, axes=AXES)]
    assert [r["retention"] for r in rows[:5]] == pytest.approx(expected)
    text = (tmp_path / "policy" / "report.md").read_text()
    assert "## Retention under probes" in text and "| light | dark |" in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "evaluate", "random", "--world", "reach_world:ReachWorld.Config", "--tasks", "left",
        "--episodes", "3", "--workers", "0",
    ]  # fmt: skip
    out = tmp_path / "probed"
    assert main([*words, "--probe", "push-2", "push-1+dark", "--out", str(out)]) == 0
    assert "push-1+dark" in capsys.readouterr().out
    kept = Evaluation.load(out / "evaluation.json")
    assert kept.provenance["perturbations"] == AXES
    assert [e.perturbations for e in kept.episodes[3::3]] == [("push-2",), ("push-1", "dark")]
    assert main([*words, "--probe", "fog", "--out", str(tmp_path / "no")]) == 2
    assert "has no perturbation 'fog'" in capsys.readouterr().err
