"""Values of programs as JSON values.

Everything here counts what it looks at: a list of itself twice, forty times over, is small where it
is made and larger than any machine once it is written out.
"""

from __future__ import annotations

import math
import re
from typing import Any

DEEPEST = 64
"""Lists and mappings within each other; deeper ones are cut."""
MOST = 100_000
"""Values within an argument of a call."""


def shown(value: Any, limit: int) -> Any:
    """``value`` as a JSON value to look at: whatever JSON has no word for becomes its ``repr``.

    Args:
        value: anything.
        limit: about the most characters of the result; what comes later is cut.
    """
    return _Shown(limit).of(value, 0)


def json_problem(value: Any) -> str:
    """Why ``value`` is no JSON value that a tool could be given; empty if it is one."""
    left = MOST

    def problem(one: Any, depth: int) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            return f"larger than {MOST} values"
        if one is None or isinstance(one, bool | str):
            return ""
        if isinstance(one, int):
            return "" if -(2**63) <= one < 2**63 else "an integer beyond 64 bits"
        if isinstance(one, float):
            return "" if math.isfinite(one) else f"{one}, which JSON has no word for"
        if depth >= DEEPEST:
            return f"nested more than {DEEPEST} levels deep"
        if isinstance(one, dict):
            if not all(isinstance(key, str) for key in one):
                return "a mapping whose keys are not all texts"
            one = list(one.values())
        if isinstance(one, list | tuple):
            return next(filter(None, (problem(inner, depth + 1) for inner in one)), "")
        return f"a {type(one).__name__}"

    return problem(value, 0)


def jsonable(value: Any) -> Any:
    """A value without a :func:`json_problem`, with lists for tuples."""
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    if isinstance(value, dict):
        return {key: jsonable(one) for key, one in value.items()}
    return value


class _Shown:
    def __init__(self, limit: int) -> None:
        self.left = limit

    def of(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            return "..."
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**63 else self.text(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return self.cut(value)
        if isinstance(value, set | frozenset):
            value = sorted(value, key=_plainly)  # sets have no order of their own
        if isinstance(value, list | tuple):
            return [self.of(one, depth + 1) for one in self.while_left(value)]
        if isinstance(value, dict):
            return {
                self.cut(k) if isinstance(k, str) else self.text(k): self.of(v, depth + 1)
                for k, v in self.while_left(value.items())
            }
        return self.text(value)

    def while_left(self, values: Any) -> Any:
        """The entries as long as there is room, and one more, so that a cut is seen."""
        for one in values:
            yield one
            if self.left < 0:
                return

    def text(self, value: Any) -> str:
        return self.cut(_plainly(value))

    def cut(self, text: str) -> str:
        clean = text.encode("utf-8", "replace").decode()
        room = max(self.left, 0)
        self.left -= len(clean)
        return clean if len(clean) <= room else clean[:room] + "..."


def _plainly(value: Any) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # addresses differ from run to run
    except Exception as error:  # a program's own __repr__, or something too deep
        return f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
