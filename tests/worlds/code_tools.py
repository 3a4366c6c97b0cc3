"""Tools and a driver for the tests of code actions."""

from __future__ import annotations

from typing import Any

from enactive.actions.signature import tool, toolbox
from enactive.actions.tools import READS, WRITES, Call
from enactive.worlds.code.executor import CodeSession, Ended, Pending
from enactive.worlds.tool_world import call_in_order


class Shelf:
    """A few things, and a record of what was called."""

    def __init__(self) -> None:
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.box = toolbox(self)

    @tool(effects=READS)
    def look(self, where: str, depth: float = 1.0) -> dict[str, int]:
        """How many things are somewhere."""
        self.called.append(("look", {"where": where, "depth": depth}))
        if where == "nowhere":
            raise LookupError("there is no such place")
        return {"things": len(where)}

    @tool(name="put-down", effects=WRITES)
    def put_down(self, what: Any) -> None:
        """Put a thing down."""
        self.called.append(("put-down", {"what": what}))


def run(session: CodeSession, shelf: Shelf, source: str) -> tuple[Ended, list[tuple[Call, ...]]]:
    """Run a program to its end; how it ended, and the batches of calls that it made."""
    batches: list[tuple[Call, ...]] = []
    state = session.start(source)
    while isinstance(state, Pending):
        batches.append(state.calls)
        state = session.resume(call_in_order(shelf.box, state.calls, f"0.{len(batches)}"))
    return state, batches
