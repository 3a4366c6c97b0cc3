"""Published vision-language models as backbones, on tiny random instances of the real classes."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.models import tiny_vlm

from enactive.configuration import ConfigurationError
from enactive.models.action_model import ActionModel, Interface
from enactive.models.backbones.backbone import Features, Instructions
from enactive.models.backbones.images import resize
from enactive.models.backbones.lora import LoRA, merge_adapters
from enactive.models.backbones.vision_language import VisionLanguage
from enactive.models.batch import Batch
from enactive.models.heads.l1 import L1

Make = Callable[..., Batch]
Statistics = dict[str, dict[str, list[float]]]
CAMERAS = {"front": (32, 48), "hand": (16, 16)}
LONG = 24
"""Most tokens of an instruction in these tests."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    for name in tiny_vlm.FAMILIES:
        tiny_vlm.write(name, root / name)
    return {name: root / name for name in tiny_vlm.FAMILIES}


@pytest.fixture(params=list(tiny_vlm.FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def config_of(models: dict[str, Path], family: str, **changes: Any) -> VisionLanguage.Config:
    attention = tiny_vlm.ATTENTION.get(family, "sdpa")
    settings: dict[str, Any] = {"path": str(models[family]), "text_tokens": LONG}
    return VisionLanguage.Config(**{**settings, "attention": attention, **changes})


def build(
    config: VisionLanguage.Config, states: dict[str, int] | None = None, steps: int = 2
) -> VisionLanguage:
    return config.build(
        cameras=CAMERAS, states=states or {}, observation_steps=steps, language_size=384
    ).eval()


def pictures(count: int, steps: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randint(
            0, 256, (count, steps, *size, 3), generator=generator, dtype=torch.uint8
        )
        for name, size in CAMERAS.items()
    }


def features(
    backbone: VisionLanguage, texts: Sequence[str], layers: bool = False, seed: int = 0
) -> Features:
    images = pictures(len(texts), backbone.observation_steps, seed)
    told = Instructions(texts=tuple(texts), embedding=None)
    return backbone(images, {}, told, layers)


# ------------------------------------------------------------------------------ pictures


@settings(max_examples=30, deadline=None)
@given(
    st.integers(3, 40),
    st.integers(3, 40),
    st.integers(3, 40),
    st.integers(3, 40),
    st.sampled_from([1, 2, 3]),
    st.integers(0, 2**20),
)
def test_resizing_is_pillows(
    height: int, width: int, rows: int, columns: int, resample: int, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    wide = Image.fromarray(image).resize((columns, height), resample)
    expected = np.asarray(wide.resize((columns, rows), resample))
    found = resize(torch.from_numpy(image)[None], rows, columns, resample)[0].permute(1, 2, 0)
    difference = np.abs(found.numpy() - expected.astype(np.float32))
    # Pillow's weights are fixed-point numbers, so that a half may be rounded the other way, and
    # the second axis may make one level into two.
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.1


def test_pictures_reach_the_model_as_its_own_processor_prepares_them(
    family: str, models: dict[str, Path]
) -> None:
    backbone = build(config_of(models, family))
    # Coarse shapes, for SmolVLM's processor resizes twice: it enlarges first.
    coarse = pictures(1, 1)["front"][:, 0, :8, :12]
    view = resize(coarse, 32, 48, 3).permute(0, 2, 3, 1).to(torch.uint8)
    found = backbone.family.pixels([view])["pixel_values"].squeeze()
    twice = family in ("smolvlm", "idefics3")
    options = {"do_image_splitting": False} if twice else {}
    expected = backbone.processor(list(view.numpy()), return_tensors="pt", **options)
    expected = expected["pixel_values"].squeeze()
    assert found.shape == expected.shape
    levels = (found - expected).abs() * 255 * min(backbone.processor.image_std)
    assert levels.max() < (12 if twice else 1.01)
    assert levels.mean() < (1 if twice else 0.01)


# ------------------------------------------------------------------- the model's own numbers


def test_features_are_the_models_own_hidden_states(family: str, models: dict[str, Path]) -> None:
    """Padding, masks, positions and placeholders of ours against what transformers makes itself."""
    from transformers import AutoModelForImageTextToText

    backbone = build(config_of(models, family))
    theirs = AutoModelForImageTextToText.from_pretrained(
        models[family], attn_implementation=backbone.config.attention
    ).eval()
    texts = ("open the drawer", "close it")
    images = pictures(2)
    with torch.no_grad():
        found = backbone(images, {}, Instructions(texts=texts, embedding=None), True)
    sizes = [size for size in CAMERAS.values() for _ in range(2)]
    for row, text in enumerate(texts):
        asked = backbone.config.prompt.format(instruction=text)
        prompt = backbone.family.prompt(sizes, asked)
        ids = backbone.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
        views = [images[name][row : row + 1, t] for name in CAMERAS for t in range(2)]
        arguments: dict[str, Any] = backbone.family.pixels(views)
        if "qwen" in family:
            arguments["mm_token_type_ids"] = (ids == theirs.config.image_token_id).int()
        if "paligemma" in family:
            arguments["token_type_ids"] = torch.zeros_like(ids)
        with torch.no_grad():
            expected = theirs(input_ids=ids, output_hidden_states=True, **arguments)
        length = ids.shape[1]
        layers = expected.hidden_states[1:]
        assert len(layers) == len(found.layers) == len(backbone.blocks)
        for ours, own in zip(found.layers, layers, strict=True):
            torch.testing.assert_close(ours[row, -length:], own[0], rtol=1e-4, atol=1e-5)
            assert not ours[row, :-length].any()
        torch.testing.assert_close(found.tokens[row, -length:], layers[-1][0], rtol=1e-4, atol=1e-5)
        assert torch.equal(found.pooled[row], found.tokens[row, -1])


def test_a_rows_bits_do_not_depend_on_the_other_rows_words(
    family: str, models: dict[str, Path]
) -> None:
    backbone = build(config_of(models, family))
    with torch.no_grad():
        short = features(backbone, ["open it", "close it"])
        other = features(backbone, ["open it", "then pick up the red block and push it"])
    assert torch.equal(short.tokens[0], other.tokens[0])
    assert not torch.equal(short.pooled[1], other.pooled[1])


def test_every_camera_step_and_state_matters(family: str, models: dict[str, Path]) -> None:
    backbone = build(config_of(models, family), states={"proprio": 3, "force": 1})
    told = Instructions(texts=("open it",), embedding=None)
    state = {"proprio": torch.zeros(1, 2, 3), "force": torch.zeros(1, 2, 1)}
    with torch.no_grad():
        before = backbone(pictures(1), state, told).pooled
        for name in CAMERAS:
            for step in range(2):
                changed = pictures(1)
                changed[name] = changed[name].clone()
                changed[name][0, step] = 255 - changed[name][0, step]
                assert not torch.equal(backbone(changed, state, told).pooled, before)
        for name, value in state.items():
            for step in range(2):
                moved = value.clone()
                moved[0, step] += 1
                assert not torch.equal(
                    backbone(pictures(1), {**state, name: moved}, told).pooled, before
                )


# --------------------------------------------------------------------------- as a policy's part


@pytest.fixture
def make_model(
    models: dict[str, Path],
    config: ActionModel.Config,
    interface: Interface,
    statistics: Statistics,
) -> Callable[..., ActionModel]:
    def make(family: str, **changes: Any) -> ActionModel:
        head = L1.Config(depth=1)
        backbone = config_of(models, family, **changes)
        whole = dataclasses.replace(config, backbone=backbone, head=head)
        return whole.build(interface, statistics, seed=3)

    return make


def trained(model: ActionModel, batch: Batch, steps: int = 1) -> list[str]:
    """Names of the parameters that ``steps`` optimizer steps change."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    model.train()
    for step in range(steps):
        optimizer.zero_grad()
        model.loss(batch, torch.Generator().manual_seed(step)).total.backward()
        assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
        optimizer.step()
    return [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]


def test_saved_it_loads_without_the_files_it_came_from(
    family: str, models: dict[str, Path], make_model: Any, make_batch: Make, tmp_path: Path
) -> None:
    shutil.copytree(models[family], tmp_path / "original")
    model: ActionModel = make_model(family, path=str(tmp_path / "original"))
    trained(model, make_batch(2))
    model.eval()
    batch = make_batch(2)
    before = model.sample(batch, torch.Generator().manual_seed(1))
    model.save(tmp_path / "model")
    shutil.rmtree(tmp_path / "original")
    loaded = ActionModel.load(tmp_path / "model")
    assert torch.equal(loaded.sample(batch, torch.Generator().manual_seed(1)).chunk, before.chunk)
    assert loaded.config == model.config
    assert before.cost.backbone_passes == 1
    loaded.save(tmp_path / "again")  # a loaded one is as good as a built one
    again = ActionModel.load(tmp_path / "again")
    assert torch.equal(again.sample(batch, torch.Generator().manual_seed(1)).chunk, before.chunk)
    assert not (tmp_path / "model" / "language.safetensors").exists()


def test_all_of_it_trains_unless_told_otherwise(
    family: str, make_model: Any, make_batch: Make
) -> None:
    model: ActionModel = make_model(family)
    changed = set(trained(model, make_batch(2)))
    untouched = {name for name, _ in model.named_parameters()} - changed
    # A key's bias shifts all of a row's logits alike: its gradient is nothing but rounding.
    assert all("k_proj.bias" in name for name in untouched), untouched


def test_frozen_parts_keep_their_weights(family: str, make_model: Any, make_batch: Make) -> None:
    model: ActionModel = make_model(family, freeze=("vision", "language"))
    changed = trained(model, make_batch(2))
    parts = model.backbone.family.parts(model.backbone.model)
    connector = {id(p) for module in parts["connector"] for p in module.parameters()}
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[one] for one in connector} <= set(changed)
    own = [n for n in changed if n.startswith("backbone.model.")]
    assert len(own) == len(connector)
    assert any(name.startswith("backbone.states") for name in changed)
    assert any(name.startswith("head") for name in changed)


def test_adapters_alone_learn_and_merge_into_the_weights(
    family: str, make_model: Any, make_batch: Make, tmp_path: Path
) -> None:
    lora = LoRA.Config(rank=2, alpha=4.0)
    model: ActionModel = make_model(family, freeze=("vision", "connector"), lora=lora)
    batch = make_batch(2)
    plain: ActionModel = make_model(family)
    model.eval()
    with torch.no_grad():  # B starts at zero
        same = model.features(batch).tokens - plain.eval().features(batch).tokens
    assert same.abs().max() < 1e-4
    changed = trained(model, batch, steps=2)
    own = {name for name in changed if name.startswith("backbone.model.")}
    everything = {name for name, _ in model.named_parameters() if ".lora_" in name}
    assert own == everything
    assert len(own) == 2 * 4 * len(model.backbone.blocks)  # A and B, four targets a layer
    model.eval()
    model.save(tmp_path / "adapted")
    loaded = ActionModel.load(tmp_path / "adapted")
    before = model.sample(batch, torch.Generator().manual_seed(1)).chunk
    assert torch.equal(loaded.sample(batch, torch.Generator().manual_seed(1)).chunk, before)
    merge_adapters(loaded)
    loaded.save(tmp_path / "merged")
    merged = ActionModel.load(tmp_path / "merged")
    assert merged.config.backbone.lora is None
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]
    after = merged.sample(batch, torch.Generator().manual_seed(1)).chunk
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no adapters"):
        merge_adapters(merged)


def test_checkpointing_gives_the_same_gradients(make_model: Any, make_batch: Make) -> None:
    def gradients(checkpointing: bool) -> list[torch.Tensor]:
        model: ActionModel = make_model("qwen3_vl", checkpointing=checkpointing).train()
        model.loss(make_batch(2), torch.Generator().manual_seed(0)).total.backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    for kept, recomputed in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(kept, recomputed)


def test_half_precision_weights_carry_trained_adapters(make_model: Any, make_batch: Make) -> None:
    lora = LoRA.Config(rank=2)
    parts: Any = {"freeze": ("vision", "connector"), "dtype": "bfloat16"}
    model: ActionModel = make_model("qwen2_5_vl", lora=lora, **parts)
    assert trained(model, make_batch(2), steps=2)
    types = {p.dtype for p in model.parameters() if p.requires_grad}
    assert types == {torch.float32}
    assert model.backbone.model.get_input_embeddings().weight.dtype == torch.bfloat16
    with pytest.raises(ConfigurationError, match=r"backbone\.dtype bfloat16"):
        make_model("qwen2_5_vl", dtype="bfloat16")


def test_fewer_pixels_make_fewer_tokens(models: dict[str, Path]) -> None:
    many = build(config_of(models, "qwen2_5_vl"))
    few = build(config_of(models, "qwen2_5_vl", max_pixels=256))
    assert few.prompts.length < many.prompts.length
    assert features(few, ["open it"]).tokens.shape[1] == few.prompts.length
    with pytest.raises(ValueError, match=r"backbone\.max_pixels"):
        build(config_of(models, "smolvlm", max_pixels=256))


# ------------------------------------------------------------------------------ what goes wrong


def test_what_is_wrong_is_named_with_its_fix(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"backbone\.path is empty; name a directory"):
        build(VisionLanguage.Config())
    with pytest.raises(ConfigurationError, match=r"hf download nobody/nothing; or set"):
        build(VisionLanguage.Config(path="nobody/nothing"))
    (tmp_path / "config.json").write_text('{"model_type": "llava", "architectures": []}')
    with pytest.raises(ConfigurationError, match="of type 'llava'"):
        build(VisionLanguage.Config(path=str(tmp_path)))
    with pytest.raises(ConfigurationError, match=r"raise backbone\.text_tokens"):
        features(build(config_of(models, "smolvlm", text_tokens=2)), ["pick up the red block"])
    with pytest.raises(ConfigurationError, match=r"no linear layer is called 'qproj'"):
        build(config_of(models, "smolvlm", lora=LoRA.Config(targets=("qproj",))))
    with pytest.raises(ConfigurationError, match=r"backbone\.attention: .* use eager"):
        build(config_of(models, "paligemma2", attention="sdpa"))
    with pytest.raises(ConfigurationError, match=r"backbone\.prompt must contain"):
        build(config_of(models, "smolvlm", prompt="act!"))
    with pytest.raises(ConfigurationError, match="needs a camera"):
        config_of(models, "smolvlm").build(
            cameras={}, states={"x": 1}, observation_steps=1, language_size=384
        )


def test_missing_weights_are_not_passed_over(models: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(models["smolvlm"], tmp_path / "broken")
    file = tmp_path / "broken" / "model.safetensors"
    weights = load_file(file)
    weights.pop("model.connector.modality_projection.proj.weight")
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"1 weights .*modality_projection"):
        build(VisionLanguage.Config(path=str(tmp_path / "broken")))
