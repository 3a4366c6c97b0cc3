"""``enactive train --head X --tokenizer Y``: each combination works or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from enactive.cli import main
from enactive.models.action_model import ActionModel
from enactive.registry import Registry
from enactive.training.points import write_points

HEADS = Registry("heads").names()
TOKENIZERS = Registry("tokenizers").names()
PAIRS = [
    (head, tokenizer)
    for head in HEADS
    for tokenizer in (None, *TOKENIZERS)
    if Registry("heads")
    .load(head)()
    .refuses(None if tokenizer is None else Registry("tokenizers").load(tokenizer)())
    is None
]
REFUSED = [
    (head, tokenizer)
    for head in HEADS
    for tokenizer in (None, *TOKENIZERS)
    if (head, tokenizer) not in PAIRS
]
SMALL = [
    "--backbone.width", "32", "--backbone.depth", "1", "--backbone.channels", "8", "16",
    "--horizon", "8", "--steps", "2", "--batch-size", "8", "--device", "cpu", "--threads", "1",
]  # fmt: skip
FITTING = {"fact", "rvq", "spectral"}


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_points(tmp_path_factory.mktemp("points"), count=6).path


def parts(head: str, tokenizer: str | None) -> list[str]:
    chosen = ["--head", head]
    if tokenizer is not None:
        chosen += ["--tokenizer", tokenizer]
    if tokenizer in FITTING:
        chosen += ["--tokenizer.fit-steps", "3", "--tokenizer.fit-batch", "16"]
    return chosen


@pytest.mark.parametrize(("head", "tokenizer"), PAIRS)
def test_what_makes_sense_trains(
    points: Path, tmp_path: Path, head: str, tokenizer: str | None
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(points), "--out", str(run), *parts(head, tokenizer), *SMALL]) == 0
    model = ActionModel.load(sorted((run / "checkpoints").glob("step_*"))[-1])
    assert model.config.head.part_name() == head
    if tokenizer is None:
        assert model.tokenizer is None
        return
    assert model.tokenizer is not None and model.tokenizer.fitted
    found = json.loads((run / "tokenizer.json").read_text())["training"]
    assert found["valid"] == 1 and found["bits"] > 0
    chunk = torch.zeros(1, model.tokenizer.horizon, model.tokenizer.action_size)
    assert bool(model.tokenizer.is_valid(model.tokenizer.encode(chunk)).all())


@pytest.mark.parametrize(("head", "tokenizer"), REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(
    points: Path,
    tmp_path: Path,
    head: str,
    tokenizer: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(points), "--out", str(run), *parts(head, tokenizer), *SMALL]) == 2
    said = capsys.readouterr().err
    chosen = None if tokenizer is None else Registry("tokenizers").load(tokenizer)()
    reason = Registry("heads").load(head)().refuses(chosen)
    assert reason is not None and reason in said and "Fix:" in reason
    assert not run.exists()
