"""A world in a process of its own: the loop that serves it, and how observations come back."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from enactive.observations import Observation, ObservationSpec
from enactive.worlds.world import Snapshot, Step, World

Answer = Observation | Step | Snapshot
"""What a command gives: ``reset`` and ``restore`` an observation, ``step`` a step, ``snapshot``
a snapshot."""


class WorldConfig(Protocol):
    """A world's configuration; it must be picklable where worlds run in other processes."""

    def build(self) -> World: ...


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


class Frames:
    """The arrays of one observation inside a shared memory."""

    def __init__(self, spec: ObservationSpec, memory: SharedMemory) -> None:
        self._arrays = [
            (place, np.ndarray(place.shape, place.dtype, memory.buf, place.start))
            for place in _places(spec)[0]
        ]

    def __enter__(self) -> Frames:
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


def serve(connection: Any, config: WorldConfig, threads: int) -> None:
    """What a worker's process runs: one world, until the pipe closes."""
    # Ctrl-C reaches every process of the terminal; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    # Mesa's rasteriser counts threads beside the caller's own; none saves the hand-over.
    os.environ["LP_NUM_THREADS"] = str(threads if threads > 1 else 0)
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
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody listens any more
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
        with Frames(world.spec.observations, memory) as frames:
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
