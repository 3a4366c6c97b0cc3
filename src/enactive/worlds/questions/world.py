"""Questions as a world: an episode shows a scene or a clip and asks; the one action answers."""

from __future__ import annotations

import importlib.metadata
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec
from enactive.registry import suggest
from enactive.worlds.mujoco_rendering import Quality, assert_not_blank, backend
from enactive.worlds.questions.acting import ARM, staged_for_engine
from enactive.worlds.questions.catalogue import KINDS, VERSION, make_item
from enactive.worlds.questions.item import ANSWERS, MOMENTS, Item
from enactive.worlds.replayed import Outcome, ReplayedWorld, View
from enactive.worlds.tabletop.arms import ARMS
from enactive.worlds.tabletop.drawing import Drawing
from enactive.worlds.tabletop.engine import Engine
from enactive.worlds.tabletop.model import CAMERAS
from enactive.worlds.world import EventSpec, WorldSpec

RATE_HZ = 1.0

TRUTH = StateVector(name="questions", names=("answer",), unit="place of the right option")

EVENTS = (
    EventSpec(name="right", description="the answer was the right option"),
    EventSpec(name="wrong", description="the answer was another option"),
    EventSpec(name="no_option", description="the answer was none of the options"),
)

_KEPT = 256
"""Items that a world remembers, so that asking again does not act again."""


def stream(camera: str, moment: int) -> str:
    """Name of the image stream of a camera at a moment of the clip, 0 the earliest. The last one,
    which in a still is the only one, goes by the camera's name alone."""
    return camera if moment == MOMENTS - 1 else f"{camera}-{moment}"


class Questions(ReplayedWorld):
    """The world; make it with ``Questions.Config(...).build()``. Not safe to use from two threads.

    Tasks have no wording of their own: the instruction is the seed's question with its options.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`Questions`."""

        cameras: tuple[str, ...] = ("front", "side", "top")
        """Views, of ``"front"``, ``"side"`` and ``"top"``; they stand where they stand. Empty draws
        nothing, needs no graphics backend, and leaves the words alone: the text-only control."""
        clip: bool = True
        """Show the three earlier moments too, as streams ``"front-0"`` to ``"front-2"``. In a still
        they are all the same."""
        image_size: int = 96
        """Side of the square pictures, pixels."""
        quality: Quality = field(default_factory=Quality)
        """How pictures are drawn; part of the provenance of everything recorded."""
        privileged: bool = True
        """Give ``Observation.privileged["questions"]``, the right answer, for the expert."""

        def build(self) -> Questions:
            """The world.

            Raises:
                ValueError: a field is out of range; the message names it.
            """
            return Questions(self)

    def __init__(self, config: Config) -> None:
        for name in config.cameras:
            if name not in CAMERAS:
                raise ValueError(f"cameras: there is no {name!r}; {suggest(name, CAMERAS)}")
        if len(set(config.cameras)) < len(config.cameras):
            raise ValueError(f"cameras: a name is given twice: {config.cameras}")
        if config.image_size < 1:
            raise ValueError(f"image_size must be positive, got {config.image_size}")
        self._config = config
        self._drawing: Drawing | None = None
        self._kept: OrderedDict[tuple[str, int], tuple[Item, dict[str, NDArray[np.uint8]]]] = (
            OrderedDict()
        )
        self._item: Item | None = None
        self._pictures: dict[str, NDArray[np.uint8]] = {}
        super().__init__(_spec(config))

    @property
    def item(self) -> Item:
        """The running episode's question.

        Raises:
            RuntimeError: no episode is running.
        """
        if self._item is None:
            raise RuntimeError("no episode is running; call reset first")
        return self._item

    def close(self) -> None:
        self._kept.clear()
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None

    def _begin(self, task: TaskSpec, seed: int) -> tuple[str, ...]:
        key = (task.name, seed)
        if key not in self._kept:
            item = make_item(task.name, seed)
            self._kept[key] = (item, self.draw(item))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._item, self._pictures = self._kept[key]
        return ()

    def _advance(self, action: Any) -> Outcome:
        item, given = self.item, int(action)
        right = given == item.answer
        event = "right" if right else "wrong" if given < len(item.options) else "no_option"
        return Outcome(reward=float(right), success=right, terminated=True, holding=(event,))

    def _view(self) -> View:
        truth = np.array([self.item.answer], np.float64)
        return View(
            images={name: picture.copy() for name, picture in self._pictures.items()},
            state={},
            privileged={TRUTH.name: truth} if self._config.privileged else {},
            instruction=self.item.text,
        )

    def draw(self, item: Item) -> dict[str, NDArray[np.uint8]]:
        """The pictures of an item, stream to ``uint8 (S, S, 3)``, whether it is asked or not."""
        config = self._config
        if not config.cameras:
            return {}
        if self._drawing is None:
            self._drawing = Drawing(config.cameras, config.image_size, config.quality)
        engine = Engine(staged_for_engine(item.scene), ARMS[ARM])
        self._drawing.open(engine)
        moments: list[dict[str, NDArray[np.uint8]]] = []
        for state in item.states if config.clip else item.states[-1:]:
            engine.set_state(state)
            drawn = self._drawing.draw(engine)
            moments.append({name: np.array(picture) for name, picture in drawn.items()})
        assert_not_blank(moments[-1], "questions")
        shown = range(MOMENTS) if config.clip else range(MOMENTS - 1, MOMENTS)
        return {
            stream(camera, moment): moments[min(moment, len(moments) - 1)][camera]
            for camera in config.cameras
            for moment in shown
        }


def expert_action(task_name: str, privileged: NDArray[np.float64]) -> int:
    """The right answer.

    Args:
        task_name: name of the task; it does not matter.
        privileged: ``float64 (1,)``, the observation's ``privileged["questions"]``.
    """
    return int(privileged[0])


def _spec(config: Questions.Config) -> WorldSpec:
    size = config.image_size
    shown = range(MOMENTS) if config.clip else range(MOMENTS - 1, MOMENTS)
    return WorldSpec(
        name="questions",
        version=VERSION,
        observations=ObservationSpec(
            cameras=tuple(
                Camera(name=stream(camera, moment), height=size, width=size)
                for camera in config.cameras
                for moment in shown
            ),
            privileged=(TRUTH,) if config.privileged else (),
        ),
        accepts=ANSWERS,
        tasks=tuple(
            TaskSpec(
                name=kind.name,
                instructions=(),
                max_steps=1,
                description=f"{kind.benchmark}, {kind.ability}; "
                f"{'a clip' if kind.clip else 'a still'}, {kind.options} options",
            )
            for kind in KINDS.values()
        ),
        rate_hz=RATE_HZ,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {"mujoco": importlib.metadata.version("mujoco")},
            "gl": backend(),
            "image_size": size,
            "cameras": list(config.cameras),
            "clip": config.clip,
            "quality": asdict(config.quality),
        },
    )
