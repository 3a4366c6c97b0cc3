"""The journal of running episodes: one SQLite file, one transaction a step.

A process that is killed at any moment loses at most the step it was writing. Finished episodes stay
until they are made part of a dataset (:mod:`enactive.episodes.compaction`) and forgotten.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgpack

from enactive.actions.decision import Decision
from enactive.episodes.episode import Episode, EpisodeHeader, Outcome
from enactive.episodes.step_record import episode_from, observation_record, step_record, unpack
from enactive.observations import Observation
from enactive.worlds.world import Step

FORMAT = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS episodes (
    id TEXT PRIMARY KEY,
    place INTEGER NOT NULL,
    header TEXT NOT NULL,
    outcome TEXT,
    forgotten INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS steps (
    id TEXT NOT NULL,
    step INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (id, step)
);
"""


class JournalError(RuntimeError):
    """The journal was asked for something it does not hold, or is not a journal."""


class Journal:
    """Running and finished episodes in one file.

    Several recorders of one journal may be open at once, for parallel worlds. Use it from one
    thread; other processes may read it, and write to it in turn.

    Args:
        path: the file; made if it is not there.
        compression: zstd level of stored pictures; 0 stores them as they are.
        durable: wait for the disk at every step, so that even a power cut loses one step only.
            Without it, a power cut (not a killed process) may lose the last steps.
    """

    def __init__(self, path: Path | str, *, compression: int = 1, durable: bool = False) -> None:
        self.path = Path(path)
        self.compression = compression
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        try:
            self._database.execute("PRAGMA page_size=16384")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._database.executescript(_SCHEMA)
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self.path} is no journal: {error}") from error
        if version not in (0, FORMAT):
            raise JournalError(f"{self.path} has journal format {version}; this code has {FORMAT}")
        self._database.execute(f"PRAGMA user_version={FORMAT}")

    @classmethod
    def open(cls, path: Path | str, *, compression: int = 1, durable: bool = False) -> Journal:
        """Open or make the journal at ``path``; see the class."""
        return cls(path, compression=compression, durable=durable)

    def begin(self, header: EpisodeHeader) -> EpisodeRecorder:
        """Start recording an episode. What a killed run had recorded of it is thrown away.

        Raises:
            JournalError: an episode of this id is finished already.
        """
        text = json.dumps(header.to_dict(), ensure_ascii=False, allow_nan=False)
        with _Transaction(self._database) as database:
            row = database.execute(
                "SELECT outcome FROM episodes WHERE id = ?", (header.id,)
            ).fetchone()
            if row is not None and row[0] is not None:
                raise JournalError(
                    f"{self.path}: episode {header.id!r} is finished; give another id, or skip the "
                    "ids in Journal.finished()"
                )
            database.execute("DELETE FROM steps WHERE id = ?", (header.id,))
            database.execute(
                "INSERT OR REPLACE INTO episodes (id, place, header) VALUES (?, ?, ?)",
                (header.id, header.index, text),
            )
        return EpisodeRecorder(self._database, header, self.compression)

    def finished(self) -> list[EpisodeHeader]:
        """Headers of the finished episodes, forgotten ones included, by index and id."""
        return self._headers("outcome IS NOT NULL")

    def unfinished(self) -> list[EpisodeHeader]:
        """Headers of the episodes that are running, or whose process died."""
        return self._headers("outcome IS NULL")

    def readable(self) -> list[EpisodeHeader]:
        """Headers of the finished episodes whose steps are still here."""
        return self._headers("outcome IS NOT NULL AND NOT forgotten")

    def _headers(self, condition: str) -> list[EpisodeHeader]:
        rows = self._database.execute(
            f"SELECT header FROM episodes WHERE {condition} ORDER BY place, id"
        )
        return [EpisodeHeader.from_dict(json.loads(row[0])) for row in rows]

    def outcome(self, id: str) -> Outcome:
        """How an episode ended; raises ``JournalError`` if it did not."""
        return self._episode(id)[1]

    def steps(self, id: str) -> int:
        """Steps recorded of an episode so far."""
        row = self._database.execute(
            "SELECT COUNT(*) FROM steps WHERE id = ? AND step >= 0", (id,)
        ).fetchone()
        return int(row[0])

    def read(self, id: str) -> Episode:
        """A finished episode.

        Raises:
            JournalError: there is none of this id, it is unfinished, or it was forgotten.
        """
        header, outcome = self._episode(id)
        rows = self._database.execute(
            "SELECT step, record FROM steps WHERE id = ? ORDER BY step", (id,)
        )
        records = {int(step): unpack(record) for step, record in rows}
        final = records.pop(_FINAL, None)
        if sorted(records) != list(range(outcome.steps)):
            raise JournalError(
                f"{self.path}: of the {outcome.steps} steps of {id!r}, {len(records)} are here; "
                "it was forgotten after compaction, read it from its dataset"
            )
        return episode_from(header, outcome, [records[t] for t in range(outcome.steps)], final)

    def _episode(self, id: str) -> tuple[EpisodeHeader, Outcome]:
        row = self._database.execute(
            "SELECT header, outcome FROM episodes WHERE id = ?", (id,)
        ).fetchone()
        if row is None or row[1] is None:
            state = "is not here" if row is None else "is not finished"
            raise JournalError(f"{self.path}: episode {id!r} {state}")
        header = EpisodeHeader.from_dict(json.loads(row[0]))
        return header, Outcome.from_dict(json.loads(row[1]))

    def export(self, id: str) -> bytes:
        """A finished episode as bytes, for the journal of another process; see :meth:`insert`.

        Raises:
            JournalError: there is none of this id, it is unfinished, or it was forgotten.
        """
        self.read(id)  # whole, or refused
        head = self._database.execute(
            "SELECT id, place, header, outcome FROM episodes WHERE id = ?", (id,)
        ).fetchone()
        rows = self._database.execute(
            "SELECT step, record FROM steps WHERE id = ? ORDER BY step", (id,)
        ).fetchall()
        exported = {"format": FORMAT, "episode": list(head), "steps": rows}
        return msgpack.packb(exported) or b""

    def insert(self, exported: bytes) -> None:
        """Take in an episode that another journal exported, in one transaction.

        What is here of an unfinished episode of its id is thrown away.

        Raises:
            JournalError: an episode of this id is finished already, or the bytes are of another
                format.
        """
        found = msgpack.unpackb(exported)
        if found["format"] != FORMAT:
            raise JournalError(
                f"the exported episode has journal format {found['format']}; this code has {FORMAT}"
            )
        id = found["episode"][0]
        with _Transaction(self._database) as database:
            done = database.execute(
                "SELECT 1 FROM episodes WHERE id = ? AND outcome IS NOT NULL", (id,)
            ).fetchone()
            if done is not None:
                raise JournalError(f"{self.path}: episode {id!r} is finished already")
            database.execute("DELETE FROM steps WHERE id = ?", (id,))
            database.execute(
                "INSERT OR REPLACE INTO episodes (id, place, header, outcome) VALUES (?, ?, ?, ?)",
                found["episode"],
            )
            database.executemany(
                "INSERT INTO steps (id, step, record) VALUES (?, ?, ?)",
                [(id, step, record) for step, record in found["steps"]],
            )

    def drop_unfinished(self) -> list[EpisodeHeader]:
        """Throw away what killed runs left of unfinished episodes; returns their headers."""
        dropped = self.unfinished()
        with _Transaction(self._database) as database:
            for header in dropped:
                database.execute("DELETE FROM steps WHERE id = ?", (header.id,))
                database.execute("DELETE FROM episodes WHERE id = ?", (header.id,))
        return dropped

    def forget(self, ids: Iterable[str]) -> None:
        """Drop the steps of finished episodes; their headers and outcomes stay."""
        with _Transaction(self._database) as database:
            for id in ids:
                database.execute("DELETE FROM steps WHERE id = ?", (id,))
                database.execute("UPDATE episodes SET forgotten = 1 WHERE id = ?", (id,))

    def close(self) -> None:
        """Close the file. Unfinished episodes stay in it."""
        self._database.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_FINAL = -1
"""Step number under which the final observation is stored."""


class EpisodeRecorder:
    """Appends the steps of one episode to its journal; made by :meth:`Journal.begin`."""

    def __init__(
        self, database: sqlite3.Connection, header: EpisodeHeader, compression: int
    ) -> None:
        self.header = header
        self.length = 0
        """Steps recorded so far."""
        self._database = database
        self._compression = compression
        self._closed = False

    def step(self, observation: Observation, decision: Decision, step: Step) -> None:
        """Record one step; when this returns, killing the process does not lose it.

        Args:
            observation: what was seen before the action. Privileged state is not recorded.
            decision: what was decided; its action was executed.
            step: what the world gave; its own observation comes with the next call.
        """
        self._check_open()
        record = step_record(observation, decision, step, self._compression)
        self._insert(self.length, record)
        self.length += 1

    def finish(self, outcome: Outcome, final: Observation | None = None) -> None:
        """Record how the episode ended; from now on it counts as finished.

        Args:
            outcome: ``outcome.steps`` must be the number of recorded steps.
            final: what was seen after the last action.
        """
        self._check_open()
        if outcome.steps != self.length:
            raise JournalError(
                f"episode {self.header.id!r}: outcome.steps is {outcome.steps}, but {self.length} "
                "steps were recorded"
            )
        text = json.dumps(outcome.to_dict(), allow_nan=False)
        with _Transaction(self._database) as database:
            if final is not None:
                self._insert(_FINAL, observation_record(final, self._compression))
            done = database.execute(
                "UPDATE episodes SET outcome = ? WHERE id = ? AND outcome IS NULL",
                (text, self.header.id),
            )
            if done.rowcount != 1:
                raise JournalError(f"episode {self.header.id!r} is no longer open in its journal")
        self._closed = True

    def abandon(self) -> None:
        """Throw the episode away."""
        self._check_open()
        with _Transaction(self._database) as database:
            database.execute("DELETE FROM steps WHERE id = ?", (self.header.id,))
            database.execute("DELETE FROM episodes WHERE id = ?", (self.header.id,))
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError(f"episode {self.header.id!r} is finished; nothing can be added")

    def _insert(self, step: int, record: Mapping[str, Any]) -> None:
        packed = msgpack.packb(record)
        # Outside an explicit transaction every statement is one of its own.
        self._database.execute(
            "INSERT INTO steps (id, step, record) VALUES (?, ?, ?)", (self.header.id, step, packed)
        )


class _Transaction:
    """All or nothing, also when the process is killed inside."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def __enter__(self) -> sqlite3.Connection:
        self.database.execute("BEGIN IMMEDIATE")
        return self.database

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.database.execute("COMMIT" if kind is None else "ROLLBACK")
