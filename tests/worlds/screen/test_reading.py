"""Text is found where it stands."""

from __future__ import annotations

import numpy as np
import pytest

from enactive.worlds.screen.reading import Reader, as_text

pytest.importorskip("rapidocr")


def test_labels_are_read_where_they_stand() -> None:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (320, 120), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=22)
    pen.text((20, 10), "Username", fill="black", font=font)
    pen.text((180, 70), "Cancel", fill="black", font=font)
    readings = Reader.Config().build().read(np.array(image))
    assert [one.text for one in readings] == ["Username", "Cancel"]
    for one, (x, y) in zip(readings, [(70, 22), (215, 82)], strict=True):
        assert abs(one.centre[0] - x) < 15 and abs(one.centre[1] - y) < 15
    assert as_text(readings).startswith('"Username" at ')


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="least_score"):
        Reader.Config(least_score=2.0).build()
