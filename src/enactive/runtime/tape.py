"""The tape: what happens is written to it, and what has happened is read from it.

A runtime does the same thing whether an episode is new, is resumed after a crash, or is replayed.
At every point it asks the tape. Where the tape holds what happened there, it is compared with what
happens now, and results of calls that must not be made twice are taken from it. Where it ends, what
happens is added. So resuming is replaying up to the end of the tape and going on, and a difference
is found at the entry where it first shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from enactive.episodes.action_log import Entry, EntryKind, EpisodeLog, canonical


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Where an execution first differs from its recording."""

    path: str
    """Where: ``"7"`` is decision 7, ``"7.0.a"`` a call of it."""
    kind: EntryKind
    """What differs."""
    recorded: str
    now: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path} was {_short(self.recorded)}, is {_short(self.now)}"


class Diverged(RuntimeError):
    """What happens now is not what was recorded, so nothing may be taken from the recording."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


class ReplayEnded(Exception):
    """A replay has come to the end of what was recorded."""


class Tape:
    """The entries of one episode, to be read, compared and added to.

    Args:
        recorded: what happened so far; none for a new episode.
        log: where new entries go; None for a replay, which ends where the recording does.
    """

    def __init__(self, recorded: Iterable[Entry] = (), log: EpisodeLog | None = None) -> None:
        self._recorded: dict[tuple[EntryKind, str], Entry] = {
            (entry.kind, entry.path): entry for entry in recorded
        }
        self._log = log
        self.compared = 0
        """Entries that were compared and found equal."""

    @property
    def replaying(self) -> bool:
        """Whether there are recorded entries that have not been met again."""
        return bool(self._recorded)

    def peek(self, kind: EntryKind, path: str) -> Any:
        """The recorded value at a place, or :data:`NOTHING`; it stays to be compared."""
        entry = self._recorded.get((kind, path))
        return NOTHING if entry is None else entry.value

    def take(self, kind: EntryKind, path: str) -> Any:
        """The recorded value at a place, or :data:`NOTHING`; it counts as met."""
        entry = self._recorded.pop((kind, path), None)
        if entry is None:
            return NOTHING
        self.compared += 1
        return entry.value

    def put(self, kind: EntryKind, path: str, value: Any, *, commit: bool = False) -> bool:
        """Say what happens at a place.

        Args:
            kind: what it is.
            path: where it is.
            value: a JSON value that must be the recorded one, if there is one.
            commit: make it safe from the process's death at once. From a power cut it is safe at
                the next :meth:`commit`.

        Returns:
            Whether it is new.

        Raises:
            Diverged: something else was recorded here.
            ReplayEnded: nothing was, and this is a replay.
            ValueError: it is no JSON value.
        """
        body = canonical(value)
        entry = self._recorded.pop((kind, path), None)
        if entry is not None:
            if entry.body != body:
                raise Diverged(difference(kind, path, entry.body, body))
            self.compared += 1
            return False
        if self._recorded:
            self._refuse_gap(kind, path, body)
        if self._log is None:
            raise ReplayEnded(f"{kind} {path} was not recorded")
        self._log.add(kind, path, body)
        if commit:
            self._log.commit(wait=False)
        return True

    def _refuse_gap(self, kind: EntryKind, path: str, body: bytes) -> None:
        """Entries are recorded in order, so what is new cannot come before what was recorded later;
        only the calls of one decision are in no order."""
        now = _decision(path)
        for later, place in self._recorded:
            number = _decision(place)
            if number > now or (number == now and _RANK[later] > _RANK[kind]):
                entry = self._recorded[later, place]
                recorded = f"{later} {place}: {entry.body.decode()}"
                raise Diverged(
                    Difference(path=path, kind=kind, recorded=f"not there, but {recorded}",
                               now=body.decode())
                )  # fmt: skip

    def store(self, key: bytes, make: Callable[[], bytes]) -> None:
        """Keep raw bytes under a hash that an entry names; a replay makes none."""
        if self._log is not None and not self._recorded:
            self._log.store(key, make())

    def commit(self) -> None:
        """Make everything safe that was put."""
        if self._log is not None:
            self._log.commit()

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """The episode is over. In a replay nothing happens."""
        if self._log is not None:
            self._log.finish(outcome)

    def left(self) -> tuple[tuple[EntryKind, str], ...]:
        """Recorded entries that were not met again, in order."""
        return tuple(self._recorded)


_RANK: dict[EntryKind, int] = {
    "reset": 0, "stop": 1, "model": 2, "decision": 3, "verdict": 4, "intent": 4, "result": 4,
    "step": 5,
}  # fmt: skip
"""In what order a decision's entries come."""


def _decision(path: str) -> int:
    return int(path.partition(".")[0])


class _Nothing:
    def __repr__(self) -> str:
        return "NOTHING"

    def __bool__(self) -> bool:
        return False


NOTHING = _Nothing()
"""What a tape holds where nothing was recorded: ``None`` is a value like any other."""


def difference(kind: EntryKind, path: str, recorded: bytes, now: bytes) -> Difference:
    """How two bodies differ, with the equal beginning of long ones cut away."""
    first, second = recorded.decode(), now.decode()
    same = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    start = max(0, same - 40)
    lead = "..." if start else ""
    return Difference(
        path=path, kind=kind, recorded=lead + first[start:], now=lead + second[start:]
    )


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."
