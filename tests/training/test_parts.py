"""Schedule, average, checkpoints and log."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enactive.training import checkpoints
from enactive.training.ema import EMA
from enactive.training.log import RunLog, read_log
from enactive.training.schedule import Schedule


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0, 1))
def test_the_schedule_rises_then_falls(steps: int, warmup: int, final: float) -> None:
    schedule = Schedule(warmup=warmup, final=final)
    factors = [schedule.factor(step, steps) for step in range(steps)]
    peak = min(warmup, steps) - 1
    assert factors[peak] == pytest.approx(1.0)
    assert all(a <= b for a, b in pairwise(factors[: peak + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(factors[peak:]))
    if steps > warmup:
        assert factors[-1] == pytest.approx(final)


def test_the_schedule_has_the_textbook_values() -> None:
    schedule = Schedule(warmup=10, final=0.1)
    assert schedule.factor(0, 110) == pytest.approx(0.1)
    assert schedule.factor(4, 110) == pytest.approx(0.5)
    assert schedule.factor(59, 110) == pytest.approx(0.1 + 0.9 * 0.5)


def test_the_average_follows_its_formula() -> None:
    state = {"w": torch.zeros(2), "n": torch.tensor(0)}
    ema = EMA(state, decay=0.5)
    for n in range(3):
        ema.update({"w": torch.full((2,), float(n + 1)), "n": torch.tensor(n + 1)}, updates=n)
    # d = min(0.5, (1 + n) / (10 + n)) = 0.1, 2/11, 0.25
    expected = 0.0
    for value, d in ((1.0, 0.1), (2.0, 2 / 11), (3.0, 0.25)):
        expected = d * expected + (1 - d) * value
    torch.testing.assert_close(ema.state["w"], torch.full((2,), expected))
    assert ema.state["n"] == 3
    assert torch.equal(state["w"], torch.zeros(2))


def test_the_average_settles_on_constant_weights() -> None:
    ema = EMA({"w": torch.zeros(1)}, decay=0.9)
    for n in range(200):
        ema.update({"w": torch.ones(1)}, updates=n)
    assert ema.state["w"].item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decays_are_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="ema_decay"):
        EMA({}, decay)


def test_resuming_cuts_the_log_at_the_checkpoint(tmp_path: Path) -> None:
    log = RunLog(tmp_path, step=0, steps=10)
    for step in range(1, 6):
        log.write({"step": step, "loss": step / 10})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # cut off by a kill
    assert [record["step"] for record in read_log(tmp_path)] == [1, 2, 3, 4, 5]
    log = RunLog(tmp_path, step=3, steps=10)
    log.write({"step": 4, "loss": 0.0})
    log.close()
    assert [record["step"] for record in read_log(tmp_path)] == [1, 2, 3, 4]
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_pointer_to_nothing_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None
    (tmp_path / "step_00000005").mkdir()
    (tmp_path / "latest").write_text("step_00000010\n")
    with pytest.raises(FileNotFoundError, match="step_00000005"):
        checkpoints.latest(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a model, nor a run"):
        checkpoints.resolve(tmp_path / "nothing")
