"""Tools of a screen: elements by their ids in the accessibility tree instead of by their places.

For :class:`~enactive.worlds.with_tools.WithTools` around a world that shows such a tree (it has
``nodes``, the elements shown last). Every tool is made of the screen's own actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from enactive.actions.toolbox import BoundTool, Toolbox, ToolError
from enactive.actions.tools import READS, WRITES, Tool
from enactive.worlds.screen.accessibility import Node
from enactive.worlds.with_tools import Hands


class ShowsNodes(Protocol):
    """A world that shows an accessibility tree."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The elements shown last."""
        ...


def element_tools(hands: Hands) -> Toolbox:
    """``press``, ``write``, ``choose`` and ``find``."""
    tools = _Elements(hands)
    screen = ("screen",)
    return Toolbox((
        BoundTool(
            tool=Tool(
                name="press", description="Click an element.", effects=WRITES, resources=screen,
                input_schema=_schema({"id": _ID}),
            ),
            function=tools.press,
        ),
        BoundTool(
            tool=Tool(
                name="write", description="Replace what is written in a field.", effects=WRITES,
                resources=screen, input_schema=_schema({"id": _ID, "text": _TEXT}),
            ),
            function=tools.write,
        ),
        BoundTool(
            tool=Tool(
                name="choose", description="Choose an option of a list.", effects=WRITES,
                resources=screen, input_schema=_schema({"id": _ID, "option": _TEXT}),
            ),
            function=tools.choose,
        ),
        BoundTool(
            tool=Tool(
                name="find", description="Ids of the elements whose name or value holds a text.",
                effects=READS, resources=screen, input_schema=_schema({"text": _TEXT}),
                output_schema={"type": "array", "items": {"type": "integer"}},
            ),
            function=tools.find,
        ),
    ))  # fmt: skip


class _Elements:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def press(self, id: int) -> str:
        node = self._node(id)
        self._click(node)
        return f"pressed {node.role} {node.name}".strip()

    def write(self, id: int, text: str) -> str:
        node = self._node(id)
        if node.role not in ("textbox", "searchbox", "combobox", "spinbutton"):
            raise ToolError(f"element {id} is a {node.role}; nothing can be written in it")
        self._click(node)
        self._hands.do({"do": "keys", "keys": ["Control", "a"]})
        self._hands.do({"do": "type", "text": text})
        return self._value(id)

    def choose(self, id: int, option: str) -> str:
        node = self._node(id)
        if option not in node.options:
            raise ToolError(f"element {id} does not offer {option!r}, but {list(node.options)}")
        self._click(node)  # opens the list; Escape leaves the focus on it
        self._hands.do({"do": "keys", "keys": ["Escape"]})
        self._hands.do({"do": "type", "text": option})
        if (now := self._value(id)) != option:
            raise ToolError(f"element {id} now says {now!r}")
        return now

    def find(self, text: str) -> list[int]:
        return [node.id for node in self._nodes() if text in node.name or text in node.value]

    def _click(self, node: Node) -> None:
        x, y = node.centre
        self._hands.do({"do": "click", "x": x, "y": y})

    def _value(self, id: int) -> str:
        return self._node(id).value

    def _node(self, id: int) -> Node:
        for node in self._nodes():
            if node.id == id:
                return node
        raise ToolError(f"there is no element {id} now; the page shows "
                        f"{[node.id for node in self._nodes()]}")  # fmt: skip

    def _nodes(self) -> Sequence[Node]:
        return cast(ShowsNodes, self._hands.world).nodes


_ID = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string", "maxLength": 1000}


def _schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
