"""Text read off a picture: what can be seen of a screen where nothing else is known about it.

Package ``rapidocr`` (PP-OCR detection and recognition in ONNX; the models are inside the package).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A piece of text that was found."""

    text: str
    score: float
    """The recogniser's own, in [0, 1]."""
    box: tuple[int, int, int, int]
    """Left, top, width and height, px."""

    @property
    def centre(self) -> tuple[int, int]:
        """x and y of its middle, px."""
        left, top, width, height = self.box
        return left + width // 2, top + height // 2

    def line(self) -> str:
        """``"Login" at 12,88 size 60x21``."""
        left, top, width, height = self.box
        return f'"{self.text}" at {left},{top} size {width}x{height}'


class Reader:
    """Reads pictures; made with ``Reader.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Reader`."""

        enlarge: int = 1
        """Whole number by which pictures are enlarged before they are read. Screens with letters
        of less than about 12 px need 2 or 3."""
        least_score: float = 0.5
        """Readings below this are left out."""
        threads: int = 1
        """Of the recogniser."""

        def build(self) -> Reader:
            """Load the models.

            Raises:
                ImportError: rapidocr or onnxruntime is missing.
                ValueError: a number is out of range.
            """
            return Reader(self)

    def __init__(self, config: Config) -> None:
        if config.enlarge < 1 or config.threads < 1 or not 0 <= config.least_score <= 1:
            raise ValueError(
                "enlarge and threads are at least 1 and least_score lies in [0, 1], got "
                f"{config.enlarge}, {config.threads} and {config.least_score}"
            )
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise ImportError(
                "reading needs rapidocr and onnxruntime; pip install 'enactive[screen]'"
            ) from error
        import logging

        logging.getLogger("RapidOCR").setLevel(logging.WARNING)
        self.config = config
        self._engine: Any = RapidOCR(
            params={
                "EngineConfig.onnxruntime.intra_op_num_threads": config.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Global.log_level": "warning",
            }
        )

    def read(self, picture: NDArray[np.uint8]) -> tuple[Reading, ...]:
        """The texts on ``picture``, ``uint8 (H, W, 3)`` RGB, from top to bottom and then from left
        to right."""
        from PIL import Image

        times = self.config.enlarge
        image = Image.fromarray(np.ascontiguousarray(picture))
        if times > 1:
            size = (image.width * times, image.height * times)
            image = image.resize(size, Image.Resampling.BICUBIC)
        found = self._engine(np.asarray(image)[:, :, ::-1])  # it takes BGR
        if found is None or found.boxes is None:
            return ()
        readings = [
            Reading(text=str(text), score=float(score), box=_box(corners, times))
            for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
            if score >= self.config.least_score
        ]
        return tuple(sorted(readings, key=lambda one: (one.box[1], one.box[0])))


def as_text(readings: Sequence[Reading]) -> str:
    """One line for each."""
    return "\n".join(reading.line() for reading in readings)


def _box(corners: Any, times: int) -> tuple[int, int, int, int]:
    points = np.asarray(corners, np.float64) / times
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    return round(left), round(top), round(right - left), round(bottom - top)
