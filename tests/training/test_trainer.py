"""The trainer: it learns, resumes exactly, accumulates, stages and stops when asked."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from enactive import configuration
from enactive.models.action_model import ActionModel
from enactive.models.augmentation import RandomShift
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.l1 import L1
from enactive.training import checkpoints
from enactive.training.config import Optimizer, Source, Stage, Training
from enactive.training.log import read_log
from enactive.training.points import write_points
from enactive.training.trainer import Result, train

MakeRun = Callable[..., Training]
TIMES = ("samples_per_second",)


def bits(result: Result) -> dict[str, bytes]:
    names = ("model", "ema", "optimizer", "language")
    return {name: (result.checkpoint / f"{name}.safetensors").read_bytes() for name in names}


def losses(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read_log(run)]


class Stop(Exception):
    pass


def stop_after(step: int) -> Any:
    def check(done: int) -> None:
        if done == step:
            raise Stop

    return check


def test_it_learns_and_validates(make_run: MakeRun, tmp_path: Path) -> None:
    # Enough episodes that what is learnt holds for others too.
    many = write_points(tmp_path / "many", count=120)
    model = ActionModel.Config(
        horizon=4,
        backbone=SmallVLA.Config(width=32, depth=1, channels=(16, 32), keypoints=8),
        head=L1.Config(depth=1),
        augmentation=RandomShift(pixels=1),
    )
    config = make_run(
        data=(Source(path=many.path),),
        model=model,
        steps=150,
        batch_size=32,
        log_every=10,
        validation=0.2,
        validate_every=25,
    )
    result = train(config)
    assert result.finished and result.step == 150
    log = read_log(config.run)
    train_losses = [line["loss"] for line in log if "loss" in line]
    assert train_losses[-1] < 0.8 * train_losses[0]
    validations = [line["validation_loss"] for line in log if "validation_loss" in line]
    assert len(validations) == 6
    assert validations[-1] < 0.9 * validations[0]
    assert list((config.run / "tensorboard").glob("events.*"))
    model = ActionModel.load(checkpoints.resolve(config.run), weights="ema")
    assert model.interface.produces.size == 2
    assert model.interface.consumes.states[0].unit == "widths"


@pytest.mark.parametrize("step", [1, 5, 7, 11])
def test_stopped_anywhere_and_resumed_it_ends_with_the_same_bits(
    make_run: MakeRun, step: int
) -> None:
    whole = make_run("whole", validation=0.2, validate_every=3)
    expected = train(whole)
    broken = dataclasses.replace(whole, run=whole.run.parent / "broken")
    with pytest.raises(Stop):
        train(broken, on_step=stop_after(step))
    result = train(broken)
    assert result.finished
    assert bits(result) == bits(expected)
    assert losses(broken.run) == losses(whole.run)


def test_accumulated_micro_batches_equal_the_big_batch(make_run: MakeRun) -> None:
    # Without noise and augmentation the two are the same sum in another order.
    def run(name: str, micro: int | None) -> tuple[Result, list[dict[str, Any]]]:
        # A large epsilon: where a gradient is 0 up to rounding, Adam's step would be its sign.
        smooth = Optimizer(learning_rate=3e-3, epsilon=1e-2)
        config = make_run(name, micro_batch_size=micro, steps=5, optimizer=smooth)
        shift = dataclasses.replace(config.model.augmentation, pixels=0)
        model = dataclasses.replace(config.model, head=L1.Config(depth=1), augmentation=shift)
        config = dataclasses.replace(config, model=model)
        return train(config), losses(config.run)

    whole, whole_log = run("whole", None)
    parts, parts_log = run("parts", 2)
    a, b = (load_file(r.checkpoint / "model.safetensors") for r in (whole, parts))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-6)
    for one, other in zip(whole_log, parts_log, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)


def test_the_number_of_workers_changes_nothing(make_run: MakeRun) -> None:
    results = [train(make_run(f"workers{n}", steps=4, workers=n)) for n in (0, 2)]
    assert bits(results[0]) == bits(results[1])


def test_another_seed_is_another_run(make_run: MakeRun) -> None:
    results = [train(make_run(f"seed{n}", steps=2, seed=n)) for n in (0, 1)]
    assert bits(results[0]) != bits(results[1])


def test_stages_freeze_scale_and_resume(make_run: MakeRun) -> None:
    stages = (
        Stage(name="head", steps=4, freeze=("backbone.*",)),
        Stage(name="all", steps=4, learning_rate_scale=0.1, batch_size=4),
    )
    config = make_run(stages=stages, checkpoint_every=2, keep=10, ema_decay=None)
    result = train(config)
    assert result.step == 8
    saved = {
        step: load_file(config.run / f"checkpoints/step_{step:08d}/model.safetensors")
        for step in (2, 4, 6)
    }
    initial = config.model.build(*_built_from(result), seed=config.seed).state_dict()
    for name, value in initial.items():
        if name.startswith("backbone."):
            assert torch.equal(saved[4][name], value)
    name = "head.network.inputs.weight"
    assert not torch.equal(saved[4][name], initial[name])
    assert not torch.equal(saved[6]["backbone.patches.weight"], saved[4]["backbone.patches.weight"])
    rates = {line["step"]: line["learning_rate"] for line in read_log(config.run)}
    assert rates[4] / rates[8] == pytest.approx(10)
    broken = dataclasses.replace(config, run=config.run.parent / "broken")
    for step in (3, 4, 5):
        with pytest.raises(Stop):
            train(broken, on_step=stop_after(step))
    resumed = train(broken)
    names = ("model", "optimizer")
    for name in names:
        file = f"{name}.safetensors"
        assert (resumed.checkpoint / file).read_bytes() == (result.checkpoint / file).read_bytes()


def _built_from(result: Result) -> tuple[Any, Any]:
    model = ActionModel.load(result.checkpoint)
    return model.interface, model.statistics


def test_mixtures_take_weights_and_stages_choose_sources(
    make_run: MakeRun, points: Any, tmp_path: Path
) -> None:
    other = write_points(tmp_path / "other", count=4, seed=9)
    sources = (
        Source(path=points.path, name="old", weight=1.0),
        Source(path=other.path, name="new", weight=3.0),
    )
    stages = (Stage(steps=2), Stage(name="new only", steps=2, weights={"new": 1.0}))
    result = train(make_run(data=sources, stages=stages))
    assert result.finished
    state = checkpoints.load(result.checkpoint).state
    assert state["position"]["stage"] == 2


def test_only_the_newest_checkpoints_are_kept(make_run: MakeRun) -> None:
    config = make_run(checkpoint_every=2, keep=3)
    result = train(config)
    names = sorted(path.name for path in (config.run / "checkpoints").iterdir())
    assert names == ["latest", "step_00000008", "step_00000010", "step_00000012"]
    assert result.checkpoint.name == "step_00000012"


def test_a_finished_run_is_left_alone(make_run: MakeRun) -> None:
    config = make_run(steps=3)
    before = bits(train(config))
    again = train(config)
    assert again.finished and bits(again) == before


def test_a_run_of_another_configuration_is_refused(make_run: MakeRun) -> None:
    train(make_run(steps=3))
    with pytest.raises(
        configuration.ConfigurationError,
        match=r"(?s)model\.horizon was 4 and is 5.*seed was 0 and is 1",
    ):
        config = make_run(steps=3, seed=1)
        train(dataclasses.replace(config, model=dataclasses.replace(config.model, horizon=5)))
    assert train(make_run(steps=3, keep=7, log_every=1, workers=0)).finished


def test_an_interrupt_writes_a_checkpoint_and_stops(make_run: MakeRun) -> None:
    config = make_run()

    def interrupt(step: int) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = train(config, on_step=interrupt)
    assert not result.finished
    assert result.step in (3, 4)
    assert result.checkpoint.name == f"step_{result.step:08d}"
    assert signal.getsignal(signal.SIGINT) is before
    uninterrupted = train(make_run("whole"))
    assert bits(train(config)) == bits(uninterrupted)


def test_a_loss_that_is_not_a_number_stops_the_run(make_run: MakeRun) -> None:
    config = make_run()
    hot = dataclasses.replace(config.optimizer, learning_rate=1e30, clip=1e30)
    with pytest.raises(FloatingPointError, match=r"lower\s+optimizer\.learning_rate"):
        train(dataclasses.replace(config, optimizer=hot, steps=60))


def test_killed_at_random_moments_it_ends_with_the_same_bits(make_run: MakeRun) -> None:
    """``kill -9`` in a process of its own, also while it writes checkpoints."""
    whole = make_run("whole", steps=30, checkpoint_every=2)
    expected = train(whole)
    killed = dataclasses.replace(whole, run=whole.run.parent / "killed")
    file = whole.run.parent / "killed.yaml"
    configuration.save_yaml(killed, file)
    code = (
        "import sys; from pathlib import Path; from enactive import configuration\n"
        "from enactive.training.config import Training\n"
        "from enactive.training.trainer import train\n"
        "train(configuration.load_yaml(Training, Path(sys.argv[1])), on_step=lambda n: "
        "print(n, flush=True))\n"
    )
    kills = 0
    for after in (3, 8, 13):  # a few steps into what is left; then somewhere within the next one
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= after:
                time.sleep(0.004 * after)
                process.kill()
                break
        process.wait()
        process.stdout.close()
        kills += process.returncode == -signal.SIGKILL
    assert kills == 3
    result = train(killed)
    assert bits(result) == bits(expected)
    assert losses(killed.run) == losses(whole.run)


def test_the_configuration_of_a_run_round_trips(make_run: MakeRun, tmp_path: Path) -> None:
    config = make_run(stages=(Stage(steps=2, freeze=("head.*",), weights={"points": 1.0}),))
    configuration.save_yaml(config, tmp_path / "config.yaml")
    assert configuration.load_yaml(Training, tmp_path / "config.yaml") == config
