"""Where each thing that a policy sees is found in another harness's observation, as data.

openpi and vla-eval both send an observation as a map whose keys are the user's choice. An
:class:`ObservationMap` says which key holds which camera, state vectors and instruction; it is
checked against an :class:`~enactive.observations.ObservationSpec` when a server or client is put
together, and published by the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from enactive.observations import Camera, Observation, ObservationSpec, StateVector
from enactive.registry import suggest
from enactive.serving.arrays import Malformed

Path = tuple[str, ...]
"""Keys from the outermost map inwards: ``("observation/image",)``, ``("images", "front")``."""


class MappingError(ValueError):
    """A map does not fit the specification; the message lists every reason with its fix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Where a camera's picture is: ``uint8``, RGB, first row at the top."""

    camera: str
    """Name of the camera in the observation specification."""
    path: Path
    """Where it is in the message."""
    layout: Literal["hwc", "chw"] = "hwc"
    """Order of the axes in the message: rows, columns, colours, or colours first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vector:
    """Where state vectors are: one array ``(D,)`` that holds them one after the other."""

    states: tuple[str, ...]
    """Names of the vectors in the observation specification, in the order they are joined."""
    path: Path
    """Where the array is in the message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservationMap:
    """The whole map. What it does not name is ignored in messages."""

    pictures: tuple[Picture, ...] = ()
    vectors: tuple[Vector, ...] = ()
    privileged: tuple[Vector, ...] = ()
    """Simulator truth, for experts that are served."""
    instruction: Path = ("prompt",)
    """Where the instruction is; empty if none is sent."""
    time: Path = ()
    """Where the seconds since the episode's beginning are; empty if they are not sent."""

    @property
    def paths(self) -> list[Path]:
        """Every path, in order."""
        found = [entry.path for entry in (*self.pictures, *self.vectors, *self.privileged)]
        return [*found, *(path for path in (self.instruction, self.time) if path)]


def openpi_map(spec: ObservationSpec) -> ObservationMap:
    """openpi's habits: flat keys ``observation/NAME`` and ``prompt``."""
    return ObservationMap(
        pictures=tuple(
            Picture(camera=camera.name, path=(f"observation/{camera.name}",))
            for camera in spec.cameras
        ),
        vectors=tuple(
            Vector(states=(state.name,), path=(f"observation/{state.name}",))
            for state in spec.states
        ),
        privileged=tuple(
            Vector(states=(vector.name,), path=(f"privileged/{vector.name}",))
            for vector in spec.privileged
        ),
    )


def vla_eval_map(spec: ObservationSpec) -> ObservationMap:
    """vla-eval's habits: ``images`` by name, all states joined in ``states``,
    ``task_description``."""
    names = tuple(state.name for state in spec.states)
    return ObservationMap(
        pictures=tuple(
            Picture(camera=camera.name, path=("images", camera.name)) for camera in spec.cameras
        ),
        vectors=(Vector(states=names, path=("states",)),) if names else (),
        privileged=tuple(
            Vector(states=(vector.name,), path=("privileged", vector.name))
            for vector in spec.privileged
        ),
        instruction=("task_description",),
    )


@dataclass(frozen=True, slots=True)
class Wired:
    """A map that fits a specification: reads messages into observations and writes them.

    Raises:
        MappingError: it does not fit; every reason is listed.
    """

    map: ObservationMap
    spec: ObservationSpec

    def __post_init__(self) -> None:
        problems = [
            *_unknown("camera", (p.camera for p in self.map.pictures), self.spec.cameras),
            *_unknown("state", _names(self.map.vectors), self.spec.states),
            *_unknown("privileged", _names(self.map.privileged), self.spec.privileged),
            *_clashes(self.map.paths),
        ]
        if problems:
            lines = "\n".join(f"  - {problem}" for problem in problems)
            raise MappingError(f"the observation map does not fit:\n{lines}")

    def narrowed(self) -> ObservationSpec:
        """The specification of what the map names alone."""
        return replace(
            self.spec,
            cameras=tuple(self.spec.camera(p.camera) for p in self.map.pictures),
            states=tuple(self.spec.state(name) for name in _names(self.map.vectors)),
            privileged=tuple(
                vector
                for vector in self.spec.privileged
                if vector.name in set(_names(self.map.privileged))
            ),
        )

    def require_all(self) -> None:
        """Refuse a map that leaves out something of the specification.

        Raises:
            MappingError: something that must be seen is nowhere in the messages.
        """
        problems = [
            f"{kind} {entry.name!r} is nowhere in the messages. Fix: give it a path"
            for kind, entries, named in (
                ("camera", self.spec.cameras, [p.camera for p in self.map.pictures]),
                ("state", self.spec.states, _names(self.map.vectors)),
                ("privileged vector", self.spec.privileged, _names(self.map.privileged)),
            )
            for entry in entries
            if entry.name not in named
        ]
        if problems:
            lines = "\n".join(f"  - {problem}" for problem in problems)
            raise MappingError(f"the observation map does not fit:\n{lines}")

    def read(self, message: Any) -> Observation:
        """The observation that a message holds.

        Raises:
            Malformed: something is missing or has another shape; every reason is listed.
        """
        if not isinstance(message, Mapping):
            raise Malformed(f"an observation is a map, got {type(message).__name__}")
        problems: list[str] = []
        images = {
            entry.camera: picture
            for entry in self.map.pictures
            if (picture := self._picture(message, entry, problems)) is not None
        }
        state: dict[str, NDArray[np.float32]] = {}
        for entry in self.map.vectors:
            for name, part in self._parts(message, entry, self.spec.states, problems):
                state[name] = part.astype(np.float32)
        privileged: dict[str, NDArray[np.float64]] = {}
        for entry in self.map.privileged:
            for name, part in self._parts(message, entry, self.spec.privileged, problems):
                privileged[name] = part.astype(np.float64)
        instruction, seconds = "", 0.0
        if self.map.instruction:
            instruction = _look_up(message, self.map.instruction, problems)
            if not isinstance(instruction, str):
                problems.append(_wrong(self.map.instruction, "text", instruction))
        if self.map.time:
            seconds = _look_up(message, self.map.time, problems)
            if not isinstance(seconds, int | float | np.number):
                problems.append(_wrong(self.map.time, "a number", seconds))
        problems = [problem for problem in problems if problem]
        if problems:
            raise Malformed("the observation does not fit: " + "; ".join(problems))
        return Observation(
            images=images,
            state=state,
            privileged=privileged,
            instruction=str(instruction),
            time=float(seconds),
        )

    def write(self, seen: Observation) -> dict[str, Any]:
        """The message that holds an observation; the inverse of :meth:`read`."""
        message: dict[str, Any] = {}
        for entry in self.map.pictures:
            picture = seen.images[entry.camera]
            axes = picture if entry.layout == "hwc" else picture.transpose(2, 0, 1)
            _put(message, entry.path, np.ascontiguousarray(axes))
        for entry in self.map.vectors:
            _put(message, entry.path, np.concatenate([seen.state[name] for name in entry.states]))
        for entry in self.map.privileged:
            parts = [seen.privileged[name] for name in entry.states]
            _put(message, entry.path, np.concatenate(parts))
        if self.map.instruction:
            _put(message, self.map.instruction, seen.instruction)
        if self.map.time:
            _put(message, self.map.time, float(seen.time))
        return message

    def _picture(
        self, message: Mapping[str, Any], entry: Picture, problems: list[str]
    ) -> NDArray[np.uint8] | None:
        camera = self.spec.camera(entry.camera)
        shape = (camera.height, camera.width, 3)
        if entry.layout == "chw":
            shape = (3, camera.height, camera.width)
        value = _look_up(message, entry.path, problems)
        if not isinstance(value, np.ndarray) or (value.dtype, value.shape) != (np.uint8, shape):
            problems.append(_wrong(entry.path, f"uint8 {shape}", value))
            return None
        return value if entry.layout == "hwc" else np.ascontiguousarray(value.transpose(1, 2, 0))

    def _parts(
        self,
        message: Mapping[str, Any],
        entry: Vector,
        known: Sequence[StateVector],
        problems: list[str],
    ) -> list[tuple[str, NDArray[Any]]]:
        sizes = [next(v.size for v in known if v.name == name) for name in entry.states]
        value = _look_up(message, entry.path, problems)
        if (
            not isinstance(value, np.ndarray)
            or value.dtype.kind not in "iuf"
            or value.shape != (sum(sizes),)
        ):
            problems.append(_wrong(entry.path, f"numbers ({sum(sizes)},)", value))
            return []
        if not np.isfinite(value).all():
            problems.append(f"{_spelled(entry.path)} is not finite")
            return []
        return list(zip(entry.states, np.split(value, np.cumsum(sizes)[:-1]), strict=True))


_MISSING = object()


def _names(vectors: Iterable[Vector]) -> list[str]:
    return [name for vector in vectors for name in vector.states]


def _unknown(
    kind: str, named: Iterable[str], known: Sequence[Camera] | Sequence[StateVector]
) -> list[str]:
    names = [entry.name for entry in known]
    found = list(named)
    problems = [
        f"there is no {kind} {name!r}; {suggest(name, names)}"
        for name in found
        if name not in names
    ]
    twice = sorted({name for name in found if found.count(name) > 1})
    return problems + [f"{kind} {name!r} has more than one path. Fix: keep one" for name in twice]


def _clashes(paths: Sequence[Path]) -> list[str]:
    problems = ["a path is empty. Fix: give its keys" for path in paths if not path]
    for number, path in enumerate(paths):
        for other in paths[number + 1 :]:
            shared = min(len(path), len(other))
            if shared and path[:shared] == other[:shared]:
                problems.append(
                    f"{_spelled(path)} and {_spelled(other)} are in each other's way. "
                    "Fix: give each a path of its own"
                )
    return problems


def _look_up(message: Mapping[str, Any], path: Path, problems: list[str]) -> Any:
    held: Any = message
    for key in path:
        if not isinstance(held, Mapping) or key not in held:
            known = [str(k) for k in held] if isinstance(held, Mapping) else []
            problems.append(f"{_spelled(path)} is missing; {suggest(key, known[:20])}")
            return _MISSING
        held = held[key]
    return held


def _wrong(path: Path, wanted: str, value: Any) -> str:
    """What to say of a value of another type or shape; empty where it is missing."""
    if value is _MISSING:
        return ""
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    return f"{_spelled(path)} must be {wanted}, got {got}"


def _put(message: dict[str, Any], path: Path, value: Any) -> None:
    held = message
    for key in path[:-1]:
        held = held.setdefault(key, {})
    held[path[-1]] = value


def _spelled(path: Path) -> str:
    return " > ".join(repr(key) for key in path)
