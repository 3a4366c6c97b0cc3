"""Windows of a dataset: which observations and actions belong together, gathered in one go.

Every frame of an episode begins one window: the T observations that end at its step t, and the
chunk of H actions from t on. Before the episode's first frame the first observation is repeated,
past its last one the last action is, and a mask says which actions were executed. This is the
meaning of LeRobot's ``delta_timestamps`` with its clamping and ``action_is_pad``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enactive.episodes.dataset import Dataset
from enactive.episodes.layout import camera_name, state_key
from enactive.registry import suggest
from enactive.seeding import numpy_generator

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowSpec:
    """What a window holds."""

    action_steps: int
    """H, actions of a chunk."""
    observation_steps: int = 1
    """T, observations up to and including the present one."""
    cameras: tuple[str, ...] | None = None
    """Cameras to serve, in order; None: every camera of the dataset."""
    states: tuple[str, ...] = ("proprio",)
    """State vectors to serve: ``"proprio"`` is the feature ``observation.state``, ``"x"`` is
    ``observation.x``."""
    action_key: str = "action"
    """The feature to serve as actions, e.g. ``"action.expert"`` for corrected labels."""

    def __post_init__(self) -> None:
        for name in ("action_steps", "observation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def chunk_steps(step: Integers, length: Integers, count: int) -> tuple[Integers, NDArray[np.bool_]]:
    """Steps of the action chunks that begin at ``step``.

    Args:
        step: present steps t, ``int64 (B,)``.
        length: frames of the episode each is in, ``int64 (B,)``.
        count: H.

    Returns:
        Steps ``int64 (B, H)``, clamped to the last; and ``bool (B, H)``, False where clamped.
    """
    steps = step[:, None] + np.arange(count)  # (B, H)
    mask = steps < length[:, None]
    return np.minimum(steps, length[:, None] - 1), mask


def history_steps(step: Integers, count: int) -> Integers:
    """Steps of the ``count`` observations up to ``step``, clamped to 0, ``int64 (B, T)``."""
    return np.maximum(step[:, None] + np.arange(1 - count, 1), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subset:
    """Some episodes of a dataset, e.g. those for training."""

    dataset: Dataset
    episodes: tuple[int, ...]
    """Which, by their index, in the order in which windows are numbered."""

    def __post_init__(self) -> None:
        if not self.episodes:
            raise ValueError(f"episodes: the subset of {self.dataset.path} is empty")
        if len(set(self.episodes)) != len(self.episodes):
            raise ValueError("episodes: an episode is named twice")
        for episode in self.episodes:
            self.dataset.episode(episode)

    @property
    def num_frames(self) -> int:
        """Frames of these episodes."""
        return sum(self.dataset.episode(episode).length for episode in self.episodes)


def subset(dataset: Dataset, episodes: Sequence[int] | None = None) -> Subset:
    """The given episodes of ``dataset``, by default all."""
    chosen = range(dataset.num_episodes) if episodes is None else episodes
    return Subset(dataset=dataset, episodes=tuple(int(episode) for episode in chosen))


def split(dataset: Dataset, *, validation: float, seed: int) -> tuple[Subset, Subset]:
    """Split a dataset's episodes at random, the same fraction of every instruction.

    Args:
        dataset: what to split.
        validation: fraction of each instruction's episodes to hold out, in (0, 1), rounded to
            whole episodes; an instruction always keeps one for training.
        seed: the run's seed; the stream is ``"split"``.

    Returns:
        Training and validation episodes, disjoint and together everything.

    Raises:
        ValueError: the fraction is out of range, or nothing would be held out.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation must be between 0 and 1, got {validation}")
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, entry in enumerate(dataset.episodes):
        groups.setdefault(entry.instructions, []).append(position)
    held: set[int] = set()
    for instructions in sorted(groups):
        group = groups[instructions]
        count = min(round(validation * len(group)), len(group) - 1)
        generator = numpy_generator(seed, "split", *instructions)
        held.update(group[i] for i in generator.permutation(len(group))[:count].tolist())
    if not held:
        raise ValueError(
            f"validation={validation} of {dataset.num_episodes} episodes with {len(groups)} "
            "instructions holds out none; raise it or collect more"
        )
    training = [e for e in range(dataset.num_episodes) if e not in held]
    return subset(dataset, training), subset(dataset, sorted(held))


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where B windows lie."""

    row: Integers
    """Which of the table's episodes, ``int64 (B,)``."""
    step: Integers
    """Step t of the present observation, ``int64 (B,)``."""


class WindowTable:
    """The windows of some episodes, with everything but the pictures, in memory.

    Args:
        source: the episodes.
        spec: what to serve.

    Raises:
        KeyError: the dataset lacks a camera, a state vector or the action feature; the message
            suggests what was meant.
        ValueError: a vector feature is not one vector per frame.
    """

    def __init__(self, source: Subset, spec: WindowSpec) -> None:
        dataset = source.dataset
        entries = [dataset.episode(episode) for episode in source.episodes]
        self.dataset = dataset
        self.spec = spec
        self.episodes = np.asarray(source.episodes, np.int64)
        self.lengths = np.asarray([entry.length for entry in entries], np.int64)
        self._start = np.asarray([entry.start for entry in entries], np.int64)
        self._first = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        self.size = int(self._first[-1])
        """N, windows: one per frame."""
        cameras = dataset.cameras if spec.cameras is None else spec.cameras
        self.cameras = tuple(camera_name(dataset.camera_feature(name)[0]) for name in cameras)
        self._actions = _vectors(dataset, spec.action_key)  # (frames, A)
        self._states = {name: _vectors(dataset, state_key(name)) for name in spec.states}
        self._tasks = dataset.column("task_index")  # (frames,)

    def digest(self) -> str:
        """A hash of which episodes there are and how long they are, 16 hex digits."""
        numbers = np.stack([self.episodes, self.lengths]).astype("<i8")
        return hashlib.blake2b(numbers.tobytes(), digest_size=8).hexdigest()

    def places(self, windows: Integers) -> Places:
        """Where ``windows``, ``int64 (B,)``, lie."""
        row = np.searchsorted(self._first, windows, side="right") - 1
        return Places(row=row, step=windows - self._first[row])

    def actions(self, places: Places) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Action chunks ``float32 (B, H, A)`` and their masks ``bool (B, H)``."""
        steps, mask = chunk_steps(places.step, self.lengths[places.row], self.spec.action_steps)
        return self._actions[self._start[places.row][:, None] + steps], mask

    def states(self, places: Places) -> dict[str, NDArray[np.float32]]:
        """State vector name to ``float32 (B, T, D)``."""
        steps = history_steps(places.step, self.spec.observation_steps)
        rows = self._start[places.row][:, None] + steps  # (B, T)
        return {name: values[rows] for name, values in self._states.items()}

    def instructions(self, places: Places) -> list[str]:
        """The instruction in force at each window's present step."""
        tasks = self.dataset.tasks
        return [tasks[i] for i in self._tasks[self._start[places.row] + places.step].tolist()]


def _vectors(dataset: Dataset, key: str) -> NDArray[np.float32]:
    if key not in dataset.features:
        raise KeyError(f"{dataset.path} has no feature {key!r}; {suggest(key, dataset.features)}")
    values = dataset.column(key)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise ValueError(
            f"{dataset.path}: {key!r} has shape {values.shape[1:]} per frame, not (D,)"
        )
    return np.ascontiguousarray(values, np.float32)
