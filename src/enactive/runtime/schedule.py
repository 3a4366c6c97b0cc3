"""Which calls of a batch wait for which.

The order is fixed before anything runs, from what the calls declare, so it does not depend on how
long anything takes: a call waits for those that it comes after, and for earlier ones that touch a
resource of its own, unless both only read.
"""

from __future__ import annotations

from collections.abc import Sequence

from enactive.actions.toolbox import Toolbox
from enactive.actions.tools import Call, Tool, in_order


def waits(calls: Sequence[Call], toolbox: Toolbox) -> dict[str, tuple[str, ...]]:
    """For each call's id, the ids of the calls that must be over before it starts.

    Args:
        calls: a batch, checked by :func:`enactive.actions.tools.check_order`.
        toolbox: knows the tools' effects and resources; an unknown tool touches nothing.
    """
    found: dict[str, tuple[str, ...]] = {}
    earlier: list[Call] = []
    known = {one.tool.name: one.tool for one in toolbox}
    for call in in_order(calls):
        blocking = [other.id for other in earlier if conflict(other, call, known)]
        found[call.id] = tuple(dict.fromkeys((*call.after, *blocking)))
        earlier.append(call)
    return found


def conflict(first: Call, second: Call, tools: dict[str, Tool]) -> bool:
    """Whether two calls may not run side by side."""
    one, other = tools.get(first.tool), tools.get(second.tool)
    if one is None or other is None:  # it will be refused, not run
        return False
    if one.effects.read_only and other.effects.read_only:
        return False
    mine, theirs = one.touches(first.arguments), other.touches(second.arguments)
    if mine is None or theirs is None:
        return True
    return not mine.isdisjoint(theirs)
