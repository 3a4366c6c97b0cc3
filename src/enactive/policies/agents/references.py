"""References to results: ``"${a}"`` is the value of call ``a``, ``"${a.lines[0].path}"`` a part."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from enactive.policies.agents.prompts import compact

_REFERENCE = re.compile(r"\$\{(\w+)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


def references(value: Any) -> set[str]:
    """Ids of the calls that ``value`` refers to."""
    if isinstance(value, str):
        return {found.group(1) for found in _REFERENCE.finditer(value)}
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {id for one in mapping.values() for id in references(one)}
    if isinstance(value, list | tuple):
        return {id for one in cast("Sequence[Any]", value) for id in references(one)}
    return set()


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """``value`` with references replaced by what they refer to; those to nothing stay."""
    if isinstance(value, str):
        alone = _REFERENCE.fullmatch(value)
        if alone:
            found = _part(alone, values)
            return value if found is None else found
        return _REFERENCE.sub(lambda one: _words(one, values), value)
    if isinstance(value, Mapping):
        return {n: fill(one, values) for n, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [fill(one, values) for one in cast("Sequence[Any]", value)]
    return value


def _part(found: re.Match[str], values: Mapping[str, Any]) -> Any:
    value = values.get(found.group(1))
    for name, index in _STEP.findall(found.group(2)):
        if name and isinstance(value, Mapping):
            value = cast("Mapping[str, Any]", value).get(name)
        elif index and isinstance(value, list) and int(index) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(index)]
        else:
            return None
    return value


def _words(found: re.Match[str], values: Mapping[str, Any]) -> str:
    value = _part(found, values)
    if value is None:
        return found.group(0)
    return value if isinstance(value, str) else compact(value)
