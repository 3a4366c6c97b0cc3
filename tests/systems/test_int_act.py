"""INT-ACT's claim: what its probes are, and that intention is counted in lost episodes too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enactive.evaluation.claims.claim import Measurement
from enactive.evaluation.results import Evaluation
from enactive.systems.int_act import INTENTION, QUICK, SHIFTS, Scale, claim, measure, retained
from enactive.systems.pointing import BROADER
from enactive.systems.tabletop_policy import EXPERT, TASKS, WORLD, model
from enactive.worlds.tabletop.perturbations import applicable
from enactive.worlds.tabletop.tasks import TASKS as KNOWN


def test_every_probe_changes_every_task_and_pointing_saw_what_is_said() -> None:
    seen = {level for levels in BROADER.values() for level in levels}
    for kind, probes in SHIFTS.items():
        names = {name for probe in probes for name in probe.split("+")}
        for task in TASKS:
            assert names <= {*applicable(KNOWN[task])}, (kind, task)
        assert (names <= seen) == (kind == "object"), kind


def test_the_policy_fits_its_world() -> None:
    config = model()
    assert config.cameras == WORLD.cameras and config.states == WORLD.states
    assert WORLD.image_size % 4 == 0 and EXPERT.noise > 0
    assert {*TASKS} <= {*KNOWN} and Scale().recipe.tasks == TASKS == Scale().tasks


def test_retention_needs_something_to_retain() -> None:
    found = Measurement(outcomes={"success": 0.5, "success_object": 0.2, "intention": 0.0,
                                  "intention_object": 0.4})  # fmt: skip
    assert retained(found, "success", "object") == pytest.approx(0.4)
    assert retained(found, "intention", "object") == 0


def test_the_expert_plays_every_probe(tmp_path: Path) -> None:
    """With too few steps it means the right thing and gets nothing done; with enough it does."""
    pytest.importorskip("mujoco")
    rates: list[Measurement] = []
    for steps in (14, 60):
        scale = replace(QUICK, max_steps=steps)
        rates.append(measure("expert", 0, tmp_path / str(steps), tmp_path, scale))
    short, whole = rates
    for kind in ("", *SHIFTS):
        suffix = f"_{kind}" if kind else ""
        assert short.outcome(f"success{suffix}") == 0, kind
        assert whole.outcome(f"success{suffix}") == 1, kind
        assert whole.outcome(f"intention{suffix}") == 1, kind
    assert short.outcome("intention") == 1
    kept = Evaluation.load(tmp_path / "60" / "evaluation.json").episodes
    assert len(kept) == 1 + sum(len(probes) for probes in SHIFTS.values())
    assert all(INTENTION in one.events for one in kept)


def test_every_kind_of_shift_and_the_expert_have_a_hypothesis() -> None:
    declared = claim()
    assert [one.name for one in declared.hypotheses if one.primary] == [
        "intention stays", "execution goes", "wording among distractors", "probes are fair",
    ]  # fmt: skip
    assert {*declared.arms} == {"fine-tuned trunk", "frozen trunk", "expert"}
