"""Raters of a blind evaluation: what they are shown, what they say, and the log of it.

Every rater has a hash chain of his own, so that two may rate at the same time. It begins with the
hash of the evaluation's last entry (everything was played before anybody rated), holds every rating
and every withdrawal with its time, and ends when the rater hands in; then its own last hash goes
into the evaluation's log. When the last rater has handed in, outcomes are closed and the policies
revealed. A rating may be withdrawn until then, and the withdrawal stays in the chain.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from enactive.configuration import from_dict, to_dict
from enactive.episodes.journal import Journal
from enactive.evaluation.blind import (
    JOURNAL,
    LOG,
    PLAYED,
    RATINGS,
    REVEALED,
    BlindError,
    finish_blind,
    read_sealed,
)
from enactive.evaluation.hash_chain import Entry, HashChain

BEGUN = "begun"
RATED = "rated"
WITHDRAWN = "withdrawn"
HANDED_IN = "handed in"

Verdict = Literal["success", "failure", "skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """What a rater says of a trial."""

    verdict: Verdict
    """``"skipped"``: it cannot be judged; the trial does not count for this rater."""
    stage: str = ""
    """How far a failure came: one of the evaluation's stages, or empty for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlindEpisode:
    """What a rater is shown: nothing that depends on the policy but its motion."""

    trial: int
    """From 1, in the order in which they were played."""
    alias: str
    """Empty where aliases are hidden."""
    round: int
    task: str
    instruction: str
    images: Mapping[str, NDArray[np.uint8]]
    """Camera to ``uint8 (T, H, W, 3)``, RGB."""
    rate_hz: float
    """Pictures a second."""


def ratings_file(directory: Path, place: int) -> Path:
    """The chain of the rater who is number ``place`` (from 0) of the evaluation's list."""
    return directory / f"ratings-{place + 1}.jsonl"


def standing(entries: Sequence[Entry]) -> dict[int, Rating]:
    """Trial to rating, in the order in which they were given; what was withdrawn is gone."""
    found: dict[int, Rating] = {}
    for entry in entries:
        if entry.kind == RATED:
            data = {name: entry.data[name] for name in ("verdict", "stage")}
            found[int(entry.data["trial"])] = from_dict(Rating, data)
        elif entry.kind == WITHDRAWN:
            found.pop(int(entry.data["trial"]), None)
    return found


class Sheet:
    """One rater's ratings; open it with :func:`open_sheet`. Every change is on the disk at once."""

    def __init__(self, directory: Path, rater: str, log: HashChain) -> None:
        public = log.entries[0].data
        self.directory = directory
        self.rater = rater
        self.log = log
        self.stages: tuple[str, ...] = tuple(public["stages"])
        self.trials = log.of_kind(PLAYED)
        """In the order in which they were played; trial 1 is the first."""
        self.chain = HashChain(ratings_file(directory, public["raters"].index(rater)))
        if not self.chain.entries:
            self.chain.append(BEGUN, {"rater": rater, "played": self.trials[-1].hash})
        self.ratings = standing(self.chain.entries)

    @property
    def next(self) -> int | None:
        """The first trial without a rating; None when all have one."""
        return next((n + 1 for n in range(len(self.trials)) if n + 1 not in self.ratings), None)

    @property
    def handed_in(self) -> bool:
        """Whether nothing can be changed any more."""
        return bool(self.chain.of_kind(HANDED_IN))

    def show(self, trial: int) -> BlindEpisode:
        """What the rater sees of a trial."""
        data = self.trials[trial - 1].data
        with Journal.open(self.directory / JOURNAL) as journal:
            episode = journal.read(str(data["episode"]))
        final = {} if episode.final is None else episode.final.images
        hidden = bool(self.log.entries[0].data.get("hide_aliases"))
        return BlindEpisode(
            trial=trial,
            alias="" if hidden else str(data["alias"]),
            round=int(data["round"]),
            task=str(data["task"]),
            instruction=episode.instruction,
            images={
                name: np.concatenate([frames, *([final[name][None]] if name in final else [])])
                for name, frames in episode.images.items()
            },
            rate_hz=float(episode.header.world["rate_hz"]),
        )

    def rate(self, trial: int, rating: Rating) -> None:
        """Give a trial its rating.

        Raises:
            BlindError: it has one, there is no such trial or stage, or all was handed in.
        """
        self._check_open()
        if not 1 <= trial <= len(self.trials) or trial in self.ratings:
            raise BlindError(f"trial {trial} is not there, or was rated; withdraw its rating first")
        if rating.stage and (rating.stage not in self.stages or rating.verdict != "failure"):
            raise BlindError(f"{rating.stage!r}: stages are for failures, and are {self.stages}")
        self.chain.append(RATED, {"trial": trial, **to_dict(rating)})
        self.ratings[trial] = rating

    def undo(self) -> int:
        """Withdraw the latest rating that stands; returns its trial.

        Raises:
            BlindError: there is none, or all was handed in.
        """
        self._check_open()
        if not self.ratings:
            raise BlindError("there is no rating to withdraw")
        trial = [*self.ratings][-1]
        self.chain.append(WITHDRAWN, {"trial": trial})
        del self.ratings[trial]
        return trial

    def hand_in(self) -> bool:
        """Fix the ratings; the last rater's close the evaluation and reveal the policies.

        Returns:
            Whether the policies are revealed.

        Raises:
            BlindError: a trial has no rating.
        """
        if self.next is not None:
            raise BlindError(f"trial {self.next} has no rating")
        if not self.handed_in:
            self.chain.append(HANDED_IN, {"ratings": len(self.ratings)})
        with locked(self.directory / LOG, wait=True):
            log = HashChain(self.directory / LOG)  # others may have handed in
            done = [str(entry.data["rater"]) for entry in log.of_kind(RATINGS)]
            if self.rater not in done:
                log.append(RATINGS, {"rater": self.rater, "head": self.chain.head})
                done.append(self.rater)
            raters: list[str] = list(log.entries[0].data["raters"])
            if set(done) == set(raters) and not log.of_kind(REVEALED):
                finish_blind(self.directory, log, read_sealed(self.directory), len(self.trials))
            self.log = log
        return bool(log.of_kind(REVEALED))

    def _check_open(self) -> None:
        if self.handed_in:
            raise BlindError(f"{self.rater} has handed in: ratings are fixed")


@contextmanager
def open_sheet(directory: Path, rater: str) -> Generator[Sheet]:
    """The ratings of one rater, those given before included.

    Raises:
        BlindError: the evaluation has no such rater, is not played to its end, or the same rater is
            at work in another process.
        ChainBroken: a log was changed.
    """
    if not (directory / LOG).is_file():
        raise BlindError(f"{directory}: there is no {LOG}, the log of a blind evaluation")
    log = HashChain(directory / LOG)
    public = log.entries[0].data if log.entries else {}
    raters: list[str] = list(public.get("raters", []))
    if rater not in raters:
        known = ", ".join(raters) or "none: the world's own test judged"
        raise BlindError(f"{rater!r} is none of the evaluation's raters ({known})")
    wanted = int(public["starts"]) * len(public["aliases"])
    if len(log.of_kind(PLAYED)) < wanted:
        raise BlindError("not everything is played yet. Fix: run the evaluation's command again")
    with locked(ratings_file(directory, raters.index(rater)), wait=False):
        yield Sheet(directory, rater, log)


def rate_all(directory: Path, rater: str, judge: Callable[[BlindEpisode], Rating]) -> bool:
    """Let a program rate every trial that has no rating yet, and hand in.

    Returns:
        Whether the policies are revealed.
    """
    with open_sheet(directory, rater) as sheet:
        while (trial := sheet.next) is not None:
            sheet.rate(trial, judge(sheet.show(trial)))
        return sheet.hand_in()


@contextmanager
def locked(path: Path, *, wait: bool) -> Generator[None]:
    """Hold the lock of a log, which ends with this process if not before.

    Raises:
        BlindError: another process holds it, and it shall not be waited for.
    """
    with path.with_name(f".{path.name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BlindError(f"{path}: the same rater is at work in another process") from error
        yield
