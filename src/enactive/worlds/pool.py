"""Many worlds at once: one process each, commands and answers asynchronous per worker.

Workers never wait for one another: whichever has answered is served. Pictures and state vectors
come back through shared memory, everything else through a pipe. What an episode gives depends on
its task, seed and actions only, so the number of workers changes the time taken and nothing else.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import Any

from enactive.observations import Observation, Task
from enactive.worlds.worker import Answer, Frames, WorldConfig, serve
from enactive.worlds.world import Snapshot, WorldSpec


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
        workers: number of processes; 0 runs in this process, with the same interface.
        local: worlds of this process where ``workers`` is 0. Several save time where deciding is
            batched; each costs the memory of a world.
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
        local: int = 1,
        threads: int = 1,
        start_timeout: float = 120.0,
    ) -> None:
        if workers < 0:
            raise ValueError(f"workers must be 0 or more, got {workers}")
        if local < 1:
            raise ValueError(f"local must be at least 1, got {local}")
        if threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.config = config
        self.workers = workers
        self._closed = False
        self._lanes: list[_Local | _Remote] = []
        try:
            if workers == 0:
                self._lanes.extend(_Local(config) for _ in range(local))
            for worker in range(workers):
                self._lanes.append(_Remote(worker, config, threads, start_timeout))
            # All of them are heard out, so that a pool closed early leaves no memory behind.
            specs = [lane.spec() for lane in self._lanes]
            self._spec = specs[0]
        except BaseException:
            self.close()
            raise

    @property
    def lanes(self) -> int:
        """How many episodes can run at a time: the workers, or the worlds of this process."""
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
        with Frames(self._spec.observations, self._memory) as frames:
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
            target=serve,
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
