"""Samples per second of a training step: ours against LeRobot's ACT and Diffusion Policy.

Both sides take the same pictures (two cameras, 96 x 96), state and chunk (16 x 4), compute loss and
gradients, clip, and step AdamW (fused), on the same number of threads, at nearly equal numbers of
parameters. What differs is the architecture, and that is the comparison: what a step of a model of
that size costs. Our step begins with the loader's uint8 pictures and raw states and includes their
normalisation and augmentation; LeRobot's begins after its own, which is in its favour.

Rounds alternate between the two, each in its own process that waits while the other works.

    python bench/training_step.py --lerobot-python .venv-lerobot/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from enactive.actions.spaces import Group, VectorSpace
from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.batch import Batch
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.l1 import L1
from enactive.observations import Camera, ObservationSpec, StateVector

SIZE, CHUNK, ACTION = 96, 16, 4
CAMERAS = ("front", "close")
PEERS = {"act": "l1", "diffusion": "flow_matching"}
# The same number of picture tokens as ACT's ResNet18 gives: 3 x 3 per camera.
CHANNELS = (64, 128, 256, 512)
WIDTH = 512
Times = dict[str, float]
"""Wall time and processor time over all threads, in seconds."""


def interface() -> Interface:
    """Two cameras, four state entries, four action entries."""
    group = Group(
        name="arm", quantity="other", representation="scalar", reference="delta",
        frame="base", unit="m", low=-1.0, high=1.0, size=ACTION,
    )  # fmt: skip
    state = StateVector(name="proprio", names=("x", "y", "z", "gripper"), unit="m")
    cameras = tuple(Camera(name=name, height=SIZE, width=SIZE) for name in CAMERAS)
    consumes = ObservationSpec(cameras=cameras, states=(state,))
    return Interface(consumes=consumes, produces=VectorSpace(groups=(group,), rate_hz=20.0))


def build(head: str, depth: int) -> ActionModel:
    """Our model with a head and as many layers."""
    heads = {"l1": L1.Config(attention_heads=8), "flow_matching": FlowMatching.Config(
        attention_heads=8)}  # fmt: skip
    backbone = SmallVLA.Config(width=WIDTH, depth=depth, attention_heads=8, channels=CHANNELS)
    config = ActionModel.Config(horizon=CHUNK, backbone=backbone, head=heads[head])
    unit = {"mean": [0.0] * 4, "std": [1.0] * 4}
    return config.build(interface(), {"action": unit, "proprio": unit}, seed=0).train()


def size_of(model: ActionModel) -> int:
    """Parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def matching(head: str, parameters: int) -> ActionModel:
    """Our model whose size is nearest: the number of layers decides, at least one."""
    one, two = size_of(build(head, 1)), size_of(build(head, 2))
    return build(head, max(1, 1 + round((parameters - one) / (two - one))))


def batch_of(count: int) -> Batch:
    """A batch as our loader serves it."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, 1, SIZE, SIZE, 3)
    return Batch(
        images={
            name: torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
            for name in CAMERAS
        },
        state={"proprio": torch.randn(count, 1, 4, generator=generator)},
        instructions=tuple(("open the faucet", "close the faucet")[i % 2] for i in range(count)),
        action=torch.randn(count, CHUNK, ACTION, generator=generator),
        mask=torch.ones(count, CHUNK, dtype=torch.bool),
    )


def ours(model: ActionModel, optimizer: torch.optim.Optimizer, batch: Batch, steps: int) -> Times:
    """What ``steps`` training steps take."""
    generator = torch.Generator().manual_seed(0)
    start, spent = time.perf_counter(), time.process_time()
    for _ in range(steps):
        loss = model(batch, generator).total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - spent}


class Peer:
    """LeRobot in its own environment."""

    def __init__(self, python: str, threads: int) -> None:
        script = Path(__file__).with_name("lerobot_training.py")
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )  # fmt: skip
        settings = {"size": SIZE, "chunk": CHUNK, "action": ACTION, "threads": threads}
        self.facts = self.ask(settings)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("LeRobot's process ended; its messages are above")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def ratios_of(times: dict[str, list[Times]], key: str) -> list[float]:
    """Theirs over ours, round by round, sorted."""
    pairs = zip(times["ours"], times["theirs"], strict=True)
    return sorted(theirs[key] / mine[key] for mine, theirs in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--lerobot-python", required=True, help="Python with LeRobot 0.4.4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--steps", type=int, default=4, help="steps of a round")
    parser.add_argument("--out", type=Path, default=Path("bench/results/training_step.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peer = Peer(arguments.lerobot_python, arguments.threads)
    results: list[dict[str, Any]] = []
    for name, head in PEERS.items():
        parameters = peer.facts["parameters"][name]
        model = matching(head, parameters)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        for count in arguments.batches:
            batch = batch_of(count)
            request = {"policy": name, "batch": count, "steps": arguments.steps}
            ours(model, optimizer, batch, 1)
            peer.ask({**request, "steps": 1})
            times: dict[str, list[Times]] = {"ours": [], "theirs": []}
            for _ in range(arguments.rounds):
                times["ours"].append(ours(model, optimizer, batch, arguments.steps))
                times["theirs"].append(peer.ask(request))
            rates = {
                side: count * arguments.steps / statistics.median(t["seconds"] for t in values)
                for side, values in times.items()
            }
            ratios, processor = (ratios_of(times, key) for key in ("seconds", "processor"))
            results.append(
                {
                    "peer": name,
                    "head": head,
                    "batch": count,
                    "parameters": {"ours": size_of(model), "theirs": parameters},
                    "samples_per_second": {k: round(v, 2) for k, v in rates.items()},
                    "ratio": round(statistics.median(ratios), 3),
                    "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
                    "processor_ratio": round(statistics.median(processor), 3),
                    "times": times,
                }
            )
            print(
                f"{name:10} batch {count:3}  {size_of(model) / 1e6:.1f} M against "
                f"{parameters / 1e6:.1f} M parameters  {rates['ours']:.1f} against "
                f"{rates['theirs']:.1f} samples/s  ratio {results[-1]['ratio']:.2f} "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f}), of processor time "
                f"{results[-1]['processor_ratio']:.2f}",
                flush=True,
            )
        del model, optimizer
    peer.close()
    report = {
        "benchmark": "training_step",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "torch": {"ours": torch.__version__, "theirs": peer.facts["versions"]["torch"]},
        "lerobot": peer.facts["versions"]["lerobot"],
        "machine": {"cores": os.cpu_count(), "processor": platform.processor()},
        "results": results,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
