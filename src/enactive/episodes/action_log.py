"""The action log: the journal of agents, one SQLite file with an entry for all that happens.

Where the :mod:`journal <enactive.episodes.journal>` keeps an episode step by step, this one keeps
it call by call: what was decided, what a check said, that a call was begun, what it returned. A
call is entered before it is made, so that after a crash it is known which calls may have had an
effect.

Entries hold what is new and nothing else. What is larger than :data:`INLINE` bytes is stored once,
under its hash, however often it occurs and in however many episodes, so a log grows with what
happened and not with the square of its length. Everything is JSON or raw bytes, made when it is
entered: what happens to a value afterwards does not change what was recorded.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from enactive.episodes.journal import JournalError

FORMAT = 1
INLINE = 2048
"""Bytes up to which a body is part of its entry; longer ones are stored under their hash."""
HASH_BYTES = 16

EntryKind: TypeAlias = Literal[
    "reset", "model", "decision", "verdict", "intent", "result", "step", "stop"
]
"""``reset``: what was first seen. ``model``: a language model's answer. ``decision``: what the
policy decided. ``verdict``: what a check said of a call. ``intent``: a call begins. ``result``:
what became of it. ``step``: what the world gave. ``stop``: the episode is over, and why."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payloads (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS episodes (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    header TEXT NOT NULL,
    outcome TEXT
);
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, -- the episode's number, and below it the entry's place
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    at REAL NOT NULL,
    body BLOB,
    payload INTEGER REFERENCES payloads (id)
);
"""
_PLACES = 2**36
"""Most entries of an episode; ids of entries are the episode's number times this, plus the place,
so that the entries of an episode lie together without an index."""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):  # read-only mappings of frozen tokens
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
)


def canonical(value: Any) -> bytes:
    """A JSON value as bytes: equal values give equal bytes. Tuples count as lists.

    Raises:
        ValueError: it is no JSON value; NaN and the infinities are none.
    """
    try:
        return _ENCODER.encode(value).encode()
    except (TypeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(f"no JSON value: {error}") from error


def digest(body: bytes) -> bytes:
    """128-bit blake2b, under which a body is stored."""
    return hashlib.blake2b(body, digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an episode."""

    place: int
    """0, 1, ... in the order of entering."""
    kind: EntryKind
    path: str
    """What it is about: ``"7"`` for decision 7 and its step, ``"7.0.a"`` for call ``a`` of its
    first batch, ``"7.m0"`` for the first answer of a model on the way to it."""
    body: bytes
    """Canonical JSON."""
    at: float
    """When it was entered, s since 1970. A measurement: nothing depends on it."""

    @property
    def value(self) -> Any:
        """The body's JSON value, made anew at every look."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedEpisode:
    """An episode's header, and how it ended if it did."""

    number: int
    id: str
    header: Mapping[str, Any]
    """JSON values: task, seed, world, policy, model, tools, provenance, parent."""
    outcome: Mapping[str, Any] | None
    """JSON values; None while it runs, or if its process died."""


class ActionLog:
    """Agents' episodes in one file. Use it from one thread; other processes may read it, and write
    to it in turn.

    Args:
        path: the file; made if it is not there.
        durable: wait for the disk at every :meth:`EpisodeLog.commit`, so that even a power cut
            loses nothing that was committed. Without it a killed process loses nothing, a power
            cut may lose the last entries.

    Raises:
        JournalError: the file is something else, or of another format.
    """

    def __init__(self, path: Path | str, *, durable: bool = False) -> None:
        self.path = Path(path)
        self.durable = durable
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Several threads may hold it in turn: a policy's model calls are logged where they happen.
        self._database = sqlite3.connect(
            self.path, timeout=60.0, isolation_level=None, check_same_thread=False
        )
        try:
            self._database.execute("PRAGMA page_size=8192")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._database.executescript(_SCHEMA)
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise JournalError(f"{self.path} is no action log: {error}") from error
        if version not in (0, FORMAT):
            self._database.close()
            raise JournalError(f"{self.path} has format {version}; this code has {FORMAT}")
        self._database.execute(f"PRAGMA user_version={FORMAT}")

    def begin(self, id: str, header: Mapping[str, Any]) -> EpisodeLog:
        """A new episode.

        Raises:
            JournalError: there is one of this id already; :meth:`open` goes on with it.
        """
        try:
            row = self._database.execute(
                "INSERT INTO episodes (id, header) VALUES (?, ?) RETURNING number",
                (id, canonical(header).decode()),
            ).fetchone()
        except sqlite3.IntegrityError as error:
            raise JournalError(
                f"{self.path} holds an episode {id!r} already; resume it, or give another id"
            ) from error
        return EpisodeLog(self._database, int(row[0]), 0, self.durable)

    def open(self, id: str) -> EpisodeLog:
        """An episode that is to be gone on with.

        Raises:
            JournalError: there is none of this id, or it has ended.
        """
        episode = self.episode(id)
        if episode.outcome is not None:
            raise JournalError(f"{self.path}: episode {id!r} has ended; nothing can be added")
        first, end = _range(episode.number)
        row = self._database.execute(
            "SELECT MAX(id) FROM entries WHERE id >= ? AND id < ?", (first, end)
        ).fetchone()
        place = 0 if row[0] is None else row[0] - first + 1
        return EpisodeLog(self._database, episode.number, place, self.durable)

    def episodes(self) -> list[LoggedEpisode]:
        """All episodes, in the order in which they began."""
        rows = self._database.execute(
            "SELECT number, id, header, outcome FROM episodes ORDER BY number"
        )
        return [_episode(row) for row in rows]

    def episode(self, id: str) -> LoggedEpisode:
        """The episode called ``id``.

        Raises:
            JournalError: there is none.
        """
        row = self._database.execute(
            "SELECT number, id, header, outcome FROM episodes WHERE id = ?", (id,)
        ).fetchone()
        if row is None:
            known = [episode.id for episode in self.episodes()]
            listed = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
            raise JournalError(f"{self.path} holds no episode {id!r}; it has {listed or 'none'}")
        return _episode(row)

    def entries(self, id: str) -> Iterator[Entry]:
        """The entries of an episode, in order.

        Raises:
            JournalError: there is no such episode, or a stored body does not have its hash.
        """
        first, end = _range(self.episode(id).number)
        rows = self._database.execute(
            "SELECT entries.id, kind, path, at, entries.body, payloads.body, hash FROM entries "
            "LEFT JOIN payloads ON payloads.id = payload "
            "WHERE entries.id >= ? AND entries.id < ? ORDER BY entries.id",
            (first, end),
        )
        for number, kind, path, at, inline, stored, hash in rows:
            if stored is not None and digest(stored) != hash:
                raise JournalError(
                    f"{self.path}: the body of {kind} {path} of {id!r} does not have its hash; the "
                    "file was changed or is damaged"
                )
            yield Entry(number - first, kind, path, stored if stored is not None else inline, at)

    def payload(self, hash: str) -> bytes:
        """What was stored under a hash, hex, by :meth:`EpisodeLog.store`.

        Raises:
            JournalError: nothing was.
        """
        row = self._database.execute(
            "SELECT body FROM payloads WHERE hash = ?", (bytes.fromhex(hash),)
        ).fetchone()
        if row is None:
            raise JournalError(f"{self.path} holds nothing under the hash {hash}")
        return cast(bytes, row[0])

    def size(self) -> int:
        """Bytes on disk, once everything is in the main file."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.path.stat().st_size

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._database.close()

    def __enter__(self) -> ActionLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EpisodeLog:
    """Where the entries of one episode are added; made by :meth:`ActionLog.begin` or ``open``.

    Entries gather until :meth:`commit`, which writes them in one transaction: after it, killing the
    process loses none of them.
    """

    def __init__(
        self, database: sqlite3.Connection, number: int, place: int, durable: bool
    ) -> None:
        self.place = place
        """Entries so far, gathered ones included."""
        self._number = number
        self._durable = durable
        self._first = _range(number)[0]
        self._database = database
        self._rows: list[tuple[Any, ...]] = []
        self._stored: list[tuple[Any, ...]] = []
        self._bodies: list[tuple[bytes, bytes]] = []

    def add(self, kind: EntryKind, path: str, body: bytes) -> None:
        """Gather an entry; ``body`` is canonical JSON."""
        id = self._first + self.place
        if len(body) > INLINE:
            key = digest(body)
            self._bodies.append((key, body))
            self._stored.append((id, kind, path, time.time(), key))
        else:
            self._rows.append((id, kind, path, time.time(), body))
        self.place += 1

    def store(self, key: bytes, body: bytes) -> None:
        """Gather raw bytes, a compressed picture say, under a hash that entries name, hex."""
        self._bodies.append((key, body))

    def commit(self, *, wait: bool = True) -> None:
        """Write what has gathered.

        Args:
            wait: in a durable log, wait for the disk. Without it a power cut, but no killed
                process, may lose these entries; what is waited for later makes them durable, too.
        """
        if not (self._rows or self._stored or self._bodies):
            return
        database = self._database
        if self._durable:
            database.execute(f"PRAGMA synchronous={'FULL' if wait else 'NORMAL'}")
        database.execute("BEGIN IMMEDIATE")
        try:
            if self._bodies:
                database.executemany(
                    "INSERT OR IGNORE INTO payloads (hash, body) VALUES (?, ?)", self._bodies
                )
            if self._rows:
                database.executemany(_INLINE, self._rows)
            if self._stored:
                database.executemany(_STORED, self._stored)
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
        self._rows.clear()
        self._stored.clear()
        self._bodies.clear()

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Commit, and say how the episode ended; from now on nothing can be added.

        Raises:
            JournalError: it has ended already.
        """
        self.commit()
        done = self._database.execute(
            "UPDATE episodes SET outcome = ? WHERE number = ? AND outcome IS NULL",
            (canonical(outcome).decode(), self._number),
        )
        if done.rowcount != 1:
            raise JournalError(f"episode number {self._number} has ended already")


_INLINE = "INSERT INTO entries (id, kind, path, at, body) VALUES (?, ?, ?, ?, ?)"
_STORED = (
    "INSERT INTO entries (id, kind, path, at, payload) "
    "VALUES (?, ?, ?, ?, (SELECT id FROM payloads WHERE hash = ?))"
)


def _range(number: int) -> tuple[int, int]:
    return number * _PLACES, (number + 1) * _PLACES


def _episode(row: tuple[Any, ...]) -> LoggedEpisode:
    number, id, header, outcome = row
    return LoggedEpisode(
        number=number,
        id=id,
        header=json.loads(header),
        outcome=None if outcome is None else json.loads(outcome),
    )
