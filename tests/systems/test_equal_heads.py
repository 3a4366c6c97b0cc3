"""The heads that are compared are of equal size, and their decoders share weights."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from enactive.evaluation.claims.claim import Measurement
from enactive.models.action_model import ActionModel, Interface
from enactive.models.heads.autoregressive import Autoregressive
from enactive.models.heads.discrete_diffusion import DiscreteDiffusion
from enactive.models.heads.head import HeadSpec
from enactive.models.tokenizers.quantile_bins import QuantileBins
from enactive.systems.discrete_diffusion_vla import gain
from enactive.systems.equal_heads import (
    BINS,
    HEADS,
    KINDS,
    MAIN,
    SETTINGS,
    WIDTH,
    Setting,
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
def setting(request: pytest.FixtureRequest) -> Setting:
    return request.param


@pytest.fixture
def built(setting: Setting) -> ActionModel:
    """An untrained diffusion model of the setting, its bins fitted."""
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


def test_decoders_share_weights_and_differ_in_how_ids_are_found(
    built: ActionModel, setting: Setting
) -> None:
    decoders = setting.decoders("discrete diffusion")
    assert {"T=1", "T=2", "T=4", MAIN, "T=12", f"{MAIN}, re-masking"} <= set(decoders)
    for name, config in decoders.items():
        assert isinstance(config, DiscreteDiffusion.Config)
        head = decoded_by(built, config).head
        assert isinstance(head, DiscreteDiffusion)
        assert f"T={head.rounds}" == name.partition(",")[0]
        assert (head.remask > 0) == ("re-masking" in name)
        assert head.temperature == (0.0 if "argmax" in name else setting.temperature)
        for key, value in built.head.state_dict().items():
            assert torch.equal(head.state_dict()[key], value), (name, key)
    (alone,) = setting.decoders("autoregression").values()
    assert isinstance(alone, Autoregressive.Config) and alone.temperature == setting.temperature


def test_every_decoder_is_timed(built: ActionModel, setting: Setting) -> None:
    found = latencies(built, setting, repeats=1)
    wanted = ("autoregression", *setting.decoders("discrete diffusion"))
    assert set(found) == {f"ms, {name}" for name in wanted}
    assert all(value > 0 for value in found.values())


def test_decoders_are_compared_on_the_same_episodes() -> None:
    """T=1 ran the first two of the four episodes of T=8."""
    row = {"best_reward, T=8": [0.5, 0.7, 0.0, 0.0], "best_reward, T=1": [0.1, 0.1]}
    arms = {
        "PushT, discrete diffusion": Measurement(
            outcomes={"best_reward, T=8": 0.3, "best_reward, T=1": 0.1}, episodes=row
        ),
        "PushT, autoregression": Measurement(
            outcomes={"best_reward": 0.2}, episodes={"best_reward": [0.8, 0.0, 0.0, 0.0]}
        ),
    }
    assert gain(SETTINGS[0], "T=8", "T=1")(arms) == pytest.approx(0.5)
    assert gain(SETTINGS[0], "T=8", "autoregression")(arms) == pytest.approx(0.1)
