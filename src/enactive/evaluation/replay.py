"""Replay: an episode is executed again from its seed and its recorded actions, and every bit that
the world gives back is compared with what was recorded.

No policy takes part: what is checked is that the recording says what happened. Pictures and state
vectors are compared by the hash of their raw values, so the check is exact although datasets store
pictures compressed.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from enactive.configuration import config_hash, from_dict, to_dict
from enactive.episodes.episode import observation_hashes
from enactive.evaluation.files import write_atomically
from enactive.evaluation.recording import Recording, executable
from enactive.evaluation.sources import headers, recordings
from enactive.evaluation.worlds import build_world
from enactive.observations import Observation
from enactive.worlds.world import Step, World

MAX_MISMATCHES = 10
"""Mismatches that are listed per episode; replay goes on, to count them all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """One thing that differs."""

    step: int
    """Actions executed before it was seen; 0 is the reset."""
    what: str
    """``images.<camera>``, ``state.<name>``, ``reward``, ``success``, ``events``, ``end``."""
    recorded: str
    replayed: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeReplay:
    """What replaying one episode showed."""

    id: str
    equal: bool
    steps: int
    compared: int
    """Values that were compared: hashes, rewards, success tests, event lists."""
    differing: int
    mismatches: tuple[Mismatch, ...] = ()
    """The first :data:`MAX_MISMATCHES`."""
    error: str = ""
    """Why it could not be replayed at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayReport:
    """What replaying many episodes showed."""

    episodes: tuple[EpisodeReplay, ...]

    @property
    def equal(self) -> int:
        """Episodes that are bit-equal."""
        return sum(episode.equal for episode in self.episodes)

    @property
    def compared(self) -> int:
        """Values that were compared."""
        return sum(episode.compared for episode in self.episodes)

    @property
    def passed(self) -> bool:
        """Whether there are episodes and all are bit-equal."""
        return bool(self.episodes) and self.equal == len(self.episodes)

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_atomically(path, json.dumps(to_dict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> ReplayReport:
        """Read what :meth:`save` wrote."""
        return from_dict(cls, json.loads(path.read_text(encoding="utf-8")))


def replay_episode(world: World, recording: Recording) -> EpisodeReplay:
    """Execute the recorded actions in ``world`` and compare everything it gives back."""
    check = _Check(recording)
    header = recording.header
    check.observation(0, world.reset(header.task, header.seed))
    step: Step | None = None
    for number, action in enumerate(recording.actions):
        step = world.step(executable(action, world))
        check.step(number, step)
    if step is not None:
        check.compare(len(recording.actions), "end", recording.outcome.terminated, step.terminated)
    return EpisodeReplay(
        id=header.id,
        equal=check.differing == 0,
        steps=len(recording.actions),
        compared=check.compared,
        differing=check.differing,
        mismatches=tuple(check.mismatches),
    )


class _Check:
    """Compares and counts."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.compared = 0
        self.differing = 0
        self.mismatches: list[Mismatch] = []

    def observation(self, step: int, observation: Observation) -> None:
        hashes = observation_hashes(observation)
        for name, rows in self.recording.hashes.items():
            if name == "action" or step >= len(rows):
                continue
            replayed = hashes.get(name)
            self.compare(
                step, name, rows[step].tobytes().hex(), replayed.hex() if replayed else "(absent)"
            )

    def step(self, number: int, step: Step) -> None:
        recording, seen = self.recording, number + 1
        self.observation(seen, step.observation)
        if recording.rewards is not None:
            mine = np.float32(step.reward)
            self.compare(seen, "reward", recording.rewards[number].item(), mine.item())
        if recording.successes is not None:
            self.compare(seen, "success", bool(recording.successes[number]), step.success)
        self.compare(seen, "events", recording.events.get(number, ()), step.events)

    def compare(self, step: int, what: str, recorded: object, replayed: object) -> None:
        self.compared += 1
        if recorded == replayed:
            return
        self.differing += 1
        if len(self.mismatches) < MAX_MISMATCHES:
            self.mismatches.append(
                Mismatch(step=step, what=what, recorded=str(recorded), replayed=str(replayed))
            )


# ----------------------------------------------------------------------- many, in processes


def replay(
    path: Path,
    ids: Sequence[str] | None = None,
    *,
    workers: int = 0,
    listener: Callable[[EpisodeReplay], None] | None = None,
) -> ReplayReport:
    """Replay episodes of a journal (a file) or a dataset (a directory) in the recorded worlds.

    Args:
        path: where they are recorded.
        ids: which; by default all finished ones, in their order.
        workers: processes that share the work; 0 replays in this one.
        listener: told of each episode as it is done, in order.

    Raises:
        KeyError: an id is not recorded.
    """
    names = list(headers(path)) if ids is None else list(ids)
    done: list[EpisodeReplay] = []
    with ExitStack() as stack:
        share = stack.enter_context(_executor(workers)) if workers else None
        for result in _replayed(path, names, share):
            done.append(result)
            if listener is not None:
                listener(result)
    return ReplayReport(episodes=tuple(done))


def replay_all(
    path: Path,
    saved: Path,
    workers: int = 0,
    listener: Callable[[EpisodeReplay], None] | None = None,
) -> ReplayReport:
    """Replay everything at ``path`` and keep the report in the file ``saved``.

    An interrupted call goes on where it stopped: episodes that ``saved`` reports as equal are not
    executed again. Delete the file to check everything anew.

    Args:
        path: a journal or a dataset.
        saved: the report, written after every few episodes.
        workers: processes that share the work.
        listener: told of each episode that is executed.
    """
    known = ReplayReport.load(saved).episodes if saved.is_file() else ()
    done = {episode.id: episode for episode in known if episode.equal}
    names = list(headers(path))
    todo = [name for name in names if name not in done]
    batch = max(8, 8 * workers)
    report = ReplayReport(episodes=tuple(done[name] for name in names if name in done))
    with ExitStack() as stack:
        share = stack.enter_context(_executor(workers)) if workers and todo else None
        for start in range(0, len(todo), batch):
            for result in _replayed(path, todo[start : start + batch], share):
                done[result.id] = result
                if listener is not None:
                    listener(result)
            report = ReplayReport(episodes=tuple(done[name] for name in names if name in done))
            report.save(saved)
    return report


def _executor(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a renderer's context does not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(max_workers=workers, mp_context=context)


def _replayed(
    path: Path, ids: Sequence[str], executor: ProcessPoolExecutor | None
) -> Iterator[EpisodeReplay]:
    if executor is None:
        with closing(_Worlds()) as worlds:
            for recording in recordings(path, ids):
                yield _replay_recorded(recording, worlds)
        return
    chunks = [ids[start : start + 4] for start in range(0, len(ids), 4)]
    for results in executor.map(_replay_some, [path] * len(chunks), chunks):
        yield from results


class _Worlds:
    """The world that was used last, kept for the next episode: building one is slow."""

    def __init__(self) -> None:
        self.key = ""
        self.world: World | None = None

    def get(self, config: Mapping[str, Any]) -> World:
        """The world of a recorded configuration."""
        key = config_hash(dict(config))
        if self.world is None or key != self.key:
            self.close()
            self.key, self.world = key, build_world(config)
        return self.world

    def close(self) -> None:
        if self.world is not None:
            self.world.close()
            self.world = None


@cache
def _worlds_of_this_worker() -> _Worlds:
    """A worker process lives for one replay and is handed many shares of it."""
    return _Worlds()


def _replay_some(path: Path, ids: Sequence[str]) -> list[EpisodeReplay]:
    worlds = _worlds_of_this_worker()
    return [_replay_recorded(recording, worlds) for recording in recordings(path, ids)]


def _replay_recorded(recording: Recording, worlds: _Worlds) -> EpisodeReplay:
    record = recording.header.world
    try:
        world = worlds.get(record["config"])
        if record.get("version") != world.spec.version:
            raise ValueError(
                f"recorded with {record.get('name')} {record.get('version')}, here is "
                f"{world.spec.version}"
            )
        return replay_episode(world, recording)
    except Exception as error:  # one broken recording must not hide the others' results
        return EpisodeReplay(
            id=recording.header.id,
            equal=False,
            steps=0,
            compared=0,
            differing=0,
            error=f"{type(error).__name__}: {error}",
        )
