"""Two processes, started by torchrun, compute what one does by accumulating two micro-batches."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from enactive import configuration
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


class Stop(Exception):
    pass


def stop(step):
    if step == 3:
        raise Stop


for file in sys.argv[1:]:
    config = configuration.load_yaml(Training, Path(file))
    try:  # stop after a step that no checkpoint follows, and resume in the same two processes
        train(config, on_step=stop)
    except Stop:
        pass
    assert train(config).finished
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_ddp_and_fsdp_equal_one_process(make_run: Callable[..., Training], tmp_path: Path) -> None:
    smooth = Optimizer(learning_rate=3e-3, epsilon=1e-2)
    settings = {"optimizer": smooth, "steps": 5, "checkpoint_every": 2, "log_every": 1}
    settings |= {"validation": 0.2, "validate_every": 4}
    single = make_run("single", micro_batch_size=4, **settings)
    train(single)
    runs = {
        "replicate": make_run("ddp", **settings),
        "shard": dataclasses.replace(make_run("fsdp", **settings), sharding="shard"),
    }
    files: list[str] = []
    for name, config in runs.items():
        configuration.save_yaml(config, tmp_path / f"{name}.yaml")
        files.append(str(tmp_path / f"{name}.yaml"))
    script = tmp_path / "script.py"
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
    expected_log = read_log(single.run)
    expected = checkpoints.resolve(single.run)
    for config in runs.values():
        log = read_log(config.run)
        assert len(log) == len(expected_log)
        for line, reference in zip(log, expected_log, strict=True):
            for key in ("loss", "gradient_norm", "validation_loss"):
                if key in reference:
                    assert line[key] == pytest.approx(reference[key], rel=1e-5)
        found = checkpoints.resolve(config.run)
        for name in ("model", "ema"):
            one, other = (load_file(path / f"{name}.safetensors") for path in (expected, found))
            assert one.keys() == other.keys()
            for key in one:
                torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-6)
