"""A log that only grows: each entry holds the hash of the one before, so that order can be proven.

Nobody can change, drop, insert or reorder an entry without changing the hash of every later one.
Whoever rewrites the whole file can still make a consistent one: the hash of its last entry (the
*head*), once published, shows that too. The times are this machine's word and prove nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

START = "0" * 64
"""What the first entry names as the hash of the one before."""


class ChainBroken(ValueError):
    """A log is not what was written; the message names the entry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of the log."""

    number: int
    """From 0."""
    kind: str
    """What happened, e.g. ``"registered"``."""
    data: Mapping[str, Any]
    """JSON values."""
    time: str
    """ISO 8601, UTC."""
    previous: str
    """Hash of the entry before."""
    hash: str
    """SHA-256 over everything else, hexadecimal."""


def digest(values: Any) -> str:
    """SHA-256 of JSON values in canonical form (sorted keys, no spaces), hexadecimal."""
    text = json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


class HashChain:
    """The log at ``path``; made if it is not there, checked if it is.

    An append returns when the entry is on the disk. Half a line at the end, which a process leaves
    that is killed while it writes, was never an entry and is removed.

    Raises:
        ChainBroken: an entry was changed, dropped, inserted or moved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            text = path.read_bytes()
            whole = text[: text.rfind(b"\n") + 1]
            if len(whole) < len(text):
                with path.open("r+b") as file:
                    file.truncate(len(whole))
            self._entries = parse(whole.decode("utf-8"), str(path))
        else:
            self._entries: list[Entry] = []

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them, in order."""
        return tuple(self._entries)

    @property
    def head(self) -> str:
        """Hash of the last entry: what is published to fix the log."""
        return self._entries[-1].hash if self._entries else START

    def of_kind(self, kind: str) -> list[Entry]:
        """The entries of one kind, in order."""
        return [entry for entry in self._entries if entry.kind == kind]

    def append(self, kind: str, data: Mapping[str, Any]) -> Entry:
        """Write an entry and wait until it is on the disk."""
        entry = link(kind, data, self._entries[-1] if self._entries else None)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line(entry))
            file.flush()
            os.fsync(file.fileno())
        self._entries.append(entry)
        return entry


def link(kind: str, data: Mapping[str, Any], previous: Entry | None) -> Entry:
    """The entry that follows ``previous``."""
    body: dict[str, Any] = {
        "number": 0 if previous is None else previous.number + 1,
        "kind": kind,
        # Through JSON and back, so that what is hashed is what a reader will see.
        "data": json.loads(json.dumps(data, allow_nan=False)),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "previous": START if previous is None else previous.hash,
    }
    return Entry(**body, hash=digest(body))


def line(entry: Entry) -> str:
    """The entry as it stands in the file."""
    return json.dumps(asdict(entry), ensure_ascii=False, allow_nan=False) + "\n"


def parse(text: str, where: str = "log") -> list[Entry]:
    """The entries of a log's text, after every hash was checked.

    Raises:
        ChainBroken: naming the first line that is not what was written.
    """
    found: list[Entry] = []
    if text and not text.endswith("\n"):
        raise ChainBroken(f"{where}: the last line is cut off")
    for number, row in enumerate(text.splitlines()):
        try:
            values: dict[str, Any] = json.loads(row)
            entry = Entry(**values)
        except (json.JSONDecodeError, TypeError) as error:
            raise ChainBroken(f"{where}: line {number + 1} is not an entry: {error}") from error
        body = {name: value for name, value in values.items() if name != "hash"}
        previous = found[-1].hash if found else START
        if entry.number != number or entry.previous != previous:
            raise ChainBroken(
                f"{where}: line {number + 1} does not follow the one before it: an entry was "
                "removed, inserted or moved"
            )
        if digest(body) != entry.hash:
            raise ChainBroken(f"{where}: line {number + 1} was changed after it was written")
        found.append(entry)
    return found
