"""Each layer of the head reads the layer of the backbone that it should."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from enactive.models.backbones.backbone import Features
from enactive.models.heads.head import HeadSpec
from enactive.models.heads.layerwise_flow import LayerwiseFlow, sources

LAYERS = 3
SPEC = HeadSpec(width=16, action_size=2, horizon=4, layers=LAYERS)


def features() -> Features:
    generator = Generator().manual_seed(0)
    tokens = torch.randn(2, 5, 16, generator=generator)
    layers = tuple(torch.randn(2, 5, 16, generator=generator) for _ in range(LAYERS))
    return Features(tokens=tokens, pooled=tokens[:, 0], layers=layers)


def loss(head: LayerwiseFlow, seen: Features) -> torch.Tensor:
    mask = torch.ones(2, 4, dtype=torch.bool)
    chunk = torch.randn(2, 4, 2, generator=Generator().manual_seed(1))
    return head.loss(seen, chunk, mask, Generator().manual_seed(2)).total


def awake(**settings: int) -> LayerwiseFlow:
    """A head whose gates and output are not zero, as they are after training."""
    torch.manual_seed(0)
    head = LayerwiseFlow.Config(**settings).build(SPEC)
    for parameter in head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return head


@pytest.mark.parametrize("place", range(LAYERS))
def test_a_layer_attends_to_its_own_layer_and_no_other(place: int) -> None:
    head = awake()
    seen = features()
    leaves = tuple(layer.requires_grad_(True) for layer in seen.layers)
    norm = head.network.memory_norms[place]
    loss(head, dataclasses.replace(seen, layers=leaves)).backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves)
    for leaf in leaves:
        leaf.grad = None
    with torch.no_grad():  # a memory that says nothing passes nothing on
        norm.weight.zero_()
    loss(head, dataclasses.replace(seen, layers=leaves)).backward()
    for number, leaf in enumerate(leaves):
        assert bool(leaf.grad.abs().sum() == 0) == (number == place)


def test_the_size_of_hidden_states_does_not_matter() -> None:
    head = awake()
    seen = features()
    louder = tuple(100 * layer for layer in seen.layers)
    torch.testing.assert_close(
        loss(head, dataclasses.replace(seen, layers=louder)), loss(head, seen), rtol=1e-4, atol=0
    )


@given(st.integers(1, 60), st.data())
def test_fewer_layers_read_in_order_up_to_the_last(layers: int, data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, layers))
    read = sources(depth, layers)
    assert len(set(read)) == depth
    assert list(read) == sorted(read)
    assert read[0] >= 0 and read[-1] == layers - 1
    assert sources(layers, layers) == tuple(range(layers))


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to the backbone's 3 layers"):
        LayerwiseFlow.Config(depth=4).build(SPEC)
    with pytest.raises(ValueError, match="gives its layers"):
        LayerwiseFlow.Config().build(dataclasses.replace(SPEC, layers=0))
