"""A tiny dataset and a tiny run for the tests of this package."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from enactive.episodes.cache import FrameCache
from enactive.episodes.dataset import Dataset
from enactive.models.action_model import ActionModel
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.flow_matching import FlowMatching
from enactive.training.config import Optimizer, Source, Training
from enactive.training.points import write_points
from enactive.training.schedule import Schedule

MakeRun = Callable[..., Training]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def points(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_points(tmp_path_factory.mktemp("points") / "points", count=12)


@pytest.fixture
def make_run(points: Dataset, tmp_path: Path) -> MakeRun:
    def make(name: str = "run", **changes: object) -> Training:
        backbone = SmallVLA.Config(width=16, depth=1, channels=(8, 8), keypoints=2)
        head = FlowMatching.Config(depth=1, steps=2)
        config = Training(
            run=tmp_path / name,
            data=(Source(path=points.path),),
            model=ActionModel.Config(horizon=4, backbone=backbone, head=head),
            steps=12,
            batch_size=8,
            optimizer=Optimizer(learning_rate=3e-3),
            schedule=Schedule(warmup=3),
            checkpoint_every=5,
            log_every=2,
            threads=1,
            cache=FrameCache.Config(directory=None),
        )
        return dataclasses.replace(config, **changes)  # type: ignore[arg-type]

    return make
