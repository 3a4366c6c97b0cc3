"""An immutable mapping for the state of flows and the memory of planners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast


class Record(Mapping[str, Any]):
    """A read-only mapping, deep: dicts in it become records, lists tuples, sets frozensets.

    ``record | {"spent": 3}`` is a new record with an entry added or replaced. Hashable where its
    values are. Order of keys does not matter to equality and hash.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, Any] | None = None, /) -> None:
        self._entries: dict[str, Any] = {key: freeze(one) for key, one in (entries or {}).items()}

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __or__(self, others: Mapping[str, Any]) -> Record:
        made = Record(others)
        made._entries = {**self._entries, **made._entries}
        return made

    def without(self, *keys: str) -> Record:
        """A record without these entries; keys that are not there are fine."""
        made = Record()
        made._entries = {key: one for key, one in self._entries.items() if key not in keys}
        return made

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return self._entries == other._entries
        return NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._entries.items()))

    def __repr__(self) -> str:
        return f"Record({self._entries!r})"


def freeze(value: Any) -> Any:
    """``value`` with every dict, list and set in it made immutable; other objects as they are."""
    if isinstance(value, Record):
        return value
    if isinstance(value, Mapping):
        return Record(cast("Mapping[str, Any]", value))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return tuple(freeze(one) for one in cast("list[Any]", value))
    if isinstance(value, set | frozenset):
        return frozenset(freeze(one) for one in cast("set[Any]", value))
    return value
