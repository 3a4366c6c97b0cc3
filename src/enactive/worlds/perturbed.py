"""Any world with perturbations that it knows nothing of: :mod:`enactive.worlds.disturbances`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from enactive.configuration import part
from enactive.observations import Observation, Task
from enactive.registry import Registry
from enactive.worlds.disturbances import REMEMBERED, Disturbance
from enactive.worlds.replayed import packed, unpacked
from enactive.worlds.world import PerturbationSpec, Snapshot, Step, World, WorldSpec


def is_registered(perturbation: str) -> bool:
    """Whether ``perturbation``, e.g. ``"blur-2"``, is one that fits any world."""
    return perturbation.rpartition("-")[0] in Registry("perturbations").names()


def _tabletop() -> Any:
    """The tabletop's configuration; it loads the simulator, so not before somebody asks."""
    return Registry("worlds").load("tabletop")()


class PerturbedWorld:
    """A world inside; make it with ``PerturbedWorld.Config(world=...).build()``.

    Name, tasks, events and scenes are those of the world inside, and an episode whose task names
    none of the perturbations that are added is its episode, bit for bit.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`PerturbedWorld`."""

        world: Any = part("worlds", default_factory=_tabletop)
        """The world inside; by default the tabletop."""
        axes: tuple[str, ...] = ()
        """Which perturbations are added, by their registered names; by default all that fit."""

        def build(self) -> PerturbedWorld:
            """The world.

            Raises:
                ValueError: an axis does not fit the world, or it has one of that name itself.
                UnknownPart: nothing is registered as one of the axes.
            """
            return PerturbedWorld(self)

    def __init__(self, config: PerturbedWorld.Config) -> None:
        self._world: World = config.world.build()
        self._levels = _levels(config.axes, self._world.spec)
        added = tuple(
            PerturbationSpec(
                name=name,
                axis=name.rpartition("-")[0],
                description=one.levels[int(name.rpartition("-")[2]) - 1],
            )
            for name, one in self._levels.items()
        )
        inner = self._world.spec
        self._spec = replace(inner, perturbations=(*inner.perturbations, *added))
        self._episode: _Episode | None = None

    @property
    def spec(self) -> WorldSpec:
        return self._spec

    def reset(self, task: Task, seed: int) -> Observation:
        """Begin an episode of the world inside.

        Raises:
            KeyError: the world has no such task.
            ValueError: a perturbation is unknown, is on the axis of another one, or the world
                inside refuses it.
        """
        self._spec.check_task(task)
        own = [name for name in task.perturbations if name in self._levels]
        axes = [name.rpartition("-")[0] for name in own]
        if len(set(axes)) < len(axes):
            raise ValueError(f"perturbations: two of {own} are on one axis; give one of them")
        left = tuple(name for name in task.perturbations if name not in self._levels)
        observation = self._world.reset(replace(task, perturbations=left), seed)
        self._episode = self._begin(own, seed)
        return self._seen(observation)

    def step(self, action: Any) -> Step:
        """Execute what the perturbations leave of an action.

        Raises:
            ValueError: the action is outside the space.
            RuntimeError: no episode is running, or it has ended.
        """
        episode = self._running()
        space: Any = self._spec.accepts
        if not space.contains(action):  # before anything is cut to the bounds
            return self._world.step(action)  # says which entry is wrong
        for one, given in zip(episode.active, episode.given, strict=True):
            given.append(action)
            action = one.command(given, self._spec, episode.seed, episode.steps)
        step = self._world.step(action)
        episode.steps += 1
        return replace(step, observation=self._seen(step.observation))

    def snapshot(self) -> Snapshot:
        """The state now.

        Raises:
            NotSupported: the world inside has no snapshots.
        """
        episode, inner = self._running(), self._world.snapshot()
        state = {
            "inner": inner.payload,
            "own": episode.own,
            "seed": episode.seed,
            "steps": episode.steps,
            "given": [[packed(action) for action in given] for given in episode.given],
        }
        return Snapshot.pack(inner.world, state)

    def restore(self, snapshot: Snapshot) -> Observation:
        """Go back to ``snapshot``; what follows is bit-equal to what followed it then.

        Raises:
            ValueError: the snapshot is another world's.
            NotSupported: the world inside has no snapshots.
        """
        state = snapshot.unpack(self._spec.name)
        observation = self._world.restore(Snapshot(world=snapshot.world, payload=state["inner"]))
        self._episode = self._begin(state["own"], state["seed"])
        self._episode.steps = state["steps"]
        for given, actions in zip(self._episode.given, state["given"], strict=True):
            given.extend(unpacked(action) for action in actions)
        return self._seen(observation)

    def close(self) -> None:
        """Free the engine. May be called twice."""
        self._episode = None
        self._world.close()

    def _begin(self, own: Sequence[str], seed: int) -> _Episode:
        return _Episode(
            own=tuple(own),
            active=tuple(self._levels[name] for name in own),
            given=tuple(deque[Any](maxlen=REMEMBERED) for _ in own),
            seed=seed,
        )

    def _running(self) -> _Episode:
        if self._episode is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._episode

    def _seen(self, observation: Observation) -> Observation:
        episode = self._running()
        if not episode.active:
            return observation
        images = dict(observation.images)
        for camera, picture in observation.images.items():
            for one in episode.active:
                picture = one.picture(picture, episode.seed, camera, episode.steps)
            images[camera] = picture
        return replace(observation, images=images)


@dataclass(kw_only=True, slots=True)
class _Episode:
    own: tuple[str, ...]
    """The perturbations that were added, in order."""
    active: tuple[Disturbance, ...]
    given: tuple[deque[Any], ...]
    """The last actions that each of them was given."""
    seed: int
    steps: int = 0


def _levels(axes: Sequence[str], world: WorldSpec) -> dict[str, Disturbance]:
    """Name to perturbation, for every level of the axes."""
    registry, found = Registry("perturbations"), dict[str, Disturbance]()
    for axis in axes or registry.names():
        kind = registry.load(axis)
        why = kind(1).unfit(world)
        if why and axes:
            raise ValueError(f"axes: {axis!r} changes nothing: {why}")
        if not why:
            found.update({f"{axis}-{n}": kind(n) for n in range(1, len(kind.levels) + 1)})
    twice = [one.name for one in world.perturbations if one.name in found]
    if twice:
        raise ValueError(f"axes: {world.name} has perturbations called {twice} itself")
    return found
