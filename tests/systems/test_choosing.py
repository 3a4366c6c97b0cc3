"""Learning to choose: from recordings in which one thing is moved to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from enactive.actions.spaces import Group, VectorSpace
from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.l1 import L1
from enactive.models.normalization import Normalizer
from enactive.observations import ObservationSpec, StateVector
from enactive.seeding import numpy_generator
from enactive.systems.choosing import Shown, about, chooser, chosen, learn_to_choose

KINDS = ("butter", "milk", "ketchup", "basket")
KETCHUP = 2
SIZE = 4
LISTED = StateVector(
    name="things", names=tuple(f"{kind}.{i}" for kind in KINDS for i in range(SIZE)), unit="m"
)
INTERFACE = Interface(
    consumes=ObservationSpec(states=(LISTED,)),
    produces=VectorSpace(
        groups=(
            Group(
                name="arm", quantity="other", representation="scalar", reference="absolute",
                frame="base", unit="m", low=-1.0, high=1.0, size=2,
            ),
        ),
        rate_hz=10.0,
    ),
)  # fmt: skip
PLAIN = {
    name: {"mean": [0.0] * size, "std": [1.0] * size}
    for name, size in (("things", len(LISTED.names)), ("action", 2))
}


def config(instructed: bool = True) -> ActionModel.Config:
    return ActionModel.Config(
        states=("things",),
        instructed=instructed,
        horizon=2,
        language_noise=0.3,
        normalization=Normalizer.Config(overrides={"things": "identity"}),
        backbone=SmallVLA.Config(
            width=32, depth=1, slots=(("things", SIZE),), scales=(1.0, 0.1), chosen=2, things=False
        ),
        head=L1.Config(depth=1),
    )


def recorded(frames: int = 400, seed: int = 0) -> Shown:
    """One of three things is moved to the fourth: ketchup where there is no butter, and the others
    where everything is there."""
    draw = numpy_generator(seed, "test", "choosing")
    named = draw.integers(3, size=frames)
    things = draw.normal(0, 0.01, (frames, len(KINDS), SIZE)).astype(np.float32)
    things[..., 0] = 1.0
    things[named == KETCHUP, 0] = 0.0
    return Shown(
        things=things,
        instructions=tuple(f"pick up the {KINDS[i]} and place it in the basket" for i in named),
        chosen=np.stack([named, np.full(frames, 3)], -1),
    )


def test_what_a_recording_was_about() -> None:
    there = np.array([[True, True, False, True]] * 3)
    places = np.zeros((3, 4, 3))
    places[:, 1], places[:, 3] = (0.3, 0.0, 0.0), (0.0, 0.4, 0.0)
    places[1:, 0] = [(0.0, 0.2, 0.1), (0.0, 0.38, 0.0)]  # carried to the last one
    places[2, 1, 0] += 0.02  # and another one was touched
    places[:, 2] = [(0.0, 0, 0), (9.0, 0, 0), (0.0, 0.38, 0)]  # is not there
    assert about(there, places) == (0, 3)


def test_words_are_learned_and_unseen_wordings_understood(tmp_path: Path) -> None:
    data, final = recorded(), tmp_path / "choosing"
    assert chooser(config(), INTERFACE, data, final, steps=150, seed=0) == final
    before = (final / "model.safetensors").read_bytes()
    chooser(config(), INTERFACE, data, final, steps=1, seed=1)  # there already
    assert (final / "model.safetensors").read_bytes() == before
    model = ActionModel.load(final)
    data = recorded(seed=1)
    things = torch.from_numpy(data.things[data.chosen[:, 0] != KETCHUP][:100])
    for number, kind in enumerate(KINDS[:3]):  # ketchup was never meant where all are there
        weights = chosen(model, things, (f"put the {kind} into the basket",) * len(things))
        assert weights.shape == (100, 2, 4)
        assert (weights[:, 0].argmax(-1) == number).float().mean() > 0.95
        assert (weights[:, 1].argmax(-1) == 3).all()


def test_without_words_nothing_tells_things_of_one_scene_apart() -> None:
    data, model = recorded(), config(instructed=False).build(INTERFACE, PLAIN, 0)
    learn_to_choose(model, data, steps=100, seed=0)
    data = recorded(seed=1)
    things, named = torch.from_numpy(data.things), torch.from_numpy(data.chosen[:, 0])
    weights = [chosen(model, things, (text,) * len(things)) for text in ("", "take the milk")]
    assert torch.equal(*weights)
    right = (weights[0][:, 0].argmax(-1) == named)[named != KETCHUP]
    assert right.float().mean() < 0.7  # butter or milk, and nothing tells


def test_a_model_that_cannot_choose_is_refused() -> None:
    plain = ActionModel.Config(states=("things",), head=L1.Config(), backbone=SmallVLA.Config())
    with pytest.raises(ValueError, match=r"chosen > 0"):
        learn_to_choose(plain.build(INTERFACE, PLAIN, 0), recorded(8), steps=1, seed=0)
