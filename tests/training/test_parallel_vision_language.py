"""Vision-language models in two processes: sharded, they learn what one process learns."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.models import tiny_vlm
from tests.training.test_parallel import free_port

from enactive import configuration
from enactive.models.action_model import ActionModel
from enactive.models.backbones.lora import LoRA
from enactive.models.backbones.vision_language import VisionLanguage
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.layerwise_flow import LayerwiseFlow
from enactive.training import checkpoints
from enactive.training.config import Optimizer, Training
from enactive.training.log import read_log
from enactive.training.trainer import train

SCRIPT = """
import sys
from pathlib import Path

from enactive import configuration
from enactive.training.config import Training
from enactive.training.trainer import train

for file in sys.argv[1:]:
    assert train(configuration.load_yaml(Training, Path(file))).finished
"""


def in_two_processes(files: list[str], script: Path) -> None:
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launch += ["--master_port", str(free_port()), str(script), *files]
    with subprocess.Popen(launch, stderr=subprocess.PIPE, text=True) as process:
        try:
            _, errors = process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            process.terminate()  # SIGTERM, which torchrun passes on to the processes it started
            raise
    assert process.returncode == 0, errors[-3000:]


@pytest.mark.slow
def test_sharded_over_two_processes_they_learn_the_same(
    make_run: Callable[..., Training], tmp_path: Path
) -> None:
    """One trained whole; one with adapters, frozen parts and a head that reads every layer."""
    adapters: dict[str, Any] = {"freeze": ("vision",), "lora": LoRA.Config(rank=2)}
    kinds = {
        "qwen2_5_vl": ({}, FlowMatching.Config(depth=1, steps=2)),
        "qwen3_vl": (adapters, LayerwiseFlow.Config(steps=2)),
    }
    smooth = Optimizer(learning_rate=3e-3, epsilon=1e-2)
    settings: dict[str, Any] = {"optimizer": smooth, "steps": 3, "checkpoint_every": 2}
    settings |= {"log_every": 1, "batch_size": 4}
    pairs: dict[str, tuple[Training, Training]] = {}
    files: list[str] = []
    for name, (backbone, head) in kinds.items():
        tiny_vlm.write(name, tmp_path / "models" / name)
        model = ActionModel.Config(
            horizon=4,
            backbone=VisionLanguage.Config(
                path=str(tmp_path / "models" / name), text_tokens=24, **backbone
            ),
            head=head,
        )
        single = make_run(f"{name}-single", model=model, micro_batch_size=2, **settings)
        shared = make_run(f"{name}-shared", model=model, sharding="shard", **settings)
        train(single)
        pairs[name] = (single, shared)
        configuration.save_yaml(shared, tmp_path / f"{name}.yaml")
        files.append(str(tmp_path / f"{name}.yaml"))
    in_two_processes(files, tmp_path / "script.py")
    for single, shared in pairs.values():
        logs = zip(read_log(single.run), read_log(shared.run), strict=True)
        for expected, line in logs:
            for key in ("loss", "gradient_norm"):
                assert line[key] == pytest.approx(expected[key], rel=1e-4)
        one, other = (checkpoints.resolve(run.run) for run in (single, shared))
        weights, sharded = (load_file(path / "model.safetensors") for path in (one, other))
        assert weights.keys() == sharded.keys()
        for key, value in weights.items():
            torch.testing.assert_close(sharded[key], value, rtol=1e-4, atol=1e-5)
        ActionModel.load(other)


def test_a_run_goes_on_without_the_weights_it_began_with(
    make_run: Callable[..., Training], tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(step: int) -> None:
        if step == 2:
            raise Stop

    model = ActionModel.Config(
        horizon=4,
        backbone=VisionLanguage.Config(path=str(tmp_path / "gone"), text_tokens=24),
        head=FlowMatching.Config(depth=1, steps=2),
    )
    runs: list[Training] = []
    for name in ("whole", "broken"):
        tiny_vlm.write("smolvlm", tmp_path / "gone")
        config = make_run(name, model=model, steps=4, batch_size=2, checkpoint_every=2)
        runs.append(config)
        if name == "whole":
            train(config)
            continue
        with pytest.raises(Stop):
            train(config, on_step=stop)
        (tmp_path / "gone").rename(tmp_path / "elsewhere")
        assert train(dataclasses.replace(config)).finished
    first, second = (checkpoints.resolve(run.run) / "model.safetensors" for run in runs)
    one, other = load_file(first), load_file(second)
    assert all(torch.equal(one[key], other[key]) for key in one)
