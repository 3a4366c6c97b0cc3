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
    already stands there.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(np.ascontiguousarray(picture))
    pen = ImageDraw.Draw(image)
    font: Any = ImageFont.load_default(size=9)
    taken: list[tuple[int, int, int, int]] = []
    for mark in marks:
        left, top, width, height = mark.node.box
        colour = COLOURS[(mark.number - 1) % len(COLOURS)]
        right = min(left + width, image.width) - 1
        bottom = min(top + height, image.height) - 1
        left, top = max(left, 0), max(top, 0)
        pen.rectangle((left, top, max(right, left), max(bottom, top)), outline=colour)
        text = str(mark.number)
        wide, high = 5 * len(text) + 3, 10
        corners = (
            (left, top), (right - wide, top), (left, bottom - high), (right - wide, bottom - high),
        )  # fmt: skip
        spots = [
            (min(max(x, 0), image.width - wide), min(max(y, 0), image.height - high), wide, high)
            for x, y in corners
        ]
        spot = next((s for s in spots if not any(_overlap(s, t) for t in taken)), spots[0])
        taken.append(spot)
        x, y = spot[:2]
        pen.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
        pen.text((x + 2, y - 1), text, fill=(255, 255, 255), font=font)
    return np.array(image, np.uint8)


def as_text(marks: Sequence[Mark]) -> str:
    """One line for each mark."""
    return "\n".join(mark.line() for mark in marks)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
