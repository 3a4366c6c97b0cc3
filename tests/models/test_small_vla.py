"""The backbone: its contract, where its tokens come from, and its augmentation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enactive.models.action_model import ActionModel, Interface
from enactive.models.augmentation import RandomShift
from enactive.models.backbones.backbone import Instructions
from enactive.models.backbones.small_vla import Choice, Scales, SmallVLA, spatial_softmax
from enactive.models.batch import Batch

Make = Callable[..., Batch]
CAMERAS = {"front": (32, 48), "hand": (16, 16)}
STATES = {"proprio": 3, "force": 1}


def build(**fields: object) -> SmallVLA:
    torch.manual_seed(0)
    settings = {"width": 32, "depth": 2, "channels": (8, 16), "keypoints": 4} | fields
    config = SmallVLA.Config(**settings)  # type: ignore[arg-type]
    return config.build(cameras=CAMERAS, states=STATES, observation_steps=2, language_size=384)


def told(embedding: torch.Tensor) -> Instructions:
    return Instructions(texts=("",) * len(embedding), embedding=embedding)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("film", [False, True])
@pytest.mark.parametrize("keypoints", [0, 4])
def test_tokens_and_layers(make_batch: Make, shared: bool, film: bool, keypoints: int) -> None:
    backbone = build(shared_stem=shared, film=film, keypoints=keypoints)
    batch = make_batch(3)
    found = backbone(batch.images, batch.state, told(torch.randn(3, 384)), layers=True)
    cells = 2 * (4 * 6 + 2 * 2)
    singles = 2 + 2 * 2 + (2 * 2 if keypoints else 0)
    assert found.tokens.shape == (3, cells + singles, 32)
    assert found.pooled.shape == (3, 32)
    assert [layer.shape for layer in found.layers] == [found.tokens.shape] * 2
    assert not backbone(batch.images, batch.state, told(torch.randn(3, 384))).layers


def test_listed_things_are_tokens(make_batch: Make) -> None:
    backbone, batch = build(slots=(("proprio", 1),)), make_batch(2)
    found = backbone(batch.images, batch.state, told(torch.randn(2, 384)))
    plain = build()(batch.images, batch.state, told(torch.randn(2, 384)))
    assert found.tokens.shape[1] == plain.tokens.shape[1] + 2 * 2
    # One and the same MLP for all things of a list.
    assert [part[0].in_features for part in backbone.states] == [1, 1]  # type: ignore[index]
    for slots in ((("proprio", 2),), (("proprio", 0),), (("arm", 1),)):
        with pytest.raises(ValueError, match=r"backbone\.slots"):
            build(slots=slots)


@pytest.mark.parametrize("things", [True, False])
def test_chosen_things_are_tokens(make_batch: Make, things: bool) -> None:
    backbone = build(slots=(("proprio", 1),), scales=(1.0, 0.1), chosen=2, things=things)
    batch, language = make_batch(2), torch.randn(2, 384)
    found = backbone(batch.images, batch.state, told(language))
    plain = build()(batch.images, batch.state, told(language))
    singles = 2 * (3 * things + 2) - 2  # instead of one token of the vector, at both times
    assert found.tokens.shape[1] == plain.tokens.shape[1] + singles
    with pytest.raises(ValueError, match=r"need backbone\.slots"):
        build(chosen=1)
    with pytest.raises(ValueError, match=r"backbone\.scales must be positive"):
        build(slots=(("proprio", 1),), scales=(0.0,))
    with pytest.raises(ValueError, match=r"backbone\.things and backbone\.chosen"):
        build(slots=(("proprio", 1),), things=False)


def test_what_is_chosen_has_the_entries_precision() -> None:
    """Whichever thing is chosen, only its own entries reach the policy, and all of them."""
    [choice] = build(slots=(("proprio", 1),), scales=(1.0,), chosen=1, things=False).choices
    assert isinstance(choice, Choice)
    with torch.no_grad():
        choice.kinds.copy_(torch.eye(3, 32) * 30)
        for part in (choice.look, choice.scene):
            for parameter in part.parameters():
                parameter.zero_()
        choice.key.weight.copy_(torch.eye(32))
        choice.told.weight.zero_()
        choice.told.bias.copy_(torch.eye(3, 32)[1] * 30)  # the second
    things, language = torch.tensor([[[0.3], [0.1], [0.2]]]), torch.randn(1, 384)
    assert choice.scores(things, language).softmax(-1)[0, 0].tolist() == [0.0, 1.0, 0.0]
    base = choice(things, language)
    others = choice(things + torch.tensor([[1.0], [0.0], [1.0]]), language)
    nearby = choice(things + torch.tensor([[0.0], [0.001], [0.0]]), language)
    assert torch.equal(others, base)
    assert not torch.equal(nearby, base)


@given(x=st.floats(-2, 2), step=st.floats(1e-3, 1e-2))
def test_scales_tell_near_and_far_apart(x: float, step: float) -> None:
    shown = Scales((1.0, 0.01))(torch.tensor([[x], [x + step]], dtype=torch.float64))
    assert shown.shape == (2, 2) and bool((shown.abs() <= 1).all())
    assert shown[1, 0] > shown[0, 0]
    nearby = Scales((0.01,))(torch.tensor([[0.0], [step]], dtype=torch.float64))
    assert nearby[1, 0] > 70 * step  # a plain entry says no more than ``step``
    assert nearby[1, 0] <= step / 0.01


@pytest.mark.parametrize("cells", [True, False])
def test_every_input_matters(make_batch: Make, cells: bool) -> None:
    backbone, batch = build(cells=cells), make_batch(2)
    language = torch.randn(2, 384)
    base = backbone(batch.images, batch.state, told(language)).pooled
    for name in batch.images:
        changed = {**batch.images, name: 255 - batch.images[name]}
        assert not torch.allclose(backbone(changed, batch.state, told(language)).pooled, base)
    for name in batch.state:
        changed = {**batch.state, name: batch.state[name] + 1}
        assert not torch.allclose(backbone(batch.images, changed, told(language)).pooled, base)
    assert not torch.allclose(backbone(batch.images, batch.state, told(-language)).pooled, base)


def test_pictures_as_keypoints_alone(make_batch: Make) -> None:
    backbone, batch = build(cells=False), make_batch(2)
    found = backbone(batch.images, batch.state, told(torch.randn(2, 384)))
    assert found.tokens.shape == (2, 2 + 2 * 2 + 2 * 2, 32)
    stem, image = backbone.stems[0], batch.images["front"][:, 0].permute(0, 3, 1, 2).float()
    language = torch.randn(2, 384)
    points = spatial_softmax(stem.keypoint_maps(image, language))  # type: ignore[operator]
    assert torch.equal(stem(image, language)[1], points)
    with pytest.raises(ValueError, match=r"backbone\.cells and backbone\.keypoints"):
        build(cells=False, keypoints=0)


def test_time_is_not_lost(make_batch: Make) -> None:
    backbone, batch = build(), make_batch(2)
    language = torch.randn(2, 384)
    base = backbone(batch.images, batch.state, told(language)).pooled
    flipped = {name: image.flip(1) for name, image in batch.images.items()}
    assert not torch.allclose(backbone(flipped, batch.state, told(language)).pooled, base)


def test_an_image_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'front' is 33x48 pixels.*multiples of 8"):
        SmallVLA.Config(channels=(8, 16)).build(
            cameras={"front": (33, 48)}, states={}, observation_steps=1, language_size=384
        )


def test_width_must_fit_the_attention_heads() -> None:
    with pytest.raises(ValueError, match="width 30 is not a multiple of the 4"):
        build(width=30)


@given(st.integers(0, 7), st.integers(0, 9))
def test_spatial_softmax_finds_the_peak(y: int, x: int) -> None:
    maps = torch.full((1, 2, 8, 10), -50.0)
    maps[0, 0, y, x] = 50.0
    maps[0, 1, 0, 0] = 50.0
    found = spatial_softmax(maps)[0]  # x of both, then y of both
    torch.testing.assert_close(found[0], torch.tensor(-1 + 2 * x / 9))
    torch.testing.assert_close(found[2], torch.tensor(-1 + 2 * y / 7))
    assert found[1] == found[3] == -1


@given(st.integers(0, 1000), st.integers(1, 5))
def test_a_random_shift_is_a_crop_of_the_edge_padded_image(seed: int, pixels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (3, 2, 12, 15, 3), generator=generator, dtype=torch.uint8)
    shifted = RandomShift(pixels=pixels)(images, generator)
    assert shifted.shape == images.shape
    for b in range(3):
        rows = images[b].permute(0, 3, 1, 2).float()
        padded = torch.nn.functional.pad(rows, (pixels,) * 4, mode="replicate")
        crops = {
            padded[:, :, dy : dy + 12, dx : dx + 15].to(torch.uint8).numpy().tobytes()
            for dy in range(2 * pixels + 1)
            for dx in range(2 * pixels + 1)
        }
        assert shifted[b].permute(0, 3, 1, 2).contiguous().numpy().tobytes() in crops


def test_shifts_differ_between_windows_and_not_within_one() -> None:
    ramp = torch.arange(20, dtype=torch.uint8).view(1, 1, 1, 20, 1).expand(64, 2, 20, 20, 3)
    shifted = RandomShift(pixels=3)(ramp, torch.Generator().manual_seed(0))
    assert torch.equal(shifted[:, 0], shifted[:, 1])
    assert len(set(shifted[:, 0, 10, 10, 0].tolist())) == 7


def test_only_training_augments(
    config: ActionModel.Config,
    interface: Interface,
    statistics: dict[str, dict[str, list[float]]],
    make_batch: Make,
) -> None:
    model = config.build(interface, statistics, seed=0)
    batch = make_batch(4)
    # The same noise in the head either way: augmentation draws from the generator first.
    model.eval()
    first = model.loss(batch, torch.Generator().manual_seed(0)).total
    assert torch.equal(first, model.loss(batch, torch.Generator().manual_seed(0)).total)
    model.train()
    assert not torch.equal(first, model.loss(batch, torch.Generator().manual_seed(0)).total)
