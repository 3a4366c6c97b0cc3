"""Many worlds at once: one process each, commands and answers asynchronous per worker.

Workers never wait for one another: whichever has answered is served. Pictures and state vectors
come back through shared memory, everything else through a pipe. What an episode gives depends on
its task, seed and actions only, so the number of workers changes the time taken and nothing else.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from enactive.observations import Observation, ObservationSpec, Task
from enactive.worlds.world import Snapshot, Step, World, WorldSpec

Answer = Observation | Step | Snapshot
"""What a command gives: ``reset`` and ``restore`` an observation, ``step`` a step, ``snapshot``
a snapshot."""


class WorldConfig(Protocol):
    """A world's configuration; it must be picklable where worlds run in other processes."""

    def build(self) -> World: ...


class WorkerDied(RuntimeError):
    """A worker's process ended by itself: killed, out of memory, or crashed in the engine."""

    def __init__(self, worker: int, episode: str, exit_code: int | None) -> None:
        self.worker = worker
        self.episode = episode
        self.exit_code = exit_code
        super().__init__(
            f"worker {worker} died with exit code {exit_code} during {episode}; "
            "its next reset starts a new process"
        )


class WorldPool:
    """A fixed number of worlds of one configuration.

    Each lane takes one command at a time: give it with :meth:`reset`, :meth:`step`,
    :meth:`snapshot` or :meth:`restore`, and collect answers with :meth:`wait` (whoever is ready)
    or :meth:`gather` (these lanes, in order). Use it as a context manager, or call :meth:`close`.

    Args:
        config: the worlds' configuration.
        workers: number of processes; 0 runs one world in this process, with the same interface.
        threads: threads that each worker's software rasteriser and numeric libraries may use.
        start_timeout: seconds that a world may take to be built.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        config: WorldConfig,
        workers: int,
        *,
        threads: int = 1,
        start_timeout: float = 120.0,
    ) -> None:
        if workers < 0:
            raise ValueError(f"workers must be 0 or more, got {workers}")
        if threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.config = config
        self.workers = workers
        self._closed = False
        self._lanes: list[_Local | _Remote] = []
        try:
            if workers == 0:
                self._lanes.append(_Local(config))
            for worker in range(workers):
                self._lanes.append(_Remote(worker, config, threads, start_timeout))
            self._spec = self._lanes[0].spec()
        except BaseException:
            self.close()
            raise

    @property
    def lanes(self) -> int:
        """How many episodes can run at a time: the workers, or 1 in this process."""
        return len(self._lanes)

    @property
    def spec(self) -> WorldSpec:
        """The specification that all the worlds share."""
        return self._spec

    def reset(self, worker: int, task: Task, seed: int) -> None:
        """Tell ``worker`` to begin an episode; the answer is an :class:`Observation`."""
        self._lane(worker).send("reset", (task, seed), f"{task.name}, seed {seed}")

    def step(self, worker: int, action: Any) -> None:
        """Tell ``worker`` to execute an action; the answer is a :class:`Step`."""
        self._lane(worker).send("step", (action,))

    def snapshot(self, worker: int) -> None:
        """Ask ``worker`` for its state; the answer is a :class:`Snapshot`."""
        self._lane(worker).send("snapshot", ())

    def restore(self, worker: int, snapshot: Snapshot) -> None:
        """Put ``worker`` into a state; the answer is an :class:`Observation`."""
        self._lane(worker).send("restore", (snapshot,), "a restored episode")

    def wait(self, timeout: float | None = None) -> list[tuple[int, Answer]]:
        """Answers of all lanes that are ready, in worker order; blocks until there is one.

        An empty list if no lane has a command, or after ``timeout`` seconds. An exception that the
        world raised is raised here.

        Raises:
            WorkerDied: a worker's process ended.
        """
        self._open()
        busy = [worker for worker, lane in enumerate(self._lanes) if lane.busy]
        remote = [(w, lane) for w in busy if isinstance(lane := self._lanes[w], _Remote)]
        if remote:
            handles = [lane.connection for _, lane in remote]
            ready = multiprocessing.connection.wait(handles, timeout)
            busy = [worker for worker, lane in remote if lane.connection in ready]
        return [(worker, self._lanes[worker].receive()) for worker in busy]

    def gather(self, workers: Iterable[int] | None = None) -> list[Answer]:
        """Answers of ``workers`` (by default of every lane with a command), in the order given.

        Raises:
            WorkerDied: a worker's process ended.
            RuntimeError: one of them has no command to answer.
        """
        self._open()
        if workers is None:
            workers = [worker for worker, lane in enumerate(self._lanes) if lane.busy]
        return [self._lane(worker).receive() for worker in workers]

    def close(self) -> None:
        """End the workers and free what they hold. May be called twice."""
        self._closed = True
        for lane in self._lanes:
            lane.hang_up()
        for lane in self._lanes:
            lane.close()
        self._lanes = []

    def __enter__(self) -> WorldPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        if self._closed:
            raise RuntimeError("the pool is closed")

    def _lane(self, worker: int) -> _Local | _Remote:
        self._open()
        if not 0 <= worker < len(self._lanes):
            raise IndexError(f"there is no worker {worker}; there are {len(self._lanes)}")
        return self._lanes[worker]


class _Local:
    """A world of this process. A command runs when its answer is collected."""

    def __init__(self, config: WorldConfig) -> None:
        self._world = config.build()
        self._command: tuple[str, tuple[Any, ...]] | None = None

    @property
    def busy(self) -> bool:
        return self._command is not None

    def spec(self) -> WorldSpec:
        return self._world.spec

    def send(self, name: str, arguments: tuple[Any, ...], episode: str = "") -> None:
        if self.busy:
            raise RuntimeError("worker 0 has a command already; collect its answer first")
        self._command = (name, arguments)

    def receive(self) -> Answer:
        if self._command is None:
            raise RuntimeError("worker 0 has no command to answer")
        (name, arguments), self._command = self._command, None
        return getattr(self._world, name)(*arguments)

    def hang_up(self) -> None:
        return

    def close(self) -> None:
        self._world.close()


class _Remote:
    """A world of another process, as seen from this one."""

    def __init__(self, worker: int, config: WorldConfig, threads: int, timeout: float) -> None:
        self.worker = worker
        self.busy = False
        self._config = config
        self._threads = threads
        self._timeout = timeout
        self._episode = "start"
        self._spec: WorldSpec | None = None
        self._memory: SharedMemory | None = None
        self._start()

    def spec(self) -> WorldSpec:
        self._greet()
        assert self._spec is not None
        return self._spec

    def send(self, name: str, arguments: tuple[Any, ...], episode: str = "") -> None:
        if self.busy:
            raise RuntimeError(f"worker {self.worker} has a command already; collect its answer")
        if name in {"reset", "restore"} and not self._process.is_alive():
            self.close()
            self._start()
        self._greet()
        if episode:
            self._episode = episode
        try:
            self.connection.send((name, arguments))
        except (BrokenPipeError, ConnectionResetError):
            raise self._death() from None
        self.busy = True

    def receive(self) -> Answer:
        if not self.busy:
            raise RuntimeError(f"worker {self.worker} has no command to answer")
        self.busy = False
        answer = self._message()
        assert self._spec is not None and self._memory is not None
        if isinstance(answer, Snapshot):
            return answer
        seen = answer if isinstance(answer, Observation) else answer.observation
        with _Frames(self._spec.observations, self._memory) as frames:
            seen = frames.unpack(seen)
        return seen if isinstance(answer, Observation) else replace(answer, observation=seen)

    def hang_up(self) -> None:
        self.connection.close()

    def close(self) -> None:
        # A worker in the middle of a step notices the closed pipe when the step is done.
        self._process.join(timeout=5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self.connection.close()
        self._forget_memory()

    def _start(self) -> None:
        # Spawned, not forked: an OpenGL context or a thread pool does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, self._config, self._threads),
            name=f"world-{self.worker}",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        self.busy = False

    def _greet(self) -> None:
        """Take the specification and the shared memory that a new worker announces."""
        if self._memory is not None:
            return
        deadline = time.monotonic() + self._timeout
        while not self.connection.poll(0.1):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"worker {self.worker} took more than {self._timeout} s to build its world"
                )
        self._spec, name = self._message()
        self._memory = SharedMemory(name)
        # The name is no longer needed; without it nothing is left behind if we are killed.
        self._memory.unlink()

    def _message(self) -> Any:
        try:
            kind, value = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._death() from None
        if kind == "error":
            error, where = value
            error.add_note(f"In worker {self.worker}, {self._episode}:\n{where}")
            raise error
        return value

    def _death(self) -> WorkerDied:
        self.busy = False
        self._process.join(timeout=5.0)
        return WorkerDied(self.worker, self._episode, self._process.exitcode)

    def _forget_memory(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None


@dataclass(frozen=True, slots=True)
class _Place:
    part: str
    name: str
    start: int
    shape: tuple[int, ...]
    dtype: str


def _places(spec: ObservationSpec) -> tuple[Sequence[_Place], int]:
    """Where each array of an observation lies in the shared memory, and how long that is."""
    wanted = [
        *(("images", c.name, (c.height, c.width, 3), "u1") for c in spec.cameras),
        *(("state", s.name, (s.size,), "f4") for s in spec.states),
        *(("privileged", s.name, (s.size,), "f8") for s in spec.privileged),
    ]
    places: list[_Place] = []
    start = 0
    for part, name, shape, dtype in wanted:
        places.append(_Place(part, name, start, shape, dtype))
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        start += -(-size // 64) * 64
    return places, max(start, 64)


class _Frames:
    """The arrays of one observation inside a shared memory."""

    def __init__(self, spec: ObservationSpec, memory: SharedMemory) -> None:
        self._arrays = [
            (place, np.ndarray(place.shape, place.dtype, memory.buf, place.start))
            for place in _places(spec)[0]
        ]

    def __enter__(self) -> _Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self._arrays = []  # a memory cannot be closed while arrays refer to it

    def pack(self, observation: Observation) -> Observation:
        """Put the arrays into the memory; return the rest, without those that fitted."""
        left: dict[str, dict[str, NDArray[Any]]] = {
            "images": dict(observation.images),
            "state": dict(observation.state),
            "privileged": dict(observation.privileged),
        }
        for place, array in self._arrays:
            value = left[place.part].get(place.name)
            # What breaks the declaration goes as it is, for a checker to see.
            if value is not None and value.shape == array.shape and value.dtype == array.dtype:
                array[...] = value
                del left[place.part][place.name]
        return replace(observation, **left)

    def unpack(self, rest: Observation) -> Observation:
        """The whole observation, its arrays copied out of the memory."""
        whole = {
            "images": dict(rest.images),
            "state": dict(rest.state),
            "privileged": dict(rest.privileged),
        }
        for place, array in self._arrays:
            whole[place.part].setdefault(place.name, array.copy())
        return replace(rest, **whole)


def _serve(connection: Any, config: WorldConfig, threads: int) -> None:
    """What a worker's process runs: one world, until the pipe closes."""
    # Ctrl-C reaches every process of the terminal; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for variable in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    world: World | None = None
    memory: SharedMemory | None = None
    try:
        world = config.build()
        memory = SharedMemory(create=True, size=_places(world.spec.observations)[1])
        connection.send(("spec", (world.spec, memory.name)))
        while True:
            name, arguments = connection.recv()
            connection.send(_execute(world, memory, name, arguments))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Exception as error:
        connection.send(_failure(error))
    finally:
        if world is not None:
            world.close()
        if memory is not None:
            memory.close()
        connection.close()


def _execute(
    world: World, memory: SharedMemory, name: str, arguments: tuple[Any, ...]
) -> tuple[str, Any]:
    try:
        answer: Answer = getattr(world, name)(*arguments)
        if isinstance(answer, Snapshot):
            return name, answer
        with _Frames(world.spec.observations, memory) as frames:
            if isinstance(answer, Observation):
                return name, frames.pack(answer)
            return name, replace(answer, observation=frames.pack(answer.observation))
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> tuple[str, Any]:
    """The error and where it came from, in a form that passes between processes."""
    where = traceback.format_exc()
    # An exception whose constructor takes other arguments than its message does not survive.
    plain = type(error) in (ValueError, KeyError, TypeError, RuntimeError, IndexError)
    if not plain:
        try:
            type(error)(*error.args)
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
    return "error", (error.with_traceback(None), where)
