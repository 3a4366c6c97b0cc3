"""The heads that are compared are of equal size, and their decoders share weights."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from enactive.models.action_model import ActionModel, Interface
from enactive.models.heads.discrete_diffusion import DiscreteDiffusion
from enactive.models.heads.head import HeadSpec
from enactive.models.tokenizers.quantile_bins import QuantileBins
from enactive.systems.equal_heads import (
    BINS,
    DECODERS,
    HEADS,
    KINDS,
    MAIN,
    SETTINGS,
    WIDTH,
    Setting,
    T,
    decoded_by,
    latencies,
    model,
)
from enactive.systems.experiment import parameters

ids = [setting.name for setting in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS, ids=ids)
def test_heads_are_of_equal_size(setting: Setting) -> None:
    sizes: dict[str, int] = {}
    for field in fields(HEADS):
        config = getattr(HEADS, field.name)
        tokenizer = None
        if config.refuses(None) is not None:
            tokenizer = QuantileBins.Config(bins=BINS).build(
                action_size=setting.entries, horizon=setting.horizon
            )
        spec = HeadSpec(
            width=WIDTH, action_size=setting.entries, horizon=setting.horizon, tokenizer=tokenizer
        )
        sizes[field.name] = parameters(config.build(spec).network)
    assert max(sizes.values()) <= 1.05 * min(sizes.values()), sizes
    assert sizes["autoregressive"] == sizes["discrete_diffusion"]


@pytest.fixture(params=SETTINGS, ids=ids)
def built(request: pytest.FixtureRequest) -> ActionModel:
    """An untrained diffusion model of a setting, its bins fitted."""
    setting: Setting = request.param
    world = setting.world.build()
    spec = world.spec
    world.close()
    assert spec.accepts.size == setting.entries
    states = {state.name: state.size for state in spec.observations.states}
    unit = {
        name: {"mean": [0.0] * size, "std": [1.0] * size, "min": [-3.0] * size, "max": [3.0] * size}
        for name, size in {**states, "action": setting.entries}.items()
    }
    interface = Interface(consumes=spec.observations, produces=spec.accepts)
    made = model(setting, KINDS["discrete diffusion"]).build(interface, unit, seed=0).eval()
    made.fit_tokenizer(
        torch.randn(256, setting.horizon, setting.entries), torch.Generator().manual_seed(0)
    )
    return made


def test_decoders_share_weights_and_differ_in_rounds(built: ActionModel) -> None:
    for name, config in DECODERS.items():
        other = decoded_by(built, config)
        assert isinstance(other.head, DiscreteDiffusion)
        assert other.head.rounds == config.rounds and other.head.remask == config.remask
        for key, value in built.state_dict().items():
            assert torch.equal(other.state_dict()[key], value), (name, key)


def test_every_decoder_is_timed(built: ActionModel) -> None:
    found = latencies(built, repeats=1)
    assert set(found) == {"ms, autoregression", *(f"ms, {name}" for name in DECODERS)}
    assert all(value > 0 for value in found.values())
    assert DECODERS[MAIN].rounds == T
