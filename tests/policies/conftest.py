"""Makes the test world of ``tests/evaluation`` importable, and a tiny untrained action model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "evaluation"))

from reach_world import ReachWorld

from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.flow_matching import FlowMatching
from enactive.seeding import torch_generator

INSTRUCTIONS = ("go to the left", "go to the right", "move left", "head left", "head right")


@pytest.fixture(scope="session")
def model() -> ActionModel:
    """H = 6, T = 2, flow matching, random weights, made-up sentence embeddings."""
    torch.set_num_threads(1)
    spec = ReachWorld.Config().build().spec
    config = ActionModel.Config(
        states=("proprio",),
        observation_steps=2,
        horizon=6,
        backbone=SmallVLA.Config(
            width=16, depth=1, attention_heads=2, channels=(8, 8), keypoints=4
        ),
        head=FlowMatching.Config(depth=1, attention_heads=2, steps=2),
    )
    statistics = {
        "action": {"mean": np.zeros(4), "std": np.array([0.03, 0.03, 0.03, 0.3])},
        "proprio": {"mean": np.zeros(2), "std": np.full(2, 0.3)},
    }
    assert isinstance(spec.accepts, type(ReachWorld.Config().build().spec.accepts))
    interface = Interface(consumes=spec.observations, produces=spec.accepts)
    made = config.build(interface, statistics, seed=3)
    generator = torch_generator(0, "embeddings")
    table = {text: torch.randn(384, generator=generator) for text in INSTRUCTIONS}
    made.language.preload({k: v / v.norm() for k, v in table.items()}, "made up")
    # The last layer of a fresh head is zero; shake all weights so that every input matters.
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return made.eval()
