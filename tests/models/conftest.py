"""Small real models for the tests of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from enactive.actions.spaces import Group, VectorSpace
from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.batch import Batch
from enactive.observations import Camera, ObservationSpec, StateVector


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def interface() -> Interface:
    def scalar(name: str, size: int) -> Group:
        return Group(
            name=name,
            quantity="other",
            representation="scalar",
            reference="absolute",
            frame="base",
            unit="m",
            low=-1.0,
            high=1.0,
            size=size,
        )

    return Interface(
        consumes=ObservationSpec(
            cameras=(
                Camera(name="front", height=32, width=48),
                Camera(name="hand", height=16, width=16),
            ),
            states=(
                StateVector(name="proprio", names=("x", "y", "z"), unit="m"),
                StateVector(name="force", names=("f",), unit="N"),
            ),
        ),
        produces=VectorSpace(groups=(scalar("arm", 3), scalar("gripper", 1)), rate_hz=10.0),
    )


@pytest.fixture
def statistics() -> dict[str, dict[str, list[float]]]:
    def spread(mean: list[float], std: list[float]) -> dict[str, list[float]]:
        return {
            "mean": mean,
            "std": std,
            "min": [m - 2 * s for m, s in zip(mean, std, strict=True)],
            "max": [m + 2 * s for m, s in zip(mean, std, strict=True)],
        }

    return {
        "action": spread([0.0, 0.1, -0.2, 1.0], [0.5, 0.01, 2.0, 1.0]),
        "proprio": spread([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]),
        "force": spread([5.0], [0.1]),
    }


@pytest.fixture
def config() -> ActionModel.Config:
    backbone = SmallVLA.Config(width=32, depth=2, channels=(8, 16), keypoints=4)
    return ActionModel.Config(
        states=("proprio", "force"), observation_steps=2, horizon=5, backbone=backbone
    )


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    def make(size: int, seed: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(seed)

        def pixels(height: int, width: int) -> torch.Tensor:
            shape = (size, 2, height, width, 3)
            return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

        mask = torch.ones(size, 5, dtype=torch.bool)
        mask[-1, 3:] = False
        return Batch(
            images={"front": pixels(32, 48), "hand": pixels(16, 16)},
            state={
                "proprio": torch.randn(size, 2, 3, generator=generator),
                "force": torch.randn(size, 2, 1, generator=generator),
            },
            instructions=tuple(("open it", "close it")[i % 2] for i in range(size)),
            action=torch.randn(size, 5, 4, generator=generator),
            mask=mask,
        )

    return make
