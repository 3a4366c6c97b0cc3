"""A small world, a small model that acts in it, and the packages of others that we talk to."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("gym_pusht")
pytest.importorskip("websockets")
sys.path.insert(0, str(Path(__file__).parent))

import torch
from served_world import WORLD

from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.flow_matching import FlowMatching
from enactive.policies.chunked import ChunkedPolicy
from enactive.seeding import torch_generator
from enactive.worlds.pusht import HELD_OUT, INSTRUCTIONS

PEERS = Path(sys.prefix) / "peers"


@pytest.fixture(scope="session")
def openpi_client() -> SimpleNamespace:
    """The unmodified package, which lies apart because it declares numpy<2."""
    if not (PEERS / "openpi_client").is_dir():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"openpi-client is not in {PEERS}; make venv installs it")
    sys.path.append(str(PEERS))
    try:
        from openpi_client import action_chunk_broker, msgpack_numpy, websocket_client_policy
    finally:
        sys.path.remove(str(PEERS))
    return SimpleNamespace(
        Client=websocket_client_policy.WebsocketClientPolicy,
        Broker=action_chunk_broker.ActionChunkBroker,
        codec=msgpack_numpy,
    )


@pytest.fixture(scope="session")
def model() -> ActionModel:
    """H = 6, flow matching, random weights that depend on states, instruction and noise."""
    torch.set_num_threads(1)
    spec = WORLD.build().spec
    config = ActionModel.Config(
        states=("proprio", "block"),
        horizon=6,
        backbone=SmallVLA.Config(
            width=16, depth=1, attention_heads=2, channels=(8, 8), keypoints=4
        ),
        head=FlowMatching.Config(depth=1, attention_heads=2, steps=2),
    )
    statistics = {
        "action": {"mean": np.full(2, 256.0), "std": np.full(2, 90.0)},
        "proprio": {"mean": np.full(2, 256.0), "std": np.full(2, 90.0)},
        "block": {"mean": np.array([256.0, 256, 0, 0]), "std": np.array([90.0, 90, 1, 1])},
    }
    seen = replace(spec.observations, privileged=())
    made = config.build(Interface(consumes=seen, produces=spec.accepts), statistics, seed=3)
    generator = torch_generator(0, "embeddings")
    table = {text: torch.randn(384, generator=generator) for text in (*INSTRUCTIONS, *HELD_OUT)}
    made.language.preload({k: v / v.norm() for k, v in table.items()}, "made up")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return made.eval()


@pytest.fixture(scope="session")
def policy(model: ActionModel) -> ChunkedPolicy:
    """Executes 4 of 6 actions; every chunk has noise of its own."""
    return ChunkedPolicy.Config(execute=4).build(model)
