"""Set of marks: numbered boxes drawn over what can be used, so that a model can point by number.

Yang et al. 2023, "Set-of-Mark Prompting Unleashes Extraordinary Visual Grounding in GPT-4V"
(arXiv 2310.11441), §3: regions are found, each is given a mark that says its number, and the model
answers in numbers. Regions are the elements that the browser says can be used, so that no
segmentation model is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.worlds.screen.accessibility import Node

COLOURS = (
    (214, 39, 40), (31, 119, 180), (44, 160, 44), (148, 103, 189), (140, 86, 75), (227, 119, 194),
    (23, 118, 130), (188, 110, 20),
)  # fmt: skip
"""Of the marks in turn, so that neighbours differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One numbered element."""

    number: int
    """What is written on the picture, from 1."""
    node: Node

    def action(self, do: str = "click") -> dict[str, Any]:
        """The screen action that points at the middle of the element."""
        x, y = self.node.centre
        return {"do": do, "x": x, "y": y}

    def line(self) -> str:
        """``3: button "Login"``."""
        node = self.node
        name = f' "{node.name}"' if node.name else f" {node.hint}" if node.hint else ""
        value = f' value "{node.value}"' if node.value else ""
        return f"{self.number}: {node.role}{name}{value}" + "".join(f" {s}" for s in node.states)


def marks_of(nodes: Sequence[Node], width: int, height: int, most: int = 99) -> tuple[Mark, ...]:
    """Marks for the elements that can be used and whose middle is on the screen.

    Of two elements with one box only the inner is marked.
    """
    usable = [node for node in nodes if node.interactive and node.on_screen(width, height)]
    inner = {node.box: node for node in usable}  # later ones lie inside earlier ones
    kept = [node for node in usable if inner[node.box] is node]
    return tuple(Mark(number=i + 1, node=node) for i, node in enumerate(kept[:most]))


def draw(picture: NDArray[np.uint8], marks: Sequence[Mark]) -> NDArray[np.uint8]:
    """A copy of ``picture``, ``uint8 (H, W, 3)``, with a box and a number for every mark.

    A number stands at the upper left corner of its box, or at another corner where a number
    already stands there; beside its box where it would cover most of it.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(np.ascontiguousarray(picture))
    pen = ImageDraw.Draw(image)
    font: Any = ImageFont.load_default(size=9)
    size = (image.width, image.height)
    taken: list[Box] = [mark.node.box for mark in marks if _is_small(mark)]
    for mark in marks:
        left, top, width, height = mark.node.box
        colour = COLOURS[(mark.number - 1) % len(COLOURS)]
        right, bottom = min(left + width, size[0]) - 1, min(top + height, size[1]) - 1
        left, top = max(left, 0), max(top, 0)
        pen.rectangle((left, top, max(right, left), max(bottom, top)), outline=colour)
        spot = _spot(mark, size, taken)
        taken.append(spot)
        x, y, wide, high = spot
        pen.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
        pen.text((x + 2, y - 1), str(mark.number), fill=(255, 255, 255), font=font)
    return np.array(image, np.uint8)


Box = tuple[int, int, int, int]
"""Left, top, width and height, px."""

HIGH = 10
"""Of a number, px."""


def _is_small(mark: Mark) -> bool:
    """Whether a number would cover most of the element."""
    return mark.node.box[2] * mark.node.box[3] < 3 * HIGH * _wide(mark)


def _wide(mark: Mark) -> int:
    return 5 * len(str(mark.number)) + 3


def _spot(mark: Mark, size: tuple[int, int], taken: Sequence[Box]) -> Box:
    """Where a mark's number stands."""
    (left, top, width, height), wide = mark.node.box, _wide(mark)
    right, bottom = left + width, top + height
    spots = [
        (left, top), (right - wide, top), (left, bottom - HIGH), (right - wide, bottom - HIGH)
    ]  # fmt: skip
    if _is_small(mark):
        beside = [(left - wide, top), (right, top), (left, top - HIGH), (left, bottom)]
        spots = beside + spots
    kept = [
        (min(max(x, 0), size[0] - wide), min(max(y, 0), size[1] - HIGH), wide, HIGH)
        for x, y in spots
    ]
    return next((one for one in kept if not any(_overlap(one, other) for other in taken)), kept[0])


def as_text(marks: Sequence[Mark]) -> str:
    """One line for each mark."""
    return "\n".join(mark.line() for mark in marks)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
