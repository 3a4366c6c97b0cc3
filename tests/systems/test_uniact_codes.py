"""The analyses of codes see an alignment that is there, and none where there is none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from enactive.models.action_model import ActionModel
from enactive.models.heads.universal_codebook import UniversalCodebook
from enactive.models.normalization import Normalizer
from enactive.systems.uniact import HEAD, QUICK, model, shown
from enactive.systems.uniact_codes import _moved_on, alignment, divergences, windows
from enactive.training.config import Source, Training
from enactive.training.data import open_data

TASK, OTHER = QUICK.tasks
NAMES = ("ee_delta", "mirrored")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("metaworld")
    shared = tmp_path_factory.mktemp("shared")
    return {name: shown(shared, name, QUICK, 1, seed=i) for i, name in enumerate(NAMES)}


def untrained(data: dict[str, Path]) -> ActionModel:
    """A model whose codes mean something (random), and differ in what they mean."""
    torch.set_num_threads(1)
    head = dataclasses.replace(HEAD, codes=8, hidden=64)
    config = dataclasses.replace(
        model(head),
        normalization=Normalizer.Config(action="identity", state="mean_std", shared=("scene",)),
    )
    sources = tuple(Source(path=path, name=name, embodiment=name) for name, path in data.items())
    found = open_data(Training(run=Path("unused"), data=sources, model=config))
    built = config.build(found.interface, found.statistics, seed=0).eval()
    assert isinstance(built.head, UniversalCodebook)
    with torch.no_grad():
        built.head.network.codebook.codes.mul_(20)
        # Several codes in use: what tells situations apart decides, and not what they share.
        pooled = built.features(windows(data[NAMES[0]], TASK, 0, 64)).pooled
        logits = built.head.network.logits
        logits.bias.copy_(-(logits.weight @ pooled.mean(0)))
    return built


def test_codes_that_mean_the_same_on_two_bodies_are_seen_to(data: dict[str, Path]) -> None:
    built = untrained(data)
    apart = alignment(built, data, (TASK,), seed=0)
    assert isinstance(built.head, UniversalCodebook)
    slots = built.interface.slots
    assert slots is not None
    first, second = (built.head.network.decoders[name] for name in NAMES)
    with torch.no_grad():  # the mirrored body's decoder: the same motion in its own frame and slots
        second.load_state_dict(first.state_dict())
        horizon, size = second.shape
        own = [t.view(horizon, size, *t.shape[1:]) for t in (second.out.weight, second.out.bias)]
        here, there = (list(slots.places[name][:3]) for name in NAMES)
        for values in own:
            values[:, there] = values[:, here]
            values[:, there[0]] *= -1
    together = alignment(built, data, (TASK,), seed=0)
    assert together["cosine_same"] > 0.99
    assert together["cosine_same"] - together["cosine_shuffled"] > 0.3
    assert abs(apart["cosine_same"] - apart["cosine_shuffled"]) < 0.3


def test_divergences_and_codes_in_use(data: dict[str, Path]) -> None:
    found = divergences(untrained(data), data, (TASK, OTHER))
    assert 0 <= found["js_same_task"] <= 1 and 0 <= found["js_two_tasks"] <= 1
    assert 1 < found["codes_used"] <= 8 and found["largest_share"] < 1


@pytest.mark.parametrize("count", [2, 3, 17])
def test_shuffled_codes_are_never_the_same_code(count: int) -> None:
    order = _moved_on(count, np.random.default_rng(count)).numpy()
    assert sorted(order) == list(range(count))
    assert (order != np.arange(count)).all()
