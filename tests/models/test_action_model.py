"""The whole model: seeding, saving, and that it can learn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from enactive.configuration import ConfigurationError
from enactive.models.action_model import ActionModel, Interface
from enactive.models.augmentation import RandomShift
from enactive.models.batch import Batch, from_observations
from enactive.models.heads.head import HeadConfig
from enactive.models.normalization import MissingStatistics
from enactive.observations import Observation
from enactive.registry import Registry

Make = Callable[..., Batch]
Statistics = dict[str, dict[str, list[float]]]


HEADS = [
    name
    for name in Registry("heads").names()
    if Registry("heads").load(name)().refuses(None) is None
]
"""Heads that work without a tokenizer; the others have tests of their own."""


@pytest.fixture(params=HEADS)
def model(
    request: pytest.FixtureRequest,
    config: ActionModel.Config,
    interface: Interface,
    statistics: Statistics,
) -> ActionModel:
    head: HeadConfig = Registry("heads").load(request.param)()
    return dataclasses.replace(config, head=head).build(interface, statistics, seed=3)


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(i) for i in range(count)]


def test_the_seed_decides_every_weight_and_nothing_else_changes(
    config: ActionModel.Config, interface: Interface, statistics: Statistics
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a = config.build(interface, statistics, seed=1)
    assert torch.equal(torch.rand(3), expected)
    b = config.build(interface, statistics, seed=1)
    c = config.build(interface, statistics, seed=2)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_saved_and_loaded_it_gives_the_same_bits(
    model: ActionModel, make_batch: Make, tmp_path: Path
) -> None:
    model.eval()
    batch = make_batch(4)
    before = model.sample(batch, generators(4), samples=2)
    model.save(tmp_path / "model")
    loaded = ActionModel.load(tmp_path / "model")
    after = loaded.sample(batch, generators(4), samples=2)
    assert torch.equal(before.chunk, after.chunk)
    assert before.cost == after.cost
    assert before.cost.backbone_passes == 1
    assert loaded.interface == model.interface
    assert loaded.config == model.config


def test_missing_weights_say_what_there_is(model: ActionModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no ema\.safetensors; .*model"):
        ActionModel.load(tmp_path, weights="ema")


def test_a_row_has_the_same_bits_anywhere_in_a_batch_of_one_size(
    model: ActionModel, make_batch: Make
) -> None:
    """What policies rely on: batches padded to a fixed size do not change an episode's numbers."""
    model.eval()
    batch = make_batch(8)
    whole = model.sample(batch, generators(8)).chunk
    for i in (0, 3, 7):
        alone = batch.rows(i, i + 1).padded(8)
        row = model.sample(alone, [generators(8)[i] for _ in range(8)]).chunk
        assert torch.equal(row[0], whole[i])


def test_samples_are_in_the_units_of_the_action_space(
    model: ActionModel, make_batch: Make, statistics: Statistics
) -> None:
    batch = make_batch(2)
    with torch.no_grad():
        features = model.eval().features(batch)
        normalised = model.head.sample(features, generators(2)).chunk
    std, mean = (torch.tensor(statistics["action"][key]) for key in ("std", "mean"))
    torch.testing.assert_close(model.sample(batch, generators(2)).chunk, normalised * std + mean)


def test_it_can_learn_a_batch_by_heart(model: ActionModel, make_batch: Make) -> None:
    batch = make_batch(4)
    assert batch.action is not None
    action = model.normalizer.denormalize("action", batch.action)
    batch = dataclasses.replace(batch, action=action)
    model.config = dataclasses.replace(model.config, augmentation=RandomShift(pixels=0))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses: list[float] = []
    for step in range(200):
        loss = model.loss(batch, torch.Generator().manual_seed(step)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:3])


def test_an_unknown_camera_is_refused(
    config: ActionModel.Config, interface: Interface, statistics: Statistics
) -> None:
    wrong = dataclasses.replace(config, cameras=("frnt",))
    with pytest.raises(ConfigurationError, match=r"no camera is called 'frnt'.*front, hand"):
        wrong.build(interface, statistics, seed=0)


def test_a_state_without_statistics_is_refused(
    config: ActionModel.Config, interface: Interface, statistics: Statistics
) -> None:
    del statistics["force"]
    with pytest.raises(MissingStatistics, match="'force'"):
        config.build(interface, statistics, seed=0)


def test_a_batch_from_observations(model: ActionModel) -> None:
    rng = np.random.default_rng(0)
    observation = Observation(
        images={
            "front": rng.integers(0, 256, (32, 48, 3), dtype=np.uint8),
            "hand": rng.integers(0, 256, (16, 16, 3), dtype=np.uint8),
        },
        state={"proprio": np.zeros(3, np.float32), "force": np.zeros(1, np.float32)},
        instruction="open it",
    )
    window = [observation, observation]
    batch = from_observations([window, window, window], ("front", "hand"), ("proprio", "force"))
    assert batch.size == 3
    assert batch.images["front"].shape == (3, 2, 32, 48, 3)
    assert model.sample(batch, generators(3)).chunk.shape == (3, 1, 5, 4)
    with pytest.raises(KeyError, match="no camera image 'top'; it has: front, hand"):
        from_observations([window], ("top",), ())


def test_an_interface_round_trips(interface: Interface) -> None:
    assert Interface.from_dict(interface.to_dict()) == interface


def test_language_noise_is_of_training_alone(
    config: ActionModel.Config, interface: Interface, statistics: Statistics, make_batch: Make
) -> None:
    still = dataclasses.replace(config, augmentation=RandomShift(pixels=0))
    noisy = dataclasses.replace(still, language_noise=0.4).build(interface, statistics, seed=3)
    quiet = still.build(interface, statistics, seed=3)
    batch = make_batch(4)

    def pooled(model: ActionModel, seed: int, training: bool) -> float:
        model.train(training)
        features = model.features(batch, noise=generators(seed + 1)[seed] if training else None)
        return float(features.pooled.detach().double().sum())

    assert pooled(noisy, 0, True) == pooled(noisy, 0, True) != pooled(noisy, 1, True)
    assert pooled(noisy, 0, False) == pooled(quiet, 0, False) == pooled(quiet, 0, True)
