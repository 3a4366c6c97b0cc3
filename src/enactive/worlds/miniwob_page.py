"""What MiniWoB++'s scripted experts see of a page, and how their advice travels as a vector."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.actions.screen import VERBS

Action = dict[str, Any]

SCAN = """() => {
  const skip = new Set(['query', 'reward-display', 'sync-task-cover', 'click-canvas']);
  const found = [];
  const walk = (node, above) => {
    if (skip.has(node.id) || ['SCRIPT', 'STYLE'].includes(node.tagName)) return;
    const box = node.getBoundingClientRect();
    // Where it can be pointed at: its middle, unless something else lies on top of that.
    let point = null;
    const shares = [[.5, .5], [.5, .2], [.5, .8], [.2, .5], [.8, .5], [.1, .1], [.9, .1],
                    [.1, .9], [.9, .9]];
    for (const [a, b] of shares) {
      const x = Math.floor(box.left + a * box.width), y = Math.floor(box.top + b * box.height);
      const top = document.elementFromPoint(x, y);
      if (top && (node === top || node.contains(top))) { point = [x, y]; break; }
    }
    const attributes = {};
    for (const one of node.attributes) attributes[one.name] = one.value;
    let marked = false;
    if (document.activeElement === node && node.value)
      marked = getSelection().toString() === String(node.value);
    found.push({
      above, tag: node.tagName.toLowerCase(), id: node.id || '',
      classes: (node.getAttribute('class') || '').split(/\\s+/).filter(Boolean),
      text: (node.textContent || '').replace(/\\s+/g, ' ').trim(),
      value: 'value' in node ? String(node.value) : '',
      checked: Boolean(node.checked || node.selected), marked,
      focused: document.activeElement === node,
      shown: box.width > 0 && box.height > 0 && getComputedStyle(node).visibility !== 'hidden',
      attributes, point, box: [box.left, box.top, box.width, box.height],
    });
    const index = found.length - 1;
    for (const child of node.children) walk(child, index);
  };
  walk(document.body, -1);
  return found;
}"""
"""Every element of the page in document order; ``above`` is the index of the one around it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Element:
    """One element."""

    above: int
    tag: str
    id: str
    classes: Sequence[str]
    text: str
    value: str
    checked: bool
    marked: bool
    """Whether all that is written in it is selected."""
    focused: bool
    shown: bool
    attributes: Mapping[str, str]
    point: tuple[int, int] | None
    """Where nothing else lies over it: its middle if possible; ``None`` if nowhere."""
    box: tuple[float, float, float, float]

    @property
    def centre(self) -> tuple[int, int]:
        """x and y of its middle, px."""
        left, top, width, height = self.box
        return int(left + width / 2), int(top + height / 2)

    @property
    def touched(self) -> bool:
        """Whether it was clicked in this episode: every page notes that."""
        return "data-tampered" in self.attributes

    def click(self, do: str = "click") -> Action:
        """Point at it."""
        x, y = self.point or self.centre
        return {"do": do, "x": x, "y": y}


class Page:
    """The elements of a page and what its task says."""

    def __init__(self, utterance: str, elements: Sequence[Mapping[str, Any]]) -> None:
        self.utterance = utterance
        self.elements = [Element(**element) for element in elements]

    @cached_property
    def quoted(self) -> list[str]:
        """What stands in quotation marks."""
        return self.utterance.split('"')[1::2]

    @property
    def ordinal(self) -> int:
        """The number in "the 3rd"."""
        return int(re.findall(r"(\d+)(?:st|nd|rd|th)", self.utterance)[0])

    def all(
        self,
        tag: str = "",
        *,
        id: str = "",
        cls: str = "",
        text: str | None = None,
        shown: bool = True,
        **attributes: str,
    ) -> list[Element]:
        """Elements that are all of this; ``_`` in an attribute's name stands for ``-``."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [
            one
            for one in self.elements
            if (not tag or one.tag == tag)
            and (not id or one.id == id)
            and (not cls or cls in one.classes)
            and (text is None or one.text == text)
            and (one.shown or not shown)
            and all(one.attributes.get(name) == value for name, value in wanted.items())
        ]

    def one(self, tag: str = "", **wanted: Any) -> Element:
        """The first of :meth:`all`; raises ``LookupError`` if there is none."""
        found = self.all(tag, **wanted)
        if not found:
            raise LookupError(f"no {tag or 'element'} with {wanted}")
        return found[0]

    def inside(self, outer: Element, tag: str = "", **wanted: Any) -> list[Element]:
        """Of :meth:`all`, those that lie in ``outer``."""
        return [one for one in self.all(tag, **wanted) if outer in self.around(one)]

    def around(self, element: Element) -> list[Element]:
        """The elements that it lies in, the nearest first."""
        found: list[Element] = []
        while element.above >= 0:
            element = self.elements[element.above]
            found.append(element)
        return found

    def fill(self, field: Element, text: str) -> Action | None:
        """The next step towards ``text`` being all that is written in ``field``; ``None`` if it
        is."""
        if field.value == text:
            return None
        if not field.focused:
            return field.click()
        if field.value and not field.marked:
            return {"do": "keys", "keys": ["Control", "a"]}
        return {"do": "type", "text": text}

    def submit(self) -> Action:
        """Press the button that hands in."""
        buttons = self.all("button")
        for word in ("Submit", "Login", "OK", "Search"):
            for button in buttons:
                if button.text == word:
                    return button.click()
        return (buttons or self.all(text="Submit"))[-1].click()


class Table:
    """Experts by the pages that they do."""

    def __init__(self) -> None:
        self.experts: dict[str, Expert] = {}

    def does(self, *tasks: str) -> Callable[[Expert], Expert]:
        """Enters the function below as the expert of these pages."""

        def enter(expert: Expert) -> Expert:
            self.experts.update(dict.fromkeys(tasks, expert))
            return expert

        return enter


Expert = Callable[[Page], Action | None]
"""The next action in a page; ``None`` where there is nothing to do."""

MAX_TEXT = 96
"""Characters of an advice."""

ADVICE_NAMES = ("verb", "x", "y", "length", *(f"character.{i}" for i in range(MAX_TEXT)))
"""Entries of an advice: of ``drag``, the end stands in the first two characters."""

_VERBS = tuple(VERBS)


def encode(action: Action | None) -> NDArray[np.float64]:
    """An action as ``float64 (4 + MAX_TEXT,)``; ``None`` has verb -1."""
    vector = np.zeros(len(ADVICE_NAMES))
    vector[0] = -1
    if action is None:
        return vector
    verb = action["do"]
    tail: list[float] = []
    if verb == "type":
        tail = [float(ord(character)) for character in action["text"][:MAX_TEXT]]
    elif verb == "keys":
        tail = [float(ord(character)) for character in "+".join(action["keys"])]
    elif verb == "drag":
        tail = [float(action["to_x"]), float(action["to_y"])]
    vector[0] = _VERBS.index(verb)
    vector[1:3] = action.get("x", action.get("dx", 0)), action.get("y", action.get("dy", 0))
    vector[3] = len(tail)
    vector[4 : 4 + len(tail)] = tail
    return vector


def decode(vector: NDArray[np.float64]) -> Action | None:
    """The action that :func:`encode` was given."""
    if vector[0] < 0:
        return None
    verb = _VERBS[int(vector[0])]
    x, y = int(vector[1]), int(vector[2])
    tail = vector[4 : 4 + int(vector[3])]
    match verb:
        case "type":
            return {"do": verb, "text": "".join(chr(int(code)) for code in tail)}
        case "keys":
            keys = "".join(chr(int(code)) for code in tail).split("+")
            return {"do": verb, "keys": keys}
        case "drag":
            return {"do": verb, "x": x, "y": y, "to_x": int(tail[0]), "to_y": int(tail[1])}
        case "scroll":
            return {"do": verb, "dx": x, "dy": y}
        case "wait":
            return {"do": verb}
        case _:
            return {"do": verb, "x": x, "y": y}
