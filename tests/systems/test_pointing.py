"""Pointing: labels are where the pictures show the thing, targets mean what the softmax means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enactive.models.backbones.small_vla import Stem, spatial_softmax
from enactive.systems.pointing import Pointed, pointed, pointing_loss, targets
from enactive.worlds.tabletop.vocabulary import COLOURS


@given(st.floats(0.04, 0.96), st.floats(0.04, 0.96))
def test_targets_have_the_point_as_their_mean(x: float, y: float) -> None:
    found = targets(torch.tensor([[[x, y], [torch.nan, torch.nan]]]), 16, 16)
    assert found.shape == (1, 2, 16, 16)
    assert float(found[0, 0].sum()) == pytest.approx(1, abs=1e-5)
    assert float(found[0, 1].sum()) == 0
    place = spatial_softmax(found[:, :1].clamp(min=1e-12).log())[0]  # in [-1, 1] of cells' centres
    cells = (place + 1) / 2 * 15
    assert ((cells + 0.5) / 16).tolist() == pytest.approx([x, y], abs=1e-4)


@pytest.fixture(scope="module")
def data() -> Pointed:
    pytest.importorskip("mujoco")
    return pointed(12, 64, seed=3)


def test_the_named_thing_is_where_the_label_says(data: Pointed) -> None:
    """At most labels the picture has the colour that the words name; a hand may hide it."""
    right: list[bool] = []
    for row, text in enumerate(data.instructions):
        first = min(
            (place, colour) for colour in COLOURS if (place := text.find(f"the {colour} ")) >= 0
        )[1]
        x, y = (data.points[row, 0] * 64).astype(int)
        patch = data.pictures[data.picture[row], max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        ours = patch.reshape(-1, 3) / 255.0
        ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
        wanted = np.array(COLOURS[first]) / np.linalg.norm(COLOURS[first])
        right.append(bool((ours @ wanted).max() > 0.97))
    assert len(right) > 40 and np.mean(right) > 0.85


def test_goals_are_there_where_words_name_two_things(data: Pointed) -> None:
    places = ("the bowl", "the tray", "the box", "the white square", "the black circle")
    for text, point in zip(data.instructions, data.points, strict=True):
        colours = sum(text.count(f"the {colour} ") for colour in COLOURS)
        two = colours > 1 or any(place in text for place in places)
        assert np.isfinite(point[1]).all() == two, text


def test_a_stem_learns_one_picture() -> None:
    torch.manual_seed(0)
    stem = Stem((8, 8), 2, 16, True, 2)
    images = torch.randint(0, 255, (4, 32, 32, 3), dtype=torch.uint8)
    language, points = torch.randn(4, 16), torch.rand(4, 2, 2)
    points[0, 1] = torch.nan
    optimizer = torch.optim.Adam(stem.parameters(), lr=0.02)
    first = last = 0.0
    for step in range(60):
        loss = pointing_loss(stem, images, language, points)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
        first = first if step else last
    assert last < first / 2
    with pytest.raises(ValueError, match="no keypoints"):
        Stem((8, 8), 2, 16, True, 0).keypoint_maps(images.permute(0, 3, 1, 2).float(), language)
