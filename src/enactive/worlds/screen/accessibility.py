"""A page as its accessibility tree: what is on it, in words, with ids and places.

This is what a screen reader is told: the role, name, value and state of every element, computed by
the browser itself. Places come from the browser's layout. An element keeps its id for as long as
its page is open, and ids count from 1 in the order in which elements were first seen, so that they
are the same whenever a page is used in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enactive.worlds.screen.browser import Browser

INTERACTIVE = frozenset({
    "button", "checkbox", "ColorWell", "combobox", "Date", "DateTime", "DisclosureTriangle",
    "gridcell", "InputTime", "link", "listbox", "menuitem", "menuitemcheckbox", "menuitemradio",
    "option", "PopUpButton", "radio", "searchbox", "slider", "spinbutton", "switch", "tab",
    "textbox", "treeitem",
})  # fmt: skip
"""Roles of what is there to be used."""

SILENT = frozenset({
    "generic", "InlineTextBox", "LayoutTable", "LayoutTableCell", "LayoutTableRow", "LineBreak",
    "ListMarker", "none", "paragraph", "RootWebArea",
})  # fmt: skip
"""Roles that say nothing themselves; an element of one is left out unless it can be clicked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One element of the page."""

    id: int
    """Number of the element in this page, from 1."""
    depth: int
    """How many shown elements it lies in."""
    role: str
    """E.g. ``"button"``, ``"textbox"``, ``"StaticText"``."""
    name: str
    value: str = ""
    hint: str = ""
    """What its author calls it, ``"#id.class"``, where it is to be used and has no name."""
    options: tuple[str, ...] = ()
    """What a closed list offers."""
    states: tuple[str, ...] = ()
    """Of ``focused``, ``checked``, ``selected``, ``expanded``, ``disabled`` and the like."""
    box: tuple[int, int, int, int]
    """Left, top, width and height, px, from the upper left of the screen; may lie outside it."""
    interactive: bool = False
    """Whether it is there to be used: by its role, or because it listens to clicks."""

    @property
    def centre(self) -> tuple[int, int]:
        """x and y of its middle, px."""
        left, top, width, height = self.box
        return left + width // 2, top + height // 2

    def on_screen(self, width: int, height: int) -> bool:
        """Whether its middle lies on a screen of this size."""
        x, y = self.centre
        return 0 <= x < width and 0 <= y < height

    def line(self) -> str:
        """``[3] button "Login" focused at 12,88 size 60x21``."""
        left, top, width, height = self.box
        parts = [f"[{self.id}] {self.role}"]
        parts += [f'"{self.name}"'] if self.name else []
        parts += [self.hint] if self.hint else []
        parts += [f'value "{self.value}"'] if self.value else []
        parts += [f"of {' | '.join(self.options)}"] if self.options else []
        parts += self.states
        return "  " * self.depth + " ".join(parts) + f" at {left},{top} size {width}x{height}"


@dataclass
class AccessibilityTree:
    """Reads the trees of one page; make a new one for every page that is opened."""

    browser: Browser
    hidden: frozenset[str] = frozenset()
    """Values of the ``id`` attribute of elements that are left out with all that is in them."""
    most_nodes: int = 2000
    """Elements read at most."""
    name_length: int = 200
    """Characters of a name or value at most."""
    _ids: dict[int, int] = field(default_factory=dict[int, int])

    def read(self) -> tuple[Node, ...]:
        """The shown elements of the page, each after the one that it lies in."""
        layout = _Layout.of(
            self.browser.ask("DOMSnapshot.captureSnapshot", {"computedStyles": []}), self.hidden
        )
        answer = self.browser.ask("Accessibility.getFullAXTree")
        given = {node["nodeId"]: node for node in answer["nodes"]}
        nodes: list[Node] = []
        # Depth first, without recursion: pages can be nested deeply.
        waiting = [(node, 0) for node in answer["nodes"][:1]]
        while waiting and len(nodes) < self.most_nodes:
            raw, depth = waiting.pop()
            backend = int(raw.get("backendDOMNodeId", 0))
            if backend in layout.hidden:
                continue
            children = [given[id] for id in raw.get("childIds", ()) if id in given]
            node = self._node(raw, backend, depth, layout, children)
            if node is not None:
                nodes.append(node)
            inside = depth + (node is not None)
            if node is not None and node.options:
                children = []
            if node is not None and _says_it_all(node, children):
                children = []
            waiting.extend((child, inside) for child in reversed(children))
        return tuple(nodes)

    def _node(
        self,
        raw: Mapping[str, Any],
        backend: int,
        depth: int,
        layout: _Layout,
        children: Sequence[Mapping[str, Any]],
    ) -> Node | None:
        box = layout.boxes.get(backend)
        clickable = backend in layout.clickable
        if box is None or box[2] < 1 or box[3] < 1 or (raw.get("ignored") and not clickable):
            return None
        role = str(_value(raw.get("role")) or "generic")
        if role in SILENT and not clickable:
            return None
        if role in SILENT:
            role = "element"
        name = _short(_value(raw.get("name")), self.name_length)
        if not name and len(children) == 1 and _value(children[0].get("role")) == "StaticText":
            name = _short(_value(children[0].get("name")), self.name_length)
        if role == "StaticText" and not name:
            return None
        interactive = clickable or role in INTERACTIVE
        return Node(
            id=self._ids.setdefault(backend, len(self._ids) + 1),
            depth=depth,
            role=role,
            name=name,
            value=_short(_value(raw.get("value")), self.name_length),
            hint=layout.hints.get(backend, "") if interactive and not name else "",
            options=layout.options.get(backend, ()),
            states=_states(raw.get("properties", ())),
            box=box,
            interactive=interactive,
        )


def as_text(nodes: Sequence[Node], limit: int = 8000) -> str:
    """One line for each element, at most ``limit`` characters; says how many were left out."""
    lines: list[str] = []
    length = 0
    for count, node in enumerate(nodes):
        line = node.line()
        length += len(line) + 1
        if length > limit:
            lines.append(f"... {len(nodes) - count} more elements")
            break
        lines.append(line)
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the elements of a document are, by the browser's number of each."""

    boxes: Mapping[int, tuple[int, int, int, int]]
    clickable: frozenset[int]
    hidden: frozenset[int]
    hints: Mapping[int, str]
    options: Mapping[int, tuple[str, ...]]

    @classmethod
    def of(cls, snapshot: Mapping[str, Any], hidden: frozenset[str]) -> _Layout:
        document, words = snapshot["documents"][0], snapshot["strings"]
        nodes, layout = document["nodes"], document["layout"]
        backend: list[int] = nodes["backendNodeId"]
        parents: list[int] = nodes["parentIndex"]
        across, down = document.get("scrollOffsetX", 0), document.get("scrollOffsetY", 0)
        boxes: dict[int, tuple[int, int, int, int]] = {}
        for index, (left, top, width, height) in zip(
            layout["nodeIndex"], layout["bounds"], strict=True
        ):
            box = (round(left - across), round(top - down), round(width), round(height))
            boxes.setdefault(backend[index], box)
        out: set[int] = set()
        hints: dict[int, str] = {}
        options: dict[int, list[str]] = {}
        names = [words[name] if name >= 0 else "" for name in nodes["nodeName"]]
        for index, above in enumerate(parents):
            pairs = nodes["attributes"][index]
            given = {words[k]: words[v] for k, v in zip(pairs[::2], pairs[1::2], strict=True)}
            if (above >= 0 and above in out) or given.get("id") in hidden:
                out.add(index)
            if given.get("id") or given.get("class"):
                id = f"#{given['id']}" if given.get("id") else ""
                hints[backend[index]] = id + "".join(
                    f".{one}" for one in given.get("class", "").split()
                )
            text = nodes["nodeValue"][index]
            if names[index] == "#text" and text >= 0 and names[above] == "OPTION":
                list_index = parents[above]
                if names[list_index] == "OPTGROUP":
                    list_index = parents[list_index]
                options.setdefault(backend[list_index], []).append(_short(words[text], 80))
        whole = {i for i, name in enumerate(names) if name in ("HTML", "BODY", "#document")}
        clickable = set(nodes.get("isClickable", {}).get("index", ())) - whole
        return cls(
            boxes=boxes,
            clickable=frozenset(backend[i] for i in clickable),
            hidden=frozenset(backend[i] for i in out),
            hints=hints,
            options={id: tuple(found[:50]) for id, found in options.items()},
        )


def _value(raw: Any) -> Any:
    return raw.get("value") if isinstance(raw, Mapping) else None


def _short(value: Any, limit: int) -> str:
    text = " ".join(str(value).split()) if value is not None else ""
    text = text.replace('"', "'")
    return text if len(text) <= limit else text[: limit - 3] + "..."


_STATES = ("focused", "checked", "pressed", "selected", "expanded", "disabled", "readonly",
           "required", "invalid", "modal")  # fmt: skip


def _states(properties: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found = {str(one["name"]): _value(one["value"]) for one in properties}
    states: list[str] = []
    for name in _STATES:
        value = found.get(name)
        if name == "expanded" and value is False:
            states.append("collapsed")
        elif value in (True, "true"):
            states.append(name)
        elif value == "mixed":
            states.append(f"{name}:mixed")
    return tuple(states)


def _says_it_all(node: Node, children: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what lies in an element is only the text that it is named after."""
    texts = [child for child in children if _value(child.get("role")) == "StaticText"]
    if not node.name or len(texts) != len(children):
        return False
    said = " ".join(_short(_value(child.get("name")), 10_000) for child in texts)
    return _short(said, 10_000) == node.name or len(texts) <= 1
