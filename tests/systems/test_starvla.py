"""Heads and backbones of StarVLA change by their names, and by nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models import tiny_vlm

from enactive import configuration
from enactive.actions.spaces import Group, VectorSpace
from enactive.cli.train import read
from enactive.evaluation.claims.claim import Measurement
from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.vision_language import VisionLanguage
from enactive.models.batch import Batch
from enactive.observations import Camera, ObservationSpec, StateVector
from enactive.systems.starvla import (
    HEADS,
    RUNS,
    changed_parts,
    model,
    spread_beyond_runs,
)
from enactive.training.points import write_points

A = 3


def interface(cameras: bool) -> Interface:
    arm = Group(
        name="arm", quantity="other", representation="scalar", reference="absolute",
        frame="base", unit="m", low=-1.0, high=1.0, size=A,
    )  # fmt: skip
    seen = (Camera(name="front", height=32, width=32),) if cameras else ()
    states = (StateVector(name="proprio", names=("x", "y"), unit="m"),)
    return Interface(
        consumes=ObservationSpec(cameras=seen, states=states),
        produces=VectorSpace(groups=(arm,), rate_hz=10.0),
    )


def statistics() -> dict[str, Any]:
    def of(size: int) -> dict[str, list[float]]:
        ends = {
            "min": [-1.0] * size,
            "max": [1.0] * size,
            "q01": [-1.0] * size,
            "q99": [1.0] * size,
        }
        return {"mean": [0.0] * size, "std": [1.0] * size, **ends}

    return {"action": of(A), "proprio": of(2)}


def batch(size: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    shape = (size, 1, 32, 32, 3)
    return Batch(
        images={"front": torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)},
        state={"proprio": torch.randn(size, 1, 2, generator=generator)},
        instructions=("open it",) * size,
        action=torch.randn(size, 16, A, generator=generator).clamp(-1, 1),
        mask=torch.ones(size, 16, dtype=torch.bool),
    )


def test_heads_have_as_many_parameters() -> None:
    counts = [
        sum(
            p.numel()
            for p in model(arm, ("proprio",)).build(interface(False), statistics(), 0).parameters()
        )
        for arm in HEADS
    ]
    assert max(counts) / min(counts) < 1.02


def test_a_head_is_one_word_of_the_command_line(tmp_path: Path) -> None:
    write_points(tmp_path / "data", count=2)
    command = [str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    plain = configuration.to_dict(read(command))
    for name in ("l1", "layerwise_flow", "flow_matching"):
        other = configuration.to_dict(read([*command, "--head", name]))
        assert other["model"].pop("head")["part"] == name
        assert {**plain, "model": {k: v for k, v in plain["model"].items() if k != "head"}} == other
    ids = configuration.to_dict(
        read([*command, "--head", "autoregressive", "--tokenizer", "dct_bpe"])
    )
    different = {key for key, value in ids["model"].items() if plain["model"][key] != value}
    assert different == {"head", "tokenizer"}
    assert [changed_parts(arm) for arm in HEADS] == [2.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("arm", list(HEADS))
def test_a_vision_language_model_takes_the_backbones_place(arm: str, tmp_path: Path) -> None:
    tiny_vlm.write("smolvlm", tmp_path / "smolvlm")
    small = model(arm, ("proprio",))
    backbone = VisionLanguage.Config(path=str(tmp_path / "smolvlm"), text_tokens=24)
    swapped: ActionModel.Config = dataclasses.replace(small, backbone=backbone)
    whole = swapped.build(interface(True), statistics(), seed=0)
    rows = batch(3)
    assert rows.action is not None
    whole.fit_tokenizer(rows.action.repeat(20, 1, 1), torch.Generator().manual_seed(0))
    whole.train()
    whole.loss(rows, torch.Generator().manual_seed(0)).total.backward()
    reached = [p.grad is not None for p in whole.backbone.parameters()]
    assert all(reached)
    drawn = whole.eval().sample(rows, torch.Generator().manual_seed(0))
    assert drawn.chunk.shape == (3, 1, 16, A)
    assert drawn.chunk.isfinite().all()
    assert drawn.cost.backbone_passes == 1


def units(values: np.ndarray) -> dict[str, Measurement]:
    return {
        arm: Measurement(outcomes={f"easy/{run}": row[run] for run in range(RUNS)})
        for arm, row in zip(HEADS, values, strict=True)
    }


@given(st.integers(0, 2**20), st.floats(-1, 1), st.floats(0.1, 3))
def test_the_spread_is_of_heads_beyond_that_of_runs(seed: int, shift: float, scale: float) -> None:
    values = np.random.default_rng(seed).normal(size=(len(HEADS), RUNS))
    found = spread_beyond_runs(units(values), "easy")
    moved = spread_beyond_runs(units(scale * values + shift), "easy")
    assert moved == pytest.approx(scale * found, abs=1e-9)
    same = np.repeat(values.mean(1, keepdims=True), RUNS, axis=1)  # runs that agree
    assert spread_beyond_runs(units(same), "easy") == pytest.approx(values.mean(1).std(ddof=1))
    alike = np.repeat(values[:1], len(HEADS), axis=0)  # heads that agree
    assert spread_beyond_runs(units(alike), "easy") <= 1e-9
