"""``kill -9`` training at random moments; the finished run must have the bits of one left alone.

Trains a small model on the toy dataset twice: once in peace, and once in processes that are killed
at random: after a random step plus a random fraction of the next (checkpoints are written every
fifth step, so that many kills fall into one), or while the process still starts. After every kill
the newest checkpoint must load and be no older than the one before. In the end the weights, their
average, the moments and every loss of the log are compared, bit for bit.

    python bench/kill_training.py --kills 20
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from enactive import configuration
from enactive.episodes.cache import FrameCache
from enactive.models.action_model import ActionModel
from enactive.models.backbones.small_vla import SmallVLA
from enactive.seeding import numpy_generator
from enactive.training import checkpoints
from enactive.training.config import Source, Training
from enactive.training.log import read_log
from enactive.training.points import write_points
from enactive.training.trainer import train

CHILD = """
import sys
from pathlib import Path
from enactive import configuration
from enactive.training.config import Training
from enactive.training.trainer import train
print("begin", flush=True)
train(configuration.load_yaml(Training, Path(sys.argv[1])), on_step=lambda n: print(n, flush=True))
"""
FILES = ("model", "ema", "optimizer", "language")


def configure(root: Path, steps: int) -> Training:
    """The run that is left alone."""
    points = write_points(root / "points", count=24)
    backbone = SmallVLA.Config(width=32, depth=1, channels=(16, 32), keypoints=4)
    return Training(
        run=root / "whole",
        data=(Source(path=points.path),),
        model=ActionModel.Config(horizon=8, backbone=backbone),
        steps=steps,
        batch_size=8,
        checkpoint_every=5,
        log_every=2,
        validation=0.1,
        validate_every=20,
        threads=1,
        cache=FrameCache.Config(directory=None),
    )


def kill_once(file: Path, draw: Any) -> str:
    """Start training, kill it at a random moment, and say where; empty if it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    steps = 0 if draw.random() < 0.2 else int(draw.integers(1, 25))
    where = "while it started"
    seen = -1  # the line "begin" is no step
    for line in process.stdout:
        seen += 1
        if seen >= steps:
            where = "while it started" if steps == 0 else f"after step {line.strip()}"
            break
    time.sleep(float(draw.uniform(0, 0.3 if steps == 0 else 0.05)))
    process.kill()
    process.wait()
    process.stdout.close()
    return where if process.returncode == -signal.SIGKILL else ""


def lines(run: Path) -> list[dict[str, Any]]:
    """The log without what is measured in seconds."""
    return [{k: v for k, v in x.items() if k != "samples_per_second"} for x in read_log(run)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench/results/kill_training.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        whole = configure(root, arguments.steps)
        expected = train(whole)
        killed = dataclasses.replace(whole, run=root / "killed")
        configuration.save_yaml(killed, root / "killed.yaml")
        draw = numpy_generator(arguments.seed, "kills")
        kills: list[dict[str, Any]] = []
        newest = 0
        while len(kills) < arguments.kills:
            where = kill_once(root / "killed.yaml", draw)
            if not where:
                raise SystemExit("the run ended before it could be killed; raise --steps")
            found = checkpoints.latest(killed.run / "checkpoints")
            step = checkpoints.load(found).state["step"] if found else 0
            if step < newest:
                raise SystemExit(f"a checkpoint was lost: step {step} after step {newest}")
            newest = step
            kills.append({"killed": where, "newest_checkpoint": step})
            print(f"kill {len(kills):2}: {where}; newest checkpoint: step {step}", flush=True)
        result = train(killed)
        equal = {
            name: (expected.checkpoint / f"{name}.safetensors").read_bytes()
            == (result.checkpoint / f"{name}.safetensors").read_bytes()
            for name in FILES
        }
        equal["log"] = lines(whole.run) == lines(killed.run)
    report = {"benchmark": "kill_training", "steps": arguments.steps, "kills": kills}
    report |= {"torch": torch.__version__, "equal": equal}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    print(
        "bit for bit:", ", ".join(f"{k} {'equal' if v else 'DIFFERENT'}" for k, v in equal.items())
    )
    if not all(equal.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
