"""LeRobot's side of ``training_step.py``: runs in LeRobot's own environment.

Reads one JSON object per line and answers with one: first the sizes, then for every
``{"policy": ..., "batch": B, "steps": n}`` the seconds that n training steps took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import lerobot
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

CAMERAS = ("front", "close")


def policies(size: int, chunk: int, action: int) -> dict[str, Any]:
    """The policies with their defaults, but for what the comparison fixes."""
    images = {
        f"observation.images.{camera}": PolicyFeature(FeatureType.VISUAL, (3, size, size))
        for camera in CAMERAS
    }
    state = {"observation.state": PolicyFeature(FeatureType.STATE, (4,))}
    features: dict[str, Any] = {
        "input_features": images | state,
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (action,))},
        "device": "cpu",
    }
    act = ACTConfig(
        chunk_size=chunk, n_action_steps=chunk, pretrained_backbone_weights=None, **features
    )
    diffusion = DiffusionConfig(
        n_obs_steps=1, horizon=chunk, n_action_steps=8, down_dims=(128, 256, 512), **features
    )
    return {"act": ACTPolicy(act), "diffusion": DiffusionPolicy(diffusion)}


def batches(size: int, chunk: int, action: int, count: int) -> dict[str, dict[str, torch.Tensor]]:
    """A batch as LeRobot's own training loop hands it to each policy: normalised, float."""
    act = {f"observation.images.{camera}": torch.rand(count, 3, size, size) for camera in CAMERAS}
    act |= {
        "observation.state": torch.randn(count, 4),
        "action": torch.randn(count, chunk, action),
        "action_is_pad": torch.zeros(count, chunk, dtype=torch.bool),
    }
    windows = {k: v[:, None] if k.startswith("observation") else v for k, v in act.items()}
    return {"act": act, "diffusion": windows}


def main() -> None:
    """Answer until the input ends."""
    settings = json.loads(sys.stdin.readline())
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    shape = (settings["size"], settings["chunk"], settings["action"])
    made = policies(*shape)
    optimizers: dict[str, torch.optim.Optimizer] = {}
    for name, policy in made.items():
        policy.train()
        optimizers[name] = torch.optim.AdamW(policy.parameters(), lr=1e-4, fused=True)
    counts = {name: sum(p.numel() for p in policy.parameters()) for name, policy in made.items()}
    versions = {"lerobot": lerobot.__version__, "torch": torch.__version__}
    print(json.dumps({"parameters": counts, "versions": versions}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        name = request["policy"]
        batch = batches(*shape, request["batch"])[name]
        start, spent = time.perf_counter(), time.process_time()
        for _ in range(request["steps"]):
            loss, _ = made[name](batch)
            optimizers[name].zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(made[name].parameters(), 1.0)
            optimizers[name].step()
        seconds = time.perf_counter() - start
        answer = {"seconds": seconds, "processor": time.process_time() - spent}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
